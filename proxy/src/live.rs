//! What the proxy knows beyond the snapshot: load and health of each endpoint, kept across snapshots.
//! The control runtime makes a [`View`] of each new snapshot; workers read it through a [`ViewCache`].

mod cache;
#[cfg(test)]
pub(crate) mod tests;
mod upstream;

pub use cache::{HeldView, ViewCache};
pub use upstream::{Picked, Upstream};

use crate::health::Origin;
use arc_swap::ArcSwap;
use config::{Backend, BackendKey, BackendTable, EndpointAddress, EndpointState, Reader, Snapshot};
use rustc_hash::FxHashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::Notify;

/// A snapshot together with the live state of its backends; never modified.
#[derive(Debug)]
pub struct View {
    /// What it is made of.
    pub snapshot: Arc<Snapshot>,
    revision: u64,
    backends: Arc<LiveBackends>,
}

type LiveBackends = FxHashMap<BackendKey, Arc<LiveBackend>>;

impl View {
    /// The backend of that key, if its Service and port exist; O(1).
    #[must_use]
    pub fn backend(&self, key: &BackendKey) -> Option<&Arc<LiveBackend>> {
        self.backends.get(key)
    }

    /// All backends, in no order.
    pub fn backends(&self) -> impl Iterator<Item = &Arc<LiveBackend>> {
        self.backends.values()
    }
}

/// A backend and the live state of its endpoints.
#[derive(Debug)]
pub struct LiveBackend {
    /// What the snapshot says.
    pub backend: Arc<Backend>,
    /// Endpoints that are ready, sorted by address.
    pub serving: Box<[Arc<Upstream>]>,
    /// Endpoints that are terminating but still serve, sorted by address.
    pub draining: Box<[Arc<Upstream>]>,
    origin: Origin,
    turn: AtomicU64,
}

impl LiveBackend {
    /// Where new exchanges may go: the ready endpoints or, without any, those that still serve (KEP-1669).
    #[must_use]
    pub fn candidates(&self) -> &[Arc<Upstream>] {
        if self.serving.is_empty() { &self.draining } else { &self.serving }
    }

    pub(crate) fn origin(&self) -> Origin {
        self.origin
    }

    /// The number of the next turn, over all workers.
    pub(crate) fn next_turn(&self) -> u64 {
        self.turn.fetch_add(1, Ordering::Relaxed)
    }

    fn upstreams(&self) -> impl Iterator<Item = &Arc<Upstream>> {
        self.serving.iter().chain(&self.draining)
    }
}

/// The live state of the whole process.
#[derive(Debug)]
pub struct Live {
    current: ArcSwap<View>,
    /// That of `current`; stored after it.
    revision: AtomicU64,
    /// Told of each view with other endpoints.
    changed: Notify,
    /// Locked by the one who applies snapshots only.
    registry: Mutex<Registry>,
}

impl Live {
    /// Starts with the first snapshot.
    #[must_use]
    pub fn new(first: &Arc<Snapshot>) -> Arc<Self> {
        let nothing = Arc::new(Snapshot { backends: Arc::default(), ..Snapshot::clone(first) });
        let live = Self {
            current: ArcSwap::from_pointee(View { snapshot: nothing, revision: 0, backends: Arc::default() }),
            revision: AtomicU64::new(0),
            changed: Notify::new(),
            registry: Mutex::new(Registry::new()),
        };
        live.apply(first);
        Arc::new(live)
    }

    /// The current view; touches a shared reference count, so workers use a [`ViewCache`].
    #[must_use]
    pub fn view(&self) -> Arc<View> {
        self.current.load_full()
    }

    /// Makes `snapshot` the current one; O(1) if its backends are the same, else O(backends), with work only for those
    /// that changed.
    pub fn apply(&self, snapshot: &Arc<Snapshot>) -> Arc<View> {
        let mut registry = self.registry();
        let before = self.view();
        let backends = if Arc::ptr_eq(&before.snapshot.backends, &snapshot.backends) {
            Arc::clone(&before.backends)
        } else {
            Arc::new(registry.next_backends(&before, &snapshot.backends))
        };
        let revision = before.revision + 1;
        let view = Arc::new(View { snapshot: Arc::clone(snapshot), revision, backends });
        self.current.store(Arc::clone(&view));
        self.revision.store(revision, Ordering::Release);
        if !Arc::ptr_eq(&before.backends, &view.backends) {
            self.changed.notify_waiters();
        }
        view
    }

    fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Applies each new snapshot until the publisher is gone. `before` sees a snapshot before exchanges do, so that what
/// they rely on, such as certificates, is there.
pub async fn follow(live: Arc<Live>, mut reader: Reader, mut before: impl FnMut(&Arc<Snapshot>)) {
    loop {
        let snapshot = reader.current();
        if !Arc::ptr_eq(&snapshot, &live.view().snapshot) {
            before(&snapshot);
            live.apply(&snapshot);
        }
        if !reader.changed().await {
            return;
        }
    }
}

/// The backends of `table` that `other` does not have, or not the same.
fn missing<'t>(table: &'t BackendTable, other: &'t BackendTable) -> impl Iterator<Item = &'t Arc<Backend>> {
    // A table that was patched keeps its order: comparing side by side spares nearly all look-ups.
    let beside = other.iter().map(Some).chain(std::iter::repeat(None));
    table
        .iter()
        .zip(beside)
        .filter(|(backend, beside)| !beside.is_some_and(|beside| Arc::ptr_eq(backend, beside)))
        .map(|(backend, _)| backend)
        .filter(|backend| !other.find(&backend.key).is_some_and(|same| Arc::ptr_eq(backend, same)))
}

/// Every endpoint address that something still names.
#[derive(Debug)]
struct Registry {
    upstreams: FxHashMap<EndpointAddress, Weak<Upstream>>,
    next_id: u32,
    origin: Origin,
    /// Length of `upstreams` at which the dead ones are looked for.
    sweep_at: usize,
}

impl Registry {
    const SMALLEST_SWEEP: usize = 64;

    fn new() -> Self {
        Self { upstreams: FxHashMap::default(), next_id: 0, origin: Origin::now(), sweep_at: Self::SMALLEST_SWEEP }
    }

    /// What `view` makes of `table`.
    fn next_backends(&mut self, view: &View, table: &BackendTable) -> LiveBackends {
        let (old, before) = (&view.snapshot.backends, &view.backends);
        let mut next = LiveBackends::clone(before);
        let gone: Vec<_> = missing(old, table).collect();
        for backend in &gone {
            next.remove(&backend.key);
        }
        let made: Vec<_> = missing(table, old)
            .map(|backend| Arc::new(self.live_backend(backend, before.get(&backend.key).map(Arc::as_ref))))
            .collect();
        for live in &made {
            next.insert(live.backend.key.clone(), Arc::clone(live));
        }
        // First what is new: an address that moves from one backend to another stays current all the time.
        made.iter().flat_map(|live| live.upstreams()).for_each(|upstream| upstream.named_by_one_more());
        let gone = gone.iter().filter_map(|backend| before.get(&backend.key));
        gone.flat_map(|live| live.upstreams()).for_each(|upstream| upstream.named_by_one_less());
        self.sweep();
        next
    }

    fn live_backend(&mut self, backend: &Arc<Backend>, before: Option<&LiveBackend>) -> LiveBackend {
        let mut upstreams = |state| {
            let endpoints = backend.endpoints.iter().filter(|endpoint| endpoint.state == state);
            endpoints.map(|endpoint| self.upstream(&endpoint.address)).collect()
        };
        LiveBackend {
            serving: upstreams(EndpointState::Serving),
            draining: upstreams(EndpointState::Draining),
            backend: Arc::clone(backend),
            origin: self.origin,
            // A backend that changes often would otherwise favour its first endpoints.
            turn: AtomicU64::new(before.map_or(0, |before| before.turn.load(Ordering::Relaxed))),
        }
    }

    fn upstream(&mut self, address: &EndpointAddress) -> Arc<Upstream> {
        if let Some(upstream) = self.upstreams.get(address).and_then(Weak::upgrade) {
            return upstream;
        }
        let upstream = Arc::new(Upstream::new(self.next_id, address.clone(), self.origin));
        self.next_id = self.next_id.wrapping_add(1);
        self.upstreams.insert(address.clone(), Arc::downgrade(&upstream));
        upstream
    }

    /// Amortized O(1) an address.
    fn sweep(&mut self) {
        if self.upstreams.len() >= self.sweep_at {
            self.upstreams.retain(|_, upstream| upstream.strong_count() > 0);
            self.sweep_at = (self.upstreams.len() * 2).max(Self::SMALLEST_SWEEP);
        }
    }
}
