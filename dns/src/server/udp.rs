//! Questions over UDP: a thread a socket answers from the zone in batches, and leaves what waits for others to tasks.
//! An answer leaves from the address that was asked, which on a host with several the routes alone would not choose.

use super::datagrams::{Batch, Ends, MOST, Replies, prepare};
use super::respond::{Responder, Response};
use crate::message::Transport;
use crate::metrics::{Answered, Took, Unshared};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
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
        let mut exchange = Exchange {
            batch: Batch::new(),
            replies: Replies::new(),
            messages: vec![Vec::new(); MOST],
            unshared: Unshared::of(&self.shared.responder.metrics),
            answered: Vec::with_capacity(MOST),
        };
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
        let Exchange { batch, replies, messages, unshared, answered } = exchange;
        batch.receive(&self.socket)?;
        let begun = Instant::now();
        answered.clear();
        for ((packet, ends), message) in batch.datagrams().zip(&mut *messages) {
            match self.respond(packet, ends, message) {
                Some(one) => answered.push((one, message.len())),
                None => message.clear(),
            }
        }
        // They leave together.
        let took = Took::from(begun.elapsed());
        let metrics = &self.shared.responder.metrics;
        answered.iter().for_each(|(one, len)| unshared.answered(metrics, *one, (*len, took)));
        unshared.share(metrics);
        let messages = messages.iter().map(Vec::as_slice).zip(batch.ends());
        let messages = messages.filter(|(message, _)| !message.is_empty());
        replies.send(&self.socket, messages, true, |error| debug!(%error, "dns: cannot send"));
        Ok(())
    }

    /// Writes the answer that is there at once into `message`.
    fn respond(&self, packet: Option<&[u8]>, ends: &Ends, message: &mut Vec<u8>) -> Option<Answered> {
        let Some(packet) = packet else {
            self.shared.responder.metrics.dropped.with_label_values(&["long"]).inc();
            return None;
        };
        let peer = ends.peer()?;
        match self.shared.responder.respond(packet, (peer, self.own_address(ends)), Transport::Udp, message) {
            Response::Silence => None,
            Response::Ready(answered) => Some(answered),
            Response::Pending(pending) => {
                let (socket, responder) = (Arc::clone(&self.socket), Arc::clone(&self.shared.responder));
                let (mut ends, waits) = (*ends, self.shared.waiting.clone());
                self.shared.runtime.spawn(async move {
                    let message = responder.finish(pending).await;
                    let mut replies = Replies::new();
                    // The runtime's threads wait for nobody.
                    replies.send(&socket, std::iter::once((&*message, &mut ends)), false, |error| {
                        debug!(%error, "dns: cannot send");
                    });
                    drop(waits);
                });
                None
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
    /// Places for the answers of a batch; empty: there is none at once.
    messages: Vec<Vec<u8>>,
    unshared: Unshared,
    /// Those of a batch with their lengths.
    answered: Vec<(Answered, usize)>,
}

/// Whether an error only says that nothing came.
fn is_nothing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}
