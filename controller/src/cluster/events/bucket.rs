//! How many Events may be written: some at once, and a few a second. Pure.

use std::time::Duration;
use tokio::time::Instant;

const INTERVAL: Duration = Duration::from_millis(200);
const BURST: u32 = 50;

/// A token bucket, as the time at which it will be full.
#[derive(Debug)]
pub(super) struct Bucket {
    full_at: Instant,
}

impl Bucket {
    /// A full one.
    pub(super) fn new(now: Instant) -> Self {
        Self { full_at: now }
    }

    /// When there is a token; that may be past.
    pub(super) fn free_at(&self) -> Instant {
        let all_but_one = INTERVAL.saturating_mul(BURST - 1);
        self.full_at.checked_sub(all_but_one).unwrap_or(self.full_at)
    }

    /// Takes a token.
    pub(super) fn take(&mut self, now: Instant) {
        self.full_at = self.full_at.max(now) + INTERVAL;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_five_a_second() {
        let start = Instant::now();
        let (mut bucket, mut now) = (Bucket::new(start), start);
        let mut taken = 0;
        while now < start + Duration::from_secs(10) {
            if bucket.free_at() <= now {
                bucket.take(now);
                taken += 1;
            } else {
                now = bucket.free_at();
            }
        }
        assert_eq!(taken, 50 + 49);
        let rested = now + Duration::from_secs(3600);
        let burst = (0..100).filter(|_| {
            let is_free = bucket.free_at() <= rested;
            if is_free {
                bucket.take(rested);
            }
            is_free
        });
        assert_eq!(burst.count(), 50, "no more than the bucket holds");
    }
}
