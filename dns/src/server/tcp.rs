//! Questions over TCP (RFC 7766): many on one connection, each answered when its answer is there.

mod conversation;
mod frame;
mod keepalive;

use super::https;
use super::respond::Responder;
use crate::plan;
use crate::shares::{Share, Shares};
use conversation::Conversation;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

/// How long the listener rests when the process has no file descriptor left.
const REST: Duration = Duration::from_millis(100);

/// How many connections there may be, shared by all listeners.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    total: usize,
    room: Arc<Semaphore>,
    /// A quarter of them for each client.
    shares: Shares<IpAddr>,
}

impl Limits {
    pub(super) fn new(total: usize) -> Self {
        Self { total, room: Arc::new(Semaphore::new(total)), shares: Shares::new((total / 4).max(1)) }
    }

    /// How long a connection may be silent: less where few places are left (RFC 7766 §6.2.3).
    pub(super) fn idle(&self, idle: Duration) -> Duration {
        if self.room.available_permits() < self.total / 4 { idle / 5 } else { idle }
    }
}

/// A connection's place among all.
struct Place {
    _share: Share<IpAddr>,
    _permit: OwnedSemaphorePermit,
}

/// Serves until `stopped` closes, then ends what was asked before that.
pub(super) async fn serve(
    listener: TcpListener,
    responder: Arc<Responder>,
    limits: Limits,
    mut stopped: watch::Receiver<()>,
) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            _ = stopped.changed() => break,
            Some(ended) = connections.join_next() => {
                report(ended);
                continue;
            }
            accepted = accept(&listener, &limits) => accepted,
        };
        match accepted {
            Ok(Some((stream, peer, place))) => {
                let (responder, limits, stopped) = (Arc::clone(&responder), limits.clone(), stopped.clone());
                connections.spawn(async move {
                    let metrics = Arc::clone(&responder.metrics);
                    metrics.connections.inc();
                    if let Err(error) = converse(stream, peer, responder, &limits, stopped).await {
                        debug!(%peer, %error, "dns: connection closed");
                    }
                    metrics.connections.dec();
                    drop(place);
                });
            }
            Ok(None) => responder.metrics.dropped.with_label_values(&["connections"]).inc(),
            Err(error) => {
                warn!(%error, "dns: cannot accept");
                sleep(REST).await;
            }
        }
    }
    while let Some(ended) = connections.join_next().await {
        report(ended);
    }
}

/// The next connection; `None`: its client has too many.
async fn accept(listener: &TcpListener, limits: &Limits) -> io::Result<Option<(TcpStream, SocketAddr, Place)>> {
    // Never closed, so the error cannot be.
    let permit = Arc::clone(&limits.room).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = match listener.accept().await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => return Ok(None),
        accepted => accepted?,
    };
    let share = limits.shares.take(peer.ip().to_canonical());
    Ok(share.map(|share| (stream, peer, Place { _share: share, _permit: permit })))
}

async fn converse(
    stream: TcpStream,
    peer: SocketAddr,
    responder: Arc<Responder>,
    limits: &Limits,
    stopped: watch::Receiver<()>,
) -> io::Result<()> {
    // Answers that leave one after the other do not wait for what the client says of the one before.
    stream.set_nodelay(true)?;
    let ends = (peer, stream.local_addr().ok());
    let Some((transport, clocks, secured)) = responder.connection() else { return Ok(()) };
    let Some(secured) = secured else {
        return Conversation::new(stream, ends, responder).hold((limits, clocks), stopped).await;
    };
    let stream = timeout(clocks.read, secured.acceptor().accept(stream)).await??;
    match transport {
        // Small beside the task that it is in.
        plan::Transport::Https => Box::pin(https::converse(stream, ends, responder, (limits, clocks), stopped)).await,
        _ => Conversation::new(stream, ends, responder).hold((limits, clocks), stopped).await,
    }
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        warn!(%error, "dns: a connection was lost");
    }
}
