//! What the kernel throws away because a socket's buffer is full: it is looked up, not told with each datagram.

use crate::metrics::Metrics;
use crate::server::datagrams::lost;
use std::net::UdpSocket;
use std::time::{Duration, Instant};
use tracing::warn;

/// How often it is looked up at most.
const EVERY: Duration = Duration::from_secs(1);

/// What of one socket is known, and counted.
pub(super) struct Losses {
    /// `None`: the kernel does not say.
    counted: Option<u32>,
    next: Instant,
}

impl Losses {
    pub(super) fn since(now: Instant) -> Self {
        Self { counted: Some(0), next: now }
    }

    /// Counts what is new, if it is time.
    pub(super) fn look(&mut self, socket: &UdpSocket, metrics: &Metrics, now: Instant) {
        if now < self.next {
            return;
        }
        self.next = now + EVERY;
        let Some(counted) = self.counted else { return };
        self.counted = match lost(socket) {
            Ok(lost) if lost == counted => return,
            Ok(lost) => {
                let new = u64::from(lost.wrapping_sub(counted));
                metrics.dropped.with_label_values(&["buffer"]).inc_by(new);
                Some(lost)
            }
            Err(error) => {
                warn!(%error, "dns: questions that find no room in a socket's buffer are not counted");
                None
            }
        };
    }
}
