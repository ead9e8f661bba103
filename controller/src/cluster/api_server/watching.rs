//! A watch: what is there, if that is asked for, then what happens; cut, split and repeated as the rules say.

use super::path::Target;
use super::query::Query;
use super::read::spoilt;
use super::rules::{Answer, Cut};
use super::serve::{Connection, status, status_object};
use super::store::{Happened, Store};
use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

struct Watch {
    target: Target,
    query: Query,
    rules: Vec<Answer>,
    store: watch::Receiver<Store>,
    is_stopped: watch::Receiver<bool>,
    socket: Arc<OwnedFd>,
    end: Option<Instant>,
    /// The number of the next change to look at.
    next: usize,
    frames: VecDeque<Value>,
    first: Option<Value>,
    sent: usize,
    pieces: VecDeque<Vec<u8>>,
    has_ended: bool,
}

pub(super) fn watch(connection: Connection, target: Target, query: Query, rules: Vec<Answer>) -> Response {
    let store = connection.shared.store.subscribe();
    let mut frames = VecDeque::new();
    let next = match begin(&store.borrow(), &target, &query, &mut frames) {
        Ok(next) => next,
        Err((code, message)) => return status(code, &message),
    };
    let error = rules.iter().find_map(|rule| if let Answer::ErrorFrame(code) = rule { Some(*code) } else { None });
    if let Some(code) = error {
        let object = status_object(code, &format!("told to answer {code}"));
        frames = VecDeque::from([json!({"type": "ERROR", "object": object})]);
    }
    let watch = Watch {
        end: query.timeout.map(|timeout| Instant::now() + timeout),
        is_stopped: connection.shared.is_stopped.subscribe(),
        socket: connection.socket,
        target,
        query,
        rules,
        store,
        next,
        frames,
        first: None,
        sent: 0,
        pieces: VecDeque::new(),
        has_ended: error.is_some(),
    };
    let body = Body::from_stream(stream::unfold(watch, |mut watch| async {
        let piece = watch.piece().await?;
        Some((piece, watch))
    }));
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// The frames to begin with, and the number of the first change that comes after them.
fn begin(
    store: &Store,
    target: &Target,
    query: &Query,
    frames: &mut VecDeque<Value>,
) -> Result<usize, (StatusCode, String)> {
    let version = query.version.as_deref().filter(|version| *version != "0");
    let version = version.map(str::parse::<u64>).transpose();
    let version = version.map_err(|_| (StatusCode::BAD_REQUEST, "resourceVersion: not a number".to_owned()))?;
    if let (Some(version), false) = (version, query.sends_initial_events) {
        let gone = |_| (StatusCode::GONE, format!("too old resource version: {version} ({})", store.version()));
        return store.after(version).map_err(gone);
    }
    let all = store.all(target.resource.kind).filter(|object| query.selects(target, object));
    frames.extend(all.map(|object| frame("ADDED", object)));
    if query.sends_initial_events {
        if !query.takes_bookmarks {
            let message = "sendInitialEvents: Forbidden: sendInitialEvents requires allowWatchBookmarks";
            return Err((StatusCode::UNPROCESSABLE_ENTITY, message.to_owned()));
        }
        let mut bookmark = bookmark(target, store.version());
        bookmark["object"]["metadata"]["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        frames.push_back(bookmark);
    }
    Ok(store.end())
}

fn frame(what: &str, object: &Value) -> Value {
    json!({"type": what, "object": object})
}

fn bookmark(target: &Target, version: u64) -> Value {
    let resource = target.resource;
    let metadata = json!({"resourceVersion": version.to_string(), "creationTimestamp": null});
    let object = json!({"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata});
    frame("BOOKMARK", &object)
}

impl Watch {
    /// The next bytes of the body; `None`: its end.
    async fn piece(&mut self) -> Option<io::Result<Vec<u8>>> {
        loop {
            let _ = self.is_stopped.wait_for(|is_stopped| !is_stopped).await;
            if let Some(piece) = self.pieces.pop_front() {
                return Some(Ok(piece));
            }
            if let Some(how) = self.cut() {
                // What was sent is to leave before the connection does.
                tokio::task::yield_now().await;
                return self.end_as(how);
            }
            if let Some(frame) = self.frames.pop_front() {
                self.send(&frame);
            } else if self.has_ended {
                return None;
            } else {
                self.wait().await;
            }
        }
    }

    fn cut(&self) -> Option<Cut> {
        self.rules.iter().find_map(|rule| match rule {
            Answer::Cut { after, how } if *after <= self.sent => Some(*how),
            _ => None,
        })
    }

    fn end_as(&self, how: Cut) -> Option<io::Result<Vec<u8>>> {
        if how == Cut::Reset {
            // The server closes the connection after an error of the body, and that is a reset then.
            rustix::net::sockopt::set_socket_linger(&self.socket, Some(std::time::Duration::ZERO)).expect("a socket");
        }
        (how != Cut::End).then(|| Err(io::Error::other("told to cut the watch")))
    }

    fn send(&mut self, frame: &Value) {
        let mut object = frame.clone();
        object["object"] = spoilt(object["object"].take(), &self.rules);
        let mut text = format!("{object}\n");
        let first = self.first.get_or_insert(object);
        for rule in &self.rules {
            match rule {
                Answer::Duplicate => text = text.repeat(2),
                Answer::Stale => text = format!("{text}{first}\n"),
                _ => {}
            }
        }
        let split = self.rules.iter().find_map(|rule| if let Answer::Split(size) = rule { Some(*size) } else { None });
        let bytes = text.into_bytes();
        self.pieces.extend(bytes.chunks(split.unwrap_or(bytes.len())).map(<[u8]>::to_vec));
        self.sent += 1;
    }

    /// Waits for what happens next.
    async fn wait(&mut self) {
        let end = self.end;
        let at_end = async {
            match end {
                Some(end) => sleep_until(end).await,
                None => std::future::pending().await,
            }
        };
        let next = self.next;
        let happened = tokio::select! {
            () = at_end => None,
            store = self.store.wait_for(|store| store.end() > next) => {
                store.ok().map(|store| (store.happened(next).to_vec(), store.end()))
            }
        };
        match happened {
            Some((happened, end)) => {
                self.next = end;
                let frames: Vec<_> = happened.iter().filter_map(|happened| self.frame_of(happened)).collect();
                self.frames.extend(frames);
            }
            None => self.has_ended = true,
        }
    }

    fn frame_of(&self, happened: &Happened) -> Option<Value> {
        if happened.before.is_none() && happened.after.is_none() {
            return self.query.takes_bookmarks.then(|| bookmark(&self.target, happened.version));
        }
        if happened.kind != self.target.resource.kind {
            return None;
        }
        let is_selected = |object: &&Value| self.query.selects(&self.target, object);
        match (happened.before.as_ref().filter(is_selected), happened.after.as_ref().filter(is_selected)) {
            (None, Some(after)) => Some(frame("ADDED", after)),
            (Some(_), Some(after)) => Some(frame("MODIFIED", after)),
            (Some(before), None) => {
                let mut before = before.clone();
                before["metadata"]["resourceVersion"] = json!(happened.version.to_string());
                Some(frame("DELETED", &before))
            }
            (None, None) => None,
        }
    }
}
