//! `local`: names that are this host's own everywhere (RFC 6761 §6.3, RFC 6303 §4.2), answered here and never asked
//! upstream. Its answers are not authoritative, as CoreDNS's are not.

use super::Told;
use crate::name::LowerName;
use crate::plan::Local;
use crate::reply::{Pointer, Reply, Section, Start};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A week; seconds.
const TTL: u32 = 604_800;
const LOCALHOST: &[u8] = b"\x09localhost\0";
/// Zones of addresses that are no host's, or every host's.
const REVERSE: [&[u8]; 3] =
    [b"\x010\x07in-addr\x04arpa\0", b"\x03127\x07in-addr\x04arpa\0", b"\x03255\x07in-addr\x04arpa\0"];
const LOOPBACK: &[u8] = b"\x011\x010\x010\x03127\x07in-addr\x04arpa\0";

/// Whether all names of a zone, in wire form and lower case, are answered here.
pub(crate) fn has_all_of(zone: &[u8]) -> bool {
    LowerName::read(zone).is_some_and(|zone| is_localhost(&zone) || reverse_zone(&zone).is_some())
}

fn is_localhost(name: &LowerName) -> bool {
    name.suffix(name.count().saturating_sub(1)) == LOCALHOST
}

/// Before which label the zone of a reverse name begins.
fn reverse_zone(name: &LowerName) -> Option<usize> {
    (0..name.count()).find(|index| REVERSE.contains(&name.suffix(*index)))
}

/// Answers for `localhost`, names below it, names that begin with it where `names` says so, and the reverse zones of 0/8,
/// 127/8 and 255/8.
pub(crate) fn answer((name, asked): (&LowerName, RecordType), names: Local, reply: &mut Reply<'_>) -> Told {
    if is_localhost(name) || (names == Local::WithSearchList && name.label(0) == b"localhost") {
        match asked {
            RecordType::A => address(IpAddr::from(Ipv4Addr::LOCALHOST), reply),
            RecordType::AAAA => address(IpAddr::from(Ipv6Addr::LOCALHOST), reply),
            asked if name.suffix(0) == LOCALHOST => apex(asked, reply),
            _ => soa(Section::Authority, Pointer::QUESTION, reply),
        }
        return Told::Answered;
    }
    let Some(zone) = reverse_zone(name) else { return Told::Nothing };
    let owner = Pointer::to_question(name.start(zone));
    match asked {
        asked if zone == 0 => apex(asked, reply),
        RecordType::PTR if name.suffix(0) == LOOPBACK => {
            reply.record(start(Section::Answer, Pointer::QUESTION, asked), |reply| reply.bytes(LOCALHOST));
        }
        _ => {
            if name.suffix(0) != LOOPBACK {
                reply.code = ResponseCode::NXDomain;
            }
            soa(Section::Authority, owner, reply);
        }
    }
    Told::Answered
}

/// What there is at a zone's own name.
fn apex(asked: RecordType, reply: &mut Reply<'_>) {
    match asked {
        RecordType::SOA => soa(Section::Answer, Pointer::QUESTION, reply),
        RecordType::NS => {
            reply.record(start(Section::Answer, Pointer::QUESTION, asked), |reply| reply.bytes(LOCALHOST));
        }
        _ => soa(Section::Authority, Pointer::QUESTION, reply),
    }
}

fn address(address: IpAddr, reply: &mut Reply<'_>) {
    let record_type = if address.is_ipv4() { RecordType::A } else { RecordType::AAAA };
    reply.address(start(Section::Answer, Pointer::QUESTION, record_type), address);
}

fn soa(section: Section, owner: Pointer, reply: &mut Reply<'_>) {
    reply.record(start(section, owner, RecordType::SOA), |reply| {
        reply.bytes(LOCALHOST);
        reply.label(b"root");
        reply.bytes(LOCALHOST);
        [1, 0, 0, 0, TTL].into_iter().for_each(|number: u32| reply.bytes(&number.to_be_bytes()));
    });
}

fn start(section: Section, owner: Pointer, record_type: RecordType) -> Start<'static> {
    Start { section, labels: &[], owner, record_type, ttl: TTL }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::part::harness::client;

    fn told(name: &str, record_type: &str) -> (Told, String) {
        told_of(Local::WithSearchList, name, record_type)
    }

    fn told_of(names: Local, name: &str, record_type: &str) -> (Told, String) {
        let client = client(name, record_type);
        client.told(|reply| answer((&client.name, record_type.parse().unwrap()), names, reply))
    }

    #[test]
    fn it_answers_as_coredns() {
        let soa = "604800 SOA localhost. root.localhost. 1 0 0 0 604800";
        for (name, record_type, expected) in [
            ("localhost.", "A", "localhost. 604800 A 127.0.0.1".to_owned()),
            ("LocalHost.", "AAAA", "LocalHost. 604800 AAAA ::1".to_owned()),
            ("localhost.", "MX", format!("authority localhost. {soa}")),
            ("localhost.", "SOA", format!("localhost. {soa}")),
            ("localhost.", "NS", "localhost. 604800 NS localhost.".to_owned()),
            ("a.localhost.", "A", "a.localhost. 604800 A 127.0.0.1".to_owned()),
            ("a.b.localhost.", "TXT", format!("authority a.b.localhost. {soa}")),
            ("localhost.svc.cluster.local.", "A", "localhost.svc.cluster.local. 604800 A 127.0.0.1".to_owned()),
            ("localhost.example.", "NS", format!("authority localhost.example. {soa}")),
            ("127.in-addr.arpa.", "A", format!("authority 127.in-addr.arpa. {soa}")),
            ("0.in-addr.arpa.", "SOA", format!("0.in-addr.arpa. {soa}")),
            ("255.in-addr.arpa.", "NS", "255.in-addr.arpa. 604800 NS localhost.".to_owned()),
            ("1.0.0.127.in-addr.arpa.", "PTR", "1.0.0.127.in-addr.arpa. 604800 PTR localhost.".to_owned()),
            ("1.0.0.127.IN-ADDR.arpa.", "A", format!("authority 127.IN-ADDR.arpa. {soa}")),
        ] {
            let expected = (Told::Answered, format!("No Error\n{expected}"));
            assert_eq!(told(name, record_type), expected, "{name} {record_type}");
        }
        let denied = format!("Non-Existent Domain\nauthority 127.in-addr.arpa. {soa}");
        assert_eq!(told("2.0.0.127.in-addr.arpa.", "PTR"), (Told::Answered, denied));
    }

    #[test]
    fn names_with_a_search_list_may_be_for_others() {
        for (name, told) in [
            ("localhost.", Told::Answered),
            ("a.localhost.", Told::Answered),
            ("1.0.0.127.in-addr.arpa.", Told::Answered),
            ("localhost.svc.cluster.local.", Told::Nothing),
        ] {
            assert_eq!(told_of(Local::Exact, name, "A").0, told, "{name}");
        }
    }

    #[test]
    fn other_names_are_for_others() {
        for name in [".", "local.", "notlocalhost.", "a.localhost.example.", "in-addr.arpa.", "1.in-addr.arpa."] {
            assert_eq!(told(name, "A").0, Told::Nothing, "{name}");
        }
    }
}
