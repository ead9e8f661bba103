//! A stream of an HTTP/2 client, on the h2 crate's own halves.

use super::{DownError, HeadOptions, SERVER, Upload, Watched};
use crate::answer::LocalAnswer;
use crate::fields::FieldName;
use crate::h2_read;
use crate::h2_screen::is_refused;
use crate::h2_send::SendQueue;
use crate::h2_unread::UnreadUploads;
use crate::request::Request;
use crate::response::{AnswerBody, UpstreamHead};
use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

/// Upload bytes that are taken before the client is told: often enough that many streams cannot hold the connection's
/// window between them, seldom enough to spare frames.
const RELEASE_STEP: usize = 4 * 1024;

/// One stream.
#[derive(Debug)]
pub(crate) struct DownH2 {
    recv: RecvStream,
    respond: SendResponse<Bytes>,
    send: Option<SendQueue>,
    unreleased: usize,
    unread: Rc<UnreadUploads>,
    has_body: bool,
    was_reset: bool,
    websocket: WebSocket,
}

/// Whether the stream is, or may become, a WebSocket (RFC 8441).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WebSocket {
    No,
    /// What the client sends already is held back until the upstream agrees.
    Asked,
    Open,
}

impl DownH2 {
    pub(crate) fn new(recv: RecvStream, respond: SendResponse<Bytes>, unread: Rc<UnreadUploads>) -> Self {
        let websocket = WebSocket::No;
        Self { recv, respond, send: None, unreleased: 0, unread, has_body: false, was_reset: false, websocket }
    }

    /// Prepares for the exchange of a request.
    pub(crate) fn begin(&mut self, request: &Request) {
        if request.is_websocket {
            self.websocket = WebSocket::Asked;
        }
    }

    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Upload, DownError>> {
        if self.websocket == WebSocket::Asked {
            return Poll::Ready(Ok(Upload::End(None)));
        }
        Poll::Ready(match ready!(h2_read::poll_data(&mut self.recv, cx)) {
            Some(Ok(data)) => Ok(Upload::Data(data)),
            Some(Err(error)) => Err(self.failed(&error)),
            None => match ready!(self.recv.poll_trailers(cx)) {
                // A tunnel has none (RFC 9113 §8.5).
                Ok(Some(_)) if self.websocket == WebSocket::Open => Err(DownError::Malformed),
                Ok(Some(trailers)) if trailers.keys().any(|name| is_refused(name.as_ref())) => {
                    Err(DownError::Malformed)
                }
                Ok(trailers) => Ok(Upload::End(trailers)),
                Err(error) => Err(self.failed(&error)),
            },
        })
    }

    fn failed(&mut self, error: &h2::Error) -> DownError {
        self.was_reset |= error.is_reset() && error.is_remote();
        // A reset by the client, a connection gone: nobody is there. What h2 itself found wrong is the client's fault.
        if error.is_reset() && error.is_library() { DownError::Malformed } else { DownError::Gone }
    }

    pub(super) fn accepted(&mut self, len: usize) {
        self.unread.taken(len);
        self.unreleased += len;
        if self.unreleased >= RELEASE_STEP || self.recv.is_end_stream() {
            // It fails only where the stream is gone, which the next read tells.
            let _ = self.recv.flow_control().release_capacity(self.unreleased);
            self.unreleased = 0;
        }
    }

    pub(super) fn poll_watch(&mut self, cx: &mut Context<'_>) -> Poll<Result<Watched, DownError>> {
        let reset = match &mut self.send {
            Some(send) => send.poll_reset(cx),
            None => self.respond.poll_reset(cx),
        };
        // An error says that the connection is gone.
        self.was_reset |= ready!(reset).is_ok();
        Poll::Ready(Err(DownError::Gone))
    }

    pub(super) fn has_room(&self) -> bool {
        self.send.as_ref().is_none_or(SendQueue::has_room)
    }

    pub(super) fn is_drained(&self) -> bool {
        self.send.as_ref().is_none_or(SendQueue::is_drained)
    }

    pub(super) fn poll_drain(&mut self, cx: &mut Context<'_>, progress: &mut bool) -> Poll<Result<(), DownError>> {
        match &mut self.send {
            Some(send) => send.poll_drain(cx, progress).map_err(|_| DownError::Gone),
            None => Poll::Ready(Ok(())),
        }
    }

