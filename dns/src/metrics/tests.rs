use super::family::{CACHE, CONFIGURED, CORE, FORWARD, Family, OWN, OWN_CACHE, PARTS, RELOAD};
use super::*;
use crate::cache::Kind;
use crate::part::harness::block;
use crate::part::hosts::Hosts;
use crate::plan::{self, AclAction};
use crate::serving::At;
use prometheus::proto::{MetricFamily, MetricType};
use std::collections::BTreeSet;
use std::fmt::Write;

fn families() -> Vec<&'static Family> {
    [OWN, OWN_CACHE, CORE, CACHE, FORWARD, RELOAD, CONFIGURED, PARTS].concat()
}

/// Two caches of the same zones, of which one is gone, and one that keeps nothing. The other one is there still.
fn count_cached(metrics: &CacheMetrics) -> Arc<CacheCounts> {
    let caches = [Some("."), Some("."), None].map(|zones| metrics.of_cache(zones.map(str::to_owned)));
    let [first, gone, none] = &caches;
    let row = first.at("dns://:53");
    assert!(Arc::ptr_eq(&row, &gone.at("dns://:53")) && !Arc::ptr_eq(&row, &none.at("dns://:53")));
    row.hit(Kind::Records).add(5);
    row.stale(Kind::Records).add(2);
    gone.at("dns://:53").stale(Kind::Denial).inc();
    row.failed.add(4);
    row.miss.add(3);
    row.prefetches.add(6);
    row.drops.add(2);
    first.at("dns://:54").hit(Kind::Denial).inc();
    first.changed([8, 0], Kind::Denial, 7);
    gone.changed([100, 1], Kind::Records, 0);
    none.at("dns://:53").miss.inc();
    Arc::clone(first)
}

/// Everything, counted once.
fn gathered() -> Vec<MetricFamily> {
    let registry = Registry::new();
    let metrics = Metrics::new(&registry).unwrap();
    let (record_type, code) = (Some(RecordType::A), ResponseCode::NoError);
    let zone = metrics.zones.id("dns://:53", ".");
    assert_eq!(metrics.zones.id("dns://:53", "."), zone);
    let question = Counted { zone, is_ipv4: true, is_dnssec_ok: true, record_type, len: 40 };
    let answered = Answered { question, source: Source::Upstream, code };
    metrics.answered(Transport::Tcp, answered, (300, Duration::from_millis(1)));
    let question = Counted { is_ipv4: false, is_dnssec_ok: false, record_type: None, len: 101, ..question };
    let mut unshared = Unshared::of(&metrics);
    for code in [ResponseCode::NXDomain, ResponseCode::NXDomain, ResponseCode::NotAuth] {
        let answered = Answered { question, source: Source::Cache, code };
        unshared.answered(&metrics, answered, (512, Duration::from_millis(2).into()));
    }
    unshared.share(&metrics);
    unshared.share(&metrics);
    metrics.dropped.with_label_values(&["short"]).inc();
    let dropped = Counted { is_ipv4: true, is_dnssec_ok: true, record_type: Some(RecordType::NSEC3), len: 39, zone };
    metrics.dropped_by_acl(Transport::Udp, dropped);
    metrics.https.with_label_values(&["https://:443", "200"]).inc();
    metrics.forward.failures.with_label_values(&["busy"]).inc();
    let upstream = metrics.forward.of_upstream("192.0.2.1:53");
    upstream.answered(ResponseCode::NXDomain, Duration::from_millis(3));
    upstream.connections(true, false).inc();
    upstream.connections(false, true).inc_by(2);
    upstream.failed_checks.inc();
    metrics.forward.broken.inc_by(3);
    metrics.reloads_refused.inc_by(2);
    let _cache = count_cached(&metrics.cache);
    let at = At { transport: plan::Transport::Dns, address: "[::]:53".parse().unwrap() };
    let enabled = Enabled::new(at, &plan::Zone::parse("example.org").unwrap(), "hosts");
    let hosts =
        block("hosts /nonexistent {\n 192.0.2.1 a.example.org b.example.org\n 192.0.2.1 a.example.org\n}").hosts;
    let hosts = vec![Arc::new(Hosts::new(&hosts.unwrap()))];
    metrics.configured.store(Arc::new(Configured { enabled: vec![enabled], digest: Some("beef".to_owned()), hosts }));
    let server = metrics.parts.of_server("dns://:53".to_owned());
    for action in [AclAction::Allow, AclAction::Allow, AclAction::Block, AclAction::Filter, AclAction::Drop] {
        server.judged(action, plan::Zone::parse("example.org").ok().as_ref());
    }
    server.walked();
    server.translated();
    let matched = Matched { zone: ".".to_owned(), class: 1, record_type: RecordType::NAPTR };
    server.matched(&matched);
    server.record_failed(&Matched { class: 3, ..matched }, "answer", "{{ .Name }} A {{ .Name }}");
    assert!(Metrics::new(&registry).is_err(), "registered twice");
    registry.gather()
}

