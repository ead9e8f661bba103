//! A zone that something is for: the root, or a domain.

use crate::name::LowerName;
use config::{DomainName, DomainNameError};
use ipnet::IpNet;
use std::fmt;
use std::net::IpAddr;

/// A domain, or the root that all names are in.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Zone {
    name: Spelling,
    labels: u8,
    /// In lower case, with the root's empty label.
    wire: Box<[u8]>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Spelling {
    Root,
    Domain(DomainName),
    /// A part of a network of addresses (RFC 2317 §4), such as `0/25.2.0.192.in-addr.arpa`, in lower case without the dot
    /// at the end.
    Part(Box<str>),
}

/// Why a text is no zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no zone: {why}")]
pub struct ZoneError {
    text: String,
    why: String,
}

impl Zone {
    /// The root.
    #[must_use]
    pub fn root() -> Self {
        Self { name: Spelling::Root, labels: 0, wire: Box::new([0]) }
    }

    /// Reads `.`, or a domain with or without a dot at its end.
    ///
    /// # Errors
    /// Anything that is no domain name.
    pub fn parse(text: &str) -> Result<Self, ZoneError> {
        if text == "." {
            return Ok(Self::root());
        }
        let wrong = |why: String| ZoneError { text: text.to_owned(), why };
        let name = match text.parse() {
            Ok(domain) => Spelling::Domain(domain),
            Err(error) => {
                let error: DomainNameError = error;
                Spelling::Part(part_of_network(text).ok_or_else(|| wrong(error.to_string()))?)
            }
        };
        let mut wire = Vec::with_capacity(text.len() + 2);
        for label in name.labels() {
            wire.push(u8::try_from(label.len()).map_err(|_| wrong("a label is too long".to_owned()))?);
            wire.extend(label.bytes());
        }
        wire.push(0);
        let labels = u8::try_from(name.labels().count()).unwrap_or(u8::MAX);
        Ok(Self { name, labels, wire: wire.into() })
    }

    /// The zones that a text means: one, or for a network those of its addresses' reverse names, of which an IPv4
    /// network that does not end at an octet has up to 128 and an IPv6 network that does not end at a digit up to 8.
    ///
    /// # Errors
    /// Neither a zone nor a network.
    pub fn parse_all(text: &str) -> Result<Vec<Self>, ZoneError> {
        match text.parse::<IpNet>() {
            Ok(network) => reverse_names(network.trunc()).iter().map(|name| Self::parse(name)).collect(),
            Err(_) => Ok(vec![Self::parse(text)?]),
        }
    }

    /// Whether a name in wire form and lower case is the zone's or below it.
    #[must_use]
    pub fn holds(&self, name: &[u8]) -> bool {
        let mut rest = name;
        while rest.len() > self.wire.len() {
            let Some((&length, after)) = rest.split_first() else { return false };
            match after.get(usize::from(length)..) {
                Some(next) if length > 0 => rest = next,
                _ => return false,
            }
        }
        *rest == *self.wire
    }

    /// The same of a name whose labels are known.
    #[must_use]
    pub(crate) fn holds_name(&self, name: &LowerName) -> bool {
        let depth = name.count().checked_sub(self.label_count());
        depth.is_some_and(|depth| name.suffix(depth) == &*self.wire)
    }

    /// The domain; `None`: it is the root, or a part of a network.
    pub(crate) fn domain(&self) -> Option<&DomainName> {
        match &self.name {
            Spelling::Domain(domain) => Some(domain),
            Spelling::Root | Spelling::Part(_) => None,
        }
    }

    /// Whether it is a part of a network that RFC 2317 has a zone for: its names are below it, and not made of addresses.
    pub(crate) fn is_part_of_network(&self) -> bool {
        matches!(self.name, Spelling::Part(_))
    }

    /// Whether `other` is this zone or below it.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        self.holds(&other.wire)
    }

    /// Whether there is a name that both have.
    #[must_use]
    pub(crate) fn meets(&self, other: &Self) -> bool {
        self.contains(other) || other.contains(self)
    }

    /// Its name in wire form (RFC 1035 §3.1), in lower case.
    #[must_use]
    pub fn wire(&self) -> &[u8] {
        &self.wire
    }

    /// Whether the names in it are made of addresses.
    #[must_use]
    pub fn is_reverse(&self) -> bool {
        let mut labels = self.name.labels().rev();
        labels.next() == Some("arpa") && matches!(labels.next(), Some("in-addr" | "ip6"))
    }

    /// The addresses whose names are in it; `None`: its names are not made of addresses.
    #[must_use]
    pub(crate) fn range(&self) -> Option<IpNet> {
        let mut labels = self.name.labels().rev();
        if labels.next() != Some("arpa") {
            return None;
        }
        match labels.next()? {
            "in-addr" => {
                let octets: Vec<u8> = labels.map(str::parse).collect::<Result<_, _>>().ok()?;
                let mut address = [0; 4];
                address.get_mut(..octets.len())?.copy_from_slice(&octets);
                IpNet::new(address.into(), u8::try_from(octets.len() * 8).ok()?).ok()
            }
            "ip6" => {
                let digit = |label: &str| u8::from_str_radix(label, 16).ok().filter(|digit| *digit < 16);
                let digits: Vec<u8> = labels.map(digit).collect::<Option<_>>()?;
                let mut address = [0u8; 16];
                for (index, digit) in digits.iter().enumerate() {
                    *address.get_mut(index / 2)? |= if index % 2 == 0 { digit << 4 } else { *digit };
                }
                IpNet::new(address.into(), u8::try_from(digits.len() * 4).ok()?).ok()
            }
            _ => None,
        }
    }

    /// 0 for the root.
    #[must_use]
    pub fn label_count(&self) -> usize {
        usize::from(self.labels)
    }
}

