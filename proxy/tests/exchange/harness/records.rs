//! What the proxy wrote down of its exchanges: one access record each, and gauges that return to their start.

use super::{PATIENCE, proxy};
use prometheus::core::Collector;
use prometheus::proto::{Metric, MetricType};
use proxy::access_log::{AccessLog, AccessLogThread};
use proxy::metrics::Metrics;
use std::io::{self, Write};
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep, timeout};

/// The access log and the metrics of one proxy.
pub(crate) struct Records {
    lines: UnboundedReceiver<String>,
    thread: Option<AccessLogThread>,
    metrics: Metrics,
    is_complete: bool,
}

impl Records {
    pub(crate) fn start(metrics: Metrics) -> (AccessLog, Self) {
        let (sender, lines) = unbounded_channel();
        let sink = Sink { sender, partial: Vec::new() };
        let (log, thread) =
            AccessLog::start(config::AccessLogFormat::Json, sink, metrics.access_log()).expect("access log");
        (log, Self { lines, thread: Some(thread), metrics, is_complete: false })
    }

    /// The next record: method, path, status, then the reason and `cut` if it has them; `- -` for what was no request.
    pub(crate) async fn next(&mut self) -> String {
        summary(&self.next_line().await)
    }

    /// The next record as it is written.
    pub(crate) async fn next_line(&mut self) -> String {
        timeout(PATIENCE, self.lines.recv()).await.expect("no record").expect("the log runs")
    }

    /// Waits for exactly these records, in any order, and until nothing is under way any more.
    pub(crate) async fn after(&mut self, expected: &[&str]) {
        let mut found = Vec::new();
        while found.len() < expected.len() {
            match timeout(PATIENCE, self.lines.recv()).await {
                Ok(line) => found.push(summary(&line.expect("the log runs"))),
                Err(_) => panic!("only these records: {found:?}"),
            }
        }
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, expected);
        let begun = Instant::now();
        loop {
            let raised = self.raised(|family, labels| {
                let is_exchange = family != "tidegate_connections" && family != "tidegate_upstream_connections";
                is_exchange || labels.contains("tunnel") || labels.contains("busy") || labels.contains("connecting")
            });
            if raised.is_empty() {
                break;
            }
            assert!(begun.elapsed() < PATIENCE, "still under way: {raised:?}");
            sleep(Duration::from_millis(1)).await;
        }
        self.is_complete = true;
    }

    /// The sum of a counter's series.
    pub(crate) fn counted(&self, name: &str) -> u64 {
        let families = self.metrics.collect();
        let family = families.iter().find(|family| family.name() == name);
        let counts = family.expect("it is always there").get_metric().iter();
        counts.map(|metric| metric.get_counter().get_value() as u64).sum()
    }

    /// Waits until a gauge is up for just these labels.
    pub(crate) async fn until_raised(&self, name: &str, expected: &[&str]) {
        let expected: Vec<_> = expected.iter().map(|labels| format!("{name} {labels} 1")).collect();
        let begun = Instant::now();
        loop {
            let raised = self.raised(|family, _| family == name);
            if raised == expected {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{raised:?} instead of {expected:?}");
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// After the proxy was stopped: no record too many, and every gauge at zero.
    pub(crate) fn check_at_end(&mut self) {
        drop(self.thread.take());
        if std::thread::panicking() {
            return;
        }
        if self.is_complete {
            let more: Vec<_> = std::iter::from_fn(|| self.lines.try_recv().ok()).collect();
            assert!(more.is_empty(), "records of nothing: {more:?}");
        }
        let raised = self.raised(|family, _| family != "tidegate_draining");
        assert!(raised.is_empty(), "gauges that stayed up: {raised:?}");
    }

    /// Gauges above zero.
    fn raised(&self, is_wanted: impl Fn(&str, &str) -> bool) -> Vec<String> {
        let mut raised = Vec::new();
        for family in self.metrics.collect().iter().filter(|family| family.get_field_type() == MetricType::GAUGE) {
            for metric in family.get_metric().iter().filter(|metric| metric.get_gauge().get_value() > 0.0) {
                let labels = labels(metric);
                if is_wanted(family.name(), &labels) {
                    raised.push(format!("{} {labels} {}", family.name(), metric.get_gauge().get_value()));
                }
            }
        }
        raised
    }
}

fn labels(metric: &Metric) -> String {
    metric.get_label().iter().map(|label| label.value()).collect::<Vec<_>>().join(" ")
}

fn summary(line: &str) -> String {
    let record: serde_json::Value = serde_json::from_str(line).expect("a JSON line");
    let word = |name: &str| record[name].as_str().unwrap_or("-").to_owned();
    // Only what was read as a request has an id.
    let (method, path) =
        if record["request_id"].is_null() { ("-".to_owned(), "-".to_owned()) } else { (word("method"), word("path")) };
    let mut words = vec![method, path, record["status"].to_string()];
    words.extend(record["reason"].as_str().map(str::to_owned));
    words.extend((word("ending") == "cut").then(|| "cut".to_owned()));
    words.join(" ")
}

/// Takes the log apart into lines.
struct Sink {
    sender: UnboundedSender<String>,
    partial: Vec<u8>,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.partial.extend_from_slice(bytes);
        while let Some(end) = self.partial.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.partial.drain(..=end).collect();
            // Nobody listens once the test is over.
            let _ = self.sender.send(String::from_utf8_lossy(&line).into_owned());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
