//! One answer that is kept.

use super::lifetime::Kind;
use crate::plan::cache::Prefetch;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A fetch that has not ended by then never will.
const LONGEST_FETCH: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Entry {
    /// `None`: nobody could tell.
    pub(super) message: Option<Arc<[u8]>>,
    pub(super) kind: Kind,
    pub(super) since: Instant,
    pub(super) until: Instant,
    /// Questions in a row that were not too far apart, and the last of them.
    hits: u32,
    last_hit: Instant,
    /// Since when it is fetched again.
    pub(super) refreshing: Option<Instant>,
    /// Until when upstreams are not asked again.
    pub(super) vain_until: Option<Instant>,
}

impl Entry {
    pub(super) fn new(message: Option<Arc<[u8]>>, kind: Kind, (now, span): (Instant, Duration)) -> Self {
        let (hits, last_hit) = (0, now);
        Self { message, kind, since: now, until: now + span, hits, last_hit, refreshing: None, vain_until: None }
    }

    /// Takes the place of another about the same question: who asked for that wants this one.
    pub(super) fn inherit(&mut self, old: &Self) {
        (self.hits, self.last_hit) = (old.hits, old.last_hit);
    }

    /// How long it lives yet; whole seconds, the one that has begun among them.
    pub(super) fn left(&self, now: Instant) -> u32 {
        let left = (self.until - self.since).as_secs().saturating_sub((now - self.since).as_secs());
        u32::try_from(left).unwrap_or(u32::MAX)
    }

    /// Whether upstreams have just failed, so that they are not asked.
    pub(super) fn is_vain(&self, now: Instant) -> bool {
        self.vain_until.is_some_and(|until| now < until)
    }

    pub(super) fn is_refreshing(&self, now: Instant) -> bool {
        self.refreshing.is_some_and(|since| now < since + LONGEST_FETCH)
    }

    /// Whether it, which is not over, is fetched again for who asks now.
    pub(super) fn is_due(&mut self, prefetch: Prefetch, now: Instant) -> bool {
        let is_in_row = now - self.last_hit <= prefetch.within;
        self.hits = if is_in_row { self.hits.saturating_add(1) } else { 1 };
        self.last_hit = now;
        let is_ending = (self.until - now) * 100 <= (self.until - self.since) * prefetch.percentage;
        is_ending && self.hits >= prefetch.amount && !self.is_vain(now) && !self.is_refreshing(now)
    }
}
