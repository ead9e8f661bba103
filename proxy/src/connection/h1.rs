//! The requests of an HTTP/1 connection, one after the other (RFC 9112 §9.3).

use super::departure::Departure;
use super::linger::linger;
use crate::answer::LocalAnswer;
use crate::clock::Clock;
use crate::down::{Down, DownH1, Upload};
use crate::downstream::Downstream;
use crate::drain::DrainPhase;
use crate::exchange::{Exchange, Finish, record_refusal};
use crate::fields::Fields;
use crate::h1::{HeadError, HeadLimits, HeadParser, RequestLine};
use crate::record::{Reason, Version};
use crate::request::{Asked, Refusal, Request};
use crate::wire::Wire;
use crate::worker::Worker;
use std::future::poll_fn;
use std::ops::Range;
use std::rc::Rc;
use std::task::Poll;
use tokio::time::{Instant, timeout};

/// An HTTP/1 connection between requests.
struct Connection {
    worker: Rc<Worker>,
    downstream: Downstream,
    down: DownH1,
    parser: HeadParser,
    clock: Clock,
    departure: Departure,
    requests: u32,
    old_at: Instant,
    is_old: bool,
}

/// What waiting for a head came to.
enum Next {
    Head(Range<usize>, Fields),
    Refused(HeadError),
    /// The head took too long.
    Late,
    /// It ended before a request began, or has idled long enough.
    Over,
    /// It ended within a head.
    HalfHead,
    /// The drain has closed it.
    Drained,
    /// The drain's time was over before the head was whole.
    Stopped,
}

/// Serves a connection to its end.
pub(super) async fn serve(worker: Rc<Worker>, downstream: Downstream, wire: Wire, departure: Departure) {
    let limits = &worker.settings.limits;
    let head = HeadLimits { line: limits.request_line, head: limits.head, fields: limits.fields };
    let connection = Connection {
        worker: Rc::clone(&worker),
        downstream,
        down: DownH1::new(wire),
        parser: HeadParser::for_requests(head),
        clock: Clock::default(),
        departure,
        requests: 0,
        old_at: worker.old_at(),
        is_old: false,
    };
    connection.run().await;
}

impl Connection {
    async fn run(mut self) {
        loop {
            let (line, fields) = match self.next_head().await {
                Next::Head(line, fields) => (line, fields),
                Next::Refused(HeadError::NoVersion) if self.requests == 0 => {
                    return self.give_up(Refusal { status: 0, reason: Reason::BadRequest });
                }
                Next::Refused(error) => return self.refuse_head(refusal_of(error)).await,
                Next::Late => return self.refuse_head(Refusal { status: 408, reason: Reason::ClientTimeout }).await,
                Next::HalfHead => return self.give_up(Refusal { status: 0, reason: Reason::ClientReset }),
                Next::Over => return self.close().await,
                Next::Drained => return self.leave().await,
                Next::Stopped => return self.refuse_head(Refusal { status: 503, reason: Reason::Draining }).await,
            };
            self.requests += 1;
            let (paths, port) = (self.worker.settings.paths, self.downstream.default_port());
            let read = match RequestLine::parse(&fields, &line) {
                Ok(line) => Request::from_h1(&line, fields, paths, port),
                Err(error) => Err((refusal_of(error), fields)),
            };
            let request = match read {
                Ok(request) => request,
                Err((refusal, fields)) => return self.refuse(Asked::of_head(&line, &fields), refusal).await,
            };
            let wants_keep = match request.version {
                Version::Http10 => request.options.keep_alive && !request.options.close,
                Version::Http11 | Version::Http2 => !request.options.close,
            };
            let may_keep = wants_keep && !self.is_old && !self.worker.drain.is_closing();
            self.down.begin(&request);
            let exchange =
                Exchange::new(&self.worker, &self.downstream, &mut self.clock, Down::H1(&mut self.down), &request);
            match exchange.run(may_keep).await {
                Finish::Keep => {}
                Finish::Close => return self.close().await,
                Finish::Linger | Finish::Retire => return self.linger().await,
                Finish::Cut => return self.down.cut(),
            }
            if !self.down.upload_is_done() && !self.drain_upload().await {
                return self.linger().await;
            }
        }
    }

