//! Every family, in the order of the table of `docs/dns.md`: the one place where one is added.

use super::Family;
use prometheus::proto::MetricType;

/// Each list with what it holds, as `NAME = KIND "name" ["label"] "meaning";`.
macro_rules! families {
    ($(#[$attribute:meta])* $list:ident; $($name:ident = $kind:ident $text:literal [$($label:literal),*] $help:literal;)+) => {
        $(pub(in crate::metrics) static $name: Family = Family {
            name: $text,
            kind: MetricType::$kind,
            labels: &[$($label),*],
            help: $help,
        };)+
        $(#[$attribute])*
        pub(in crate::metrics) static $list: &[&Family] = &[$(&$name),+];
    };
}

// Our own.
families! { #[cfg(test)] OWN;
    REQUESTS = COUNTER "tidegate_dns_requests_total" ["proto", "type", "rcode"]
        "Questions answered, by transport, type and code; rare types and codes are other.";
    DURATIONS = HISTOGRAM "tidegate_dns_request_duration_seconds" ["proto", "source"]
        "Time from a question to its answer, from the zone, from upstream or from the cache.";
    DROPPED = COUNTER "tidegate_dns_dropped_total" ["reason"]
        "Packets and connections left without an answer: short, long (over 2,048 bytes), response (no question), \
         port (from port 0), broadcast (sent to more than one host), connections (too many of one client), buffer \
         (no room in a socket's buffer, counted once a second), overload (waited for more than a second, where \
         newer ones are answered first), client (asked more than twice --dns-client-limit), acl (a Corefile's has it \
         so), closed (nothing is served there any more), flood (a connection of HTTPS over which too much came \
         besides questions), untaken (a connection whose client does not take its answers).";
    RATE_LIMITED = COUNTER "tidegate_dns_rate_limited_total" ["action"]
        "Answers over UDP that were more than --dns-rate-limit, by what became of them, or would have: slip (cut, so \
         that the client asks over TCP), drop, badcookie (the client is to ask again with the cookie that it gets).";
    CONNECTIONS = GAUGE "tidegate_dns_tcp_connections" []
        "Open connections of DNS over TCP.";
    ACCEPT_FAILURES = COUNTER "tidegate_dns_accept_failures_total" []
        "Tries to accept a connection that failed, as for want of file descriptors; one is made ten times a second then.";
    WAITING = GAUGE "tidegate_dns_waiting" []
        "Questions that wait for upstreams now, and answers that are fetched with nobody waiting.";
    UNTAKEN = GAUGE "tidegate_dns_untaken_bytes" []
        "Answers over TCP, TLS and HTTPS that wait for clients to take them, beyond 4 KiB of each connection.";
    HELD_BACK = COUNTER "tidegate_dns_held_back_total" []
        "Questions of clients that asked more than --dns-client-limit, refused or dropped.";
    RELOADS_REFUSED = COUNTER "tidegate_dns_reloads_refused_total" []
        "Changes of the Corefile that could not be taken; what was served before went on.";
    HTTPS = COUNTER "coredns_dns_https_responses_total" ["server", "status"]
        "Answers over HTTPS by their status.";
    FORWARD_FAILURES = COUNTER "tidegate_dns_forward_failures_total" ["reason"]
        "Questions that no upstream answered: busy (too many wait), loop (an upstream leads back to this server), down \
         (all are), no_socket (this host has none left), unanswered, malformed.";
    FORWARD_BROKEN = COUNTER "tidegate_dns_forward_broken_total" []
        "Questions that came while all upstreams that they may go to were down.";
    UPSTREAM_DURATIONS = HISTOGRAM "tidegate_dns_upstream_request_duration_seconds" ["to", "rcode"]
        "Time that an upstream took to answer, by the code of its answer.";
    UPSTREAM_FAILURES = COUNTER "tidegate_dns_upstream_failures_total" ["to"]
        "Tries that an upstream did not answer in time, not wholly or not at all.";
    UPSTREAM_MISMATCHES = COUNTER "tidegate_dns_upstream_mismatches_total" ["to"]
        "Packets from upstreams that answer another question than the one sent.";
    UPSTREAM_FAILED_CHECKS = COUNTER "tidegate_dns_upstream_failed_checks_total" ["to"]
        "Health checks that an upstream did not answer; they begin after a failure and end with an answer.";
    UPSTREAM_CONNECTIONS = COUNTER "tidegate_dns_upstream_connections_total" ["to", "proto", "result"]
        "Questions over TCP (proto tcp) and TLS (tcp-tls), by whether their connection was kept from before or is new.";
}

// Of caches.
families! { OWN_CACHE;
    CACHE_REQUESTS = COUNTER "tidegate_dns_cache_requests_total" ["result", "type"]
        "Questions for names outside the zone: hit (the answer was kept), miss (upstreams were asked), stale (upstreams \
         failed, or were slow, and an answer that is over was given), failed (they had failed a moment ago).";
    CACHE_ENTRIES = GAUGE "tidegate_dns_cache_entries" ["type"]
        "Answers that are kept, of type success, or denial, which failures count as.";
    CACHE_EVICTIONS = COUNTER "tidegate_dns_cache_evictions_total" ["type"]
        "Answers that were thrown away to make room.";
    CACHE_PREFETCHES = COUNTER "tidegate_dns_cache_prefetches_total" []
        "Answers that were fetched again before they were over.";
}

// Those that CoreDNS has by the same names, with the labels that they have there: of its plugin `metrics`.
families! { CORE;
    COREDNS_BUILD_INFO = GAUGE "coredns_build_info" ["version", "revision", "goversion"]
        "1, with the version of Tidegate.";
    COREDNS_REQUESTS = COUNTER "coredns_dns_requests_total" ["server", "zone", "view", "proto", "family", "type"]
        "Questions that were answered, or that `acl` dropped, by server and zone, transport, the client's address family \
         (1: IPv4, 2: IPv6) and type; zone is dropped where the name is in none.";
    COREDNS_DURATIONS = HISTOGRAM "coredns_dns_request_duration_seconds" ["server", "zone", "view"]
        "Time from a question to its answer.";
    COREDNS_QUESTION_SIZES = HISTOGRAM "coredns_dns_request_size_bytes" ["server", "zone", "view", "proto"]
        "Length of questions.";
    COREDNS_DNSSEC = COUNTER "coredns_dns_do_requests_total" ["server", "zone", "view"]
        "Questions with the DO bit.";
    COREDNS_ANSWER_SIZES = HISTOGRAM "coredns_dns_response_size_bytes" ["server", "zone", "view", "proto"]
        "Length of answers.";
    COREDNS_RESPONSES = COUNTER "coredns_dns_responses_total" ["server", "zone", "view", "rcode", "plugin"]
        "Answers by server and zone, code, and the plugin that knew it: kubernetes, k8s_external, forward, cache, hosts, \
         template, acl, any, autopath (the end of a walk), chaos, local, transfer, whoami, or none.";
}

// Of `cache`.
families! { CACHE;
    COREDNS_CACHE_ENTRIES = GAUGE "coredns_cache_entries" ["server", "type", "zones", "view"]
        "Answers that caches keep which were asked at a server: zones are those of the cache, with commas between them, here \
         and below.";
    COREDNS_CACHE_REQUESTS = COUNTER "coredns_cache_requests_total" ["server", "zones", "view"]
        "Questions that a cache was asked, names of the cluster not among them.";
    COREDNS_CACHE_HITS = COUNTER "coredns_cache_hits_total" ["server", "type", "zones", "view"]
        "Questions that a cache answered, also with what is over; failures that it remembers are of type denial.";
    COREDNS_CACHE_MISSES = COUNTER "coredns_cache_misses_total" ["server", "zones", "view"]
        "Questions that upstreams were asked.";
    COREDNS_CACHE_PREFETCHES = COUNTER "coredns_cache_prefetch_total" ["server", "zones", "view"]
        "Answers that were fetched again before they were over.";
    COREDNS_CACHE_DROPS = COUNTER "coredns_cache_drops_total" ["server", "zones", "view"]
        "Answers of upstreams that were malformed, and so not kept; the client is told SERVFAIL.";
    COREDNS_CACHE_STALE = COUNTER "coredns_cache_served_stale_total" ["server", "zones", "view"]
        "Questions that were answered with what is over.";
    COREDNS_CACHE_EVICTIONS = COUNTER "coredns_cache_evictions_total" ["server", "type", "zones", "view"]
        "Answers that were thrown away to make room, for the server that a cache was first asked at.";
}

// Of `forward` (its packages `forward` and `proxy`).
families! { #[cfg(test)] FORWARD;
    COREDNS_FORWARD_BROKEN = COUNTER "coredns_forward_healthcheck_broken_total" []
        "The same as `tidegate_dns_forward_broken_total`.";
    COREDNS_FORWARD_REJECTS = COUNTER "coredns_forward_max_concurrent_rejects_total" []
        "Questions that were not asked since too many waited: those of `tidegate_dns_forward_failures_total` that are busy.";
    COREDNS_FORWARD_DURATIONS = HISTOGRAM "coredns_proxy_request_duration_seconds" ["proxy_name", "to", "rcode"]
        "The same as `tidegate_dns_upstream_request_duration_seconds`; proxy_name is forward.";
    COREDNS_FORWARD_FAILED_CHECKS = COUNTER "coredns_proxy_healthcheck_failures_total" ["proxy_name", "to"]
        "The same as `tidegate_dns_upstream_failed_checks_total`.";
    COREDNS_FORWARD_KEPT_CONNECTIONS = COUNTER "coredns_proxy_conn_cache_hits_total" ["proxy_name", "to", "proto"]
        "Questions over TCP (proto tcp) and TLS (tcp-tls) on a connection that was kept; UDP keeps none.";
    COREDNS_FORWARD_NEW_CONNECTIONS = COUNTER "coredns_proxy_conn_cache_misses_total" ["proxy_name", "to", "proto"]
        "Questions over TCP and TLS for which a connection was made.";
}

// Of `reload`.
families! { #[cfg(test)] RELOAD;
    COREDNS_RELOAD_FAILED = COUNTER "coredns_reload_failed_total" []
        "The same as `tidegate_dns_reloads_refused_total`.";
}

// Of what is served now: `metrics`, `reload`, `hosts`.
families! { CONFIGURED;
    COREDNS_PLUGIN_ENABLED = GAUGE "coredns_plugin_enabled" ["server", "zone", "view", "name"]
        "1 for each plugin that takes part in answers for a zone; those that set up a server alone, as bind or health, do not.";
    COREDNS_RELOAD_VERSION = GAUGE "coredns_reload_version_info" ["hash", "value"]
        "1, with the SHA-512 of the Corefile that is served as `tidegate check` prints it, so that replicas can be compared; \
         CoreDNS's is another for the same file.";
    COREDNS_HOSTS_ENTRIES = GAUGE "coredns_hosts_entries" ["hostsfile"]
        "Addresses of names and names of addresses in each `hosts`, of its file and the Corefile; those with the same file together.";
    COREDNS_HOSTS_CHANGED = GAUGE "coredns_hosts_reload_timestamp_seconds" []
        "When the newest file of a `hosts` that was read was last changed; 0: none was read.";
}

// Of parts of a block: `acl`, `autopath`, `dns64`, `template`, `local`.
families! { #[cfg(test)] PARTS;
    COREDNS_ACL_BLOCKED = COUNTER "coredns_acl_blocked_requests_total" ["server", "zone", "view"]
        "Questions that `acl` refused; zone is the list's.";
    COREDNS_ACL_FILTERED = COUNTER "coredns_acl_filtered_requests_total" ["server", "zone", "view"]
        "Questions that `acl` gave an empty answer.";
    COREDNS_ACL_DROPPED = COUNTER "coredns_acl_dropped_requests_total" ["server", "zone", "view"]
        "Questions that `acl` left without an answer.";
    COREDNS_ACL_ALLOWED = COUNTER "coredns_acl_allowed_requests_total" ["server", "view"]
        "Questions that `acl` let pass, those of no list among them.";
    COREDNS_AUTOPATH_SUCCESS = COUNTER "coredns_autopath_success_total" ["server"]
        "Walks through a search list that came to a name that exists.";
    COREDNS_DNS64_TRANSLATED = COUNTER "coredns_dns64_requests_translated_total" ["server"]
        "Questions for AAAA records that were answered by way of A records.";
    COREDNS_TEMPLATE_MATCHES = COUNTER "coredns_template_matches_total" ["server", "zone", "view", "class", "type"]
        "Questions that a `template` answered, by the template's zone and the question's class and type.";
    COREDNS_TEMPLATE_RECORD_FAILURES = COUNTER "coredns_template_rr_failures_total" ["server", "zone", "view", "class", "type", "section", "template"]
        "Records that a `template` could not make of a question; template is how the record is written.";
    COREDNS_LOCALHOST = COUNTER "coredns_local_localhost_requests_total" []
        "Questions for localhost with a domain behind it, which `local` answers.";
}
