//! One connection: questions in, answers out. Whole questions are answered where they were read, and their answers
//! leave in one write; a connection that is silent holds no buffer.

use super::frame::{LONGEST, PREFIX, first, push};
use super::{Limits, RECHECK, Stop, keepalive};
use crate::message::Transport;
use crate::server::padding;
use crate::server::resolve::Pending;
use crate::server::respond::{Responder, Response};
use crate::server::transfer::Sending;
use crate::server::untaken::{Held, PIECE, Untaken};
use crate::serving::Clocks;
use hyper::body::Buf as _;
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

/// Bytes read at once: one question of any length.
const CHUNK: usize = PREFIX + LONGEST;
/// Questions of one connection that may wait for upstreams; more are refused, so that what need not wait comes past them.
const WAITING: usize = 256;
/// Bytes of answers that leave before more are made.
const MUCH: usize = 16 << 10;
/// Bytes that a buffer may keep for the next answers.
const KEPT: usize = 4096;

/// What is said last in an answer, where the client asks for it.
#[derive(Debug, Clone, Copy, Default)]
struct End {
    /// How long the client may be silent.
    idle: Option<Duration>,
    is_padded: bool,
}

impl End {
    /// Adds it to a finished message of ours.
    fn add(self, message: &mut Vec<u8>) {
        if let Some(idle) = self.idle {
            keepalive::add(idle, message);
        }
        if self.is_padded {
            padding::add(message);
        }
    }
}

