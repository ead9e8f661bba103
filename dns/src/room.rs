//! Room for what waits for others, of all clients and all blocks together or of one `forward`, and for answers that wait to
//! be taken: tasks, sockets and memory are bounded by it, and no client can have all of it that others need.

use crate::host::Host;
use prometheus::IntGauge;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::runtime::Handle;

/// For so many at once.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    most: usize,
    of_one: OfOne,
    held: Arc<Mutex<Held>>,
    /// How many there are; `None`: that is not told.
    waiting: Option<IntGauge>,
}

/// What one client may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OfOne {
    /// A quarter of all, rounded up, be the rest free: what is taken is not soon given back.
    Quarter,
    /// More than that as long as an eighth of all, rounded down, stays free, which is for those with less: one client may
    /// be all that there is, such as a resolver of many.
    AllButAnEighth,
}

/// How many are taken, and by whom; nobody is known who has none.
#[derive(Debug, Default)]
struct Held {
    all: usize,
    of: HashMap<Host, usize>,
}

/// What one of them takes, or several together; free again where this is dropped.
#[derive(Debug)]
pub(crate) struct Taken {
    held: Arc<Mutex<Held>>,
    waiting: Option<IntGauge>,
    host: Host,
    count: usize,
}

/// Where work goes on behind a question.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Behind<'r> {
    pub(crate) runtime: &'r Handle,
    pub(crate) room: &'r Room,
}

impl Room {
    pub(crate) fn new(most: usize, of_one: OfOne, waiting: Option<IntGauge>) -> Self {
        Self { most, of_one, held: Arc::default(), waiting }
    }

    /// A place for a question of `host`; `None`: there is none left, or none for this client. O(1), under a lock.
    pub(crate) fn take(&self, host: Host) -> Option<Taken> {
        self.take_many(host, 1)
    }

    /// So many places together.
    pub(crate) fn take_many(&self, host: Host, count: usize) -> Option<Taken> {
        let mut held = lock(&self.held);
        let free = self.most.checked_sub(held.all)?.checked_sub(count)?;
        let own = held.of.get(&host).copied().unwrap_or_default().saturating_add(count);
        if own > self.most.div_ceil(4) && (self.of_one == OfOne::Quarter || free < self.most / 8) {
            return None;
        }
        held.all += count;
        held.of.insert(host, own);
        drop(held);
        self.waiting.iter().for_each(|waiting| waiting.add(as_gauged(count)));
        Some(Taken { held: Arc::clone(&self.held), waiting: self.waiting.clone(), host, count })
    }

    /// How many clients have something.
    #[cfg(test)]
    fn clients(&self) -> usize {
        lock(&self.held).of.len()
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut held = lock(&self.held);
        held.all = held.all.saturating_sub(self.count);
        if let Some(own) = held.of.get_mut(&self.host) {
            *own = own.saturating_sub(self.count);
            if *own == 0 {
                held.of.remove(&self.host);
            }
        }
        drop(held);
        self.waiting.iter().for_each(|waiting| waiting.sub(as_gauged(self.count)));
    }
}

fn as_gauged(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn lock(held: &Mutex<Held>) -> MutexGuard<'_, Held> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(address: &str) -> Host {
        Host::of(address.parse().unwrap())
    }

    fn as_much_as_there_is(room: &Room, address: &str) -> Vec<Taken> {
        std::iter::from_fn(|| room.take(host(address))).take(10_000).collect()
    }

    #[test]
    fn a_client_has_a_quarter_and_who_has_none_is_forgotten() {
        let waiting = IntGauge::new("waiting", "how many wait").unwrap();
        let room = Room::new(8, OfOne::Quarter, Some(waiting.clone()));
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
        assert_eq!(room.clients(), 6, "who was refused is not known");
        drop((held, last));
        assert_eq!((waiting.get(), room.clients()), (5, 4));
        assert!(room.take(host("192.0.2.1")).is_some());
        assert_eq!(room.clients(), 4);
    }

    #[test]
    fn several_places_are_had_together_or_not_at_all() {
        let waiting = IntGauge::new("waiting", "how many wait").unwrap();
        let room = Room::new(16, OfOne::Quarter, Some(waiting.clone()));
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
        assert_eq!(room.clients(), 4);
        let room = Room::new(16, OfOne::AllButAnEighth, None);
        let _most = room.take_many(host("192.0.2.1"), 12).unwrap();
        assert!(room.take_many(host("192.0.2.1"), 3).is_none(), "one would stay free, of which two do");
        assert!(room.take_many(host("192.0.2.2"), 5).is_none() && room.take_many(host("192.0.2.1"), 2).is_some());
        assert!(room.take_many(host("192.0.2.2"), 4).is_some());
    }

    #[test]
    fn a_quarter_of_little_is_one() {
        for (most, of_one) in [(0, 0), (1, 1), (4, 1), (5, 2), (1_000, 250)] {
            let room = Room::new(most, OfOne::Quarter, None);
            assert_eq!(as_much_as_there_is(&room, "192.0.2.1").len(), of_one, "{most}");
        }
    }

    #[test]
    fn one_client_alone_has_all_but_an_eighth() {
        for (most, of_one) in [(0, 0), (1, 1), (2, 2), (7, 7), (8, 7), (9, 8), (16, 14), (1_000, 875)] {
            let room = Room::new(most, OfOne::AllButAnEighth, None);
            let held = as_much_as_there_is(&room, "192.0.2.1");
            assert_eq!(held.len(), of_one, "{most}");
            // What stays free is for others, each of whom has a quarter of all at most.
            assert_eq!(as_much_as_there_is(&room, "192.0.2.2").len(), most - of_one, "{most}");
            drop(held);
            assert_eq!(as_much_as_there_is(&room, "192.0.2.1").len(), of_one, "{most}");
        }
    }

    #[test]
    fn the_last_eighth_is_for_those_with_less_than_a_quarter() {
        let room = Room::new(16, OfOne::AllButAnEighth, None);
        let [_much, _most] = ["192.0.2.1", "192.0.2.2"].map(|address| {
            let many = if address == "192.0.2.1" { 8 } else { 6 };
            [(); 8].iter().take(many).map(|()| room.take(host(address)).unwrap()).collect::<Vec<_>>()
        });
        for address in ["192.0.2.1", "192.0.2.2"] {
            assert!(room.take(host(address)).is_none(), "{address} has more than a quarter");
        }
        let own = as_much_as_there_is(&room, "192.0.2.3");
        assert_eq!(own.len(), 2);
        drop(own);
        let _others = ["192.0.2.4", "192.0.2.5"].map(|address| room.take(host(address)).unwrap());
        assert!(room.take(host("192.0.2.6")).is_none(), "all is taken");
    }

    #[test]
    fn no_race_takes_what_stays_free() {
        let room = Room::new(1_000, OfOne::AllButAnEighth, None);
        let held = std::thread::scope(|scope| {
            let all = [(); 4].map(|()| scope.spawn(|| as_much_as_there_is(&room, "192.0.2.1")));
            all.map(|thread| thread.join().unwrap())
        });
        assert_eq!(held.iter().map(Vec::len).sum::<usize>(), 875);
        drop(held);
        assert_eq!(room.clients(), 0);
        assert_eq!(as_much_as_there_is(&room, "192.0.2.1").len(), 875);
    }
}
