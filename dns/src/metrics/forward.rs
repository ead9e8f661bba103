//! What is counted of questions to upstreams.

use super::mirror::Mirror;
use super::{CODES, family, index};
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
            failures: family::FORWARD_FAILURES.counters(registry)?,
            broken: family::FORWARD_BROKEN.counter(registry)?,
            durations: family::UPSTREAM_DURATIONS.histograms(registry, &DURATIONS)?,
            upstream_failures: family::UPSTREAM_FAILURES.counters(registry)?,
            mismatches: family::UPSTREAM_MISMATCHES.counters(registry)?,
            failed_checks: family::UPSTREAM_FAILED_CHECKS.counters(registry)?,
            connections: family::UPSTREAM_CONNECTIONS.counters(registry)?,
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
            Mirror::new(&family::COREDNS_FORWARD_BROKEN, self.broken.clone())?,
            Mirror::new(&family::COREDNS_FORWARD_REJECTS, self.failures.with_label_values(&[Failure::Busy.reason()]))?,
            of_forward(Mirror::new(&family::COREDNS_FORWARD_DURATIONS, self.durations.clone())?),
            of_forward(Mirror::new(&family::COREDNS_FORWARD_FAILED_CHECKS, self.failed_checks.clone())?),
            connections(&family::COREDNS_FORWARD_KEPT_CONNECTIONS, "kept")?,
            connections(&family::COREDNS_FORWARD_NEW_CONNECTIONS, "new")?,
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
