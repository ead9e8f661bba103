//! Connections and requests: each is logged, then answered as the rules say, then from the store.

use super::log::Logged;
use super::path::{Target, Verb};
use super::query::Query;
use super::rules::Answer;
use super::{Shared, read, watching, write};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A body of a test is short.
const BODY: usize = 1 << 20;

/// What handlers of one connection have.
#[derive(Clone)]
pub(super) struct Connection {
    pub(super) shared: Arc<Shared>,
    /// The same socket once more, to have it reset.
    pub(super) socket: Arc<OwnedFd>,
}

/// Serves connections until it is dropped, and them with it.
pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(serve(stream, Arc::clone(&shared)));
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    stream.set_nodelay(true).expect("a socket");
    let socket = Arc::new(stream.as_fd().try_clone_to_owned().expect("a descriptor"));
    let router = Router::new().fallback(answer).with_state(Connection { shared, socket });
    let service = TowerToHyperService::new(router);
    // The client may close it, and a rule may: neither is a failure of the test.
    let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(State(connection): State<Connection>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, BODY).await.expect("a whole body");
    let body = (!body.is_empty()).then(|| serde_json::from_slice::<Value>(&body).expect("JSON"));
    let (path, query_text) = (head.uri.path(), head.uri.query().unwrap_or_default());
    let Some(target) = Target::read(path) else {
        return status(StatusCode::NOT_FOUND, &format!("no such resource: {path}"));
    };
    let query = match Query::read(query_text) {
        Ok(query) => query,
        Err(message) => return status(StatusCode::BAD_REQUEST, &message),
    };
    let Some(verb) = target.verb(&head.method, query.is_watch) else {
        return status(
            StatusCode::METHOD_NOT_ALLOWED,
            "the server does not allow this method on the requested resource",
        );
    };
    connection.shared.log.send_modify(|log| {
        log.requests.push(Logged {
            verb,
            resource: target.resource.plural,
            method: head.method.to_string(),
            path: path.to_owned(),
            query: query_text.to_owned(),
            authorization: head.headers.get("authorization").and_then(|value| Some(value.to_str().ok()?.to_owned())),
            body: body.clone(),
        });
    });
    // A server that is gone or going answers nobody.
    let _ = connection.shared.is_stopped.subscribe().wait_for(|is_stopped| !is_stopped).await;
    let rules = connection.shared.rules().take(target.resource.plural, verb, &head.uri.to_string());
    for rule in &rules {
        match rule {
            Answer::Status(code) => return told(*code),
            Answer::Busy(seconds) => return busy(*seconds),
            Answer::Silence => std::future::pending().await,
            _ => {}
        }
    }
    match verb {
        Verb::Get => read::get(&connection.shared, &target, &rules),
        Verb::List => read::list(&connection.shared, &target, &query, &rules),
        Verb::Watch => watching::watch(connection, target, query, rules),
        _ => connection.shared.change(|store| write::write(store, verb, &target, &query, body)),
    }
}

fn busy(seconds: u32) -> Response {
    let head = (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, seconds.to_string())]);
    (head.0, head.1, "Too many requests, please try again later.\n").into_response()
}

fn told(code: u16) -> Response {
    let code = StatusCode::from_u16(code).expect("a status code");
    status(code, &format!("told to answer {code}"))
}

/// An answer that says how it went.
pub(super) fn status(code: StatusCode, message: &str) -> Response {
    json_answer(code, &status_object(code.as_u16(), message))
}

/// As the real server writes it.
pub(super) fn status_object(code: u16, message: &str) -> Value {
    let reason = match code {
        400 => "BadRequest",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        410 => "Expired",
        422 => "Invalid",
        429 => "TooManyRequests",
        _ => "InternalError",
    };
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
           "reason": reason, "code": code})
}

pub(super) fn json_answer(code: StatusCode, object: &Value) -> Response {
    (code, [(header::CONTENT_TYPE, "application/json")], Body::from(object.to_string())).into_response()
}
