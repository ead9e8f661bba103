//! The server: sockets in, answers out. What is said is decided in `answer` and `forward`; this only carries it.

mod bind;
mod respond;
mod tcp;
mod udp;

use crate::answer::ZoneSettings;
use crate::metrics::Metrics;
use config::{DomainName, Subscriber};
use prometheus::Registry;
use respond::Responder;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use bind::{Sockets, bind};

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
    /// Questions that may wait for upstreams at once; more are answered SERVFAIL.
    pub forward_limit: usize,
    /// TCP connections at once; more wait in the backlog. One client gets a quarter of them.
    pub tcp_limit: usize,
    /// How long a TCP connection may be silent.
    pub tcp_idle: Duration,
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
            tcp_limit: 1024,
            tcp_idle: Duration::from_secs(10),
        }
    }
}

/// A DNS server that is ready to serve.
#[derive(Debug)]
pub struct Server {
    responder: Arc<Responder>,
    tcp_limit: usize,
    tcp_idle: Duration,
}

impl Server {
    /// Answers from what `names` has; until it has anything, names in the zone get SERVFAIL.
    ///
    /// # Errors
    /// The metrics are registered already.
    pub fn new(names: Subscriber, settings: Settings, registry: &Registry) -> prometheus::Result<Self> {
        let (tcp_limit, tcp_idle) = (settings.tcp_limit, settings.tcp_idle);
        let responder = Responder::new(names, settings, Metrics::new(registry)?);
        Ok(Self { responder: Arc::new(responder), tcp_limit, tcp_idle })
    }

    /// Serves until `shutdown` ends, then answers what was asked before that.
    ///
    /// # Errors
    /// A socket cannot be used by the runtime, or a listening task died.
    pub async fn serve(self, sockets: Sockets, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let (stop, stopped) = watch::channel(());
        let mut tasks = JoinSet::new();
        for socket in sockets.udp {
            let socket = udp::Socket::new(socket)?;
            tasks.spawn(udp::serve(socket, Arc::clone(&self.responder), stopped.clone()));
        }
        let limits = tcp::Limits::new(self.tcp_limit, self.tcp_idle);
        for listener in sockets.tcp {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            tasks.spawn(tcp::serve(listener, Arc::clone(&self.responder), limits.clone(), stopped.clone()));
        }
        tokio::select! {
            () = shutdown => {}
            Some(ended) = tasks.join_next() => ended?,
        }
        drop(stop);
        while let Some(ended) = tasks.join_next().await {
            ended?;
        }
        Ok(())
    }
}
