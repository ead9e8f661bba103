//! The task of a connection: it moves the bytes of all streams and ends the connection when one of its clocks says so.

use super::{StreamGuard, serve_stream};
use crate::clock::Clock;
use crate::down::DownH2;
use crate::downstream::Downstream;
use crate::drain::{DrainPhase, Reached};
use crate::exchange::record_refusal;
use crate::h2_io::{H2Io, Moves};
use crate::h2_pulse::Pulse;
use crate::h2_screen::is_refused;
use crate::h2_unread::UnreadUploads;
use crate::metrics::Level;
use crate::record;
use crate::request::{Asked, Refusal, Request};
use crate::worker::Worker;
use bytes::Bytes;
use h2::server::{Connection, SendResponse};
use h2::{Reason, RecvStream};
use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use tokio::time::Instant;

/// What stream tasks tell their connection.
#[derive(Debug)]
pub(super) struct Streams {
    open: Cell<usize>,
    /// Those of them that came with an upload.
    uploads: Cell<u64>,
    /// When the last one ended and no other was open.
    idle_since: Cell<Instant>,
    /// Streams that their client took back.
    reset: Cell<u32>,
    cut: RefCell<Vec<DownH2>>,
    unread: Rc<UnreadUploads>,
    /// Whether one found that the connection is to take no more of them.
    is_retired: Cell<bool>,
    driver: RefCell<Option<Waker>>,
}

impl Streams {
    fn new(now: Instant, unread: Rc<UnreadUploads>) -> Rc<Self> {
        Rc::new(Self {
            open: Cell::new(0),
            uploads: Cell::new(0),
            idle_since: Cell::new(now),
            reset: Cell::new(0),
            cut: RefCell::default(),
            unread,
            is_retired: Cell::new(false),
            driver: RefCell::default(),
        })
    }

    pub(super) fn began(&self, has_body: bool) {
        self.open.set(self.open.get() + 1);
        self.uploads.set(self.uploads.get() + u64::from(has_body));
    }

    pub(super) fn ended(&self, has_body: bool) {
        self.open.set(self.open.get() - 1);
        self.uploads.set(self.uploads.get() - u64::from(has_body));
        self.unread.trim_to(self.uploads.get());
        // The deadline of a drain waits for the last one.
        if self.open.get() == 0 {
            self.idle_since.set(Instant::now());
            self.wake_driver();
        }
    }

    pub(super) fn was_reset(&self) {
        self.reset.set(self.reset.get() + 1);
    }

    /// Ends a stream with an error once what it was given to send has left: h2 drops what is queued on a reset.
    pub(super) fn cut(&self, down: DownH2) {
        self.cut.borrow_mut().push(down);
        self.wake_driver();
    }

    /// Has the connection leave: its other streams are served to their end.
    pub(super) fn retire(&self) {
        self.is_retired.set(true);
        self.wake_driver();
    }

    fn wake_driver(&self) {
        if let Some(driver) = self.driver.borrow().as_ref() {
            driver.wake_by_ref();
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// The drain has reached it; it goes when its time has come.
    Leaving(Instant),
    /// GOAWAY is out, since then; streams that are open run to their end.
    Closing(Instant),
    /// GOAWAY is out with an error; nothing is served any more.
    Failed(Instant),
}

/// What a connection's next deadline means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    /// GOAWAY.
    Leave,
    /// The end, whatever is still under way.
    Force,
    /// SETTINGS were not acknowledged.
    Greeting,
    /// Nothing but another look.
    Look,
}

/// Streams and resets in one stretch of time.
#[derive(Debug)]
struct Window {
    since: Instant,
    streams: u32,
    resets_before: u32,
}

pub(super) struct Driver {
    connection: Connection<H2Io, Bytes>,
    moves: Rc<Moves>,
    pulse: Pulse,
    streams: Rc<Streams>,
    worker: Rc<Worker>,
    downstream: Rc<Downstream>,
    clock: Clock,
    drained: Reached,
    is_draining: bool,
    state: State,
    begun: Instant,
    old_at: Instant,
    window: Window,
    /// Streams with names that h2 took and that are none; those that h2 refuses it counts itself.
    malformed: u32,
    has_served: bool,
}

impl Driver {
    pub(super) fn new(
        worker: Rc<Worker>,
        downstream: Downstream,
        mut connection: Connection<H2Io, Bytes>,
        moves: Rc<Moves>,
        unread: Rc<UnreadUploads>,
    ) -> Self {
        let limits = &worker.settings.limits;
        let now = Instant::now();
        Self {
            pulse: Pulse::new(connection.ping_pong(), limits.h2_ping_idle, limits.h2_ping_timeout),
            connection,
            moves,
            streams: Streams::new(now, unread),
            downstream: Rc::new(downstream),
            clock: Clock::default(),
            drained: worker.drain.reached(DrainPhase::Stopping),
            is_draining: false,
            state: State::Open,
            begun: now,
            old_at: worker.old_at(),
            window: Window { since: now, streams: 0, resets_before: 0 },
            malformed: 0,
            has_served: false,
            worker,
        }
    }

