//! A stream to an HTTP/2 upstream, on the h2 crate's own halves.

use super::{Download, UpError};
use crate::fields::Fields;
use crate::h2_read::{self, ReadAhead};
use crate::h2_send::SendQueue;
use crate::pool::StreamPermit;
use crate::record::Version;
use crate::request::{ConnectionOptions, Framing};
use crate::response::UpstreamHead;
use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::{Reason, RecvStream, SendStream};
use http::response::Parts;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// One stream of an upstream's connection.
#[derive(Debug)]
pub(crate) struct UpH2 {
    response: ResponseFuture,
    recv: Option<RecvStream>,
    ahead: ReadAhead,
    send: SendQueue,
    is_done: bool,
    has_answered: bool,
    websocket: WebSocket,
    permit: StreamPermit,
}

/// Whether the stream is, or may become, a WebSocket (RFC 8441).
#[derive(Debug)]
enum WebSocket {
    No,
    /// What the client sends is held back until the upstream agrees; with the `Sec-WebSocket-Accept` that the client is
    /// to get then.
    Asked(Option<String>),
    Open,
}

impl UpH2 {
    /// `is_bodiless` where the head ended the stream.
    pub(crate) fn new(
        response: ResponseFuture,
        send: SendStream<Bytes>,
        is_bodiless: bool,
        permit: StreamPermit,
    ) -> Self {
        let mut send = SendQueue::new(send);
        if is_bodiless {
            send.give_up();
        }
        let websocket = WebSocket::No;
        let ahead = ReadAhead::default();
        Self { response, recv: None, ahead, send, is_done: false, has_answered: false, websocket, permit }
    }

    /// The head was an extended CONNECT; `accept` is what proves to the client that its key was read, if it sent one.
    pub(crate) fn asking_for_websocket(self, accept: Option<String>) -> Self {
        Self { websocket: WebSocket::Asked(accept), ..self }
    }

    pub(super) fn is_done(&self) -> bool {
        self.is_done
    }

    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Download, UpError>> {
        let Some(recv) = &mut self.recv else { return self.poll_head(cx) };
        let read = match self.ahead.take() {
            Some(data) => Some(Ok(data)),
            None => ready!(h2_read::poll_data(recv, cx)),
        };
        let event = match read {
            Some(Ok(data)) => {
                // The exchange reads only what the client's side has room for. A stream that is gone says so at the next
                // read.
                let _ = recv.flow_control().release_capacity(data.len());
                self.is_done = self.ahead.is_empty() && recv.is_end_stream();
                Ok(Download::Data(data))
            }
            None => match ready!(recv.poll_trailers(cx)) {
                // A tunnel has none (RFC 9113 §8.5).
                Ok(Some(_)) if matches!(self.websocket, WebSocket::Open) => return Poll::Ready(Err(UpError::Cut)),
                end => end.map(Download::End),
            },
            Some(Err(error)) => Err(error),
        };
        self.is_done |= matches!(event, Ok(Download::End(_)));
        Poll::Ready(event.map_err(|error| self.failed(&error)))
    }

    /// Takes over what is there of the answer's body, for which nobody has room.
    pub(super) fn gather(&mut self, cx: &mut Context<'_>) {
        if let Some(recv) = &mut self.recv {
            self.ahead.gather(recv, cx);
        }
    }

