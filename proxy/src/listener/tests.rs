use super::accept::{Gate, accept_each};
use super::ceiling::{carried, open_files};
use super::*;
use crate::drain::{Drain, DrainPhase, WorkerDrain};
use crate::metrics::RefusedFor;
use config::DrainSettings;
use socket2::SockRef;
use std::cell::{Cell, RefCell};
use std::io::ErrorKind;
use std::net::TcpStream;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{LocalSet, yield_now};
use tokio::time::{Instant, timeout};

const LOOPBACK: &str = "127.0.0.1:0";

fn any_port(address: &str) -> SocketAddr {
    address.parse().expect("an address")
}

fn drain() -> (Drain, Rc<WorkerDrain>) {
    let drain = Drain::new(DrainSettings { delay: Duration::ZERO, timeout: Duration::from_secs(25) });
    let worker = WorkerDrain::new(&drain.watch());
    (drain, worker)
}

/// An accept loop that keeps what it accepted.
struct Accepting {
    address: SocketAddr,
    accepted: Rc<RefCell<Vec<(tokio::net::TcpStream, ConnectionPermit)>>>,
    ceiling: Arc<ConnectionCeiling>,
    drain: Drain,
    worker: Rc<WorkerDrain>,
    listener: tokio::net::TcpListener,
}

impl Accepting {
    fn new(limit: usize) -> Self {
        let listener = bind(any_port(LOOPBACK), 1).expect("a free port").remove(0);
        let (drain, worker) = drain();
        Self {
            address: listener.local_addr().expect("an address"),
            accepted: Rc::default(),
            ceiling: ConnectionCeiling::new(limit),
            drain,
            worker,
            listener: tokio::net::TcpListener::from_std(listener).expect("a runtime"),
        }
    }

    fn connect(&self, count: usize) -> Vec<TcpStream> {
        (0..count).map(|_| TcpStream::connect(self.address).expect("the backlog has room")).collect()
    }

    /// Runs the loop beside `during`, which gets what is needed to watch it; ends with both.
    async fn run<T>(self, during: impl AsyncFnOnce(&Watched) -> T) -> (Watched, T) {
        let Self { accepted, ceiling, drain, worker, .. } = self;
        let watched = Watched { accepted, ceiling, drain, worker, pauses: RefCell::default() };
        let spawn = |stream, _, permit| watched.accepted.borrow_mut().push((stream, permit));
        let on_pause = |reason| watched.pauses.borrow_mut().push(reason);
        let (ceiling, worker) = (Arc::clone(&watched.ceiling), Rc::clone(&watched.worker));
        let accepting = accept_loop(self.listener, ceiling, worker, on_pause, spawn);
        let both = async { tokio::join!(accepting, during(&watched)) };
        let follow = watched.worker.follow(watched.drain.watch());
        let (ended, result) = tokio::select! {
            ended = async { tokio::join!(both, follow) } => ended.0,
            () = tokio::time::sleep(Duration::from_secs(60)) => panic!("it hangs"),
        };
        ended.expect("the socket comes back");
        (watched, result)
    }
}

struct Watched {
    accepted: Rc<RefCell<Vec<(tokio::net::TcpStream, ConnectionPermit)>>>,
    ceiling: Arc<ConnectionCeiling>,
    drain: Drain,
    worker: Rc<WorkerDrain>,
    pauses: RefCell<Vec<RefusedFor>>,
}

impl Watched {
    /// Whether it paused that often, each time since it was full.
    fn has_paused(&self, times: usize) -> bool {
        *self.pauses.borrow() == vec![RefusedFor::Ceiling; times]
    }

    fn count(&self) -> usize {
        self.accepted.borrow().len()
    }

    async fn until(&self, is_true: impl Fn(&Self) -> bool) {
        while !is_true(self) {
            yield_now().await;
        }
    }
}

