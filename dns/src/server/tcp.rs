//! Questions over TCP (RFC 7766): many on one connection, each answered when its answer is there.

mod conversation;
mod failures;
mod frame;
mod handshake;
mod keepalive;
mod places;
mod stop;

use super::bind::BACKLOG;
use super::https;
use super::respond::Responder;
use crate::host::{Host, canonical};
use crate::plan;
use crate::serving::{Clocks, Secured};
use conversation::Conversation;
use failures::Failures;
use handshake::shake_hands;
use places::{Handshake, Place};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tracing::{debug, warn};

pub(super) use places::Limits;
pub(super) use stop::Stop;

/// How soon a connection notices that places have become few.
const RECHECK: Duration = Duration::from_millis(500);
/// How long the listener rests when the process has no file descriptor left.
const REST: Duration = Duration::from_millis(100);
/// How much longer than the listener connections are read: what has come by its end is known to the runtime by then. Without
/// it a question that nobody has read yet would be answered with a reset.
const MOMENT: Duration = Duration::from_millis(10);

/// A connection that has its place.
struct Accepted {
    stream: TcpStream,
    peer: SocketAddr,
    clocks: Clocks,
    entrance: Entrance,
}

/// What comes before the first question.
enum Entrance {
    Open(Place),
    Secured(Handshake, Arc<Secured>),
}

/// The connections of a listener.
struct Connections {
    responder: Arc<Responder>,
    limits: Limits,
    /// Comes when no more is read from them.
    stop: Stop,
    tasks: JoinSet<()>,
}

/// Serves until `stopped` closes, then ends what was asked before that.
pub(super) async fn serve(
    listener: TcpListener,
    responder: Arc<Responder>,
    limits: Limits,
    mut stopped: watch::Receiver<()>,
) {
    let (stop, no_more) = watch::channel(());
    let mut connections = Connections { responder, limits, stop: Stop::new(no_more), tasks: JoinSet::new() };
    let mut failures = Failures::default();
    loop {
        let accepted = tokio::select! {
            _ = stopped.changed() => break,
            Some(ended) = connections.tasks.join_next() => {
                report(ended);
                continue;
            }
            accepted = accept(&listener, &connections.limits) => accepted,
        };
        match accepted {
            Ok(Some((stream, peer, permit))) => connections.begin((stream, peer), permit),
            Ok(None) => {}
            Err(error) => {
                connections.failed(&mut failures, &error);
                sleep(REST).await;
            }
        }
    }
    // Who connects after that is refused at once, and goes elsewhere.
    if let Err(error) = connections.take_rest(listener) {
        connections.failed(&mut failures, &error);
    }
    sleep(MOMENT).await;
    drop(stop);
    while let Some(ended) = connections.tasks.join_next().await {
        report(ended);
    }
}

/// The next connection, and that there may be one more; `None`: it is gone again.
async fn accept(
    listener: &TcpListener,
    limits: &Limits,
) -> io::Result<Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)>> {
    // Never closed, so the error cannot be.
    let permit = limits.one_more().await.map_err(io::Error::other)?;
    Ok(unless_gone(listener.accept().await)?.map(|(stream, peer)| (stream, peer, permit)))
}

/// `None`: it was reset before it was accepted, which is no failure of the listener.
fn unless_gone<T>(accepted: io::Result<T>) -> io::Result<Option<T>> {
    match accepted {
        Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => Ok(None),
        accepted => accepted.map(Some),
    }
}

impl Connections {
    /// Begins one, unless there is no place for it, or nothing is served any more.
    fn begin(&mut self, (stream, peer): (TcpStream, SocketAddr), permit: OwnedSemaphorePermit) {
        let Self { responder, limits, stop, tasks } = self;
        let Some((clocks, secured)) = responder.connection() else { return };
        let Some(place) = limits.place(Host::of(peer.ip()), permit) else {
            responder.metrics.dropped.with_label_values(&["connections"]).inc();
            return;
        };
        // Here, since the next one may need the place before this one's task has its turn.
        let entrance = match secured {
            Some(secured) => Entrance::Secured(limits.shake_hands(place), secured),
            None => Entrance::Open(place),
        };
        let accepted = Accepted { stream, peer: canonical(peer), clocks, entrance };
        let (responder, limits, stop) = (Arc::clone(responder), limits.clone(), stop.clone());
        tasks.spawn(async move {
            let (metrics, peer) = (Arc::clone(&responder.metrics), accepted.peer);
            metrics.connections.inc();
            if let Err(error) = converse(accepted, responder, &limits, stop).await {
                debug!(%peer, %error, "dns: connection closed");
            }
            metrics.connections.dec();
        });
    }

    /// Begins those that wait to be accepted, whose first question may have come with them: closing the listener would reset
    /// them. It is asked past the runtime, which may not have heard of them yet.
    ///
    /// # Errors
    /// They cannot be accepted, or the runtime cannot use them.
    fn take_rest(&mut self, listener: TcpListener) -> io::Result<()> {
        let listener = listener.into_std()?;
        // No more wait, so that those who connect again and again put off no end.
        for _ in 0..=BACKLOG {
            let Some(permit) = self.limits.one_more_now() else { break };
            match unless_gone(listener.accept()) {
                Ok(Some((stream, peer))) => {
                    stream.set_nonblocking(true)?;
                    self.begin((TcpStream::from_std(stream)?, peer), permit);
                }
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn failed(&self, failures: &mut Failures, error: &io::Error) {
        self.responder.metrics.accept_failures.inc();
        failures.tell(error);
    }
}

async fn converse(accepted: Accepted, responder: Arc<Responder>, limits: &Limits, stop: Stop) -> io::Result<()> {
    let Accepted { stream, peer, clocks, entrance } = accepted;
    // Answers that leave one after the other do not wait for what the client says of the one before.
    stream.set_nodelay(true)?;
    let (ends, held) = ((peer, stream.local_addr().ok().map(canonical)), (limits, clocks));
    let (handshake, secured) = match entrance {
        Entrance::Open(_place) => return Conversation::new(stream, ends, responder).hold(held, stop).await,
        Entrance::Secured(handshake, secured) => (handshake, secured),
    };
    let Some((stream, _place)) = shake_hands(stream, &secured, (handshake, clocks.read)).await? else {
        responder.metrics.dropped.with_label_values(&["connections"]).inc();
        return Ok(());
    };
    let stop = stop.secured();
    match responder.at.transport {
        // Small beside the task that it is in.
        plan::Transport::Https => Box::pin(https::converse(stream, ends, responder, held, stop)).await,
        _ => Conversation::new(stream, ends, responder).secured().hold(held, stop).await,
    }
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        warn!(%error, "dns: a connection was lost");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_is_gone_before_it_is_accepted_is_no_failure() {
        let error = |number| unless_gone(Err::<(), _>(io::Error::from_raw_os_error(number)));
        assert_eq!(error(libc::ECONNABORTED).unwrap(), None);
        for number in [libc::EMFILE, libc::ENOBUFS, libc::EAGAIN] {
            assert_eq!(error(number).unwrap_err().raw_os_error(), Some(number));
        }
        assert_eq!(unless_gone(Ok(7)).unwrap(), Some(7));
    }
}
