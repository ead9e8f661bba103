//! Answers that a client does not take: HTTP/2 lets it hold up each by itself, and they are in memory until they have left.

use hyper::body::Bytes;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;

/// Bytes of answers that may be on their way before another question is looked at.
const MUCH: usize = 64 << 10;
/// Bytes beyond which what upstreams have been asked for is left unanswered: of all questions of a connection at once, 2 KiB
/// each.
const MOST: usize = 256 << 10;

/// How much there is of them.
#[derive(Debug, Default)]
pub(super) struct Untaken {
    bytes: AtomicUsize,
    taken: Notify,
}

/// One of them.
struct Held {
    message: Vec<u8>,
    untaken: Arc<Untaken>,
}

impl Untaken {
    /// Waits until so much was taken that there may be another answer.
    pub(super) async fn room(&self) {
        loop {
            let mut taken = pin!(self.taken.notified());
            // From now on, so that nothing is missed in between.
            taken.as_mut().enable();
            if self.bytes.load(Ordering::Relaxed) < MUCH {
                return;
            }
            taken.await;
        }
    }

    /// Whether there is so much that no more may be made, whoever waits for it.
    pub(super) fn is_too_much(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) >= MOST
    }

    /// A message that counts until it has left.
    pub(super) fn hold(self: &Arc<Self>, message: Vec<u8>) -> Bytes {
        self.bytes.fetch_add(message.len(), Ordering::Relaxed);
        Bytes::from_owner(Held { message, untaken: Arc::clone(self) })
    }
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.message
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.untaken.bytes.fetch_sub(self.message.len(), Ordering::Relaxed);
        self.untaken.taken.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::{Context, Waker};

    #[test]
    fn there_is_room_again_once_answers_have_left() {
        let (untaken, mut context) = (Arc::<Untaken>::default(), Context::from_waker(Waker::noop()));
        let first = untaken.hold(vec![0; MUCH - 1]);
        assert!(pin!(untaken.room()).poll(&mut context).is_ready());
        let second = untaken.hold(vec![7; 2]);
        let mut waits = pin!(untaken.room());
        assert!(waits.as_mut().poll(&mut context).is_pending());
        // A part of it is not it.
        let part = second.slice(1..);
        drop(second);
        assert!(waits.as_mut().poll(&mut context).is_pending());
        assert_eq!(*part, [7]);
        drop(part);
        assert!(waits.poll(&mut context).is_ready());
        let most = untaken.hold(vec![0; MOST - MUCH]);
        assert!(!untaken.is_too_much());
        let last = untaken.hold(vec![0]);
        assert!(untaken.is_too_much());
        drop((first, most, last));
        assert_eq!(untaken.bytes.load(Ordering::Relaxed), 0);
    }
}