#[test]
fn all_workers_get_the_port_that_the_system_chose() {
    let listeners = bind(any_port(LOOPBACK), 4).expect("a free port");
    let ports: Vec<_> = listeners.iter().map(|listener| listener.local_addr().expect("an address").port()).collect();
    assert_eq!(ports, [ports[0]; 4]);
    assert_ne!(ports[0], 0);
}

#[test]
fn a_port_in_use_is_an_error_that_names_it() {
    let foreign = TcpListener::bind(LOOPBACK).expect("a free port");
    let shared = bind(any_port(LOOPBACK), 2).expect("a free port");
    for address in [foreign.local_addr(), shared[0].local_addr()] {
        let address = address.expect("an address");
        let error = bind(address, 2).expect_err("it is in use");
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        assert!(error.to_string().starts_with(&format!("cannot listen on {address}: ")), "{error}");
    }
    let error = bind(any_port("192.0.2.1:0"), 1).expect_err("an address of nobody");
    assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
}

#[test]
fn a_port_is_free_again_though_its_last_connections_linger() {
    let listener = bind(any_port(LOOPBACK), 1).expect("a free port").remove(0);
    let address = listener.local_addr().expect("an address");
    let mut client = TcpStream::connect(address).expect("it listens");
    listener.set_nonblocking(false).expect("a socket");
    // The side that closes first keeps the port in TIME_WAIT.
    drop(listener.accept().expect("a connection"));
    assert_eq!(io::Read::read(&mut client, &mut [0]).expect("an end"), 0);
    drop((client, listener));
    bind(address, 2).expect("the port is free");
}

#[test]
fn the_unspecified_ipv6_address_takes_ipv4_too() {
    let listener = bind(any_port("[::]:0"), 1).expect("a free port").remove(0);
    let port = listener.local_addr().expect("an address").port();
    listener.set_nonblocking(false).expect("a socket");
    for address in ["127.0.0.1", "::1"] {
        let client = TcpStream::connect((address, port)).expect("it listens");
        let (_, peer) = listener.accept().expect("a connection");
        assert_eq!(peer.port(), client.local_addr().expect("an address").port());
    }
}

#[test]
fn accepted_sockets_inherit_their_options() {
    let listener = bind(any_port(LOOPBACK), 1).expect("a free port").remove(0);
    listener.set_nonblocking(false).expect("a socket");
    let _client = TcpStream::connect(listener.local_addr().expect("an address")).expect("it listens");
    let (accepted, _) = listener.accept().expect("a connection");
    let socket = SockRef::from(&accepted);
    assert!(socket.tcp_nodelay().expect("an option"));
    assert!(socket.keepalive().expect("an option"));
    assert_eq!(socket.tcp_keepalive_time().expect("an option"), Duration::from_secs(60));
    assert_eq!(socket.tcp_keepalive_interval().expect("an option"), Duration::from_secs(10));
    assert_eq!(socket.tcp_keepalive_retries().expect("an option"), 3);
    assert_eq!(socket.tcp_user_timeout().expect("an option"), Some(Duration::from_secs(75)));
}

#[test]
fn accepted_sockets_inherit_what_a_write_clock_asks_for() {
    let listener = bind(any_port(LOOPBACK), 1).expect("a free port").remove(0);
    let limits = Limits { write: Duration::from_secs(20), ..Limits::default() };
    dead_peer::find(&SockRef::from(&listener), &limits).expect("an option");
    listener.set_nonblocking(false).expect("a socket");
    let _client = TcpStream::connect(listener.local_addr().expect("an address")).expect("it listens");
    let (accepted, _) = listener.accept().expect("a connection");
    let timeout = SockRef::from(&accepted).tcp_user_timeout().expect("an option");
    assert_eq!(timeout, Some(Duration::from_secs(35)));
}

