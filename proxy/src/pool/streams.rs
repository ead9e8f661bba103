//! HTTP/2 connections to upstreams, each shared by the requests of one worker.

mod keeper;

use super::connect::Connected;
use super::{ConnectError, ConnectFailure, PoolKey};
use crate::clock::Clock;
use crate::h2_io::H2Io;
use crate::h2_pulse::Pulse;
use crate::limits::Limits;
use crate::live::Upstream;
use crate::metrics::{Held, Level, UpstreamState};
use crate::wire::Io;
use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use keeper::Keeper;
use rustc_hash::FxHashMap;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

/// Connections at once to one endpoint.
const MOST_CONNECTIONS: usize = 8;
/// What small DATA frames of a connection may cost until they are read: no limit. h2 never gives back what it charged for
/// those that came after we reset their stream, so that in time clients who leave would end the connection of others.
/// Few are there at once all the same: a turn reads 64 KiB, and each stream's are taken out of h2 in the next.
const FRAME_BUDGET: usize = usize::MAX;
/// RFC 9113 §6.9.1.
const LARGEST_WINDOW: u32 = (1 << 31) - 1;
/// The number of streams that h2 is to believe in until the upstream has said its own: one that nobody says.
const UNSAID: usize = usize::MAX - 1;

#[derive(Debug)]
struct StreamConnection {
    sender: SendRequest<Bytes>,
    is_tls: bool,
    active: Cell<usize>,
    /// Streams that the upstream takes at once; one until its SETTINGS are here.
    most: Cell<usize>,
    used: Cell<Instant>,
    /// Streams whose uploads wait for the upstream, and when it last took some of any.
    waiting: Cell<usize>,
    took: Cell<Instant>,
    /// The upstream's SETTINGS came, or the connection is over.
    learned: Notify,
    level: RefCell<Held>,
}

impl StreamConnection {
    fn change(&self, streams: isize) {
        self.active.set(self.active.get().saturating_add_signed(streams));
        let state = if self.active.get() > 0 { UpstreamState::Busy } else { UpstreamState::Idle };
        self.level.borrow_mut().switch(Level::Upstream(state));
    }

    fn has_place(&self, streams: usize) -> bool {
        self.active.get() < self.most.get().min(streams)
    }

    /// Whether uploads wait and none moves: the upstream's window of the whole connection may be full of what nobody there
    /// reads, and would hold those of others too.
    fn is_stalled(&self, stall: Duration) -> bool {
        self.waiting.get() > 0 && self.took.get().elapsed() >= stall
    }
}

#[derive(Debug)]
struct Endpoint {
    upstream: Arc<Upstream>,
    connections: RefCell<Vec<Rc<StreamConnection>>>,
    is_opening: Cell<bool>,
    /// It chose HTTP/1.1: there is nothing to share, and nobody waits for another's connection.
    speaks_h1: Cell<bool>,
    changed: Notify,
}

impl Endpoint {
    fn forget(&self, connection: &Rc<StreamConnection>) {
        self.connections.borrow_mut().retain(|known| !Rc::ptr_eq(known, connection));
        self.changed.notify_waiters();
    }
}

/// The HTTP/2 connections of one worker.
#[derive(Debug)]
pub(super) struct StreamConnections {
    by_key: RefCell<FxHashMap<PoolKey, Rc<Endpoint>>>,
    streams: usize,
    stall: Duration,
    idle: Duration,
}

/// Whether a connection will do that takes no uploads for the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stalled {
    /// Only where there can be no other.
    Avoided,
    Taken,
}

/// One stream's place on a connection; dropped, it is free again.
#[derive(Debug)]
pub(crate) struct StreamPermit {
    connection: Rc<StreamConnection>,
    endpoint: Rc<Endpoint>,
    is_waiting: bool,
}

impl StreamPermit {
    fn new(connection: &Rc<StreamConnection>, endpoint: &Rc<Endpoint>) -> Self {
        connection.change(1);
        Self { connection: Rc::clone(connection), endpoint: Rc::clone(endpoint), is_waiting: false }
    }

    /// Notes what became of the stream's upload: whether some waits for the upstream, and whether it took any.
    pub(crate) fn note_upload(&mut self, is_waiting: bool, has_moved: bool) {
        let waiting = self.connection.waiting.get();
        if has_moved || (is_waiting && waiting == 0) {
            self.connection.took.set(Instant::now());
        }
        if is_waiting != self.is_waiting {
            self.is_waiting = is_waiting;
            self.connection.waiting.set(if is_waiting { waiting + 1 } else { waiting - 1 });
        }
    }

