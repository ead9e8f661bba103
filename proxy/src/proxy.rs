//! Starting and stopping the workers: each is a thread with a runtime, sockets and a pool of its own.

use crate::access_log::AccessLog;
use crate::connection::{self, Port};
use crate::dead_peer;
use crate::drain::{Drain, DrainPhase, DrainWatch, Drained, WorkerDrain};
use crate::limits::Limits;
use crate::listener::{ConnectionCeiling, accept_loop};
use crate::live::{Live, ViewCache};
use crate::metrics::{ConnectionKind, Metrics, RefusedFor};
use crate::pool::{Pool, UpstreamCeiling};
use crate::tls::upstream::UpstreamTlsConfigs;
use crate::tls::{ServerTls, TlsError};
use crate::worker::{Observed, Worker};
use config::{ListenerName, PathSettings, Protocol, Reader, Snapshot};
use ipnet::IpNet;
use socket2::SockRef;
use std::future::pending;
use std::io;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::runtime::LocalOptions;
use tokio::time::sleep;

/// What is fixed for the proxy at start.
#[derive(Debug, Clone)]
pub struct ProxySettings {
    /// How request paths are read.
    pub paths: PathSettings,
    /// Peers whose `X-Forwarded-*` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Port in redirects to HTTPS.
    pub advertised_https_port: u16,
    /// Sizes and clocks.
    pub limits: Limits,
}

/// The bound sockets of a listener, one a worker.
#[derive(Debug)]
pub struct Sockets {
    /// The listener of the snapshot that they serve.
    pub listener: ListenerName,
    /// What is spoken.
    pub protocol: Protocol,
    /// From [`crate::listener::bind`].
    pub sockets: Vec<TcpListener>,
}

/// What the workers have in common beside the snapshot.
#[derive(Debug, Clone)]
pub struct Shared {
    /// How many connections of clients may be open, and how many to endpoints.
    pub ceiling: Arc<ConnectionCeiling>,
    /// What is counted.
    pub metrics: Metrics,
    /// Where exchanges are logged.
    pub access_log: AccessLog,
}

/// Why the proxy cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No random bytes, or rustls refused its settings.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// No thread, no runtime, or a socket that the runtime refused.
    #[error("a worker cannot be started: {0}")]
    Io(#[from] io::Error),
}

/// The running proxy.
#[derive(Debug)]
pub struct Proxy {
    drain: Drain,
    workers: Vec<JoinHandle<()>>,
    live: Arc<Live>,
    server_tls: Arc<ServerTls>,
}

/// How often pools are looked through for what is too old.
const SWEEP: Duration = Duration::from_secs(1);
/// Stack of a worker; tasks live on the heap.
const STACK: usize = 2 * 1024 * 1024;

impl Proxy {
    /// Starts one worker for each socket of a listener; they serve at once.
    ///
    /// # Errors
    /// [`StartError`]; nothing runs then.
    pub fn start(
        settings: ProxySettings,
        drain: Drain,
        reader: &Reader,
        listeners: Vec<Sockets>,
        shared: &Shared,
    ) -> Result<Self, StartError> {
        let server_tls = Arc::new(ServerTls::new()?);
        let first = reader.current();
        certify(&server_tls, &first);
        let live = Live::new(&first);
        let settings = Arc::new(settings);
        let upstreams = UpstreamCeiling::new(shared.ceiling.limit(), shared.metrics.clone());
        let workers = listeners.iter().map(|listener| listener.sockets.len()).max().unwrap_or(0);
        let mut seats: Vec<Seat> = Vec::with_capacity(workers);
        for _ in 0..workers {
            seats.push(Seat {
                settings: Arc::clone(&settings),
                live: Arc::clone(&live),
                tls: UpstreamTlsConfigs::new()?,
                shared: shared.clone(),
                upstreams: Arc::clone(&upstreams),
                watch: drain.watch(),
                seed: seed()?,
                sockets: Vec::new(),
            });
        }
        for Sockets { listener, protocol, sockets } in listeners {
            let tls = (protocol == Protocol::Https).then(|| Arc::clone(&server_tls));
            for (seat, socket) in seats.iter_mut().zip(sockets) {
                dead_peer::find(&SockRef::from(&socket), &settings.limits)?;
                let bound = socket.local_addr()?.port();
                let advertised = if protocol == Protocol::Https { settings.advertised_https_port } else { bound };
                seat.sockets.push((Port { listener, protocol, advertised, tls: tls.clone() }, socket));
            }
        }
        let workers =
            seats.into_iter().enumerate().map(|(number, seat)| seat.start(number)).collect::<Result<_, _>>()?;
        Ok(Self { drain, workers, live, server_tls })
    }

    /// Follows the snapshots of `reader` until its publisher is gone.
    pub fn follow(&self, reader: Reader) -> impl Future<Output = ()> + Send + 'static {
        let server_tls = Arc::clone(&self.server_tls);
        crate::live::follow(Arc::clone(&self.live), reader, move |snapshot| certify(&server_tls, snapshot))
    }

    /// Stops: by the settings' delay and timeout, or at once where the future is dropped and then the proxy.
    pub async fn drain(&self) -> Drained {
        self.drain.run().await
    }

    /// The same where connections are accepted for `longer` than the settings say.
    pub async fn drain_after(&self, longer: Duration) -> Drained {
        self.drain.advance(DrainPhase::Closing);
        sleep(longer).await;
        self.drain().await
    }

    /// Ends what still runs and waits for the workers.
    pub fn stop(self) {
        drop(self.drain);
        for worker in self.workers {
            if worker.join().is_err() {
                tracing::error!("a worker panicked");
            }
        }
    }
}

