//! Connections of one worker to upstreams: kept for reuse, made when there is none, closed when their endpoint goes.

mod ceiling;
mod connect;
mod idle;
mod streams;

pub(crate) use ceiling::UpstreamCeiling;
use connect::Connected;
pub(crate) use connect::{ConnectError, ConnectFailure};
pub(crate) use idle::{Kept, Lease};
pub(crate) use streams::StreamPermit;
use streams::is_greeted;

use crate::limits::Limits;
use crate::live::Upstream;
use crate::metrics::{Held, Level, UpstreamProtocol, UpstreamState, WorkerMetrics};
use crate::tls::upstream::{TlsPolicyId, UpstreamAlpn, UpstreamTlsConfigs};
use crate::wire::Wire;
use bytes::Bytes;
use config::{Backend, BackendProtocol};
use h2::client::SendRequest;
use idle::IdleConnections;
use rustc_hash::{FxHashMap, FxHashSet};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use streams::StreamConnections;
use tokio::time::Instant;

/// What two requests must share to use one connection: the endpoint and the whole of how it is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct PoolKey {
    upstream: u32,
    speech: Speech,
}

impl PoolKey {
    fn may_h2(self) -> bool {
        !matches!(self.speech, Speech::Http1 | Speech::Tls(_, UpstreamAlpn::Http1))
    }
}

/// How an endpoint is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Speech {
    Http1,
    H2c,
    Tls(TlsPolicyId, UpstreamAlpn),
}

/// What an attempt needs of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Need {
    /// Whatever the backend speaks.
    Any,
    /// HTTP/1.1, for an upgrade; of a backend that speaks HTTP/2 alone a stream that may be a WebSocket's (RFC 8441).
    WebSocket,
}

/// What an attempt wants of a connection that is made for it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) need: Need,
    /// When the time of the attempt is over; `None`: it has none of its own.
    pub(crate) over: Option<Instant>,
}

/// A connection for one attempt.
#[derive(Debug)]
pub(crate) enum Acquired {
    H1(Kept),
    H2 { sender: SendRequest<Bytes>, permit: StreamPermit, is_reused: bool },
}

/// Idle connections that are closed at once where files or memory are short.
const RELIEF: usize = 16;
/// Endpoints remembered for wanting HTTP/1.1 although their backend says otherwise.
const MOST_H1_ONLY: usize = 1024;

/// The pool of one worker.
#[derive(Debug)]
pub(crate) struct Pool {
    limits: Arc<Limits>,
    tls: RefCell<UpstreamTlsConfigs>,
    idle: IdleConnections,
    streams: StreamConnections,
    /// Endpoints that `streams` may have connections to.
    streamed: RefCell<FxHashMap<PoolKey, Arc<Upstream>>>,
    /// Those that want HTTP/1.1, for everything or for WebSockets.
    h1_only: RefCell<FxHashSet<(PoolKey, Need)>>,
    ceiling: Arc<UpstreamCeiling>,
    metrics: WorkerMetrics,
}

impl Pool {
    /// `metrics` are of those that `ceiling` counts.
    pub(crate) fn new(
        limits: Arc<Limits>,
        tls: UpstreamTlsConfigs,
        ceiling: Arc<UpstreamCeiling>,
        metrics: WorkerMetrics,
    ) -> Self {
        Self {
            idle: IdleConnections::new(&limits),
            streams: StreamConnections::new(&limits),
            limits,
            tls: RefCell::new(tls),
            streamed: RefCell::default(),
            h1_only: RefCell::default(),
            ceiling,
            metrics,
        }
    }