/// A client and what it has asked.
pub(super) struct Conversation<S> {
    stream: S,
    /// Of the client, and where it came to.
    ends: (SocketAddr, Option<SocketAddr>),
    responder: Arc<Responder>,
    /// Bytes that are no whole question yet, or whose turn has not come.
    rest: Vec<u8>,
    reply: Vec<u8>,
    /// Answers that are to leave, each with its length before it.
    output: Vec<u8>,
    /// Answers that upstreams are asked for; `None`: it is there, and too much.
    waiting: Option<JoinSet<Option<Held>>>,
    /// Those that are there, and `output` where it does not leave at once.
    untaken: Arc<Untaken>,
    /// A zone on its way, and how its messages end; no question is taken before it has left.
    sending: Option<(Box<Sending>, End)>,
    /// Whether nobody else can read what is said.
    is_secured: bool,
    /// Of which `idle` is what holds now, or did when it was last looked up.
    clocks: Clocks,
    /// Questions there have been.
    asked: u32,
    /// Whether the client may ask more.
    is_open: bool,
    /// When something was last asked or answered, or a question began to come.
    since: Instant,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Conversation<S> {
    pub(super) fn new(stream: S, ends: (SocketAddr, Option<SocketAddr>), responder: Arc<Responder>) -> Self {
        let (rest, reply, output, clocks, asked) = Default::default();
        let (waiting, sending, is_open, since) = (None, None, true, Instant::now());
        let untaken = responder.untaken(ends.0);
        Self {
            stream,
            ends,
            responder,
            rest,
            reply,
            output,
            waiting,
            untaken,
            sending,
            is_secured: false,
            clocks,
            asked,
            is_open,
            since,
        }
    }

    /// The same over TLS.
    pub(super) fn secured(self) -> Self {
        Self { is_secured: true, ..self }
    }

    /// Answers until the client is silent, gone, or wrong; once `stop` comes, only what has come whole.
    pub(super) async fn hold(mut self, (limits, clocks): (&Limits, Clocks), stop: Stop) -> io::Result<()> {
        let mut stopped = stop.clone();
        let mut stopped = pin!(stopped.comes());
        // One clock for the whole connection: it is looked at when it rings, not set anew for each question.
        let mut clock = pin!(sleep(RECHECK));
        let client = self.ends.0.ip();
        self.clocks = Clocks { idle: limits.patience(client, clocks.idle), ..clocks };
        loop {
            let asked = self.asked;
            let event = poll_fn(|cx| {
                if let Poll::Ready(outcome) = self.poll(cx) {
                    Poll::Ready(Event::Moved(outcome))
                } else if self.is_open && stopped.as_mut().poll(cx).is_ready() {
                    Poll::Ready(Event::Stopped)
                } else {
                    clock.as_mut().poll(cx).map(|()| Event::Rang)
                }
            });
            match event.await {
                Event::Moved(outcome) => {
                    if asked == 0 && self.asked > 0 {
                        stop.asked();
                    }
                    // What was answered before it broke leaves.
                    self.send(&stop).await?;
                    outcome?;
                }
                Event::Stopped => self.is_open = false,
                Event::Rang => {
                    self.clocks.idle = limits.patience(client, clocks.idle);
                    let patience = if self.rest.is_empty() { self.clocks.idle } else { clocks.read };
                    let silent = self.since.elapsed();
                    if self.waiting.is_none() && silent >= patience {
                        return Ok(());
                    }
                    self.shed();
                    let left = patience.checked_sub(silent).filter(|left| !left.is_zero()).unwrap_or(RECHECK);
                    clock.as_mut().reset(Instant::now() + left.min(RECHECK));
                }
            }
            while self.can_go_on() {
                let may_stop = self.sending.is_some() && self.is_open;
                if may_stop && poll_fn(|cx| Poll::Ready(stopped.as_mut().poll(cx).is_ready())).await {
                    // Whoever has half a zone asks for it again.
                    return Ok(());
                }
                self.go_on();
                self.send(&stop).await?;
            }
            if self.waiting.is_none() && !self.is_open {
                return Ok(());
            }
        }
    }

    /// Takes the answers that have come, and reads as long as more may be asked.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut has_moved = false;
        while self.output.len() < MUCH
            && let Some(waiting) = &mut self.waiting
        {
            match waiting.poll_join_next(cx) {
                Poll::Ready(Some(answer)) => match answer? {
                    Some(answer) => {
                        push(&mut self.output, answer.chunk());
                        has_moved = true;
                    }
                    None => return Poll::Ready(Err(self.responder.not_taken())),
                },
                Poll::Ready(None) => self.waiting = None,
                Poll::Pending => break,
            }
        }
        if has_moved {
            self.since = Instant::now();
            return Poll::Ready(Ok(()));
        }
        if !self.is_open {
            return Poll::Pending;
        }
        let mut bytes = [const { MaybeUninit::uninit() }; CHUNK];
        let mut chunk = ReadBuf::uninit(&mut bytes);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut chunk))?;
        self.take(chunk.filled());
        Poll::Ready(Ok(()))
    }

    /// Takes what was read; nothing: the client asks no more.
    fn take(&mut self, came: &[u8]) {
        if came.is_empty() {
            self.is_open = false;
        } else if self.rest.is_empty() {
            // From its first bytes on a question must not dawdle.
            self.since = Instant::now();
            let used = self.answer(came);
            self.rest.extend_from_slice(came.get(used..).unwrap_or_default());
        } else {
            self.rest.extend_from_slice(came);
            self.go_on();
        }
    }

    /// Whether a zone is on its way, or a question has come whole.
    fn can_go_on(&self) -> bool {
        self.sending.is_some() || !matches!(first(&self.rest), Ok(None))
    }

    /// Answers what was left.
    fn go_on(&mut self) {
        if let Some((sending, end)) = &mut self.sending {
            self.since = Instant::now();
            match sending.next() {
                Some(mut message) => {
                    end.add(&mut message);
                    push(&mut self.output, &message);
                }
                None => self.sending = None,
            }
            return;
        }
        let mut rest = std::mem::take(&mut self.rest);
        let used = self.answer(&rest);
        rest.drain(..used);
        self.rest = rest;
    }

    /// Answers whole questions, until much is to be sent; how many bytes they were. After what is none, or one too many,
    /// no more is taken.
    fn answer(&mut self, input: &[u8]) -> usize {
        let begun = Instant::now();
        let mut used = 0;
        while !self.is_spent()
            && self.sending.is_none()
            && self.output.len() < MUCH
            && let Some(packet) = first(input.get(used..).unwrap_or_default()).transpose()
        {
            let Ok(packet) = packet else { return self.take_no_more(input) };
            used += PREFIX + packet.len();
            self.asked = self.asked.saturating_add(1);
            self.since = begun;
            let end = self.end(packet);
            match self.respond(packet) {
                // Those that are on their way are answered all the same.
                Response::Silence | Response::HeldBack => return self.take_no_more(input),
                Response::Dropped => {}
                Response::Ready(answered) if answered.asks_for_a_zone() => {
                    let refusal = (answered, std::mem::take(&mut self.reply));
                    let (answered, mut message, sending) = self.responder.transfer(packet, self.ends, refusal);
                    // How long the client may be silent is not told in transfers.
                    let end = End { idle: None, ..end };
                    self.sending = sending.map(|sending| (sending, end));
                    end.add(&mut message);
                    self.responder.metrics.answered(Transport::Tcp, answered, (message.len(), begun.elapsed()));
                    push(&mut self.output, &message);
                }
                Response::Ready(answered) => {
                    end.add(&mut self.reply);
                    self.responder.metrics.answered(Transport::Tcp, answered, (self.reply.len(), begun.elapsed()));
                    push(&mut self.output, &self.reply);
                }
                Response::Pending(pending) => self.wait_for(pending, end),
            }
        }
        // The client asks the rest over another connection.
        if self.is_spent() { self.take_no_more(input) } else { used }
    }

    /// Leaves all of `input` unanswered, and what may come after it; the length of it.
    fn take_no_more(&mut self, input: &[u8]) -> usize {
        self.is_open = false;
        input.len()
    }

    /// How the answer to a question ends.
    fn end(&self, packet: &[u8]) -> End {
        let idle = keepalive::is_asked_for(packet).then(|| self.patience());
        // In the clear a length hides nothing (RFC 7830 §6).
        End { idle, is_padded: self.is_secured && padding::is_asked_for(packet) }
    }

    fn wait_for(&mut self, pending: Box<Pending>, end: End) {
        let (responder, untaken) = (Arc::clone(&self.responder), Arc::clone(&self.untaken));
        let waiting = self.waiting.get_or_insert_default();
        waiting.spawn(async move {
            let message = responder.finish(pending, |message| end.add(message)).await;
            untaken.hold(message)
        });
    }

    /// Answers a question into `reply` if it need not wait, or may not.
    fn respond(&mut self, packet: &[u8]) -> Response {
        let may_wait = self.waiting.as_ref().is_none_or(|waiting| waiting.len() < WAITING);
        let (now, (peer, asked_at)) = (self.responder.now(), self.ends);
        self.responder.respond_as_of(&now, packet, (peer, asked_at, (Transport::Tcp, may_wait)), &mut self.reply)
    }

    /// How long the client may be silent from now on; zero: no more questions are taken.
    fn patience(&self) -> Duration {
        if self.is_open && !self.is_spent() { self.clocks.idle } else { Duration::ZERO }
    }

    /// Whether no more questions are taken over this connection.
    fn is_spent(&self) -> bool {
        self.clocks.most_questions.is_some_and(|most| self.asked >= most)
    }

    /// Sends the answers that are ready: all at once where the client takes them, otherwise piece by piece, each in time.
    async fn send(&mut self, stop: &Stop) -> io::Result<()> {
        let Self { stream, output, .. } = self;
        if output.is_empty() {
            return Ok(());
        }
        let sent = poll_fn(|cx| {
            let sent = match Pin::new(&mut *stream).poll_write(cx, output) {
                Poll::Ready(sent) => sent?,
                Poll::Pending => 0,
            };
            let is_all = sent == output.len() && Pin::new(&mut *stream).poll_flush(cx)?.is_ready();
            Poll::Ready(io::Result::Ok((!is_all).then_some(sent)))
        });
        if let Some(sent) = sent.await? {
            let _counted = self.untaken.count(output.len()).ok_or_else(|| self.responder.not_taken())?;
            let mut end = Instant::now() + self.clocks.write;
            for piece in output.get(sent..).unwrap_or_default().chunks(PIECE) {
                timeout_at(end, stream.write_all(piece)).await.map_err(|_| self.responder.not_taken())??;
                // Where the server ends, all of them have to be taken in that time.
                if !stop.is_near() {
                    end = Instant::now() + self.clocks.write;
                }
            }
            timeout_at(end, stream.flush()).await.map_err(|_| self.responder.not_taken())??;
        }
        output.clear();
        if output.capacity() > KEPT {
            self.output = Vec::new();
            self.reply = Vec::new();
        }
        Ok(())
    }

    /// Frees the buffers of a connection that says nothing.
    fn shed(&mut self) {
        if self.rest.is_empty() && self.since.elapsed() >= RECHECK {
            (self.rest, self.reply, self.output) = Default::default();
        }
    }
}

enum Event {
    /// Something was read, or is answered; an error where the connection is broken.
    Moved(io::Result<()>),
    /// No more is to be read.
    Stopped,
    /// The time has come to look how long it is silent.
    Rang,
}

#[cfg(test)]
mod tests;