    /// Interim heads are asked for first: the final head's future throws them away.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Download, UpError>> {
        if let Poll::Ready(Some(interim)) = self.response.poll_informational(cx) {
            let head = match interim {
                Ok(response) => head_of(&response),
                Err(error) => return Poll::Ready(Err(self.failed(&error))),
            };
            self.has_answered = true;
            return Poll::Ready(match head {
                Some(head) if head.status != 101 => Ok(Download::Interim(head)),
                _ => Err(UpError::Protocol),
            });
        }
        let response = match ready!(Pin::new(&mut self.response).poll(cx)) {
            Ok(response) => response,
            Err(error) => return Poll::Ready(Err(self.failed(&error))),
        };
        self.has_answered = true;
        let (parts, recv) = response.into_parts();
        if let WebSocket::Asked(accept) = std::mem::replace(&mut self.websocket, WebSocket::No) {
            if parts.status.is_success() {
                return Poll::Ready(self.open_websocket(parts, recv, accept));
            }
            self.end_request(cx);
        }
        let ends_here = recv.is_end_stream();
        let Some(head) = head_of(&Response::from_parts(parts, ())).filter(|head| head.status != 101) else {
            return Poll::Ready(Err(UpError::Protocol));
        };
        self.is_done = ends_here;
        self.recv = Some(recv);
        Poll::Ready(Ok(Download::Final(UpstreamHead { ends_here, ..head })))
    }

    /// Any 2xx opens the tunnel (RFC 9110 §9.3.6). The head is what an HTTP/1.1 upstream would have said.
    fn open_websocket(
        &mut self,
        mut parts: Parts,
        recv: RecvStream,
        accept: Option<String>,
    ) -> Result<Download, UpError> {
        let map = &mut parts.headers;
        // Of the tunnel they say nothing.
        for name in [header::CONTENT_LENGTH, header::SEC_WEBSOCKET_ACCEPT] {
            map.remove(name);
        }
        if let Some(accept) = accept.and_then(|accept| HeaderValue::try_from(accept).ok()) {
            map.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
        }
        map.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        parts.status = StatusCode::SWITCHING_PROTOCOLS;
        let head = head_of(&Response::from_parts(parts, ())).ok_or(UpError::Protocol)?;
        self.recv = Some(recv);
        self.websocket = WebSocket::Open;
        Ok(Download::Upgraded(head))
    }

    /// Nothing follows a request whose WebSocket was refused; to cancel it would look like abuse.
    fn end_request(&mut self, cx: &mut Context<'_>) {
        self.send.finish(None);
        // It fails only where the stream is gone, which the next read tells.
        let _ = self.send.poll_drain(cx, &mut false);
    }

    fn failed(&self, error: &h2::Error) -> UpError {
        match error.reason() {
            // A GOAWAY reaches only streams that the peer did not and will not act on.
            _ if error.is_go_away() && error.is_remote() => {
                self.permit.retire();
                UpError::Refused
            }
            Some(Reason::REFUSED_STREAM) if error.is_reset() => UpError::Refused,
            Some(Reason::HTTP_1_1_REQUIRED) => UpError::NeedsHttp1,
            reason => {
                if error.is_io() || error.is_go_away() || reason == Some(Reason::ENHANCE_YOUR_CALM) {
                    self.permit.retire();
                }
                match self.has_answered {
                    true => UpError::Cut,
                    false if error.is_library() => UpError::Protocol,
                    false if error.is_reset() => UpError::Reset,
                    false => UpError::Silent,
                }
            }
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.send.has_room()
    }

    pub(super) fn is_drained(&self) -> bool {
        self.send.is_drained()
    }

    pub(super) fn poll_drain(&mut self, cx: &mut Context<'_>, progress: &mut bool) -> Poll<Result<(), UpError>> {
        let mut has_moved = false;
        let drained = self.send.poll_drain(cx, &mut has_moved);
        self.permit.note_upload(drained.is_pending(), has_moved);
        *progress |= has_moved;
        match ready!(drained) {
            Ok(()) if self.was_tunnel_reset(cx) => {
                self.send.give_up();
                Poll::Ready(Err(UpError::Cut))
            }
            Ok(()) => Poll::Ready(Ok(())),
            Err(error) => {
                self.send.give_up();
                Poll::Ready(Err(self.failed(&error)))
            }
        }
    }

    /// Whether the upstream has reset a tunnel of which it may have ended its own half before, so that no read tells.
    fn was_tunnel_reset(&mut self, cx: &mut Context<'_>) -> bool {
        matches!(self.websocket, WebSocket::Open) && !self.send.has_ended() && self.send.poll_reset(cx).is_ready()
    }

    pub(super) fn data(&mut self, data: Bytes) {
        self.send.push(data);
    }

    pub(super) fn end(&mut self, trailers: Option<HeaderMap>) {
        match self.websocket {
            WebSocket::No => self.send.finish(trailers),
            // The request's head is all of it, and the tunnel's upload has not begun.
            WebSocket::Asked(_) => {}
            WebSocket::Open => self.send.finish(None),
        }
    }

    /// Cancels what is still under way on the stream.
    pub(crate) fn cancel(&mut self) {
        if !self.is_done || !self.send.is_drained() {
            self.send.reset(Reason::CANCEL);
        }
    }
}

fn head_of(response: &Response<()>) -> Option<UpstreamHead> {
    let fields = Fields::from_map(response.headers()).ok()?;
    let framing = Framing::parse(&fields, Version::Http2).ok()?;
    let status = response.status().as_u16();
    let phrase = Bytes::from_static(response.status().canonical_reason().unwrap_or("").as_bytes());
    (100..=599).contains(&status).then_some(UpstreamHead {
        version: Version::Http2,
        status,
        phrase,
        fields,
        options: ConnectionOptions::default(),
        framing,
        ends_here: false,
    })
}