#[test]
fn every_family_is_collected_as_it_is_described() {
    let gathered = gathered();
    let names: BTreeSet<_> = families().into_iter().map(|family| family.name).collect();
    assert_eq!(gathered.iter().map(MetricFamily::name).collect::<BTreeSet<_>>(), names);
    for family in families() {
        let found = gathered.iter().find(|found| found.name() == family.name).unwrap();
        assert_eq!((found.help(), found.get_field_type()), (family.help, family.kind), "{}", family.name);
        for metric in found.get_metric() {
            let labels: BTreeSet<_> = metric.get_label().iter().map(|label| label.name()).collect();
            assert_eq!(labels, family.labels.iter().copied().collect(), "{}", family.name);
        }
    }
}

#[test]
fn an_answer_is_counted_under_its_labels() {
    let gathered = gathered();
    let text = prometheus::TextEncoder::new().encode_to_string(&gathered).unwrap();
    for sample in [
        "tidegate_dns_requests_total{proto=\"tcp\",rcode=\"NOERROR\",type=\"A\"} 1",
        "tidegate_dns_request_duration_seconds_bucket{proto=\"tcp\",source=\"upstream\",le=\"0.0005\"} 0",
        "tidegate_dns_request_duration_seconds_bucket{proto=\"tcp\",source=\"upstream\",le=\"0.001\"} 1",
        "tidegate_dns_request_duration_seconds_count{proto=\"udp\",source=\"zone\"} 0",
        "tidegate_dns_requests_total{proto=\"udp\",rcode=\"NXDOMAIN\",type=\"other\"} 2",
        "tidegate_dns_requests_total{proto=\"udp\",rcode=\"other\",type=\"other\"} 1",
        "tidegate_dns_request_duration_seconds_count{proto=\"udp\",source=\"cache\"} 3",
        "tidegate_dns_dropped_total{reason=\"short\"} 1",
        "tidegate_dns_dropped_total{reason=\"acl\"} 1",
        "coredns_dns_requests_total{family=\"1\",proto=\"udp\",server=\"dns://:53\",type=\"NSEC3\",view=\"\",zone=\".\"} 1",
        "coredns_dns_requests_total{family=\"1\",proto=\"tcp\",server=\"dns://:53\",type=\"A\",view=\"\",zone=\".\"} 1",
        "coredns_dns_requests_total{family=\"2\",proto=\"udp\",server=\"dns://:53\",type=\"other\",view=\"\",zone=\".\"} 3",
        "coredns_dns_responses_total{plugin=\"forward\",rcode=\"NOERROR\",server=\"dns://:53\",view=\"\",zone=\".\"} 1",
        "coredns_dns_responses_total{plugin=\"cache\",rcode=\"NXDOMAIN\",server=\"dns://:53\",view=\"\",zone=\".\"} 2",
        "coredns_dns_do_requests_total{server=\"dns://:53\",view=\"\",zone=\".\"} 2",
        "coredns_dns_request_duration_seconds_bucket{server=\"dns://:53\",view=\"\",zone=\".\",le=\"0.001\"} 1",
        "coredns_dns_request_duration_seconds_bucket{server=\"dns://:53\",view=\"\",zone=\".\",le=\"0.002\"} 4",
        "coredns_dns_request_duration_seconds_sum{server=\"dns://:53\",view=\"\",zone=\".\"} 0.007",
        "coredns_dns_request_size_bytes_bucket{proto=\"udp\",server=\"dns://:53\",view=\"\",zone=\".\",le=\"100\"} 1",
        "coredns_dns_request_size_bytes_sum{proto=\"udp\",server=\"dns://:53\",view=\"\",zone=\".\"} 342",
        "coredns_dns_response_size_bytes_bucket{proto=\"tcp\",server=\"dns://:53\",view=\"\",zone=\".\",le=\"300\"} 1",
        "coredns_dns_response_size_bytes_bucket{proto=\"udp\",server=\"dns://:53\",view=\"\",zone=\".\",le=\"511\"} 0",
        "coredns_dns_response_size_bytes_count{proto=\"udp\",server=\"dns://:53\",view=\"\",zone=\".\"} 3",
        "tidegate_dns_upstream_request_duration_seconds_count{rcode=\"NXDOMAIN\",to=\"192.0.2.1:53\"} 1",
        "tidegate_dns_cache_requests_total{result=\"miss\",type=\"\"} 4",
        "tidegate_dns_cache_requests_total{result=\"stale\",type=\"denial\"} 1",
        "tidegate_dns_cache_entries{type=\"success\"} 8",
        "tidegate_dns_cache_evictions_total{type=\"success\"} 0",
        "coredns_cache_entries{server=\"dns://:53\",type=\"success\",view=\"\",zones=\".\"} 8",
        "coredns_cache_entries{server=\"dns://:54\",type=\"success\",view=\"\",zones=\".\"} 8",
        "coredns_cache_requests_total{server=\"dns://:53\",view=\"\",zones=\".\"} 15",
        "coredns_cache_hits_total{server=\"dns://:53\",type=\"success\",view=\"\",zones=\".\"} 7",
        "coredns_cache_hits_total{server=\"dns://:53\",type=\"denial\",view=\"\",zones=\".\"} 5",
        "coredns_cache_hits_total{server=\"dns://:54\",type=\"denial\",view=\"\",zones=\".\"} 1",
        "coredns_cache_misses_total{server=\"dns://:53\",view=\"\",zones=\".\"} 3",
        "coredns_cache_prefetch_total{server=\"dns://:53\",view=\"\",zones=\".\"} 6",
        "coredns_cache_drops_total{server=\"dns://:53\",view=\"\",zones=\".\"} 2",
        "coredns_cache_served_stale_total{server=\"dns://:53\",view=\"\",zones=\".\"} 3",
        "coredns_cache_evictions_total{server=\"dns://:53\",type=\"denial\",view=\"\",zones=\".\"} 7",
        "coredns_reload_failed_total 2",
        "coredns_plugin_enabled{name=\"hosts\",server=\"dns://:53\",view=\"\",zone=\"example.org.\"} 1",
        "coredns_acl_allowed_requests_total{server=\"dns://:53\",view=\"\"} 2",
        "coredns_acl_blocked_requests_total{server=\"dns://:53\",view=\"\",zone=\"example.org.\"} 1",
        "coredns_autopath_success_total{server=\"dns://:53\"} 1",
        "coredns_template_matches_total{class=\"IN\",server=\"dns://:53\",type=\"other\",view=\"\",zone=\".\"} 1",
        "coredns_template_rr_failures_total{class=\"CH\",section=\"answer\",server=\"dns://:53\",\
         template=\"{{ .Name }} A {{ .Name }}\",type=\"other\",view=\"\",zone=\".\"} 1",
        "coredns_reload_version_info{hash=\"sha512\",value=\"beef\"} 1",
        "coredns_hosts_entries{hostsfile=\"/nonexistent\"} 4",
        "coredns_hosts_reload_timestamp_seconds 0",
        "coredns_forward_healthcheck_broken_total 3",
        "coredns_forward_max_concurrent_rejects_total 1",
        "coredns_proxy_request_duration_seconds_bucket{proxy_name=\"forward\",rcode=\"NXDOMAIN\",to=\"192.0.2.1:53\",le=\"0.002\"} 0",
        "coredns_proxy_request_duration_seconds_bucket{proxy_name=\"forward\",rcode=\"NXDOMAIN\",to=\"192.0.2.1:53\",le=\"0.004\"} 1",
        "coredns_proxy_healthcheck_failures_total{proxy_name=\"forward\",to=\"192.0.2.1:53\"} 1",
        "coredns_proxy_conn_cache_hits_total{proto=\"tcp\",proxy_name=\"forward\",to=\"192.0.2.1:53\"} 1",
        "coredns_proxy_conn_cache_misses_total{proto=\"tcp-tls\",proxy_name=\"forward\",to=\"192.0.2.1:53\"} 2",
        "tidegate_dns_upstream_failures_total{to=\"192.0.2.1:53\"} 0",
    ] {
        assert!(text.lines().any(|line| line == sample), "{sample} is not in\n{text}");
    }
}

