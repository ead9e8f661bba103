//! What is counted of questions to upstreams.

use super::family::{FAMILIES, FORWARD};
use super::mirror::Mirror;
use super::{CODES, index};
use crate::forward::Failure;
use hickory_proto::op::ResponseCode;
use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, Registry};
use std::sync::OnceLock;
use std::time::Duration;

/// As CoreDNS's `coredns_proxy_request_duration_seconds` has them; seconds.
const DURATIONS: [f64; 16] = [
    0.000_25, 0.000_5, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.024, 2.048, 4.096, 8.192,
];

/// Counters of all forwarders.
#[derive(Debug, Clone)]
pub(crate) struct ForwardMetrics {
    /// Questions without an answer from upstream, by reason.
    pub(crate) failures: IntCounterVec,
    /// Questions for which all upstreams were down.
    pub(crate) broken: IntCounter,
    durations: HistogramVec,
    upstream_failures: IntCounterVec,
    mismatches: IntCounterVec,
    failed_checks: IntCounterVec,
    connections: IntCounterVec,
}

/// Counters of one upstream.
#[derive(Debug)]
pub(crate) struct UpstreamMetrics {
    to: String,
    durations: HistogramVec,
    /// By code; made when first needed.
    duration_cells: [OnceLock<Histogram>; CODES.len()],
    /// Tries without a whole answer in time.
    pub(crate) failures: IntCounter,
    /// Packets that were not the answer waited for.
    pub(crate) mismatches: IntCounter,
    /// Health checks without an answer.
    pub(crate) failed_checks: IntCounter,
    connections: IntCounterVec,
}

impl ForwardMetrics {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            failures: FAMILIES.forward_failures.counters(registry)?,
            broken: FAMILIES.forward_broken.counter(registry)?,
            durations: FAMILIES.upstream_durations.histograms(registry, &DURATIONS)?,
            upstream_failures: FAMILIES.upstream_failures.counters(registry)?,
            mismatches: FAMILIES.upstream_mismatches.counters(registry)?,
            failed_checks: FAMILIES.upstream_failed_checks.counters(registry)?,
            connections: FAMILIES.upstream_connections.counters(registry)?,
        };
        metrics.mirrors()?.into_iter().try_for_each(|mirror| registry.register(Box::new(mirror)))?;
        Ok(metrics)
    }

    /// The same as CoreDNS's dashboards look for it.
    fn mirrors(&self) -> prometheus::Result<[Mirror; 6]> {
        let of_forward = |mirror: Mirror| mirror.with("proxy_name", "forward");
        let connections = |family, result| {
            Mirror::new(family, self.connections.clone()).map(|mirror| of_forward(mirror.only("result", result)))
        };
        Ok([
            Mirror::new(&FORWARD.broken, self.broken.clone())?,
            Mirror::new(&FORWARD.rejects, self.failures.with_label_values(&[Failure::Busy.reason()]))?,
            of_forward(Mirror::new(&FORWARD.durations, self.durations.clone())?),
            of_forward(Mirror::new(&FORWARD.failed_checks, self.failed_checks.clone())?),
            connections(&FORWARD.kept_connections, "kept")?,
            connections(&FORWARD.new_connections, "new")?,
        ])
    }

    /// Those of one upstream, as it is called in the label `to`.
    pub(crate) fn of_upstream(&self, to: &str) -> UpstreamMetrics {
        UpstreamMetrics {
            to: to.to_owned(),
            durations: self.durations.clone(),
            duration_cells: Default::default(),
            failures: self.upstream_failures.with_label_values(&[to]),
            mismatches: self.mismatches.with_label_values(&[to]),
            failed_checks: self.failed_checks.with_label_values(&[to]),
            connections: self.connections.clone(),
        }
    }
}

impl UpstreamMetrics {
    /// Questions over connections that were kept, or are new; over TCP or TLS.
    pub(crate) fn connections(&self, is_kept: bool, is_tls: bool) -> IntCounter {
        let (proto, result) = (if is_tls { "tcp-tls" } else { "tcp" }, if is_kept { "kept" } else { "new" });
        self.connections.with_label_values(&[self.to.as_str(), proto, result])
    }

    /// Counts an answer that took so long.
    pub(crate) fn answered(&self, code: ResponseCode, took: Duration) {
        let code_index = index(&CODES, |known| *known == code);
        if let (Some(cell), Some((_, name))) = (self.duration_cells.get(code_index), CODES.get(code_index)) {
            cell.get_or_init(|| self.durations.with_label_values(&[self.to.as_str(), name]))
                .observe(took.as_secs_f64());
        }
    }
}
