//! The revision of each change: it stands for the `resourceVersion` that an API server would give.
//! The serial of the DNS zone follows it, so it rises with every change and with time, and thereby over restarts.

use std::time::{Duration, Instant, SystemTime};

/// A second has so many revisions: more than there are snapshots in it for long, so that a restart finds none higher
/// than the clock; few enough that 2³¹ of them, the farthest that serials are told apart (RFC 1982 §3.2), are a year.
const A_SECOND: u128 = 64;

/// The revisions of one run.
#[derive(Debug)]
pub(super) struct Revisions {
    start: u64,
    since: Instant,
    last: u64,
}

impl Revisions {
    /// Revisions that follow the time since 1970, which is taken from the clock once.
    pub(super) fn now() -> Self {
        Self::new(SystemTime::UNIX_EPOCH.elapsed().map_or(0, in_time), Instant::now())
    }

    /// Revisions after `start`, which was reached at `since`.
    pub(super) fn new(start: u64, since: Instant) -> Self {
        Self { start, since, last: start }
    }

    /// The next one.
    pub(super) fn next(&mut self, now: Instant) -> u64 {
        let clock = self.start.saturating_add(in_time(now.saturating_duration_since(self.since)));
        self.last = clock.max(self.last.saturating_add(1));
        self.last
    }

    /// The last one.
    pub(super) fn last(&self) -> u64 {
        self.last
    }
}

fn in_time(time: Duration) -> u64 {
    u64::try_from(time.as_millis() * A_SECOND / 1000).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revisions_rise_with_changes_and_with_time() {
        let since = Instant::now();
        let mut revisions = Revisions::new(100, since);
        assert_eq!(
            [0, 0, 1000, 1000].map(|time| revisions.next(since + Duration::from_millis(time))),
            [101, 102, 164, 165]
        );
    }

    #[test]
    fn a_restart_after_many_changes_goes_on_above_them() {
        // A change every 20 ms for a minute: as fast as changes are gathered to snapshots.
        let begin = Instant::now();
        let mut first = Revisions::new(1000, begin);
        let times = (0..3000).map(|change| begin + Duration::from_millis(20 * change));
        let last = times.map(|time| first.next(time)).last();
        let restart = Duration::from_secs(61);
        let mut second = Revisions::new(1000 + in_time(restart), begin + restart);
        assert!(Some(second.next(begin + restart)) > last);
    }
}
