//! Questions over UDP: a thread a socket answers from the zone in batches, and leaves what waits for others to tasks.
//! An answer leaves from the address that was asked, which on a host with several the routes alone would not choose.

use super::datagrams::{Batch, Ends, MOST, Replies, prepare};
use super::respond::{Responder, Response};
use crate::message::Transport;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tracing::{debug, warn};

/// How long a thread waits for datagrams, or for room to send, before it looks whether it is to stop.
const LOOK: Duration = Duration::from_secs(1);
/// Batches that are still answered when it is to stop, if there are so many.
const LAST: usize = 64;
/// How long a thread rests that cannot receive, so that it does not spin.
const REST: Duration = Duration::from_millis(50);

/// What all threads share.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    pub(super) responder: Arc<Responder>,
    /// Where answers are waited for.
    pub(super) runtime: Handle,
    pub(super) is_stopping: Arc<AtomicBool>,
    /// Held by each answer that is waited for.
    pub(super) waiting: mpsc::Sender<()>,
}

/// One socket and its thread.
pub(super) struct Listener {
    socket: Arc<UdpSocket>,
    /// Its address; the unspecified one if it takes what comes to any.
    bound: SocketAddr,
    shared: Shared,
}

impl Listener {
    pub(super) fn new(socket: UdpSocket, shared: Shared) -> io::Result<Self> {
        prepare(&socket)?;
        socket.set_nonblocking(false)?;
        socket.set_read_timeout(Some(LOOK))?;
        socket.set_write_timeout(Some(LOOK))?;
        Ok(Self { bound: socket.local_addr()?, socket: Arc::new(socket), shared })
    }

    /// The socket, to be closed for reading where a thread is to stop at once.
    pub(super) fn socket(&self) -> Arc<UdpSocket> {
        Arc::clone(&self.socket)
    }

    /// Serves until it is to stop, and then what has come already.
    pub(super) fn serve(self) {
        let messages = (0..MOST).map(|_| (Vec::new(), Ends::nowhere())).collect();
        let mut exchange = Exchange { batch: Batch::new(), replies: Replies::new(), messages };
        while !self.shared.is_stopping.load(Ordering::Relaxed) {
            if let Err(error) = self.answer_batch(&mut exchange)
                && !is_nothing(&error)
            {
                warn!(%error, "dns: cannot receive");
                std::thread::sleep(REST);
            }
        }
        let is_left = self.socket.set_nonblocking(true).is_ok();
        let _ = is_left && (0..LAST).all(|_| self.answer_batch(&mut exchange).is_ok());
    }

    fn answer_batch(&self, exchange: &mut Exchange) -> io::Result<()> {
        let Exchange { batch, replies, messages } = exchange;
        batch.receive(&self.socket)?;
        let (mut count, mut places) = (0, messages.iter_mut());
        let mut place = places.next();
        for (packet, ends) in batch.datagrams() {
            let Some((message, to)) = place.as_deref_mut() else { break };
            if self.respond(packet, ends, message) {
                *to = *ends;
                count += 1;
                place = places.next();
            }
        }
        let messages = messages.iter_mut().take(count).map(|(message, ends)| (&**message, ends));
        replies.send(&self.socket, messages, |error| debug!(%error, "dns: cannot send"));
        Ok(())
    }

    /// Whether the answer is there at once, in `message`.
    fn respond(&self, packet: Option<&[u8]>, ends: &Ends, message: &mut Vec<u8>) -> bool {
        let Some(packet) = packet else {
            self.shared.responder.metrics.dropped.with_label_values(&["long"]).inc();
            return false;
        };
        let Some(peer) = ends.peer() else { return false };
        match self.shared.responder.respond(packet, (peer, self.own_address(ends)), Transport::Udp, message) {
            Response::Silence => false,
            Response::Ready => true,
            Response::Pending(pending) => {
                let (socket, responder) = (Arc::clone(&self.socket), Arc::clone(&self.shared.responder));
                let (mut ends, waits) = (*ends, self.shared.waiting.clone());
                self.shared.runtime.spawn(async move {
                    let message = responder.finish(pending).await;
                    let mut replies = Replies::new();
                    replies.send(&socket, std::iter::once((&*message, &mut ends)), |error| {
                        debug!(%error, "dns: cannot send");
                    });
                    drop(waits);
                });
                false
            }
        }
    }

    fn own_address(&self, ends: &Ends) -> Option<SocketAddr> {
        let address = ends.asked_at().unwrap_or(self.bound.ip());
        (!address.is_unspecified()).then(|| SocketAddr::new(address, self.bound.port()))
    }
}

/// What one thread uses again and again.
struct Exchange {
    batch: Batch,
    replies: Replies,
    /// Places for the answers of a batch.
    messages: Vec<(Vec<u8>, Ends)>,
}

/// Whether an error only says that nothing came.
fn is_nothing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}
