//! One try at one upstream: UDP from a new port, TCP where that is wanted or the answer was cut, or TLS.

use super::connections::Connection;
use super::link::Link;
use super::relay::{self, code, flags, is_bad_version};
use super::tls::Secure;
use super::upstream::Upstream;
use super::{Ask, Outbound};
use crate::message::{Transport, framed};
use crate::plan::forward::Protocol;
use crate::wire::flag;
use hickory_proto::op::ResponseCode;
use prometheus::IntCounter;
use socket2::SockRef;
use std::io::{self, Read as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::{TcpSocket, UdpSocket};
use tokio::runtime::Handle;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, Timeout, timeout_at};

/// More than an upstream sends over UDP to one that offers to take 1232; bytes.
const RECEIVE: usize = 4096;

/// What the tries for one question have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trip<'o> {
    /// What the question came over.
    pub(super) transport: Transport,
    /// When an answer comes too late.
    pub(super) deadline: Instant,
    pub(super) outbound: &'o Outbound,
    /// Whether it has EDNS, as where its client has.
    pub(super) has_edns: bool,
    /// Whether it is only to be seen that anything answers.
    pub(super) is_check: bool,
}

impl Trip<'_> {
    /// The message if it is the answer that is waited for.
    fn answer(&self, ask: &Ask, id: u16, message: Vec<u8>) -> Option<Vec<u8>> {
        match self.is_check {
            true => relay::is_reply(&message, id).then_some(message),
            false => relay::answer(message, id, ask.question()),
        }
    }
}

/// Why a try gave nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// Of this host: it says nothing about the upstream.
    #[error("no socket: {0}")]
    NoSocket(io::Error),
    #[error(transparent)]
    Upstream(#[from] io::Error),
    #[error("the answer is malformed")]
    Malformed,
}

impl Fault {
    pub(super) fn is_ours(&self) -> bool {
        matches!(self, Self::NoSocket(_))
    }

    /// Whether nothing came in time.
    pub(super) fn is_silence(&self) -> bool {
        matches!(self, Self::Upstream(error) if error.kind() == io::ErrorKind::TimedOut)
    }

    /// The same with what was tried.
    fn told(self, link: &Link<'_>, to: (Transport, SocketAddr)) -> Self {
        match self {
            Self::Upstream(error) => Self::Upstream(link.told(&error, to)),
            other => other,
        }
    }
}

/// Of a socket that could not be had.
fn of_socket(error: io::Error) -> Fault {
    let is_ours = matches!(
        error.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM | libc::EADDRNOTAVAIL | libc::EADDRINUSE)
    );
    if is_ours { Fault::NoSocket(error) } else { Fault::Upstream(error) }
}

impl Upstream {
    /// Any answer to this question.
    pub(super) async fn exchange(&self, ask: &Ask, trip: &Trip<'_>) -> Result<Vec<u8>, Fault> {
        let answer = self.carry(ask, trip).await;
        if !trip.has_edns || ask.is_dnssec_ok || !answer.as_ref().is_ok_and(|message| refuses(message)) {
            return answer;
        }
        drop(answer);
        // It may not know EDNS.
        self.carry(ask, &Trip { has_edns: false, ..*trip }).await
    }

    /// Whether it is asked over TCP or TLS from the beginning.
    fn is_over_stream(&self, trip: &Trip<'_>) -> bool {
        match self.forward.protocol {
            _ if self.secure.is_some() => true,
            Protocol::AsAsked => trip.transport == Transport::Tcp,
            Protocol::Tcp => true,
            Protocol::UdpFirst => false,
        }
    }

    async fn carry(&self, ask: &Ask, trip: &Trip<'_>) -> Result<Vec<u8>, Fault> {
        let link = Link::new(trip.outbound);
        if self.is_over_stream(trip) {
            let answer = within(self, trip, self.over_stream(ask, trip, &link)).await;
            return in_time(answer).map_err(|fault| fault.told(&link, (Transport::Tcp, self.address)));
        }
        let message = within(self, trip, self.over_udp(ask, trip, &link)).await;
        let message = in_time(message).map_err(|fault| fault.told(&link, (Transport::Udp, self.address)))?;
        if flags(&message).is_none_or(|flags| flags & flag::TRUNCATED == 0) {
            return Ok(message);
        }
        let whole = within(self, trip, self.over_stream(ask, trip, &link)).await;
        Ok(in_time(whole).unwrap_or(message))
    }