    /// The key of an endpoint spoken to as `backend` says and `need` has it.
    pub(crate) fn key(&self, upstream: &Upstream, backend: &Backend, need: Need) -> PoolKey {
        let tls = |policy, alpn| Speech::Tls(self.tls.borrow_mut().policy(policy, alpn), alpn);
        let key = |speech| PoolKey { upstream: upstream.id(), speech };
        let (preferred, http1) = match (&backend.tls, backend.protocol) {
            (Some(policy), _) => (tls(policy, UpstreamAlpn::H2OrHttp1), tls(policy, UpstreamAlpn::Http1)),
            (None, BackendProtocol::H2c) => (Speech::H2c, Speech::Http1),
            (None, BackendProtocol::Http1 | BackendProtocol::Https) => (Speech::Http1, Speech::Http1),
        };
        let h1_only = self.h1_only.borrow();
        let wants_h1 = h1_only.contains(&(key(preferred), Need::Any))
            || (need == Need::WebSocket && h1_only.contains(&(key(preferred), need)));
        // Of a server that speaks both: few take an extended CONNECT.
        let upgrades = need == Need::WebSocket && preferred != Speech::H2c;
        key(if wants_h1 || upgrades { http1 } else { preferred })
    }

    /// A kept connection, without waiting; `None` where one must be made or waited for.
    pub(crate) fn kept(&self, key: PoolKey, need: Need) -> Option<Acquired> {
        if key.may_h2()
            && let Some((sender, permit)) = self.streams.take(key)
            && (need == Need::Any || is_greeted(&sender))
        {
            self.metrics.upstream_reused(UpstreamProtocol::Http2);
            return Some(Acquired::H2 { sender, permit, is_reused: true });
        }
        let kept = self.idle.take(key)?;
        self.metrics.upstream_reused(UpstreamProtocol::Http1);
        Some(Acquired::H1(kept))
    }

    /// Makes a connection, or waits for a stream of one that others are making; without a free stream it has failed at
    /// the end of the attempt, if that is sooner than the time for it. Whether a stream may be a WebSocket's is known
    /// once the upstream's SETTINGS are here: for such a one they are waited for too.
    pub(crate) async fn make(
        self: Rc<Self>,
        key: PoolKey,
        wanted: Wanted,
        upstream: Arc<Upstream>,
        backend: Arc<Backend>,
    ) -> Result<Acquired, ConnectError> {
        let acquired = self.any(key, upstream, backend, wanted.over).await?;
        if wanted.need == Need::WebSocket
            && let Acquired::H2 { sender, permit, .. } = &acquired
        {
            permit.greeted(sender, self.limits.connect).await?;
        }
        Ok(acquired)
    }

    async fn any(
        &self,
        key: PoolKey,
        upstream: Arc<Upstream>,
        backend: Arc<Backend>,
        over: Option<Instant>,
    ) -> Result<Acquired, ConnectError> {
        if !key.may_h2() {
            return Ok(Acquired::H1(self.fresh(self.dial(key, &upstream, &backend).await?)));
        }
        let deadline = Instant::now() + self.limits.connect;
        let deadline = over.map_or(deadline, |over| over.min(deadline));
        loop {
            if let Some((sender, permit)) = self.streams.take(key) {
                return Ok(Acquired::H2 { sender, permit, is_reused: true });
            }
            let Some(opening) = self.streams.open(key, &upstream) else {
                if tokio::time::timeout_at(deadline, self.streams.changed(key)).await.is_err() {
                    return self.any_stream(key).ok_or(ConnectFailure::Overflow.into());
                }
                continue;
            };
            let connected = match self.dial(key, &upstream, &backend).await {
                Ok(connected) => connected,
                Err(error) => return self.any_stream(key).ok_or(error),
            };
            if key.speech != Speech::H2c && !connected.speaks_h2 {
                opening.found_h1();
                return Ok(Acquired::H1(self.fresh(connected)));
            }
            let level = self.metrics.hold(Level::Upstream(UpstreamState::Busy));
            let (sender, permit) = opening.handshake(connected, &self.limits, level).await?;
            self.streamed.borrow_mut().insert(key, upstream);
            self.metrics.upstream_opened(UpstreamProtocol::Http2);
            return Ok(Acquired::H2 { sender, permit, is_reused: false });
        }
    }

    /// A stream of a connection that was passed over in the hope of another.
    fn any_stream(&self, key: PoolKey) -> Option<Acquired> {
        let (sender, permit) = self.streams.take_any(key)?;
        Some(Acquired::H2 { sender, permit, is_reused: true })
    }