    /// Waits for the SETTINGS of the upstream, which it is to begin with (RFC 9113 §3.4) and which `sender`'s connection
    /// then knows. A connection on which they do not come in time is used no more.
    pub(super) async fn greeted(&self, sender: &SendRequest<Bytes>, patience: Duration) -> Result<(), ConnectFailure> {
        let greeted = async {
            loop {
                let learned = self.connection.learned.notified();
                if is_greeted(sender) {
                    return Ok(());
                }
                if !is_open(&mut sender.clone()) {
                    return Err(ConnectFailure::Protocol);
                }
                learned.await;
            }
        };
        let greeted = timeout(patience, greeted).await.unwrap_or(Err(ConnectFailure::Timeout));
        if greeted.is_err() {
            self.retire();
        }
        greeted
    }

    /// The `:scheme` of requests on the connection.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.connection.is_tls { "https" } else { "http" }
    }

    /// Takes the connection out of use; its running streams go on.
    pub(crate) fn retire(&self) {
        self.endpoint.forget(&self.connection);
    }
}

impl Drop for StreamPermit {
    fn drop(&mut self) {
        self.note_upload(false, false);
        self.connection.change(-1);
        self.connection.used.set(Instant::now());
        self.endpoint.changed.notify_one();
    }
}

/// The right to open a connection; where it may be shared, others wait for it meanwhile.
#[derive(Debug)]
pub(super) struct Opening {
    endpoint: Rc<Endpoint>,
    is_awaited: bool,
}

impl Drop for Opening {
    fn drop(&mut self) {
        if self.is_awaited {
            self.endpoint.is_opening.set(false);
            self.endpoint.changed.notify_waiters();
        }
    }
}

impl StreamConnections {
    pub(super) fn new(limits: &Limits) -> Self {
        let (streams, stall, idle) = (limits.upstream_streams, limits.upstream_stall, limits.h2_idle);
        Self { by_key: RefCell::default(), streams, stall, idle }
    }

    fn endpoint(&self, key: PoolKey) -> Option<Rc<Endpoint>> {
        self.by_key.borrow().get(&key).map(Rc::clone)
    }

    /// A free stream of a connection that is there; not of one that takes no uploads where there may be another.
    pub(super) fn take(&self, key: PoolKey) -> Option<(SendRequest<Bytes>, StreamPermit)> {
        self.take_of(key, Stalled::Avoided)
    }

    /// A free stream of any connection, since no other can be had; it passes for one that takes uploads for a while, so
    /// that not every request tries in vain.
    pub(super) fn take_any(&self, key: PoolKey) -> Option<(SendRequest<Bytes>, StreamPermit)> {
        let taken = self.take_of(key, Stalled::Taken)?;
        taken.1.connection.took.set(Instant::now());
        Some(taken)
    }

    fn take_of(&self, key: PoolKey, stalled: Stalled) -> Option<(SendRequest<Bytes>, StreamPermit)> {
        let endpoint = self.endpoint(key)?;
        loop {
            let free = self.free(&endpoint, stalled)?;
            let mut sender = free.sender.clone();
            if is_open(&mut sender) {
                return Some((sender, StreamPermit::new(&free, &endpoint)));
            }
            // GOAWAY came, or its stream numbers are used up.
            endpoint.forget(&free);
        }
    }

    fn free(&self, endpoint: &Endpoint, stalled: Stalled) -> Option<Rc<StreamConnection>> {
        let connections = endpoint.connections.borrow();
        let mut free = connections.iter().filter(|connection| connection.has_place(self.streams));
        let flowing = free.clone().find(|connection| !connection.is_stalled(self.stall));
        let may_open = connections.len() < MOST_CONNECTIONS;
        match flowing {
            None if stalled == Stalled::Avoided && may_open => None,
            None => free.next().map(Rc::clone),
            Some(connection) => Some(Rc::clone(connection)),
        }
    }

    /// The right to open another connection, where nobody else is at it and there may be more.
    pub(super) fn open(&self, key: PoolKey, upstream: &Arc<Upstream>) -> Option<Opening> {
        let mut by_key = self.by_key.borrow_mut();
        let endpoint = by_key.entry(key).or_insert_with(|| {
            Rc::new(Endpoint {
                upstream: Arc::clone(upstream),
                connections: RefCell::default(),
                is_opening: Cell::new(false),
                speaks_h1: Cell::new(false),
                changed: Notify::new(),
            })
        });
        let is_awaited = !endpoint.speaks_h1.get();
        if is_awaited && (endpoint.is_opening.get() || endpoint.connections.borrow().len() >= MOST_CONNECTIONS) {
            return None;
        }
        if is_awaited {
            endpoint.is_opening.set(true);
        }
        Some(Opening { endpoint: Rc::clone(endpoint), is_awaited })
    }

