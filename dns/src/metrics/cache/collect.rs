//! The same counters under the names of CoreDNS's plugin `cache`, read when they are asked for.

use super::{CacheMetrics, CacheRequests, TYPES};
use crate::metrics::family::{self, CACHE, Family};
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;

/// Collects them.
#[derive(Debug)]
pub(super) struct CacheCollector {
    metrics: CacheMetrics,
    descriptions: Vec<Desc>,
}

impl CacheCollector {
    pub(super) fn new(metrics: CacheMetrics) -> prometheus::Result<Self> {
        Ok(Self { metrics, descriptions: Family::descriptions(CACHE)? })
    }
}

impl Collector for CacheCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let CacheMetrics { requests, entries, evictions, prefetches } = &self.metrics;
        let CacheRequests { hit, stale, miss, failed } = requests;
        let [old_records, old_denials] = stale.each_ref().map(|counter| counter.get());
        let [records, denials] = hit.each_ref().map(|counter| counter.get());
        // A failure that is remembered lies among denials; what is over counts as a hit there, too.
        let hits = [records + old_records, denials + old_denials + failed.get()];
        let entries = entries
            .iter()
            .zip(TYPES)
            .map(|(gauge, kind)| family::COREDNS_CACHE_ENTRIES.sample(&["", kind, "", ""], gauge.get() as f64));
        let mut families = vec![family::COREDNS_CACHE_ENTRIES.of(entries.collect())];
        let evictions = evictions.each_ref().map(|counter| counter.get());
        for (family, counts) in [(&family::COREDNS_CACHE_HITS, hits), (&family::COREDNS_CACHE_EVICTIONS, evictions)] {
            let counted =
                counts.into_iter().zip(TYPES).filter_map(|(count, kind)| family.counted(&["", kind, "", ""], count));
            families.push(family.of(counted.collect()));
        }
        for (family, count) in [
            (&family::COREDNS_CACHE_REQUESTS, hits.iter().sum::<u64>() + miss.get()),
            (&family::COREDNS_CACHE_MISSES, miss.get()),
            (&family::COREDNS_CACHE_PREFETCHES, prefetches.get()),
            (&family::COREDNS_CACHE_STALE, old_records + old_denials),
        ] {
            families.push(family.of(family.counted(&["", "", ""], count).into_iter().collect()));
        }
        families.into_iter().flatten().collect()
    }
}
