//! One connection's bytes: what was read and not used yet, and what is written and not sent yet.
//! Writes never wait; both buffers are bounded by their callers through [`Wire::has_room`] and [`Wire::poll_fill`].

use crate::limits::Limits;
use crate::record::WireBytes;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;

/// A socket, clear or encrypted.
#[derive(Debug)]
pub(crate) enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Io {
    pub(crate) fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }

    fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }
}

macro_rules! on_socket {
    ($io:expr, $socket:ident => $call:expr) => {
        match $io {
            Io::Plain($socket) => {
                let $socket = Pin::new($socket);
                $call
            }
            Io::Tls(stream) => {
                let $socket = Pin::new(&mut **stream);
                $call
            }
        }
    };
}

impl AsyncRead for Io {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        on_socket!(&mut *self, socket => socket.poll_read(cx, buf))
    }
}

impl AsyncWrite for Io {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        on_socket!(&mut *self, socket => socket.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        on_socket!(&mut *self, socket => socket.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        !self.is_tls()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_socket!(&mut *self, socket => socket.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_socket!(&mut *self, socket => socket.poll_shutdown(cx))
    }
}

/// Bytes that are asked for at first; doubled while reads fill it.
const FIRST_READ: usize = 8 * 1024;
/// Data up to this size is copied behind what is buffered, so that a head and a small body leave in one segment.
const COPIED: usize = 16 * 1024;

/// A connection with its two buffers.
#[derive(Debug)]
pub(crate) struct Wire {
    io: Io,
    /// Bytes read and not used yet.
    pub(crate) input: BytesMut,
    output: Vec<u8>,
    sent_of_output: usize,
    read_size: usize,
    read_limit: usize,
    output_limit: usize,
    is_eof: bool,
    must_flush: bool,
    /// Whether [`Wire::write`] sent something that no [`Wire::poll_drain`] has told of.
    has_sent: bool,
    received: u64,
    sent: u64,
}

impl Wire {
    pub(crate) fn new(io: Io, limits: &Limits) -> Self {
        Self {
            io,
            input: BytesMut::new(),
            output: Vec::new(),
            sent_of_output: 0,
            read_size: FIRST_READ.min(limits.read),
            read_limit: limits.read,
            // A piece as long as a read may still follow where there is room.
            output_limit: limits.output.div_ceil(2),
            is_eof: false,
            must_flush: false,
            has_sent: false,
            received: 0,
            sent: 0,
        }
    }

    pub(crate) fn io(&self) -> &Io {
        &self.io
    }

    /// Whether the peer has ended its half.
    pub(crate) fn is_eof(&self) -> bool {
        self.is_eof
    }

    /// Bytes read since the connection began.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// Bytes of messages so far: read and used, written and sent; before encryption.
    pub(crate) fn passed(&self) -> WireBytes {
        WireBytes { received: self.received - self.input.len() as u64, sent: self.sent }
    }

    /// Reads once into `input`; 0 means that the peer ended its half.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.poll_fill_some(cx, self.read_limit)
    }

    /// The same, of at most `limit` bytes, which is not 0.
    pub(crate) fn poll_fill_some(&mut self, cx: &mut Context<'_>, limit: usize) -> Poll<io::Result<usize>> {
        if self.is_eof {
            return Poll::Ready(Ok(0));
        }
        // A buffer is used up before the next is taken: small pieces would each hold one of their own.
        if self.input.capacity() - self.input.len() < (self.read_size / 4).max(1) {
            if let Io::Plain(socket) = &self.io {
                // No buffer before there is something for it.
                ready!(socket.poll_read_ready(cx))?;
            }
            self.input.reserve(self.read_size);
        }
        let room = (self.input.capacity() - self.input.len()).min(self.read_limit).min(limit);
        let Poll::Ready(read) = pin!(self.io.read_buf(&mut (&mut self.input).limit(room))).poll(cx)? else {
            self.release_input();
            return Poll::Pending;
        };
        self.is_eof = read == 0;
        self.received += read as u64;
        if read == room && room >= self.read_size {
            self.read_size = (2 * self.read_size).min(self.read_limit);
        }
        Poll::Ready(Ok(read))
    }

    /// Whether the peer has reset the connection; a system call.
    pub(crate) fn has_failed(&self) -> bool {
        !matches!(self.io.socket().take_error(), Ok(None))
    }

    /// Gives a large buffer back that nothing is in.
    pub(crate) fn release_input(&mut self) {
        if self.input.is_empty() && self.input.capacity() > FIRST_READ {
            self.input = BytesMut::new();
        }
    }

    /// Gives memory back while nothing is expected soon.
    pub(crate) fn rest(&mut self) {
        if self.input.is_empty() {
            self.input = BytesMut::new();
            self.read_size = FIRST_READ.min(self.read_limit);
        }
        if self.is_drained() {
            self.output = Vec::new();
        }
    }

    /// The same, where it is worth the allocation that the next read then makes.
    pub(crate) fn rest_if_large(&mut self) {
        if self.input.capacity() + self.output.capacity() > 2 * FIRST_READ {
            self.rest();
        }
    }

    /// The output buffer, for heads and other small texts.
    pub(crate) fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// Whether more may be written.
    pub(crate) fn has_room(&self) -> bool {
        self.buffered() < self.output_limit
    }

    /// Whether all that was written has left.
    pub(crate) fn is_drained(&self) -> bool {
        self.buffered() == 0 && !self.must_flush
    }

    fn buffered(&self) -> usize {
        self.output.len() - self.sent_of_output
    }

    /// Writes a piece of a body with what frames it. Large pieces go to the socket without a copy.
    pub(crate) fn write(&mut self, cx: &mut Context<'_>, mut data: Bytes, tail: &[u8]) -> io::Result<()> {
        if self.buffered() + data.len() > COPIED {
            let is_tls = self.io.is_tls();
            // TLS takes one slice at a time: what is buffered must go first.
            while !data.is_empty() && (!is_tls || self.buffered() == 0) {
                let unsent = self.output.get(self.sent_of_output..).unwrap_or_default();
                let attempt = if unsent.is_empty() {
                    Pin::new(&mut self.io).poll_write(cx, &data)
                } else {
                    Pin::new(&mut self.io).poll_write_vectored(cx, &[IoSlice::new(unsent), IoSlice::new(&data)])
                };
                let Poll::Ready(written) = attempt? else { break };
                if written == 0 {
                    return Err(io::ErrorKind::WriteZero.into());
                }
                self.must_flush |= is_tls;
                self.has_sent = true;
                self.sent += written as u64;
                let of_output = written.min(unsent.len());
                self.consumed(of_output);
                data.advance(written - of_output);
            }
        }
        if self.output.capacity() - self.output.len() < data.len() + tail.len() {
            self.forget_sent();
        }
        self.output.extend_from_slice(&data);
        self.output.extend_from_slice(tail);
        Ok(())
    }

    fn consumed(&mut self, len: usize) {
        self.sent_of_output += len;
        if self.sent_of_output >= self.output.len() {
            self.output.clear();
            self.sent_of_output = 0;
            if self.output.capacity() > 2 * COPIED {
                self.output = Vec::new();
            }
        }
    }

    /// Moves what is not sent to the front: a peer that is always a little behind must not make the buffer as long as
    /// the body.
    fn forget_sent(&mut self) {
        self.output.drain(..self.sent_of_output);
        self.sent_of_output = 0;
    }

    /// Sends what is buffered; ready when all of it has left. `progress` is set when anything left since the last call.
    pub(crate) fn poll_drain(&mut self, cx: &mut Context<'_>, progress: &mut bool) -> Poll<io::Result<()>> {
        *progress |= std::mem::take(&mut self.has_sent);
        while self.buffered() > 0 {
            let unsent = self.output.get(self.sent_of_output..).unwrap_or_default();
            let written = ready!(Pin::new(&mut self.io).poll_write(cx, unsent))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            *progress = true;
            self.sent += written as u64;
            self.must_flush = self.io.is_tls();
            self.consumed(written);
        }
        if self.must_flush {
            ready!(Pin::new(&mut self.io).poll_flush(cx))?;
            self.must_flush = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Ends our half: close_notify where there is TLS, then FIN.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    /// Closes so that the peer cannot take what it has for the whole: by RST on a clear connection; on TLS the missing
    /// close_notify says it (RFC 8446 §6.1).
    pub(crate) fn reset(self) {
        if let Io::Plain(socket) = &self.io {
            // Where the option is refused the socket is dead already.
            let _ = socket.set_zero_linger();
        }
    }

    /// Bytes that were read, then the socket: what a protocol that does its own buffering reads from.
    pub(crate) fn into_parts(self) -> (BytesMut, Io) {
        (self.input, self.io)
    }
}

#[cfg(test)]
mod tests;
