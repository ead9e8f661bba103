//! The tallies of a worker, and the guards that keep its gauges right on every path.

use super::known::{Guess, KnownSeries};
use super::label::{ConnectionKind, RefusedFor, Tallies, Tally, TlsVersion, UpstreamProtocol, UpstreamState};
use super::lock;
use super::series::RouteSeries;
use crate::record::{Phase, Reason, Record};
use crate::tls::{HandshakeFailure, TlsFacts};
use config::{BackendKey, ListenerName, ObjectRef};
use std::cell::{Cell, RefCell, RefMut};
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Release},
};
use std::sync::{Arc, Mutex};

/// What a scrape reads of a worker. Aligned so that no two workers write to one cache line.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Shard {
    pub(super) connections: Tallies<ConnectionKind>,
    pub(super) accepted: Tallies<ListenerName>,
    pub(super) refused: Tallies<RefusedFor>,
    pub(super) exchanges: Tallies<Phase>,
    pub(super) http2_streams: Tally,
    pub(super) http2_floods: Tally,
    pub(super) http2_unread_uploads: Tally,
    pub(super) handshakes: Tallies<TlsVersion>,
    pub(super) resumptions: Tallies<TlsVersion>,
    pub(super) handshake_failures: Tallies<HandshakeFailure>,
    pub(super) upstream_connections: Tallies<UpstreamState>,
    pub(super) upstream_opened: Tallies<UpstreamProtocol>,
    pub(super) upstream_reused: Tallies<UpstreamProtocol>,
    pub(super) endpoint_ejections: Tally,
    /// Locked by the worker at the first request of a route only.
    series: Mutex<Vec<Arc<RouteSeries>>>,
    /// Rises after series were dropped: who sees it risen (`Acquire`) sees which (`Release`).
    removals: AtomicU64,
}

impl Shard {
    pub(super) fn series(&self) -> Vec<Arc<RouteSeries>> {
        lock(&self.series).clone()
    }

    pub(super) fn is_without_routes(&self) -> bool {
        lock(&self.series).iter().all(|series| series.route.is_none())
    }

    pub(super) fn retain(&self, is_kept: impl Fn(&ObjectRef, Option<&BackendKey>) -> bool) {
        let mut all = lock(&self.series);
        let before = all.len();
        all.retain(|series| {
            let is_kept = series.route.as_ref().is_none_or(|route| is_kept(route, series.backend.as_deref()));
            if !is_kept {
                series.drop_from_scrapes();
            }
            is_kept
        });
        if all.len() < before {
            all.shrink_to_fit();
            self.removals.fetch_add(1, Release);
        }
    }
}

/// The counting end of one worker; cheap to clone, bound to the worker's thread.
#[derive(Debug, Clone)]
pub struct WorkerMetrics(Rc<Worker>);

#[derive(Debug)]
struct Worker {
    shard: Arc<Shard>,
    series: RefCell<KnownSeries>,
    removals_seen: Cell<u64>,
}

/// What a [`Held`] counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// A client's connection, or a tunnel.
    Connection(ConnectionKind),
    /// A client's HTTP/2 stream.
    Http2Stream,
    /// A connection to an endpoint.
    Upstream(UpstreamState),
}

impl WorkerMetrics {
    pub(super) fn new(shard: Arc<Shard>) -> Self {
        Self(Rc::new(Worker { shard, series: RefCell::default(), removals_seen: Cell::new(0) }))
    }

    /// Raises a gauge for as long as the guard lives.
    #[must_use]
    pub fn hold(&self, level: Level) -> Held {
        self.0.raise(level);
        Held { worker: self.clone(), level }
    }

    /// Client connections of a kind that are open now.
    #[must_use]
    pub fn open(&self, kind: ConnectionKind) -> u64 {
        self.0.shard.connections.value(kind)
    }

    /// What a request to `host` is likely to count in; to be asked before its route is looked for.
    pub(crate) fn guess(&self, host: &str) -> Guess {
        self.0.known().fetch(host)
    }

    /// Counts a request as running for as long as the guard lives.
    #[must_use]
    pub(crate) fn begin(&self, guess: Guess, route: &Arc<ObjectRef>, backend: Option<&Arc<BackendKey>>) -> InFlight {
        let make = || self.0.make_series(Some(route), backend);
        let series = self.0.known().guess_or_find(guess, Some(route), backend, make);
        series.in_flight.add(1);
        InFlight { series, _on_this_thread: PhantomData }
    }

    /// Counts an exchange at its end. O(1); allocates at the first of a route and backend.
    pub fn observe(&self, record: &Record) {
        let (route, backend) = (record.route.as_ref(), record.backend.as_ref());
        self.0.known().find(route, backend, || self.0.make_series(route, backend)).observe(record);
    }

