//! The task of an HTTP/2 connection to an upstream: it drives all I/O, and learns what the upstream says of itself.

use super::{Endpoint, Opening, StreamConnection, UNSAID};
use crate::clock::Clock;
use crate::h2_io::{H2Io, Moves};
use crate::h2_pulse::Pulse;
use bytes::Bytes;
use h2::client::Connection;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// Drives a connection, and asks it for a sign of life while streams wait on it.
/// It does not keep the connection: once the sweeper let go of it and its streams ended, it ends.
pub(super) struct Keeper {
    pub(super) shared: Weak<StreamConnection>,
    pub(super) endpoint: Rc<Endpoint>,
    /// Until the upstream has said how many streams it takes: else a burst would open a connection for each.
    pub(super) opening: Option<Opening>,
    pub(super) pulse: Pulse,
    pub(super) moves: Rc<Moves>,
    /// How long the upstream may take nothing.
    pub(super) stalled: Duration,
    pub(super) clock: Clock,
}

impl Keeper {
    pub(super) async fn drive(mut self, mut connection: Connection<H2Io, Bytes>) {
        poll_fn(|cx| self.poll(cx, &mut connection)).await;
        // Those who wait for it are to find it over.
        drop(connection);
        if let Some(shared) = self.shared.upgrade() {
            self.endpoint.forget(&shared);
            shared.learned.notify_waiters();
        }
    }

    /// Ready when the connection is over, or the upstream dead.
    fn poll(&mut self, cx: &mut Context<'_>, connection: &mut Connection<H2Io, Bytes>) -> Poll<()> {
        self.moves.begin_turn();
        if Pin::new(&mut *connection).poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let shared = self.shared.upgrade();
        if let Some(shared) = &shared {
            self.learn(shared, connection.max_concurrent_send_streams());
        }
        let is_waited_for = shared.is_some_and(|shared| shared.active.get() > 0);
        loop {
            let Ok(look) = self.pulse.poll(cx, self.moves.last_read(), is_waited_for) else { return Poll::Ready(()) };
            let stalls = self.moves.blocked_since().map(|since| since + self.stalled);
            if self.clock.poll(cx, stalls.map_or(look, |stalls| stalls.min(look))).is_pending() {
                return Poll::Pending;
            }
            if stalls.is_some_and(|stalls| stalls <= Instant::now()) {
                return Poll::Ready(());
            }
        }
    }

    fn learn(&mut self, shared: &StreamConnection, most: usize) {
        if most != UNSAID && (self.opening.is_some() || shared.most.get() != most) {
            shared.most.set(most);
            self.opening = None;
            self.endpoint.changed.notify_waiters();
            shared.learned.notify_waiters();
        }
    }
}
