//! Both halves of an attempt in one poll function: what either side can take moves, then the task sleeps.
//! Back-pressure is "no room, no read of the other side"; nothing stays buffered here while the task sleeps.

mod clocks;
mod deadlines;
mod download;
mod held;

use super::trailers::without_framing;
use super::{Exchange, Finish};
use crate::down::{DownError, Upload as UploadEvent, Watched};
use crate::health::FailureKind;
use crate::live::Picked;
use crate::metrics::Held;
use crate::record::{Phase, Reason};
use crate::request::BodyLength;
use crate::up::{Up, UpError};
use bytes::Bytes;
use clocks::Clocks;
use std::future::poll_fn;
use std::task::{Context, Poll};
use tokio::time::Instant;

/// Rounds before other tasks get their turn.
const ROUNDS: usize = 32;

/// How far the answer has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Awaited,
    Streaming,
    Ended,
}

/// The state of one attempt.
#[derive(Debug)]
pub(super) struct Transfer {
    pub(super) up: Up,
    answer: Answer,
    has_begun: bool,
    is_tunnel: bool,
    is_sent: bool,
    /// The upstream takes no more of the upload.
    upload_refused: bool,
    interim_heads: usize,
    /// What the answer's head told the client.
    keep: bool,
    clocks: Clocks,
    /// Counts a tunnel while there is one.
    tunnel: Option<Held>,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Complete(Finish),
    /// The upstream failed before the final head.
    Failed(UpError),
    HeadTimeout,
    /// The final head is here and was not passed on: the rule wants another attempt after such an answer.
    HeldBack,
    /// The time that the rule gives an attempt was over before it.
    AttemptTimeout,
    /// The answer could not be completed.
    Cut(Finish),
    ClientGone(Reason),
    /// Not the upstream's fault; told to the client.
    Refused(u16, Reason),
    /// The drain has ended a tunnel.
    TunnelOver,
}

impl Transfer {
    pub(super) fn new(up: Up) -> Self {
        Self {
            up,
            answer: Answer::Awaited,
            has_begun: false,
            is_tunnel: false,
            is_sent: false,
            upload_refused: false,
            interim_heads: 0,
            keep: false,
            clocks: Clocks::new(Instant::now()),
            tunnel: None,
        }
    }

    fn refuse_upload(&mut self) {
        self.up.give_up_upload();
        self.upload_refused = true;
        self.clocks.upload_refused = Some(Instant::now());
    }
}