    async fn dial(&self, key: PoolKey, upstream: &Upstream, backend: &Backend) -> Result<Connected, ConnectError> {
        let _connecting = self.place().await?;
        let tls = match (key.speech, &backend.tls) {
            (Speech::Tls(_, alpn), Some(tls)) => {
                let connector = self.tls.borrow_mut().connector(tls, alpn, upstream.address());
                Some(connector.map_err(|_| ConnectFailure::Tls)?)
            }
            _ => None,
        };
        let relieve = async || {
            let relieved = self.relieve() || self.ceiling.relieved(|| true).await;
            // A connection of HTTP/2 is closed by its own task.
            tokio::task::yield_now().await;
            relieved
        };
        connect::dial(upstream.address(), tls, &self.limits, relieve).await
    }

    /// The right to one more connection.
    async fn place(&self) -> Result<Held, ConnectError> {
        let has_room = || !self.ceiling.is_full();
        if has_room() || self.evict() || self.ceiling.relieved(has_room).await {
            return Ok(self.metrics.hold(Level::Upstream(UpstreamState::Connecting)));
        }
        Err(ConnectError::full())
    }

    /// Closes the idle connection that can be spared best; `false` where there is none.
    fn evict(&self) -> bool {
        // HTTP/1 first: one of HTTP/2 serves many.
        self.idle.evict() || self.evict_streams()
    }

    /// Closes the HTTP/2 connections to the endpoint that is unused for longest.
    fn evict_streams(&self) -> bool {
        let mut streamed = self.streamed.borrow_mut();
        loop {
            let unused = streamed.iter().filter(|(_, upstream)| upstream.in_flight() == 0);
            let oldest = unused.min_by_key(|(_, upstream)| upstream.last_pick()).map(|(key, _)| *key);
            let Some(key) = oldest else { return false };
            streamed.remove(&key);
            let mut has_closed = false;
            while let Some((_, permit)) = self.streams.take(key) {
                permit.retire();
                has_closed = true;
            }
            if has_closed {
                return true;
            }
        }
    }

    fn relieve(&self) -> bool {
        (0..RELIEF).take_while(|_| self.evict()).count() > 0
    }

    /// Files or memory are short: closes idle connections, or has other workers close theirs.
    pub(crate) fn spare(&self) {
        if !self.relieve() {
            self.ceiling.want();
        }
    }

    /// Closes idle connections whenever another worker needs room; never ready.
    pub(crate) async fn relieve_others(&self) {
        self.ceiling.relieve(|| self.relieve()).await;
    }

    fn fresh(&self, connected: Connected) -> Kept {
        self.metrics.upstream_opened(UpstreamProtocol::Http1);
        let level = self.metrics.hold(Level::Upstream(UpstreamState::Busy));
        let lease = Lease { requests: 0, made: Instant::now(), level };
        Kept { wire: Wire::new(connected.io, &self.limits), lease, is_reused: false }
    }

    /// Takes a connection back, to keep it unless a request waits for room for another.
    pub(crate) fn give(
        &self,
        key: PoolKey,
        upstream: &Arc<Upstream>,
        kept: Kept,
        keep_for: Option<std::time::Duration>,
    ) {
        if self.ceiling.is_awaited() {
            drop(kept);
            return self.ceiling.made_room();
        }
        self.idle.give(key, upstream, kept, keep_for);
    }

    /// Remembers that an endpoint wants HTTP/1.1 (RFC 9113 §7); if it said so of a WebSocket, for these alone: what a client
    /// asks for must not change how all others are served.
    pub(crate) fn speak_h1(&self, key: PoolKey, need: Need) {
        let mut h1_only = self.h1_only.borrow_mut();
        if h1_only.len() >= MOST_H1_ONLY {
            h1_only.clear();
        }
        h1_only.insert((key, need));
    }

    /// Closes what is too old or whose endpoint is gone.
    pub(crate) fn sweep(&self) {
        self.idle.sweep();
        self.streams.sweep();
        self.streamed.borrow_mut().retain(|_, upstream| upstream.is_current());
    }
}
