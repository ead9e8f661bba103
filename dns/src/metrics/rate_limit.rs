//! What is counted of answers that are too many.

use super::family::RATE_LIMITED;
use prometheus::{IntCounter, Registry};

/// A counter for each thing that becomes of them.
#[derive(Debug, Clone)]
pub(crate) struct RateLimitMetrics {
    pub(crate) slip: IntCounter,
    pub(crate) drop: IntCounter,
    pub(crate) badcookie: IntCounter,
}

impl RateLimitMetrics {
    /// Registers them.
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let counters = RATE_LIMITED.counters(registry)?;
        let [slip, drop, badcookie] = ["slip", "drop", "badcookie"].map(|action| counters.with_label_values(&[action]));
        Ok(Self { slip, drop, badcookie })
    }
}
