//! What is counted of the connection to a cluster; without one there are no such series.

use super::registered;
use controller::cluster::{Counts, Progress};
use prometheus::{GaugeVec, IntCounterVec, IntGaugeVec, Opts, Registry};
use std::sync::{Mutex, PoisonError};

/// Figures of the watches.
#[derive(Debug)]
pub(super) struct ClusterMetrics {
    connected: IntGaugeVec,
    staleness: GaugeVec,
    lists: IntCounterVec,
    faults: IntCounterVec,
    /// Two scrapes at once would count twice.
    counting: Mutex<()>,
}

impl ClusterMetrics {
    pub(super) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let counter = |name, help| IntCounterVec::new(Opts::new(name, help), &["kind"]);
        let connected = Opts::new("tidegate_api_server_connected", "Whether every watch of the API server goes on.");
        let staleness = Opts::new(
            "tidegate_api_server_staleness_seconds",
            "How long what is known of the cluster may have been out of date; 0 while every watch goes on.",
        );
        Ok(Self {
            connected: registered(registry, IntGaugeVec::new(connected, &["server"]))?,
            staleness: registered(registry, GaugeVec::new(staleness, &["server"]))?,
            lists: registered(
                registry,
                counter("tidegate_watch_lists_total", "Whole lists that were read, the first ones too, by kind."),
            )?,
            faults: registered(
                registry,
                counter(
                    "tidegate_watch_faults_total",
                    "Requests and watches that failed and were tried again, by kind.",
                ),
            )?,
            counting: Mutex::default(),
        })
    }

    /// Takes how far the watches are.
    pub(super) fn refresh(&self, progress: &Progress) {
        let _counting = self.counting.lock().unwrap_or_else(PoisonError::into_inner);
        let server = &[progress.server()];
        self.connected.with_label_values(server).set(progress.is_connected().into());
        self.staleness.with_label_values(server).set(progress.staleness().as_secs_f64());
        for (kind, Counts { lists, faults }) in progress.counts() {
            for (counter, count) in [(&self.lists, lists), (&self.faults, faults)] {
                let counter = counter.with_label_values(&[kind]);
                counter.inc_by(count.saturating_sub(counter.get()));
            }
        }
    }

    /// Makes a series of each family, for the table of the documentation.
    #[cfg(test)]
    pub(super) fn show_all(&self) {
        self.refresh(&Progress::default());
        self.lists.with_label_values(&["Service"]).inc();
        self.faults.with_label_values(&["Service"]).inc();
    }
}
