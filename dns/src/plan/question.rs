//! Types of records, response codes and zones to fall through, as Corefiles name them.

use super::item::Item;
use super::zone::Zone;
use crate::corefile::{PlanError, Word};
use crate::question::TypeName;
use hickory_proto::rr::RecordType;
use std::fmt;

/// Codes by their names (IANA, DNS RCODEs).
const RCODES: [(&str, u8); 11] = [
    ("NOERROR", 0),
    ("FORMERR", 1),
    ("SERVFAIL", 2),
    ("NXDOMAIN", 3),
    ("NOTIMP", 4),
    ("REFUSED", 5),
    ("YXDOMAIN", 6),
    ("YXRRSET", 7),
    ("NXRRSET", 8),
    ("NOTAUTH", 9),
    ("NOTZONE", 10),
];

/// A response code that has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rcode(pub(crate) u8);

impl Rcode {
    pub(crate) const NO_ERROR: Self = Self(0);

    pub(super) fn read(item: Item<'_>, word: &Word) -> Result<Self, PlanError> {
        let name = word.text.to_ascii_uppercase();
        // The name that Go's library has for code 4.
        let name = if name == "NOTIMPL" { "NOTIMP" } else { &name };
        let found = RCODES.iter().find(|(known, _)| *known == name);
        found.map(|(_, code)| Self(*code)).ok_or_else(|| item.error(format!("{:?} is no response code", word.text)))
    }
}

/// A code by its name, or by the number of one that has a name.
pub(super) fn rcode_or_number(item: Item<'_>, word: &Word) -> Result<Rcode, PlanError> {
    let number = word.text.parse().ok().filter(|number| RCODES.iter().any(|(_, code)| code == number));
    number.map_or_else(|| Rcode::read(item, word), |number| Ok(Rcode(number)))
}

impl fmt::Display for Rcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(super::item::name_of(&self.0, &RCODES))
    }
}

/// Which type of question; ANY is all of them.
pub(super) fn record_type(item: Item<'_>, word: &Word) -> Result<RecordType, PlanError> {
    let named = TypeName::named(&word.text).map(|TypeName(record_type)| record_type);
    named.ok_or_else(|| item.error(format!("{:?} is no type of record", word.text)))
}

/// Names that a part leaves to those after it where it knows nothing; none: it leaves none.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fallthrough(pub(crate) Vec<Zone>);

impl Fallthrough {
    /// Without zones it is for all names.
    pub(super) fn read(item: Item<'_>) -> Result<Self, PlanError> {
        item.zones_or(item.arguments(), &[Zone::root()]).map(Self)
    }

    /// Whether a name in wire form and lower case is one of them.
    pub(crate) fn takes(&self, name: &[u8]) -> bool {
        self.0.iter().any(|zone| zone.holds(name))
    }
}

#[cfg(test)]
mod tests {
    use crate::part::harness::block;

    #[test]
    fn types_are_called_as_in_coredns() {
        for name in ["A", "LOC", "IXFR", "SPF", "MAILA", "TKEY", "DLV", "EUI48", "NSAP-PTR", "RESINFO", "NXNAME", "ANY"]
        {
            let lower = name.to_lowercase();
            let acl = format!("acl {{\n block type {lower} A net 10.0.0.0/8\n}}");
            let printed =
                block(&format!("{acl}\nrewrite type {lower} {lower}\ntemplate IN {lower} {{\n rcode NXDOMAIN\n}}"))
                    .to_string();
            for expected in [
                format!("block type {name} A net 10.0.0.0/8"),
                format!("type {name} {name}\n"),
                format!("template IN {name} "),
            ] {
                assert!(printed.contains(&expected), "{expected} is not in {printed}");
            }
        }
    }
}
