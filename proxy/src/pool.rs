//! Connections of one worker to upstreams: kept for reuse, made when there is none, closed when their endpoint goes.

mod connect;
mod idle;
mod streams;

use connect::Connected;
pub(crate) use connect::{ConnectError, ConnectFailure};
pub(crate) use idle::{Kept, Lease};
pub(crate) use streams::StreamPermit;

use crate::limits::Limits;
use crate::live::Upstream;
use crate::metrics::{Level, UpstreamProtocol, UpstreamState, WorkerMetrics};
use crate::tls::upstream::{TlsPolicyId, UpstreamAlpn, UpstreamTlsConfigs};
use crate::wire::Wire;
use bytes::Bytes;
use config::{Backend, BackendProtocol};
use h2::client::SendRequest;
use idle::IdleConnections;
use rustc_hash::FxHashSet;
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Whatever the backend speaks.
    Any,
    /// HTTP/1.1, for an upgrade.
    Http1,
}

/// A connection for one attempt.
#[derive(Debug)]
pub(crate) enum Acquired {
    H1(Kept),
    H2 { sender: SendRequest<Bytes>, permit: StreamPermit, is_reused: bool },
}

/// Endpoints remembered for wanting HTTP/1.1 although their backend says otherwise.
const MOST_H1_ONLY: usize = 1024;

/// The pool of one worker.
#[derive(Debug)]
pub(crate) struct Pool {
    limits: Arc<Limits>,
    tls: RefCell<UpstreamTlsConfigs>,
    idle: IdleConnections,
    streams: StreamConnections,
    h1_only: RefCell<FxHashSet<PoolKey>>,
    metrics: WorkerMetrics,
}

impl Pool {
    pub(crate) fn new(limits: Arc<Limits>, tls: UpstreamTlsConfigs, metrics: WorkerMetrics) -> Self {
        let idle = IdleConnections::new(&limits);
        let streams = StreamConnections::new(&limits);
        Self { limits, tls: RefCell::new(tls), idle, streams, h1_only: RefCell::default(), metrics }
    }

    /// The key of an endpoint spoken to as `backend` says; `None` where what is needed cannot be had of it.
    pub(crate) fn key(&self, upstream: &Upstream, backend: &Backend, need: Need) -> Option<PoolKey> {
        let tls = |policy, alpn| Speech::Tls(self.tls.borrow_mut().policy(policy, alpn), alpn);
        let key = |speech| PoolKey { upstream: upstream.id(), speech };
        let (preferred, http1) = match (&backend.tls, backend.protocol) {
            (Some(policy), _) => (tls(policy, UpstreamAlpn::H2OrHttp1), tls(policy, UpstreamAlpn::Http1)),
            (None, BackendProtocol::H2c) => (Speech::H2c, Speech::Http1),
            (None, BackendProtocol::Http1 | BackendProtocol::Https) => (Speech::Http1, Speech::Http1),
        };
        let wants_h1 = self.h1_only.borrow().contains(&key(preferred));
        match need {
            Need::Any => Some(key(if wants_h1 { http1 } else { preferred })),
            Need::Http1 => (preferred != Speech::H2c || wants_h1).then(|| key(http1)),
        }
    }

    /// A kept connection, without waiting; `None` where one must be made.
    pub(crate) fn kept(&self, key: PoolKey) -> Option<Acquired> {
        if key.may_h2()
            && let Some((sender, permit)) = self.streams.take(key)
        {
            self.metrics.upstream_reused(UpstreamProtocol::Http2);
            return Some(Acquired::H2 { sender, permit, is_reused: true });
        }
        let kept = self.idle.take(key)?;
        self.metrics.upstream_reused(UpstreamProtocol::Http1);
        Some(Acquired::H1(kept))
    }

    /// Makes a connection, or waits for a stream of one that others are making.
    pub(crate) async fn make(
        self: Rc<Self>,
        key: PoolKey,
        upstream: Arc<Upstream>,
        backend: Arc<Backend>,
    ) -> Result<Acquired, ConnectError> {
        if !key.may_h2() {
            return Ok(Acquired::H1(self.fresh(self.dial(key, &upstream, &backend).await?)));
        }
        let deadline = Instant::now() + self.limits.connect;
        loop {
            if let Some((sender, permit)) = self.streams.take(key) {
                return Ok(Acquired::H2 { sender, permit, is_reused: true });
            }
            let Some(opening) = self.streams.open(key, &upstream) else {
                tokio::time::timeout_at(deadline, self.streams.changed(key))
                    .await
                    .map_err(|_| ConnectError::from(ConnectFailure::Overflow))?;
                continue;
            };
            let connected = self.dial(key, &upstream, &backend).await?;
            if key.speech != Speech::H2c && !connected.speaks_h2 {
                opening.found_h1();
                return Ok(Acquired::H1(self.fresh(connected)));
            }
            let level = self.metrics.hold(Level::Upstream(UpstreamState::Busy));
            let (sender, permit) = opening.handshake(connected, &self.limits, level).await?;
            self.metrics.upstream_opened(UpstreamProtocol::Http2);
            return Ok(Acquired::H2 { sender, permit, is_reused: false });
        }
    }

    async fn dial(&self, key: PoolKey, upstream: &Upstream, backend: &Backend) -> Result<Connected, ConnectError> {
        let _connecting = self.metrics.hold(Level::Upstream(UpstreamState::Connecting));
        let tls = match (key.speech, &backend.tls) {
            (Speech::Tls(_, alpn), Some(tls)) => {
                let connector = self.tls.borrow_mut().connector(tls, alpn, upstream.address());
                Some(connector.map_err(|_| ConnectFailure::Tls)?)
            }
            _ => None,
        };
        connect::dial(upstream.address(), tls, &self.limits).await
    }

    fn fresh(&self, connected: Connected) -> Kept {
        self.metrics.upstream_opened(UpstreamProtocol::Http1);
        let level = self.metrics.hold(Level::Upstream(UpstreamState::Busy));
        let lease = Lease { requests: 0, made: Instant::now(), level };
        Kept { wire: Wire::new(connected.io, &self.limits), lease, is_reused: false }
    }

    /// Takes a connection back.
    pub(crate) fn give(
        &self,
        key: PoolKey,
        upstream: &Arc<Upstream>,
        kept: Kept,
        keep_for: Option<std::time::Duration>,
    ) {
        self.idle.give(key, upstream, kept, keep_for);
    }

    /// Remembers that an endpoint wants HTTP/1.1 (RFC 9113 §7).
    pub(crate) fn speak_h1(&self, key: PoolKey) {
        let mut h1_only = self.h1_only.borrow_mut();
        if h1_only.len() >= MOST_H1_ONLY {
            h1_only.clear();
        }
        h1_only.insert(key);
    }

    /// Closes what is too old or whose endpoint is gone.
    pub(crate) fn sweep(&self) {
        self.idle.sweep();
        self.streams.sweep();
    }
}
