//! When each direction last moved, and who owes the next move.

use super::Moved;
use tokio::time::Instant;

/// Who is late when a deadline passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    ClientReads,
    ClientWrites,
    UpstreamReads,
    UpstreamAnswers,
    /// An upstream that refused the upload has said nothing since.
    LateAnswer,
    Tunnel,
}

/// The last move of each direction.
#[derive(Debug)]
pub(super) struct Clocks {
    pub(super) from_client: Instant,
    pub(super) to_client: Instant,
    pub(super) from_upstream: Instant,
    pub(super) to_upstream: Instant,
    pub(super) upload_refused: Option<Instant>,
}

impl Clocks {
    pub(super) fn new(now: Instant) -> Self {
        Self { from_client: now, to_client: now, from_upstream: now, to_upstream: now, upload_refused: None }
    }

    pub(super) fn note(&mut self, moved: Moved, now: Instant) {
        for (moved, last) in [
            (moved.from_client, &mut self.from_client),
            (moved.to_client, &mut self.to_client),
            (moved.from_upstream, &mut self.from_upstream),
            (moved.to_upstream, &mut self.to_upstream),
        ] {
            if moved {
                *last = now;
            }
        }
    }

    /// The last move of any.
    pub(super) fn last(&self) -> Instant {
        self.from_client.max(self.to_client).max(self.from_upstream).max(self.to_upstream)
    }
}
