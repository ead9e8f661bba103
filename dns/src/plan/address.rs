//! Addresses as Corefiles spell them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// What to listen at: an address, or each address of an interface.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum BindTo {
    Address(IpAddr),
    /// At most 15 bytes, as the kernel has it.
    Interface(String),
}

/// Where an HTTP endpoint is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct HttpAddress {
    /// `None`: all of the host.
    pub(crate) ip: Option<IpAddr>,
    /// Never 0.
    pub(crate) port: u16,
}

impl BindTo {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse::<IpAddr>() {
            // What is sent to a mapped address is sent over IPv4 (RFC 4291 §2.5.5.2).
            return Ok(Self::Address(address.to_canonical()));
        }
        // `dev_valid_name` of the kernel; a ':' would be an alias, or a port that belongs elsewhere.
        let is_letter = |letter: char| letter.is_ascii_graphic() && letter != '/' && letter != ':';
        let is_name = (1..=15).contains(&text.len()) && text.chars().all(is_letter) && text != "." && text != "..";
        // Four numbers are a mistyped address, not an interface.
        let is_address = text.contains('.') && text.chars().all(|letter| letter.is_ascii_digit() || letter == '.');
        if is_name && !is_address {
            Ok(Self::Interface(text.to_owned()))
        } else {
            Err(format!("{text:?} is neither an address nor an interface"))
        }
    }
}

impl HttpAddress {
    pub(crate) fn all(port: u16) -> Self {
        Self { ip: None, port }
    }

    pub(crate) fn local(port: u16) -> Self {
        Self { ip: Some(Ipv4Addr::LOCALHOST.into()), port }
    }

    /// Reads `:8080`, `127.0.0.1:8080`, `[::1]:8080` or `localhost:8080`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no address with a port, such as :8080 or 127.0.0.1:8080");
        let is_port = |port: &u16| *port != 0;
        if let Ok(address) = text.parse::<SocketAddr>() {
            let address = Self { ip: Some(address.ip()), port: address.port() };
            return Some(address).filter(|address| is_port(&address.port)).ok_or_else(wrong);
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().ok().filter(is_port).ok_or_else(wrong)?;
        match host {
            "" => Ok(Self::all(port)),
            "localhost" => Ok(Self::local(port)),
            _ => Err(wrong()),
        }
    }
}

/// What can be bound that what is sent to an address comes to: itself, and all addresses.
pub(crate) fn taking(address: IpAddr) -> impl Iterator<Item = IpAddr> {
    let of_ipv4 = address.is_ipv4().then_some(Ipv4Addr::UNSPECIFIED.into());
    [Some(address), of_ipv4, Some(Ipv6Addr::UNSPECIFIED.into())].into_iter().flatten()
}

/// Reads `10.0.0.1`, `10.0.0.1:5353`, `::1`, `[::1]` or `[::1]:5353`, as [`on_link`] does; `None`: it is none of these, or
/// its port is 0.
pub(crate) fn with_port(text: &str, default: u16) -> Option<SocketAddr> {
    let (host, port) = match text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        Some((host, "")) => (host, default),
        Some((host, port)) => (host, port.strip_prefix(':')?.parse().ok()?),
        None => match text.parse::<SocketAddr>() {
            Ok(address) => return Some(address).filter(|address| address.port() != 0),
            Err(_) => (text, default),
        },
    };
    on_link(host, port).filter(|address| address.port() != 0)
}

/// An address with this port, where `fe80::1%eth0` is on the link of that interface (RFC 4007 §11); `None`: it is none, or
/// there is no such interface with an address.
pub(crate) fn on_link(text: &str, port: u16) -> Option<SocketAddr> {
    scoped((text, port), interface)
}

fn scoped((text, port): (&str, u16), interface: impl Fn(&str) -> Option<u32>) -> Option<SocketAddr> {
    match text.split_once('%') {
        None => text.parse().ok().map(|address| SocketAddr::new(address, port)),
        Some((address, scope)) => {
            let scope = scope.parse().ok().or_else(|| interface(scope))?;
            Some(SocketAddrV6::new(address.parse().ok()?, port, 0, scope).into())
        }
    }
}

/// The number of an interface that has an address.
fn interface(name: &str) -> Option<u32> {
    let interfaces = if_addrs::get_if_addrs().inspect_err(|error| tracing::warn!(%error, "no interface is known"));
    interfaces.ok()?.into_iter().find(|interface| interface.name == name)?.index
}

impl fmt::Display for BindTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Interface(name) => name.fmt(f),
        }
    }
}

impl fmt::Display for HttpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip {
            Some(ip) => SocketAddr::new(ip, self.port).fmt(f),
            None => write!(f, ":{}", self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_be_on_the_link_of_an_interface() {
        let interface = |name: &str| (name == "eth0").then_some(7);
        for (word, expected) in [
            ("fe80::1%eth0", Some("[fe80::1%7]:53")),
            ("fe80::1%3", Some("[fe80::1%3]:53")),
            ("fe80::1%eth1", None),
            ("fe80::1%", None),
            ("10.0.0.1%eth0", None),
        ] {
            let read = scoped((word, 53), interface).map(|address| address.to_string());
            assert_eq!(read.as_deref(), expected, "{word}");
        }
        let lo = with_port("fe80::1%lo", 53).unwrap().to_string();
        assert!(lo.starts_with("[fe80::1%") && lo.ends_with("]:53"), "{lo}");
        for (word, expected) in [
            ("[fe80::1%lo]", Some(lo.clone())),
            ("[fe80::1%lo]:53", Some(lo.clone())),
            (&lo, Some(lo.clone())),
            ("fe80::1%nosuch", None),
            ("[fe80::1%lo]:0", None),
            ("[fe80::1%lo", None),
            ("[::1]:5353", Some("[::1]:5353".to_owned())),
            ("10.0.0.1", Some("10.0.0.1:53".to_owned())),
            ("10.0.0.1:0", None),
        ] {
            assert_eq!(with_port(word, 53).map(|address| address.to_string()), expected, "{word}");
        }
    }
}
