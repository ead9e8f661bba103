//! Whether answers are made too slowly for what may wait in a socket. It looks at the clock that each batch has anyway.

use std::time::{Duration, Instant};

/// How long a question may wait for its answer to be of use: some resolvers ask again after a second.
pub(super) const IN_TIME: Duration = Duration::from_secs(1);
/// How long the pace is watched before it is judged.
pub(super) const WATCHED: Duration = Duration::from_millis(100);

/// How long an answer takes of late, known while batches come full one after the other.
#[derive(Debug)]
pub(super) struct Pace {
    /// Questions that the socket's buffer may hold.
    most: u32,
    /// Since when batches are full, and questions answered since then; `None`: the last one was not full, and so nothing
    /// waits longer than its successor takes to come.
    run: Option<(Instant, u32)>,
}

impl Pace {
    pub(super) fn new(most: u32) -> Self {
        Self { most, run: None }
    }

    /// Looks at a batch that was received at `now`. `Some`: the time that an answer takes, of which a full buffer would
    /// take more than a second.
    pub(super) fn received(&mut self, count: u32, is_full: bool, now: Instant) -> Option<Duration> {
        if !is_full {
            self.run = None;
            return None;
        }
        let Some((since, answered)) = &mut self.run else {
            self.run = Some((now, count));
            return None;
        };
        // Those of this batch are still to be answered.
        let (spent, done) = (now.saturating_duration_since(*since), *answered);
        if spent < WATCHED {
            *answered = done.saturating_add(count);
            return None;
        }
        self.run = Some((now, count));
        spent.checked_div(done).filter(|each| self.is_too_slow(*each))
    }

    /// Whether a full buffer would wait too long at this time for each.
    pub(super) fn is_too_slow(&self, each: Duration) -> bool {
        each.saturating_mul(self.most) > IN_TIME
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found with full batches of 32 that come at these times, in milliseconds.
    fn found(most: u32, times: &[u64]) -> Vec<Option<Duration>> {
        let (mut pace, start) = (Pace::new(most), Instant::now());
        times.iter().map(|at| pace.received(32, true, start + Duration::from_millis(*at))).collect()
    }

    #[test]
    fn a_pace_is_slow_where_a_full_buffer_takes_more_than_a_second() {
        let millis = Duration::from_millis;
        // 32 questions in 64 ms: 2 ms each.
        assert_eq!(found(501, &[0, 64, 128]), [None, None, Some(millis(2))]);
        assert_eq!(found(500, &[0, 64, 128]), [None; 3]);
        // It is judged anew from then on.
        assert_eq!(found(501, &[0, 64, 128, 130, 132, 229]), [None, None, Some(millis(2)), None, None, None]);
        // What took less than the time of watching says nothing yet.
        assert_eq!(found(u32::MAX, &[0, 99]), [None; 2]);
    }

    #[test]
    fn what_is_not_full_begins_anew() {
        let (mut pace, start) = (Pace::new(1_000), Instant::now());
        for (at, is_full) in [(0, true), (90, true), (95, false), (300, true), (390, true)] {
            assert_eq!(pace.received(32, is_full, start + Duration::from_millis(at)), None, "{at}");
        }
        assert!(pace.received(32, true, start + Duration::from_millis(401)).is_some());
    }
}
