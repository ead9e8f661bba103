//! Questions over UDP: a thread a socket answers from the zone in batches, and leaves what waits for others to tasks.
//! An answer leaves from the address that was asked, which on a host with several the routes alone would not choose.

mod backlog;
mod losses;
mod pace;

use super::datagrams::{Batch, Ends, MOST, Replies, prepare};
use super::now::Now;
use super::places::is_withdrawn;
use super::respond::{Responder, Response};
use crate::host::canonical;
use crate::message::Transport;
use crate::metrics::{Answered, Took, Unshared};
use backlog::{Backlog, Held};
use losses::Losses;
use pace::Pace;
use socket2::SockRef;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::{debug, warn};

/// How long a thread waits for datagrams, or for room to send, before it looks whether it is to stop.
const LOOK: Duration = Duration::from_secs(1);
/// How long a thread that is to stop rests where nothing has come.
const PAUSE: Duration = Duration::from_millis(5);
/// How long a thread rests that cannot receive, so that it does not spin.
const REST: Duration = Duration::from_millis(50);
/// Bytes that the kernel counts for the shortest datagram, with all that it keeps for it.
const SHORTEST: usize = 768;

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
    /// Bytes that the kernel keeps of what comes.
    buffer: usize,
    shared: Shared,
}

impl Listener {
    pub(super) fn new(socket: UdpSocket, shared: Shared) -> io::Result<Self> {
        prepare(&socket)?;
        socket.set_nonblocking(false)?;
        socket.set_read_timeout(Some(LOOK))?;
        socket.set_write_timeout(Some(LOOK))?;
        let buffer = SockRef::from(&socket).recv_buffer_size()?;
        Ok(Self { bound: socket.local_addr()?, socket: Arc::new(socket), buffer, shared })
    }

    /// The socket, to be closed for reading where a thread is to stop at once.
    pub(super) fn socket(&self) -> Arc<UdpSocket> {
        Arc::clone(&self.socket)
    }

    /// Serves until it is to stop, and then what has come already.
    pub(super) fn serve(self) {
        self.serve_by(Instant::now);
    }

    /// The same by this clock.
    fn serve_by(self, mut clock: impl FnMut() -> Instant) {
        let mut exchange = self.exchange(clock());
        while !self.shared.is_stopping.load(Ordering::Relaxed) {
            match self.answer_batch(&mut exchange, &mut clock) {
                Ok(None) => {}
                Ok(Some(each)) => self.catch_up(each, &mut exchange, &mut clock),
                Err(error) if is_nothing(&error) => {
                    exchange.losses.look(&self.socket, &self.shared.responder.metrics, clock());
                }
                Err(error) => {
                    warn!(%error, "dns: cannot receive");
                    std::thread::sleep(REST);
                }
            }
        }
        self.serve_last(&mut exchange, &mut clock);
    }

    /// Answers what has come already. As long as answers to that are waited for, and nobody else has the address, what comes
    /// still is answered too, as far as its answer is there by then: silence would cost who asks some seconds. Where another
    /// gets what comes there, all that is here is answered.
    fn serve_last(&self, exchange: &mut Exchange, mut clock: impl FnMut() -> Instant) {
        if self.socket.set_nonblocking(true).is_err() {
            return;
        }
        self.answer_waiting(exchange, &mut clock);
        exchange.answers.last = Some(JoinSet::new());
        while Arc::strong_count(&self.socket) > 1 || self.owes_answers(&mut exchange.answers) {
            std::thread::sleep(PAUSE);
            self.answer_waiting(exchange, &mut clock);
        }
    }

    /// Whether answers are waited for to what came last, and who asked gets them nowhere else.
    fn owes_answers(&self, answers: &mut Answers) -> bool {
        let Some(last) = &mut answers.last else { return false };
        forget_ended(last);
        !last.is_empty() && is_withdrawn(&self.socket)
    }

