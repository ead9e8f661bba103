//! The end of a tunnel whose time the drain has ended: there is nothing to say in a protocol that is not ours.

use super::{Exchange, Finish};
use crate::down::Upload;
use crate::record::Reason;
use crate::up::{Download, Up};
use std::future::poll_fn;
use std::task::{Context, Poll};
use tokio::time::Instant;

impl Exchange<'_> {
    /// Ends both halves, and throws away what still comes until both sides have ended theirs or have had their time.
    pub(super) async fn farewell(&mut self, up: &mut Up) -> Finish {
        self.draft.cut(Reason::Draining);
        self.down.end(None);
        up.end(None);
        let deadline = Instant::now() + self.worker.drain.farewell();
        let (mut client_left, mut upstream_left) = (false, false);
        poll_fn(|cx| {
            client_left = client_left || self.poll_client_leaving(cx);
            upstream_left = upstream_left || self.poll_upstream_leaving(cx, up);
            if client_left && upstream_left {
                return Poll::Ready(Finish::Close);
            }
            self.clock.poll(cx, deadline).map(|()| Finish::Cut)
        })
        .await
    }

    fn poll_client_leaving(&mut self, cx: &mut Context<'_>) -> bool {
        let is_drained = match self.down.poll_drain(cx, &mut false) {
            Poll::Ready(Err(_)) => return true,
            drained => drained.is_ready(),
        };
        loop {
            match self.down.poll_read(cx) {
                Poll::Ready(Ok(Upload::Data(data))) => self.down.accepted(data.len()),
                Poll::Ready(Ok(Upload::End(_))) => return is_drained,
                Poll::Ready(Err(_)) => return true,
                Poll::Pending => return false,
            }
        }
    }

    fn poll_upstream_leaving(&mut self, cx: &mut Context<'_>, up: &mut Up) -> bool {
        let is_drained = match up.poll_drain(cx, &mut false) {
            Poll::Ready(Err(_)) => return true,
            drained => drained.is_ready(),
        };
        loop {
            match up.poll_read(cx, self.request.method) {
                Poll::Ready(Ok(Download::Data(_))) => {}
                Poll::Ready(Ok(Download::End(_))) => return is_drained,
                Poll::Ready(Ok(_) | Err(_)) => return true,
                Poll::Pending => return false,
            }
        }
    }
}
