//! Answers from upstream that are kept for as long as they say, and longer where nothing better is to be had (RFC 2308,
//! RFC 8767). Never the cluster's own names: those are in a table that is always of now.

mod lifetime;
#[cfg(test)]
mod tests;

use crate::forward::Ask;
use crate::metrics::CacheMetrics;
use crate::wire::flag;
use indexmap::IndexMap;
use lifetime::{Kind, Lifetime};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

pub(crate) use lifetime::{STALE, Ttls};

/// Parts that are locked one by one.
const PARTS: usize = 64;
/// Longer answers are not kept, so that the number of answers bounds the memory; bytes.
const LONGEST: usize = 4096;
/// Entries that are looked at to find the one that goes where one is too many.
const CANDIDATES: usize = 8;
/// The rest of its time at which an answer that is asked for is fetched again: one of so many parts.
const LAST_PART: u32 = 10;
/// Questions that make an answer worth that.
const WANTED: u32 = 2;

/// What is kept, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheSettings {
    /// Answers at most.
    pub capacity: usize,
    /// Seconds that an answer is kept at least.
    pub min_ttl: u32,
    /// Seconds that records are kept at most; 0: nothing is.
    pub max_ttl: u32,
    /// The same for "no such name" and "no such records".
    pub max_denial_ttl: u32,
    /// How long it is remembered that nobody could tell (RFC 2308 §7): at most 5 minutes.
    pub failure: Duration,
    /// How long after its end an answer is still given where upstreams fail (RFC 8767 §4).
    pub stale: Duration,
    /// How long an upstream has to answer before what is over is given instead (RFC 8767 §5).
    pub patience: Duration,
    /// How long upstreams that failed are not asked again for what is over.
    pub recheck: Duration,
}

/// As kubeadm sets CoreDNS's, with answers that are over where upstreams fail.
impl Default for CacheSettings {
    fn default() -> Self {
        Self {
            capacity: 10_000,
            min_ttl: 5,
            max_ttl: 30,
            max_denial_ttl: 30,
            failure: Duration::from_secs(5),
            stale: Duration::from_secs(3600),
            patience: Duration::from_millis(1800),
            recheck: Duration::from_secs(30),
        }
    }
}

/// What is known about a question.
#[derive(Debug, Clone)]
pub(crate) enum Found {
    /// The answer, and how its TTLs are to be told.
    Fresh {
        message: Arc<[u8]>,
        ttls: Ttls,
        refresh: Refresh,
    },
    /// An answer that is over.
    Over {
        message: Arc<[u8]>,
        /// Whether upstreams have just failed, so that they are not asked.
        is_vain: bool,
    },
    /// Nobody could tell a moment ago.
    Failed,
    Nothing,
}

/// Whether an answer that is not over is fetched again already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refresh {
    No,
    /// By the one who is told so.
    Wanted,
    Running,
}

#[derive(Debug)]
struct Entry {
    /// `None`: nobody could tell.
    message: Option<Arc<[u8]>>,
    kind: Kind,
    since: Instant,
    until: Instant,
    hits: u32,
    is_refreshing: bool,
    /// Until when upstreams are not asked again.
    vain_until: Option<Instant>,
}

impl Entry {
    /// How long it lives yet; whole seconds, the one that has begun among them.
    fn left(&self, now: Instant) -> u32 {
        let left = (self.until - self.since).as_secs().saturating_sub((now - self.since).as_secs());
        u32::try_from(left).unwrap_or(u32::MAX)
    }

    /// Whether upstreams have just failed, so that they are not asked.
    fn is_vain(&self, now: Instant) -> bool {
        self.vain_until.is_some_and(|until| now < until)
    }
}

type Part = IndexMap<Ask, Entry, RandomState>;

/// The answers.
#[derive(Debug)]
pub(crate) struct Cache {
    settings: CacheSettings,
    parts: Box<[Mutex<Part>]>,
    /// Its keys are random: nobody can make questions that meet in one place.
    hasher: RandomState,
    metrics: CacheMetrics,
}

impl Cache {
    pub(crate) fn new(settings: CacheSettings, metrics: CacheMetrics) -> Self {
        let hasher = RandomState::new();
        let parts = (0..PARTS).map(|_| Mutex::new(Part::with_hasher(hasher.clone()))).collect();
        Self { settings, parts, hasher, metrics }
    }

    pub(crate) fn settings(&self) -> &CacheSettings {
        &self.settings
    }

    /// How TTLs are told of an answer of `kind` that came `age` ago.
    fn ttls(&self, kind: Kind, age: Duration) -> Ttls {
        let at_most = match kind {
            Kind::Denial => self.settings.max_denial_ttl,
            Kind::Records | Kind::Failure => self.settings.max_ttl,
        };
        let at_least = self.settings.min_ttl.min(at_most);
        Ttls::Aged { at_least, at_most, by: u32::try_from(age.as_secs()).unwrap_or(u32::MAX) }
    }

