//! Connections to one upstream that wait for their next question.

use super::lock;
use crate::plan::forward::Connections;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, Weak};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until};

/// A TCP connection, or TLS over one.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// One connection.
pub(super) struct Connection {
    pub(super) stream: Box<dyn Stream>,
    /// Our side of it.
    pub(super) local: SocketAddr,
    since: Instant,
    /// When it came to rest.
    rests_since: Instant,
}

/// Those that rest, the one that came last at the end.
pub(super) struct Kept {
    limits: Connections,
    resting: Mutex<Resting>,
}

#[derive(Default)]
struct Resting {
    connections: Vec<Connection>,
    /// What the task has that closes those which have rested for too long; none where there is no such task.
    sweeper: Weak<Sweeper>,
}

struct Sweeper;

impl Connection {
    pub(super) fn new(stream: Box<dyn Stream>, local: SocketAddr) -> Self {
        let now = Instant::now();
        Self { stream, local, since: now, rests_since: now }
    }

    /// When it has rested for too long, or is too old.
    fn ends(&self, limits: &Connections) -> Instant {
        let rested = self.rests_since + limits.expire;
        limits.max_age.map_or(rested, |age| rested.min(self.since + age))
    }
}

impl Kept {
    pub(super) fn new(limits: Connections) -> Arc<Self> {
        Arc::new(Self { limits, resting: Mutex::default() })
    }

    /// The one that was used last.
    pub(super) fn take(&self) -> Option<Connection> {
        let mut resting = lock(&self.resting);
        let now = Instant::now();
        std::iter::from_fn(|| resting.connections.pop()).find(|connection| now < connection.ends(&self.limits))
    }

    /// Lets one rest, if there is room. What is to be spawned closes it when it has rested for too long.
    #[must_use]
    pub(super) fn put(self: &Arc<Self>, mut connection: Connection) -> Option<impl Future<Output = ()> + use<>> {
        let mut resting = lock(&self.resting);
        connection.rests_since = Instant::now();
        let is_full =
            usize::try_from(self.limits.max_idle).is_ok_and(|most| most > 0 && resting.connections.len() >= most);
        if is_full || connection.ends(&self.limits) <= connection.rests_since {
            return None;
        }
        resting.connections.push(connection);
        if resting.sweeper.strong_count() > 0 {
            return None;
        }
        let sweeper = Arc::new(Sweeper);
        resting.sweeper = Arc::downgrade(&sweeper);
        Some(sweep(Arc::downgrade(self), sweeper))
    }

    /// Closes those on which nothing has come since then: where one does not work such others hardly will.
    pub(super) fn close_unproved(&self, since: Instant) {
        lock(&self.resting).connections.retain(|connection| connection.rests_since > since);
    }

    /// Closes what has rested for too long; says when to look again.
    fn close_ended(&self) -> Option<Instant> {
        let mut resting = lock(&self.resting);
        let now = Instant::now();
        resting.connections.retain(|connection| now < connection.ends(&self.limits));
        let next = resting.connections.iter().map(|connection| connection.ends(&self.limits)).min();
        if next.is_none() {
            resting.sweeper = Weak::new();
        }
        next
    }
}

/// Goes on as long as there are connections that rest.
async fn sweep(kept: Weak<Kept>, _sweeper: Arc<Sweeper>) {
    while let Some(next) = kept.upgrade().and_then(|kept| kept.close_ended()) {
        sleep_until(next).await;
    }
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let resting = lock(&self.resting).connections.len();
        f.debug_struct("Kept").field("limits", &self.limits).field("resting", &resting).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Zone;
    use crate::plan::forward::Forward;
    use std::time::Duration;

    fn connection(port: u16) -> Connection {
        Connection::new(Box::new(tokio::io::empty()), ([127, 0, 0, 1], port).into())
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_lets_one_rest_looks_after_all_where_nobody_does() {
        let kept = Kept::new(Forward::new(Zone::root()).connections);
        let aborted = kept.put(connection(1));
        assert!(aborted.is_some() && kept.put(connection(2)).is_none());
        drop(aborted);
        kept.put(connection(3)).unwrap().await;
        assert_eq!(lock(&kept.resting).connections.len(), 0);
        assert!(kept.put(connection(4)).is_some(), "that one has ended");
    }

    #[tokio::test(start_paused = true)]
    async fn those_are_closed_that_have_only_worked_before() {
        let kept = Kept::new(Forward::new(Zone::root()).connections);
        let mut last = Instant::now();
        for port in [1, 2] {
            last = Instant::now();
            tokio::time::advance(Duration::from_millis(1)).await;
            drop(kept.put(connection(port)));
        }
        kept.close_unproved(last);
        let ports = || kept.take().map(|connection| connection.local.port());
        assert_eq!([ports(), ports()], [Some(2), None]);
    }
}
