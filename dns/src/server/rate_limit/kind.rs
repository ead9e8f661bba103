//! What an answer counts as: kinds of answers have accounts of their own, so that whoever is sent the one in the name of
//! others still gets the other (as BIND and Knot have it).

use crate::answer::is_address_label;
use crate::name::LowerName;
use crate::wire::{Cursor, HEADER, SOA};
use hickory_proto::op::ResponseCode;

/// A kind of answers to one client's network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// Records of one name.
    Records(LowerName),
    /// Those of names of Pods, by what they are all under, since there may be one for every address.
    Pods(LowerName),
    /// That names have none of a type; by the zone that says so, since names that are not there are many. `None`: by none.
    NoRecords(Option<LowerName>),
    /// That there are no such names; the same.
    NoNames(Option<LowerName>),
    /// Any error.
    Error,
}

impl Kind {
    /// That of a finished message of ours with this code.
    pub(super) fn of(message: &[u8], code: ResponseCode) -> Self {
        let answers = Cursor::new(message).header().map_or(0, |header| header.answers);
        match code {
            ResponseCode::NoError if answers > 0 => match LowerName::at(HEADER, message) {
                Some(name) => pods(&name).map_or(Self::Records(name), Self::Pods),
                None => Self::NoRecords(None),
            },
            ResponseCode::NoError => Self::NoRecords(zone(message)),
            ResponseCode::NXDomain => Self::NoNames(zone(message)),
            _ => Self::Error,
        }
    }

    /// A number for the kind, and the name that it is about.
    pub(super) fn parts(&self) -> (u8, &[u8]) {
        match self {
            Self::Records(name) => (0, name.suffix(0)),
            Self::NoRecords(zone) => (1, zone.as_ref().map_or(&[], |zone| zone.suffix(0))),
            Self::NoNames(zone) => (2, zone.as_ref().map_or(&[], |zone| zone.suffix(0))),
            Self::Error => (3, &[]),
            Self::Pods(zone) => (4, zone.suffix(0)),
        }
    }
}

/// `pod.ZONE` of a name like `10-0-0-1.NAMESPACE.pod.ZONE`.
fn pods(name: &LowerName) -> Option<LowerName> {
    let is_pod = name.label(2) == b"pod" && is_address_label(name.label(0));
    is_pod.then(|| LowerName::read(name.suffix(2))).flatten()
}

/// The owner of the SOA in a message's authority section.
fn zone(message: &[u8]) -> Option<LowerName> {
    let mut cursor = Cursor::new(message);
    let header = cursor.header()?;
    cursor.skip_questions(&header)?;
    for _ in 0..header.answers {
        cursor.record()?;
    }
    for _ in 0..header.authorities {
        let owner = cursor.position();
        if cursor.record()?.record_type == SOA {
            return LowerName::at(owner, message);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::part::harness::client;

    fn kind(name: &str, code: &str, records: &str) -> Kind {
        let message = client(name, "A").answer(code, records);
        Kind::of(&message, if code == "NXDOMAIN" { ResponseCode::NXDomain } else { ResponseCode::NoError })
    }

    #[test]
    fn records_count_by_their_name_in_any_case_and_denials_by_their_zone() {
        let soa = |zone: &str| format!("| {zone} 60 SOA ns.{zone} root.{zone} 1 60");
        let name = |name: &str| LowerName::of(&name.parse().unwrap());
        assert_eq!(
            kind("A.Example.", "NOERROR", "a.example. 60 A 192.0.2.1"),
            Kind::Records(name("a.example").unwrap())
        );
        for (asked, is_pod) in [
            ("10-0-0-1.a.Pod.example.", true),
            ("fd00--1.b.pod.example.", true),
            ("web.a.pod.example.", false),
            ("10-0-0-1.a.svc.example.", false),
        ] {
            let expected = match is_pod {
                true => Kind::Pods(name("pod.example").unwrap()),
                false => Kind::Records(name(asked.trim_end_matches('.')).unwrap()),
            };
            assert_eq!(kind(asked, "NOERROR", &format!("{asked} 60 A 192.0.2.1")), expected, "{asked}");
        }
        for (asked, zone) in
            [("a.b.Example.Org.", "example.org."), ("x.", "example.org."), ("Example.ORG.", "example.org.")]
        {
            let expected = name(zone.trim_end_matches('.'));
            assert_eq!(kind(asked, "NOERROR", &soa(zone)), Kind::NoRecords(expected.clone()), "{asked}");
            assert_eq!(kind(asked, "NXDOMAIN", &soa(zone)), Kind::NoNames(expected), "{asked}");
        }
        let alias = format!("a.example. 60 CNAME b.example.\n {}", soa("example."));
        assert_eq!(kind("a.example.", "NXDOMAIN", &alias), Kind::NoNames(name("example")));
        assert_eq!(kind("a.example.", "NXDOMAIN", ""), Kind::NoNames(None));
        assert_eq!(kind("a.example.", "NOERROR", "| example. 60 NS ns.example."), Kind::NoRecords(None));
        let refused = client("a.example.", "A").answer("REFUSED", "");
        assert_eq!(Kind::of(&refused, ResponseCode::Refused), Kind::Error);
        assert_eq!(Kind::of(&[], ResponseCode::NoError), Kind::NoRecords(None));
    }
}
