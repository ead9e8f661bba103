//! The rows as Prometheus has them.

use super::cells::{self, ANSWERS, DNSSEC, DURATIONS, FAMILIES, QUESTIONS, SECONDS, SIZES};
use super::{PROTOCOLS, Row, Zone, Zones};
use crate::metrics::family::{self, CORE, Family};
use crate::metrics::{CODES, SOURCES, TYPES};
use prometheus::core::{Collector, Desc};
use prometheus::proto::{Bucket, Histogram, LabelPair, Metric, MetricFamily};
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
        Ok(Self { zones, descriptions: Family::descriptions(CORE)? })
    }
}

impl Collector for ZoneCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let all = self.zones.all.load();
        let build = family::COREDNS_BUILD_INFO.sample(&[env!("CARGO_PKG_VERSION"), "", "rust"], 1.0);
        let by_zone: [(&Family, Of); 6] = [
            (&family::COREDNS_REQUESTS, requests),
            (&family::COREDNS_DNSSEC, dnssec),
            (&family::COREDNS_RESPONSES, responses),
            (&family::COREDNS_DURATIONS, durations),
            (&family::COREDNS_QUESTION_SIZES, question_sizes),
            (&family::COREDNS_ANSWER_SIZES, answer_sizes),
        ];
        let by_zone = by_zone.into_iter().map(|(family, of)| family.of(all.iter().flat_map(|zone| of(zone)).collect()));
        std::iter::once(family::COREDNS_BUILD_INFO.of(vec![build])).chain(by_zone).flatten().collect()
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
                metrics.extend(family::COREDNS_REQUESTS.counted(&labels, read(row, cells::request(family, index))));
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
            metrics
                .extend(family::COREDNS_RESPONSES.counted(&[&zone.server, &zone.zone, "", code_name, plugin], count));
        }
    }
    metrics
}

fn dnssec(zone: &Zone) -> Vec<Metric> {
    let count = zone.rows.iter().map(|row| read(row, DNSSEC)).sum();
    family::COREDNS_DNSSEC.counted(&[&zone.server, &zone.zone, ""], count).into_iter().collect()
}

fn durations(zone: &Zone) -> Vec<Metric> {
    let rows: Vec<&Row> = zone.rows.iter().collect();
    let labels = family::COREDNS_DURATIONS.pairs(&[&zone.server, &zone.zone, ""]);
    histogram(&rows, (DURATIONS, 1e-9), &SECONDS, labels).into_iter().collect()
}

fn question_sizes(zone: &Zone) -> Vec<Metric> {
    sizes(zone, &family::COREDNS_QUESTION_SIZES, QUESTIONS)
}

fn answer_sizes(zone: &Zone) -> Vec<Metric> {
    sizes(zone, &family::COREDNS_ANSWER_SIZES, ANSWERS)
}

fn sizes(zone: &Zone, family: &Family, start: usize) -> Vec<Metric> {
    let bounds = SIZES.map(|size| size as f64);
    let of = |(row, proto)| {
        let labels = family.pairs(&[&zone.server, &zone.zone, "", proto]);
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
