//! Answers that clients do not take. They are in memory until they have left, over HTTPS those of each stream by itself, so
//! that there is only so much of them: of a connection, of a client, and of all.

use crate::host::Host;
use crate::room::{Room, Taken};
use hyper::body::{Buf, Bytes};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;

/// Bytes that a client's kernel takes in the time that it has, or the client is let go. Windows open in larger steps.
pub(super) const PIECE: usize = 4 << 10;
/// Bytes that each connection has for itself, whatever others leave untaken: most answers are shorter.
const OWN: usize = 4 << 10;
/// Bytes that a message takes besides itself: its task or its stream.
const AROUND: usize = 1 << 10;
/// Bytes that may be untaken before another question is looked at.
const MUCH: usize = 64 << 10;
/// Bytes of a connection beyond which no more may be made: 2 KiB for each question that may wait for upstreams.
const MOST: usize = 512 << 10;

/// How much there is of one connection.
#[derive(Debug)]
pub(super) struct Untaken {
    /// Of all connections.
    room: Room,
    client: Host,
    bytes: AtomicUsize,
    /// Bytes that were taken so far.
    taken: AtomicUsize,
    left: Notify,
}

/// Bytes that count as long as this is there.
#[derive(Debug)]
pub(super) struct Counted {
    untaken: Arc<Untaken>,
    bytes: usize,
    /// `None`: they are of the connection's own.
    _room: Option<Taken>,
}

/// A message on its way, which counts until it has left.
#[derive(Debug)]
pub(super) struct Held {
    rest: Bytes,
    /// `None`: it is in memory anyway.
    counted: Option<Counted>,
}

impl Untaken {
    pub(super) fn new(room: Room, client: Host) -> Self {
        let (bytes, taken, left) = Default::default();
        Self { room, client, bytes, taken, left }
    }

    /// Waits until so much was taken that there may be another answer.
    pub(super) async fn room(&self) {
        loop {
            let mut left = pin!(self.left.notified());
            // From now on, so that nothing is missed in between.
            left.as_mut().enable();
            if self.bytes.load(Ordering::Relaxed) < MUCH {
                return;
            }
            left.await;
        }
    }

    /// Whether nothing is untaken, or a piece was taken since `mark`, which is where it has got to then.
    pub(super) fn is_taken(&self, mark: &mut usize) -> bool {
        let taken = self.taken.load(Ordering::Relaxed);
        let is_taken = !self.is_any() || taken.wrapping_sub(*mark) >= PIECE;
        if is_taken {
            *mark = taken;
        }
        is_taken
    }

    /// Whether something is.
    pub(super) fn is_any(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) > 0
    }

    /// Counts so many bytes more; `None`: that is too much, and they must not stay.
    pub(super) fn count(self: &Arc<Self>, bytes: usize) -> Option<Counted> {
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let mut counted = Counted { untaken: Arc::clone(self), bytes, _room: None };
        if before + bytes > OWN {
            let room = (before < MOST).then(|| self.room.take_many(self.client, bytes));
            counted._room = Some(room.flatten()?);
        }
        Some(counted)
    }

    /// A message that counts until it has left; `None`: there is too much already.
    pub(super) fn hold(self: &Arc<Self>, message: Vec<u8>) -> Option<Held> {
        let counted = Some(self.count(message.len() + AROUND)?);
        // No longer than it is counted: what upstreams say is read into more.
        Some(Held { rest: message.into_boxed_slice().into(), counted })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.untaken.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        self.untaken.left.notify_waiters();
    }
}

impl From<&'static str> for Held {
    fn from(text: &'static str) -> Self {
        Self { rest: Bytes::from_static(text.as_bytes()), counted: None }
    }
}

impl Buf for Held {
    fn remaining(&self) -> usize {
        self.rest.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.rest
    }

    fn advance(&mut self, count: usize) {
        self.rest.advance(count);
        if let Some(counted) = &self.counted {
            counted.untaken.taken.fetch_add(count, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::room::OfOne;
    use std::task::{Context, Waker};

    const ALL: usize = 4 << 20;

    fn connection(room: &Room, address: &str) -> Arc<Untaken> {
        Arc::new(Untaken::new(room.clone(), Host::of(address.parse().unwrap())))
    }

    #[test]
    fn there_is_room_again_once_answers_have_left() {
        let (untaken, mut context) =
            (connection(&Room::new(ALL, OfOne::Quarter, None), "192.0.2.1"), Context::from_waker(Waker::noop()));
        let first = untaken.hold(vec![0; MUCH - AROUND - 1]);
        assert!(pin!(untaken.room()).poll(&mut context).is_ready());
        let mut second = untaken.hold(vec![7; 2]).unwrap();
        let mut waits = pin!(untaken.room());
        assert!(waits.as_mut().poll(&mut context).is_pending());
        // A part of it is not it.
        second.advance(1);
        assert!(waits.as_mut().poll(&mut context).is_pending());
        assert_eq!(second.chunk(), [7]);
        drop(second);
        assert!(waits.poll(&mut context).is_ready());
        drop(first);
        assert!(!untaken.is_any());
    }

    #[test]
    fn a_connection_holds_so_much_and_one_more() {
        let untaken = connection(&Room::new(ALL, OfOne::Quarter, None), "192.0.2.1");
        let most = untaken.hold(vec![0; MOST - AROUND - 1]).unwrap();
        let last = untaken.hold(vec![0; 65_535]).unwrap();
        assert!(untaken.hold(vec![0]).is_none());
        drop(last);
        assert!(untaken.hold(vec![0]).is_some());
        drop(most);
        assert!(!untaken.is_any());
    }

    #[test]
    fn a_client_holds_its_share_over_all_its_connections_and_each_has_a_little_besides() {
        let room = Room::new(ALL, OfOne::Quarter, None);
        let of = |address| [(); 100].map(|()| connection(&room, address));
        let long = |untaken: &Arc<Untaken>| untaken.hold(vec![0; (64 << 10) - AROUND]);
        let greedy: Vec<_> = of("192.0.2.1").iter().filter_map(long).collect();
        assert_eq!(greedy.len(), ALL / 4 / (64 << 10));
        let little = connection(&room, "192.0.2.1");
        let _little = [(); 3].map(|()| little.hold(vec![0; OWN / 3 - AROUND]).unwrap());
        assert!(little.hold(vec![0]).is_none());
        // Nobody's neighbour, however many there are, has less than that.
        let _others = ["192.0.2.2", "192.0.2.3", "192.0.2.4"].map(|address| {
            let held: Vec<_> = of(address).iter().filter_map(long).collect();
            assert_eq!(held.len(), greedy.len());
            held
        });
        let last = connection(&room, "192.0.2.5");
        assert!(last.hold(vec![0; OWN - AROUND]).is_some() && long(&last).is_none());
        drop(greedy);
        assert!(long(&last).is_some());
    }

    #[test]
    fn who_takes_a_piece_takes_its_answers() {
        let untaken = connection(&Room::new(ALL, OfOne::Quarter, None), "192.0.2.1");
        let mut mark = 0;
        assert!(untaken.is_taken(&mut mark), "there is nothing to take");
        let mut held = untaken.hold(vec![0; 2 * PIECE]).unwrap();
        held.advance(PIECE - 1);
        assert!(!untaken.is_taken(&mut mark));
        held.advance(1);
        assert!(untaken.is_taken(&mut mark) && !untaken.is_taken(&mut mark));
        drop(held);
        assert!(untaken.is_taken(&mut mark));
    }
}
