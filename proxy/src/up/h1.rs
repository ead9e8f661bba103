//! An HTTP/1 upstream.

use super::{Download, UpError};
use crate::fields::{FieldName, Fields};
use crate::h1::{Decoded, Decoder, Encoder, HeadLimits, HeadParser, StatusLine};
use crate::limits::Limits;
use crate::record::{Version, WireBytes};
use crate::request::{ConnectionOptions, Framing, Method};
use crate::response::UpstreamHead;
use crate::wire::Wire;
use bytes::Bytes;
use http::HeaderMap;
use std::io;
use std::ops::Range;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// A connection to an HTTP/1 upstream during one attempt.
#[derive(Debug)]
pub(crate) struct UpH1 {
    wire: Wire,
    parser: HeadParser,
    /// Set by the final head.
    decoder: Option<Decoder>,
    encoder: Encoder,
    /// Whether the request asked for WebSocket, which alone makes a 101 an answer.
    asked_upgrade: bool,
    is_tunnel: bool,
    before: WireBytes,
    received_before: u64,
    upload_ended: bool,
    is_shut: bool,
    /// Whether another request may follow, as far as the answer says.
    keep: bool,
    keep_for: Option<Duration>,
    write_failed: bool,
    /// A reset is told once: after a write that met it, a read finds what looks like an end.
    write_met_reset: bool,
    /// The `Sec-WebSocket-Accept` that fits a key of ours.
    accept: Option<String>,
}

impl UpH1 {
    /// Takes a connection on which nothing is under way. The request's head goes to [`UpH1::head_output`].
    pub(crate) fn new(wire: Wire, limits: &Limits, encoder: Encoder, asked_upgrade: bool) -> Self {
        let limits = HeadLimits { line: limits.request_line, head: limits.head, fields: limits.fields };
        Self {
            before: wire.passed(),
            received_before: wire.received(),
            wire,
            parser: HeadParser::for_responses(limits),
            decoder: None,
            encoder,
            asked_upgrade,
            is_tunnel: false,
            upload_ended: false,
            is_shut: false,
            keep: false,
            keep_for: None,
            write_failed: false,
            write_met_reset: false,
            accept: None,
        }
    }

    /// Asks for proof that the upstream read a WebSocket key of ours.
    pub(crate) fn expect_accept(&mut self, accept: Option<String>) {
        self.accept = accept;
    }

    pub(crate) fn head_output(&mut self) -> &mut Vec<u8> {
        self.wire.output()
    }

    /// The bytes of this attempt.
    pub(super) fn passed(&self) -> WireBytes {
        self.wire.passed().since(self.before)
    }

    fn has_answered(&self) -> bool {
        self.wire.received() > self.received_before
    }

