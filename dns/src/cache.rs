//! Answers from upstream that are kept for as long as they say, and longer where nothing better is to be had (RFC 2308,
//! RFC 8767). Never the cluster's own names: those are in a table that is always of now.

mod entry;
mod lifetime;
mod longest;
mod part;
mod settings;
#[cfg(test)]
mod tests;

use crate::forward::Ask;
use crate::metrics::{CacheCounts, CacheMetrics, CacheRow};
use crate::plan::Zone;
use crate::plan::cache::{self as plan, Stale};
use crate::wire::{Cursor, flag};
use entry::Entry;
use hickory_proto::op::ResponseCode;
use lifetime::Lifetime;
use part::{Change, Part};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

pub(crate) use lifetime::{Kind, Ttls};
pub(crate) use longest::Longest;
pub use settings::CacheSettings;

/// Parts that are locked one by one, where there are so many answers.
const PARTS: u32 = 64;
/// Entries that a part has room for at least, where all have: of few places in each some would be full while others are
/// empty.
const LEAST_OF_PART: u32 = 64;
/// Longer answers are not kept, so that the number of answers bounds the memory; bytes.
const LONGEST: usize = 4096;
/// How long what cannot be fetched before its end is left alone, where nothing else is said.
const RECHECK: Duration = Duration::from_secs(30);

/// What is known about a question.
#[derive(Debug, Clone)]
pub(crate) enum Found {
    /// The answer, and how its TTLs are to be told.
    Fresh {
        message: Arc<[u8]>,
        kind: Kind,
        ttls: Ttls,
        refresh: Refresh,
    },
    /// An answer that is over.
    Over {
        over: Over,
        then: Then,
    },
    /// Nobody could tell a moment ago.
    Failed,
    Nothing,
}

/// An answer that is over, and better than none.
#[derive(Debug, Clone)]
pub(crate) struct Over {
    pub(crate) message: Arc<[u8]>,
    pub(crate) kind: Kind,
}

/// Whether an answer that is not over is fetched again already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refresh {
    No,
    /// By the one who is told so.
    Wanted,
    Running,
}

/// What to do with an answer that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// It is given; upstreams have just failed, or are being asked.
    Give,
    /// It is given, and upstreams are asked afterwards.
    GiveAndAsk,
    /// Upstreams are asked, and it is given where they fail.
    AskFirst,
}

/// The answers.
#[derive(Debug)]
pub(crate) struct Cache {
    /// `None`: nothing is kept.
    plan: Option<plan::Cache>,
    parts: Box<[Mutex<Part>]>,
    /// Its keys are random: nobody can make questions that meet in one place.
    hasher: RandomState,
    counts: Arc<CacheCounts>,
}

impl Cache {
    pub(crate) fn new(plan: Option<plan::Cache>, metrics: &CacheMetrics) -> Self {
        let hasher = RandomState::new();
        let least = plan.as_ref().map(|plan| plan.success.capacity.min(plan.denial.capacity));
        let count = least.map_or(0, |least| (least / LEAST_OF_PART).clamp(1, PARTS));
        let parts = (0..count).map(|_| Mutex::new(Part::new(&hasher))).collect();
        let zones = |plan: &plan::Cache| plan.zones.iter().map(Zone::absolute).collect::<Vec<_>>().join(",");
        let counts = metrics.of_cache(plan.as_ref().map(zones));
        Self { plan, parts, hasher, counts }
    }

    /// Whether any answer is kept.
    pub(crate) fn keeps_any(&self) -> bool {
        self.plan.is_some()
    }