#[tokio::test]
async fn at_the_ceiling_connections_wait_for_one_to_end() {
    let accepting = Accepting::new(2);
    let _clients = accepting.connect(3);
    let (watched, ()) = accepting
        .run(async |watched: &Watched| {
            watched.until(|watched| watched.has_paused(1)).await;
            assert_eq!((watched.count(), watched.ceiling.open(), watched.worker.guards()), (2, 2, 2));
            let first = watched.accepted.borrow_mut().remove(0);
            drop(first);
            watched.until(|watched| watched.count() == 2 && watched.has_paused(2)).await;
            watched.drain.advance(DrainPhase::Over);
        })
        .await;
    watched.accepted.borrow_mut().clear();
    assert_eq!((watched.ceiling.open(), watched.worker.guards()), (0, 0));
}

#[tokio::test]
async fn what_is_queued_when_accepting_stops_is_served() {
    let accepting = Accepting::new(1000);
    let clients = accepting.connect(50);
    let address = accepting.address;
    accepting.drain.advance(DrainPhase::Stopping);
    let (watched, ()) = accepting
        .run(async |watched: &Watched| {
            watched.until(|watched| watched.count() == 50).await;
            watched.drain.advance(DrainPhase::Over);
        })
        .await;
    let ports = |addresses: Vec<SocketAddr>| addresses.iter().map(SocketAddr::port).collect::<Vec<_>>();
    let mut expected = ports(clients.iter().map(|client| client.local_addr().expect("an address")).collect());
    let peers = watched.accepted.borrow().iter().map(|(stream, _)| stream.peer_addr().expect("a peer")).collect();
    let mut accepted = ports(peers);
    expected.sort_unstable();
    accepted.sort_unstable();
    assert_eq!(accepted, expected);
    assert_eq!(TcpStream::connect(address).expect_err("it is closed").kind(), ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn a_drain_accepts_until_it_is_told_to_stop() {
    let accepting = Accepting::new(1000);
    let address = accepting.address;
    accepting.drain.advance(DrainPhase::Closing);
    let (watched, ()) = accepting
        .run(async |watched: &Watched| {
            let _client = TcpStream::connect(address).expect("it listens");
            watched.until(|watched| watched.count() == 1).await;
            watched.drain.advance(DrainPhase::Over);
        })
        .await;
    assert_eq!(watched.count(), 1);
}

#[tokio::test]
async fn the_deadline_ends_a_loop_that_waits_for_room() {
    let accepting = Accepting::new(1);
    let _clients = accepting.connect(2);
    let (watched, ()) = accepting
        .run(async |watched: &Watched| {
            watched.until(|watched| watched.has_paused(1)).await;
            watched.drain.advance(DrainPhase::Stopping);
            // The queue holds one more, for which there is no room: it is waited for again.
            watched.until(|watched| watched.has_paused(2)).await;
            watched.drain.advance(DrainPhase::Over);
        })
        .await;
    assert_eq!(watched.count(), 1);
}

/// Runs `errors` through the loop, and then its end: how long that takes, and why it paused.
async fn after_errors(ceiling: &Arc<ConnectionCeiling>, errors: &[i32]) -> (Duration, Vec<RefusedFor>) {
    let mut errors = errors.iter();
    let next = async || {
        let error = errors.next().map(|number| io::Error::from_raw_os_error(*number));
        Err(error.unwrap_or_else(|| ErrorKind::WouldBlock.into()))
    };
    let (start, pauses) = (Instant::now(), RefCell::new(Vec::new()));
    let mut gate = Gate::new(Arc::clone(ceiling), |reason| pauses.borrow_mut().push(reason));
    accept_each(next, &mut gate, &mut |_, _| unreachable!("nothing is accepted")).await;
    (start.elapsed(), pauses.take())
}

#[tokio::test(start_paused = true)]
async fn without_files_or_memory_the_loop_pauses_ever_longer() {
    let ceiling = ConnectionCeiling::new(10);
    let errors = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM, libc::EMFILE, libc::EMFILE];
    let (waited, pauses) = after_errors(&ceiling, &errors).await;
    assert_eq!(waited.as_millis(), 10 + 20 + 40 + 80 + 100 + 100);
    use RefusedFor::{Descriptors, Error};
    assert_eq!(pauses, [Descriptors, Descriptors, Error, Error, Descriptors, Descriptors]);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_ends_ends_the_pause() {
    let ceiling = ConnectionCeiling::new(10);
    let (_drain, worker) = drain();
    let permit = ceiling.permit(worker.guard());
    let closing = async {
        tokio::time::sleep(Duration::from_millis(3)).await;
        drop(permit);
    };
    let ((waited, _), ()) = tokio::join!(after_errors(&ceiling, &[libc::EMFILE]), closing);
    assert_eq!(waited.as_millis(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_died_in_the_queue_pauses_nothing() {
    let ceiling = ConnectionCeiling::new(10);
    let errors = [libc::ECONNABORTED, libc::EPROTO, libc::EHOSTUNREACH];
    assert_eq!(after_errors(&ceiling, &errors).await, (Duration::ZERO, vec![]));
}

#[tokio::test]
async fn a_flood_of_connections_lets_accepted_ones_run() {
    let listener = bind(any_port(LOOPBACK), 1).expect("a free port").remove(0);
    let address = listener.local_addr().expect("an address");
    let running = Rc::new(Cell::new(0));
    let (mut accepted, mut behind) = (0, 0);
    let mut admit = |stream, _| {
        accepted += 1;
        behind = (accepted - running.get()).max(behind);
        let running = Rc::clone(&running);
        tokio::task::spawn_local(async move {
            running.set(running.get() + 1);
            drop(stream);
        });
    };
    let mut left = 300;
    let next = async || {
        if left == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        left -= 1;
        let _client = TcpStream::connect(address)?;
        let (stream, peer) = listener.accept()?;
        stream.set_nonblocking(true)?;
        Ok((tokio::net::TcpStream::from_std(stream)?, peer))
    };
    let mut gate = Gate::new(ConnectionCeiling::new(1000), |reason| unreachable!("{reason:?}"));
    LocalSet::new().run_until(accept_each(next, &mut gate, &mut admit)).await;
    assert_eq!(accepted, 300);
    assert!(behind <= 64, "{behind} accepted ones waited");
}

#[tokio::test]
async fn two_loops_that_wait_for_room_both_get_it() {
    let ceiling = ConnectionCeiling::new(2);
    let (_drain, worker) = drain();
    let permits = [ceiling.permit(worker.guard()), ceiling.permit(worker.guard())];
    let waiting = async { tokio::join!(ceiling.room(), ceiling.room()) };
    let closing = async {
        yield_now().await;
        drop(permits);
    };
    timeout(Duration::from_secs(60), async { tokio::join!(waiting, closing) }).await.expect("both get it");
    assert!(!ceiling.is_full());
}

#[test]
fn open_files_are_raised_to_the_hard_limit() {
    let raised = raise_open_files().expect("the hard limit is ours");
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    assert_eq!(limit.current, limit.maximum);
    assert_eq!(limit.maximum.unwrap_or(u64::MAX), raised);
}

#[test]
fn the_ceiling_leaves_files_for_upstreams_and_for_the_rest() {
    for (files, connections) in [(256, 96), (1024, 480), (1_048_576, 524_256), (128, 42), (64, 10), (46, 1), (45, 0)] {
        assert_eq!(carried(files, 20, 2), connections, "{files}");
    }
    assert_eq!(carried(0, 20, 2), 0);
    assert_eq!(carried(1024, 200, 64), (1024 - 200 - 16 - 256) / 2, "many workers have many files");
    let few = (0..4096).map(|files| carried(files, 20, 2));
    assert!(few.is_sorted(), "more files carry more connections");
}

#[test]
fn open_files_are_counted() {
    let before = open_files();
    assert!(before > 2, "{before}");
    // Other tests open and close files meanwhile, but not so many.
    let opened: Vec<_> = (0..500).map(|_| TcpListener::bind(LOOPBACK).expect("a free port")).collect();
    assert!(open_files() >= before + 300, "{before}, {} with {}", open_files(), opened.len());
}
