//! The record of a running exchange: written exactly once, whatever ends it.

#[cfg(test)]
mod tests;

use crate::metrics::InFlight;
use crate::record::{Ending, Phase, Reason, Record};
use crate::worker::Worker;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::Instant;

/// A record in the making.
#[derive(Debug)]
pub(super) struct Draft {
    worker: Rc<Worker>,
    begun: Instant,
    record: Option<Box<Record>>,
    /// Counts a forwarded request while it runs.
    running: Option<InFlight>,
}

impl Draft {
    pub(super) fn new(worker: &Rc<Worker>, record: Record) -> Self {
        worker.metrics.phase_begun(record.phase);
        Self { worker: Rc::clone(worker), begun: Instant::now(), record: Some(Box::new(record)), running: None }
    }

    /// Changes the record.
    pub(super) fn set(&mut self, change: impl FnOnce(&mut Record)) {
        if let Some(record) = &mut self.record {
            change(record);
        }
    }

    /// The exchange has come this far.
    pub(super) fn reached(&mut self, phase: Phase) {
        if let Some(record) = &mut self.record {
            self.worker.metrics.phase_ended(record.phase);
            self.worker.metrics.phase_begun(phase);
            record.phase = phase;
        }
    }

    /// The request is forwarded, and counted as running to its end.
    pub(super) fn begin(&mut self, running: InFlight) {
        self.running = Some(running);
    }

    /// Counts a try at an endpoint that failed.
    pub(super) fn attempt_failed(&self, reason: Reason) {
        if let Some(running) = &self.running {
            running.attempt_failed(reason);
        }
    }

    /// When the head was read.
    pub(super) fn begun(&self) -> Instant {
        self.begun
    }

    /// Time since then.
    pub(super) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// The exchange was cut short. The status stays what was sent; 499 where none was.
    pub(super) fn cut(&mut self, reason: Reason) {
        self.cut_with(499, reason);
    }

    fn cut_with(&mut self, status: u16, reason: Reason) {
        self.set(|record| {
            record.ending = Ending::Cut;
            record.reason = Some(reason);
            if record.status == 0 {
                record.status = status;
            }
        });
    }

    /// Writes the record of an exchange that ended in a panic.
    pub(super) fn panicked(&mut self) {
        self.cut_with(500, Reason::Internal);
        self.conclude();
    }

    /// Writes the record.
    pub(super) fn conclude(&mut self) {
        if let Some(mut record) = self.record.take() {
            record.total = self.begun.elapsed();
            self.worker.metrics.phase_ended(record.phase);
            self.worker.observe(record, self.running.take());
        }
    }
}

impl Drop for Draft {
    /// What nobody concluded was ended by a panic, or with the worker when its time was over.
    fn drop(&mut self) {
        if std::thread::panicking() {
            return self.panicked();
        }
        self.cut_with(503, Reason::Draining);
        self.conclude();
    }
}
