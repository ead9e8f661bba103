//! The rows as Prometheus has them.

use super::cells::{self, ANSWERS, DNSSEC, DURATIONS, FAMILIES, QUESTIONS, SECONDS, SIZES};
use super::{PROTOCOLS, Row, Zone, Zones};
use crate::metrics::family::{CORE, Family};
use crate::metrics::{CODES, SOURCES, TYPES};
use prometheus::core::{Collector, Desc};
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// By protocol.
const PROTOCOL_NAMES: [&str; PROTOCOLS] = ["udp", "tcp"];
/// As IANA numbers address families, which CoreDNS shows.
const FAMILY_NAMES: [&str; FAMILIES] = ["1", "2"];

/// Makes the metrics of one zone.
type Of = fn(&Zone) -> Vec<Metric>;

/// Collects them.
#[derive(Debug)]
pub(in crate::metrics) struct ZoneCollector {
    zones: Arc<Zones>,
    descriptions: Vec<Desc>,
}

impl ZoneCollector {
    pub(in crate::metrics) fn new(zones: Arc<Zones>) -> prometheus::Result<Self> {
        let descriptions = CORE.all().map(Family::description).into_iter().collect::<Result<_, _>>()?;
        Ok(Self { zones, descriptions })
    }
}

impl Collector for ZoneCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let all = self.zones.all.load();
        let mut build = Metric::from_label(pairs(&CORE.build_info, &[env!("CARGO_PKG_VERSION"), "", "rust"]));
        let mut one = Gauge::default();
        one.set_value(1.0);
        build.set_gauge(one);
        let mut families = vec![family(&CORE.build_info, MetricType::GAUGE, vec![build])];
        let counters: [(&Family, Of); 3] =
            [(&CORE.requests, requests), (&CORE.dnssec, dnssec), (&CORE.responses, responses)];
        for (described, of) in counters {
            families.push(family(described, MetricType::COUNTER, all.iter().flat_map(|zone| of(zone)).collect()));
        }
        let histograms: [(&Family, Of); 3] =
            [(&CORE.durations, durations), (&CORE.question_sizes, question_sizes), (&CORE.answer_sizes, answer_sizes)];
        for (described, of) in histograms {
            families.push(family(described, MetricType::HISTOGRAM, all.iter().flat_map(|zone| of(zone)).collect()));
        }
        families.retain(|family| !family.get_metric().is_empty());
        families
    }
}

fn read(row: &Row, cell: usize) -> u64 {
    row.get(cell).map_or(0, |cell| cell.load(Ordering::Relaxed))
}

fn requests(zone: &Zone) -> Vec<Metric> {
    let mut metrics = Vec::new();
    for (row, proto) in zone.rows.iter().zip(PROTOCOL_NAMES) {
        for (family, family_name) in FAMILY_NAMES.iter().enumerate() {
            for (index, (_, type_name)) in TYPES.iter().enumerate() {
                let labels = [&zone.server, &zone.zone, "", proto, family_name, type_name];
                metrics.extend(counter(&CORE.requests, &labels, read(row, cells::request(family, index))));
            }
        }
    }
    metrics
}

fn responses(zone: &Zone) -> Vec<Metric> {
    let mut metrics = Vec::new();
    for (code, (_, code_name)) in CODES.iter().enumerate() {
        for (source, (_, plugin)) in SOURCES.iter().enumerate() {
            let count = zone.rows.iter().map(|row| read(row, cells::response(code, source))).sum();
            metrics.extend(counter(&CORE.responses, &[&zone.server, &zone.zone, "", code_name, plugin], count));
        }
    }
    metrics
}

fn dnssec(zone: &Zone) -> Vec<Metric> {
    let count = zone.rows.iter().map(|row| read(row, DNSSEC)).sum();
    counter(&CORE.dnssec, &[&zone.server, &zone.zone, ""], count).into_iter().collect()
}

fn durations(zone: &Zone) -> Vec<Metric> {
    let rows: Vec<&Row> = zone.rows.iter().collect();
    let labels = pairs(&CORE.durations, &[&zone.server, &zone.zone, ""]);
    histogram(&rows, (DURATIONS, 1e-9), &SECONDS, labels).into_iter().collect()
}

fn question_sizes(zone: &Zone) -> Vec<Metric> {
    sizes(zone, &CORE.question_sizes, QUESTIONS)
}

fn answer_sizes(zone: &Zone) -> Vec<Metric> {
    sizes(zone, &CORE.answer_sizes, ANSWERS)
}

fn sizes(zone: &Zone, family: &Family, start: usize) -> Vec<Metric> {
    let bounds = SIZES.map(|size| size as f64);
    let of = |(row, proto)| {
        let labels = pairs(family, &[&zone.server, &zone.zone, "", proto]);
        histogram(&[row], (start, 1.0), &bounds, labels)
    };
    zone.rows.iter().zip(PROTOCOL_NAMES).filter_map(of).collect()
}

/// One that counts what is in all of these rows; `None`: nothing is.
fn histogram(rows: &[&Row], (start, unit): (usize, f64), bounds: &[f64], labels: Vec<LabelPair>) -> Option<Metric> {
    let sum = |cell: usize| rows.iter().map(|row| read(row, cell)).sum::<u64>();
    let mut count = 0;
    let mut buckets = Vec::with_capacity(bounds.len());
    for (index, bound) in bounds.iter().enumerate() {
        count += sum(start + 1 + index);
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(*bound);
        bucket.set_cumulative_count(count);
        buckets.push(bucket);
    }
    count += sum(start + 1 + bounds.len());
    let mut histogram = Histogram::default();
    histogram.set_bucket(buckets);
    histogram.set_sample_count(count);
    histogram.set_sample_sum(sum(start) as f64 * unit);
    let mut metric = Metric::from_label(labels);
    metric.set_histogram(histogram);
    (count > 0).then_some(metric)
}

/// One that was ever counted.
pub(in crate::metrics) fn counter(family: &Family, values: &[&str], count: u64) -> Option<Metric> {
    let mut counter = Counter::default();
    counter.set_value(count as f64);
    let mut metric = Metric::from_label(pairs(family, values));
    metric.set_counter(counter);
    (count > 0).then_some(metric)
}

/// In the order that Prometheus has them.
pub(in crate::metrics) fn pairs(family: &Family, values: &[&str]) -> Vec<LabelPair> {
    let mut pairs: Vec<_> = family.labels.iter().zip(values).map(|(name, value)| pair(name, value)).collect();
    pairs.sort_by(|one, other| one.name().cmp(other.name()));
    pairs
}

/// A label.
pub(in crate::metrics) fn pair(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}

pub(in crate::metrics) fn family(described: &Family, kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(described.name.to_owned());
    family.set_help(described.help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}
