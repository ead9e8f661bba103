//! Addresses as Corefiles spell them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

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
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
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

/// Reads `10.0.0.1`, `10.0.0.1:5353`, `::1`, `[::1]` or `[::1]:5353`; `None`: it is none of these, or its port is 0.
pub(crate) fn with_port(text: &str, default: u16) -> Option<SocketAddr> {
    let unbracketed = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let alone = unbracketed.parse().ok().map(|ip| SocketAddr::new(ip, default));
    alone.or_else(|| text.parse().ok()).filter(|address| address.port() != 0)
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
