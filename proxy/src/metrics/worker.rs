//! The tallies of a worker, and the guards that keep its gauges right on every path.

use super::label::{ConnectionKind, RefusedFor, Tallies, Tally, TlsVersion, UpstreamProtocol, UpstreamState};
use super::lock;
use super::series::RouteSeries;
use crate::record::{Phase, Reason, Record};
use crate::tls::{HandshakeFailure, TlsFacts};
use config::{BackendKey, BackendPort, ListenerName, ObjectRef};
use rustc_hash::{FxBuildHasher, FxHashMap};
use std::cell::{Cell, RefCell};
use std::hash::BuildHasher;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
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
    /// Rises when series were dropped.
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
            let is_kept = series.route.as_ref().is_none_or(|route| is_kept(route, series.backend.as_ref()));
            if !is_kept {
                series.drop_from_scrapes();
            }
            is_kept
        });
        if all.len() < before {
            all.shrink_to_fit();
            self.removals.fetch_add(1, Relaxed);
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

/// The series of a worker. Names are compared, since each translation may bring new copies of them; where they lie in
/// memory is tried first, since it is known without looking at them.
#[derive(Debug, Default)]
struct KnownSeries {
    by_address: FxHashMap<u64, Arc<RouteSeries>>,
    by_name: FxHashMap<u64, Vec<Arc<RouteSeries>>>,
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

    /// Counts a request as running for as long as the guard lives.
    #[must_use]
    pub fn begin(&self, route: &Arc<ObjectRef>, backend: Option<&BackendKey>) -> InFlight {
        let series = self.0.with_series(Some(route), backend, Arc::clone);
        series.in_flight.add(1);
        InFlight { series, _on_this_thread: PhantomData }
    }

    /// Counts an exchange at its end. O(1); allocates at the first of a route and backend.
    pub fn observe(&self, record: &Record) {
        self.0.with_series(record.route.as_ref(), record.backend.as_ref(), |series| series.observe(record));
    }

    /// How many series of routes the worker remembers.
    #[cfg(test)]
    pub(super) fn known(&self) -> usize {
        self.0.series.borrow().by_name.values().map(Vec::len).sum()
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

    fn with_series<R>(
        &self,
        route: Option<&Arc<ObjectRef>>,
        backend: Option<&BackendKey>,
        act: impl FnOnce(&Arc<RouteSeries>) -> R,
    ) -> R {
        let KnownSeries { by_address, by_name } = &mut *self.series.borrow_mut();
        let removals = self.shard.removals.load(Relaxed);
        if self.removals_seen.replace(removals) != removals {
            by_address.clear();
            by_name.retain(|_, series| {
                series.retain(|series| !series.is_dropped());
                !series.is_empty()
            });
        }
        let address = FxBuildHasher.hash_one(address(route, backend));
        if let Some(series) = by_address.get(&address)
            && series.is_of(route, backend)
        {
            return act(series);
        }
        let same_hash = by_name.entry(FxBuildHasher.hash_one((route, backend))).or_default();
        let series = match same_hash.iter().find(|series| series.is_of(route, backend)) {
            Some(known) => known,
            None => {
                let series = Arc::new(RouteSeries::new(route, backend));
                lock(&self.shard.series).push(Arc::clone(&series));
                same_hash.push_mut(series)
            }
        };
        let result = act(series);
        let series = Arc::clone(series);
        // Addresses of names that are gone are not told apart from those in use.
        if by_address.len() > 2 * by_name.len() {
            by_address.clear();
        }
        by_address.insert(address, series);
        result
    }
}

/// Where the names lie.
fn address(route: Option<&Arc<ObjectRef>>, backend: Option<&BackendKey>) -> [usize; 3] {
    let service = backend.map_or(0, |backend| backend.service.as_ptr().addr());
    let port = backend.map_or(0, |backend| match &backend.port {
        BackendPort::Number(number) => usize::from(*number),
        BackendPort::Name(name) => name.as_ptr().addr(),
    });
    [route.map_or(0, |route| Arc::as_ptr(route).addr()), service, port]
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
