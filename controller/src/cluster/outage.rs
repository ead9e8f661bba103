//! Faults of one thing that is tried again and again, told once when they begin and once when they are over.

use std::fmt::Display;
use tokio::time::Instant;

/// Whether something fails at present.
#[derive(Debug)]
pub(crate) struct Outage {
    /// What cannot be done, as in "cannot … : reason".
    what: String,
    since: Option<Instant>,
}

impl Outage {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), since: None }
    }

    /// It failed.
    pub(crate) fn failed(&mut self, reason: &dyn Display) {
        if self.since.is_none() {
            self.since = Some(Instant::now());
            tracing::warn!("cannot {}: {reason}; it is tried again until it succeeds", self.what);
        } else {
            tracing::debug!("cannot {}: {reason}", self.what);
        }
    }

    /// It succeeded.
    pub(crate) fn over(&mut self) {
        if let Some(since) = self.since.take() {
            tracing::info!("can {} again, after {} s", self.what, since.elapsed().as_secs());
        }
    }
}