    pub(super) fn is_done(&self) -> bool {
        self.decoder.as_ref().is_some_and(Decoder::is_done)
    }

    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, method: Method) -> Poll<Result<Download, UpError>> {
        loop {
            let found = match &mut self.decoder {
                None => match self.parser.advance(&mut self.wire.input) {
                    Ok(Some((line, fields))) => return Poll::Ready(self.head(&line, fields, method)),
                    Ok(None) => Decoded::Starved,
                    Err(_) => return Poll::Ready(Err(UpError::Protocol)),
                },
                Some(decoder) => match decoder.decode(&mut self.wire.input) {
                    Ok(found) => found,
                    Err(_) => return Poll::Ready(Err(UpError::Cut)),
                },
            };
            match found {
                Decoded::Data(data) => return Poll::Ready(Ok(Download::Data(data))),
                Decoded::End => return Poll::Ready(Ok(Download::End(None))),
                Decoded::Starved => match ready!(self.wire.poll_fill(cx)) {
                    Ok(0) => return Poll::Ready(self.closed()),
                    Ok(_) => {}
                    Err(_) => return Poll::Ready(Err(self.failed())),
                },
            }
        }
    }

    fn failed(&self) -> UpError {
        if self.has_answered() { UpError::Cut } else { UpError::Silent }
    }

    fn closed(&mut self) -> Result<Download, UpError> {
        match &mut self.decoder {
            Some(decoder) if decoder.may_end_at_close() && !self.write_met_reset => {
                *decoder = Decoder::EMPTY;
                Ok(Download::End(None))
            }
            _ => Err(self.failed()),
        }
    }

    fn head(&mut self, line: &Range<usize>, fields: Fields, method: Method) -> Result<Download, UpError> {
        let line = StatusLine::parse(&fields, line).map_err(|_| UpError::Protocol)?;
        let framing = Framing::parse(&fields, line.version).map_err(|_| UpError::Protocol)?;
        // Nominations that no sane upstream makes are not followed, and the connection is not trusted further.
        let options = ConnectionOptions::parse(&fields).unwrap_or_else(|_| ConnectionOptions::closing());
        let phrase = fields.shared(fields.text(&line.reason));
        let (version, status) = (line.version, line.status);
        let head = UpstreamHead { version, status, phrase, fields, options, framing, ends_here: false };
        match head.status {
            101 => self.upgrade(head),
            100..=199 => Ok(Download::Interim(head)),
            _ => {
                self.begin_body(&head, method);
                Ok(Download::Final(head))
            }
        }
    }

    fn upgrade(&mut self, head: UpstreamHead) -> Result<Download, UpError> {
        let is_websocket = head.fields.all(FieldName::Upgrade).any(|value| value.eq_ignore_ascii_case(b"websocket"));
        let proof = head.fields.first(FieldName::SecWebSocketAccept);
        let is_proven = self.accept.as_ref().is_none_or(|accept| proof == Some(accept.as_bytes()));
        if !self.asked_upgrade || !is_websocket || !is_proven {
            return Err(UpError::Protocol);
        }
        self.is_tunnel = true;
        // The upload that ended was the request's; the tunnel's begins.
        self.upload_ended = false;
        self.decoder = Some(Decoder::UntilClose);
        self.encoder = Encoder::UntilClose;
        Ok(Download::Upgraded(head))
    }

    fn begin_body(&mut self, head: &UpstreamHead, method: Method) {
        let decoder = match head.framing {
            _ if head.is_bodiless(method) => Decoder::EMPTY,
            Framing::Length(length) => Decoder::Length(length),
            Framing::Chunked => Decoder::chunked(),
            Framing::Absent => Decoder::UntilClose,
        };
        let wants_keep = match head.version {
            Version::Http10 => head.options.keep_alive && !head.options.close,
            Version::Http11 | Version::Http2 => !head.options.close,
        };
        // A 205 has no body; what follows one that has cannot be told from the next answer.
        self.keep = wants_keep && decoder != Decoder::UntilClose && head.status != 205;
        self.keep_for = head.fields.first(FieldName::KeepAlive).and_then(keep_alive_timeout);
        self.decoder = Some(decoder);
    }

    pub(super) fn has_room(&self) -> bool {
        self.wire.has_room()
    }

    pub(super) fn release_input(&mut self) {
        self.wire.release_input();
    }

    pub(super) fn is_drained(&self) -> bool {
        self.write_failed || (self.wire.is_drained() && (self.is_shut || !(self.is_tunnel && self.upload_ended)))
    }

    pub(super) fn poll_drain(&mut self, cx: &mut Context<'_>, progress: &mut bool) -> Poll<Result<(), UpError>> {
        if self.write_failed {
            return Poll::Ready(Ok(()));
        }
        if let Err(error) = ready!(self.wire.poll_drain(cx, progress)) {
            return Poll::Ready(Err(self.write_failed(&error)));
        }
        if self.is_tunnel && self.upload_ended && !self.is_shut {
            // A tunnel's half-close that fails is a tunnel that is gone, which the next read tells.
            self.is_shut = ready!(self.wire.poll_shutdown(cx)).is_ok();
            self.write_failed = !self.is_shut;
            *progress = true;
        }
        Poll::Ready(Ok(()))
    }

    pub(super) fn data(&mut self, cx: &mut Context<'_>, data: Bytes) -> Result<(), UpError> {
        self.encoder.begin(self.wire.output(), data.len());
        self.wire.write(cx, data, self.encoder.end_data()).map_err(|error| self.write_failed(&error))
    }

    fn write_failed(&mut self, error: &io::Error) -> UpError {
        self.write_failed = true;
        // A peer that ended its side before the reset makes a broken pipe of it (Linux, tcp_reset): its answer may be whole.
        self.write_met_reset |= error.kind() != io::ErrorKind::BrokenPipe;
        self.failed()
    }

    /// HTTP/1 has no place for trailers that a backend must understand (RFC 9110 §6.5.1).
    pub(super) fn end(&mut self, _trailers: Option<HeaderMap>) {
        self.wire.output().extend_from_slice(self.encoder.finish());
        self.upload_ended = true;
    }

    pub(super) fn give_up_upload(&mut self) {
        self.write_failed = true;
    }

    /// The connection, if another request may follow on it, and for how long it may wait for one.
    pub(crate) fn into_idle(self) -> Option<(Wire, Option<Duration>)> {
        let is_clean = self.is_done()
            && self.upload_ended
            && !self.write_failed
            && !self.is_tunnel
            && self.keep
            && self.wire.is_drained()
            && self.wire.input.is_empty()
            && !self.wire.is_eof();
        is_clean.then_some((self.wire, self.keep_for))
    }

    /// Closes so that a peer in the middle of a message sees the cut.
    pub(crate) fn reset(self) {
        self.wire.reset();
    }
}

/// The `timeout` of a Keep-Alive field less a second, so that we close first.
fn keep_alive_timeout(value: &[u8]) -> Option<Duration> {
    let mut parts = value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
    let seconds = parts.find_map(|part| part.strip_prefix(b"timeout="))?;
    let seconds: u64 = std::str::from_utf8(seconds).ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds.saturating_sub(1)))
}
