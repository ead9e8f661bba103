//! What is known of a client's connection: the facts behind `X-Forwarded-*`.

use crate::tls::TlsFacts;
use config::{ListenerName, Protocol};
use std::net::{IpAddr, SocketAddr};

/// Facts of one connection.
#[derive(Debug)]
pub(crate) struct Downstream {
    /// The peer of the socket.
    pub(crate) peer: SocketAddr,
    /// The peer's address as text.
    pub(crate) peer_text: Box<str>,
    /// Whether what the peer says of other clients is believed.
    pub(crate) is_trusted: bool,
    pub(crate) listener: ListenerName,
    pub(crate) protocol: Protocol,
    /// The port that clients came to, as they see it.
    pub(crate) port_text: Box<str>,
    /// What the handshake came to; in a box, since futures have room for this several times.
    pub(crate) tls: Option<Box<TlsFacts>>,
}

impl Downstream {
    pub(crate) fn default_port(&self) -> u16 {
        match self.protocol {
            Protocol::Http => 80,
            Protocol::Https => 443,
        }
    }

    pub(crate) fn scheme(&self) -> &'static str {
        match self.protocol {
            Protocol::Http => "http",
            Protocol::Https => "https",
        }
    }
}

/// An IPv4 address that came in on a dual-stack socket is written as what it is.
pub(crate) fn canonical_ip(address: SocketAddr) -> IpAddr {
    address.ip().to_canonical()
}
