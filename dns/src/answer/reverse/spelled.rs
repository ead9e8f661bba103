//! What the names of addresses spell, without a look at what exists.

use crate::name::LowerName;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What is not of the public Internet (the IANA special-purpose registries, RFC 6890, multicast and what is reserved), and
/// where clusters have their addresses by convention: an address and how many of its bits count.
const NOT_PUBLIC: [(IpAddr, u32); 20] = [
    v4([0, 0, 0, 0], 8),
    v4([10, 0, 0, 0], 8),
    v4([100, 64, 0, 0], 10),
    v4([127, 0, 0, 0], 8),
    v4([169, 254, 0, 0], 16),
    v4([172, 16, 0, 0], 12),
    v4([192, 0, 0, 0], 24),
    v4([192, 0, 2, 0], 24),
    v4([192, 88, 99, 0], 24),
    v4([192, 168, 0, 0], 16),
    v4([198, 18, 0, 0], 15),
    v4([198, 51, 100, 0], 24),
    v4([203, 0, 113, 0], 24),
    v4([224, 0, 0, 0], 3),
    // All but 2000::/3, and ranges of that.
    v6([0, 0], 3),
    v6([0x2001, 0], 23),
    v6([0x2001, 0xDB8], 32),
    v6([0x3FFF, 0], 20),
    v6([0x4000, 0], 2),
    v6([0x8000, 0], 1),
];

/// What a name below `in-addr.arpa` or `ip6.arpa` spells (RFC 1035 §3.5, RFC 3596 §2.5).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The first address of the range.
    pub(super) first: IpAddr,
    /// How many bits of it were spelled; all of them: the range is one address.
    pub(super) bits: u32,
    /// Whether that was the whole name; else it goes on below, where nothing is.
    pub(super) is_whole_name: bool,
}

impl Place {
    pub(super) fn read(name: &LowerName) -> Option<Self> {
        let mut labels = (0..name.count()).rev().map(|index| name.label(index));
        if labels.next() != Some(b"arpa") {
            return None;
        }
        match labels.next()? {
            b"in-addr" => Some(Self::spelled(labels, 4, 8, octet, |bits| Ipv4Addr::from_bits(bits as u32).into())),
            b"ip6" => Some(Self::spelled(labels, 32, 4, nibble, |bits| Ipv6Addr::from_bits(bits).into())),
            _ => None,
        }
    }

    /// Reads `most` labels of `width` bits each, or as many as can be read.
    fn spelled<'l>(
        mut labels: impl Iterator<Item = &'l [u8]>,
        most: u32,
        width: u32,
        digit: impl Fn(&str) -> Option<u8>,
        address: impl Fn(u128) -> IpAddr,
    ) -> Self {
        let (mut value, mut count) = (0u128, 0);
        let is_whole_name = loop {
            match labels.next() {
                None => break true,
                Some(label) => match str::from_utf8(label).ok().and_then(&digit).filter(|_| count < most) {
                    Some(digit) => (value, count) = (value << width | u128::from(digit), count + 1),
                    None => break false,
                },
            }
        };
        // By no more than 124 bits, or there is nothing to move.
        let first = address(value.checked_shl(width * (most - count)).unwrap_or(0));
        Self { first, bits: width * count, is_whole_name }
    }

    pub(super) fn width(&self) -> u32 {
        if self.first.is_ipv4() { Ipv4Addr::BITS } else { Ipv6Addr::BITS }
    }

    pub(super) fn range(&self) -> (IpAddr, IpAddr) {
        block(self.first, self.bits)
    }

    /// Whether all its addresses are of the public Internet.
    pub(super) fn is_public(&self) -> bool {
        let (first, last) = self.range();
        let mut others = NOT_PUBLIC.iter().map(|(address, bits)| block(*address, *bits));
        !others.any(|(from, to)| from <= last && first <= to)
    }
}