    /// How TTLs are told of an answer that has just come.
    pub(crate) fn new_ttls(&self, message: &[u8], ask: &Ask) -> Ttls {
        match Lifetime::of(message, ask.record_type()) {
            Some(Lifetime { kind, .. }) if self.is_on() => self.ttls(kind, Duration::ZERO),
            _ => Ttls::AsTheyCame,
        }
    }

    fn is_on(&self) -> bool {
        self.settings.max_ttl > 0
    }

    fn part(&self, ask: &Ask) -> MutexGuard<'_, Part> {
        // Other bits than those by which a part finds its entries.
        let index = (self.hasher.hash_one(ask) >> 32) as usize % PARTS;
        // There are so many, and a panic in one leaves nothing half done.
        self.parts[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks a question up.
    pub(crate) fn find(&self, ask: &Ask, now: Instant) -> Found {
        if !self.is_on() {
            return Found::Nothing;
        }
        let mut part = self.part(ask);
        let Some(entry) = part.get_mut(ask) else { return Found::Nothing };
        let Some(message) = entry.message.clone() else {
            return if now < entry.until { Found::Failed } else { Found::Nothing };
        };
        if now < entry.until {
            entry.hits = entry.hits.saturating_add(1);
            let is_ending = (entry.until - now) * LAST_PART <= entry.until - entry.since;
            let is_due = is_ending && entry.hits >= WANTED && !entry.is_vain(now);
            let refresh = match (entry.is_refreshing, is_due) {
                (true, _) => Refresh::Running,
                (false, true) => Refresh::Wanted,
                (false, false) => Refresh::No,
            };
            entry.is_refreshing |= is_due;
            let ttls = match entry.kind {
                // The SOA's own TTL may be longer than its minimum, which does not grow less on the way (RFC 2308 §5).
                Kind::Denial => Ttls::Fixed(entry.left(now)),
                kind => self.ttls(kind, now - entry.since),
            };
            return Found::Fresh { message, ttls, refresh };
        }
        if now < entry.until + self.settings.stale {
            return Found::Over { message, is_vain: entry.is_vain(now) };
        }
        Found::Nothing
    }

    /// Keeps what an upstream has answered, if it may be kept.
    pub(crate) fn keep(&self, ask: &Ask, message: &[u8], now: Instant) {
        let Some(lifetime) = Lifetime::of(message, ask.record_type()).filter(|_| message.len() <= LONGEST) else {
            return;
        };
        match lifetime.kind {
            Kind::Failure => self.failed(ask, now),
            kind => {
                let Ttls::Aged { at_least, at_most, .. } = self.ttls(kind, Duration::ZERO) else { return };
                let ttl = lifetime.ttl.clamp(at_least, at_most);
                self.put(ask, Some(kept(message)), kind, (now, Duration::from_secs(ttl.into())));
            }
        }
    }

    /// Remembers that nobody could tell. What was known before stays, to be given while that lasts.
    pub(crate) fn failed(&self, ask: &Ask, now: Instant) {
        if !self.is_on() || self.leaves_alone(ask, now) {
            return;
        }
        self.put(ask, None, Kind::Failure, (now, self.settings.failure));
    }

    /// Leaves upstreams alone for a while, which could not tell, where there is an answer to give; says whether there is.
    pub(crate) fn leaves_alone(&self, ask: &Ask, now: Instant) -> bool {
        let mut part = self.part(ask);
        let known =
            part.get_mut(ask).filter(|entry| entry.message.is_some() && now < entry.until + self.settings.stale);
        let Some(entry) = known else { return false };
        entry.vain_until = Some(now + self.settings.recheck);
        entry.is_refreshing = false;
        true
    }

    fn put(&self, ask: &Ask, message: Option<Arc<[u8]>>, kind: Kind, (now, span): (Instant, Duration)) {
        if !self.is_on() || span.is_zero() {
            return;
        }
        let (until, is_refreshing) = (now + span, false);
        let entry = Entry { message, kind, since: now, until, hits: 0, is_refreshing, vain_until: None };
        let mut part = self.part(ask);
        if part.insert(ask.clone(), entry).is_none() {
            self.metrics.entries.inc();
        }
        let most = (self.settings.capacity / PARTS).max(1);
        while part.len() > most {
            let turn = self.hasher.hash_one((now, part.len())) as usize;
            let candidates = (0..CANDIDATES).map(|step| (turn.wrapping_add(step)) % part.len());
            let first = candidates.min_by_key(|index| part.get_index(*index).map(|(_, entry)| entry.until));
            // Not the one that has just come, which is the last.
            let first = first.filter(|index| index + 1 < part.len()).unwrap_or(0);
            part.swap_remove_index(first);
            self.metrics.entries.dec();
            self.metrics.evictions.inc();
        }
    }

    pub(crate) fn metrics(&self) -> &CacheMetrics {
        &self.metrics
    }
}

/// The message without AA: what is kept is not the upstream's own word any more (RFC 1035 §4.1.1).
fn kept(message: &[u8]) -> Arc<[u8]> {
    let mut kept = message.to_vec();
    if let Some(flags) = kept.get_mut(2) {
        *flags &= !flag::AUTHORITATIVE.to_be_bytes()[0];
    }
    kept.into()
}
