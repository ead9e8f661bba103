//! Retry budgets: retries of a backend stay a small part of its requests, so that an overload is not made worse.

use config::BackendKey;
use rustc_hash::FxHashMap;
use std::cell::RefCell;
use std::time::Duration;
use tokio::time::Instant;

/// Requests are remembered for this long, in two halves.
const HALF: Duration = Duration::from_secs(5);
/// One retry for this many requests.
const REQUESTS_A_RETRY: u32 = 5;
/// Retries that even a quiet backend may have.
const MINIMUM: u32 = 3;

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    requests: u32,
    retries: u32,
}

#[derive(Debug)]
struct Budget {
    since: Instant,
    now: Counts,
    before: Counts,
}

impl Budget {
    fn roll(&mut self, now: Instant) {
        if now - self.since >= HALF {
            self.before = if now - self.since < 2 * HALF { self.now } else { Counts::default() };
            self.now = Counts::default();
            self.since = now;
        }
    }
}

/// The budgets of one worker.
#[derive(Debug, Default)]
pub(crate) struct Budgets {
    by_backend: RefCell<FxHashMap<BackendKey, Budget>>,
}

impl Budgets {
    /// Counts a request.
    pub(crate) fn requested(&self, key: &BackendKey) {
        let now = Instant::now();
        let mut budgets = self.by_backend.borrow_mut();
        match budgets.get_mut(key) {
            Some(budget) => {
                budget.roll(now);
                budget.now.requests += 1;
            }
            None => {
                let budget = Budget { since: now, now: Counts { requests: 1, retries: 0 }, before: Counts::default() };
                budgets.insert(key.clone(), budget);
            }
        }
    }

    /// Whether another retry is within a fifth of the last seconds' requests and three; it is counted.
    pub(crate) fn may_retry(&self, key: &BackendKey) -> bool {
        let mut budgets = self.by_backend.borrow_mut();
        let Some(budget) = budgets.get_mut(key) else { return true };
        budget.roll(Instant::now());
        let requests = budget.now.requests + budget.before.requests;
        let allowed = requests / REQUESTS_A_RETRY + MINIMUM;
        let may = budget.now.retries + budget.before.retries < allowed;
        budget.now.retries += u32::from(may);
        may
    }

    /// Forgets backends that had no request for a while.
    pub(crate) fn sweep(&self) {
        let now = Instant::now();
        self.by_backend.borrow_mut().retain(|_, budget| now - budget.since < 4 * HALF);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::BackendPort;

    #[tokio::test(start_paused = true)]
    async fn retries_are_a_fifth_of_requests_and_three() {
        let key = BackendKey { namespace: "a".into(), service: "b".into(), port: BackendPort::Number(1) };
        let budgets = Budgets::default();
        (0..100).for_each(|_| budgets.requested(&key));
        assert_eq!((0..100).filter(|_| budgets.may_retry(&key)).count(), 23);
        // Ten seconds later all is forgotten but the minimum.
        tokio::time::advance(2 * HALF).await;
        budgets.requested(&key);
        assert_eq!((0..100).filter(|_| budgets.may_retry(&key)).count(), 3);
        tokio::time::advance(4 * HALF).await;
        budgets.sweep();
        assert!(budgets.by_backend.borrow().is_empty());
    }
}
