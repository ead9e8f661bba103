//! HTTP/1 connections between requests: last in, first out.

use super::PoolKey;
use crate::limits::Limits;
use crate::live::Upstream;
use crate::metrics::{Held, Level, UpstreamState};
use crate::wire::{Io, Wire};
use rustc_hash::FxHashMap;
use std::cell::RefCell;
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::time::Instant;

/// A connection on which nothing is under way.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) wire: Wire,
    pub(crate) lease: Lease,
    pub(crate) is_reused: bool,
}

/// What a connection keeps from one request to the next.
#[derive(Debug)]
pub(crate) struct Lease {
    /// Requests it has carried.
    pub(super) requests: u32,
    pub(super) made: Instant,
    pub(super) level: Held,
}

#[derive(Debug)]
struct Idle {
    kept: Kept,
    upstream: Arc<Upstream>,
    since: Instant,
    until: Instant,
}

/// Idle for longer than this, and the kernel is asked: the runtime knows only what it was last told.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);
/// Age at which a connection is not used again, so that load can move to other endpoints.
const OLDEST: Duration = Duration::from_secs(3600);

/// The idle connections of one worker.
#[derive(Debug)]
pub(super) struct IdleConnections {
    by_key: RefCell<FxHashMap<PoolKey, Vec<Idle>>>,
    idle: Duration,
    per_endpoint: usize,
    requests: u32,
}

impl IdleConnections {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            by_key: RefCell::default(),
            idle: limits.pool_idle,
            per_endpoint: limits.pool_per_endpoint,
            requests: limits.pool_requests,
        }
    }

    /// The connection used last, passing over those that died meanwhile.
    pub(super) fn take(&self, key: PoolKey) -> Option<Kept> {
        let mut by_key = self.by_key.borrow_mut();
        let list = by_key.get_mut(&key)?;
        while let Some(mut idle) = list.pop() {
            let now = Instant::now();
            if now < idle.until && is_alive(&mut idle.kept.wire, now - idle.since) {
                idle.kept.lease.level.switch(Level::Upstream(UpstreamState::Busy));
                return Some(Kept { is_reused: true, ..idle.kept });
            }
        }
        None
    }

    pub(super) fn give(&self, key: PoolKey, upstream: &Arc<Upstream>, mut kept: Kept, keep_for: Option<Duration>) {
        kept.lease.requests += 1;
        let now = Instant::now();
        let keep_for = keep_for.map_or(self.idle, |keep_for| keep_for.min(self.idle));
        if kept.lease.requests >= self.requests
            || now - kept.lease.made >= OLDEST
            || keep_for.is_zero()
            || !upstream.is_current()
        {
            return;
        }
        let mut by_key = self.by_key.borrow_mut();
        let list = by_key.entry(key).or_default();
        if list.len() < self.per_endpoint {
            kept.lease.level.switch(Level::Upstream(UpstreamState::Idle));
            list.push(Idle { kept, upstream: Arc::clone(upstream), since: now, until: now + keep_for });
        }
    }

    /// Closes the connection that is idle for longest; `false` where there is none. O(endpoints).
    pub(super) fn evict(&self) -> bool {
        let mut by_key = self.by_key.borrow_mut();
        // The first of a list is its oldest.
        let lists = by_key.values_mut().filter(|list| !list.is_empty());
        let oldest = lists.min_by_key(|list| list.first().map(|idle| idle.since));
        oldest.map(|list| list.remove(0)).is_some()
    }

    pub(super) fn sweep(&self) {
        let now = Instant::now();
        let mut by_key = self.by_key.borrow_mut();
        by_key.retain(|_, list| {
            list.retain_mut(|idle| {
                let keeps = now < idle.until && idle.upstream.is_current() && is_quiet(&mut idle.kept.wire);
                idle.kept.wire.rest();
                keeps
            });
            !list.is_empty()
        });
    }
}

/// Whether nothing came since the last answer: an end, an error or an answer that nobody asked for make it useless.
fn is_quiet(wire: &mut Wire) -> bool {
    matches!(wire.poll_fill(&mut Context::from_waker(Waker::noop())), Poll::Pending)
}

fn is_alive(wire: &mut Wire, idle: Duration) -> bool {
    if idle > TRUSTED_IDLE {
        let peeked = socket2::SockRef::from(wire.io().socket()).peek(&mut [MaybeUninit::uninit()]);
        let is_silent = peeked.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
        // On TLS readable bytes may be a session ticket, which the read below takes.
        if !is_silent && (matches!(wire.io(), Io::Plain(_)) || !peeked.is_ok_and(|len| len > 0)) {
            return false;
        }
    }
    is_quiet(wire)
}
