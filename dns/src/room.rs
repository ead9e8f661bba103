//! Room for what waits for others, of all clients and all blocks together or of one `forward`, and for answers that wait to
//! be taken: tasks, sockets and memory are bounded by it, and no client can have all of it.

use crate::host::Host;
use crate::shares::{Share, Shares};
use prometheus::IntGauge;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// For so many at once, of each client no more than a quarter of them.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    permits: Arc<Semaphore>,
    shares: Shares<Host>,
    /// How many there are; `None`: that is not told.
    waiting: Option<IntGauge>,
}

/// What one of them takes, or several together; free again where this is dropped.
#[derive(Debug)]
pub(crate) struct Taken {
    waiting: Option<IntGauge>,
    _share: Share<Host>,
    permit: OwnedSemaphorePermit,
}

/// Where work goes on behind a question.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Behind<'r> {
    pub(crate) runtime: &'r Handle,
    pub(crate) room: &'r Room,
}

impl Room {
    pub(crate) fn new(most: usize, waiting: Option<IntGauge>) -> Self {
        let most = most.min(Semaphore::MAX_PERMITS);
        Self { permits: Arc::new(Semaphore::new(most)), shares: Shares::new(most.div_ceil(4)), waiting }
    }

    /// A place for a question of `host`; `None`: there is none left, or the client has its share. O(1), under a lock.
    pub(crate) fn take(&self, host: Host) -> Option<Taken> {
        self.take_many(host, 1)
    }

    /// So many places together.
    pub(crate) fn take_many(&self, host: Host, count: u32) -> Option<Taken> {
        let share = self.shares.take(host, usize::try_from(count).ok()?)?;
        let permit = Arc::clone(&self.permits).try_acquire_many_owned(count).ok()?;
        self.waiting.iter().for_each(|waiting| waiting.add(count.into()));
        Some(Taken { waiting: self.waiting.clone(), _share: share, permit })
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let count = i64::try_from(self.permit.num_permits()).unwrap_or(i64::MAX);
        self.waiting.iter().for_each(|waiting| waiting.sub(count));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(address: &str) -> Host {
        Host::of(address.parse().unwrap())
    }

    #[test]
    fn a_client_has_a_quarter_and_who_has_none_is_forgotten() {
        let waiting = IntGauge::new("waiting", "how many wait").unwrap();
        let room = Room::new(8, Some(waiting.clone()));
        let held = ["192.0.2.1", "::ffff:192.0.2.1"].map(|address| room.take(host(address)).unwrap());
        assert!(room.take(host("192.0.2.1")).is_none());
        let _others = ["2001:db8::1", "2001:db8::2"].map(|address| room.take(host(address)).unwrap());
        assert!(room.take(host("2001:db8::ffff:3")).is_none(), "it is the same network");
        let _on_the_link = ["fe80::1", "fe80::2", "fe80::3"].map(|address| room.take(host(address)).unwrap());
        let last = room.take(host("fe80::4")).unwrap();
        assert_eq!(waiting.get(), 8);
        for address in ["192.0.2.2", "192.0.2.1"] {
            assert!(room.take(host(address)).is_none(), "all is taken");
        }
        assert_eq!(room.shares.clients(), 6, "who was refused is not known");
        drop((held, last));
        assert_eq!((waiting.get(), room.shares.clients()), (5, 4));
        assert!(room.take(host("192.0.2.1")).is_some());
        assert_eq!(room.shares.clients(), 4);
    }

    #[test]
    fn several_places_are_had_together_or_not_at_all() {
        let waiting = IntGauge::new("waiting", "how many wait").unwrap();
        let room = Room::new(16, Some(waiting.clone()));
        let held = room.take_many(host("192.0.2.1"), 3).unwrap();
        assert!(room.take_many(host("192.0.2.1"), 2).is_none());
        let last = room.take(host("192.0.2.1")).unwrap();
        assert_eq!(waiting.get(), 4);
        drop(held);
        assert_eq!(waiting.get(), 1);
        assert!(room.take_many(host("192.0.2.1"), 3).is_some());
        drop(last);
        let _all = [2, 3, 4, 5].map(|end| room.take_many(host(&format!("192.0.2.{end}")), 4).unwrap());
        assert!(room.take(host("192.0.2.1")).is_none());
        assert_eq!(room.shares.clients(), 4);
    }

    #[test]
    fn a_quarter_of_little_is_one() {
        for (most, of_one) in [(0, 0), (1, 1), (4, 1), (5, 2), (1_000, 250)] {
            let room = Room::new(most, None);
            let held: Vec<_> = (0..=of_one).map_while(|_| room.take(host("192.0.2.1"))).collect();
            assert_eq!(held.len(), of_one, "{most}");
        }
    }
}
