//! What is counted of requests to the API server, under CoreDNS's names (its `plugin/kubernetes/metrics.go`).

use super::registered;
use controller::cluster::RequestObserver;
use prometheus::{DEFAULT_BUCKETS, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};
use std::time::Duration;

/// The code of a request that had no answer, as client-go has it.
const NO_ANSWER: &str = "<error>";

/// Requests by their method and host.
#[derive(Debug)]
pub(super) struct RequestMetrics {
    durations: HistogramVec,
    results: IntCounterVec,
}

impl RequestMetrics {
    pub(super) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let durations = HistogramOpts::new(
            "coredns_kubernetes_rest_client_request_duration_seconds",
            "Time from a request to the API server to the end of its answer, by method (which CoreDNS calls verb) and host; \
             watches are left out.",
        );
        let results = Opts::new(
            "coredns_kubernetes_rest_client_requests_total",
            "Requests to the API server, watches too, by the status of the answer, method and host; code is <error> where \
             there was no answer.",
        );
        let durations = HistogramVec::new(durations.buckets(DEFAULT_BUCKETS.to_vec()), &["verb", "host"]);
        Ok(Self {
            durations: registered(registry, durations)?,
            results: registered(registry, IntCounterVec::new(results, &["code", "method", "host"]))?,
        })
    }
}

impl RequestObserver for RequestMetrics {
    fn answered(&self, method: &'static str, host: &str, code: Option<u16>) {
        let code = code.map_or(NO_ANSWER.to_owned(), |code| code.to_string());
        self.results.with_label_values(&[&*code, method, host]).inc();
    }

    fn ended(&self, method: &'static str, host: &str, took: Duration) {
        self.durations.with_label_values(&[method, host]).observe(took.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As dashboards of CoreDNS have them.
    #[test]
    fn requests_are_counted_under_the_names_of_coredns() {
        let registry = Registry::new();
        let metrics = RequestMetrics::register(&registry).expect("registered");
        let host = "10.96.0.1:443";
        metrics.answered("GET", host, Some(200));
        metrics.answered("GET", host, Some(200));
        metrics.answered("PATCH", host, None);
        metrics.ended("GET", host, Duration::from_millis(20));
        let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).expect("text");
        let of_host = "host=\"10.96.0.1:443\"";
        for (sample, value) in [
            (format!("requests_total{{code=\"200\",{of_host},method=\"GET\"}}"), "2"),
            (format!("requests_total{{code=\"<error>\",{of_host},method=\"PATCH\"}}"), "1"),
            (format!("request_duration_seconds_bucket{{{of_host},verb=\"GET\",le=\"0.01\"}}"), "0"),
            (format!("request_duration_seconds_bucket{{{of_host},verb=\"GET\",le=\"0.025\"}}"), "1"),
            (format!("request_duration_seconds_bucket{{{of_host},verb=\"GET\",le=\"10\"}}"), "1"),
            (format!("request_duration_seconds_sum{{{of_host},verb=\"GET\"}}"), "0.02"),
        ] {
            let line = format!("coredns_kubernetes_rest_client_{sample} {value}");
            assert!(text.lines().any(|known| known == line), "{line} is not in\n{text}");
        }
        // As Go's client has them: 0.005 to 10 s, and all.
        assert_eq!(text.lines().filter(|line| line.contains("_bucket")).count(), 12);
    }
}
