use super::family::of_proxy;
use super::label::{CodeClass, LabelValue, TlsVersion};
use super::*;
use crate::record::{Ending, Phase, Reason, Record};
use crate::tls::{HandshakeFailure, TlsFacts, Verification};
use config::{
    BackendPort, CertificateTable, HostPattern, HostRules, Kind, Listener, ListenerName, PathMatch, PlainHttp,
    Protocol, Rule, RuleOrigin, Split, Target,
};
use prometheus::{TextEncoder, proto::MetricType};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

fn registered() -> (Registry, Metrics) {
    let registry = Registry::new();
    let metrics = Metrics::register(&registry).expect("registered");
    (registry, metrics)
}

fn scrape(registry: &Registry) -> String {
    TextEncoder::new().encode_to_string(&registry.gather()).expect("text")
}

/// The samples whose name begins so, one a line.
fn samples(registry: &Registry, name: &str) -> String {
    scrape(registry).lines().filter(|line| line.starts_with(name)).fold(String::new(), |all, line| all + line + "\n")
}

/// The only sample of that name and labels.
fn value(registry: &Registry, sample: &str) -> Option<String> {
    scrape(registry).lines().find_map(|line| Some(line.strip_prefix(sample)?.strip_prefix(' ')?.to_owned()))
}

fn route(name: &str) -> Arc<ObjectRef> {
    Arc::new(ObjectRef::new(Kind::Ingress, "shop", name))
}

fn backend(service: &str) -> Arc<BackendKey> {
    let port = BackendPort::Name("http".into());
    Arc::new(BackendKey { namespace: "shop".into(), service: service.into(), port })
}

/// A request to `host` that is forwarded, by its route, to the Service `web`.
fn begin(worker: &WorkerMetrics, host: &str, name: &str) -> InFlight {
    worker.begin(worker.guess(host), &route(name), Some(&backend("web")))
}

fn record(name: Option<&str>, service: Option<&str>) -> Record {
    Record {
        method: "GET".to_owned(),
        host: "shop.test".to_owned(),
        path: "/".to_owned(),
        status: 200,
        phase: Phase::Stream,
        route: name.map(route),
        backend: service.map(backend),
        attempts: 1,
        bytes_in: 10,
        bytes_out: 100,
        total: Duration::from_millis(3),
        ..Record::of("192.0.2.1:5000".parse().expect("address"), ListenerName::Http)
    }
}

const WEB: &str = r#"kind="Ingress",namespace="shop",route="web",service_namespace="shop",service="web",port="http""#;

