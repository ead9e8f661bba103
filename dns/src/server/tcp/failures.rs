//! Accepts that fail, as all do while the process has no file descriptor left: told now and then, not ten times a second.

use std::io;
use std::time::Duration;
use tokio::time::Instant;
use tracing::warn;

/// How long nothing more is told.
const QUIET: Duration = Duration::from_secs(60);

/// Those of one listener.
#[derive(Debug, Default)]
pub(super) struct Failures {
    told: Option<Instant>,
    untold: u64,
}

impl Failures {
    pub(super) fn tell(&mut self, error: &io::Error) {
        if let Some(failures) = self.count(Instant::now()) {
            warn!(%error, failures, "dns: cannot accept connections; told at most once a minute");
        }
    }

    /// Counts one more; how many there were since the last time, where it is time to tell.
    fn count(&mut self, now: Instant) -> Option<u64> {
        self.untold += 1;
        if self.told.is_some_and(|told| now.duration_since(told) < QUIET) {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_and_then_how_many_there_were_in_a_minute() {
        let (mut failures, begin) = (Failures::default(), Instant::now());
        let told = [0, 1, 59, 60, 61, 300].map(|second| failures.count(begin + Duration::from_secs(second)));
        assert_eq!(told, [Some(1), None, None, Some(3), None, Some(2)]);
    }
}
