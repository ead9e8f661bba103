//! What kind of answer an answer is, as CoreDNS tells them apart.

use crate::plan::Class;
use crate::wire::{Cursor, SOA, flag};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

/// RFC 1035 §3.2.2.
const NS: u16 = 2;

/// A kind of answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Records, or nothing at all.
    NoError,
    /// No records, which an SOA vouches for.
    NoData,
    NameError,
    ServerError,
    /// No records, but who has them.
    Delegation,
    /// A transfer, or what stands in for one.
    Meta,
    OtherError,
}

impl Kind {
    /// The kind of a message to a question of this type; what is no message is an error.
    pub(super) fn of(message: &[u8], asked: RecordType) -> Self {
        let Some(header) = Cursor::new(message).header() else { return Self::OtherError };
        if matches!(asked, RecordType::AXFR | RecordType::IXFR) {
            return Self::Meta;
        }
        match (ResponseCode::from(0, (header.flags & flag::CODE) as u8), header.answers) {
            (ResponseCode::NoError, 0) => {
                let authorities = authorities(message).unwrap_or_default();
                match authorities.contains(&SOA) {
                    true => Self::NoData,
                    false if authorities.contains(&NS) => Self::Delegation,
                    false => Self::NoError,
                }
            }
            (ResponseCode::NoError, _) => Self::NoError,
            (ResponseCode::NXDomain, 0) => Self::NameError,
            (ResponseCode::ServFail | ResponseCode::NotImp, _) => Self::ServerError,
            _ => Self::OtherError,
        }
    }

    pub(super) fn class(self) -> Class {
        match self {
            Self::NoError | Self::Delegation => Class::Success,
            Self::NoData | Self::NameError => Class::Denial,
            Self::ServerError | Self::Meta | Self::OtherError => Class::Error,
        }
    }

    /// As CoreDNS calls it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::NoError => "NOERROR",
            Self::NoData => "NODATA",
            Self::NameError => "NXDOMAIN",
            Self::ServerError => "SERVERERROR",
            Self::Delegation => "DELEGATION",
            Self::Meta => "META",
            Self::OtherError => "OTHERERROR",
        }
    }
}

/// The types of the records in the authority section of a message without answers, as far as it can be read.
fn authorities(message: &[u8]) -> Option<Vec<u16>> {
    let mut cursor = Cursor::new(message);
    let header = cursor.header()?;
    cursor.skip_questions(&header)?;
    Some((0..header.authorities).map_while(|_| Some(cursor.record()?.record_type)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::part::harness::client;

    #[test]
    fn kinds_and_classes_are_coredns_s() {
        let (soa, ns) = ("| org. 60 SOA ns.org. root.org. 1 60", "| org. 60 NS ns.org.");
        let (record, alias) = ("example.org. 60 A 192.0.2.1", "example.org. 60 CNAME example.com.");
        for (code, records, expected) in [
            ("NOERROR", record, "NOERROR success"),
            ("NOERROR", "", "NOERROR success"),
            ("NOERROR", soa, "NODATA denial"),
            ("NOERROR", ns, "DELEGATION success"),
            ("NXDOMAIN", soa, "NXDOMAIN denial"),
            ("NXDOMAIN", "", "NXDOMAIN denial"),
            ("NXDOMAIN", alias, "OTHERERROR error"),
            ("SERVFAIL", "", "SERVERERROR error"),
            ("NOTIMP", "", "SERVERERROR error"),
            ("REFUSED", "", "OTHERERROR error"),
        ] {
            let message = client("Example.org.", "A").answer(code, records);
            let kind = Kind::of(&message, RecordType::A);
            assert_eq!(format!("{} {}", kind.as_str(), kind.class().as_str()), expected, "{code} {records}");
            assert_eq!(Kind::of(&message, RecordType::IXFR), Kind::Meta);
        }
        for asked in [RecordType::A, RecordType::AXFR] {
            assert_eq!(Kind::of(&[], asked), Kind::OtherError);
        }
    }
}