    /// Ready when the connection is over; its streams learn of it by themselves.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.streams.driver.borrow_mut().get_or_insert_with(|| cx.waker().clone()).clone_from(cx.waker());
        self.moves.begin_turn();
        loop {
            match self.connection.poll_accept(cx) {
                Poll::Ready(Some(Ok((request, respond)))) => self.begin_stream(request, respond),
                Poll::Ready(Some(Err(error))) => {
                    self.note_flood(&error);
                    return Poll::Ready(());
                }
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Pending => {
                    if !self.reset_cut_streams() {
                        break;
                    }
                }
            }
        }
        self.poll_drain(cx);
        if self.streams.is_retired.get() && matches!(self.state, State::Open | State::Leaving(_)) {
            self.leave();
            // It leaves at the next poll.
            cx.waker().wake_by_ref();
        }
        loop {
            let Some((deadline, due)) = self.deadline(cx) else { return Poll::Ready(()) };
            if self.clock.poll(cx, deadline).is_pending() {
                return Poll::Pending;
            }
            match due {
                Due::Force => return Poll::Ready(()),
                Due::Leave => self.leave(),
                Due::Greeting => self.end(Reason::SETTINGS_TIMEOUT),
                Due::Look => {}
            }
            // What was decided leaves at the next poll.
            cx.waker().wake_by_ref();
        }
    }

    /// The nearest deadline; `None` where the client is found dead.
    fn deadline(&mut self, cx: &mut Context<'_>) -> Option<(Instant, Due)> {
        let limits = &self.worker.settings.limits;
        let is_waited_for = self.streams.open.get() > 0;
        let look = self.pulse.poll(cx, self.moves.last_read(), is_waited_for).ok()?;
        let idle_since = self.streams.idle_since.get();
        let by_state = match self.state {
            State::Failed(at) => Some((at, Due::Force)),
            State::Closing(_) if is_waited_for => None,
            State::Closing(since) => Some((since.max(idle_since) + limits.linger_total, Due::Force)),
            State::Leaving(at) => Some((at, Due::Leave)),
            State::Open if is_waited_for => Some((self.old_at, Due::Leave)),
            State::Open if self.has_served => Some((self.old_at.min(idle_since + limits.h2_idle), Due::Leave)),
            State::Open => Some((idle_since + limits.first_request, Due::Leave)),
        };
        let stalled = self.moves.blocked_since().map(|since| (since + limits.write, Due::Force));
        let is_greeted = self.moves.is_acknowledged() || matches!(self.state, State::Failed(_));
        let greeting = (!is_greeted).then(|| (self.begun + limits.hello, Due::Greeting));
        let deadlines = [Some((look, Due::Look)), by_state, stalled, greeting];
        deadlines.into_iter().flatten().min_by_key(|&(at, _)| at)
    }

    /// Once all that could be sent has left. What is kept back by the client's windows alone was never given to h2.
    fn reset_cut_streams(&mut self) -> bool {
        if self.moves.blocked_since().is_some() {
            return false;
        }
        let cut = self.streams.cut.take();
        let is_any = !cut.is_empty();
        cut.into_iter().for_each(DownH2::reset);
        is_any
    }

