//! When a connection on which nothing is under way is to go, once the drain wants it.

use crate::drain::{DrainPhase, Reached};
use crate::worker::Worker;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::time::Instant;

/// One a connection.
pub(super) struct Departure {
    /// The drain's next phase that concerns it.
    reached: Reached,
    at: Option<Instant>,
}

impl Departure {
    pub(super) fn new(worker: &Worker) -> Self {
        Self { reached: worker.drain.reached(DrainPhase::Stopping), at: None }
    }

    /// The time to go; `None` as long as there is none, and the task is woken when there is.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, worker: &Worker) -> Option<Instant> {
        if self.at.is_none() && self.poll_reached(cx).is_ready() {
            let patience = worker.drain.close_after(&worker.random).min(worker.settings.limits.idle);
            self.at = Some(Instant::now() + patience);
            self.reached = worker.drain.reached(DrainPhase::Deadline);
        }
        if self.at.is_some() && self.poll_reached(cx).is_ready() {
            self.at = Some(Instant::now());
        }
        self.at
    }

    fn poll_reached(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.reached).poll(cx)
    }
}
