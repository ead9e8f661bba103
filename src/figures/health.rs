//! How long the process takes to answer its own `/health`; without `health` in a Corefile there are no such series.

use super::registered;
use prometheus::{Histogram, HistogramOpts, IntCounter, Registry, exponential_buckets};
use std::time::Duration;

/// What came of asking.
#[derive(Debug)]
pub(crate) struct HealthMetrics {
    durations: Histogram,
    failures: IntCounter,
}

impl HealthMetrics {
    /// Registers both families.
    ///
    /// # Errors
    /// One of the names is registered already.
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let durations = HistogramOpts::new(
            "coredns_health_request_duration_seconds",
            "Time that the process takes to answer its own `/health`, which it asks for once a second where a Corefile has \
             `health`.",
        );
        Ok(Self {
            durations: registered(
                registry,
                Histogram::with_opts(durations.buckets(exponential_buckets(0.000_25, 10.0, 5)?)),
            )?,
            failures: registered(
                registry,
                IntCounter::new(
                    "coredns_health_request_failures_total",
                    "Times that it had no answer to that in 3 s, or not 200.",
                ),
            )?,
        })
    }

    /// Counts one time.
    pub(crate) fn asked(&self, took: Duration, is_good: bool) {
        self.durations.observe(took.as_secs_f64());
        self.failures.inc_by((!is_good).into());
    }
}
