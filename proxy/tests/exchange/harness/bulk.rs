//! Large bodies, made and checked piece by piece: each byte depends on its place.

use super::{Client, PATIENCE};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// Length of the pattern: a prime, so that no buffer's size hides a shift.
const PERIOD: usize = 65_521;

/// Longer than any step of a transfer that goes on.
pub(crate) const STALLED: Duration = Duration::from_millis(300);

/// The next bytes of a body that is never held as a whole.
pub(crate) struct Bulk {
    pattern: Vec<u8>,
    at: usize,
}

impl Bulk {
    pub(crate) fn new() -> Self {
        let pattern = (0..PERIOD).map(|at| (at * at / 7 + at) as u8).collect();
        Self { pattern, at: 0 }
    }

    /// At most `len` bytes from here on.
    fn piece(&self, len: usize) -> &[u8] {
        &self.pattern[self.at..PERIOD.min(self.at + len)]
    }

    fn advance(&mut self, len: usize) {
        self.at = (self.at + len) % PERIOD;
    }

    /// Sends `len` bytes.
    pub(crate) async fn send(&mut self, writer: &mut (impl AsyncWrite + Unpin), len: u64) {
        let mut left = len;
        while left > 0 {
            let piece = self.piece(usize::try_from(left).unwrap_or(usize::MAX));
            let sent = piece.len();
            timeout(PATIENCE, writer.write_all(piece)).await.expect("nobody reads").expect("send");
            self.advance(sent);
            left -= sent as u64;
        }
    }

    /// Sends until the peer takes no more; gives the number of bytes sent.
    pub(crate) async fn send_until_refused(&mut self, writer: &mut (impl AsyncWrite + Unpin)) -> u64 {
        let mut sent = 0;
        while let Ok(written) = writer.write(self.piece(PERIOD)).await {
            self.advance(written);
            sent += written as u64;
        }
        sent
    }

    /// Sends until the peer takes no more for a while, at most `len` bytes; gives the number of bytes sent.
    pub(crate) async fn send_until_stalled(&mut self, writer: &mut (impl AsyncWrite + Unpin), len: u64) -> u64 {
        let mut sent = 0;
        while sent < len {
            let piece = self.piece(usize::try_from(len - sent).unwrap_or(usize::MAX));
            let Ok(written) = timeout(STALLED, writer.write(piece)).await else { break };
            let written = written.expect("send");
            self.advance(written);
            sent += written as u64;
        }
        sent
    }

    /// Checks that these are the next bytes.
    pub(crate) fn check(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let piece = self.piece(bytes.len());
            assert!(bytes.starts_with(piece), "wrong bytes near {} of the pattern", self.at);
            bytes = &bytes[piece.len()..];
            self.at = (self.at + piece.len()) % PERIOD;
        }
    }

    /// Reads and checks `len` bytes.
    pub(crate) async fn expect(&mut self, reader: &mut (impl AsyncRead + Unpin), len: u64) {
        let mut buffer = vec![0; PERIOD];
        let mut left = len;
        while left > 0 {
            let room = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let read = timeout(PATIENCE, reader.read(&mut buffer[..room])).await.expect("nothing comes").expect("read");
            assert!(read > 0, "closed {left} bytes early");
            self.check(&buffer[..read]);
            left -= read as u64;
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// Sends a body of `len` bytes.
    pub(crate) async fn send_bulk(&mut self, len: u64) {
        Bulk::new().send(&mut self.socket, len).await;
    }

    /// Reads such a body.
    pub(crate) async fn expect_bulk(&mut self, len: u64) {
        let mut bulk = Bulk::new();
        let seen = usize::try_from(len).unwrap_or(usize::MAX).min(self.buffered());
        bulk.check(&self.exact_bytes(seen).await);
        bulk.expect(&mut self.socket, len - seen as u64).await;
    }
}