    /// Follows the drain: the connection leaves in its turn, and ends with its last stream once the drain's time is over.
    fn poll_drain(&mut self, cx: &mut Context<'_>) {
        let drain = &self.worker.drain;
        if !self.is_draining && Pin::new(&mut self.drained).poll(cx).is_ready() {
            self.is_draining = true;
            self.drained = drain.reached(DrainPhase::Deadline);
            if self.state == State::Open {
                self.state = State::Leaving(Instant::now() + drain.go_away_after(&self.worker.random));
            }
        }
        let is_over = self.is_draining && Pin::new(&mut self.drained).poll(cx).is_ready();
        if is_over && self.streams.open.get() == 0 && !matches!(self.state, State::Failed(_)) {
            self.end(Reason::NO_ERROR);
            // It leaves at the next poll.
            cx.waker().wake_by_ref();
        }
    }

    /// Sends GOAWAY; streams that are open, and those that the client began before it heard of it, are served.
    fn leave(&mut self) {
        self.connection.graceful_shutdown();
        self.state = State::Closing(Instant::now());
    }

    /// Ends the connection with an error; its streams end with it.
    fn end(&mut self, reason: Reason) {
        self.connection.abrupt_shutdown(reason);
        self.state = State::Failed(Instant::now() + self.worker.settings.limits.linger_idle);
    }

    fn begin_stream(&mut self, request: http::Request<RecvStream>, mut respond: SendResponse<Bytes>) {
        match self.state {
            State::Failed(_) => return,
            // h2 refuses them from the answer to its PING on, which a client may keep back for ever.
            State::Closing(since) if self.moves.last_read() >= since + self.worker.settings.limits.linger_total => {
                return respond.send_reset(Reason::REFUSED_STREAM);
            }
            _ => {}
        }
        self.has_served = true;
        let is_taken_back = respond.poll_reset(&mut Context::from_waker(Waker::noop())).is_ready();
        if is_taken_back {
            self.streams.was_reset();
            let refusal = Refusal { status: 499, reason: record::Reason::ClientGone };
            record_refusal(&self.worker, &self.downstream, Asked::of_parts(&request.into_parts().0), refusal, None);
        } else if request.headers().keys().any(|name| is_refused(name.as_ref())) {
            self.malformed += 1;
            respond.send_reset(Reason::PROTOCOL_ERROR);
            let asked = Asked::of_parts(&request.into_parts().0);
            record_refusal(&self.worker, &self.downstream, asked, Refusal::BAD_REQUEST, None);
        } else {
            let (worker, downstream) = (Rc::clone(&self.worker), Rc::clone(&self.downstream));
            let (parts, recv) = request.into_parts();
            let settings = &worker.settings;
            let (has_body, port) = (!recv.is_end_stream(), downstream.default_port());
            let guard = StreamGuard::new(&self.streams, has_body, worker.metrics.hold(Level::Http2Stream));
            let request = Request::from_h2(&parts, has_body, settings.paths, &settings.limits, port);
            let request = request.map_err(|refusal| (refusal, Asked::of_parts(&parts)));
            let down = DownH2::new(recv, respond, Rc::clone(&self.streams.unread));
            // Boxed, since a task moves its future several times.
            tokio::task::spawn_local(Box::pin(serve_stream(worker, downstream, request, down, guard)));
        }
        if self.is_flooded() || self.malformed >= self.worker.settings.limits.h2_malformed {
            self.worker.metrics.http2_flood();
            self.end(Reason::ENHANCE_YOUR_CALM);
        }
    }

    /// Counts what h2 took for a flood; ours was counted when it was seen.
    fn note_flood(&self, error: &h2::Error) {
        let is_calm = error.reason() == Some(Reason::ENHANCE_YOUR_CALM) && !error.is_remote();
        if is_calm && !matches!(self.state, State::Failed(_)) {
            self.worker.metrics.http2_flood();
        }
    }

    /// Rapid reset (CVE-2023-44487): more than half of many streams taken back.
    fn is_flooded(&mut self) -> bool {
        let limits = &self.worker.settings.limits;
        let now = self.moves.last_read();
        if now - self.window.since >= limits.h2_reset_window {
            self.window = Window { since: now, streams: 0, resets_before: self.streams.reset.get() };
        }
        self.window.streams += 1;
        let resets = self.streams.reset.get() - self.window.resets_before;
        self.window.streams >= limits.h2_resets && resets > self.window.streams / 2
    }
}
