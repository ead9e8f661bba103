//! Attempts at endpoints, one after the other, until one answers or none is left to try.

use super::failure::Failure;
use super::news::News;
use super::tally::{Stale, Tally};
use super::transfer::{End, Transfer};
use super::{Exchange, Finish, Interrupt};
use crate::balance::pick;
use crate::forward::{NotForH2, UploadFraming, h2_connect, h2_request, write_h1};
use crate::h1::Encoder;
use crate::health::FailureKind;
use crate::live::{LiveBackend, Picked};
use crate::pool::{Acquired, ConnectError, ConnectFailure, Kept, Lease, Need, PoolKey, StreamPermit, Wanted};
use crate::record::{Phase, Reason, Version};
use crate::request::BodyLength;
use crate::up::{Up, UpError, UpH1, UpH2};
use crate::websocket;
use bytes::Bytes;
use h2::client::SendRequest;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use tokio::time::{Instant, sleep, timeout_at};

/// How an attempt ended.
enum Attempted {
    Answered(Finish),
    /// Without an answer.
    Failed(Failure, Stale),
    /// With an answer in whose place another attempt is made.
    Unwanted,
    ClientGone(Reason),
    Interrupted(Interrupt),
}

impl Exchange<'_> {
    /// Tries endpoints of a backend.
    pub(super) async fn try_endpoints(&mut self, backend: &Arc<LiveBackend>) -> Finish {
        if matches!(self.request.body, BodyLength::Known(length) if length > self.worker.settings.limits.upload) {
            return self.refuse(413, Reason::UploadTooLarge).await;
        }
        let mut tally = Tally::new(backend);
        self.worker.budgets.requested(&backend.backend.key);
        loop {
            if tally.must_pause() {
                if let Err(interrupt) = self.pause().await {
                    return self.interrupted(interrupt).await;
                }
                tally.look_again(&self.worker.views.current());
            }
            let Some(mut picked) = pick(tally.backend(), &tally.tried, Instant::now(), &self.worker.random) else {
                return self.refuse(503, Reason::NoEndpoint).await;
            };
            let (failure, stale) = match self.attempt(&mut picked, &mut tally).await {
                Attempted::Answered(finish) => return finish,
                Attempted::ClientGone(reason) => {
                    self.draft.cut(reason);
                    return Finish::Close;
                }
                Attempted::Interrupted(interrupt) => return self.interrupted(interrupt).await,
                Attempted::Failed(failure, stale) => (failure, stale),
                Attempted::Unwanted => {
                    tally.failed_at(picked.upstream(), true);
                    tally.look_again(&self.worker.views.current());
                    continue;
                }
            };
            self.draft.attempt_failed(failure.reason);
            let blame = failure.blame.filter(|_| stale == Stale::No);
            if let Some(kind) = blame {
                self.blame(&mut picked, kind);
            }
            tally.failed_at(picked.upstream(), blame.is_some());
            if failure.is_loss() {
                tally.lost_at(picked.upstream());
            }
            tally.needs_fresh |= stale == Stale::Perhaps;
            // It is no load of its endpoint while it waits.
            drop(picked);
            tally.look_again(&self.worker.views.current());
            for news in News::ALL {
                // Counted before it is asked for: endpoints leave at any moment.
                let departed = tally.departed();
                if self.awaits(news, failure, &tally)
                    && let Err(interrupt) = self.news(news, departed, &mut tally).await
                {
                    return self.interrupted(interrupt).await;
                }
            }
            if let Err(reason) = self.may_retry(failure, stale, &tally) {
                return self.refuse(failure.status, reason).await;
            }
        }
    }

    pub(super) fn blame(&self, picked: &mut Picked, kind: FailureKind) {
        if picked.failed(kind) {
            self.worker.metrics.endpoint_ejected();
        }
    }

    async fn attempt(&mut self, picked: &mut Picked, tally: &mut Tally<'_>) -> Attempted {
        let worker = self.worker;
        let need = self.need();
        let key = worker.pool.key(picked.upstream(), &tally.backend().backend, need);
        self.draft.reached(Phase::Connect);
        self.draft.set(|record| {
            record.attempts += 1;
            (record.connect, record.sent) = (None, None);
            (record.upstream_version, record.upstream_status, record.upstream_wire) = (None, None, None);
            record.endpoint = Some(picked.upstream().address().clone());
            record.reused = false;
        });
        let over = self.terms.as_mut().and_then(|terms| terms.begin_attempt());
        let kept = if tally.needs_fresh { None } else { self.worker.pool.kept(key, need) };
        let acquired = match kept {
            Some(acquired) => acquired,
            None => {
                let (upstream, backend) = (Arc::clone(picked.upstream()), Arc::clone(&tally.backend().backend));
                let gone = worker.views.gone(Arc::clone(&upstream));
                let make = Rc::clone(&worker.pool).make(key, Wanted { need, over }, upstream, backend);
                match self.connect(Box::pin(unless(gone, within(over, Box::pin(make))))).await {
                    Ok(Ok(acquired)) => acquired,
                    Ok(Err(error)) => {
                        (tally.connects_failed, tally.is_unsent) = (tally.connects_failed + 1, true);
                        worker.connect_failed(picked.upstream(), &error);
                        return Attempted::Failed(Failure::of_connect(error.failure), Stale::No);
                    }
                    Err(interrupt) => return Attempted::Interrupted(interrupt),
                }
            }
        };
        (tally.sent, tally.is_unsent) = (tally.sent + 1, false);
        self.exchange_with(acquired, key, picked, tally).await
    }

    fn need(&self) -> Need {
        if self.request.is_websocket { Need::WebSocket } else { Need::Any }
    }

    /// Waits for a connection; making one is boxed, since most exchanges find one that is kept.
    async fn connect(
        &mut self,
        make: Pin<Box<impl Future<Output = Result<Acquired, ConnectError>>>>,
    ) -> Result<Result<Acquired, ConnectError>, Interrupt> {
        let begun = Instant::now();
        let made = self.waiting(make).await;
        let elapsed = begun.elapsed();
        self.draft.set(|record| record.connect = Some(elapsed));
        made
    }

    /// Gives an endpoint that has failed a moment, of random length so that not all come back at once.
    async fn pause(&mut self) -> Result<(), Interrupt> {
        let longest = self.worker.settings.limits.retry_pause;
        let shortest = longest / 10;
        let pause = shortest + self.worker.random.time_below(longest - shortest);
        self.waiting(Box::pin(sleep(pause))).await
    }

    async fn interrupted(&mut self, interrupt: Interrupt) -> Finish {
        let (status, reason) = interrupt.answer();
        if interrupt == Interrupt::ClientGone {
            self.draft.cut(reason);
            return Finish::Close;
        }
        self.refuse(status, reason).await
    }

    /// Sends the request and streams the answer.
    async fn exchange_with(
        &mut self,
        acquired: Acquired,
        key: PoolKey,
        picked: &mut Picked,
        tally: &Tally<'_>,
    ) -> Attempted {
        let (up, is_reused, lease) = match self.begin(acquired) {
            Ok(begun) => begun,
            Err(failure) => return Attempted::Failed(failure, Stale::No),
        };
        self.draft.reached(Phase::Send);
        self.draft.set(|record| {
            record.reused = is_reused;
            record.upstream_version = Some(up.version());
        });
        let mut transfer = Transfer::new(up);
        let end = loop {
            let end = self.transfer(&mut transfer, picked).await;
            if end != End::HeldBack {
                break end;
            }
            if let Some(end) = poll_fn(|cx| Poll::Ready(self.held_back(cx, &mut transfer, tally))).await {
                break end;
            }
        };
        let Transfer { up, .. } = transfer;
        self.draft.set(|record| record.upstream_wire = up.passed());
        let reusable = match end {
            End::Complete(finish) => {
                self.keep(up, key, lease.map(|lease| (lease, is_reused)), picked);
                return Attempted::Answered(finish);
            }
            End::HeldBack if up.is_done() && self.upload.is_ended() => {
                self.keep(up, key, lease.map(|lease| (lease, is_reused)), picked);
                return Attempted::Unwanted;
            }
            End::HeldBack => Attempted::Unwanted,
            End::Failed(error) => {
                if error == UpError::NeedsHttp1 {
                    self.worker.pool.speak_h1(key, self.need());
                }
                let is_stale = is_reused && matches!(error, UpError::Silent);
                Attempted::Failed(Failure::of_upstream(error), if is_stale { Stale::Perhaps } else { Stale::No })
            }
            End::HeadTimeout => Attempted::Failed(Failure::HEAD_TIMEOUT, Stale::No),
            End::AttemptTimeout => Attempted::Failed(Failure::ATTEMPT_TIMEOUT, Stale::No),
            End::Cut(finish) => Attempted::Answered(finish),
            End::TunnelOver => {
                let mut up = up;
                let finish = self.farewell(&mut up).await;
                release(up);
                return Attempted::Answered(finish);
            }
            End::ClientGone(reason) => Attempted::ClientGone(reason),
            End::Refused(status, reason) => {
                release(up);
                self.may_keep = false;
                return Attempted::Answered(self.refuse(status, reason).await);
            }
        };
        release(up);
        reusable
    }

    /// Keeps a connection on which all is said and read, if another request may follow.
    fn keep(&self, up: Up, key: PoolKey, lease: Option<(Lease, bool)>, picked: &Picked) {
        if let (Up::H1(up), Some((lease, is_reused))) = (up, lease)
            && let Some((wire, keep_for)) = up.into_idle()
        {
            let kept = Kept { wire, lease, is_reused };
            self.worker.pool.give(key, picked.upstream(), kept, keep_for);
        }
    }

    /// Writes the head.
    fn begin(&mut self, acquired: Acquired) -> Result<(Up, bool, Option<Lease>), Failure> {
        match acquired {
            Acquired::H1(kept) => Ok(self.begin_h1(kept)),
            Acquired::H2 { sender, permit, is_reused } => {
                let up = if self.request.is_websocket {
                    self.begin_websocket(sender, permit)
                } else {
                    self.begin_h2(sender, permit)
                };
                Ok((Up::H2(Box::new(up?)), is_reused, None))
            }
        }
    }

    fn begin_h1(&self, kept: Kept) -> (Up, bool, Option<Lease>) {
        let framing = UploadFraming::of(self.request);
        let encoder = match framing {
            UploadFraming::None => Encoder::Nothing,
            UploadFraming::Length(_) => Encoder::Length,
            UploadFraming::Chunked => Encoder::Chunked,
        };
        let mut up = UpH1::new(kept.wire, &self.worker.settings.limits, encoder, self.request.is_websocket);
        let key = (self.request.is_websocket && self.request.version == Version::Http2)
            .then(|| websocket::key(&self.worker.random));
        write_h1(up.head_output(), self.request, &self.provenance, framing, key.as_deref());
        up.expect_accept(key.as_deref().map(websocket::accept_of));
        (Up::H1(up), kept.is_reused, Some(kept.lease))
    }

    fn begin_h2(&self, mut sender: SendRequest<Bytes>, permit: StreamPermit) -> Result<UpH2, Failure> {
        let framing = UploadFraming::of(self.request);
        let head = h2_request(self.request, &self.provenance, framing, permit.scheme())
            .map_err(|NotForH2| Failure::NOT_FOR_H2)?;
        let is_bodiless = matches!(framing, UploadFraming::None | UploadFraming::Length(0));
        match sender.send_request(head, is_bodiless) {
            Ok((response, send)) => Ok(UpH2::new(response, send, is_bodiless, permit)),
            Err(_) => Err(refused(&permit)),
        }
    }

    /// Asks for a WebSocket by extended CONNECT; the upstream's SETTINGS are here. A client of HTTP/1 gets the proof that
    /// its key was read from here, since HTTP/2 has neither (RFC 8441 §5).
    fn begin_websocket(&self, mut sender: SendRequest<Bytes>, permit: StreamPermit) -> Result<UpH2, Failure> {
        let accept = match (self.request.version, websocket::key_of(&self.request.fields)) {
            (Version::Http2, _) => None,
            (Version::Http10 | Version::Http11, Some(key)) => Some(websocket::accept_of(key)),
            (Version::Http10 | Version::Http11, None) => return Err(Failure::BAD_KEY),
        };
        if !sender.is_extended_connect_protocol_enabled() {
            return Err(Failure::NO_WEBSOCKET);
        }
        let head =
            h2_connect(self.request, &self.provenance, permit.scheme()).map_err(|NotForH2| Failure::NOT_FOR_H2)?;
        match sender.send_request(head, false) {
            Ok((response, send)) => Ok(UpH2::new(response, send, false, permit).asking_for_websocket(accept)),
            Err(_) => Err(refused(&permit)),
        }
    }
}

/// The connection took no more streams since it was chosen.
fn refused(permit: &StreamPermit) -> Failure {
    permit.retire();
    Failure::of_upstream(UpError::Refused)
}

/// Makes a connection unless the time of the attempt is over before.
async fn within(
    over: Option<Instant>,
    make: Pin<Box<impl Future<Output = Result<Acquired, ConnectError>>>>,
) -> Result<Acquired, ConnectError> {
    match over {
        None => make.await,
        Some(over) => timeout_at(over, make).await.unwrap_or_else(|_| Err(ConnectFailure::AttemptTimeout.into())),
    }
}

/// Makes a connection unless its endpoint goes away before: who has gone may leave it without any answer.
async fn unless(
    gone: impl Future<Output = ()>,
    make: impl Future<Output = Result<Acquired, ConnectError>>,
) -> Result<Acquired, ConnectError> {
    tokio::select! {
        biased;
        made = make => made,
        () = gone => Err(ConnectFailure::Gone.into()),
    }
}

/// Ends an attempt that does not leave its connection usable.
fn release(up: Up) {
    match up {
        Up::H1(up) => up.reset(),
        Up::H2(mut up) => up.cancel(),
    }
}
