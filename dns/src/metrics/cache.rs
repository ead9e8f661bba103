//! What is counted of answers that are kept: by server and the zones of a cache, as CoreDNS has it. Our own families are
//! the sums of these.

mod collect;

use crate::cache::Kind;
use arc_swap::ArcSwap;
use collect::CacheCollector;
use prometheus::Registry;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// Counters of all caches. What comes in pairs is of records, and of denials and failures.
#[derive(Debug, Clone, Default)]
pub(crate) struct CacheMetrics(Arc<Mutex<All>>);

#[derive(Debug, Default)]
struct All {
    caches: Vec<Weak<CacheCounts>>,
    /// Also of caches that are gone: a counter does not go back.
    rows: Vec<Arc<CacheRow>>,
}

/// Those of one cache.
#[derive(Debug)]
pub(crate) struct CacheCounts {
    metrics: CacheMetrics,
    /// `None`: nothing is kept.
    zones: Option<String>,
    entries: [AtomicI64; 2],
    /// Of each server where it was asked.
    rows: ArcSwap<Vec<Arc<CacheRow>>>,
}

/// What became of questions at one server that are not the cluster's.
#[derive(Debug)]
pub(crate) struct CacheRow {
    /// As `dns://:53`.
    server: String,
    /// Of the cache, each with the dot at the end; `None`: nothing is kept.
    zones: Option<String>,
    hit: [Count; 2],
    stale: [Count; 2],
    evictions: [Count; 2],
    pub(crate) miss: Count,
    pub(crate) failed: Count,
    pub(crate) prefetches: Count,
    /// Answers that were no good.
    pub(crate) drops: Count,
}

/// One that only grows.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl CacheMetrics {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self::default();
        registry.register(Box::new(CacheCollector::new(metrics.clone())?))?;
        Ok(metrics)
    }

    /// Those of one more cache of these zones; `None`: it keeps nothing.
    pub(crate) fn of_cache(&self, zones: Option<String>) -> Arc<CacheCounts> {
        let metrics = self.clone();
        let counts = Arc::new(CacheCounts { metrics, zones, entries: Default::default(), rows: ArcSwap::default() });
        let mut all = self.lock();
        all.caches.retain(|cache| cache.strong_count() > 0);
        all.caches.push(Arc::downgrade(&counts));
        counts
    }

    /// That of a server and zones, the same one each time.
    fn row(&self, server: &str, zones: Option<&String>) -> Arc<CacheRow> {
        let mut all = self.lock();
        let known = all.rows.iter().find(|row| row.server == server && row.zones.as_ref() == zones);
        match known.cloned() {
            Some(known) => known,
            None => {
                let row = Arc::new(CacheRow::new(server, zones));
                all.rows.push(Arc::clone(&row));
                row
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, All> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CacheCounts {
    /// What is counted at that server.
    pub(crate) fn at(&self, server: &str) -> Arc<CacheRow> {
        // A cache has few servers, most of them one.
        let find = |rows: &[Arc<CacheRow>]| rows.iter().find(|row| row.server == server).cloned();
        if let Some(row) = find(&self.rows.load()) {
            return row;
        }
        let row = self.metrics.row(server, self.zones.as_ref());
        self.rows.rcu(|rows| match find(rows) {
            Some(_) => Vec::clone(rows),
            None => rows.iter().chain([&row]).cloned().collect(),
        });
        row
    }

    /// Counts so many more entries, and those of a kind that had to go: for the server that asked first.
    pub(crate) fn changed(&self, more: [i64; 2], kind: Kind, evicted: u64) {
        for (entries, more) in self.entries.iter().zip(more) {
            entries.fetch_add(more, Ordering::Relaxed);
        }
        if evicted > 0 {
            let row = self.rows.load().first().cloned();
            of_kind(&row.unwrap_or_else(|| self.at("")).evictions, kind).add(evicted);
        }
    }

    /// How many answers are kept now.
    pub(crate) fn entries(&self) -> [i64; 2] {
        self.entries.each_ref().map(|entries| entries.load(Ordering::Relaxed))
    }
}

impl CacheRow {
    fn new(server: &str, zones: Option<&String>) -> Self {
        let (server, zones) = (server.to_owned(), zones.cloned());
        let pair = <[Count; 2]>::default;
        let one = Count::default;
        let (hit, stale, evictions) = (pair(), pair(), pair());
        let (miss, failed, prefetches, drops) = (one(), one(), one(), one());
        Self { server, zones, hit, stale, evictions, miss, failed, prefetches, drops }
    }

    /// The answer was kept.
    pub(crate) fn hit(&self, kind: Kind) -> &Count {
        of_kind(&self.hit, kind)
    }

    /// An answer that is over was given.
    pub(crate) fn stale(&self, kind: Kind) -> &Count {
        of_kind(&self.stale, kind)
    }

    /// Those of a kind that had to go.
    #[cfg(test)]
    pub(crate) fn evictions(&self, kind: Kind) -> &Count {
        of_kind(&self.evictions, kind)
    }
}

impl Count {
    pub(crate) fn inc(&self) {
        self.add(1);
    }

    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// As CoreDNS calls them.
const TYPES: [&str; 2] = ["success", "denial"];

fn of_kind([records, others]: &[Count; 2], kind: Kind) -> &Count {
    match kind {
        Kind::Records => records,
        Kind::Denial | Kind::Failure => others,
    }
}
