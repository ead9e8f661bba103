//! One new connection to an endpoint: name, TCP, TLS, each under its own clock.

use crate::limits::Limits;
use crate::wire::Io;
use config::EndpointAddress;
use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;

/// Why there is no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConnectFailure {
    /// Refused or unreachable, or a name without an address.
    Connect,
    Timeout,
    /// The handshake failed or the certificate was not believed.
    Tls,
    /// No local port is left (EADDRNOTAVAIL): not the endpoint's fault.
    LocalPorts,
    /// Every connection's streams are in use.
    Overflow,
    /// The peer does not speak HTTP/2.
    Protocol,
}

/// A connection that could not be made.
#[derive(Debug, thiserror::Error)]
#[error("{failure:?}")]
pub(crate) struct ConnectError {
    pub(crate) failure: ConnectFailure,
    #[source]
    source: Option<io::Error>,
}

impl From<ConnectFailure> for ConnectError {
    fn from(failure: ConnectFailure) -> Self {
        Self { failure, source: None }
    }
}

impl ConnectError {
    fn io(failure: ConnectFailure, source: io::Error) -> Self {
        let failure =
            if source.kind() == io::ErrorKind::AddrNotAvailable { ConnectFailure::LocalPorts } else { failure };
        Self { failure, source: Some(source) }
    }
}

/// A connection with what ALPN said.
#[derive(Debug)]
pub(crate) struct Connected {
    pub(crate) io: Io,
    pub(crate) speaks_h2: bool,
}

/// Connects, and speaks TLS where `tls` says how and to whom.
pub(super) async fn dial(
    address: &EndpointAddress,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    limits: &Limits,
) -> Result<Connected, ConnectError> {
    let socket = timeout(limits.connect, tcp(address)).await.map_err(|_| ConnectFailure::Timeout)??;
    // A socket that refuses an option still carries requests.
    let _ = socket.set_nodelay(true);
    let keepalive =
        TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(10)).with_retries(3);
    let _ = SockRef::from(&socket).set_tcp_keepalive(&keepalive);
    let _ = SockRef::from(&socket).set_tcp_user_timeout(Some(Duration::from_secs(30)));
    let Some((connector, name)) = tls else { return Ok(Connected { io: Io::Plain(socket), speaks_h2: false }) };
    let handshake = timeout(limits.tls, connector.connect(name, socket)).await.map_err(|_| ConnectFailure::Timeout)?;
    let stream = handshake.map_err(|error| ConnectError::io(ConnectFailure::Tls, error))?;
    let speaks_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    Ok(Connected { io: Io::Tls(Box::new(stream.into())), speaks_h2 })
}

async fn tcp(address: &EndpointAddress) -> Result<TcpStream, ConnectError> {
    let refused = |error| ConnectError::io(ConnectFailure::Connect, error);
    match address {
        EndpointAddress::Socket(address) => TcpStream::connect(address).await.map_err(refused),
        EndpointAddress::Name(name, port) => {
            let addresses: Vec<_> = tokio::net::lookup_host((&**name, *port)).await.map_err(refused)?.collect();
            first_of(addresses).await.map_err(refused)
        }
    }
}

/// How long one address may keep the next waiting (RFC 8305 §5).
const STAGGER: Duration = Duration::from_millis(250);

/// Connects to the first address that answers, starting another each [`STAGGER`] or as soon as one fails.
async fn first_of(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut waiting = interleaved(addresses).into_iter();
    let mut running: Vec<Pin<Box<dyn Future<Output = io::Result<TcpStream>>>>> = Vec::new();
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let mut next_start = Box::pin(tokio::time::sleep_until(Instant::now()));
    poll_fn(move |cx| {
        loop {
            if (running.is_empty() || next_start.as_mut().poll(cx).is_ready())
                && let Some(address) = waiting.next()
            {
                running.push(Box::pin(TcpStream::connect(address)));
                next_start.as_mut().reset(Instant::now() + STAGGER);
            }
            let before = running.len();
            let mut connected = None;
            running.retain_mut(|attempt| match attempt.as_mut().poll(cx) {
                Poll::Pending => true,
                Poll::Ready(Ok(socket)) => {
                    connected.get_or_insert(socket);
                    false
                }
                Poll::Ready(Err(error)) => {
                    failure = error;
                    false
                }
            });
            if let Some(socket) = connected {
                return Poll::Ready(Ok(socket));
            }
            if running.is_empty() && waiting.len() == 0 {
                let error = io::Error::new(failure.kind(), failure.to_string());
                return Poll::Ready(Err(error));
            }
            if running.len() == before || !running.is_empty() {
                // The timer must be registered for the next start.
                let _ = next_start.as_mut().poll(cx);
                return Poll::Pending;
            }
        }
    })
    .await
}

/// IPv6 and IPv4 in turn, beginning with the family of the first (RFC 8305 §4).
fn interleaved(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let is_first_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|address| address.is_ipv6() == is_first_v6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut ordered = Vec::with_capacity(first.len() + second.len());
    loop {
        let pair = [first.next(), second.next()];
        if pair.iter().all(Option::is_none) {
            return ordered;
        }
        ordered.extend(pair.into_iter().flatten());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns() {
        let parse = |text: &str| text.parse::<SocketAddr>().expect("valid");
        let addresses = ["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1"].map(parse).to_vec();
        let expected = ["[::1]:1", "1.1.1.1:1", "[::2]:1", "[::3]:1"].map(parse).to_vec();
        assert_eq!(interleaved(addresses), expected);
    }

    #[tokio::test]
    async fn a_dead_address_costs_no_request() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let alive = listener.local_addr().expect("bound");
        let dead = {
            let gone = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
            gone.local_addr().expect("bound")
        };
        let socket = first_of(vec![dead, alive]).await.expect("one of them is alive");
        assert_eq!(socket.peer_addr().expect("connected"), alive);
        assert!(first_of(vec![dead]).await.is_err());
        assert!(first_of(vec![]).await.is_err());
    }
}