/// The first and the last address that share the leading bits with this one.
pub(super) fn block(address: IpAddr, bits: u32) -> (IpAddr, IpAddr) {
    match address {
        IpAddr::V4(address) => {
            let low = u32::MAX.checked_shr(bits).unwrap_or(0);
            let address = address.to_bits();
            (Ipv4Addr::from_bits(address & !low).into(), Ipv4Addr::from_bits(address | low).into())
        }
        IpAddr::V6(address) => {
            let low = u128::MAX.checked_shr(bits).unwrap_or(0);
            let address = address.to_bits();
            (Ipv6Addr::from_bits(address & !low).into(), Ipv6Addr::from_bits(address | low).into())
        }
    }
}

const fn v4([a, b, c, d]: [u8; 4], bits: u32) -> (IpAddr, u32) {
    (IpAddr::V4(Ipv4Addr::new(a, b, c, d)), bits)
}

const fn v6([a, b]: [u16; 2], bits: u32) -> (IpAddr, u32) {
    (IpAddr::V6(Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0)), bits)
}

/// As addresses are spelled: without leading zeros.
fn octet(label: &str) -> Option<u8> {
    let is_plain = label.bytes().all(|byte| byte.is_ascii_digit()) && (label.len() == 1 || !label.starts_with('0'));
    label.parse().ok().filter(|_| is_plain)
}

fn nibble(label: &str) -> Option<u8> {
    match label.as_bytes() {
        [digit] => char::from(*digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok()),
        _ => None,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::answer::reverse) fn name(text: &str) -> LowerName {
        let wire: Vec<u8> =
            text.split('.').flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat()).collect();
        LowerName::read(&wire).unwrap()
    }

    #[test]
    fn a_name_is_read_as_far_as_it_spells_an_address() {
        let zeros = |nibbles: &str| format!("{nibbles}{}ip6.arpa.", "0.".repeat(26));
        for (name, expected) in [
            ("1.0.0.10.in-addr.arpa.".to_owned(), Some(("10.0.0.1", "10.0.0.1", true))),
            ("1.0.0.10.IN-ADDR.Arpa.".to_owned(), Some(("10.0.0.1", "10.0.0.1", true))),
            ("0.0.10.in-addr.arpa.".to_owned(), Some(("10.0.0.0", "10.0.0.255", true))),
            ("in-addr.arpa.".to_owned(), Some(("0.0.0.0", "255.255.255.255", true))),
            ("x.1.0.0.10.in-addr.arpa.".to_owned(), Some(("10.0.0.1", "10.0.0.1", false))),
            ("7.1.0.0.10.in-addr.arpa.".to_owned(), Some(("10.0.0.1", "10.0.0.1", false))),
            ("256.0.0.10.in-addr.arpa.".to_owned(), Some(("10.0.0.0", "10.0.0.255", false))),
            ("01.0.0.10.in-addr.arpa.".to_owned(), Some(("10.0.0.0", "10.0.0.255", false))),
            ("+1.0.0.10.in-addr.arpa.".to_owned(), Some(("10.0.0.0", "10.0.0.255", false))),
            ("svc.0.10.in-addr.arpa.".to_owned(), Some(("10.0.0.0", "10.0.255.255", false))),
            (zeros("1.0.0.0.0.0."), Some(("::1", "::1", true))),
            (zeros("F.e.0.0.0.0."), Some(("::ef", "::ef", true))),
            (zeros("e.0.0.0.0."), Some(("::e0", "::ef", true))),
            (zeros("10.0.0.0.0."), Some(("::", "::ff", false))),
            (zeros("g.0.0.0.0.0."), Some(("::", "::f", false))),
            ("ip6.arpa.".to_owned(), Some(("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true))),
            ("arpa.".to_owned(), None),
            ("1.0.0.10.in-addr.example.".to_owned(), None),
        ] {
            let place = Place::read(&self::name(&name));
            let found = place.map(|place| (place.range(), place.is_whole_name));
            let expected = expected
                .map(|(first, last, is_whole_name)| ((first.parse().unwrap(), last.parse().unwrap()), is_whole_name));
            assert_eq!(found, expected, "{name}");
        }
    }
}
