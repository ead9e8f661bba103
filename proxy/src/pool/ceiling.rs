//! How many connections to endpoints there may be at once in the process, idle ones included.
//! What is open is what the metrics count. Workers that need room ask the others to close idle connections.

use crate::metrics::Metrics;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;

/// How long the other workers have to close something.
const PATIENCE: Duration = Duration::from_millis(100);

/// One a process.
#[derive(Debug)]
pub(crate) struct UpstreamCeiling {
    limit: u64,
    metrics: Metrics,
    /// Changes when a worker needs room and has nothing idle.
    wanted: watch::Sender<()>,
    /// Changes when one has made room for others.
    made: watch::Sender<()>,
}

impl UpstreamCeiling {
    /// `limit` connections at once; as many as there are workers may come on top, since those connect at the same time.
    pub(crate) fn new(limit: usize, metrics: Metrics) -> Arc<Self> {
        let limit = u64::try_from(limit).unwrap_or(u64::MAX);
        Arc::new(Self { limit, metrics, wanted: watch::Sender::default(), made: watch::Sender::default() })
    }

    /// O(workers).
    pub(super) fn is_full(&self) -> bool {
        self.metrics.upstream_connections() >= self.limit
    }

    /// Asks the other workers to close idle connections.
    pub(super) fn want(&self) {
        self.wanted.send_replace(());
    }

    /// The same, and waits a moment until what they closed is enough; whether it is.
    pub(super) async fn relieved(&self, is_enough: impl Fn() -> bool) -> bool {
        let mut made = self.made.subscribe();
        self.want();
        let relief = async {
            while made.changed().await.is_ok() {
                if is_enough() {
                    return true;
                }
            }
            false
        };
        timeout(PATIENCE, relief).await.unwrap_or(false)
    }

    /// Whether a request waits for room.
    pub(super) fn is_awaited(&self) -> bool {
        self.made.receiver_count() > 0
    }

    /// Tells those who wait that something was closed.
    pub(super) fn made_room(&self) {
        self.made.send_replace(());
    }

    /// Calls `close` each time that another worker needs room; `true` says that it closed something. Never ready.
    pub(super) async fn relieve(&self, close: impl Fn() -> bool) {
        let mut wanted = self.wanted.subscribe();
        while wanted.changed().await.is_ok() {
            if close() {
                // A connection of HTTP/2 is closed by its own task.
                tokio::task::yield_now().await;
                self.made_room();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Level, UpstreamState};
    use prometheus::Registry;
    use std::cell::RefCell;
    use tokio::time::Instant;

    fn ceiling(limit: usize) -> (Arc<UpstreamCeiling>, Metrics) {
        let metrics = Metrics::register(&Registry::new()).expect("fresh registry");
        (UpstreamCeiling::new(limit, metrics.clone()), metrics)
    }

    #[test]
    fn connections_of_every_kind_and_worker_count() {
        let (ceiling, metrics) = ceiling(3);
        let states = [UpstreamState::Connecting, UpstreamState::Busy, UpstreamState::Idle];
        let mut held: Vec<_> = states.map(|state| metrics.worker().hold(Level::Upstream(state))).into();
        assert!(ceiling.is_full());
        held.pop();
        assert!(!ceiling.is_full());
    }

    #[tokio::test(start_paused = true)]
    async fn workers_close_idle_connections_for_each_other() {
        let (ceiling, metrics) = ceiling(2);
        let held = |state| metrics.worker().hold(Level::Upstream(state));
        let (_busy, idle) = (held(UpstreamState::Busy), RefCell::new(Some(held(UpstreamState::Idle))));
        assert!(ceiling.is_full());
        let has_room = || !ceiling.is_full();
        let begun = Instant::now();
        tokio::select! {
            biased;
            () = ceiling.relieve(|| idle.take().is_some()) => unreachable!(),
            is_relieved = ceiling.relieved(has_room) => assert!(is_relieved),
        }
        assert_eq!(begun.elapsed(), Duration::ZERO);
        assert!(!ceiling.is_full() && !ceiling.is_awaited());

        let _another = held(UpstreamState::Busy);
        tokio::select! {
            () = ceiling.relieve(|| idle.take().is_some()) => unreachable!(),
            is_relieved = ceiling.relieved(has_room) => assert!(!is_relieved, "there is nothing to close"),
        }
        assert_eq!(begun.elapsed(), PATIENCE);
    }
}
