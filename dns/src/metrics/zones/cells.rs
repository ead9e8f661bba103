//! What each cell of a row counts.

use crate::metrics::{Answered, CODES, Counted, SOURCES, TYPES};
use std::time::Duration;

/// Its place in a row.
pub(super) type Cell = usize;

/// As CoreDNS's; seconds.
pub(super) const SECONDS: [f64; 16] = [
    0.000_25, 0.000_5, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.024, 2.048, 4.096, 8.192,
];
/// As CoreDNS's; bytes.
pub(super) const SIZES: [usize; 14] =
    [0, 100, 200, 300, 400, 511, 1023, 2047, 4095, 8291, 16_000, 32_000, 48_000, 64_000];

/// Addresses of clients: IPv4 and IPv6.
pub(super) const FAMILIES: usize = 2;

/// One row after the other: requests by family and type; responses by code and source; then those with a sum.
pub(super) const RESPONSES: Cell = FAMILIES * TYPES.len();
pub(super) const DNSSEC: Cell = RESPONSES + CODES.len() * SOURCES.len();
/// Nanoseconds, and then the buckets.
pub(super) const DURATIONS: Cell = DNSSEC + 1;
/// Bytes, and then the buckets.
pub(super) const QUESTIONS: Cell = DURATIONS + 1 + SECONDS.len() + 1;
pub(super) const ANSWERS: Cell = QUESTIONS + 1 + SIZES.len() + 1;
pub(super) const CELLS: Cell = ANSWERS + 1 + SIZES.len() + 1;

pub(super) fn request(family: usize, record_type: usize) -> Cell {
    family * TYPES.len() + record_type
}

pub(super) fn response(code: usize, source: usize) -> Cell {
    RESPONSES + code * SOURCES.len() + source
}

/// How long something took, ready to be counted again and again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Took {
    pub(crate) seconds: f64,
    nanoseconds: u64,
    bucket: Cell,
}

impl From<Duration> for Took {
    fn from(took: Duration) -> Self {
        let seconds = took.as_secs_f64();
        let bucket = DURATIONS + 1 + SECONDS.partition_point(|bound| *bound < seconds);
        Self { seconds, nanoseconds: u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), bucket }
    }
}

/// The bucket of a length, the first being 0. Most questions and answers are in the first few.
fn size_bucket(len: usize) -> usize {
    SIZES.iter().position(|bound| len <= *bound).unwrap_or(SIZES.len())
}

impl Counted {
    /// What is to be added where for a question; its type is at this place of [`TYPES`].
    pub(super) fn each_cell(&self, record_type: usize, mut add: impl FnMut(Cell, u64)) {
        add(request(usize::from(!self.is_ipv4), record_type), 1);
        if self.is_dnssec_ok {
            add(DNSSEC, 1);
        }
        each_size(QUESTIONS, usize::from(self.len), add);
    }
}

impl Answered {
    /// What is to be added where for a question and its answer; type and code are at these places of [`TYPES`] and
    /// [`CODES`].
    pub(super) fn each_cell(
        &self,
        (record_type, code): (usize, usize),
        (len, took): (usize, Took),
        mut add: impl FnMut(Cell, u64),
    ) {
        self.question.each_cell(record_type, &mut add);
        add(response(code, self.source.index()), 1);
        add(DURATIONS, took.nanoseconds);
        add(took.bucket, 1);
        each_size(ANSWERS, len, add);
    }
}

fn each_size(start: Cell, len: usize, mut add: impl FnMut(Cell, u64)) {
    add(start, len as u64);
    add(start + 1 + size_bucket(len), 1);
}
