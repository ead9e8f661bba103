//! One of those who are asked.

use crate::plan::address::with_port;
use crate::plan::key::Transport;
use config::DomainName;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Upstream {
    /// Plain DNS.
    Plain(SocketAddr),
    /// DNS over TLS (RFC 7858).
    Tls {
        address: SocketAddr,
        /// Whom the certificate must name; `None`: what `tls_servername` says, else the address.
        server_name: Option<DomainName>,
    },
    /// Plain DNS at a host whose addresses are found at the start.
    Host { name: DomainName, port: u16 },
    /// The `nameserver` lines of a resolv.conf(5).
    File(String),
}

impl Upstream {
    /// Reads `10.0.0.1`, `[::1]:5353`, `dns://10.0.0.1`, `tls://9.9.9.9%dns.quad9.net:853`, `/etc/resolv.conf` or a name.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (transport, rest) = Transport::split(text)?;
        match transport {
            Transport::Https => Err(format!("{text}: upstreams are not asked over HTTPS; tls:// is supported")),
            Transport::Tls => {
                Self::parse_tls(rest).ok_or_else(|| format!("{text:?} is no tls://ADDRESS[%NAME][:PORT]"))
            }
            Transport::Dns if let Some(address) = with_port(rest, 53) => Ok(Self::Plain(address)),
            Transport::Dns if rest.contains('/') => Ok(Self::File(rest.to_owned())),
            Transport::Dns => {
                let (name, port) = match rest.split_once(':') {
                    Some((name, port)) => (name, port.parse().ok().filter(|port| *port != 0)),
                    None => (rest, Some(53)),
                };
                match (name.parse(), port) {
                    (Ok(name), Some(port)) => Ok(Self::Host { name, port }),
                    _ if rest.contains('%') => Err(format!("{text:?} is no address of an interface that is here")),
                    _ => Err(format!("{text:?} is no address, file or name")),
                }
            }
        }
    }

    pub(super) fn is_tls(&self) -> bool {
        matches!(self, Self::Tls { .. })
    }

    /// Whether its address is, or is among those that are found later and may be, one of IPv4, else of IPv6.
    pub(super) fn may_be(&self, is_ipv4: bool) -> bool {
        match self {
            Self::Plain(address) | Self::Tls { address, .. } => address.is_ipv4() == is_ipv4,
            Self::Host { .. } | Self::File(_) => true,
        }
    }

    fn parse_tls(text: &str) -> Option<Self> {
        let Some((address, rest)) = text.split_once('%') else {
            return Some(Self::Tls { address: with_port(text, Transport::Tls.port())?, server_name: None });
        };
        // Of `[ADDRESS%NAME]:PORT` and `[ADDRESS]%NAME:PORT` the second is what is printed.
        let rest = if address.starts_with('[') { rest.replacen(']', "", 1) } else { rest.to_owned() };
        let (name, port) = match rest.split_once(':') {
            Some((name, port)) => (name, Some(port.parse().ok().filter(|port| *port != 0)?)),
            None => (rest.as_str(), None),
        };
        let address = match (address.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>(), port) {
            (Ok(ip), port) => SocketAddr::new(ip, port.unwrap_or(Transport::Tls.port())),
            // The port stands before the name.
            (Err(_), None) => address.parse().ok().filter(|address: &SocketAddr| address.port() != 0)?,
            (Err(_), Some(_)) => return None,
        };
        Some(Self::Tls { address, server_name: Some(name.parse().ok()?) })
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(address) => address.fmt(f),
            Self::Tls { address, server_name: None } => write!(f, "tls://{address}"),
            Self::Tls { address, server_name: Some(name) } => match address.ip() {
                IpAddr::V4(ip) => write!(f, "tls://{ip}%{name}:{}", address.port()),
                IpAddr::V6(ip) => write!(f, "tls://[{ip}]%{name}:{}", address.port()),
            },
            Self::Host { name, port } => write!(f, "{name}:{port}"),
            Self::File(path) => path.fmt(f),
        }
    }
}
