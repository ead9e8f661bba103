//! An HTTP/1 client.

use super::{DownError, HeadOptions, SERVER, Upload, Watched};
use crate::answer::LocalAnswer;
use crate::fields::FieldName;
use crate::h1::{Decoded, Decoder, Encoder};
use crate::record::{Version, WireBytes};
use crate::request::{BodyLength, Request};
use crate::response::{AnswerBody, UpstreamHead};
use crate::wire::Wire;
use bytes::Bytes;
use http::HeaderMap;
use std::task::{Context, Poll, ready};

/// The connection of an HTTP/1 client during one exchange.
#[derive(Debug)]
pub(crate) struct DownH1 {
    pub(crate) wire: Wire,
    decoder: Decoder,
    encoder: Encoder,
    version: Version,
    is_tunnel: bool,
    half_closed_seen: bool,
    is_ended: bool,
    is_shut: bool,
    /// What had passed when the exchange before ended.
    before: WireBytes,
}

impl DownH1 {
    pub(crate) fn new(wire: Wire) -> Self {
        Self {
            wire,
            decoder: Decoder::EMPTY,
            encoder: Encoder::Nothing,
            version: Version::Http11,
            is_tunnel: false,
            half_closed_seen: false,
            is_ended: true,
            is_shut: false,
            before: WireBytes { received: 0, sent: 0 },
        }
    }

    /// Prepares for the exchange of a request whose head was taken from the wire.
    pub(crate) fn begin(&mut self, request: &Request) {
        self.version = request.version;
        self.is_ended = false;
        self.encoder = Encoder::Nothing;
        self.decoder = match request.body {
            BodyLength::None => Decoder::EMPTY,
            BodyLength::Known(length) => Decoder::Length(length),
            BodyLength::Unknown => Decoder::chunked(),
        };
    }

    /// What has passed since the last call.
    pub(crate) fn take_passed(&mut self) -> WireBytes {
        let passed = self.wire.passed();
        passed.since(std::mem::replace(&mut self.before, passed))
    }

    /// Whether the answer was said to its end and has left.
    pub(crate) fn has_said_all(&self) -> bool {
        self.is_ended && self.wire.is_drained()
    }

    /// Closes so that a cut answer looks cut: by a reset where the close is what ends the body, or where the client does
    /// not take what it is sent.
    pub(crate) fn cut(self) {
        if self.encoder == Encoder::UntilClose || !self.wire.is_drained() {
            self.wire.reset();
        }
    }

    /// Whether all of the upload was read.
    pub(crate) fn upload_is_done(&self) -> bool {
        self.decoder.is_done()
    }

    pub(super) fn upload_ends_within(&self, limit: u64) -> bool {
        self.decoder.remaining().is_some_and(|remaining| remaining <= limit)
    }

    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Upload, DownError>> {
        loop {
            match self.decoder.decode(&mut self.wire.input) {
                Ok(Decoded::Data(data)) => return Poll::Ready(Ok(Upload::Data(data))),
                Ok(Decoded::End) => return Poll::Ready(Ok(Upload::End(None))),
                Err(_) => return Poll::Ready(Err(DownError::Malformed)),
                Ok(Decoded::Starved) => match ready!(self.wire.poll_fill(cx)) {
                    Ok(0) if self.decoder.may_end_at_close() => return Poll::Ready(Ok(Upload::End(None))),
                    Ok(0) => return Poll::Ready(Err(DownError::Cut)),
                    Ok(_) => {}
                    Err(_) => return Poll::Ready(Err(DownError::Gone)),
                },
            }
        }
    }

    pub(super) fn poll_watch(&mut self, cx: &mut Context<'_>, read_ahead: usize) -> Poll<Result<Watched, DownError>> {
        if self.is_blind(read_ahead) {
            return if self.wire.has_failed() { Poll::Ready(Err(DownError::Gone)) } else { Poll::Pending };
        }
        let room = read_ahead - self.wire.input.len();
        match ready!(self.wire.poll_fill_some(cx, room)) {
            Ok(0) => {
                self.half_closed_seen = true;
                Poll::Ready(Ok(Watched::HalfClosed))
            }
            Ok(_) => Poll::Ready(Ok(Watched::Bytes)),
            Err(_) => Poll::Ready(Err(DownError::Gone)),
        }
    }

    pub(super) fn is_blind(&self, read_ahead: usize) -> bool {
        self.half_closed_seen || self.wire.input.len() >= read_ahead
    }

    pub(super) fn has_room(&self) -> bool {
        self.wire.has_room()
    }

    pub(super) fn is_drained(&self) -> bool {
        self.wire.is_drained() && (self.is_shut || !(self.is_tunnel && self.is_ended))
    }