    /// Answers a full buffer at most, so that a flood puts off no end.
    fn answer_waiting(&self, exchange: &mut Exchange, mut clock: impl FnMut() -> Instant) {
        let _ = (0..self.batches()).all(|_| self.answer_batch(exchange, &mut clock).is_ok());
    }

    /// Those of a full buffer.
    fn batches(&self) -> usize {
        self.buffer / SHORTEST / MOST + 1
    }

    fn exchange(&self, now: Instant) -> Exchange {
        Exchange {
            batch: Batch::new(),
            answers: Answers {
                replies: Replies::joining(&self.socket),
                messages: vec![Vec::new(); MOST],
                unshared: Unshared::of(&self.shared.responder.metrics),
                answered: Vec::with_capacity(MOST),
                last: None,
            },
            pace: Pace::new(u32::try_from(self.buffer / SHORTEST).unwrap_or(u32::MAX)),
            losses: Losses::since(now),
        }
    }

    /// Answers what is there. `Some`: the time that an answer takes, which is too much for what may wait.
    fn answer_batch(
        &self,
        exchange: &mut Exchange,
        mut clock: impl FnMut() -> Instant,
    ) -> io::Result<Option<Duration>> {
        let Exchange { batch, answers, pace, losses } = exchange;
        batch.receive(&self.socket)?;
        let begun = clock();
        self.answer(batch.datagrams(), begun, answers);
        self.send(batch.ends(), answers);
        losses.look(&self.socket, &self.shared.responder.metrics, begun);
        Ok(pace.received(MOST as u32, batch.is_full(), begun))
    }

    /// Answers what waits, the newest first where not all can be answered in time, until nothing waits any more.
    fn catch_up(&self, each: Duration, exchange: &mut Exchange, mut clock: impl FnMut() -> Instant) {
        debug!(?each, "dns: answers take too long for what may wait");
        let mut backlog = Backlog::new(self.buffer, each);
        while self.relieve(&mut backlog, exchange, &mut clock) {}
    }

    /// Answers a part of what waits; whether there was anything.
    fn relieve(&self, backlog: &mut Backlog, exchange: &mut Exchange, mut clock: impl FnMut() -> Instant) -> bool {
        let now = clock();
        // Where answers are quick again the socket is a queue that is good enough, and nothing need be moved.
        let is_slow = exchange.pace.is_too_slow(backlog.each().saturating_mul(2));
        if is_slow && !self.shared.is_stopping.load(Ordering::Relaxed) {
            self.take_in(backlog, exchange, now);
        }
        let metrics = &self.shared.responder.metrics;
        let late = backlog.forget_late(now);
        if late > 0 {
            metrics.dropped.with_label_values(&["overload"]).inc_by(late);
        }
        let mut turn = backlog.turn(MOST, now);
        let begun = clock();
        let Exchange { answers, losses, .. } = exchange;
        self.answer(turn.iter().map(Held::datagram), begun, answers);
        self.send(turn.iter_mut().map(Held::ends), answers);
        losses.look(&self.socket, metrics, begun);
        backlog.answered(turn.len(), clock().saturating_duration_since(begun));
        !turn.is_empty()
    }

    /// Takes what waits in the socket, without answering it.
    fn take_in(&self, backlog: &mut Backlog, exchange: &mut Exchange, now: Instant) {
        let batch = &mut exchange.batch;
        // No more than a full buffer, so that there are answers in between.
        for _ in 0..self.batches() {
            if backlog.leaves_the_rest(now) {
                return;
            }
            match batch.receive_more(&self.socket) {
                Ok(()) => {}
                Err(error) if is_nothing(&error) => return,
                Err(error) => return warn!(%error, "dns: cannot receive"),
            }
            for (packet, ends) in batch.datagrams() {
                match packet {
                    Some(packet) => backlog.push(packet, ends, now),
                    None => self.shared.responder.metrics.dropped.with_label_values(&["long"]).inc(),
                }
            }
            if !batch.is_full() {
                return;
            }
        }
    }

