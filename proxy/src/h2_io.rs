//! The socket under an HTTP/2 connection of either side: first what was read from it before, and a note of each move.
//! The h2 crate tells none of it, and the connection's clocks need it.

use crate::h2_screen::screen;
use crate::h2_unread::UnreadUploads;
use crate::wire::{Io, Wire};
use bytes::BytesMut;
use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// Bytes that a connection reads before its streams get their turn: h2 itself reads on for as long as something comes,
/// and holds all of it.
const TURN: usize = 64 * 1024;

/// What a socket did lately.
#[derive(Debug)]
pub(crate) struct Moves {
    read_in_turn: Cell<usize>,
    last_read: Cell<Instant>,
    blocked_since: Cell<Option<Instant>>,
    acknowledged: Cell<bool>,
}

impl Moves {
    /// To be called before the connection is polled.
    pub(crate) fn begin_turn(&self) {
        self.read_in_turn.set(0);
    }

    /// When something was read last.
    pub(crate) fn last_read(&self) -> Instant {
        self.last_read.get()
    }

    /// Since when the peer takes nothing; `None`: all that could be sent has left.
    pub(crate) fn blocked_since(&self) -> Option<Instant> {
        self.blocked_since.get()
    }

    /// Whether the client has acknowledged our SETTINGS (RFC 9113 §6.5.3).
    pub(crate) fn is_acknowledged(&self) -> bool {
        self.acknowledged.get()
    }

    fn wrote<T>(&self, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match &polled {
            Poll::Ready(_) => self.blocked_since.set(None),
            Poll::Pending if self.blocked_since.get().is_none() => self.blocked_since.set(Some(Instant::now())),
            Poll::Pending => {}
        }
        polled
    }
}

/// A socket that notes its moves.
#[derive(Debug)]
pub(crate) struct H2Io {
    io: Io,
    prefix: BytesMut,
    moves: Rc<Moves>,
    client: Option<ClientFrames>,
}

impl H2Io {
    /// The socket of a client that is to begin, or has begun, with the preface.
    pub(crate) fn of_client(wire: Wire, unread: Rc<UnreadUploads>) -> Self {
        let (prefix, io) = wire.into_parts();
        Self::new(io, prefix, Some(ClientFrames { heads: FrameHeads::after(PREFACE.len()), unread }))
    }

    pub(crate) fn of_upstream(io: Io) -> Self {
        Self::new(io, BytesMut::new(), None)
    }

    fn new(io: Io, prefix: BytesMut, client: Option<ClientFrames>) -> Self {
        let (last_read, acknowledged) = (Cell::new(Instant::now()), Cell::new(client.is_none()));
        let (read_in_turn, blocked_since) = (Cell::new(0), Cell::new(None));
        let moves = Rc::new(Moves { read_in_turn, last_read, blocked_since, acknowledged });
        Self { io, prefix, moves, client }
    }

    pub(crate) fn moves(&self) -> Rc<Moves> {
        Rc::clone(&self.moves)
    }
}

impl AsyncRead for H2Io {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.moves.read_in_turn.get() >= TURN {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let polled = if self.prefix.is_empty() {
            Pin::new(&mut self.io).poll_read(cx, buf)
        } else {
            let len = self.prefix.len().min(buf.remaining());
            buf.put_slice(&self.prefix.split_to(len));
            Poll::Ready(Ok(()))
        };
        let read = buf.filled_mut().get_mut(before..).unwrap_or_default();
        if !read.is_empty() {
            self.moves.last_read.set(Instant::now());
            self.moves.read_in_turn.set(self.moves.read_in_turn.get() + read.len());
            let Self { client, moves, .. } = &mut *self;
            if let Some(client) = client {
                client.read(read, moves);
            }
        }
        polled
    }
}

