//! What a server block is for: a zone at a port, over a transport.

use super::address::BindTo;
use super::zone::Zone;
use std::fmt;

/// How questions come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// UDP and TCP (RFC 1035), port 53.
    Dns,
    /// DNS over TLS (RFC 7858), port 853.
    Tls,
    /// DNS over HTTPS (RFC 8484), port 443.
    Https,
}

/// Where questions come in.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Listener {
    /// How.
    pub transport: Transport,
    /// At which address; `None`: at all of the host.
    pub(crate) address: Option<BindTo>,
    /// At which port; never 0.
    pub port: u16,
}

/// A zone and where it is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) transport: Transport,
    pub(crate) zone: Zone,
    pub(crate) port: u16,
}

impl Transport {
    pub(crate) const ALL: [Self; 3] = [Self::Dns, Self::Tls, Self::Https];

    pub(crate) fn scheme(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Tls => "tls",
            Self::Https => "https",
        }
    }

    /// The port where none is given.
    #[must_use]
    pub fn port(self) -> u16 {
        match self {
            Self::Dns => 53,
            Self::Tls => 853,
            Self::Https => 443,
        }
    }

    /// The transport that a scheme such as `tls://` says, and what follows it; without one it is plain DNS.
    pub(crate) fn split(text: &str) -> Result<(Self, &str), String> {
        let Some((scheme, rest)) = text.split_once("://") else { return Ok((Self::Dns, text)) };
        let known = Self::ALL.into_iter().find(|transport| transport.scheme().eq_ignore_ascii_case(scheme));
        let message = || format!("{scheme}:// is not supported; dns://, tls:// and https:// are");
        known.map(|transport| (transport, rest)).ok_or_else(message)
    }
}

impl Key {
    /// The keys that a word means: several for a network, whose reverse zones they are.
    pub(crate) fn parse_all(text: &str) -> Result<Vec<Self>, String> {
        let (transport, rest) = Transport::split(text)?;
        let (zone, port) = match rest.rsplit_once(':') {
            // All of it may be an IPv6 network.
            Some((zone, port)) if rest.parse::<ipnet::IpNet>().is_err() => (zone, Some(port)),
            _ => (rest, None),
        };
        let port = match port {
            None => transport.port(),
            Some(port) => match port.parse() {
                Ok(port) if port != 0 => port,
                _ => return Err(format!("{port:?} is no port from 1 to 65535")),
            },
        };
        let zones = Zone::parse_all(if zone.is_empty() && rest.starts_with(':') { "." } else { zone });
        let zones = zones.map_err(|error| error.to_string())?;
        Ok(zones.into_iter().map(|zone| Self { transport, zone, port }).collect())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.transport != Transport::Dns {
            write!(f, "{}://", self.transport.scheme())?;
        }
        write!(f, "{}:{}", self.zone, self.port)
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.transport != Transport::Dns {
            write!(f, "{}://", self.transport.scheme())?;
        }
        match &self.address {
            Some(BindTo::Address(std::net::IpAddr::V6(address))) => write!(f, "[{address}]:{}", self.port),
            Some(address) => write!(f, "{address}:{}", self.port),
            None => write!(f, ":{}", self.port),
        }
    }
}