    pub(super) fn interim(&mut self, head: &UpstreamHead) -> Result<(), DownError> {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::from_u16(head.status).map_err(|_| DownError::Gone)?;
        *response.headers_mut() = map_of(head);
        self.respond.send_informational(response).map_err(|_| DownError::Gone)
    }

    pub(super) fn head(&mut self, head: &UpstreamHead, options: HeadOptions<'_>) -> Result<(), DownError> {
        let mut map = final_map(head, options);
        let length = match options.body {
            AnswerBody::Absent(length) => length,
            AnswerBody::Length(length) => Some(length),
            AnswerBody::Stream => None,
        };
        // The end of the stream says the same, where the upstream's head had none: an answer of trailers only stays one.
        if let Some(length) = length.filter(|_| head.fields.has(FieldName::ContentLength)) {
            map.insert(http::header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        self.respond(head.status, map, matches!(options.body, AnswerBody::Absent(_) | AnswerBody::Length(0)))
    }

    /// Accepts an extended CONNECT (RFC 8441 §5).
    pub(super) fn tunnel(&mut self, head: &UpstreamHead, options: HeadOptions<'_>) -> Result<(), DownError> {
        self.websocket = WebSocket::Open;
        let mut map = final_map(head, options);
        map.remove("sec-websocket-accept");
        self.respond(200, map, false)
    }

    fn respond(&mut self, status: u16, map: HeaderMap, is_bodiless: bool) -> Result<(), DownError> {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::from_u16(status).map_err(|_| DownError::Gone)?;
        *response.headers_mut() = map;
        let send = self.respond.send_response(response, is_bodiless).map_err(|_| DownError::Gone)?;
        self.send = Some(SendQueue::new(send));
        self.has_body = !is_bodiless;
        Ok(())
    }

    pub(super) fn data(&mut self, data: Bytes) {
        if let Some(send) = self.send.as_mut().filter(|_| self.has_body) {
            send.push(data);
        }
    }

    pub(super) fn end(&mut self, trailers: Option<HeaderMap>) {
        if let Some(send) = self.send.as_mut().filter(|_| self.has_body) {
            send.finish(trailers);
        }
    }

    pub(super) fn local(&mut self, answer: &LocalAnswer) -> Result<(), DownError> {
        let map = answer.fields().map(|(name, value)| (name.clone(), value.clone())).collect();
        self.respond(answer.status(), map, answer.body().is_empty())?;
        if !answer.body().is_empty() {
            self.data(Bytes::copy_from_slice(answer.body()));
            self.end(None);
        }
        Ok(())
    }

    /// Whether the client took the stream back.
    pub(crate) fn was_reset(&self) -> bool {
        self.was_reset
    }

    /// Ends the stream with an error; for a WebSocket it is the reset of its TCP connection (RFC 8441 §5).
    pub(crate) fn reset(mut self) {
        let reason = if self.websocket == WebSocket::Open { Reason::CANCEL } else { Reason::INTERNAL_ERROR };
        match &mut self.send {
            Some(send) => send.reset(reason),
            None => self.respond.send_reset(reason),
        }
    }
}

impl Drop for DownH2 {
    /// What was not read is thrown away with the stream.
    fn drop(&mut self) {
        let held = self.recv.flow_control().used_capacity();
        self.unread.taken(held.saturating_sub(self.unreleased));
    }
}

fn final_map(head: &UpstreamHead, options: HeadOptions<'_>) -> HeaderMap {
    let mut map = map_of(head);
    if !head.fields.has(FieldName::Date)
        && let Ok(date) = HeaderValue::from_str(&(options.date)())
    {
        map.insert(http::header::DATE, date);
    }
    if !head.fields.has(FieldName::Server) {
        map.insert(http::header::SERVER, HeaderValue::from_static(SERVER));
    }
    map
}

fn map_of(head: &UpstreamHead) -> HeaderMap {
    let mut map = HeaderMap::with_capacity(head.fields.len() + 3);
    for field in head.passed().filter(|field| field.known != FieldName::Upgrade) {
        // Both were checked when the head was read.
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(field.name), HeaderValue::from_bytes(field.value)) {
            map.append(name, value);
        }
    }
    map
}