    pub(super) fn poll_drain(&mut self, cx: &mut Context<'_>, progress: &mut bool) -> Poll<Result<(), DownError>> {
        ready!(self.wire.poll_drain(cx, progress)).map_err(|_| DownError::Gone)?;
        if self.is_tunnel && self.is_ended && !self.is_shut {
            ready!(self.wire.poll_shutdown(cx)).map_err(|_| DownError::Gone)?;
            self.is_shut = true;
            *progress = true;
        }
        Poll::Ready(Ok(()))
    }

    fn line(&mut self, name: &[u8], value: &[u8]) {
        let output = self.wire.output();
        output.extend_from_slice(name);
        output.extend_from_slice(b": ");
        output.extend_from_slice(value);
        output.extend_from_slice(b"\r\n");
    }

    fn status_line(&mut self, status: u16, phrase: &[u8]) {
        let output = self.wire.output();
        output.extend_from_slice(b"HTTP/1.1 ");
        output.extend_from_slice(itoa::Buffer::new().format(status).as_bytes());
        output.push(b' ');
        output.extend_from_slice(phrase);
        output.extend_from_slice(b"\r\n");
    }

    /// HTTP/1.0 clients do not know interim answers (RFC 9110 §15.2).
    pub(super) fn interim(&mut self, head: &UpstreamHead) {
        if self.version == Version::Http10 {
            return;
        }
        self.status_line(head.status, &head.phrase);
        for field in head.passed() {
            self.line(field.name, field.value);
        }
        self.wire.output().extend_from_slice(b"\r\n");
    }

    fn fields(&mut self, head: &UpstreamHead, options: HeadOptions<'_>) {
        let (mut has_date, mut has_server) = (false, false);
        self.status_line(head.status, &head.phrase);
        for field in head.passed() {
            has_date |= field.known == FieldName::Date;
            has_server |= field.known == FieldName::Server;
            self.line(field.name, field.value);
        }
        if !has_date {
            self.line(b"Date", (options.date)().as_bytes());
        }
        if !has_server {
            self.line(b"Server", SERVER.as_bytes());
        }
    }

    pub(super) fn head(&mut self, head: &UpstreamHead, options: HeadOptions<'_>) {
        self.fields(head, options);
        let mut is_close_delimited = false;
        self.encoder = match options.body {
            AnswerBody::Absent(length) => {
                if let Some(length) = length {
                    self.line(b"Content-Length", itoa::Buffer::new().format(length).as_bytes());
                }
                Encoder::Nothing
            }
            AnswerBody::Length(length) => {
                self.line(b"Content-Length", itoa::Buffer::new().format(length).as_bytes());
                Encoder::Length
            }
            AnswerBody::Stream if self.version == Version::Http10 => {
                is_close_delimited = true;
                Encoder::UntilClose
            }
            AnswerBody::Stream => {
                self.line(b"Transfer-Encoding", b"chunked");
                Encoder::Chunked
            }
        };
        let keep = options.keep && !is_close_delimited;
        if head.status == 426 {
            self.line(b"Connection", if keep { b"upgrade" } else { b"upgrade, close" });
        } else if !keep {
            self.line(b"Connection", b"close");
        } else if self.version == Version::Http10 {
            self.line(b"Connection", b"keep-alive");
        }
        self.wire.output().extend_from_slice(b"\r\n");
    }

    pub(super) fn tunnel(&mut self, head: &UpstreamHead, options: HeadOptions<'_>) {
        self.fields(head, options);
        self.line(b"Connection", b"upgrade");
        self.wire.output().extend_from_slice(b"\r\n");
        self.is_tunnel = true;
        self.decoder = Decoder::UntilClose;
        self.encoder = Encoder::UntilClose;
    }

    pub(super) fn data(&mut self, cx: &mut Context<'_>, data: Bytes) -> Result<(), DownError> {
        if self.encoder == Encoder::Nothing {
            return Ok(());
        }
        self.encoder.begin(self.wire.output(), data.len());
        self.wire.write(cx, data, self.encoder.end_data()).map_err(|_| DownError::Gone)
    }

    /// Trailers of HTTP/2 end here: HTTP/1 clients may not expect them (RFC 9110 §6.5.1).
    pub(super) fn end(&mut self, _trailers: Option<HeaderMap>) {
        self.wire.output().extend_from_slice(self.encoder.finish());
        self.is_ended = true;
    }

    pub(super) fn local(&mut self, answer: &LocalAnswer, keep: bool) {
        self.status_line(answer.status(), answer.phrase().as_bytes());
        for (name, value) in answer.fields() {
            self.line(name.as_str().as_bytes(), value.as_bytes());
        }
        if !keep {
            self.line(b"Connection", b"close");
        } else if self.version == Version::Http10 {
            self.line(b"Connection", b"keep-alive");
        }
        let output = self.wire.output();
        output.extend_from_slice(b"\r\n");
        output.extend_from_slice(answer.body());
        self.encoder = Encoder::Nothing;
        self.is_ended = true;
    }
}
