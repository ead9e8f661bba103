//! What the server counts; labels are bounded sets, and the counters of the usual path are found by index.

mod family;

use crate::message::Transport;
use family::FAMILIES;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge, Registry};
use std::sync::OnceLock;
use std::time::Duration;

const TYPES: [(RecordType, &str); 14] = [
    (RecordType::A, "A"),
    (RecordType::AAAA, "AAAA"),
    (RecordType::SRV, "SRV"),
    (RecordType::PTR, "PTR"),
    (RecordType::CNAME, "CNAME"),
    (RecordType::TXT, "TXT"),
    (RecordType::MX, "MX"),
    (RecordType::NS, "NS"),
    (RecordType::SOA, "SOA"),
    (RecordType::HTTPS, "HTTPS"),
    (RecordType::SVCB, "SVCB"),
    (RecordType::DS, "DS"),
    (RecordType::ANY, "ANY"),
    (RecordType::ZERO, OTHER),
];

const CODES: [(ResponseCode, &str); 8] = [
    (ResponseCode::NoError, "NOERROR"),
    (ResponseCode::NXDomain, "NXDOMAIN"),
    (ResponseCode::ServFail, "SERVFAIL"),
    (ResponseCode::Refused, "REFUSED"),
    (ResponseCode::FormErr, "FORMERR"),
    (ResponseCode::NotImp, "NOTIMP"),
    (ResponseCode::BADVERS, "BADVERS"),
    (ResponseCode::Unknown(u16::MAX), OTHER),
];

const OTHER: &str = "other";

/// From an answer out of the table to one that a client has given up on; seconds.
const DURATIONS: [f64; 16] =
    [0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

/// Where an answer came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Zone,
    Upstream,
    /// What an upstream has said before.
    Cache,
}

/// Counters and histograms of one server.
#[derive(Debug)]
pub(crate) struct Metrics {
    requests: IntCounterVec,
    /// By transport, type and code; made when first needed, so that only what happened is shown.
    request_cells: [[[OnceLock<IntCounter>; CODES.len()]; TYPES.len()]; 2],
    /// By transport and source.
    durations: [[Histogram; 3]; 2],
    pub(crate) dropped: IntCounterVec,
    pub(crate) connections: IntGauge,
    pub(crate) forward: ForwardMetrics,
    pub(crate) cache: CacheMetrics,
}

/// Counters of the forwarder.
#[derive(Debug, Clone)]
pub(crate) struct ForwardMetrics {
    /// Questions without an answer from upstream, by reason.
    pub(crate) failures: IntCounterVec,
    /// Tries that an upstream did not answer in time or at all.
    pub(crate) upstream_failures: IntCounter,
    /// Packets that were not the answer waited for.
    pub(crate) mismatches: IntCounter,
}

/// What became of questions that are not the cluster's.
#[derive(Debug, Clone)]
pub(crate) struct CacheRequests {
    pub(crate) hit: IntCounter,
    pub(crate) miss: IntCounter,
    pub(crate) stale: IntCounter,
    pub(crate) failed: IntCounter,
}

/// Counters of the cache.
#[derive(Debug, Clone)]
pub(crate) struct CacheMetrics {
    pub(crate) requests: CacheRequests,
    pub(crate) entries: IntGauge,
    pub(crate) evictions: IntCounter,
    pub(crate) prefetches: IntCounter,
}

impl CacheMetrics {
    pub(crate) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let requests = FAMILIES.cache_requests.counters(registry)?;
        let of = |result: &str| requests.with_label_values(&[result]);
        Ok(Self {
            requests: CacheRequests { hit: of("hit"), miss: of("miss"), stale: of("stale"), failed: of("failed") },
            entries: FAMILIES.cache_entries.gauge(registry)?,
            evictions: FAMILIES.cache_evictions.counter(registry)?,
            prefetches: FAMILIES.cache_prefetches.counter(registry)?,
        })
    }
}

impl Metrics {
    /// Registers all.
    pub(crate) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let durations = FAMILIES.durations.histograms(registry, &DURATIONS)?;
        let of =
            |proto: &str| ["zone", "upstream", "cache"].map(|source| durations.with_label_values(&[proto, source]));
        Ok(Self {
            requests: FAMILIES.requests.counters(registry)?,
            request_cells: Default::default(),
            durations: [of("udp"), of("tcp")],
            dropped: FAMILIES.dropped.counters(registry)?,
            connections: FAMILIES.connections.gauge(registry)?,
            forward: ForwardMetrics {
                failures: FAMILIES.forward_failures.counters(registry)?,
                upstream_failures: FAMILIES.upstream_failures.counter(registry)?,
                mismatches: FAMILIES.upstream_mismatches.counter(registry)?,
            },
            cache: CacheMetrics::new(registry)?,
        })
    }

    /// Counts an answer; `None`: no question could be read.
    pub(crate) fn answered(
        &self,
        transport: Transport,
        source: Source,
        (record_type, code): (Option<RecordType>, ResponseCode),
        took: Duration,
    ) {
        let (proto, row) = match transport {
            Transport::Udp => (0, "udp"),
            Transport::Tcp => (1, "tcp"),
        };
        let (type_index, type_name) = find(&TYPES, |known| Some(*known) == record_type);
        let (code_index, code_name) = find(&CODES, |known| *known == code);
        let cells = self.request_cells.get(proto).and_then(|types| types.get(type_index));
        if let Some(cell) = cells.and_then(|codes| codes.get(code_index)) {
            cell.get_or_init(|| self.requests.with_label_values(&[row, type_name, code_name])).inc();
        }
        let source = match source {
            Source::Zone => 0,
            Source::Upstream => 1,
            Source::Cache => 2,
        };
        if let Some(duration) = self.durations.get(proto).and_then(|sources| sources.get(source)) {
            duration.observe(took.as_secs_f64());
        }
    }
}

/// The place of what was looked for, or of the last one.
fn find<K>(known: &[(K, &'static str)], is_it: impl Fn(&K) -> bool) -> (usize, &'static str) {
    let last = known.len().saturating_sub(1);
    let index = known.iter().position(|(key, _)| is_it(key)).unwrap_or(last);
    (index, known.get(index).map_or(OTHER, |(_, name)| name))
}

#[cfg(test)]
mod tests;
