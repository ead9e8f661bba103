//! Questions over UDP: one task a socket answers from the zone in place, and leaves waiting to others.
//! An answer leaves from the address that was asked, which on a host with several the routes alone would not choose.

use super::respond::{Responder, Response};
use crate::message::Transport;
use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{debug, warn};

/// The kernel hands over several packets of one client as one piece of this length at most (UDP_GRO); bytes.
const LONGEST: usize = 1 << 16;
/// How long a socket rests that cannot receive, so that the task does not spin.
const REST: Duration = Duration::from_millis(50);

/// A socket that tells where packets came to. It sends none in fragments (RFC 9715 §3.1).
#[derive(Debug)]
pub(super) struct Socket {
    socket: UdpSocket,
    state: UdpSocketState,
    /// Its address; the unspecified one if it takes what comes to any.
    bound: SocketAddr,
}

/// The two ends of a packet's way.
#[derive(Debug, Clone, Copy)]
struct Ends {
    peer: SocketAddr,
    asked_at: Option<IpAddr>,
}

impl Socket {
    pub(super) fn new(socket: std::net::UdpSocket) -> io::Result<Self> {
        let socket = UdpSocket::from_std(socket)?;
        let state = UdpSocketState::new((&socket).into())?;
        Ok(Self { bound: socket.local_addr()?, socket, state })
    }

    async fn receive(&self, buffer: &mut [u8]) -> io::Result<RecvMeta> {
        let receive = || {
            let mut received = [RecvMeta::default()];
            self.state.recv((&self.socket).into(), &mut [IoSliceMut::new(&mut *buffer)], &mut received)?;
            let [received] = received;
            Ok(received)
        };
        self.socket.async_io(Interest::READABLE, receive).await
    }

    async fn send(&self, contents: &[u8], Ends { peer, asked_at }: Ends) {
        // RFC 2181 §4.1.
        let transmit = Transmit { destination: peer, ecn: None, contents, segment_size: None, src_ip: asked_at };
        let send = || self.state.try_send((&self.socket).into(), &transmit);
        if let Err(error) = self.socket.async_io(Interest::WRITABLE, send).await {
            debug!(%peer, ?asked_at, %error, "dns: cannot send");
        }
    }

    fn own_address(&self, asked_at: Option<IpAddr>) -> Option<SocketAddr> {
        let address = asked_at.unwrap_or(self.bound.ip());
        (!address.is_unspecified()).then(|| SocketAddr::new(address, self.bound.port()))
    }
}

/// Serves until `stopped` closes, then ends what waits for upstreams.
pub(super) async fn serve(socket: Socket, responder: Arc<Responder>, mut stopped: watch::Receiver<()>) {
    let socket = Arc::new(socket);
    // Each holds one of the forwarder's permits, which bounds them.
    let mut waiting = JoinSet::new();
    let mut buffer = vec![0; LONGEST];
    loop {
        let received = tokio::select! {
            _ = stopped.changed() => break,
            Some(ended) = waiting.join_next() => {
                report(ended);
                continue;
            }
            received = socket.receive(&mut buffer) => received,
        };
        let received = match received {
            Ok(received) => received,
            Err(error) => {
                warn!(%error, "dns: cannot receive");
                tokio::time::sleep(REST).await;
                continue;
            }
        };
        let ends = Ends { peer: received.addr, asked_at: received.dst_ip };
        let own = socket.own_address(ends.asked_at);
        for packet in packets(buffer.get(..received.len).unwrap_or_default(), received.stride) {
            match responder.respond(packet, ends.peer, own, Transport::Udp) {
                Response::Silence => {}
                Response::Ready(message) => socket.send(&message, ends).await,
                Response::Pending(pending) => {
                    let (socket, responder) = (Arc::clone(&socket), Arc::clone(&responder));
                    waiting.spawn(async move {
                        let message = responder.finish(pending).await;
                        socket.send(&message, ends).await;
                    });
                }
            }
        }
    }
    while let Some(ended) = waiting.join_next().await {
        report(ended);
    }
}

/// The packets of a piece: all of one length, but for the last; a packet may be empty.
fn packets(piece: &[u8], length: usize) -> impl Iterator<Item = &[u8]> {
    let empty = piece.is_empty().then_some(piece);
    empty.into_iter().chain(piece.chunks(length.max(1)))
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        warn!(%error, "dns: an answer was lost");
    }
}
