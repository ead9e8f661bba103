//! Exchanges that run: whoever asks the same waits for the same answer, and takes no place of an upstream for that.

use super::ask::Ask;
use super::{Failure, Outcome, lock};
use crate::room::Taken;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use tokio::sync::OnceCell;

/// By their questions.
#[derive(Debug, Default)]
pub(super) struct Running(Mutex<HashMap<Ask, Exchange>>);

#[derive(Debug)]
struct Exchange {
    outcome: Arc<OnceCell<Outcome>>,
    /// Those who wait for it.
    waiting: usize,
    /// Its place, whoever goes on with it; `None`: it needs none.
    _place: Option<Taken>,
}

/// One of those who wait for an exchange; the last to leave forgets it.
#[derive(Debug)]
pub(super) struct Joined {
    running: Arc<Running>,
    ask: Ask,
    outcome: Arc<OnceCell<Outcome>>,
}

impl Running {
    /// Joins the exchange about this question, or begins it with a `place`.
    ///
    /// # Errors
    /// Those of `place`.
    pub(super) fn join(
        self: &Arc<Self>,
        ask: &Ask,
        place: impl FnOnce() -> Result<Option<Taken>, Failure>,
    ) -> Result<Joined, Failure> {
        let mut running = lock(&self.0);
        let outcome = match running.get_mut(ask) {
            Some(exchange) => {
                exchange.waiting += 1;
                Arc::clone(&exchange.outcome)
            }
            None => {
                let (place, outcome) = (place()?, Arc::default());
                running.insert(ask.clone(), Exchange { outcome: Arc::clone(&outcome), waiting: 1, _place: place });
                outcome
            }
        };
        Ok(Joined { running: Arc::clone(self), ask: ask.clone(), outcome })
    }
}

impl Joined {
    /// Waits for the outcome, which is found out with `start` where nobody else is at it.
    pub(super) async fn outcome(self, start: impl Future<Output = Outcome>) -> Outcome {
        // Whoever starts the exchange may go away in the middle, or find no room on its own account; then the next one
        // starts it anew.
        let start = async {
            match start.await {
                Err(Failure::Busy) => Err(Failure::Busy),
                outcome => Ok(outcome),
            }
        };
        self.outcome.get_or_try_init(|| start).await?.clone()
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        let mut running = lock(&self.running.0);
        let Some(exchange) = running.get_mut(&self.ask) else { return };
        if !Arc::ptr_eq(&exchange.outcome, &self.outcome) {
            return;
        }
        exchange.waiting = exchange.waiting.saturating_sub(1);
        // Once there is an outcome, who asks next shall not get it: what may be kept is in the cache.
        if exchange.waiting == 0 || self.outcome.initialized() {
            running.remove(&self.ask);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Host;
    use crate::room::Room;
    use hickory_proto::rr::RecordType;
    use std::cell::Cell;
    use std::future::{pending, ready};
    use std::task::{Context, Poll, Waker};

    fn ask() -> Ask {
        Ask::own(b"\x01a\0", RecordType::A, true)
    }

    fn joined(running: &Arc<Running>) -> Joined {
        running.join(&ask(), || Ok(None)).unwrap()
    }

    #[test]
    fn the_last_to_leave_forgets_the_exchange() {
        let running = Arc::<Running>::default();
        let mut context = Context::from_waker(Waker::noop());
        let is_running = || lock(&running.0).contains_key(&ask());
        let mut first = Box::pin(joined(&running).outcome(pending()));
        let mut second = Box::pin(joined(&running).outcome(ready(Err(Failure::Loop))));
        assert!(first.as_mut().poll(&mut context).is_pending());
        assert!(second.as_mut().poll(&mut context).is_pending(), "it joined the first");
        drop(first);
        assert!(is_running());
        // The first went away in the middle, so the second starts it.
        assert_eq!(second.as_mut().poll(&mut context), Poll::Ready(Err(Failure::Loop)));
        drop(second);
        assert!(!is_running());
    }

    #[test]
    fn who_leaves_a_later_exchange_alone_was_in_an_earlier_one() {
        let running = Arc::<Running>::default();
        let mut context = Context::from_waker(Waker::noop());
        let starts = Cell::new(0);
        let start = async || -> Outcome {
            starts.set(starts.get() + 1);
            match starts.get() {
                1 => Err(Failure::Loop),
                _ => pending().await,
            }
        };
        let mut first = Box::pin(joined(&running).outcome(pending()));
        let mut second = Box::pin(joined(&running).outcome(start()));
        let late = joined(&running);
        assert!(first.as_mut().poll(&mut context).is_pending() && second.as_mut().poll(&mut context).is_pending());
        drop(first);
        assert!(second.as_mut().poll(&mut context).is_ready());
        let mut later = Box::pin(joined(&running).outcome(start()));
        assert!(later.as_mut().poll(&mut context).is_pending(), "an outcome is given to those alone who waited for it");
        drop(late);
        let mut latest = Box::pin(joined(&running).outcome(start()));
        assert!(latest.as_mut().poll(&mut context).is_pending());
        assert_eq!(starts.get(), 2, "the latest joined the later one");
    }

    #[test]
    fn an_exchange_has_one_place_until_its_end_whoever_goes_on_with_it() {
        let (running, room) = (Arc::<Running>::default(), Room::new(1, None));
        let host = Host::of("192.0.2.1".parse().unwrap());
        let place = || room.take(host).map(Some).ok_or(Failure::Busy);
        let other = Ask::own(b"\x01b\0", RecordType::A, true);
        let mut context = Context::from_waker(Waker::noop());
        let first = running.join(&ask(), place).unwrap();
        let second = running.join(&ask(), place).unwrap();
        assert_eq!(running.join(&other, place).unwrap_err(), Failure::Busy);
        drop(first);
        assert_eq!(running.join(&other, place).unwrap_err(), Failure::Busy, "the second has its place");
        assert!(Box::pin(second.outcome(ready(Err(Failure::Loop)))).as_mut().poll(&mut context).is_ready());
        running.join(&other, place).unwrap();
        assert!(lock(&running.0).is_empty());
    }

    #[test]
    fn who_finds_no_room_is_alone_in_that() {
        let running = Arc::<Running>::default();
        let mut context = Context::from_waker(Waker::noop());
        let mut first = Box::pin(joined(&running).outcome(ready(Err(Failure::Busy))));
        let mut second = Box::pin(joined(&running).outcome(ready(Err(Failure::Loop))));
        assert_eq!(first.as_mut().poll(&mut context), Poll::Ready(Err(Failure::Busy)));
        assert_eq!(second.as_mut().poll(&mut context), Poll::Ready(Err(Failure::Loop)));
    }
}