    /// What is to be done about the names of a zone that this question is about, and where; `None`: nothing is kept.
    fn place(&self, ask: &Ask) -> Option<(&plan::Cache, MutexGuard<'_, Part>)> {
        let plan = self.plan.as_ref().filter(|plan| is_in(&plan.zones, ask.name()))?;
        // Other bits than those by which a part finds its entries.
        let index = (self.hasher.hash_one(ask) >> 32) as usize % self.parts.len().max(1);
        // A panic leaves nothing half done.
        Some((plan, self.parts.get(index)?.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// How long an upstream has to answer before what is over is given instead.
    pub(crate) fn patience(&self) -> Duration {
        self.stale().map_or(Duration::MAX, |stale| stale.timeout)
    }

    fn stale(&self) -> Option<&Stale> {
        self.plan.as_ref().and_then(|plan| plan.stale.as_ref())
    }

    /// How TTLs are told of what is over.
    pub(crate) fn stale_ttls(&self) -> Ttls {
        let ttl = self.stale().map_or(0, |stale| stale.ttl.as_secs());
        Ttls::Fixed(u32::try_from(ttl).unwrap_or(u32::MAX))
    }

    /// How TTLs are told of an answer that has just come.
    pub(crate) fn new_ttls(&self, message: &[u8], ask: &Ask) -> Ttls {
        let plan = self.plan.as_ref().filter(|plan| is_in(&plan.zones, ask.name()));
        match plan.zip(Lifetime::of(message, ask.record_type())) {
            Some((plan, Lifetime { kind, .. })) if keeps(plan, kind, ask.name()) => ttls(plan, kind, Duration::ZERO),
            _ => Ttls::AsTheyCame,
        }
    }

    /// Looks a question up.
    pub(crate) fn find(&self, ask: &Ask, now: Instant) -> Found {
        let Some((plan, mut part)) = self.place(ask) else { return Found::Nothing };
        let Some(entry) = part.get_mut(ask) else { return Found::Nothing };
        let (kind, Some(message)) = (entry.kind, entry.message.clone()) else {
            return if now < entry.until { Found::Failed } else { Found::Nothing };
        };
        if now < entry.until {
            let is_due = plan.prefetch.is_some_and(|prefetch| entry.is_due(prefetch, now));
            let refresh = match (is_due, entry.is_refreshing(now)) {
                (true, _) => Refresh::Wanted,
                (false, true) => Refresh::Running,
                (false, false) => Refresh::No,
            };
            if is_due {
                entry.refreshing = Some(now);
            }
            let ttls = match kind {
                // The SOA's own TTL may be longer than its minimum, which does not grow less on the way (RFC 2308 §5).
                Kind::Denial if plan.keeps_ttl => Ttls::Fixed(entry.left(entry.since)),
                Kind::Denial => Ttls::Fixed(entry.left(now)),
                kind => ttls(plan, kind, now - entry.since),
            };
            return Found::Fresh { message, kind, ttls, refresh };
        }
        let Some(stale) = plan.stale.filter(|stale| now < entry.until + stale.max_age) else { return Found::Nothing };
        let then = match stale.refresh {
            _ if entry.is_vain(now) => Then::Give,
            plan::Refresh::Verify => Then::AskFirst,
            plan::Refresh::Immediate if entry.is_refreshing(now) => Then::Give,
            plan::Refresh::Immediate => {
                entry.refreshing = Some(now);
                Then::GiveAndAsk
            }
        };
        Found::Over { over: Over { message, kind }, then }
    }

    /// Keeps what an upstream has answered, if it may be kept; what was known before is worth nothing any more.
    pub(crate) fn keep(&self, ask: &Ask, message: &[u8], now: Instant) {
        let Some((plan, mut part)) = self.place(ask) else { return };
        let lifetime = Lifetime::of(message, ask.record_type());
        let known = part.get_mut(ask).filter(|entry| is_of_use(plan, entry, now));
        let is_worse = |entry: &mut Entry| entry.kind == Kind::Records && denies(message, lifetime);
        if lifetime.is_some_and(|lifetime| lifetime.kind == Kind::Failure) || (known.is_some() && is_cut(message)) {
            drop(part);
            return self.failed(ask, now);
        }
        if let Some(entry) = known
            && plan.stale.is_some_and(|stale| stale.prefers_positive)
            && is_worse(entry)
        {
            return leave_alone(plan, entry, now);
        }
        let kept = lifetime.filter(|lifetime| message.len() <= LONGEST && keeps(plan, lifetime.kind, ask.name()));
        let Some(Lifetime { kind, ttl }) = kept else { return self.count(Kind::Records, part.remove(ask)) };
        let bounds = bounds(plan, kind);
        let span = Duration::from_secs(ttl.clamp(bounds.0, bounds.1).into());
        if span.is_zero() {
            return self.count(kind, part.remove(ask));
        }
        self.put(plan, &mut part, ask, Entry::new(Some(kept_message(message)), kind, (now, span)));
    }

    /// Whether an answer that is over is better than a denial that has just come.
    pub(crate) fn prefers(&self, over: &Over, message: &[u8], ask: &Ask) -> bool {
        self.stale().is_some_and(|stale| stale.prefers_positive)
            && over.kind == Kind::Records
            && denies(message, Lifetime::of(message, ask.record_type()))
    }

    /// Remembers that nobody could tell. What was known before stays, to be given while that lasts.
    pub(crate) fn failed(&self, ask: &Ask, now: Instant) {
        let Some((plan, mut part)) = self.place(ask) else { return };
        if let Some(entry) = part.get_mut(ask).filter(|entry| is_of_use(plan, entry, now)) {
            return leave_alone(plan, entry, now);
        }
        if !plan.servfail.is_zero() && keeps(plan, Kind::Failure, ask.name()) {
            self.put(plan, &mut part, ask, Entry::new(None, Kind::Failure, (now, plan.servfail)));
        }
    }

    /// Leaves upstreams alone for a while, which could not tell, where there is an answer to give; says whether there is.
    pub(crate) fn leaves_alone(&self, ask: &Ask, now: Instant) -> bool {
        let Some((plan, mut part)) = self.place(ask) else { return false };
        let known = part.get_mut(ask).filter(|entry| is_of_use(plan, entry, now));
        known.map(|entry| leave_alone(plan, entry, now)).is_some()
    }

    /// Nobody fetches the answer again after all.
    pub(crate) fn gave_up(&self, ask: &Ask) {
        if let Some((_, mut part)) = self.place(ask)
            && let Some(entry) = part.get_mut(ask)
        {
            entry.refreshing = None;
        }
    }

    fn put(&self, plan: &plan::Cache, part: &mut Part, ask: &Ask, entry: Entry) {
        let kind = entry.kind;
        let capacity = if kind == Kind::Records { plan.success.capacity } else { plan.denial.capacity };
        let most = usize::try_from(capacity).unwrap_or(usize::MAX) / self.parts.len().max(1);
        self.count(kind, part.put(ask, entry, most));
    }

    fn count(&self, kind: Kind, change: Change) {
        self.counts.changed(change.more, kind, change.evicted);
    }

    /// What is counted of questions at that server.
    pub(crate) fn counted_at(&self, server: &str) -> Arc<CacheRow> {
        self.counts.at(server)
    }
}

fn is_in(zones: &[Zone], name: &[u8]) -> bool {
    zones.iter().any(|zone| zone.holds(name))
}

/// Whether answers of this kind are kept of a name, in wire form and lower case.
fn keeps(plan: &plan::Cache, kind: Kind, name: &[u8]) -> bool {
    !is_in(if kind == Kind::Records { &plan.no_success } else { &plan.no_denial }, name)
}

/// The least and the most that answers of a kind are kept; seconds.
fn bounds(plan: &plan::Cache, kind: Kind) -> (u32, u32) {
    let kept = if kind == Kind::Records { plan.success } else { plan.denial };
    (kept.min_ttl.min(kept.max_ttl), kept.max_ttl)
}

/// How TTLs are told of an answer of `kind` that came `age` ago.
fn ttls(plan: &plan::Cache, kind: Kind, age: Duration) -> Ttls {
    let (at_least, at_most) = bounds(plan, kind);
    let by = if plan.keeps_ttl { 0 } else { u32::try_from(age.as_secs()).unwrap_or(u32::MAX) };
    Ttls::Aged { at_least, at_most, by }
}

/// Whether an entry has an answer that is given yet, if only where upstreams fail.
fn is_of_use(plan: &plan::Cache, entry: &Entry, now: Instant) -> bool {
    entry.message.is_some() && now < entry.until + plan.stale.map_or(Duration::ZERO, |stale| stale.max_age)
}

fn leave_alone(plan: &plan::Cache, entry: &mut Entry, now: Instant) {
    entry.vain_until = Some(now + plan.stale.map_or(RECHECK, |stale| stale.recheck));
    entry.refreshing = None;
}

fn is_cut(message: &[u8]) -> bool {
    Cursor::new(message).header().is_some_and(|header| header.flags & flag::TRUNCATED != 0)
}

/// Whether an answer says that there is no such name or record, be it without saying for how long.
fn denies(message: &[u8], lifetime: Option<Lifetime>) -> bool {
    let code = Cursor::new(message).header().map(|header| ResponseCode::from(0, (header.flags & flag::CODE) as u8));
    lifetime.is_some_and(|lifetime| lifetime.kind == Kind::Denial) || code == Some(ResponseCode::NXDomain)
}

/// The message without AA: what is kept is not the upstream's own word any more (RFC 1035 §4.1.1).
fn kept_message(message: &[u8]) -> Arc<[u8]> {
    let mut kept = message.to_vec();
    if let Some(flags) = kept.get_mut(2) {
        *flags &= !flag::AUTHORITATIVE.to_be_bytes()[0];
    }
    kept.into()
}