    async fn next_head(&mut self) -> Next {
        let Self { down, parser, clock, departure, worker, requests, .. } = self;
        let limits = &worker.settings.limits;
        let now = Instant::now();
        self.is_old = now >= self.old_at;
        let idle_until = now + if *requests == 0 { limits.first_request } else { limits.idle };
        let mut head_until: Option<Instant> = None;
        poll_fn(|cx| {
            loop {
                match parser.advance(&mut down.wire.input) {
                    Ok(Some((line, fields))) => return Poll::Ready(Next::Head(line, fields)),
                    Ok(None) => {}
                    Err(error) => return Poll::Ready(Next::Refused(error)),
                }
                let has_begun = parser.has_begun(&down.wire.input);
                match down.wire.poll_fill(cx) {
                    Poll::Ready(Ok(0)) if has_begun => return Poll::Ready(Next::HalfHead),
                    Poll::Ready(Ok(0)) => return Poll::Ready(Next::Over),
                    Poll::Ready(Ok(_)) => continue,
                    Poll::Ready(Err(_)) if has_begun => return Poll::Ready(Next::HalfHead),
                    Poll::Ready(Err(_)) => return Poll::Ready(Next::Over),
                    Poll::Pending => {}
                }
                let leave = departure.poll(cx, worker);
                if worker.drain.phase() >= DrainPhase::Deadline {
                    return Poll::Ready(if has_begun { Next::Stopped } else { Next::Over });
                }
                let deadline = if has_begun {
                    *head_until.get_or_insert_with(|| Instant::now() + limits.head_total)
                } else {
                    down.wire.rest_if_large();
                    if leave.is_some_and(|leave| leave <= Instant::now()) {
                        return Poll::Ready(Next::Drained);
                    }
                    leave.map_or(idle_until, |leave| leave.min(idle_until))
                };
                match clock.poll(cx, deadline) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(()) if has_begun => return Poll::Ready(Next::Late),
                    Poll::Ready(()) if deadline < idle_until => return Poll::Ready(Next::Drained),
                    Poll::Ready(()) => return Poll::Ready(Next::Over),
                }
            }
        })
        .await
    }

    /// Refuses a head that is still in the buffer.
    async fn refuse_head(self, refusal: Refusal) {
        let asked = Asked::of_bytes(&self.down.wire.input);
        self.refuse(asked, refusal).await;
    }

    /// Ends without a word what began as a head.
    fn give_up(self, refusal: Refusal) {
        let asked = Asked::of_bytes(&self.down.wire.input);
        record_refusal(&self.worker, &self.downstream, asked, refusal, None);
    }

    /// Refuses what could not be read as a request; what follows it cannot be read either.
    async fn refuse(mut self, asked: Asked, refusal: Refusal) {
        let answer = LocalAnswer::new(refusal.status, refusal.reason, None, &self.worker.date());
        record_refusal(&self.worker, &self.downstream, asked, refusal, Some(&answer));
        let limits = &self.worker.settings.limits;
        let mut down = Down::H1(&mut self.down);
        // The client's leaving is no news now.
        if down.local(&answer, false).is_ok() {
            let flush = poll_fn(|cx| down.poll_drain(cx, &mut false));
            let _ = timeout(limits.linger_total, flush).await;
            self.linger().await;
        }
    }

    /// Ends a connection to which there is nothing more to say, whatever its client goes on to say.
    async fn linger(self) {
        // How much that is, nobody asks.
        let _ = linger(self.down.wire, &self.worker.settings.limits).await;
    }

    /// Ends an idle connection for the drain's sake. A request that its client sends before it hears of that is lost.
    async fn leave(self) {
        if linger(self.down.wire, &self.worker.settings.limits).await > 0 {
            let refusal = Refusal { status: 0, reason: Reason::DrainRace };
            let asked = Asked::nothing(Version::Http11);
            record_refusal(&self.worker, &self.downstream, asked, refusal, None);
        }
    }

    /// Throws away the rest of an upload that its answer did not wait for.
    async fn drain_upload(&mut self) -> bool {
        let limits = &self.worker.settings.limits;
        let down = &mut self.down;
        let drained = poll_fn(|cx| {
            loop {
                match down.poll_read(cx) {
                    Poll::Ready(Ok(Upload::Data(_))) => {}
                    Poll::Ready(Ok(Upload::End(_))) => return Poll::Ready(true),
                    Poll::Ready(Err(_)) => return Poll::Ready(false),
                    Poll::Pending => return Poll::Pending,
                }
            }
        });
        let is_drained = timeout(limits.drained_upload_time, drained).await.unwrap_or(false);
        // Its request has its record; these bytes are not the next one's.
        down.take_passed();
        is_drained
    }

    /// Closes where all was said: TLS says goodbye, TCP needs no ceremony unless the client went on talking.
    async fn close(mut self) {
        if !self.down.has_said_all() {
            return self.down.cut();
        }
        let limits = &self.worker.settings.limits;
        if !self.down.wire.input.is_empty() {
            return self.linger().await;
        }
        if self.downstream.tls.is_some() {
            let shutdown = poll_fn(|cx| self.down.wire.poll_shutdown(cx));
            let _ = timeout(limits.linger_idle, shutdown).await;
        }
    }
}

fn refusal_of(error: HeadError) -> Refusal {
    match error {
        HeadError::Malformed | HeadError::NoVersion => Refusal::BAD_REQUEST,
        HeadError::Version => Refusal { status: 505, reason: Reason::BadVersion },
        HeadError::LineTooLong => Refusal::TARGET_TOO_LONG,
        HeadError::TooLarge => Refusal::HEAD_TOO_LARGE,
    }
}