#[test]
fn requests_of_all_workers_are_summed() {
    let (registry, metrics) = registered();
    std::thread::scope(|scope| {
        for number in [1, 2, 3] {
            let metrics = &metrics;
            scope.spawn(move || {
                let worker = metrics.worker();
                for _ in 0..number {
                    worker.observe(&record(Some("web"), Some("web")));
                }
                let failed =
                    Record { status: 503, ending: Ending::Cut, attempts: 2, ..record(Some("web"), Some("web")) };
                worker.observe(&Record { reason: Some(Reason::UpstreamReset), ..failed });
            });
        }
    });
    let of = |name: &str, more: &str| value(&registry, &format!("{name}{{{WEB}{more}}}"));
    for (name, more, expected) in [
        ("tidegate_requests_total", r#",code="2xx""#, "6"),
        ("tidegate_requests_total", r#",code="5xx""#, "3"),
        ("tidegate_requests_cut_total", "", "3"),
        ("tidegate_request_duration_seconds_count", "", "9"),
        ("tidegate_request_duration_seconds_sum", "", "0.027"),
        ("tidegate_request_body_bytes_total", "", "90"),
        ("tidegate_response_body_bytes_total", "", "900"),
        ("tidegate_request_reasons_total", r#",reason="upstream_reset""#, "3"),
        ("tidegate_upstream_attempts_total", "", "12"),
    ] {
        assert_eq!(of(name, more).as_deref(), Some(expected), "{name}");
    }
    assert_eq!(samples(&registry, "tidegate_requests_total").lines().count(), 2);
}

#[test]
fn requests_without_a_route_or_backend_have_empty_labels() {
    let (registry, metrics) = registered();
    let worker = metrics.worker();
    worker.observe(&Record { status: 404, reason: Some(Reason::NoRoute), attempts: 0, ..record(None, None) });
    worker.observe(&Record { status: 308, reason: Some(Reason::RedirectHttps), ..record(Some("web"), None) });
    assert_eq!(
        samples(&registry, "tidegate_request_reasons_total"),
        r#"tidegate_request_reasons_total{kind="",namespace="",route="",service_namespace="",service="",port="",reason="no_route"} 1
tidegate_request_reasons_total{kind="Ingress",namespace="shop",route="web",service_namespace="",service="",port="",reason="redirect_https"} 1
"#
    );
}

#[test]
fn durations_fall_into_their_buckets() {
    let (registry, metrics) = registered();
    let worker = metrics.worker();
    for millis in [1, 2, 60_000, 60_001] {
        worker.observe(&Record { total: Duration::from_millis(millis), ..record(Some("web"), Some("web")) });
    }
    worker.observe(&Record { phase: Phase::Tunnel, total: Duration::from_secs(9), ..record(Some("web"), Some("web")) });
    let bucket = |bound| value(&registry, &format!("tidegate_request_duration_seconds_bucket{{{WEB},le=\"{bound}\"}}"));
    let found = ["0.001", "0.0025", "30", "60", "+Inf"].map(|bound| bucket(bound).expect("a bucket"));
    assert_eq!(found, ["1", "2", "2", "3", "4"]);
    assert_eq!(samples(&registry, "tidegate_request_duration_seconds_sum").split(' ').next_back(), Some("120.004\n"));
}

#[test]
fn only_what_had_begun_can_be_cut() {
    let (registry, metrics) = registered();
    let worker = metrics.worker();
    for phase in [Phase::Head, Phase::Connect, Phase::Wait, Phase::Stream, Phase::Tunnel] {
        worker.observe(&Record { phase, ending: Ending::Cut, ..record(Some("web"), Some("web")) });
    }
    assert_eq!(value(&registry, &format!("tidegate_requests_cut_total{{{WEB}}}")).as_deref(), Some("2"));
}

#[test]
fn guards_bring_gauges_back() {
    let (registry, metrics) = registered();
    let worker = metrics.worker();
    let connections = |registry| {
        ["new", "http1", "http2", "tunnel"]
            .map(|kind| value(registry, &format!("tidegate_connections{{kind=\"{kind}\"}}")).expect("a sample"))
            .join(" ")
    };
    let mut first = worker.hold(Level::Connection(ConnectionKind::New));
    let second = worker.hold(Level::Connection(ConnectionKind::Http2));
    let stream = worker.hold(Level::Http2Stream);
    let upstream = worker.hold(Level::Upstream(UpstreamState::Idle));
    assert_eq!(connections(&registry), "1 0 1 0");
    first.switch(Level::Connection(ConnectionKind::Tunnel));
    assert_eq!(connections(&registry), "0 0 1 1");
    assert_eq!(value(&registry, "tidegate_http2_streams").as_deref(), Some("1"));
    assert_eq!(value(&registry, "tidegate_upstream_connections{state=\"idle\"}").as_deref(), Some("1"));
    let running = begin(&worker, "a.test", "web");
    let in_flight = format!("tidegate_requests_in_flight{{{WEB}}}");
    assert_eq!(value(&registry, &in_flight).as_deref(), Some("1"));
    running.attempt_failed(Reason::ConnectFailed);
    drop((first, second, stream, upstream, running));
    assert_eq!(connections(&registry), "0 0 0 0");
    assert_eq!(value(&registry, "tidegate_http2_streams").as_deref(), Some("0"));
    assert_eq!(value(&registry, "tidegate_upstream_connections{state=\"idle\"}").as_deref(), Some("0"));
    assert_eq!(value(&registry, &in_flight).as_deref(), Some("0"));
    let failures = format!("tidegate_upstream_failures_total{{{WEB},reason=\"connect_failed\"}}");
    assert_eq!(value(&registry, &failures).as_deref(), Some("1"));
}

#[test]
fn series_begin_with_the_first_request_and_end_with_the_route() {
    let (registry, metrics) = registered();
    let worker = metrics.worker();
    assert_eq!(samples(&registry, "tidegate_request"), "");
    for name in ["web", "api"] {
        worker.observe(&record(Some(name), Some("web")));
    }
    worker.observe(&record(None, None));
    let running = begin(&worker, "a.test", "web");
    metrics.retain(|route, backend| &*route.name == "api" && backend.is_some());
    let requests = || samples(&registry, "tidegate_requests_total");
    assert!(!requests().contains("route=\"web\""), "{}", requests());
    assert_eq!(requests().lines().count(), 2);

    worker.observe(&record(Some("web"), Some("web")));
    assert_eq!(value(&registry, &format!("tidegate_requests_total{{{WEB},code=\"2xx\"}}")).as_deref(), Some("1"));
    drop(running);
    assert_eq!(value(&registry, &format!("tidegate_requests_in_flight{{{WEB}}}")).as_deref(), Some("0"));
}

#[test]
fn a_worker_forgets_what_was_dropped() {
    let (_registry, metrics) = registered();
    let worker = metrics.worker();
    for number in 0..100 {
        worker.observe(&record(Some(&format!("route{number}")), Some("web")));
    }
    assert_eq!(worker.known(), 100);
    metrics.retain(|_, _| false);
    worker.observe(&record(Some("web"), Some("web")));
    assert_eq!(worker.known(), 1);
}

#[test]
fn a_wrong_guess_counts_nothing_wrong() {
    let (registry, metrics) = registered();
    let worker = metrics.worker();
    let requests = |name: &str| {
        let labels = WEB.replace("route=\"web\"", &format!("route=\"{name}\""));
        value(&registry, &format!("tidegate_requests_total{{{labels},code=\"2xx\"}}"))
    };
    // Two routes of one host in turn, then a dropped one: what was guessed is always another's.
    for name in ["web", "api", "web", "api"] {
        begin(&worker, "a.test", name).observe(&record(Some(name), Some("web")));
    }
    assert_eq!((requests("web").as_deref(), requests("api").as_deref()), (Some("2"), Some("2")));
    metrics.retain(|route, _| &*route.name == "web");
    begin(&worker, "a.test", "api").observe(&record(Some("api"), Some("web")));
    assert_eq!((requests("web").as_deref(), requests("api").as_deref()), (Some("2"), Some("1")));
    assert_eq!(worker.known(), 2);
}

#[test]
fn routes_and_backends_of_the_table_are_kept() {
    let (registry, metrics) = registered();
    metrics.retain_routed(&RoutingTable::default());
    let worker = metrics.worker();
    for (name, service) in [("web", Some("web")), ("web", Some("old")), ("web", None), ("gone", Some("web"))] {
        worker.observe(&record(Some(name), service));
    }
    let rule = Rule {
        origin: RuleOrigin { object: route("web"), field: "spec.rules[0].http.paths[0]".into() },
        path: PathMatch::prefix("/"),
        plain_http: PlainHttp::Serve,
        action: Action::Forward(Split { targets: [Target { weight: 1, backend: backend("web") }].into() }),
        policy: None,
    };
    let hosts = [Arc::new(HostRules::new(HostPattern::Any, vec![rule]))].into_iter().collect();
    let certificates = Arc::<CertificateTable>::default();
    let listener =
        Listener { name: ListenerName::Http, protocol: Protocol::Http, certificates, hosts: Arc::new(hosts) };
    metrics.retain_routed(&RoutingTable { listeners: vec![listener], client_policies: None });
    assert_eq!(
        samples(&registry, "tidegate_upstream_attempts_total"),
        format!(
            "tidegate_upstream_attempts_total{{{}}} 1\ntidegate_upstream_attempts_total{{{WEB}}} 1\n",
            WEB.replace(
                r#"service_namespace="shop",service="web",port="http""#,
                r#"service_namespace="",service="",port="""#
            )
        )
    );
}

#[test]
fn label_values_are_listed_in_the_order_of_their_slots() {
    fn check<T: LabelValue>() {
        let slots: Vec<_> = T::ALL.iter().map(|value| value.slot()).collect();
        assert_eq!(slots, (0..T::ALL.len()).collect::<Vec<_>>());
        let labels: BTreeSet<_> = T::ALL.iter().map(|value| value.label()).collect();
        assert_eq!(labels.len(), T::ALL.len(), "{labels:?}");
    }
    check::<CodeClass>();
    check::<ConnectionKind>();
    check::<HandshakeFailure>();
    check::<ListenerName>();
    check::<Reason>();
    check::<RefusedFor>();
    check::<TlsVersion>();
    check::<UpstreamProtocol>();
    check::<UpstreamState>();
}

/// Counts everything once.
fn count_everything(metrics: &Metrics) {
    let worker = metrics.worker();
    worker.observe(&Record { reason: Some(Reason::UpstreamReset), ..record(Some("web"), Some("web")) });
    begin(&worker, "a.test", "web").attempt_failed(Reason::ConnectFailed);
    worker.accepted(ListenerName::Https);
    worker.refused(RefusedFor::Ceiling);
    let client = Verification::default();
    worker.handshake(&TlsFacts { version: "TLSv1.3", server_name: None, is_h2: true, is_resumed: true, client });
    worker.handshake_failed(HandshakeFailure::NotTls);
    worker.http2_flood();
    worker.upstream_opened(UpstreamProtocol::Http2);
    worker.upstream_reused(UpstreamProtocol::Http1);
    worker.endpoint_ejected();
    metrics.access_log().written.fetch_add(1, Relaxed);
    metrics.set_draining(true);
}

#[test]
fn events_are_counted_under_their_labels() {
    let (registry, metrics) = registered();
    count_everything(&metrics);
    for sample in [
        "tidegate_connections_accepted_total{listener=\"https\"}",
        "tidegate_connections_refused_total{reason=\"ceiling\"}",
        "tidegate_tls_handshakes_total{version=\"TLSv1.3\"}",
        "tidegate_tls_resumptions_total{version=\"TLSv1.3\"}",
        "tidegate_tls_handshake_failures_total{reason=\"not_tls\"}",
        "tidegate_http2_floods_total",
        "tidegate_upstream_connections_opened_total{protocol=\"http2\"}",
        "tidegate_upstream_connections_reused_total{protocol=\"http1\"}",
        "tidegate_endpoint_ejections_total",
        "tidegate_access_log_lines_total",
        "tidegate_draining",
    ] {
        assert_eq!(value(&registry, sample).as_deref(), Some("1"), "{sample}");
    }
}

#[test]
fn every_family_is_collected_as_it_is_described() {
    let (registry, metrics) = registered();
    ProcessCollector::register(&registry).expect("registered");
    count_everything(&metrics);
    let gathered = registry.gather();
    let described: BTreeSet<_> = families().map(|family| family.name).collect();
    assert_eq!(gathered.iter().map(|family| family.name()).collect::<BTreeSet<_>>(), described);
    for family in families() {
        let found = gathered.iter().find(|found| found.name() == family.name).expect("gathered");
        assert_eq!((found.get_field_type(), found.help()), (family.kind, family.help), "{}", family.name);
        for metric in found.get_metric() {
            let labels: Vec<_> = metric.get_label().iter().map(|label| label.name()).collect();
            assert_eq!(labels, family.label_names().collect::<Vec<_>>(), "{}", family.name);
        }
    }
    assert!(Metrics::register(&registry).is_err(), "registered twice");
}

#[test]
fn figures_of_the_process_are_plausible() {
    let registry = Registry::new();
    ProcessCollector::register(&registry).expect("registered");
    let figure = |name| value(&registry, name).expect(name).parse::<f64>().expect("a number");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after the epoch").as_secs_f64();
    let age = now - figure("process_start_time_seconds");
    assert!((-2.0..86400.0).contains(&age), "{age}");
    assert!(figure("process_resident_memory_bytes") > 1024.0 * 1024.0);
    assert!(figure("process_virtual_memory_bytes") >= figure("process_resident_memory_bytes"));
    assert!(figure("process_open_fds") >= 3.0);
    assert!(figure("process_threads") >= 1.0);
    assert!((0.0..86400.0).contains(&figure("process_cpu_seconds_total")));
}

fn families() -> impl Iterator<Item = &'static Family> {
    of_proxy().chain(family::of_process())
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
        let labels = family.labels.iter().map(|label| format!("`{label}`"));
        let by_route = family.is_by_route.then(|| "*route*".to_owned());
        let labels = by_route.into_iter().chain(labels).collect::<Vec<_>>().join(", ");
        writeln!(table, "| `{}` | {kind} | {labels} | {} |", family.name, family.help).expect("written");
    }
    table
}

/// `UPDATE_DOCS=1` rewrites the table.
#[test]
fn every_family_is_documented() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md");
    let text = std::fs::read_to_string(path).expect("docs/metrics.md");
    let (begin, end) = ("<!-- begin: metrics of the proxy and the process -->\n\n", "\n<!-- end -->");
    let (before, rest) = text.split_once(begin).expect("the mark before the table");
    let (table, after) = rest.split_once(end).expect("the mark behind the table");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, format!("{before}{begin}{}{end}{after}", documented())).expect("written");
    } else {
        assert_eq!(table, documented(), "UPDATE_DOCS=1 rewrites the table");
    }
}
