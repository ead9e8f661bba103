//! What one thread has counted and nobody has seen yet: counters that all cores write to cost more than an answer.

use super::zones::UnsharedZones;
use super::{Answered, CODES, DURATIONS_OF, Metrics, TYPES};
use crate::message::Transport;
use prometheus::local::LocalHistogram;
use std::time::Duration;

/// Answers of one thread over UDP.
#[derive(Debug)]
pub(crate) struct Unshared {
    /// By type and code.
    counts: [[u64; CODES.len()]; TYPES.len()],
    /// By source.
    durations: [LocalHistogram; DURATIONS_OF],
    zones: UnsharedZones,
}

impl Unshared {
    pub(crate) fn of(metrics: &Metrics) -> Self {
        let [udp, _] = &metrics.durations;
        Self {
            counts: Default::default(),
            durations: udp.each_ref().map(|histogram| histogram.local()),
            zones: UnsharedZones::default(),
        }
    }

    pub(crate) fn answered(&mut self, metrics: &Metrics, answered: Answered, said: (usize, Duration)) {
        self.zones.answered(&metrics.zones, answered, said);
        let (_, took) = said;
        let (type_index, code_index) = answered.indexes();
        if let Some(count) = self.counts.get_mut(type_index).and_then(|codes| codes.get_mut(code_index)) {
            *count += 1;
        }
        if let Some(duration) = self.durations.get(answered.source.duration_index()) {
            duration.observe(took.as_secs_f64());
        }
    }

    /// Adds all to what everybody sees.
    pub(crate) fn share(&mut self, metrics: &Metrics) {
        for (type_index, codes) in self.counts.iter_mut().enumerate() {
            for (code_index, count) in codes.iter_mut().enumerate().filter(|(_, count)| **count > 0) {
                metrics.count(Transport::Udp, (type_index, code_index), std::mem::take(count));
            }
        }
        self.zones.share();
        self.durations.iter().for_each(LocalHistogram::flush);
    }
}
