//! A final head that was held back, since its rule wants another attempt after such an answer.

use super::{End, Transfer};
use crate::exchange::Exchange;
use crate::exchange::failure::Failure;
use crate::exchange::tally::{Stale, Tally};
use crate::record::Reason;
use std::task::Context;
use tokio::time::Instant;

/// Bytes of an unwanted answer that are read over to keep its connection, if they are there already.
const SKIPPED: usize = 64 * 1024;

impl Exchange<'_> {
    /// Passes the answer on as it is if no other attempt may follow, and gives `None`: the transfer goes on. The budget
    /// for retries is told in the record; that the attempts are used up is what the status says already.
    pub(in crate::exchange) fn held_back(
        &mut self,
        cx: &mut Context<'_>,
        transfer: &mut Transfer,
        tally: &Tally<'_>,
    ) -> Option<End> {
        let head = self.terms.as_mut()?.held.take()?;
        // The round that read it went no further than that.
        transfer.clocks.from_upstream = Instant::now();
        let failure = Failure::of_status(head.status);
        self.draft.attempt_failed(failure.reason);
        self.draft.set(|record| record.upstream_status = Some(head.status));
        let Err(reason) = self.may_retry(failure, Stale::No, tally) else {
            transfer.up.skip(cx, self.request.method, SKIPPED);
            return Some(End::HeldBack);
        };
        if reason == Reason::RetryDenied {
            self.draft.set(|record| record.reason = Some(reason));
        }
        self.on_final(transfer, &head).err().map(|_| End::ClientGone(Reason::ClientGone))
    }
}
