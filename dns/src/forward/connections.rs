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
    /// Whether a task closes those that have rested for too long.
    is_swept: bool,
}

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
        let is_first = !std::mem::replace(&mut resting.is_swept, true);
        is_first.then(|| sweep(Arc::downgrade(self)))
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
        resting.is_swept = next.is_some();
        next
    }
}

/// Goes on as long as there are connections that rest.
async fn sweep(kept: Weak<Kept>) {
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

    #[tokio::test(start_paused = true)]
    async fn those_are_closed_that_have_only_worked_before() {
        let kept = Kept::new(Forward::new(Zone::root()).connections);
        let mut last = Instant::now();
        for port in [1, 2] {
            last = Instant::now();
            tokio::time::advance(Duration::from_millis(1)).await;
            let local = SocketAddr::from(([127, 0, 0, 1], port));
            drop(kept.put(Connection::new(Box::new(tokio::io::empty()), local)));
        }
        kept.close_unproved(last);
        let ports = || kept.take().map(|connection| connection.local.port());
        assert_eq!([ports(), ports()], [Some(2), None]);
    }
}
