//! The rows as Prometheus has them: our own families, which are sums and always shown, and those of CoreDNS's plugin
//! `cache`, of the caches that keep anything.

use super::{All, CacheMetrics, CacheRow, Count, TYPES};
use crate::metrics::family::{self, CACHE, Family, OWN_CACHE};
use prometheus::core::{Collector, Desc};
use prometheus::proto::{Metric, MetricFamily};

/// Collects them.
#[derive(Debug)]
pub(super) struct CacheCollector {
    metrics: CacheMetrics,
    descriptions: Vec<Desc>,
}

impl CacheCollector {
    pub(super) fn new(metrics: CacheMetrics) -> prometheus::Result<Self> {
        Ok(Self { metrics, descriptions: Family::descriptions(OWN_CACHE.iter().chain(CACHE))? })
    }
}

impl Collector for CacheCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let all = self.metrics.lock();
        own(&all).into_iter().chain(by_server(&all)).flatten().collect()
    }
}

/// Our own.
fn own(All { caches, rows }: &All) -> [Option<MetricFamily>; 4] {
    let sum = |of: fn(&CacheRow) -> &Count| rows.iter().map(|row| of(row).get()).sum::<u64>() as f64;
    let requests: [(&[&str], f64); 6] = [
        (&["hit", "success"], sum(|row| &row.hit[0])),
        (&["hit", "denial"], sum(|row| &row.hit[1])),
        (&["stale", "success"], sum(|row| &row.stale[0])),
        (&["stale", "denial"], sum(|row| &row.stale[1])),
        (&["miss", ""], sum(|row| &row.miss)),
        (&["failed", ""], sum(|row| &row.failed)),
    ];
    let requests = requests.map(|(labels, count)| family::CACHE_REQUESTS.sample(labels, count));
    let counts = caches.iter().filter_map(|cache| Some(cache.upgrade()?.entries()));
    let [records, others] = counts.fold([0, 0], |[records, others], more| [records + more[0], others + more[1]]);
    let pair = |family: &Family, counts: [f64; 2]| {
        let samples = TYPES.iter().zip(counts).map(|(kind, count)| family.sample(&[kind], count));
        family.of(samples.collect())
    };
    [
        family::CACHE_REQUESTS.of(requests.into()),
        pair(&family::CACHE_ENTRIES, [records as f64, others as f64]),
        pair(&family::CACHE_EVICTIONS, [sum(|row| &row.evictions[0]), sum(|row| &row.evictions[1])]),
        family::CACHE_PREFETCHES.of(vec![family::CACHE_PREFETCHES.sample(&[], sum(|row| &row.prefetches))]),
    ]
}

/// CoreDNS's.
fn by_server(all: &All) -> [Option<MetricFamily>; 8] {
    let rows = || all.rows.iter().filter_map(|row| Some((&**row, row.zones.as_deref()?)));
    let one = |family: &Family, of: fn(&CacheRow) -> u64| {
        let counted = rows().filter_map(|(row, zones)| family.counted(&[&row.server, zones, ""], of(row)));
        family.of(counted.collect())
    };
    let pair = |family: &Family, of: fn(&CacheRow) -> [u64; 2]| {
        let counted = rows().flat_map(|(row, zones)| {
            let counts = TYPES.into_iter().zip(of(row));
            counts.filter_map(move |(kind, count)| family.counted(&[&row.server, kind, zones, ""], count))
        });
        family.of(counted.collect())
    };
    [
        family::COREDNS_CACHE_ENTRIES.of(rows().flat_map(|(row, zones)| entries(all, row, zones)).collect()),
        one(&family::COREDNS_CACHE_REQUESTS, |row| hits(row).iter().sum::<u64>() + row.miss.get()),
        pair(&family::COREDNS_CACHE_HITS, hits),
        one(&family::COREDNS_CACHE_MISSES, |row| row.miss.get()),
        one(&family::COREDNS_CACHE_PREFETCHES, |row| row.prefetches.get()),
        one(&family::COREDNS_CACHE_DROPS, |row| row.drops.get()),
        one(&family::COREDNS_CACHE_STALE, |row| row.stale.iter().map(Count::get).sum()),
        pair(&family::COREDNS_CACHE_EVICTIONS, |row| row.evictions.each_ref().map(Count::get)),
    ]
}

/// A failure that is remembered lies among denials; what is over counts as a hit there, too.
fn hits(row: &CacheRow) -> [u64; 2] {
    let [old_records, old_denials] = row.stale.each_ref().map(Count::get);
    let [records, denials] = row.hit.each_ref().map(Count::get);
    [records + old_records, denials + old_denials + row.failed.get()]
}

/// What caches keep that were asked at a server, which is nothing where these are gone.
fn entries(All { caches, .. }: &All, row: &CacheRow, zones: &str) -> [Metric; 2] {
    let caches = caches.iter().filter_map(|cache| cache.upgrade());
    let its = caches.filter(|cache| cache.rows.load().iter().any(|known| std::ptr::eq(&**known, row)));
    let counts = its.map(|cache| cache.entries());
    let [records, others] = counts.fold([0, 0], |[records, others], more| [records + more[0], others + more[1]]);
    let [success, denial] = TYPES;
    let sample = |kind, count: i64| family::COREDNS_CACHE_ENTRIES.sample(&[&row.server, kind, zones, ""], count as f64);
    [sample(success, records), sample(denial, others)]
}