    /// Where we ask from: the port is the system's choice.
    fn source(&self) -> SocketAddr {
        let any: IpAddr = match self.address {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let own = self.forward.source_address.filter(|own| own.is_ipv4() == self.address.is_ipv4());
        SocketAddr::new(own.unwrap_or(any), 0)
    }

    async fn over_udp(&self, ask: &Ask, trip: &Trip<'_>, link: &Link<'_>) -> Result<Vec<u8>, Fault> {
        // The system chooses the port at random, and what others send does not come through a connected socket.
        let socket = UdpSocket::bind(self.source()).await.map_err(of_socket)?;
        socket.connect(self.address).await.map_err(of_socket)?;
        link.set(Some((Transport::Udp, socket.local_addr()?)));
        let id = rand::random();
        socket.send(&ask.to_message(id, trip.has_edns)).await?;
        loop {
            // Room for an answer is taken when there is one: many wait.
            let ready = socket.ready(Interest::READABLE | Interest::ERROR).await?;
            // An error alone, as where nobody listens (ICMP port unreachable), makes no socket readable.
            let what = if ready.is_readable() { Interest::READABLE } else { Interest::ERROR };
            let mut message = vec![0; RECEIVE];
            let len = match socket.try_io(what, || (&*SockRef::from(&socket)).read(&mut message)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                received => received?,
            };
            message.truncate(len);
            if let Some(message) = trip.answer(ask, id, message) {
                return Ok(message);
            }
            // A guess at our question must not end the wait for the answer.
            self.metrics.mismatches.inc();
        }
    }

    /// Over a connection that is kept, or a new one.
    async fn over_stream(&self, ask: &Ask, trip: &Trip<'_>, link: &Link<'_>) -> Result<Vec<u8>, Fault> {
        loop {
            link.set(None);
            let kept = self.kept.take();
            let is_kept = kept.is_some();
            let mut connection = match kept {
                Some(connection) => connection,
                None => self.connect(link).await?,
            };
            self.metrics.connections(is_kept, self.secure.is_some()).inc();
            link.set(Some((Transport::Tcp, connection.local)));
            match connection.ask(ask, trip, &self.metrics.mismatches).await {
                Ok(message) => {
                    // Whoever takes it next lists it.
                    link.set(None);
                    if let Some(sweep) = self.kept.put(connection) {
                        trip.outbound.checks.spawn(sweep, &Handle::current());
                    }
                    return Ok(message);
                }
                // Upstreams close connections that rest; it says nothing about the question.
                Err(error) if is_kept && is_closed(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn connect(&self, link: &Link<'_>) -> Result<Connection, Fault> {
        let socket = match self.address {
            SocketAddr::V4(_) => TcpSocket::new_v4(),
            SocketAddr::V6(_) => TcpSocket::new_v6(),
        };
        let socket = socket.map_err(of_socket)?;
        if self.forward.source_address.is_some() {
            socket.bind(self.source()).map_err(of_socket)?;
        }
        let stream = socket.connect(self.address).await.map_err(of_socket)?;
        // A question is one segment, and leaves at once.
        stream.set_nodelay(true)?;
        let local = stream.local_addr()?;
        link.set(Some((Transport::Tcp, local)));
        Ok(match &self.secure {
            Some(Secure { connector, name }) => {
                // Boxed, so that the many that wait elsewhere need no room for what a handshake keeps.
                let secure = Box::pin(connector.connect(name.clone(), stream)).await?;
                Connection::new(Box::new(secure), local)
            }
            None => Connection::new(Box::new(stream), local),
        })
    }
}

impl Connection {
    async fn ask(&mut self, ask: &Ask, trip: &Trip<'_>, mismatches: &IntCounter) -> io::Result<Vec<u8>> {
        let id = rand::random();
        self.stream.write_all(&framed(&ask.to_message(id, trip.has_edns))).await?;
        // TLS keeps what is written until it is told that no more comes.
        self.stream.flush().await?;
        loop {
            let mut message = vec![0; usize::from(self.stream.read_u16().await?)];
            self.stream.read_exact(&mut message).await?;
            if let Some(message) = trip.answer(ask, id, message) {
                return Ok(message);
            }
            // As over UDP: the answer may still come.
            mismatches.inc();
        }
    }
}

/// Whether an answer says that the question could not be understood (RFC 6891 §6.1.3, §7).
fn refuses(message: &[u8]) -> bool {
    matches!(code(message), Some(ResponseCode::FormErr | ResponseCode::NotImp)) || is_bad_version(message)
}

/// Whether the other side has closed the connection.
fn is_closed(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | UnexpectedEof)
}

/// Waits as long as the upstream may take, and no longer than anybody waits for its answer.
///
/// Not `async`: such a function keeps room for what it waits for twice, and many wait.
fn within<T: Future>(upstream: &Upstream, trip: &Trip<'_>, exchange: T) -> Timeout<T> {
    let end = trip.deadline.min(Instant::now() + upstream.forward.connections.read_timeout);
    timeout_at(end, exchange)
}

/// What came, or that nothing did.
fn in_time(answer: Result<Result<Vec<u8>, Fault>, Elapsed>) -> Result<Vec<u8>, Fault> {
    answer.map_err(io::Error::from)?
}
