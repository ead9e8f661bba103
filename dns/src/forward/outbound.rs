//! What all questions of a forwarder to its upstreams share.

use super::circle::Probes;
use super::lock;
use super::tasks::Tasks;
use crate::message::Transport;
use crate::metrics::ForwardMetrics;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Mutex;

#[derive(Debug)]
pub(super) struct Outbound {
    /// Local addresses of the sockets that wait for an upstream, which those of other transports may have too; plain.
    own: Mutex<HashSet<(Transport, SocketAddr)>>,
    /// Tasks that look whether upstreams are well.
    pub(super) checks: Tasks,
    /// Tasks that ask upstreams, whoever waits for that.
    pub(super) fetches: Tasks,
    pub(super) metrics: ForwardMetrics,
    pub(super) probes: Probes,
}

impl Outbound {
    pub(super) fn new(metrics: ForwardMetrics) -> Self {
        let (checks, fetches) = (Tasks::default(), Tasks::default());
        Self { own: Mutex::default(), checks, fetches, metrics, probes: Probes::default() }
    }

    /// There is another socket that waits for an upstream, in the place of one of before.
    pub(super) fn replace(&self, before: Option<(Transport, SocketAddr)>, own: Option<(Transport, SocketAddr)>) {
        let mut all = lock(&self.own);
        if let Some((transport, before)) = before {
            all.remove(&(transport, plain(before)));
        }
        all.extend(own.map(|(transport, own)| (transport, plain(own))));
    }

    /// Whether this is a socket of ours that waits for an upstream.
    pub(super) fn is_own(&self, (peer, transport): (SocketAddr, Transport)) -> bool {
        lock(&self.own).contains(&(transport, plain(peer)))
    }
}

/// One of IPv4 in its own form, and one of a link without the link.
fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn a_socket_on_a_link_is_known_again() {
        let metrics = Metrics::new(&prometheus::Registry::new()).unwrap();
        let outbound = Outbound::new(metrics.forward);
        let own = (Transport::Udp, "[fe80::1%7]:4000".parse().unwrap());
        let seen = ("[fe80::1]:4000".parse().unwrap(), Transport::Udp);
        outbound.replace(None, Some(own));
        assert!(outbound.is_own(seen));
        outbound.replace(Some(own), None);
        assert!(!outbound.is_own(seen));
    }
}
