//! Waits a moment for an endpoint that is not there yet, where all that are there take no connection.
//! A Pod that ends can be gone before the news of it and of its successor: both come from the same controllers, at once.

use super::Exchange;
use super::failure::Failure;
use super::interrupt::Interrupt;
use super::tally::Tally;
use crate::record::Reason;
use tokio::time::{Instant, sleep_until};

impl Exchange<'_> {
    /// Whether only another endpoint than those known can help, and would.
    pub(super) fn awaits_newcomer(&self, failure: Failure, tally: &Tally<'_>) -> bool {
        let is_unconnected = matches!(failure.reason, Reason::ConnectFailed | Reason::ConnectTimeout);
        let is_needed = if is_unconnected { !tally.has_untried() } else { !tally.has_any() };
        is_needed && self.may_repeat(failure, tally)
    }

    /// Waits until there is an endpoint that was not tried, or all that were have failed for too long: where nothing
    /// comes, only the requests of one moment wait.
    pub(super) async fn newcomer(&mut self, tally: &mut Tally<'_>) -> Result<(), Interrupt> {
        let worker = self.worker;
        let until = tally.failing_since.unwrap_or_else(Instant::now) + worker.settings.limits.newcomer;
        let come = async {
            loop {
                let changed = worker.views.changed();
                tally.look_again(&worker.views.current());
                if tally.has_untried() {
                    return;
                }
                changed.await;
            }
        };
        let come_or_over = async {
            tokio::select! {
                biased;
                () = come => {}
                () = sleep_until(until) => {}
            }
        };
        self.waiting(Box::pin(come_or_over)).await
    }
}
