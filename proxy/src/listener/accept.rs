//! The accept loop of one socket: it pauses where the process is full, and leaves no queued connection behind.

use super::ceiling::{ConnectionCeiling, ConnectionPermit};
use crate::drain::{DrainPhase, WorkerDrain};
use crate::metrics::RefusedFor;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};

/// Connections accepted in a row before those that were accepted get to run.
const BATCH: usize = 32;
/// Pause after the first failure for want of files or memory; each further one doubles it.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);
/// Pauses that are closer together than this are one episode, and one line in the log.
const EPISODE_GAP: Duration = Duration::from_secs(10);

/// Accepts connections until [`DrainPhase::Stopping`], then those that are queued already, since closing a socket
/// resets what its queue holds (`SO_REUSEPORT` moves nothing to its neighbours). [`DrainPhase::Deadline`] ends it at
/// once. `on_pause` hears why none can be taken, each time.
///
/// # Errors
/// At the end the socket could not be taken back from the runtime: what its queue held is lost.
pub async fn accept_loop(
    listener: TcpListener,
    ceiling: Arc<ConnectionCeiling>,
    drain: Rc<WorkerDrain>,
    on_pause: impl Fn(RefusedFor),
    mut spawn: impl FnMut(TcpStream, SocketAddr, ConnectionPermit),
) -> io::Result<()> {
    let mut gate = Gate::new(Arc::clone(&ceiling), on_pause);
    let mut admit = |stream, peer| spawn(stream, peer, ceiling.permit(drain.guard()));
    tokio::select! {
        biased;
        () = drain.reached(DrainPhase::Stopping) => {}
        () = accept_each(async || listener.accept().await, &mut gate, &mut admit) => {}
    }
    // The runtime knows only what epoll last told it; the kernel knows what is queued.
    let queued = listener.into_std()?;
    let next = async || {
        let (stream, peer) = queued.accept()?;
        stream.set_nonblocking(true)?;
        Ok((TcpStream::from_std(stream)?, peer))
    };
    tokio::select! {
        biased;
        () = drain.reached(DrainPhase::Deadline) => {}
        () = accept_each(next, &mut gate, &mut admit) => {}
    }
    Ok(())
}

/// Admits what `next` gives, until it would block.
pub(super) async fn accept_each(
    mut next: impl AsyncFnMut() -> io::Result<(TcpStream, SocketAddr)>,
    gate: &mut Gate<impl Fn(RefusedFor)>,
    admit: &mut impl FnMut(TcpStream, SocketAddr),
) {
    let mut batch = 0;
    loop {
        gate.room().await;
        match next().await {
            Ok((stream, peer)) => {
                gate.pause = SHORTEST_PAUSE;
                admit(stream, peer);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(error) if concerns_one_connection(&error) => tracing::debug!(%error, "connection lost in the queue"),
            Err(error) => gate.pause(&error).await,
        }
        batch += 1;
        if batch == BATCH {
            batch = 0;
            tokio::task::yield_now().await;
        }
    }
}

/// Errors of a connection that died before it was accepted, among them those of its network (accept(2)).
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(
            libc::ECONNABORTED
                | libc::ECONNRESET
                | libc::EINTR
                | libc::EPERM
                | libc::EPROTO
                | libc::ENOPROTOOPT
                | libc::EOPNOTSUPP
                | libc::ENONET
                | libc::ENETDOWN
                | libc::ENETUNREACH
                | libc::EHOSTDOWN
                | libc::EHOSTUNREACH
                | libc::ETIMEDOUT
        )
    )
}

/// Where one accept loop waits.
pub(super) struct Gate<F> {
    ceiling: Arc<ConnectionCeiling>,
    on_pause: F,
    pause: Duration,
    full: Episode,
    exhausted: Episode,
}

impl<F: Fn(RefusedFor)> Gate<F> {
    pub(super) fn new(ceiling: Arc<ConnectionCeiling>, on_pause: F) -> Self {
        Self { ceiling, on_pause, pause: SHORTEST_PAUSE, full: Episode::default(), exhausted: Episode::default() }
    }

    async fn room(&mut self) {
        if self.ceiling.is_full() {
            (self.on_pause)(RefusedFor::Ceiling);
            if self.full.begins() {
                tracing::warn!(limit = self.ceiling.limit(), "connection ceiling reached, accepting pauses");
            }
            self.ceiling.room().await;
        }
    }

    /// Waits until trying again makes sense: something was closed, or some time went by.
    async fn pause(&mut self, error: &io::Error) {
        let is_file = matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE));
        (self.on_pause)(if is_file { RefusedFor::Descriptors } else { RefusedFor::Error });
        if self.exhausted.begins() {
            tracing::warn!(%error, open = self.ceiling.open(), "cannot accept connections, accepting pauses");
        }
        tokio::select! {
            () = sleep(self.pause) => {}
            () = self.ceiling.one_less() => {}
        }
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }
}

#[derive(Default)]
struct Episode {
    last: Option<Instant>,
}

impl Episode {
    /// Whether what happens now is not part of what went before.
    fn begins(&mut self) -> bool {
        let now = Instant::now();
        let last = self.last.replace(now);
        last.is_none_or(|last| now - last >= EPISODE_GAP)
    }
}