impl AsyncWrite for H2Io {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write(cx, buf);
        self.moves.wrote(polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.moves.wrote(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.io).poll_flush(cx);
        self.moves.wrote(polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// What an HTTP/2 client begins with (RFC 9113 §3.4).
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What the frames of a client tell before h2 does, and what h2 must not see of them.
#[derive(Debug)]
struct ClientFrames {
    heads: FrameHeads,
    unread: Rc<UnreadUploads>,
}

impl ClientFrames {
    fn read(&mut self, bytes: &mut [u8], moves: &Moves) {
        self.heads.follow(bytes, |head, payload| match head.kind {
            SETTINGS if head.flags & ACK != 0 => moves.acknowledged.set(true),
            DATA => self.unread.arrived(head.payload),
            // Most come whole. Of one that does not, h2 has read the beginning by the time the end is here. One that goes
            // on in CONTINUATION is h2's as well: it ends the connection if the first frame alone is malformed.
            HEADERS if head.flags & END_HEADERS != 0 && payload.len() == head.payload => {
                if let Some(block) = header_block(head.flags, payload) {
                    screen(block);
                }
            }
            _ => {}
        });
    }
}

/// The header block of HEADERS; `None`: its padding is longer than the frame (RFC 9113 §6.2).
fn header_block(flags: u8, payload: &mut [u8]) -> Option<&mut [u8]> {
    let (begin, padding) = if flags & PADDED == 0 { (0, 0) } else { (1, usize::from(*payload.first()?)) };
    let begin = if flags & PRIORITY == 0 { begin } else { begin + 5 };
    let end = payload.len().checked_sub(padding)?;
    payload.get_mut(begin..end)
}

const HEAD: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 0x20;

/// The head of a frame (RFC 9113 §4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FrameHead {
    kind: u8,
    flags: u8,
    payload: usize,
}

/// Follows the heads of frames through a stream of bytes.
#[derive(Debug)]
struct FrameHeads {
    /// Bytes before the next head.
    skipped: usize,
    head: [u8; HEAD],
    /// Bytes of the head that are known.
    known: usize,
}

impl FrameHeads {
    fn after(skipped: usize) -> Self {
        Self { skipped, head: [0; HEAD], known: 0 }
    }

    /// Reads on, and tells of each head once it is complete, with what is there of its payload.
    fn follow(&mut self, mut bytes: &mut [u8], mut on_head: impl FnMut(FrameHead, &mut [u8])) {
        loop {
            let payload = self.skipped.min(bytes.len());
            self.skipped -= payload;
            bytes = bytes.get_mut(payload..).unwrap_or_default();
            let missing = self.head.get_mut(self.known..).unwrap_or_default();
            let found = missing.len().min(bytes.len());
            let (of_head, rest) = bytes.split_at_mut(found);
            missing.iter_mut().zip(of_head).for_each(|(to, from)| *to = *from);
            (self.known, bytes) = (self.known + found, rest);
            if self.known < HEAD {
                return;
            }
            let [high, middle, low, kind, flags, ..] = self.head;
            let payload = u32::from_be_bytes([0, high, middle, low]) as usize;
            let here = payload.min(bytes.len());
            on_head(FrameHead { kind, flags, payload }, bytes.get_mut(..here).unwrap_or_default());
            (self.skipped, self.known) = (payload, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let [_, high, middle, low] = (payload.len() as u32).to_be_bytes();
        [&[high, middle, low, kind, flags, 0, 0, 0, 1], payload].concat()
    }

    #[test]
    fn heads_are_found_however_the_bytes_are_cut() {
        // A payload that looks like a head is none.
        let decoy = frame(DATA, 0, &frame(SETTINGS, ACK, b""));
        let frames = [frame(SETTINGS, 0, &[0; 12]), decoy, frame(8, 1, &[0; 300]), frame(SETTINGS, ACK, b"")].concat();
        let mut bytes = [PREFACE, &frames].concat();
        for piece in 1..=bytes.len() {
            let mut heads = FrameHeads::after(PREFACE.len());
            let mut found = Vec::new();
            for piece in bytes.chunks_mut(piece) {
                heads.follow(piece, |head, _| found.push((head.kind, head.flags, head.payload)));
            }
            assert_eq!(found, [(SETTINGS, 0, 12), (DATA, 0, 9), (8, 1, 300), (SETTINGS, ACK, 0)], "{piece}");
        }
    }
}
