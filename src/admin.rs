//! The admin endpoint: health, metrics, and what the process serves right now. It reads and never changes anything.

mod connections;
#[cfg(test)]
mod tests;

use crate::cli::Output;
use crate::figures::ControlMetrics;
use crate::{routes, text};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{Method, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use config::{Snapshot, Subscriber};
pub(crate) use connections::Connections;
use controller::Statuses;
use controller::cluster::{Leadership, Progress};
use prometheus::{Registry, TextEncoder};
use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// Whether requests may be sent here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// There is no snapshot to serve from yet.
    Starting,
    /// Requests are served.
    Ready,
    /// The process is about to end.
    Draining,
}

/// What the endpoint shows.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    /// The first task that ended before its time, if one has.
    pub(crate) dead: watch::Receiver<Option<&'static str>>,
    pub(crate) readiness: watch::Receiver<Readiness>,
    pub(crate) snapshots: Subscriber,
    pub(crate) statuses: watch::Receiver<Arc<Statuses>>,
    pub(crate) registry: Registry,
    pub(crate) control: Arc<ControlMetrics>,
    /// `None`: no cluster is followed.
    pub(crate) progress: Option<watch::Receiver<Progress>>,
    /// `None`: there is nothing to lead in.
    pub(crate) leadership: Option<watch::Receiver<Leadership>>,
}

/// Serves until `shutdown`, then until the requests that run are answered.
///
/// # Errors
/// The socket cannot be used by the runtime.
pub(crate) async fn serve(
    socket: std::net::TcpListener,
    shown: Shown,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let is_local = socket.local_addr()?.ip().to_canonical().is_loopback();
    let connections = Connections::new(TcpListener::from_std(socket)?);
    let router = if is_local { router(shown).layer(middleware::from_fn(only_local_names)) } else { router(shown) };
    axum::serve(connections, router).with_graceful_shutdown(shutdown).await
}

const PATHS: &str = "/livez /readyz /metrics /snapshot /routes /statuses";

fn router(shown: Shown) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/snapshot", get(snapshot))
        .route("/routes", get(routes))
        .route("/statuses", get(statuses))
        .fallback(|| async { (StatusCode::NOT_FOUND, format!("not found; there are {PATHS}\n")) })
        .layer(middleware::from_fn(only_reads))
        .with_state(shown)
}

/// A page of a browser on this machine may reach a loopback address by a name of its own (DNS rebinding). Browsers always
/// say the name; health checks of HTTP/1.0 may not.
async fn only_local_names(request: Request, next: Next) -> Response {
    let Some(host) = request.headers().get(header::HOST) else { return next.run(request).await };
    let host = host.to_str().unwrap_or_default();
    if host.parse::<Authority>().is_ok_and(|authority| is_local_name(authority.host())) {
        return next.run(request).await;
    }
    (StatusCode::FORBIDDEN, "ask for an address or localhost: this endpoint is for this machine only\n").into_response()
}

fn is_local_name(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    address.parse::<IpAddr>().is_ok() || host.eq_ignore_ascii_case("localhost")
}

async fn only_reads(request: Request, next: Next) -> Response {
    if *request.method() == Method::GET || *request.method() == Method::HEAD {
        return next.run(request).await;
    }
    let allow = [(header::ALLOW, "GET, HEAD")];
    (StatusCode::METHOD_NOT_ALLOWED, allow, "only GET and HEAD\n").into_response()
}

/// What runs goes on without the task, so readiness stays: a restart is what it needs.
async fn livez(State(shown): State<Shown>) -> Response {
    match shown.death() {
        None => "ok\n".into_response(),
        Some(reason) => (StatusCode::INTERNAL_SERVER_ERROR, reason).into_response(),
    }
}

async fn readyz(State(shown): State<Shown>) -> (StatusCode, Cow<'static, str>) {
    match shown.unreadiness() {
        None => (StatusCode::OK, "ready\n".into()),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, reason.into()),
    }
}

impl Shown {
    /// Why the process should be started anew; `None`: it lives.
    pub(crate) fn death(&self) -> Option<String> {
        self.dead.borrow().map(|task| format!("{task} has ended, and the log says why\n"))
    }

    /// Why nothing should be sent here; `None`: it is served.
    pub(crate) fn unreadiness(&self) -> Option<String> {
        match *self.readiness.borrow() {
            Readiness::Ready => None,
            Readiness::Starting => Some(self.waits()),
            Readiness::Draining => Some("draining\n".to_owned()),
        }
    }

    /// What the start waits for.
    fn waits(&self) -> String {
        let waits = self.progress.as_ref().and_then(|progress| progress.borrow().waits());
        waits.map_or_else(
            || "no snapshot is served yet\n".to_owned(),
            |waits| format!("no snapshot is served yet: {waits}\n"),
        )
    }
}

pub(crate) async fn metrics(State(shown): State<Shown>) -> Response {
    rendered(prometheus::TEXT_FORMAT, move || {
        let progress = shown.progress.as_ref().map(watch::Receiver::borrow);
        shown.control.refresh(progress.as_deref(), shown.leadership.as_ref().map(|leadership| *leadership.borrow()));
        Ok(TextEncoder::new().encode_to_string(&shown.registry.gather())?)
    })
    .await
}

async fn snapshot(State(shown): State<Shown>) -> Response {
    from_snapshot(&shown, "application/json", |snapshot| Ok(text::json(snapshot)?)).await
}

async fn routes(State(shown): State<Shown>, uri: Uri) -> Response {
    let (output, content_type) = match uri.query() {
        None | Some("" | "output=text") => (Output::Text, "text/plain; charset=utf-8"),
        Some("output=json") => (Output::Json, "application/json"),
        Some(_) => return (StatusCode::BAD_REQUEST, "the query may be output=text or output=json\n").into_response(),
    };
    from_snapshot(&shown, content_type, move |snapshot| routes::render(snapshot, output)).await
}

async fn statuses(State(shown): State<Shown>) -> Response {
    let statuses = Arc::clone(&shown.statuses.borrow());
    rendered("application/json", move || Ok(text::json(&*statuses)?)).await
}

async fn from_snapshot(
    shown: &Shown,
    content_type: &'static str,
    render: impl FnOnce(&Snapshot) -> anyhow::Result<String> + Send + 'static,
) -> Response {
    match shown.snapshots.current() {
        Some(snapshot) => rendered(content_type, move || render(&snapshot)).await,
        None => (StatusCode::SERVICE_UNAVAILABLE, "there is no snapshot yet\n").into_response(),
    }
}

/// Large tables take a while to write, in which the runtime has other things to do.
async fn rendered(
    content_type: &'static str,
    render: impl FnOnce() -> anyhow::Result<String> + Send + 'static,
) -> Response {
    match tokio::task::spawn_blocking(render).await {
        Ok(Ok(text)) => ([(header::CONTENT_TYPE, content_type)], text).into_response(),
        Ok(Err(error)) => failed(&*error),
        Err(error) => failed(&error),
    }
}

fn failed(error: &(dyn std::error::Error + 'static)) -> Response {
    tracing::error!(error, "an admin page cannot be made");
    (StatusCode::INTERNAL_SERVER_ERROR, "the page cannot be made; the log says why\n").into_response()
}
