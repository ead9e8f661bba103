//! One timer a task for all its deadlines: set when a deadline moves closer, left alone when it moves away.
//! A request that resets four deadlines touches the timer wheel at most once.

use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::time::{Instant, Sleep, sleep_until};

/// A lazy timer.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Clock {
    /// Ready once `deadline` has passed; else the task is woken when it does, or earlier.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if deadline < sleep.deadline() {
            sleep.as_mut().reset(deadline);
        }
        while sleep.as_mut().poll(cx).is_ready() {
            if deadline <= Instant::now() {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn deadlines_may_move_both_ways() {
        let start = Instant::now();
        let mut clock = Clock::default();
        let after = |seconds| start + Duration::from_secs(seconds);
        // Armed for 5 s, moved away to 60 s, then back to 10 s.
        for seconds in [5, 60, 10] {
            poll_fn(|cx| {
                let _ = clock.poll(cx, after(seconds));
                Poll::Ready(())
            })
            .await;
        }
        poll_fn(|cx| clock.poll(cx, after(10))).await;
        assert_eq!(start.elapsed().as_secs(), 10);
        poll_fn(|cx| clock.poll(cx, after(9))).await;
        assert_eq!(start.elapsed().as_secs(), 10);
    }
}