    /// How many series of routes the worker remembers.
    #[cfg(test)]
    pub(super) fn known(&self) -> usize {
        self.0.series.borrow().len()
    }

    /// Counts a client's connection.
    pub fn accepted(&self, listener: ListenerName) {
        self.0.shard.accepted.add(listener, 1);
    }

    /// Counts a time that no connection could be taken.
    pub fn refused(&self, reason: RefusedFor) {
        self.0.shard.refused.add(reason, 1);
    }

    /// Counts a finished handshake with a client.
    pub fn handshake(&self, facts: &TlsFacts) {
        let version = if facts.version == "TLSv1.3" { TlsVersion::Tls13 } else { TlsVersion::Tls12 };
        self.0.shard.handshakes.add(version, 1);
        if facts.is_resumed {
            self.0.shard.resumptions.add(version, 1);
        }
    }

    /// Counts a failed handshake with a client.
    pub fn handshake_failed(&self, failure: HandshakeFailure) {
        self.0.shard.handshake_failures.add(failure, 1);
    }

    /// Counts an HTTP/2 connection that was ended since it flooded.
    pub fn http2_flood(&self) {
        self.0.shard.http2_floods.add(1);
    }

    /// An exchange is in a phase until it is told to have ended.
    pub(crate) fn phase_begun(&self, phase: Phase) {
        self.0.shard.exchanges.add(phase, 1);
    }

    /// An exchange has left a phase.
    pub(crate) fn phase_ended(&self, phase: Phase) {
        self.0.shard.exchanges.subtract(phase, 1);
    }

    /// Bytes of uploads that HTTP/2 clients have sent and no upstream has taken.
    #[must_use]
    pub fn unread_uploads(&self) -> u64 {
        self.0.shard.http2_unread_uploads.value()
    }

    /// A connection's share of them changed.
    pub(crate) fn unread_uploads_changed(&self, before: u64, after: u64) {
        self.0.shard.http2_unread_uploads.subtract(before);
        self.0.shard.http2_unread_uploads.add(after);
    }

    /// Counts a new connection to an endpoint.
    pub fn upstream_opened(&self, protocol: UpstreamProtocol) {
        self.0.shard.upstream_opened.add(protocol, 1);
    }

    /// Counts a kept connection to an endpoint that is used again.
    pub fn upstream_reused(&self, protocol: UpstreamProtocol) {
        self.0.shard.upstream_reused.add(protocol, 1);
    }

    /// Counts an endpoint that is set aside.
    pub fn endpoint_ejected(&self) {
        self.0.shard.endpoint_ejections.add(1);
    }
}

impl Worker {
    fn raise(&self, level: Level) {
        match level {
            Level::Connection(kind) => self.shard.connections.add(kind, 1),
            Level::Http2Stream => self.shard.http2_streams.add(1),
            Level::Upstream(state) => self.shard.upstream_connections.add(state, 1),
        }
    }

    fn lower(&self, level: Level) {
        match level {
            Level::Connection(kind) => self.shard.connections.subtract(kind, 1),
            Level::Http2Stream => self.shard.http2_streams.subtract(1),
            Level::Upstream(state) => self.shard.upstream_connections.subtract(state, 1),
        }
    }

    /// The series of this worker, without those that were dropped.
    fn known(&self) -> RefMut<'_, KnownSeries> {
        let mut known = self.series.borrow_mut();
        let removals = self.shard.removals.load(Acquire);
        if self.removals_seen.replace(removals) != removals {
            known.forget_dropped();
        }
        known
    }

    fn make_series(&self, route: Option<&Arc<ObjectRef>>, backend: Option<&Arc<BackendKey>>) -> Arc<RouteSeries> {
        let series = Arc::new(RouteSeries::new(route, backend));
        lock(&self.shard.series).push(Arc::clone(&series));
        series
    }
}

/// A raised gauge; lowered when dropped.
#[derive(Debug)]
pub struct Held {
    worker: WorkerMetrics,
    level: Level,
}

impl Held {
    /// Counts as `level` from now on.
    pub fn switch(&mut self, level: Level) {
        self.worker.0.lower(self.level);
        self.worker.0.raise(level);
        self.level = level;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.worker.0.lower(self.level);
    }
}

/// A running request; counted until dropped. Bound to the worker's thread.
#[derive(Debug)]
pub struct InFlight {
    series: Arc<RouteSeries>,
    _on_this_thread: PhantomData<Rc<()>>,
}

impl InFlight {
    /// Counts the request at its end, as [`WorkerMetrics::observe`] does, without looking for its series again.
    pub fn observe(&self, record: &Record) {
        self.series.observe(record);
    }

    /// Counts a try at an endpoint that failed.
    pub fn attempt_failed(&self, reason: Reason) {
        self.series.attempt_failed(reason);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.series.in_flight.subtract(1);
    }
}
