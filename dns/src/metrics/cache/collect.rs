//! The same counters under the names of CoreDNS's plugin `cache`, read when they are asked for.

use super::{CacheMetrics, CacheRequests, TYPES};
use crate::metrics::family::{CACHE, Family};
use crate::metrics::zones::{counter, family, pairs};
use prometheus::core::{Collector, Desc};
use prometheus::proto::{Gauge, Metric, MetricFamily, MetricType};

/// Collects them.
#[derive(Debug)]
pub(super) struct CacheCollector {
    metrics: CacheMetrics,
    descriptions: Vec<Desc>,
}

impl CacheCollector {
    pub(super) fn new(metrics: CacheMetrics) -> prometheus::Result<Self> {
        let descriptions = CACHE.all().map(Family::description).into_iter().collect::<Result<_, _>>()?;
        Ok(Self { metrics, descriptions })
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
        let entries = entries.iter().zip(TYPES).map(|(gauge, kind)| {
            let mut value = Gauge::default();
            value.set_value(gauge.get() as f64);
            let mut metric = Metric::from_label(pairs(&CACHE.entries, &["", kind, "", ""]));
            metric.set_gauge(value);
            metric
        });
        let mut families = vec![family(&CACHE.entries, MetricType::GAUGE, entries.collect())];
        let evictions = evictions.each_ref().map(|counter| counter.get());
        for (described, counts) in [(&CACHE.hits, hits), (&CACHE.evictions, evictions)] {
            let of = |(count, kind)| counter(described, &["", kind, "", ""], count);
            families.push(family(
                described,
                MetricType::COUNTER,
                counts.into_iter().zip(TYPES).filter_map(of).collect(),
            ));
        }
        for (described, count) in [
            (&CACHE.requests, hits.iter().sum::<u64>() + miss.get()),
            (&CACHE.misses, miss.get()),
            (&CACHE.prefetches, prefetches.get()),
            (&CACHE.stale, old_records + old_denials),
        ] {
            let metrics = counter(described, &["", "", ""], count).into_iter().collect();
            families.push(family(described, MetricType::COUNTER, metrics));
        }
        families.retain(|family| !family.get_metric().is_empty());
        families
    }
}
