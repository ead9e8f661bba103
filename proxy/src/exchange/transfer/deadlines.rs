//! The one deadline that an attempt sleeps towards: of the side that owes the next move.

use super::clocks::Due;
use super::{Answer, End, Transfer};
use crate::exchange::{Exchange, Finish, Interrupt};
use crate::record::Reason;
use crate::up::UpError;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// Between looks at a client that nothing is read of.
const LOOK: Duration = Duration::from_millis(100);

impl Exchange<'_> {
    /// Sleeps until the time for the whole is over, or the nearest deadline of a side that owes something has come.
    pub(super) fn poll_clocks(&mut self, cx: &mut Context<'_>, transfer: &mut Transfer) -> Poll<End> {
        if let Poll::Ready(interrupt) = self.poll_over(cx) {
            return Poll::Ready(self.end_by(transfer, interrupt));
        }
        let limits = &self.worker.settings.limits;
        let attempt_over =
            self.terms.as_mut().and_then(|terms| terms.sleeps()).filter(|_| self.awaits_upstream(transfer));
        let client_blocked = transfer.clocks.client_blocked(!self.down.is_drained());
        let upstream_blocked = transfer.clocks.upstream_blocked(!transfer.up.is_drained());
        let (deadline, due) = if let Some(blocked) = client_blocked {
            (blocked + limits.write, Due::ClientReads)
        } else if let Some(refused) = transfer.clocks.upload_refused.filter(|_| transfer.answer == Answer::Awaited) {
            (refused + limits.late_answer, Due::LateAnswer)
        } else if let Some(blocked) = upstream_blocked {
            (blocked + limits.write, Due::UpstreamReads)
        } else if transfer.is_tunnel {
            let is_half_closed = self.upload.is_ended() || transfer.answer == Answer::Ended;
            let patience = if is_half_closed { limits.half_closed } else { limits.tunnel };
            (transfer.clocks.last() + patience, Due::Tunnel)
        } else if self.wants_upload(transfer) && !self.awaits_continue() {
            // Once the answer has begun, a client that only listens owes nothing while the upstream speaks.
            let since = if transfer.answer == Answer::Awaited {
                // While the upstream took nothing, nothing was asked of the client.
                transfer.clocks.from_client.max(transfer.clocks.to_upstream)
            } else {
                transfer.clocks.last()
            };
            (since + limits.body_idle, Due::ClientWrites)
        } else if let Some(over) = attempt_over {
            (over, Due::Attempt)
        } else if transfer.answer == Answer::Awaited {
            (transfer.clocks.last() + limits.upstream_head, Due::UpstreamAnswers)
        } else {
            (transfer.clocks.from_upstream.max(transfer.clocks.to_client) + limits.upstream_idle, Due::UpstreamAnswers)
        };
        let (deadline, due) = match attempt_over {
            Some(over) if over < deadline => (over, Due::Attempt),
            _ => (deadline, due),
        };
        // Where nothing of the client is read, nothing tells that it has left but a look.
        let next_look = self.down.is_blind(limits.read_ahead).then(|| Instant::now() + LOOK);
        let wake = next_look.map_or(deadline, |look| look.min(deadline));
        self.clock.poll(cx, wake).map(|()| self.timed_out(transfer, due))
    }

    /// Whether it is the upstream's turn alone: it has all of the request, and its answer has not begun.
    fn awaits_upstream(&self, transfer: &Transfer) -> bool {
        transfer.answer == Answer::Awaited && self.upload.is_ended() && self.down.has_room()
    }

    pub(super) fn end_by(&mut self, transfer: &Transfer, interrupt: Interrupt) -> End {
        let (status, reason) = interrupt.answer();
        if transfer.is_tunnel {
            return End::TunnelOver;
        }
        if transfer.answer == Answer::Awaited {
            return End::Refused(status, reason);
        }
        self.draft.cut(reason);
        End::Cut(Finish::Cut)
    }

    fn timed_out(&mut self, transfer: &Transfer, due: Due) -> End {
        let has_begun = transfer.answer != Answer::Awaited;
        let reason = match due {
            Due::ClientReads => Reason::WriteTimeout,
            Due::ClientWrites => Reason::ClientTimeout,
            Due::Tunnel => Reason::TunnelTimeout,
            Due::UpstreamReads | Due::UpstreamAnswers => Reason::UpstreamTimeout,
            Due::LateAnswer => return End::Failed(UpError::Silent),
            Due::Attempt => return End::AttemptTimeout,
        };
        match due {
            Due::ClientWrites if !has_begun => return End::Refused(408, reason),
            Due::UpstreamReads | Due::UpstreamAnswers if !has_begun => return End::HeadTimeout,
            _ => {}
        }
        self.draft.cut(reason);
        if due == Due::ClientReads { End::ClientGone(reason) } else { End::Cut(Finish::Cut) }
    }
}