    /// Answers each datagram, as far as that is possible at once.
    fn answer<'d>(
        &self,
        datagrams: impl Iterator<Item = (Option<&'d [u8]>, &'d Ends)>,
        begun: Instant,
        answers: &mut Answers,
    ) {
        let Answers { messages, unshared, answered, last, .. } = answers;
        answered.clear();
        let now = self.shared.responder.now();
        for ((packet, ends), message) in datagrams.zip(&mut *messages) {
            match self.respond(&now, (packet, ends), last.as_mut(), message) {
                Some(one) => answered.push((one, message.len())),
                None => message.clear(),
            }
        }
        // They leave together.
        let took = Took::from(begun.elapsed());
        let metrics = &self.shared.responder.metrics;
        answered.iter().for_each(|(one, len)| unshared.answered(metrics, *one, (*len, took)));
        unshared.share(metrics);
    }

    /// Sends the answers to where the datagrams came from.
    fn send<'d>(&self, ends: impl Iterator<Item = &'d mut Ends>, answers: &'d mut Answers) {
        let messages = answers.messages.iter().map(Vec::as_slice).zip(ends);
        let messages = messages.filter(|(message, _)| !message.is_empty());
        answers.replies.send(&self.socket, messages, true, |error| debug!(%error, "dns: cannot send"));
    }

    /// Writes the answer that is there at once into `message`; what waits for others is left to a task, one of `last` where
    /// it is one of those.
    fn respond(
        &self,
        now: &Now,
        (packet, ends): (Option<&[u8]>, &Ends),
        last: Option<&mut JoinSet<()>>,
        message: &mut Vec<u8>,
    ) -> Option<Answered> {
        let Some(packet) = packet else {
            self.shared.responder.metrics.dropped.with_label_values(&["long"]).inc();
            return None;
        };
        if ends.is_to_many() {
            self.shared.responder.silence("broadcast");
            return None;
        }
        let asked_at = self.own_address(ends).map(canonical);
        let from_to = (canonical(ends.peer()?), asked_at, (Transport::Udp, true));
        match self.shared.responder.respond_as_of(now, packet, from_to, message) {
            Response::Silence | Response::HeldBack | Response::Dropped => None,
            Response::Ready(answered) => Some(answered),
            Response::Pending(pending) => {
                let responder = Arc::clone(&self.shared.responder);
                let (mut ends, socket) = (*ends, Arc::downgrade(&self.socket));
                let waits = last.is_none().then(|| (Arc::clone(&self.socket), self.shared.waiting.clone()));
                let task = async move {
                    let message = responder.finish(pending, |_| {}).await;
                    if let Some(socket) = socket.upgrade().filter(|_| !message.is_empty()) {
                        // The runtime's threads wait for nobody.
                        Replies::new().send(&socket, std::iter::once((&*message, &mut ends)), false, |error| {
                            debug!(%error, "dns: cannot send");
                        });
                    }
                    drop(waits);
                };
                let runtime = &self.shared.runtime;
                match last {
                    None => drop(runtime.spawn(task)),
                    Some(last) => {
                        forget_ended(last);
                        last.spawn_on(task, runtime);
                    }
                }
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
    answers: Answers,
    pace: Pace,
    losses: Losses,
}

/// Answers that leave together.
struct Answers {
    replies: Replies,
    /// Places for them; empty: there is none at once.
    messages: Vec<Vec<u8>>,
    unshared: Unshared,
    /// What they are counted as, with their lengths.
    answered: Vec<(Answered, usize)>,
    /// Those that come from now on, which hold up no end unless what comes goes to another. `None`: they are waited for.
    last: Option<JoinSet<()>>,
}

/// A panic of one has been told.
fn forget_ended(tasks: &mut JoinSet<()>) {
    while tasks.try_join_next().is_some() {}
}

/// Whether an error only says that nothing came.
fn is_nothing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests;
