//! Families that plugins of CoreDNS have beside those of its core, with the labels that they have there.

use super::Family;

/// Those of `forward` (its packages `forward` and `proxy`).
#[derive(Debug)]
pub(in crate::metrics) struct ForwardFamilies {
    pub(in crate::metrics) broken: Family,
    pub(in crate::metrics) rejects: Family,
    pub(in crate::metrics) durations: Family,
    pub(in crate::metrics) failed_checks: Family,
    pub(in crate::metrics) kept_connections: Family,
    pub(in crate::metrics) new_connections: Family,
}

pub(in crate::metrics) static FORWARD: ForwardFamilies = ForwardFamilies {
    broken: Family {
        name: "coredns_forward_healthcheck_broken_total",
        labels: &[],
        help: "The same as `tidegate_dns_forward_broken_total`.",
    },
    rejects: Family {
        name: "coredns_forward_max_concurrent_rejects_total",
        labels: &[],
        help: "Questions that were not asked since too many waited: those of `tidegate_dns_forward_failures_total` that are busy.",
    },
    durations: Family {
        name: "coredns_proxy_request_duration_seconds",
        labels: &["proxy_name", "to", "rcode"],
        help: "The same as `tidegate_dns_upstream_request_duration_seconds`; proxy_name is forward.",
    },
    failed_checks: Family {
        name: "coredns_proxy_healthcheck_failures_total",
        labels: &["proxy_name", "to"],
        help: "The same as `tidegate_dns_upstream_failed_checks_total`.",
    },
    kept_connections: Family {
        name: "coredns_proxy_conn_cache_hits_total",
        labels: &["proxy_name", "to", "proto"],
        help: "Questions over TCP (proto tcp) and TLS (tcp-tls) on a connection that was kept; UDP keeps none.",
    },
    new_connections: Family {
        name: "coredns_proxy_conn_cache_misses_total",
        labels: &["proxy_name", "to", "proto"],
        help: "Questions over TCP and TLS for which a connection was made.",
    },
};

impl ForwardFamilies {
    /// In the order of the table.
    #[cfg(test)]
    pub(in crate::metrics) fn all(&self) -> [&Family; 6] {
        let Self { broken, rejects, durations, failed_checks, kept_connections, new_connections } = self;
        [broken, rejects, durations, failed_checks, kept_connections, new_connections]
    }
}
