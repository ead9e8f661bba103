//! Names of addresses: `1.0.0.10.in-addr.arpa` and its IPv6 counterpart.

use super::records::{name, soa};
use super::{Answer, Sections, ZoneSettings};
use crate::question::Question;
use config::{AddressOwner, NameTable};
use hickory_proto::rr::{Name, RData, Record, RecordType, rdata};
use std::net::{IpAddr, Ipv6Addr};

/// Answers for a name outside the zone: an address that is ours, or nothing.
pub(super) fn answer(table: &NameTable, question: &Question, settings: &ZoneSettings) -> Answer {
    let owners = address(&question.name).map_or(&[][..], |address| table.owners(address));
    if owners.is_empty() {
        // Addresses outside the cluster have names too, and others know them.
        return Answer::Outside;
    }
    let mut sections = Sections::default();
    match question.record_type {
        RecordType::PTR => {
            // A Service's own address has one name; an endpoint's has one in each Service that selects it.
            let count = if owners.first().is_some_and(|owner| owner.endpoint.is_none()) { 1 } else { owners.len() };
            for target in owners.iter().take(count).filter_map(|owner| target(table, owner)) {
                let ptr = RData::PTR(rdata::PTR(target));
                sections.answers.push(Record::from_rdata(question.name.clone(), settings.ttl, ptr));
            }
        }
        RecordType::ANY => sections.answers.push(super::minimal_any(&question.name, settings)),
        _ => {}
    }
    if sections.answers.is_empty() {
        sections.authorities.extend(zone_soa(table, question, settings));
    }
    Answer::Zone(sections)
}

fn target(table: &NameTable, owner: &AddressOwner) -> Option<Name> {
    let labels = [&*owner.service, &*owner.namespace, "svc"].into_iter().chain(table.zone().labels());
    name(owner.endpoint.as_deref().into_iter().chain(labels))
}

/// The SOA of `in-addr.arpa` or `ip6.arpa`, which is what CoreDNS serves as a zone.
fn zone_soa(table: &NameTable, question: &Question, settings: &ZoneSettings) -> Option<Record> {
    let server = name(["ns", "dns"].into_iter().chain(table.zone().labels()))?;
    let hostmaster = name(["hostmaster"].into_iter().chain(table.zone().labels()))?;
    Some(soa(&question.name.trim_to(2), server, hostmaster, table, settings))
}

/// The address that a name spells in full (RFC 1035 §3.5, RFC 3596 §2.5).
pub(super) fn address(name: &Name) -> Option<IpAddr> {
    let lower = name.to_lowercase();
    let labels: Vec<&str> = lower.iter().map(str::from_utf8).collect::<Result<_, _>>().ok()?;
    match *labels.as_slice() {
        [d, c, b, a, "in-addr", "arpa"] => format!("{a}.{b}.{c}.{d}").parse().ok().map(IpAddr::V4),
        [ref nibbles @ .., "ip6", "arpa"] if nibbles.len() == 32 => {
            let bits = nibbles.iter().rev().try_fold(0u128, |bits, nibble| match nibble.as_bytes() {
                [digit] => Some(bits << 4 | u128::from(char::from(*digit).to_digit(16)?)),
                _ => None,
            });
            bits.map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_addresses_are_read() {
        let nibbles = |nibbles: &str| format!("{nibbles}.{}ip6.arpa.", "0.".repeat(26));
        for (name, expected) in [
            ("1.0.0.10.in-addr.arpa.".to_owned(), Some("10.0.0.1")),
            ("1.0.0.10.IN-ADDR.Arpa.".to_owned(), Some("10.0.0.1")),
            ("0.0.10.in-addr.arpa.".to_owned(), None),
            ("x.1.0.0.10.in-addr.arpa.".to_owned(), None),
            ("256.0.0.10.in-addr.arpa.".to_owned(), None),
            ("01.0.0.10.in-addr.arpa.".to_owned(), None),
            ("1.0.0.10.ip6.arpa.".to_owned(), None),
            (nibbles("1.0.0.0.0.0"), Some("::1")),
            (nibbles("F.e.0.0.0.0"), Some("::ef")),
            (nibbles("10.0.0.0.0"), None),
            (nibbles("g.0.0.0.0.0"), None),
        ] {
            let parsed = address(&Name::from_ascii(&name).unwrap());
            assert_eq!(parsed, expected.map(|text| text.parse().unwrap()), "{name}");
        }
    }
}
