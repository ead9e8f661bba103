//! The server: sockets in, answers out. What is said is decided in `answer` and `forward`; this only carries it.

mod bind;
mod datagrams;
mod respond;
mod tcp;
mod udp;

use crate::answer::ZoneSettings;
use crate::cache::CacheSettings;
use crate::metrics::Metrics;
use config::{DomainName, Subscriber};
use prometheus::Registry;
use respond::Responder;
use socket2::SockRef;
use std::future::Future;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
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
    /// What of upstreams' answers is kept.
    pub cache: CacheSettings,
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
            cache: CacheSettings::default(),
            tcp_limit: 1024,
            tcp_idle: Duration::from_secs(10),
        }
    }
}

/// A DNS server that is ready to serve.
#[derive(Debug)]
pub struct Server {
    names: Subscriber,
    settings: Settings,
    metrics: Metrics,
}

impl Server {
    /// Answers from what `names` has; until it has anything, names in the zone get SERVFAIL.
    ///
    /// # Errors
    /// The metrics are registered already.
    pub fn new(names: Subscriber, settings: Settings, registry: &Registry) -> prometheus::Result<Self> {
        Ok(Self { names, settings, metrics: Metrics::new(registry)? })
    }

    /// Serves until `shutdown` ends, then answers what was asked before that.
    ///
    /// # Errors
    /// A socket cannot be used by the runtime, or a listening task died.
    pub async fn serve(self, sockets: Sockets, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let (stop, stopped) = watch::channel(());
        let limits = tcp::Limits::new(self.settings.tcp_limit, self.settings.tcp_idle);
        let runtime = Handle::current();
        let responder = Arc::new(Responder::new(self.names, self.settings, self.metrics, runtime.clone()));
        let (waiting, mut waited) = mpsc::channel(1);
        let is_stopping = Arc::new(AtomicBool::new(false));
        let _stops = Stops(Arc::clone(&is_stopping));
        let shared =
            udp::Shared { responder: Arc::clone(&responder), runtime, is_stopping: Arc::clone(&is_stopping), waiting };
        let mut tasks = JoinSet::new();
        let mut sockets_of_threads = Vec::new();
        for (number, socket) in sockets.udp.into_iter().enumerate() {
            let listener = udp::Listener::new(socket, shared.clone())?;
            sockets_of_threads.push(listener.socket());
            let (ends, ended) = oneshot::channel::<()>();
            let thread = std::thread::Builder::new().name(format!("dns-{number}"));
            let thread = thread.spawn(move || {
                let _ends = ends;
                listener.serve();
            })?;
            tasks.spawn(async move {
                // Nothing is ever sent: it is dropped when the thread ends, however that is.
                let _ = ended.await;
                thread.join().map_err(|_| io::Error::other("a thread of DNS has panicked"))
            });
        }
        drop(shared);
        for listener in sockets.tcp {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let serving = tcp::serve(listener, Arc::clone(&responder), limits.clone(), stopped.clone());
            tasks.spawn(async move {
                serving.await;
                Ok(())
            });
        }
        let ended = tokio::select! {
            () = shutdown => Ok(()),
            Some(ended) = tasks.join_next() => ended?,
        };
        is_stopping.store(true, Ordering::Relaxed);
        drop(stop);
        for socket in sockets_of_threads {
            // Wakes who waits for it, though it says ENOTCONN; otherwise the thread looks up itself after a while.
            let _ = SockRef::from(&*socket).shutdown(Shutdown::Read);
        }
        while let Some(ended) = tasks.join_next().await {
            ended??;
        }
        // What waits for upstreams is still answered.
        while waited.recv().await.is_some() {}
        ended
    }
}

/// Ends the threads wherever serving ends.
struct Stops(Arc<AtomicBool>);

impl Drop for Stops {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
