//! One new connection to an endpoint: name, TCP, TLS, each under its own clock.

use crate::dead_peer;
use crate::limits::Limits;
use crate::wire::Io;
use config::EndpointAddress;
use rustls::pki_types::ServerName;
use socket2::SockRef;
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
    /// The newest snapshot has the endpoint no more.
    Gone,
    Timeout,
    /// The time that a rule gives an attempt was over before.
    AttemptTimeout,
    /// The handshake failed or the certificate was not believed.
    Tls,
    /// No local port is left (EADDRNOTAVAIL): not the endpoint's fault.
    LocalPorts,
    /// No file or memory is left, or as many connections as allowed are open: not the endpoint's fault either.
    LocalResources,
    /// Every connection's streams are in use.
    Overflow,
    /// The peer does not speak HTTP/2.
    Protocol,
}

impl ConnectFailure {
    fn of(error: &io::Error) -> Option<Self> {
        match error.raw_os_error()? {
            libc::EADDRNOTAVAIL => Some(Self::LocalPorts),
            // The last one is epoll_ctl(2)'s, for too many watched files of a user.
            libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM | libc::ENOSPC => Some(Self::LocalResources),
            _ => None,
        }
    }

    /// Whether this machine was short of something.
    pub(crate) fn is_ours(self) -> bool {
        matches!(self, Self::LocalPorts | Self::LocalResources)
    }
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
        let failure = ConnectFailure::of(&source).unwrap_or(failure);
        Self { failure, source: Some(source) }
    }

    /// As many connections as allowed are open.
    pub(super) fn full() -> Self {
        let source = io::Error::other("as many connections to endpoints as allowed are open");
        Self { failure: ConnectFailure::LocalResources, source: Some(source) }
    }
}

/// A connection with what ALPN said.
#[derive(Debug)]
pub(crate) struct Connected {
    pub(crate) io: Io,
    pub(crate) speaks_h2: bool,
}

/// Connects, and speaks TLS where `tls` says how and to whom. `relieve` closes what can be spared where no socket can be
/// had; `true` says that it did, and that another try makes sense.
pub(super) async fn dial(
    address: &EndpointAddress,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    limits: &Limits,
    relieve: impl AsyncFnOnce() -> bool,
) -> Result<Connected, ConnectError> {
    let connect = async || timeout(limits.connect, tcp(address)).await.map_err(|_| ConnectFailure::Timeout)?;
    let socket = match connect().await {
        Err(error) if error.failure == ConnectFailure::LocalResources && relieve().await => connect().await?,
        connected => connected?,
    };
    // A socket that refuses an option still carries requests.
    let _ = socket.set_nodelay(true);
    let _ = dead_peer::find(&SockRef::from(&socket), limits);
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
                return Poll::Ready(Err(std::mem::replace(&mut failure, io::ErrorKind::NotConnected.into())));
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

    #[tokio::test]
    async fn a_connection_outlives_the_write_clock_of_one_that_does_not_read() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = EndpointAddress::Socket(listener.local_addr().expect("bound"));
        let limits = Limits { write: Duration::from_secs(20), ..Limits::default() };
        let connected = dial(&address, None, &limits, async || false).await.expect("it listens");
        let socket = SockRef::from(connected.io.socket());
        assert_eq!(socket.tcp_user_timeout().expect("an option"), Some(Duration::from_secs(35)));
        assert!(socket.keepalive().expect("an option"));
        assert_eq!(socket.tcp_keepalive_time().expect("an option"), Duration::from_secs(60));
    }

    #[test]
    fn what_this_machine_lacks_is_not_the_endpoints_fault() {
        use ConnectFailure::{Connect, LocalPorts, LocalResources};
        for (number, failure) in [
            (libc::EADDRNOTAVAIL, LocalPorts),
            (libc::EMFILE, LocalResources),
            (libc::ENFILE, LocalResources),
            (libc::ENOBUFS, LocalResources),
            (libc::ENOMEM, LocalResources),
            (libc::ECONNREFUSED, Connect),
            (libc::EHOSTUNREACH, Connect),
        ] {
            let error = ConnectError::io(Connect, io::Error::from_raw_os_error(number));
            assert_eq!((error.failure, error.failure.is_ours()), (failure, failure != Connect), "{number}");
        }
    }
}
