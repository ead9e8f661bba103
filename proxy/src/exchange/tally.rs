//! What the attempts of one exchange have come to, and whether another may follow.

use super::Exchange;
use super::failure::{Failure, Retry};
use crate::live::{LiveBackend, Upstream, View};
use crate::record::Reason;
use std::sync::Arc;
use tokio::time::Instant;

/// Endpoints that may give no connection before the client hears of it, where a rule does not allow more tries: nothing
/// was sent to any of them.
const CONNECT_ATTEMPTS: u32 = 4;

/// The same where the last one said so at once: a Deployment that is scaled from ten to one leaves nine such.
const REFUSALS: u32 = 16;

/// Tries that endpoints give back by leaving: those of a Deployment that is scaled down can all be gone before the news.
/// Few, since a request that ends a process loses endpoints too.
const DEPARTURES: usize = 3;

/// The attempts so far.
#[derive(Debug)]
pub(super) struct Tally<'b> {
    first: &'b Arc<LiveBackend>,
    /// What a newer view has in its place.
    newer: Option<Arc<LiveBackend>>,
    pub(super) tried: Vec<u32>,
    /// Attempts that reached an endpoint.
    pub(super) sent: u32,
    /// The endpoints that were reached and said nothing, or not all.
    pub(super) lost: Vec<Arc<Upstream>>,
    pub(super) connects_failed: u32,
    /// The last attempt got no connection.
    pub(super) is_unsent: bool,
    /// A kept connection turned out dead: from then on they must be fresh.
    pub(super) needs_fresh: bool,
    /// The last attempt failed by its endpoint's fault.
    pub(super) is_hurt: bool,
    /// When the last of those that took no connection has begun to fail.
    pub(super) failing_since: Option<Instant>,
}

/// Whether a failure may be that of a connection kept too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stale {
    Perhaps,
    No,
}

impl<'b> Tally<'b> {
    pub(super) fn new(backend: &'b Arc<LiveBackend>) -> Self {
        Self {
            first: backend,
            newer: None,
            tried: Vec::new(),
            sent: 0,
            lost: Vec::new(),
            connects_failed: 0,
            is_unsent: false,
            needs_fresh: false,
            is_hurt: false,
            failing_since: None,
        }
    }

    /// Notes an attempt that is to be followed by another; `is_hurt` where its endpoint needs a pause.
    pub(super) fn failed_at(&mut self, upstream: &Upstream, is_hurt: bool) {
        self.tried.push(upstream.id());
        self.is_hurt = is_hurt;
        if self.is_unsent {
            self.failing_since = self.failing_since.max(Some(upstream.failing_since().unwrap_or_else(Instant::now)));
        }
    }

    /// Notes that the request was lost at an endpoint.
    pub(super) fn lost_at(&mut self, upstream: &Arc<Upstream>) {
        self.lost.push(Arc::clone(upstream));
    }

    /// Those of them that have left, as far as they give tries back.
    pub(super) fn departed(&self) -> usize {
        self.lost.iter().filter(|upstream| !upstream.is_current()).take(DEPARTURES).count()
    }

    /// Notes that those of them that are there have not left, though the news of it was waited for.
    pub(super) fn note_stay(&self) {
        self.lost.iter().for_each(|upstream| upstream.note_stay());
    }

    /// The endpoints as far as this exchange knows.
    pub(super) fn backend(&self) -> &Arc<LiveBackend> {
        self.newer.as_ref().unwrap_or(self.first)
    }

    /// Takes over what has come and gone since: an exchange can last longer than the endpoints that it began with.
    pub(super) fn look_again(&mut self, view: &View) {
        if let Some(newest) = view.backend(&self.first.backend.key)
            && !Arc::ptr_eq(newest, self.backend())
        {
            self.newer = Some(Arc::clone(newest));
        }
    }

    /// Whether there is any endpoint still.
    pub(super) fn has_any(&self) -> bool {
        self.backend().candidates().iter().any(|upstream| upstream.is_current())
    }

    pub(super) fn has_untried(&self) -> bool {
        let is_untried = |upstream: &Arc<Upstream>| upstream.is_current() && !self.tried.contains(&upstream.id());
        self.backend().candidates().iter().any(is_untried)
    }

    /// Whether another attempt can only go where one has just failed, or what fails is likely more than one endpoint.
    pub(super) fn must_pause(&self) -> bool {
        self.is_hurt && (self.sent > 1 || !self.has_untried())
    }
}

impl Exchange<'_> {
    /// Whether another attempt may follow; if not, the word for what is answered then.
    pub(super) fn may_retry(&self, failure: Failure, stale: Stale, tally: &Tally<'_>) -> Result<(), Reason> {
        let has_endpoint = if tally.is_unsent { tally.has_untried() } else { tally.has_any() };
        if !has_endpoint || !self.may_repeat(failure, tally) {
            return Err(failure.reason);
        }
        // Refused connections cost the endpoints nothing that a budget could save.
        if !tally.is_unsent && stale == Stale::No && !self.worker.budgets.may_retry(&tally.backend().backend.key) {
            return Err(Reason::RetryDenied);
        }
        Ok(())
    }

    /// Whether another attempt is allowed, if there is an endpoint for it.
    pub(super) fn may_repeat(&self, failure: Failure, tally: &Tally<'_>) -> bool {
        let wanted = self.wanted_attempts();
        let attempts = wanted.unwrap_or(self.worker.settings.limits.attempts);
        let has_tries = if tally.is_unsent {
            let is_refused = failure.reason == Reason::ConnectFailed;
            tally.connects_failed < attempts.max(if is_refused { REFUSALS } else { CONNECT_ATTEMPTS })
        } else {
            // What a rule says is the number of all.
            let given_back = if wanted.is_some() { 0 } else { tally.departed() };
            attempts as usize + given_back > tally.sent as usize
        };
        has_tries && self.is_repeatable(failure)
    }

    /// Whether endpoints that lost the request would give tries back by leaving.
    pub(super) fn would_gain(&self, failure: Failure, tally: &Tally<'_>) -> bool {
        let may_leave = tally.departed() < DEPARTURES && tally.lost.iter().any(|upstream| upstream.may_leave());
        may_leave && failure.is_loss() && self.wanted_attempts().is_none() && self.is_repeatable(failure)
    }

    /// Whether the request may be sent again after this, and can be.
    fn is_repeatable(&self, failure: Failure) -> bool {
        let is_safe = match failure.retry {
            Retry::Always => true,
            Retry::IfIdempotent => self.request.method.is_idempotent() && !self.request.is_websocket,
            Retry::Never => false,
        };
        is_safe && self.upload.can_replay()
    }

    /// The number of attempts that its rule wants.
    fn wanted_attempts(&self) -> Option<u32> {
        self.terms.as_ref().and_then(|terms| terms.policy.attempts)
    }
}
