//! What one thread has counted and nobody has seen yet: counters that all cores write to cost more than an answer.

use super::zones::{Took, UnsharedZones};
use super::{Answered, CODES, DURATIONS_OF, Metrics, TYPES};
use crate::message::Transport;
use prometheus::local::LocalHistogram;

/// Answers of one thread over UDP.
#[derive(Debug)]
pub(crate) struct Unshared {
    /// By type and code.
    counts: [[u64; CODES.len()]; TYPES.len()],
    /// The places of `counts` that hold anything.
    touched: Vec<(usize, usize)>,
    /// By source.
    durations: [LocalHistogram; DURATIONS_OF],
    zones: UnsharedZones,
}

impl Unshared {
    pub(crate) fn of(metrics: &Metrics) -> Self {
        let [udp, _] = &metrics.durations;
        Self {
            counts: Default::default(),
            touched: Vec::with_capacity(CODES.len() * TYPES.len()),
            durations: udp.each_ref().map(|histogram| histogram.local()),
            zones: UnsharedZones::default(),
        }
    }

    pub(crate) fn answered(&mut self, metrics: &Metrics, answered: Answered, said: (usize, Took)) {
        let (_, took) = said;
        let (type_index, code_index) = answered.indexes();
        self.zones.answered(&metrics.zones, (answered, (type_index, code_index)), said);
        if let Some(count) = self.counts.get_mut(type_index).and_then(|codes| codes.get_mut(code_index)) {
            if *count == 0 {
                self.touched.push((type_index, code_index));
            }
            *count += 1;
        }
        if let Some(duration) = self.durations.get(answered.source.duration_index()) {
            duration.observe(took.seconds);
        }
    }

    /// Adds all to what everybody sees.
    pub(crate) fn share(&mut self, metrics: &Metrics) {
        for (type_index, code_index) in self.touched.drain(..) {
            if let Some(count) = self.counts.get_mut(type_index).and_then(|codes| codes.get_mut(code_index)) {
                metrics.count(Transport::Udp, (type_index, code_index), std::mem::take(count));
            }
        }
        self.zones.share();
        self.durations.iter().for_each(LocalHistogram::flush);
    }
}