/// The list of CoreDNS 1.15 (`plugin/metrics/vars/monitor.go`).
#[test]
fn types_have_the_names_that_coredns_gives_them() {
    let mut names: Vec<_> = TYPES.iter().map(|(_, name)| *name).collect();
    names.sort_unstable();
    let expected = "A AAAA ANY AXFR CNAME DNSKEY DS HTTPS IXFR MX NS NSEC NSEC3 PTR RRSIG SOA SRV SVCB TXT other";
    assert_eq!(names.join(" "), expected);
    for (record_type, name) in TYPES.iter().filter(|(_, name)| *name != OTHER) {
        assert_eq!(record_type.to_string(), *name);
    }
}

#[test]
fn sources_are_counted_in_their_places() {
    for (place, (source, _)) in SOURCES.iter().enumerate() {
        assert_eq!(source.index(), place, "{source:?}");
    }
    assert_eq!(Source::Itself.index() + 1, SOURCES.len(), "there is no other");
}

fn documented() -> String {
    let mut table = "| name | type | labels | meaning |\n| --- | --- | --- | --- |\n".to_owned();
    for family in families() {
        let kind = match family.kind {
            MetricType::COUNTER => "counter",
            MetricType::GAUGE => "gauge",
            MetricType::HISTOGRAM => "histogram",
            MetricType::SUMMARY | MetricType::UNTYPED => panic!("{} is of no type that is used", family.name),
        };
        let labels: Vec<_> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        writeln!(table, "| `{}` | {kind} | {} | {} |", family.name, labels.join(", "), family.help).unwrap();
    }
    table
}

/// `UPDATE_DOCS=1` rewrites the table.
#[test]
fn every_family_is_documented() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/dns.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (begin, end) = ("<!-- begin: metrics of DNS -->\n\n", "\n<!-- end -->");
    let (before, rest) = text.split_once(begin).expect("the mark before the table");
    let (table, after) = rest.split_once(end).expect("the mark behind the table");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, format!("{before}{begin}{}{end}{after}", documented())).unwrap();
    } else {
        assert_eq!(table, documented(), "UPDATE_DOCS=1 rewrites the table");
    }
}
