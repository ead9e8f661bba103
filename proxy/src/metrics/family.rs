//! Every family by name: the one list from which descriptions and the table of `docs/metrics.md` are made.

use prometheus::core::Desc;
use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};
use std::collections::HashMap;

/// A metric family.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) kind: MetricType,
    /// Whether [`ROUTE_LABELS`] stand before `labels`.
    pub(super) is_by_route: bool,
    pub(super) labels: &'static [&'static str],
    pub(super) help: &'static str,
}

/// The labels that name a route and its backend; all empty where a request met no route.
const ROUTE_LABELS: &[&str] = &["kind", "namespace", "route", "service_namespace", "service", "port"];

impl Family {
    pub(super) fn label_names(&self) -> impl Iterator<Item = &'static str> {
        let by_route = if self.is_by_route { ROUTE_LABELS } else { &[] };
        by_route.iter().chain(self.labels).copied()
    }

    pub(super) fn description(&self) -> prometheus::Result<Desc> {
        let labels = self.label_names().map(str::to_owned).collect();
        Desc::new(self.name.to_owned(), self.help.to_owned(), labels, HashMap::new())
    }

    pub(super) fn label_pairs<L: AsRef<str>>(&self, values: &[L]) -> Vec<LabelPair> {
        let pair = |(name, value): (&str, &L)| {
            let mut pair = LabelPair::default();
            pair.set_name(name.to_owned());
            pair.set_value(value.as_ref().to_owned());
            pair
        };
        self.label_names().zip(values).map(pair).collect()
    }

    /// A sample of a counter or gauge.
    pub(super) fn sample<L: AsRef<str>>(&self, labels: &[L], value: f64) -> Metric {
        let mut metric = Metric::from_label(self.label_pairs(labels));
        if self.kind == MetricType::GAUGE {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        } else {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        }
        metric
    }

    pub(super) fn of(&self, metrics: Vec<Metric>) -> MetricFamily {
        let mut family = MetricFamily::default();
        family.set_name(self.name.to_owned());
        family.set_help(self.help.to_owned());
        family.set_field_type(self.kind);
        family.set_metric(metrics);
        family
    }
}

macro_rules! families {
    ($list:ident, by route: $by_route:literal; $($name:ident = $kind:ident $text:literal [$($label:literal),*] $help:literal;)+) => {
        $(pub(super) static $name: Family = Family {
            name: $text,
            kind: MetricType::$kind,
            is_by_route: $by_route,
            labels: &[$($label),*],
            help: $help,
        };)+
        static $list: &[&Family] = &[$(&$name),+];
    };
}

families! { ROUTE_FAMILIES, by route: true;
    REQUESTS = COUNTER "tidegate_requests_total" ["code"]
        "Requests by class of the status sent; 499, the client left before one was, is a 4xx.";
    REQUESTS_CUT = COUNTER "tidegate_requests_cut_total" []
        "Requests whose answer was cut after its head.";
    REQUEST_DURATION = HISTOGRAM "tidegate_request_duration_seconds" []
        "Time from a request's head to the end of its answer; tunnels are left out.";
    REQUESTS_IN_FLIGHT = GAUGE "tidegate_requests_in_flight" []
        "Requests that run now.";
    REQUEST_BODY_BYTES = COUNTER "tidegate_request_body_bytes_total" []
        "Body bytes from clients.";
    RESPONSE_BODY_BYTES = COUNTER "tidegate_response_body_bytes_total" []
        "Body bytes to clients.";
    REQUEST_REASONS = COUNTER "tidegate_request_reasons_total" ["reason"]
        "Requests that were answered or ended here, by the reason word of the access log.";
    UPSTREAM_ATTEMPTS = COUNTER "tidegate_upstream_attempts_total" []
        "Tries at an endpoint; more than the requests where some were retried.";
    UPSTREAM_FAILURES = COUNTER "tidegate_upstream_failures_total" ["reason"]
        "Tries at an endpoint that failed, also those that a retry made good.";
}

