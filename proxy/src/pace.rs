//! Log lines about what may happen with every request, at a bounded rate.

use std::cell::Cell;
use std::time::Duration;
use tokio::time::Instant;

/// Between two lines.
const GAP: Duration = Duration::from_secs(10);

/// The lines of one kind of a worker.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    last: Cell<Option<Instant>>,
    left_out: Cell<u64>,
}

impl Pace {
    /// Where it is time for another line: how many were left out since the last one.
    pub(crate) fn line(&self) -> Option<u64> {
        let now = Instant::now();
        if self.last.get().is_some_and(|last| now - last < GAP) {
            self.left_out.set(self.left_out.get() + 1);
            return None;
        }
        self.last.set(Some(now));
        Some(self.left_out.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn a_line_tells_how_many_were_left_out() {
        let pace = Pace::default();
        assert_eq!(pace.line(), Some(0));
        for _ in 0..1000 {
            assert_eq!(pace.line(), None);
        }
        advance(GAP).await;
        assert_eq!([pace.line(), pace.line()], [Some(1000), None]);
        advance(GAP).await;
        assert_eq!(pace.line(), Some(1));
    }
}
