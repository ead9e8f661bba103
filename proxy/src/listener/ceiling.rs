//! How many client connections there may be at once in the process, and who waits for room.

use crate::drain::DrainGuard;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use tokio::sync::Notify;

/// Files that are left to admin, DNS, the API server, manifests and certificates where there are enough.
const RESERVED_FILES: u64 = 64;
/// The same, beside those that are open already, where there are few.
const FEWEST_RESERVED_FILES: u64 = 16;
/// Files of a worker's runtime.
const FILES_OF_WORKER: u64 = 4;

/// Raises the soft limit of open files to the hard one and returns it.
///
/// # Errors
/// The system refuses, as a sandbox may; the soft limit stays.
pub fn raise_open_files() -> io::Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
    }
    Ok(limit.maximum.unwrap_or(u64::MAX))
}

/// Client connections that `limit` open files carry, and as many to endpoints, beside those that are open already and
/// those of so many workers; 0: it is too small for any. To be asked when the listeners are bound.
#[must_use]
pub fn connection_ceiling(limit: u64, workers: usize) -> usize {
    carried(limit, open_files(), workers)
}

pub(super) fn carried(limit: u64, open: u64, workers: usize) -> usize {
    let needed = open + FEWEST_RESERVED_FILES + FILES_OF_WORKER * workers as u64;
    // A quarter at most is set aside beyond what is needed.
    let reserved = RESERVED_FILES.min(limit / 4).max(needed);
    usize::try_from(limit.saturating_sub(reserved) / 2).unwrap_or(usize::MAX)
}

/// Files that the process has open; 0 where the system does not say.
#[must_use]
pub(super) fn open_files() -> u64 {
    // The directory itself is open while it is read.
    std::fs::read_dir("/proc/self/fd").map_or(0, |entries| (entries.count() as u64).saturating_sub(1))
}

/// Counts client connections over all workers. There may be as many to endpoints, which the pools see to.
#[derive(Debug)]
pub struct ConnectionCeiling {
    limit: usize,
    open: AtomicUsize,
    waiting: AtomicUsize,
    closed: Notify,
}

impl ConnectionCeiling {
    /// `limit` connections at once; as many as there are workers may come on top, since those accept at the same time.
    #[must_use]
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, open: AtomicUsize::new(0), waiting: AtomicUsize::new(0), closed: Notify::new() })
    }

    /// The limit.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Connections at present.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.load(Relaxed)
    }

    /// Counts a connection, also above the limit.
    pub(super) fn permit(self: &Arc<Self>, guard: DrainGuard) -> ConnectionPermit {
        self.open.fetch_add(1, Relaxed);
        ConnectionPermit { ceiling: Arc::clone(self), _guard: guard }
    }

    pub(super) fn is_full(&self) -> bool {
        self.open.load(SeqCst) >= self.limit
    }

    /// Waits until there is room.
    pub(super) async fn room(&self) {
        let _waiting = Waiter::new(self);
        loop {
            let mut closed = pin!(self.closed.notified());
            closed.as_mut().enable();
            if !self.is_full() {
                return;
            }
            closed.await;
        }
    }

    /// Waits until a connection ends.
    pub(super) async fn one_less(&self) {
        let _waiting = Waiter::new(self);
        self.closed.notified().await;
    }
}

/// Tells those who close that somebody waits, so that closing costs nothing else.
struct Waiter<'a>(&'a ConnectionCeiling);

impl<'a> Waiter<'a> {
    fn new(ceiling: &'a ConnectionCeiling) -> Self {
        ceiling.waiting.fetch_add(1, SeqCst);
        Self(ceiling)
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, SeqCst);
    }
}

/// One connection, for the ceiling and for the drain; to be dropped after its socket.
#[derive(Debug)]
pub struct ConnectionPermit {
    ceiling: Arc<ConnectionCeiling>,
    _guard: DrainGuard,
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        // SeqCst: either this sees the waiter, or the waiter sees the room.
        self.ceiling.open.fetch_sub(1, SeqCst);
        if self.ceiling.waiting.load(SeqCst) > 0 {
            self.ceiling.closed.notify_waiters();
        }
    }
}
