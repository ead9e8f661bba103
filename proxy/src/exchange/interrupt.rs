//! What ends an exchange from outside, whatever it waits for.

use super::Exchange;
use crate::down::Watched;
use crate::record::Reason;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

/// Why an exchange cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interrupt {
    /// The client left.
    ClientGone,
    /// The rule's time for the whole is over.
    Deadline,
    /// The drain's is.
    Draining,
}

impl Interrupt {
    /// The status and the word of an answer that has not begun.
    pub(super) fn answer(self) -> (u16, Reason) {
        match self {
            Self::ClientGone => (499, Reason::ClientGone),
            Self::Deadline => (504, Reason::Deadline),
            Self::Draining => (503, Reason::Draining),
        }
    }
}

impl Exchange<'_> {
    /// Ready when the time for the exchange is over.
    pub(super) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<Interrupt> {
        if Pin::new(&mut self.over).poll(cx).is_ready() {
            return Poll::Ready(Interrupt::Draining);
        }
        let Some(deadline) = self.terms.as_ref().and_then(|terms| terms.deadline) else { return Poll::Pending };
        self.clock.poll(cx, deadline).map(|()| Interrupt::Deadline)
    }

    /// Waits for something that is neither side's turn, unless the client leaves or the time is over.
    pub(super) async fn waiting<T>(&mut self, future: impl Future<Output = T>) -> Result<T, Interrupt> {
        let mut future = pin!(future);
        poll_fn(|cx| {
            if let Poll::Ready(done) = future.as_mut().poll(cx) {
                return Poll::Ready(Ok(done));
            }
            if let Poll::Ready(interrupt) = self.poll_over(cx) {
                return Poll::Ready(Err(interrupt));
            }
            self.poll_left(cx).map(|()| Err(Interrupt::ClientGone))
        })
        .await
    }

    /// Ready when the client has left.
    fn poll_left(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match ready!(self.down.poll_watch(cx, self.worker.settings.limits.read_ahead)) {
                Ok(Watched::HalfClosed) if self.leaves_by_half_closing() => return Poll::Ready(()),
                Ok(_) => {}
                Err(_) => return Poll::Ready(()),
            }
        }
    }
}