/// Without the dot at the end, but for the root, which is that dot.
impl Zone {
    /// As CoreDNS's metrics have it: with the dot at the end.
    pub(crate) fn absolute(&self) -> String {
        if *self == Self::root() { self.to_string() } else { format!("{self}.") }
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name.text())
    }
}

impl Spelling {
    fn text(&self) -> &str {
        match self {
            Self::Root => ".",
            Self::Domain(domain) => domain.as_str(),
            Self::Part(text) => text,
        }
    }

    fn labels(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.text().split('.').filter(|label| !label.is_empty())
    }
}

/// The name of a part of a network, in which alone labels have a '/'.
fn part_of_network(text: &str) -> Option<Box<str>> {
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let is_one = name.ends_with(".in-addr.arpa") && name.replace('/', "-").parse::<DomainName>().is_ok();
    is_one.then(|| name.into())
}

fn reverse_names(network: IpNet) -> Vec<String> {
    let unit = if network.addr().is_ipv4() { 8 } else { 4 };
    let units = usize::from(network.prefix_len().div_ceil(unit));
    // An aligned network is its own only part.
    let parts = network.subnets(u8::try_from(units).unwrap_or(u8::MAX).saturating_mul(unit));
    let names = parts.into_iter().flatten().map(|part| match part.addr() {
        IpAddr::V4(address) => {
            let octets: Vec<_> = address.octets().iter().take(units).rev().map(ToString::to_string).collect();
            [octets, vec!["in-addr.arpa".to_owned()]].concat().join(".")
        }
        IpAddr::V6(address) => {
            let digits = address.octets().into_iter().flat_map(|octet| [octet >> 4, octet & 15]);
            let digits: Vec<_> = digits.take(units).map(|digit| format!("{digit:x}")).collect();
            [digits.into_iter().rev().collect(), vec!["ip6.arpa".to_owned()]].concat().join(".")
        }
    });
    names.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zones(text: &str) -> Vec<String> {
        Zone::parse_all(text).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_network_is_its_reverse_zones() {
        assert_eq!(zones("10.0.0.0/8"), ["10.in-addr.arpa"]);
        assert_eq!(zones("10.96.0.7/15"), ["96.10.in-addr.arpa", "97.10.in-addr.arpa"]);
        assert_eq!(zones("172.20.0.0/25").len(), 128);
        assert_eq!(zones("0.0.0.0/0"), ["in-addr.arpa"]);
        assert_eq!(zones("2001:db8::/32"), ["8.b.d.0.1.0.0.2.ip6.arpa"]);
        assert_eq!(zones("fd00::/7"), ["c.f.ip6.arpa", "d.f.ip6.arpa"]);
        assert_eq!(zones("10.1.2.3/32"), ["3.2.1.10.in-addr.arpa"]);
        assert_eq!(zones("Example.ORG."), ["example.org"]);
        for network in ["10.0.0.0/8", "0.0.0.0/0", "10.1.2.3/32", "2001:db8::/32", "fe80::/12", "::/0", "::1/128"] {
            let [zone] = &Zone::parse_all(network).unwrap()[..] else { panic!("{network}") };
            assert_eq!(zone.range().map(|range| range.to_string()), Some(network.to_owned()));
        }
        for name in ["example.org", "arpa", "300.in-addr.arpa", "5.4.3.2.1.in-addr.arpa", "g.ip6.arpa", "."] {
            assert_eq!(Zone::parse(name).unwrap().range(), None, "{name}");
        }
    }

    #[test]
    fn a_zone_holds_itself_and_what_is_below() {
        let [zone, root] = ["example.org", "."].map(|text| Zone::parse(text).unwrap());
        for (name, is_held) in [
            ("example.org", true),
            ("a.b.example.org", true),
            ("org", false),
            ("anexample.org", false),
            ("example.org.net", false),
            (".", false),
        ] {
            let name = Zone::parse(name).unwrap();
            assert_eq!(zone.contains(&name), is_held, "{name}");
            assert!(root.contains(&name), "{name}");
        }
        for wire in [&[][..], &[0, 0], &[63, 1], &[7, b'e']] {
            assert!(!zone.holds(wire), "{wire:?}");
        }
    }

    #[test]
    fn a_part_of_a_network_is_a_zone() {
        let zone = Zone::parse("0/25.2.0.192.IN-ADDR.arpa.").unwrap();
        assert_eq!(zone.to_string(), "0/25.2.0.192.in-addr.arpa");
        assert_eq!(zone.wire(), b"\x040/25\x012\x010\x03192\x07in-addr\x04arpa\0");
        assert!(zone.is_reverse() && zone.is_part_of_network() && zone.label_count() == 6);
        assert_eq!((zone.range(), zone.domain()), (None, None));
        assert!(Zone::parse("2.0.192.in-addr.arpa").unwrap().contains(&zone));
        for text in ["a/b.example.org", "0/25.in-addr.arpa.org", "0/25..in-addr.arpa", "0/25 .in-addr.arpa"] {
            assert!(Zone::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_no_zone_is_told() {
        for (text, why) in [("", "empty"), ("a..b", "labels"), ("10.0.0.1", "address"), ("*.org", "labels")] {
            let error = Zone::parse_all(text).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
