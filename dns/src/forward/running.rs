//! Exchanges that run: whoever asks the same waits for the same answer.

use super::ask::Ask;
use super::{Outcome, lock};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use tokio::sync::OnceCell;

/// By their questions.
#[derive(Debug, Default)]
pub(super) struct Running(Mutex<HashMap<Ask, Exchange>>);

#[derive(Debug, Default)]
struct Exchange {
    outcome: Arc<OnceCell<Outcome>>,
    /// Those who wait for it.
    waiting: usize,
}

impl Running {
    /// Joins the exchange about this question, or starts it with `start`.
    pub(super) async fn join(&self, ask: &Ask, start: impl Future<Output = Outcome>) -> Outcome {
        let outcome = {
            let mut running = lock(&self.0);
            let exchange = running.entry(ask.clone()).or_default();
            exchange.waiting += 1;
            Arc::clone(&exchange.outcome)
        };
        let joined = Joined { running: self, ask, outcome };
        // Whoever starts the exchange may go away in the middle; then the next one starts it anew.
        joined.outcome.get_or_init(|| start).await.clone()
    }
}

/// One of those who wait for an exchange; the last to leave forgets it.
struct Joined<'r> {
    running: &'r Running,
    ask: &'r Ask,
    outcome: Arc<OnceCell<Outcome>>,
}

impl Drop for Joined<'_> {
    fn drop(&mut self) {
        let mut running = lock(&self.running.0);
        let Some(exchange) = running.get_mut(self.ask) else { return };
        if !Arc::ptr_eq(&exchange.outcome, &self.outcome) {
            return;
        }
        exchange.waiting = exchange.waiting.saturating_sub(1);
        // Once there is an outcome, who asks next shall not get it: what may be kept is in the cache.
        if exchange.waiting == 0 || self.outcome.initialized() {
            running.remove(self.ask);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Failure;
    use super::*;
    use hickory_proto::rr::RecordType;
    use std::cell::Cell;
    use std::future::{pending, ready};
    use std::task::{Context, Poll, Waker};

    #[test]
    fn the_last_to_leave_forgets_the_exchange() {
        let (running, ask) = (Running::default(), Ask::own(b"\x01a\0", RecordType::A, true));
        let mut context = Context::from_waker(Waker::noop());
        let is_running = || lock(&running.0).contains_key(&ask);
        let mut first = Box::pin(running.join(&ask, pending()));
        let mut second = Box::pin(running.join(&ask, ready(Err(Failure::Loop))));
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
        let (running, ask) = (Running::default(), Ask::own(b"\x01a\0", RecordType::A, true));
        let mut context = Context::from_waker(Waker::noop());
        let starts = Cell::new(0);
        let start = async || -> Outcome {
            starts.set(starts.get() + 1);
            match starts.get() {
                1 => Err(Failure::Loop),
                _ => pending().await,
            }
        };
        let mut first = Box::pin(running.join(&ask, pending()));
        let mut joined = Box::pin(running.join(&ask, start()));
        assert!(first.as_mut().poll(&mut context).is_pending() && joined.as_mut().poll(&mut context).is_pending());
        drop(first);
        assert!(joined.as_mut().poll(&mut context).is_ready());
        let mut later = Box::pin(running.join(&ask, start()));
        assert!(later.as_mut().poll(&mut context).is_pending(), "an outcome is given to those alone who waited for it");
        drop(joined);
        let mut latest = Box::pin(running.join(&ask, start()));
        assert!(latest.as_mut().poll(&mut context).is_pending());
        assert_eq!(starts.get(), 2, "the latest joined the later one");
    }
}
