//! What all questions of a forwarder to its upstreams share.

use super::lock;
use super::marks::Marks;
use super::tasks::Tasks;
use super::trail::Secret;
use crate::message::Transport;
use crate::metrics::ForwardMetrics;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Mutex;

#[derive(Debug)]
pub(super) struct Outbound {
    /// Local addresses of the sockets that wait for an upstream, which those of other transports may have too.
    pub(super) own: Mutex<HashSet<(Transport, SocketAddr)>>,
    /// Tasks that look whether upstreams are well.
    pub(super) checks: Tasks,
    /// Tasks that ask upstreams, whoever waits for that.
    pub(super) fetches: Tasks,
    pub(super) metrics: ForwardMetrics,
    /// By whose tokens our own questions and answers are known.
    pub(super) secret: Secret,
    pub(super) marks: Marks,
}

impl Outbound {
    pub(super) fn new(metrics: ForwardMetrics) -> Self {
        let (checks, fetches) = (Tasks::default(), Tasks::default());
        let (secret, marks) = (Secret::new(), Marks::default());
        Self { own: Mutex::default(), checks, fetches, metrics, secret, marks }
    }

    /// Whether this is a socket of ours that waits for an upstream.
    pub(super) fn is_own(&self, (peer, transport): (SocketAddr, Transport)) -> bool {
        lock(&self.own).contains(&(transport, SocketAddr::new(peer.ip().to_canonical(), peer.port())))
    }
}
