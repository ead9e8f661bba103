//! What all questions of a forwarder to its upstreams share.

use super::lock;
use super::tasks::Tasks;
use crate::metrics::ForwardMetrics;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Mutex;

#[derive(Debug)]
pub(super) struct Outbound {
    /// Local addresses of the sockets that wait for an upstream.
    pub(super) own: Mutex<HashSet<SocketAddr>>,
    /// Tasks that look whether upstreams are well.
    pub(super) checks: Tasks,
    /// Tasks that fetch what nobody waits for.
    pub(super) fetches: Tasks,
    pub(super) metrics: ForwardMetrics,
}

impl Outbound {
    pub(super) fn new(metrics: ForwardMetrics) -> Self {
        Self { own: Mutex::default(), checks: Tasks::default(), fetches: Tasks::default(), metrics }
    }

    /// Whether this is a socket of ours that waits for an upstream.
    pub(super) fn is_own(&self, peer: SocketAddr) -> bool {
        lock(&self.own).contains(&SocketAddr::new(peer.ip().to_canonical(), peer.port()))
    }
}