    /// Waits until a stream may be free or a connection may be opened.
    pub(super) async fn changed(&self, key: PoolKey) {
        if let Some(endpoint) = self.endpoint(key) {
            endpoint.changed.notified().await;
        }
    }

    pub(super) fn sweep(&self) {
        let now = Instant::now();
        self.by_key.borrow_mut().retain(|_, endpoint| {
            let is_current = endpoint.upstream.is_current();
            endpoint.connections.borrow_mut().retain(|connection| {
                connection.active.get() > 0 || (is_current && now - connection.used.get() < self.idle)
            });
            let is_known = is_current && endpoint.speaks_h1.get();
            is_known || !endpoint.connections.borrow().is_empty() || Rc::strong_count(endpoint) > 1
        });
    }
}

impl Opening {
    /// The connection speaks HTTP/1.1.
    pub(super) fn found_h1(&self) {
        self.endpoint.speaks_h1.set(true);
    }

    /// Speaks HTTP/2 on a new connection and gives its first stream.
    pub(super) async fn handshake(
        self,
        connected: Connected,
        limits: &Limits,
        level: Held,
    ) -> Result<(SendRequest<Bytes>, StreamPermit), ConnectError> {
        self.endpoint.speaks_h1.set(false);
        let is_tls = matches!(connected.io, Io::Tls(_));
        let io = H2Io::of_upstream(connected.io);
        let moves = io.moves();
        let handshake = timeout(limits.connect, builder(limits).handshake::<_, Bytes>(io)).await;
        let (sender, mut connection) =
            handshake.map_err(|_| ConnectFailure::Timeout)?.map_err(|_| ConnectFailure::Protocol)?;
        let shared = Rc::new(StreamConnection {
            sender: sender.clone(),
            is_tls,
            active: Cell::new(0),
            most: Cell::new(1),
            used: Cell::new(Instant::now()),
            waiting: Cell::new(0),
            took: Cell::new(Instant::now()),
            learned: Notify::new(),
            level: RefCell::new(level),
        });
        self.endpoint.connections.borrow_mut().push(Rc::clone(&shared));
        let permit = StreamPermit::new(&shared, &self.endpoint);
        let keeper = Keeper {
            shared: Rc::downgrade(&shared),
            endpoint: Rc::clone(&self.endpoint),
            opening: Some(self),
            pulse: Pulse::new(connection.ping_pong(), limits.upstream_ping_idle, limits.upstream_ping_timeout),
            moves,
            stalled: limits.write,
            clock: Clock::default(),
        };
        tokio::task::spawn_local(keeper.drive(connection));
        Ok((sender, permit))
    }
}

/// Whether another stream can be opened; not so after a GOAWAY, or once all stream numbers are used up.
fn is_open(sender: &mut SendRequest<Bytes>) -> bool {
    matches!(sender.poll_ready(&mut Context::from_waker(Waker::noop())), Poll::Ready(Ok(())))
}

/// Whether the upstream's SETTINGS are here.
pub(super) fn is_greeted(sender: &SendRequest<Bytes>) -> bool {
    sender.current_max_send_streams() != UNSAID
}

fn builder(limits: &Limits) -> Builder {
    let mut builder = Builder::new();
    builder
        .enable_push(false)
        .initial_max_send_streams(UNSAID)
        .initial_window_size(limits.upstream_window)
        .initial_connection_window_size(connection_window(limits))
        .max_send_buffer_size(limits.output)
        .max_header_list_size(u32::try_from(limits.head).unwrap_or(u32::MAX))
        .data_frame_budget(FRAME_BUDGET);
    builder
}

/// Room for the windows of all streams: those whose clients do not read hold their own and nothing of their siblings'.
/// What a connection holds is bounded by its streams: 128 of 64 KiB, 8 MiB; with [`MOST_CONNECTIONS`] an endpoint's are 64 MiB.
fn connection_window(limits: &Limits) -> u32 {
    let streams = u32::try_from(limits.upstream_streams).unwrap_or(u32::MAX);
    limits.upstream_window.saturating_mul(streams).min(LARGEST_WINDOW)
}
