//! A client's connection from accept to the protocol it speaks: TLS, HTTP/2 by ALPN or by its preface, else HTTP/1.

mod departure;
mod h1;
mod h2;
mod linger;

use crate::clock::Clock;
use crate::downstream::{Downstream, canonical_ip};
use crate::h2_io::PREFACE;
use crate::listener::ConnectionPermit;
use crate::metrics::{ConnectionKind, Level};
use crate::tls::{HandshakeFailure, ServerTls};
use crate::wire::{Io, Wire};
use crate::worker::Worker;
use config::{ListenerName, Protocol};
use departure::Departure;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

/// The first line of HTTP/2's preface: no request of HTTP/1 begins so (RFC 9113 §3.4).
const PREFACE_LINE: usize = 16;
/// The first byte of a TLS record: nobody speaks HTTP so.
const TLS_HANDSHAKE: u8 = 0x16;

/// The port a connection came in on.
#[derive(Clone)]
pub(crate) struct Port {
    pub(crate) listener: ListenerName,
    pub(crate) protocol: Protocol,
    /// The port number that clients see.
    pub(crate) advertised: u16,
    /// Set on a TLS port.
    pub(crate) tls: Option<Arc<ServerTls>>,
}

/// Serves a connection to its end. The protocols are boxed, so that a handshake that leads nowhere holds no room for them
/// and the task is small to move.
pub(crate) async fn serve(
    worker: Rc<Worker>,
    port: Rc<Port>,
    socket: TcpStream,
    peer: SocketAddr,
    permit: ConnectionPermit,
) {
    let _permit = permit;
    let limits = &worker.settings.limits;
    worker.metrics.accepted(port.listener);
    let mut level = worker.metrics.hold(Level::Connection(ConnectionKind::New));
    let ip = canonical_ip(peer);
    let mut downstream = Downstream {
        peer: SocketAddr::new(ip, peer.port()),
        peer_text: ip.to_string().into(),
        is_trusted: worker.settings.trusted_proxies.iter().any(|net| net.contains(&ip)),
        listener: port.listener,
        protocol: port.protocol,
        port_text: port.advertised.to_string().into(),
        tls: None,
    };
    let (io, is_h2) = match &port.tls {
        None => (Io::Plain(socket), None),
        Some(tls) => match timeout(limits.hello, Box::pin(tls.accept(socket))).await {
            Ok(Ok((stream, facts))) => {
                worker.metrics.handshake(&facts);
                let is_h2 = facts.is_h2.then_some(());
                downstream.tls = Some(Box::new(facts));
                (Io::Tls(Box::new(stream.into())), is_h2)
            }
            Ok(Err(error)) => return worker.handshake_failed(peer, (&error).into()),
            Err(_) => return worker.handshake_failed(peer, HandshakeFailure::Timeout),
        },
    };
    let mut wire = Wire::new(io, limits);
    if is_h2.is_some() {
        level.switch(Level::Connection(ConnectionKind::Http2));
        return Box::pin(h2::serve(worker, downstream, wire)).await;
    }
    let mut departure = Departure::new(&worker);
    // On TLS the protocol was agreed on; a preface there is no HTTP/1 request and is refused as such.
    if port.tls.is_none() {
        let deadline = Instant::now() + limits.first_request;
        match timeout_at(deadline, sniff(&mut wire, &mut departure, &worker)).await {
            Ok(First::H2) => {
                level.switch(Level::Connection(ConnectionKind::Http2));
                return Box::pin(h2::serve(worker, downstream, wire)).await;
            }
            Ok(First::Tls | First::Nothing) | Err(_) => return,
            Ok(First::H1) => {}
        }
    }
    level.switch(Level::Connection(ConnectionKind::Http1));
    Box::pin(h1::serve(worker, downstream, wire, departure)).await;
}

enum First {
    H1,
    H2,
    Tls,
    /// It left, never said anything, or began with half a preface.
    Nothing,
}

/// Reads until the protocol is clear, or until the drain ends the wait; it has its way with HTTP/1.
async fn sniff(wire: &mut Wire, departure: &mut Departure, worker: &Worker) -> First {
    let mut clock = Clock::default();
    poll_fn(|cx| {
        loop {
            let seen = wire.input.len().min(PREFACE.len());
            let agreed = wire.input.iter().zip(PREFACE).take_while(|(byte, expected)| byte == expected).count();
            if wire.input.first() == Some(&TLS_HANDSHAKE) {
                return Poll::Ready(First::Tls);
            }
            if agreed == PREFACE.len() {
                return Poll::Ready(First::H2);
            }
            if agreed < seen {
                return Poll::Ready(if agreed < PREFACE_LINE { First::H1 } else { First::Nothing });
            }
            match wire.poll_fill(cx) {
                // What came before the end may be the beginning of a request, which is recorded as such.
                Poll::Ready(Ok(0)) if seen > 0 => return Poll::Ready(First::H1),
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(First::Nothing),
                Poll::Ready(Ok(_)) => {}
                Poll::Pending => {
                    let Some(leaves) = departure.poll(cx, worker) else { return Poll::Pending };
                    return clock.poll(cx, leaves).map(|()| First::H1);
                }
            }
        }
    })
    .await
}
