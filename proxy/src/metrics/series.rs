//! The tallies of one route and backend in one worker.

use super::label::{CodeClass, Tallies, Tally};
use crate::record::{Ending, Phase, Reason, Record};
use config::{BackendKey, ObjectRef};
use std::cmp::Ordering;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Upper bounds of the duration's buckets in microseconds.
pub(super) const BUCKETS: [u64; 15] = [
    1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000,
    10_000_000, 30_000_000, 60_000_000,
];

/// What is counted of a route's requests to a backend. What each request touches comes first and together: with many
/// routes each cache line of it is a miss. Workers make their own, in memory of their own.
#[derive(Debug)]
#[repr(C)]
pub(super) struct RouteSeries {
    /// `None`: the request met no route.
    pub(super) route: Option<Arc<ObjectRef>>,
    /// `None`: answered without a backend.
    pub(super) backend: Option<Arc<BackendKey>>,
    pub(super) in_flight: Tally,
    pub(super) requests: Tallies<CodeClass>,
    pub(super) microseconds: Tally,
    pub(super) request_bytes: Tally,
    pub(super) response_bytes: Tally,
    pub(super) attempts: Tally,
    /// Not cumulative; the last holds what is longer than all bounds.
    pub(super) buckets: [Tally; BUCKETS.len() + 1],
    pub(super) cut: Tally,
    /// The route is gone: whoever meets the series again begins a new one.
    is_dropped: AtomicBool,
    /// Made when the first is counted: most routes have none.
    by_reason: OnceLock<Box<ByReason>>,
}

#[derive(Debug, Default)]
pub(super) struct ByReason {
    /// Of requests that were answered or ended here.
    pub(super) requests: Tallies<Reason>,
    /// Of tries at an endpoint that failed.
    pub(super) failures: Tallies<Reason>,
}

impl RouteSeries {
    pub(super) fn new(route: Option<&Arc<ObjectRef>>, backend: Option<&Arc<BackendKey>>) -> Self {
        Self {
            route: route.cloned(),
            backend: backend.cloned(),
            is_dropped: AtomicBool::new(false),
            requests: Tallies::default(),
            cut: Tally::default(),
            in_flight: Tally::default(),
            buckets: Default::default(),
            microseconds: Tally::default(),
            request_bytes: Tally::default(),
            response_bytes: Tally::default(),
            attempts: Tally::default(),
            by_reason: OnceLock::new(),
        }
    }

    pub(super) fn is_of(&self, route: Option<&Arc<ObjectRef>>, backend: Option<&Arc<BackendKey>>) -> bool {
        self.route.as_ref() == route && self.backend.as_ref() == backend
    }

    /// Orders by route and backend, so that the same of several workers come together.
    pub(super) fn cmp_key(&self, other: &Self) -> Ordering {
        self.route.cmp(&other.route).then_with(|| self.backend.cmp(&other.backend))
    }

    /// Reads each cache line that every request touches; what it gives means nothing.
    pub(super) fn touch(&self) -> u64 {
        u64::from(self.route.is_some()) ^ self.in_flight.value() ^ self.attempts.value()
    }

    pub(super) fn drop_from_scrapes(&self) {
        self.is_dropped.store(true, Relaxed);
    }

    pub(super) fn is_dropped(&self) -> bool {
        self.is_dropped.load(Relaxed)
    }

    pub(super) fn observe(&self, record: &Record) {
        self.requests.add(record.status.into(), 1);
        // Before its head there is no answer to cut: the status, mostly 499, says it all.
        if record.ending == Ending::Cut && matches!(record.phase, Phase::Stream | Phase::Tunnel) {
            self.cut.add(1);
        }
        if record.phase != Phase::Tunnel {
            self.observe_duration(record.total);
        }
        self.request_bytes.add(record.bytes_in);
        self.response_bytes.add(record.bytes_out);
        self.attempts.add(record.attempts.into());
        if let Some(reason) = record.reason {
            self.by_reason.get_or_init(Box::default).requests.add(reason, 1);
        }
    }

    fn observe_duration(&self, duration: Duration) {
        let microseconds = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let bucket = BUCKETS.partition_point(|&bound| bound < microseconds);
        if let Some(bucket) = self.buckets.get(bucket) {
            bucket.add(1);
        }
        self.microseconds.add(microseconds);
    }

    pub(super) fn attempt_failed(&self, reason: Reason) {
        self.by_reason.get_or_init(Box::default).failures.add(reason, 1);
    }

    /// `None`: nothing was counted yet.
    pub(super) fn by_reason(&self) -> Option<&ByReason> {
        self.by_reason.get().map(|counted| &**counted)
    }
}
