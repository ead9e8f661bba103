//! Types of records by their names, as people write and read them.

use hickory_proto::rr::RecordType;
use std::fmt;

/// Names by number: those that CoreDNS has (github.com/miekg/dns 1.1.73, `TypeToString`), and ANAME.
const NAMES: [(u16, &str); 89] = [
    (0, "None"),
    (1, "A"),
    (2, "NS"),
    (3, "MD"),
    (4, "MF"),
    (5, "CNAME"),
    (6, "SOA"),
    (7, "MB"),
    (8, "MG"),
    (9, "MR"),
    (10, "NULL"),
    (12, "PTR"),
    (13, "HINFO"),
    (14, "MINFO"),
    (15, "MX"),
    (16, "TXT"),
    (17, "RP"),
    (18, "AFSDB"),
    (19, "X25"),
    (20, "ISDN"),
    (21, "RT"),
    (23, "NSAP-PTR"),
    (24, "SIG"),
    (25, "KEY"),
    (26, "PX"),
    (27, "GPOS"),
    (28, "AAAA"),
    (29, "LOC"),
    (30, "NXT"),
    (31, "EID"),
    (32, "NIMLOC"),
    (33, "SRV"),
    (34, "ATMA"),
    (35, "NAPTR"),
    (36, "KX"),
    (37, "CERT"),
    (39, "DNAME"),
    (41, "OPT"),
    (42, "APL"),
    (43, "DS"),
    (44, "SSHFP"),
    (45, "IPSECKEY"),
    (46, "RRSIG"),
    (47, "NSEC"),
    (48, "DNSKEY"),
    (49, "DHCID"),
    (50, "NSEC3"),
    (51, "NSEC3PARAM"),
    (52, "TLSA"),
    (53, "SMIMEA"),
    (55, "HIP"),
    (56, "NINFO"),
    (57, "RKEY"),
    (58, "TALINK"),
    (59, "CDS"),
    (60, "CDNSKEY"),
    (61, "OPENPGPKEY"),
    (62, "CSYNC"),
    (63, "ZONEMD"),
    (64, "SVCB"),
    (65, "HTTPS"),
    (99, "SPF"),
    (100, "UINFO"),
    (101, "UID"),
    (102, "GID"),
    (103, "UNSPEC"),
    (104, "NID"),
    (105, "L32"),
    (106, "L64"),
    (107, "LP"),
    (108, "EUI48"),
    (109, "EUI64"),
    (128, "NXNAME"),
    (249, "TKEY"),
    (250, "TSIG"),
    (251, "IXFR"),
    (252, "AXFR"),
    (253, "MAILB"),
    (254, "MAILA"),
    (255, "ANY"),
    (256, "URI"),
    (257, "CAA"),
    (258, "AVC"),
    (260, "AMTRELAY"),
    (261, "RESINFO"),
    (32768, "TA"),
    (32769, "DLV"),
    (65305, "ANAME"),
    (65535, "Reserved"),
];

/// A type as people read it: its name, or `TYPE731` where it has none here (RFC 3597 §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TypeName(pub RecordType);

impl TypeName {
    /// The type of a name in any case; ANY is `*` too. `None`: no type is called so.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let name = if name == "*" { "ANY" } else { name };
        let found = NAMES.iter().find(|(_, known)| known.eq_ignore_ascii_case(name));
        found.map(|(number, _)| Self(RecordType::from(*number)))
    }
}

impl fmt::Display for TypeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = u16::from(self.0);
        let known = NAMES.binary_search_by_key(&number, |(known, _)| *known).ok().and_then(|index| NAMES.get(index));
        match known {
            Some((_, name)) => f.write_str(name),
            None => write!(f, "TYPE{number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_is_written_as_it_is_read() {
        assert!(NAMES.is_sorted_by(|(before, _), (after, _)| before < after));
        for (number, name) in NAMES {
            let found = TypeName::named(name).unwrap();
            assert_eq!((u16::from(found.0), found.to_string()), (number, name.to_owned()));
            assert_eq!(TypeName::named(&name.to_ascii_lowercase()), Some(found));
        }
        for (number, name) in [(1, "A"), (29, "LOC"), (251, "IXFR"), (23, "NSAP-PTR"), (32769, "DLV"), (255, "*")] {
            assert_eq!(TypeName::named(name).map(|found| u16::from(found.0)), Some(number), "{name}");
        }
        for (number, name) in [(731, "TYPE731"), (66, "TYPE66"), (65534, "TYPE65534")] {
            assert_eq!(TypeName(RecordType::from(number)).to_string(), name);
        }
        assert_eq!(TypeName::named("NONSENSE"), None);
    }

    /// A name here is that of the type with its number, also to the library that reads and writes records.
    #[test]
    fn names_are_those_of_the_library_where_it_has_one() {
        let mut known = 0;
        for number in 1..=u16::MAX {
            let record_type = RecordType::from(number);
            if !matches!(record_type, RecordType::Unknown(_)) {
                assert_eq!(TypeName(record_type).to_string(), record_type.to_string());
                known += 1;
            }
        }
        assert!(known >= 35, "{known}");
    }
}
