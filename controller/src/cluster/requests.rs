//! Tells what became of each request to the API server, and how long it took: a layer around the connections, within
//! what asks for credentials and what makes an error of an answer.

#[cfg(test)]
mod tests;

use http::{Method, Request, Response, Uri};
use hyper::body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;
use tower::Service;

/// Who is told of requests to the API server, each try for itself. `host` has the port with it, if there is one.
pub trait RequestObserver: Send + Sync {
    /// A request was answered with this status; `None`: it was not answered, or nobody waited for that.
    fn answered(&self, method: &'static str, host: &str, code: Option<u16>);

    /// A request that is no watch, whose answers have no end, was over after this time, its answer read.
    fn ended(&self, method: &'static str, host: &str, took: Duration);
}

/// Nobody.
impl RequestObserver for () {
    fn answered(&self, _method: &'static str, _host: &str, _code: Option<u16>) {}

    fn ended(&self, _method: &'static str, _host: &str, _took: Duration) {}
}

/// Who is told, and the host that all requests go to.
#[derive(Clone)]
pub(super) struct Observer {
    told: Arc<dyn RequestObserver>,
    host: Arc<str>,
}

impl Observer {
    /// Of requests to the server at `server`, of which no credentials are told.
    pub(super) fn new(told: Arc<dyn RequestObserver>, server: &Uri) -> Self {
        let host = match (server.host(), server.port_u16()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (host, _) => host.unwrap_or("none").to_owned(),
        };
        Self { told, host: host.into() }
    }

    /// A service whose requests are told of.
    pub(super) fn around<S>(&self, service: S) -> Observed<S> {
        Observed { service, observer: self.clone() }
    }
}

/// A service whose requests are told of.
#[derive(Clone)]
pub(super) struct Observed<S> {
    service: S,
    observer: Observer,
}

impl<S, Q, B> Service<Request<Q>> for Observed<S>
where
    S: Service<Request<Q>, Response = Response<B>>,
    S::Future: Send + 'static,
{
    type Response = Response<ObservedBody<B>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        let mut exchange = Exchange {
            observer: self.observer.clone(),
            method: name(request.method()),
            is_watch: is_watch(request.uri()),
            begun: Instant::now(),
            is_answered: false,
        };
        let answer = self.service.call(request);
        Box::pin(async move {
            let response = answer.await?;
            exchange.answered(Some(response.status().as_u16()));
            Ok(response.map(|body| ObservedBody { body, _exchange: exchange }))
        })
    }
}

/// A request, told of where it ends, whatever it ends by.
struct Exchange {
    observer: Observer,
    method: &'static str,
    is_watch: bool,
    begun: Instant,
    is_answered: bool,
}

impl Exchange {
    fn answered(&mut self, code: Option<u16>) {
        self.is_answered = true;
        self.observer.told.answered(self.method, &self.observer.host, code);
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if !self.is_answered {
            self.answered(None);
        }
        if !self.is_watch {
            self.observer.told.ended(self.method, &self.observer.host, self.begun.elapsed());
        }
    }
}

/// The body of an answer, which ends its request.
pub(super) struct ObservedBody<B> {
    body: B,
    _exchange: Exchange,
}

impl<B: Body + Unpin> Body for ObservedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Those that are used.
fn name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}

fn is_watch(uri: &Uri) -> bool {
    uri.query().is_some_and(|query| query.split('&').any(|pair| pair == "watch=true"))
}
