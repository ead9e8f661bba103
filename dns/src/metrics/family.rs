//! Every family by name: the one list from which metrics and the table of `docs/dns.md` are made.

mod plugins;

pub(super) use plugins::{CACHE, FORWARD, RELOAD_FAILED};
use prometheus::core::{Collector, Desc};
use prometheus::{HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};
use std::collections::HashMap;

/// A metric family.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) labels: &'static [&'static str],
    pub(super) help: &'static str,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Families {
    pub(super) requests: Family,
    pub(super) durations: Family,
    pub(super) dropped: Family,
    pub(super) rate_limited: Family,
    pub(super) connections: Family,
    pub(super) waiting: Family,
    pub(super) held_back: Family,
    pub(super) reloads_refused: Family,
    pub(super) log_lost: Family,
    pub(super) https: Family,
    pub(super) forward_failures: Family,
    pub(super) forward_broken: Family,
    pub(super) upstream_durations: Family,
    pub(super) upstream_failures: Family,
    pub(super) upstream_mismatches: Family,
    pub(super) upstream_failed_checks: Family,
    pub(super) upstream_connections: Family,
    pub(super) cache_requests: Family,
    pub(super) cache_entries: Family,
    pub(super) cache_evictions: Family,
    pub(super) cache_prefetches: Family,
}

pub(super) const FAMILIES: Families = Families {
    requests: Family {
        name: "tidegate_dns_requests_total",
        labels: &["proto", "type", "rcode"],
        help: "Questions answered, by transport, type and code; rare types and codes are other.",
    },
    durations: Family {
        name: "tidegate_dns_request_duration_seconds",
        labels: &["proto", "source"],
        help: "Time from a question to its answer, from the zone, from upstream or from the cache.",
    },
    dropped: Family {
        name: "tidegate_dns_dropped_total",
        labels: &["reason"],
        help: "Packets and connections left without an answer: short, long (over 2,048 bytes), response (no question), \
               port (from port 0), broadcast (sent to more than one host), connections (too many of one client), buffer \
               (no room in a socket's buffer, counted once a second), overload (waited for more than a second, where \
               newer ones are answered first), client (asked more than twice --dns-client-limit).",
    },
    rate_limited: Family {
        name: "tidegate_dns_rate_limited_total",
        labels: &["action"],
        help: "Answers over UDP that were more than --dns-rate-limit, by what became of them, or would have: slip (cut, so \
               that the client asks over TCP), drop, badcookie (the client is to ask again with the cookie that it gets).",
    },
    connections: Family {
        name: "tidegate_dns_tcp_connections",
        labels: &[],
        help: "Open connections of DNS over TCP.",
    },
    waiting: Family {
        name: "tidegate_dns_waiting",
        labels: &[],
        help: "Questions that wait for upstreams now, and answers that are fetched behind others.",
    },
    held_back: Family {
        name: "tidegate_dns_held_back_total",
        labels: &[],
        help: "Questions of clients that asked more than --dns-client-limit, refused or dropped.",
    },
    reloads_refused: Family {
        name: "tidegate_dns_reloads_refused_total",
        labels: &[],
        help: "Changes of the Corefile that could not be taken; what was served before went on.",
    },
    log_lost: Family {
        name: "tidegate_dns_log_lost_total",
        labels: &[],
        help: "Lines of `log` and `errors` that the log's reader was too slow for.",
    },
    https: Family {
        name: "coredns_dns_https_responses_total",
        labels: &["server", "status"],
        help: "Answers over HTTPS by their status.",
    },
    forward_failures: Family {
        name: "tidegate_dns_forward_failures_total",
        labels: &["reason"],
        help: "Questions that no upstream answered: busy (too many wait), loop (an upstream leads back to this server), down \
               (all are), no_socket (this host has none left), unanswered, malformed.",
    },
    forward_broken: Family {
        name: "tidegate_dns_forward_broken_total",
        labels: &[],
        help: "Questions that came while all upstreams that they may go to were down.",
    },
    upstream_durations: Family {
        name: "tidegate_dns_upstream_request_duration_seconds",
        labels: &["to", "rcode"],
        help: "Time that an upstream took to answer, by the code of its answer.",
    },
    upstream_failures: Family {
        name: "tidegate_dns_upstream_failures_total",
        labels: &["to"],
        help: "Tries that an upstream did not answer in time, not wholly or not at all.",
    },
    upstream_mismatches: Family {
        name: "tidegate_dns_upstream_mismatches_total",
        labels: &["to"],
        help: "Packets from upstreams that answer another question than the one sent.",
    },
    upstream_failed_checks: Family {
        name: "tidegate_dns_upstream_failed_checks_total",
        labels: &["to"],
        help: "Health checks that an upstream did not answer; they begin after a failure and end with an answer.",
    },
    upstream_connections: Family {
        name: "tidegate_dns_upstream_connections_total",
        labels: &["to", "proto", "result"],
        help: "Questions over TCP (proto tcp) and TLS (tcp-tls), by whether their connection was kept from before or is new.",
    },
    cache_requests: Family {
        name: "tidegate_dns_cache_requests_total",
        labels: &["result", "type"],
        help: "Questions for names outside the zone: hit (the answer was kept), miss (upstreams were asked), stale (upstreams \
               failed, or were slow, and an answer that is over was given), failed (they had failed a moment ago).",
    },
    cache_entries: Family {
        name: "tidegate_dns_cache_entries",
        labels: &["type"],
        help: "Answers that are kept, of type success, or denial, which failures count as.",
    },
    cache_evictions: Family {
        name: "tidegate_dns_cache_evictions_total",
        labels: &["type"],
        help: "Answers that were thrown away to make room.",
    },
    cache_prefetches: Family {
        name: "tidegate_dns_cache_prefetches_total",
        labels: &[],
        help: "Answers that were fetched again before they were over.",
    },
};

