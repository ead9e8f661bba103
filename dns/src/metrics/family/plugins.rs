//! Families that plugins of CoreDNS have beside those of its core, with the labels that they have there.

use super::Family;

/// Of `reload`.
pub(in crate::metrics) static RELOAD_FAILED: Family = Family {
    name: "coredns_reload_failed_total",
    labels: &[],
    help: "The same as `tidegate_dns_reloads_refused_total`.",
};

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

/// Those of `cache`; all caches are counted together, so server and zones are empty.
#[derive(Debug)]
pub(in crate::metrics) struct CacheFamilies {
    pub(in crate::metrics) entries: Family,
    pub(in crate::metrics) requests: Family,
    pub(in crate::metrics) hits: Family,
    pub(in crate::metrics) misses: Family,
    pub(in crate::metrics) prefetches: Family,
    pub(in crate::metrics) stale: Family,
    pub(in crate::metrics) evictions: Family,
}

pub(in crate::metrics) static CACHE: CacheFamilies = CacheFamilies {
    entries: Family {
        name: "coredns_cache_entries",
        labels: &["server", "type", "zones", "view"],
        help: "The same as `tidegate_dns_cache_entries`, of all caches: server and zones are empty here and below.",
    },
    requests: Family {
        name: "coredns_cache_requests_total",
        labels: &["server", "zones", "view"],
        help: "Questions that a cache was asked, names of the cluster not among them.",
    },
    hits: Family {
        name: "coredns_cache_hits_total",
        labels: &["server", "type", "zones", "view"],
        help: "Questions that a cache answered, also with what is over; failures that it remembers are of type denial.",
    },
    misses: Family {
        name: "coredns_cache_misses_total",
        labels: &["server", "zones", "view"],
        help: "Questions that upstreams were asked.",
    },
    prefetches: Family {
        name: "coredns_cache_prefetch_total",
        labels: &["server", "zones", "view"],
        help: "The same as `tidegate_dns_cache_prefetches_total`.",
    },
    stale: Family {
        name: "coredns_cache_served_stale_total",
        labels: &["server", "zones", "view"],
        help: "Questions that were answered with what is over.",
    },
    evictions: Family {
        name: "coredns_cache_evictions_total",
        labels: &["server", "type", "zones", "view"],
        help: "The same as `tidegate_dns_cache_evictions_total`.",
    },
};

impl CacheFamilies {
    /// In the order of the table.
    pub(in crate::metrics) fn all(&self) -> [&Family; 7] {
        let Self { entries, requests, hits, misses, prefetches, stale, evictions } = self;
        [entries, requests, hits, misses, prefetches, stale, evictions]
    }
}
