//! Questions over UDP: one task a socket answers from the zone in place, and leaves waiting to others.

use super::respond::{Responder, Response};
use crate::message::Transport;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{debug, warn};

/// More than any question is long; bytes.
const LONGEST: usize = 4096;
/// How long a socket rests that cannot receive, so that the task does not spin.
const REST: Duration = Duration::from_millis(50);

/// Serves until `stopped` closes, then ends what waits for upstreams.
pub(super) async fn serve(socket: UdpSocket, responder: Arc<Responder>, mut stopped: watch::Receiver<()>) {
    let socket = Arc::new(socket);
    // Each holds one of the forwarder's permits, which bounds them.
    let mut waiting = JoinSet::new();
    let mut packet = vec![0; LONGEST];
    loop {
        let received = tokio::select! {
            _ = stopped.changed() => break,
            Some(ended) = waiting.join_next() => {
                report(ended);
                continue;
            }
            received = socket.recv_from(&mut packet) => received,
        };
        let (len, peer) = match received {
            Ok(received) => received,
            Err(error) => {
                warn!(%error, "dns: cannot receive");
                tokio::time::sleep(REST).await;
                continue;
            }
        };
        match responder.respond(packet.get(..len).unwrap_or_default(), peer, Transport::Udp) {
            Response::Silence => {}
            Response::Ready(message) => send(&socket, &message, peer).await,
            Response::Pending(pending) => {
                let (socket, responder) = (Arc::clone(&socket), Arc::clone(&responder));
                waiting.spawn(async move {
                    let message = responder.finish(pending).await;
                    send(&socket, &message, peer).await;
                });
            }
        }
    }
    while let Some(ended) = waiting.join_next().await {
        report(ended);
    }
}

async fn send(socket: &UdpSocket, message: &[u8], peer: SocketAddr) {
    if let Err(error) = socket.send_to(message, peer).await {
        debug!(%peer, %error, "dns: cannot send");
    }
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        warn!(%error, "dns: an answer was lost");
    }
}
