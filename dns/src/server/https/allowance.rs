//! What a client may send besides questions. Frames of HTTP/2 that ask nothing, and questions that are taken back, take
//! time too, and no other bound sees them; so that what comes without questions has an end.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What may come in all without a question: as much as all questions that may be asked at once, and as much again. Bytes.
const MOST: i64 = 1 << 20;
/// What comes for one question, with its head and its frames, if both are long. Bytes.
const QUESTION: i64 = 8 << 10;
/// What a question costs that is taken back (CVE-2023-44487), as if so many bytes had come.
const TAKEN_BACK: i64 = 12 << 10;

/// Bytes that may still come over one connection.
#[derive(Debug)]
pub(super) struct Allowance(AtomicI64);

impl Allowance {
    pub(super) fn new() -> Self {
        Self(AtomicI64::new(MOST))
    }

    /// A question came.
    pub(super) fn asked(&self) {
        self.add(QUESTION);
    }

    /// A question is no longer to be answered.
    pub(super) fn taken_back(&self) {
        self.add(-TAKEN_BACK);
    }

    /// Whether all is used up.
    pub(super) fn is_spent(&self) -> bool {
        self.0.load(Ordering::Relaxed) < 0
    }

    fn add(&self, bytes: i64) {
        let add = |left: i64| Some(left.saturating_add(bytes).min(MOST));
        // Never refused.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }
}

/// A connection of which no more is read than is allowed.
pub(super) struct Metered<S> {
    pub(super) stream: S,
    pub(super) allowance: Arc<Allowance>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let came = buf.filled().len().saturating_sub(before);
        self.allowance.add(-i64::try_from(came).unwrap_or(i64::MAX));
        if self.allowance.is_spent() {
            return Poll::Ready(Err(io::Error::other("too much came besides questions")));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    #[tokio::test]
    async fn so_much_is_read_without_a_question_and_more_with_each() {
        let (mut client, stream) = duplex(8 << 20);
        let allowance = Arc::new(Allowance::new());
        let mut metered = Metered { stream, allowance: Arc::clone(&allowance) };
        client.write_all(&vec![0; 4 << 20]).await.unwrap();
        let mut read = async |bytes: i64| metered.read_exact(&mut vec![0; bytes as usize]).await;
        // What is not used is not kept for ever.
        allowance.asked();
        read(MOST).await.unwrap();
        allowance.asked();
        read(QUESTION).await.unwrap();
        assert!(!allowance.is_spent());
        assert!(read(1).await.is_err() && allowance.is_spent());
    }

    #[test]
    fn questions_that_are_answered_make_up_for_half_as_many_that_are_taken_back() {
        let allowance = Allowance::new();
        let take_back = |of: usize| {
            for number in 0..10_000 {
                allowance.asked();
                if number % of == 0 {
                    allowance.taken_back();
                }
            }
            allowance.is_spent()
        };
        assert!(!take_back(2));
        assert!(take_back(1));
    }
}
