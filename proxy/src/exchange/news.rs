//! Waits a moment for news of endpoints, where what is known of them does not help.
//! A Pod that ends can be gone before the news of it and of its successor: both come from the same controllers, at once.

use super::Exchange;
use super::failure::Failure;
use super::interrupt::Interrupt;
use super::tally::Tally;
use crate::record::Reason;
use tokio::time::{Instant, sleep_until};

/// News that would help, in the order in which they are waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    /// Those who lost the request have left, and give their tries back.
    Departure,
    /// There is an endpoint that was not tried, where all that are there take no connection.
    Newcomer,
}

impl News {
    pub(super) const ALL: [Self; 2] = [Self::Departure, Self::Newcomer];
}

impl Exchange<'_> {
    /// Whether only such news can help, and would.
    pub(super) fn awaits(&self, news: News, failure: Failure, tally: &Tally<'_>) -> bool {
        match news {
            News::Departure => !self.may_repeat(failure, tally) && self.would_gain(failure, tally),
            News::Newcomer => {
                let is_unconnected = matches!(failure.reason, Reason::ConnectFailed | Reason::ConnectTimeout);
                let is_needed = if is_unconnected { !tally.has_untried() } else { !tally.has_any() };
                is_needed && self.may_repeat(failure, tally)
            }
        }
    }

    /// Waits until the news are there, for as long as they usually take. Where nothing comes, only the requests of one
    /// moment wait. `departed`: how many had left before it was known that the news are awaited.
    pub(super) async fn news(&mut self, news: News, departed: usize, tally: &mut Tally<'_>) -> Result<(), Interrupt> {
        let worker = self.worker;
        let limits = &worker.settings.limits;
        let until = match news {
            News::Departure => Instant::now() + limits.departure,
            News::Newcomer => tally.failing_since.unwrap_or_else(Instant::now) + limits.newcomer,
        };
        let come = async {
            loop {
                let changed = worker.views.changed();
                tally.look_again(&worker.views.current());
                let is_there = match news {
                    News::Departure => tally.departed() > departed,
                    News::Newcomer => tally.has_untried(),
                };
                if is_there {
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
        self.waiting(Box::pin(come_or_over)).await?;
        if news == News::Departure && tally.departed() == departed {
            tally.note_stay();
        }
        Ok(())
    }
}
