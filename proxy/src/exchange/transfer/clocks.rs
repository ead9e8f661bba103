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
    /// The upstream, by what the rule says.
    Attempt,
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
    /// Since when the client, and the upstream, have not taken all that there is for them.
    client_blocked: Option<Instant>,
    upstream_blocked: Option<Instant>,
}

impl Clocks {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            from_client: now,
            to_client: now,
            from_upstream: now,
            to_upstream: now,
            upload_refused: None,
            client_blocked: None,
            upstream_blocked: None,
        }
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

    /// Since when the client has taken nothing of what there is for it; `None` where nothing is left.
    pub(super) fn client_blocked(&mut self, is_blocked: bool) -> Option<Instant> {
        blocked(&mut self.client_blocked, is_blocked, self.to_client)
    }

    /// The same of the upstream.
    pub(super) fn upstream_blocked(&mut self, is_blocked: bool) -> Option<Instant> {
        blocked(&mut self.upstream_blocked, is_blocked, self.to_upstream)
    }

    /// The last move of any.
    pub(super) fn last(&self) -> Instant {
        self.from_client.max(self.to_client).max(self.from_upstream).max(self.to_upstream)
    }
}

fn blocked(since: &mut Option<Instant>, is_blocked: bool, moved: Instant) -> Option<Instant> {
    if !is_blocked {
        *since = None;
        return None;
    }
    // What was sent long ago says nothing about what is to be sent since.
    Some((*since.get_or_insert_with(Instant::now)).max(moved))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn a_peer_owes_nothing_before_there_is_something_for_it() {
        let start = Instant::now();
        let mut clocks = Clocks::new(start);
        let after = |seconds| start + Duration::from_secs(seconds);
        advance(Duration::from_secs(100)).await;
        assert_eq!(clocks.client_blocked(false), None);
        assert_eq!(clocks.client_blocked(true), Some(after(100)));
        advance(Duration::from_secs(10)).await;
        assert_eq!(clocks.client_blocked(true), Some(after(100)));
        clocks.note(Moved { to_client: true, ..Moved::default() }, Instant::now());
        assert_eq!(clocks.client_blocked(true), Some(after(110)));
        assert_eq!(clocks.upstream_blocked(true), Some(after(110)));
        assert_eq!((clocks.client_blocked(false), clocks.upstream_blocked(false)), (None, None));
    }
}
