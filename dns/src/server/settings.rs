//! How the server works where flags alone say it.

use crate::answer::ZoneSettings;
use crate::cache::{Cache, CacheSettings};
use crate::forward::{Forwarder, Route};
use crate::metrics::Metrics;
use crate::question::MAX_UDP;
use crate::serving::{Block, Records};
use config::DomainName;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

/// How long one may be silent.
const TCP_IDLE: Duration = Duration::from_secs(10);

/// How the server works; fixed at start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The zone whose names never leave the server; the snapshot's names are in the same one.
    pub zone: DomainName,
    /// What the zone's answers hold besides the table.
    pub records: ZoneSettings,
    /// Whom other names are asked of, in order of preference; empty: other names are refused.
    pub upstreams: Vec<SocketAddr>,
    /// Time for one try at one upstream.
    pub upstream_timeout: Duration,
    /// Questions that may wait for upstreams at once; more are REFUSED.
    pub forward_limit: usize,
    /// What of upstreams' answers is kept.
    pub cache: CacheSettings,
    /// How long a TCP connection may be silent.
    pub tcp_idle: Duration,
}

/// What clients may ask of a server in all; fixed at start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Questions that may wait for upstreams at once, whatever block they are of; more are REFUSED.
    pub waiting: usize,
    /// Connections of TCP, TLS and HTTPS at once; more wait in the backlog. One client gets a quarter of them.
    pub connections: usize,
    /// Questions a second of one client, which is an address of IPv4 or a /64 of IPv6; `None`: as many as it likes.
    pub per_client: Option<NonZeroU32>,
    /// Bytes of answers over TCP, TLS and HTTPS that wait for clients to take them; 4 KiB of each connection come on top. One
    /// client gets a quarter of them.
    pub untaken: usize,
}

impl Bounds {
    /// The largest number for [`per_client`](Self::per_client): from there on the time between two questions is a rough one.
    pub const MOST_PER_CLIENT: u32 = 1_000_000;
}

/// As suits a cluster.
impl Default for Bounds {
    fn default() -> Self {
        Self { waiting: 10_000, connections: 1024, per_client: None, untaken: 16 << 20 }
    }
}

impl Settings {
    /// Settings with the limits that suit a cluster.
    #[must_use]
    pub fn new(zone: DomainName, upstreams: Vec<SocketAddr>) -> Self {
        Self {
            zone,
            records: ZoneSettings::default(),
            upstreams,
            // Three tries are over before clients give up, which is after 5 s (resolv.conf(5), `timeout`).
            upstream_timeout: Duration::from_millis(1500),
            forward_limit: 1000,
            cache: CacheSettings::default(),
            tcp_idle: TCP_IDLE,
        }
    }

    /// The one block that they make.
    pub(super) fn block(self, metrics: &Metrics) -> Block {
        let Self { zone, records, upstreams, upstream_timeout, forward_limit, cache, .. } = self;
        let cache = Cache::new(cache.to_plan(), &metrics.cache);
        let route = Route::of_addresses(&upstreams, upstream_timeout, forward_limit);
        let routes = if upstreams.is_empty() { Vec::new() } else { vec![route] };
        let forwarder = Forwarder::new(routes, cache, metrics.forward.clone());
        Block {
            records: Some(Records::new(records, zone)),
            forwarder: Arc::new(forwarder),
            most_over_udp: MAX_UDP,
            patience: None,
            queries: None,
            errors: None,
            // As in the Corefile that kubeadm installs.
            balances: true,
            parts: None,
        }
    }
}