families! { WORKER_FAMILIES, by route: false;
    CONNECTIONS = GAUGE "tidegate_connections" ["kind"]
        "Open connections of clients: new (nothing known yet), http1, http2, tunnel.";
    CONNECTIONS_ACCEPTED = COUNTER "tidegate_connections_accepted_total" ["listener"]
        "Connections of clients that were accepted.";
    CONNECTIONS_REFUSED = COUNTER "tidegate_connections_refused_total" ["reason"]
        "Times that no connection could be taken: ceiling (too many open), descriptors (none left), error.";
    EXCHANGES = GAUGE "tidegate_exchanges" ["phase"]
        "Requests that run now, by how far they came: a phase of the access log.";
    HTTP2_STREAMS = GAUGE "tidegate_http2_streams" []
        "Open HTTP/2 streams of clients.";
    HTTP2_FLOODS = COUNTER "tidegate_http2_floods_total" []
        "HTTP/2 connections ended with ENHANCE_YOUR_CALM: too many resets, malformed requests or empty frames.";
    HTTP2_UNREAD_UPLOADS = GAUGE "tidegate_http2_unread_upload_bytes" []
        "Bytes of uploads that HTTP/2 clients have sent and no endpoint has taken yet.";
    TLS_HANDSHAKES = COUNTER "tidegate_tls_handshakes_total" ["version"]
        "Finished handshakes with clients.";
    TLS_RESUMPTIONS = COUNTER "tidegate_tls_resumptions_total" ["version"]
        "Finished handshakes that resumed an earlier session.";
    TLS_HANDSHAKE_FAILURES = COUNTER "tidegate_tls_handshake_failures_total" ["reason"]
        "Failed handshakes: timeout, closed, not_tls, incompatible (nothing in common), alert (the client refused), protocol.";
    UPSTREAM_CONNECTIONS = GAUGE "tidegate_upstream_connections" ["state"]
        "Connections to endpoints: connecting, busy, idle (in the pool).";
    UPSTREAM_OPENED = COUNTER "tidegate_upstream_connections_opened_total" ["protocol"]
        "Connections to endpoints that were opened.";
    UPSTREAM_REUSED = COUNTER "tidegate_upstream_connections_reused_total" ["protocol"]
        "Times that a kept connection to an endpoint was used again.";
    ENDPOINT_EJECTIONS = COUNTER "tidegate_endpoint_ejections_total" []
        "Times that an endpoint was set aside since it failed.";
}

families! { OTHER_FAMILIES, by route: false;
    ACCESS_LOG_LINES = COUNTER "tidegate_access_log_lines_total" []
        "Lines of the access log that were written.";
    ACCESS_LOG_DROPPED = COUNTER "tidegate_access_log_dropped_lines_total" ["reason"]
        "Lines of the access log that were dropped: queue_full, write_failed.";
    DRAINING = GAUGE "tidegate_draining" []
        "1 while the process drains.";
}

families! { PROCESS_FAMILIES, by route: false;
    CPU_SECONDS = COUNTER "process_cpu_seconds_total" []
        "CPU time spent, in user and system mode.";
    OPEN_FDS = GAUGE "process_open_fds" []
        "Open file descriptors.";
    MAX_FDS = GAUGE "process_max_fds" []
        "File descriptors that may be open; absent where there is no limit.";
    VIRTUAL_MEMORY = GAUGE "process_virtual_memory_bytes" []
        "Address space in use.";
    RESIDENT_MEMORY = GAUGE "process_resident_memory_bytes" []
        "Memory in RAM.";
    START_TIME = GAUGE "process_start_time_seconds" []
        "When the process started, since the epoch.";
    THREADS = GAUGE "process_threads" []
        "Threads.";
}

/// What [`super::Metrics`] registers.
pub(super) fn of_proxy() -> impl Iterator<Item = &'static Family> {
    [ROUTE_FAMILIES, WORKER_FAMILIES, OTHER_FAMILIES].into_iter().flatten().copied()
}

/// What [`super::ProcessCollector`] registers.
pub(super) fn of_process() -> impl Iterator<Item = &'static Family> {
    PROCESS_FAMILIES.iter().copied()
}
