//! Who is one client, wherever there is a bound for each.

use std::net::{IpAddr, SocketAddr};

/// Whom an address stands for: a network of IPv6 is one host's, but for that of all who are on the same link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Host {
    is_ipv4: bool,
    /// An address of IPv4; a /64 of IPv6, or there what follows it.
    bits: u64,
}

impl Host {
    pub(crate) fn of(address: IpAddr) -> Self {
        let (is_ipv4, bits) = match address.to_canonical() {
            IpAddr::V4(address) => (true, address.to_bits().into()),
            IpAddr::V6(address) if address.is_unicast_link_local() => (false, address.to_bits() as u64),
            IpAddr::V6(address) => (false, (address.to_bits() >> 64) as u64),
        };
        Self { is_ipv4, bits }
    }
}

/// One of IPv4 as that, whatever socket it came to: for whoever takes packets or connections.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
