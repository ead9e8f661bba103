//! What is counted of answers that are kept.

mod collect;

use super::family;
use crate::cache::Kind;
use collect::CacheCollector;
use prometheus::{IntCounter, IntGauge, Registry};

/// Counters of all caches. What comes in pairs is of records, and of denials and failures.
#[derive(Debug, Clone)]
pub(crate) struct CacheMetrics {
    pub(crate) requests: CacheRequests,
    pub(crate) entries: [IntGauge; 2],
    evictions: [IntCounter; 2],
    pub(crate) prefetches: IntCounter,
}

/// What became of questions that are not the cluster's.
#[derive(Debug, Clone)]
pub(crate) struct CacheRequests {
    hit: [IntCounter; 2],
    stale: [IntCounter; 2],
    pub(crate) miss: IntCounter,
    pub(crate) failed: IntCounter,
}

impl CacheMetrics {
    pub(crate) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let requests = family::CACHE_REQUESTS.counters(registry)?;
        let of = |result: &str, kind: &str| requests.with_label_values(&[result, kind]);
        let pair = |result: &str| TYPES.map(|kind| of(result, kind));
        let entries = family::CACHE_ENTRIES.gauges(registry)?;
        let evictions = family::CACHE_EVICTIONS.counters(registry)?;
        let metrics = Self {
            requests: CacheRequests {
                hit: pair("hit"),
                stale: pair("stale"),
                miss: of("miss", ""),
                failed: of("failed", ""),
            },
            entries: TYPES.map(|kind| entries.with_label_values(&[kind])),
            evictions: TYPES.map(|kind| evictions.with_label_values(&[kind])),
            prefetches: family::CACHE_PREFETCHES.counter(registry)?,
        };
        registry.register(Box::new(CacheCollector::new(metrics.clone())?))?;
        Ok(metrics)
    }

    /// Those of a kind that had to go.
    pub(crate) fn evictions(&self, kind: Kind) -> &IntCounter {
        of_kind(&self.evictions, kind)
    }
}

impl CacheRequests {
    /// The answer was kept.
    pub(crate) fn hit(&self, kind: Kind) -> &IntCounter {
        of_kind(&self.hit, kind)
    }

    /// An answer that is over was given.
    pub(crate) fn stale(&self, kind: Kind) -> &IntCounter {
        of_kind(&self.stale, kind)
    }
}

/// As CoreDNS calls them.
const TYPES: [&str; 2] = ["success", "denial"];

fn of_kind([records, others]: &[IntCounter; 2], kind: Kind) -> &IntCounter {
    match kind {
        Kind::Records => records,
        Kind::Denial | Kind::Failure => others,
    }
}