impl Exchange<'_> {
    /// Streams both ways until either side is done for.
    pub(super) async fn transfer(&mut self, transfer: &mut Transfer, picked: &mut Picked) -> End {
        let end = poll_fn(|cx| self.poll_transfer(cx, transfer, picked)).await;
        if matches!(end, End::Cut(_)) && !transfer.is_tunnel {
            // What did arrive is the client's, if it takes it in the time that the rule gives to all of it.
            let over = self.terms.as_ref().and_then(|terms| terms.deadline);
            if let Err(finish) = self.flush(over).await {
                return End::Cut(finish);
            }
        }
        end
    }

    fn poll_transfer(&mut self, cx: &mut Context<'_>, transfer: &mut Transfer, picked: &mut Picked) -> Poll<End> {
        if !transfer.has_begun {
            transfer.has_begun = true;
            self.begin_upload(cx, transfer);
        }
        let mut moved_at_all = Moved::default();
        for _ in 0..ROUNDS {
            let mut moved = Moved::default();
            if let Err(end) = self.round(cx, transfer, picked, &mut moved) {
                return Poll::Ready(end);
            }
            if let Some(end) = self.ended(transfer) {
                return Poll::Ready(end);
            }
            moved_at_all.add(moved);
            if !moved.any() {
                if !self.down.has_room() {
                    transfer.up.release_input();
                }
                if !transfer.up.has_room() {
                    self.down.release_input();
                }
                transfer.clocks.note(moved_at_all, Instant::now());
                return self.poll_clocks(cx, transfer);
            }
        }
        transfer.clocks.note(moved_at_all, Instant::now());
        cx.waker().wake_by_ref();
        self.poll_over(cx).map(|interrupt| self.end_by(transfer, interrupt))
    }

    /// Sends what an earlier attempt read of the upload.
    fn begin_upload(&mut self, cx: &mut Context<'_>, transfer: &mut Transfer) {
        let replay = self.upload.replay();
        if !replay.is_empty() && transfer.up.data(cx, Bytes::copy_from_slice(replay)).is_err() {
            return transfer.refuse_upload();
        }
        if self.upload.is_ended() {
            transfer.up.end(self.upload.trailers());
        }
    }

    fn round(
        &mut self,
        cx: &mut Context<'_>,
        transfer: &mut Transfer,
        picked: &mut Picked,
        moved: &mut Moved,
    ) -> Result<(), End> {
        self.read_upload(cx, transfer, moved)?;
        match transfer.up.poll_drain(cx, &mut moved.to_upstream) {
            Poll::Ready(Ok(())) if self.upload.is_ended() && !transfer.is_sent => self.on_sent(transfer),
            Poll::Ready(Err(_)) => {
                // Its answer may be on the way all the same: a 413, a redirect to a login.
                transfer.refuse_upload();
                moved.to_upstream = true;
            }
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
        // All that is there is read before any of it is sent: a head and a small body leave in one segment.
        for _ in 0..ROUNDS {
            if transfer.answer == Answer::Ended || !self.down.has_room() {
                break;
            }
            match transfer.up.poll_read(cx, self.request.method) {
                Poll::Ready(Ok(event)) => {
                    moved.from_upstream = true;
                    self.on_download(cx, transfer, picked, event)?;
                }
                Poll::Ready(Err(error)) => return Err(self.upstream_failed(transfer, picked, error)),
                Poll::Pending => break,
            }
        }
        if !self.down.has_room() {
            transfer.up.gather(cx);
        }
        match self.down.poll_drain(cx, &mut moved.to_client) {
            Poll::Ready(Err(_)) => Err(End::ClientGone(Reason::ClientGone)),
            Poll::Ready(Ok(())) | Poll::Pending => Ok(()),
        }
    }

    fn on_sent(&mut self, transfer: &mut Transfer) {
        transfer.is_sent = true;
        let sent = self.draft.elapsed();
        self.draft.set(|record| record.sent = Some(sent));
        if transfer.answer == Answer::Awaited {
            self.draft.reached(Phase::Wait);
        }
    }

    fn wants_upload(&self, transfer: &Transfer) -> bool {
        let answer_ended = transfer.answer == Answer::Ended && !transfer.is_tunnel;
        !self.upload.is_ended() && !transfer.upload_refused && !answer_ended
    }

    fn read_upload(&mut self, cx: &mut Context<'_>, transfer: &mut Transfer, moved: &mut Moved) -> Result<(), End> {
        if self.wants_upload(transfer) && transfer.up.has_room() {
            if let Poll::Ready(event) = self.down.poll_read(cx) {
                moved.from_client = true;
                return self.on_upload(cx, transfer, event);
            }
            return Ok(());
        }
        match self.down.poll_watch(cx, self.worker.settings.limits.read_ahead) {
            Poll::Ready(Err(_)) => Err(End::ClientGone(Reason::ClientGone)),
            Poll::Ready(Ok(Watched::HalfClosed)) if self.leaves_by_half_closing() && !transfer.is_tunnel => {
                Err(End::ClientGone(Reason::ClientGone))
            }
            Poll::Ready(Ok(_)) => {
                moved.from_client = true;
                Ok(())
            }
            Poll::Pending => Ok(()),
        }
    }

    fn on_upload(
        &mut self,
        cx: &mut Context<'_>,
        transfer: &mut Transfer,
        event: Result<UploadEvent, DownError>,
    ) -> Result<(), End> {
        match event {
            Ok(UploadEvent::Data(data)) => {
                let len = data.len();
                self.draft.set(|record| record.bytes_in += len as u64);
                self.upload.keep(&data, self.most_kept());
                if self.upload.bytes > self.worker.settings.limits.upload {
                    return Err(self.upload_too_large(transfer));
                }
                if transfer.up.data(cx, data).is_err() {
                    transfer.refuse_upload();
                }
                self.down.accepted(len);
                Ok(())
            }
            Ok(UploadEvent::End(trailers)) => {
                let trailers = trailers.map(without_framing);
                transfer.up.end(trailers.clone());
                self.upload.end(trailers);
                if let Some(terms) = &mut self.terms {
                    terms.upload_ended();
                }
                Ok(())
            }
            Err(error) => {
                let reason = self.client_failed(error);
                Err(match (error, transfer.answer) {
                    (DownError::Gone, _) => End::ClientGone(reason),
                    (DownError::Cut | DownError::Malformed, Answer::Awaited) => End::Refused(400, reason),
                    (DownError::Cut | DownError::Malformed, _) => {
                        self.draft.cut(reason);
                        End::Cut(Finish::Cut)
                    }
                })
            }
        }
    }

    /// Bytes of the upload that are worth keeping: none of one that is known to be too long for another attempt.
    fn most_kept(&self) -> usize {
        let limit = self.worker.settings.limits.replay;
        let is_too_long = matches!(self.request.body, BodyLength::Known(length) if length > limit as u64);
        if is_too_long { 0 } else { limit }
    }

    fn upload_too_large(&mut self, transfer: &Transfer) -> End {
        if transfer.answer == Answer::Awaited {
            return End::Refused(413, Reason::UploadTooLarge);
        }
        self.draft.cut(Reason::UploadTooLarge);
        End::Cut(Finish::Cut)
    }

    fn upstream_failed(&mut self, transfer: &mut Transfer, picked: &mut Picked, error: UpError) -> End {
        if transfer.answer == Answer::Awaited {
            return End::Failed(error);
        }
        if !transfer.is_tunnel {
            self.blame(picked, FailureKind::Reset);
        }
        self.draft.cut(Reason::UpstreamReset);
        End::Cut(Finish::Cut)
    }

    /// The end of the attempt, once all is delivered.
    fn ended(&mut self, transfer: &Transfer) -> Option<End> {
        if transfer.answer != Answer::Ended || !self.down.is_drained() {
            return None;
        }
        if transfer.is_tunnel {
            let is_over = (self.upload.is_ended() && transfer.up.is_drained()) || transfer.upload_refused;
            return is_over.then_some(End::Complete(Finish::Close));
        }
        Some(End::Complete(match (transfer.keep && self.upload_rest_fits(), self.upload.is_ended()) {
            (true, _) => Finish::Keep,
            (false, true) => Finish::Close,
            (false, false) => Finish::Linger,
        }))
    }
}

/// What moved since the task last slept.
#[derive(Debug, Clone, Copy, Default)]
struct Moved {
    from_client: bool,
    to_client: bool,
    from_upstream: bool,
    to_upstream: bool,
}

impl Moved {
    fn any(self) -> bool {
        self.from_client || self.to_client || self.from_upstream || self.to_upstream
    }

    fn add(&mut self, more: Self) {
        self.from_client |= more.from_client;
        self.to_client |= more.to_client;
        self.from_upstream |= more.from_upstream;
        self.to_upstream |= more.to_upstream;
    }
}
