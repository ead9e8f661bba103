//! All addresses of the host, where the host may have no IPv6.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// The address to bind for `address`: `[::]` on a host without IPv6 is `0.0.0.0`, which is all that it has.
#[must_use]
pub fn of_host(address: SocketAddr) -> SocketAddr {
    of_host_with(address, || UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).is_ok())
}

fn of_host_with(address: SocketAddr, has_ipv6: impl FnOnce() -> bool) -> SocketAddr {
    if address.ip() == Ipv6Addr::UNSPECIFIED && !has_ipv6() {
        return SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port());
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_addresses_of_a_host_without_ipv6_are_those_of_ipv4() {
        for (address, has_ipv6, expected) in [
            ("[::]:53", true, "[::]:53"),
            ("[::]:53", false, "0.0.0.0:53"),
            ("[::1]:53", false, "[::1]:53"),
            ("0.0.0.0:53", false, "0.0.0.0:53"),
        ] {
            let bound = of_host_with(address.parse().unwrap(), || has_ipv6);
            assert_eq!(bound.to_string(), expected, "{address} {has_ipv6}");
        }
    }
}
