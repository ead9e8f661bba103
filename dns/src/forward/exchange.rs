//! One try at one upstream: UDP from a new port, TCP where the answer was cut.

use super::relay::is_answer;
use super::{Ask, Forwarder, lock};
use crate::wire::{Cursor, Header, flag};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// More than an upstream sends over UDP to one that offers to take 1232; bytes.
const RECEIVE: usize = 4096;

/// Whether the upstream would not or could not look the name up, so that another one may.
pub(super) fn is_unhelpful(message: &[u8]) -> bool {
    const SERVFAIL: u16 = 2;
    const REFUSED: u16 = 5;
    flags(message).is_some_and(|flags| matches!(flags & flag::CODE, SERVFAIL | REFUSED))
}

fn flags(message: &[u8]) -> Option<u16> {
    Cursor::new(message).header().map(|header| header.flags)
}

impl Forwarder {
    /// The upstream's answer, whole if it can be had.
    pub(super) async fn try_upstream(&self, upstream: SocketAddr, ask: &Ask) -> io::Result<Arc<[u8]>> {
        let message = timeout(self.timeout, self.try_udp(upstream, ask)).await??;
        if flags(&message).is_some_and(|flags| flags & flag::TRUNCATED != 0)
            && let Ok(Ok(whole)) = timeout(self.timeout, self.try_tcp(upstream, ask)).await
        {
            return Ok(whole.into());
        }
        Ok(message.into())
    }

    async fn try_udp(&self, upstream: SocketAddr, ask: &Ask) -> io::Result<Vec<u8>> {
        let any: IpAddr = match upstream {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        // The system chooses the port at random, and what others send does not come through a connected socket.
        let socket = UdpSocket::bind((any, 0)).await?;
        socket.connect(upstream).await?;
        let _own = Own::new(self, socket.local_addr()?);
        let id = rand::random();
        socket.send(&ask.to_message(id)).await?;
        let mut message = vec![0; RECEIVE];
        loop {
            let len = socket.recv(&mut message).await?;
            if message.get(..len).is_some_and(|message| is_answer(message, id, &ask.question)) {
                message.truncate(len);
                return Ok(message);
            }
            // A guess at our question must not end the wait for the answer.
            self.metrics.mismatches.inc();
        }
    }

    async fn try_tcp(&self, upstream: SocketAddr, ask: &Ask) -> io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(upstream).await?;
        let _own = Own::new(self, stream.local_addr()?);
        let id = rand::random();
        stream.write_all(&crate::message::framed(&ask.to_message(id))).await?;
        let mut message = vec![0; usize::from(stream.read_u16().await?)];
        stream.read_exact(&mut message).await?;
        match is_answer(&message, id, &ask.question) {
            true => Ok(message),
            false => Err(io::Error::new(io::ErrorKind::InvalidData, "the answer is to another question")),
        }
    }
}

impl Ask {
    fn to_message(&self, id: u16) -> Vec<u8> {
        let additionals = u16::from(self.dnssec_ok.is_some());
        let header = Header { id, flags: self.flags, questions: 1, answers: 0, authorities: 0, additionals };
        let mut message = Vec::from(header.to_bytes());
        message.extend(&self.question);
        if let Some(is_dnssec_ok) = self.dnssec_ok {
            message.extend(crate::message::opt(0, is_dnssec_ok));
        }
        message
    }
}

/// Lists the address of a socket of ours as long as it waits.
struct Own<'f> {
    forwarder: &'f Forwarder,
    address: SocketAddr,
}

impl<'f> Own<'f> {
    fn new(forwarder: &'f Forwarder, address: SocketAddr) -> Self {
        lock(&forwarder.own).insert(address);
        Self { forwarder, address }
    }
}

impl Drop for Own<'_> {
    fn drop(&mut self) {
        lock(&self.forwarder.own).remove(&self.address);
    }
}