fn certify(server_tls: &ServerTls, snapshot: &Snapshot) {
    let Some(listener) = snapshot.routing.listener(ListenerName::Https) else { return };
    for refused in server_tls.update(&listener.certificates) {
        tracing::error!(%refused, "certificate cannot be served");
    }
    for refused in server_tls.ask_clients(&snapshot.routing) {
        tracing::error!(%refused, "every client is refused");
    }
}

fn seed() -> Result<u64, TlsError> {
    let mut bytes = [0; 8];
    let provider = rustls::crypto::ring::default_provider();
    let filled = provider.secure_random.fill(&mut bytes);
    filled.map_err(|_| rustls::Error::FailedToGetRandomBytes)?;
    Ok(u64::from_ne_bytes(bytes))
}

/// What a worker takes with it to its thread.
struct Seat {
    settings: Arc<ProxySettings>,
    live: Arc<Live>,
    tls: UpstreamTlsConfigs,
    shared: Shared,
    upstreams: Arc<UpstreamCeiling>,
    watch: DrainWatch,
    seed: u64,
    sockets: Vec<(Port, TcpListener)>,
}

impl Seat {
    fn start(self, number: usize) -> Result<JoinHandle<()>, StartError> {
        let (started, outcome) = std::sync::mpsc::sync_channel(1);
        let thread = std::thread::Builder::new().name(format!("worker-{number}")).stack_size(STACK);
        let thread = thread.spawn(move || {
            // Its tasks stay on this thread, so the runtime has to be made here.
            match tokio::runtime::Builder::new_current_thread().enable_all().build_local(LocalOptions::default()) {
                Ok(runtime) => {
                    // Nobody waits for it only where another worker has failed already.
                    let _ = started.send(Ok(()));
                    runtime.block_on(self.run());
                }
                Err(error) => drop(started.send(Err(error))),
            }
        })?;
        outcome.recv().map_err(io::Error::other)??;
        Ok(thread)
    }

    async fn run(self) {
        let Self { settings, live, tls, shared, upstreams, watch, seed, sockets } = self;
        let metrics = shared.metrics.worker();
        let pool = Pool::new(Arc::new(settings.limits.clone()), tls, upstreams, metrics.clone());
        let drain = WorkerDrain::new(&watch);
        let observed = Observed { seed, metrics, access_log: shared.access_log };
        let worker = Worker::new(settings, ViewCache::new(live), pool, Rc::clone(&drain), observed);
        let mut accepting = Vec::new();
        for (port, socket) in sockets {
            let listener = match tokio::net::TcpListener::from_std(socket) {
                Ok(listener) => listener,
                Err(error) => {
                    tracing::error!(%error, "a socket cannot be served");
                    continue;
                }
            };
            let (port, spawning, counting) = (Rc::new(port), Rc::clone(&worker), Rc::clone(&worker));
            accepting.push(tokio::task::spawn_local(accept_loop(
                listener,
                Arc::clone(&shared.ceiling),
                Rc::clone(&drain),
                move |reason| {
                    counting.metrics.refused(reason);
                    if reason != RefusedFor::Ceiling {
                        counting.pool.spare();
                    }
                },
                move |socket, peer, permit| {
                    let (worker, port) = (Rc::clone(&spawning), Rc::clone(&port));
                    tokio::task::spawn_local(connection::serve(worker, port, socket, peer, permit));
                },
            )));
        }
        let sweeping = tokio::task::spawn_local(sweep(Rc::clone(&worker)));
        let relieving = Rc::clone(&worker);
        let relieving = tokio::task::spawn_local(async move { relieving.pool.relieve_others().await });
        let following = Rc::clone(&drain);
        let ending = async {
            for accepting in accepting {
                // It ends with the drain; a panic in it is reported by the runtime's thread.
                let _ = accepting.await;
            }
            drain.emptied().await;
        };
        tokio::select! {
            () = ending => {}
            () = following.follow(watch) => {}
            () = tell_at_deadline(&worker) => {}
        }
        sweeping.abort();
        relieving.abort();
    }
}

/// Says what the drain did not wait for; never ready.
async fn tell_at_deadline(worker: &Worker) {
    worker.drain.reached(DrainPhase::Deadline).await;
    if worker.drain.phase() == DrainPhase::Deadline {
        let open = |kind| worker.metrics.open(kind);
        let (http1, http2) = (open(ConnectionKind::Http1), open(ConnectionKind::Http2));
        tracing::warn!(http1, http2, tunnels = open(ConnectionKind::Tunnel), "the drain's deadline ends connections");
    }
    pending::<()>().await;
}

async fn sweep(worker: Rc<Worker>) {
    let mut ticks = tokio::time::interval(SWEEP);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        worker.pool.sweep();
        // An idle worker must not keep a snapshot of the past in memory.
        drop(worker.views.current());
        worker.budgets.sweep();
    }
}