/// Those that CoreDNS has by the same names (its plugin `metrics`).
#[derive(Debug)]
pub(super) struct CoreFamilies {
    pub(super) build_info: Family,
    pub(super) requests: Family,
    pub(super) durations: Family,
    pub(super) question_sizes: Family,
    pub(super) dnssec: Family,
    pub(super) answer_sizes: Family,
    pub(super) responses: Family,
}

pub(super) const CORE: CoreFamilies = CoreFamilies {
    build_info: Family {
        name: "coredns_build_info",
        labels: &["version", "revision", "goversion"],
        help: "1, with the version of Tidegate.",
    },
    requests: Family {
        name: "coredns_dns_requests_total",
        labels: &["server", "zone", "view", "proto", "family", "type"],
        help: "Questions answered, by server and zone, transport, the client's address family (1: IPv4, 2: IPv6) and type; \
               zone is dropped where the name is in none.",
    },
    durations: Family {
        name: "coredns_dns_request_duration_seconds",
        labels: &["server", "zone", "view"],
        help: "Time from a question to its answer.",
    },
    question_sizes: Family {
        name: "coredns_dns_request_size_bytes",
        labels: &["server", "zone", "view", "proto"],
        help: "Length of questions.",
    },
    dnssec: Family {
        name: "coredns_dns_do_requests_total",
        labels: &["server", "zone", "view"],
        help: "Questions with the DO bit.",
    },
    answer_sizes: Family {
        name: "coredns_dns_response_size_bytes",
        labels: &["server", "zone", "view", "proto"],
        help: "Length of answers.",
    },
    responses: Family {
        name: "coredns_dns_responses_total",
        labels: &["server", "zone", "view", "rcode", "plugin"],
        help: "Answers by server and zone, code, and the plugin that knew it: kubernetes, forward, cache, hosts, template, or \
               none.",
    },
};

impl CoreFamilies {
    pub(super) fn all(&self) -> [&Family; 7] {
        let Self { build_info, requests, durations, question_sizes, dnssec, answer_sizes, responses } = self;
        [build_info, requests, durations, question_sizes, dnssec, answer_sizes, responses]
    }
}

impl Family {
    pub(super) fn description(&self) -> prometheus::Result<Desc> {
        let labels = self.labels.iter().map(|label| (*label).to_owned()).collect();
        Desc::new(self.name.to_owned(), self.help.to_owned(), labels, HashMap::new())
    }

    pub(super) fn counter(&self, registry: &Registry) -> prometheus::Result<IntCounter> {
        registered(registry, IntCounter::new(self.name, self.help)?)
    }

    pub(super) fn counters(&self, registry: &Registry) -> prometheus::Result<IntCounterVec> {
        registered(registry, IntCounterVec::new(Opts::new(self.name, self.help), self.labels)?)
    }

    pub(super) fn gauge(&self, registry: &Registry) -> prometheus::Result<IntGauge> {
        registered(registry, IntGauge::new(self.name, self.help)?)
    }

    pub(super) fn gauges(&self, registry: &Registry) -> prometheus::Result<IntGaugeVec> {
        registered(registry, IntGaugeVec::new(Opts::new(self.name, self.help), self.labels)?)
    }

    /// With bounds in seconds.
    pub(super) fn histograms(&self, registry: &Registry, bounds: &[f64]) -> prometheus::Result<HistogramVec> {
        let options = HistogramOpts::new(self.name, self.help).buckets(bounds.to_vec());
        registered(registry, HistogramVec::new(options, self.labels)?)
    }
}

fn registered<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> prometheus::Result<C> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}
