//! `acl`: who may ask for what.

use crate::extended_error::ExtendedError;
use crate::name::LowerName;
use crate::plan::{self, AclAction, Zone};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use ipnet::IpNet;
use std::net::IpAddr;

/// The lists of a block, in their order.
#[derive(Debug)]
pub(crate) struct Acls(Vec<Acl>);

#[derive(Debug)]
struct Acl {
    zones: Vec<Zone>,
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    action: AclAction,
    /// Empty: all.
    types: Vec<RecordType>,
    /// Of which none overlaps another, in order; empty: all clients.
    networks: Vec<IpNet>,
}

/// What the lists say of a question.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AclVerdict<'a> {
    pub(crate) action: AclAction,
    /// Which list says it, of those of the block.
    pub(crate) list: usize,
    /// Its zone that the name is in.
    pub(crate) zone: &'a Zone,
}

impl Acls {
    pub(crate) fn new(acls: &[plan::Acl]) -> Self {
        let rule = |rule: &plan::AclRule| {
            let mut networks = IpNet::aggregate(&rule.networks);
            networks.sort();
            Rule { action: rule.action, types: rule.types.clone(), networks }
        };
        let acl = |acl: &plan::Acl| Acl { zones: acl.zones.clone(), rules: acl.rules.iter().map(rule).collect() };
        Self(acls.iter().map(acl).collect())
    }

    /// What the first rule says that is for this question, of the first list that has one; `None`: the client may ask.
    /// O(zones and rules), and O(log networks) each.
    pub(crate) fn verdict(&self, name: &LowerName, record_type: RecordType, client: IpAddr) -> Option<AclVerdict<'_>> {
        let client = client.to_canonical();
        let acls = self.0.iter().enumerate().filter_map(|(list, acl)| Some((list, acl, acl.zone_of(name)?)));
        let mut verdicts = acls.flat_map(|(list, acl, zone)| {
            let rules = acl.rules.iter().filter(move |rule| rule.is_for(record_type, client));
            rules.map(move |rule| AclVerdict { action: rule.action, list, zone })
        });
        verdicts.next()
    }
}

impl Acl {
    /// The longest of its zones that holds the name.
    fn zone_of(&self, name: &LowerName) -> Option<&Zone> {
        let zones = self.zones.iter().filter(|zone| zone.holds(name.suffix(0)));
        zones.max_by_key(|zone| zone.label_count())
    }
}

impl Rule {
    fn is_for(&self, record_type: RecordType, client: IpAddr) -> bool {
        let is_type = self.types.is_empty() || self.types.contains(&record_type);
        is_type && (self.networks.is_empty() || self.holds(client))
    }

    fn holds(&self, client: IpAddr) -> bool {
        let after = self.networks.partition_point(|network| network.network() <= client);
        let last = after.checked_sub(1).and_then(|index| self.networks.get(index));
        last.is_some_and(|network| network.contains(&client))
    }
}

impl AclAction {
    /// What becomes of a client's question.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Allow => "may ask",
            Self::Block => "is refused",
            Self::Filter => "gets an empty answer",
            Self::Drop => "gets no answer",
        }
    }

    /// What a client that may not ask is told, if anything (RFC 8914 §4.16, §4.18).
    pub(crate) fn refusal(self) -> Option<(ResponseCode, ExtendedError)> {
        match self {
            Self::Block => Some((ResponseCode::Refused, ExtendedError::Blocked)),
            Self::Filter => Some((ResponseCode::NoError, ExtendedError::Filtered)),
            Self::Allow | Self::Drop => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::part::harness::{block, client};

    fn verdict(plugins: &str, name: &str, record_type: &str, address: &str) -> AclAction {
        let client = client(name, record_type);
        let acls = Acls::new(&block(plugins).acls);
        let verdict = acls.verdict(&client.name, client.query().asked.record_type, address.parse().unwrap());
        verdict.map_or(AclAction::Allow, |verdict| verdict.action)
    }

    #[test]
    fn the_first_rule_that_a_question_meets_counts() {
        use AclAction::{Allow, Block, Drop, Filter};
        let plugins = "acl example.org {
            allow net 10.1.0.0/16 10.2.3.4 2001:db8::/32
            block type A net 10.0.0.0/8
            filter type AAAA
            drop net 192.0.2.0/24
        }
        acl org {
            block type ANY IXFR
            filter type LOC
            block net 198.51.100.1
        }";
        for (name, record_type, address, expected) in [
            ("www.Example.ORG.", "A", "10.1.2.3", Allow),
            ("www.example.org.", "A", "10.2.3.4", Allow),
            ("www.example.org.", "A", "10.2.3.5", Block),
            ("www.example.org.", "A", "::ffff:10.2.3.5", Block),
            ("www.example.org.", "TXT", "10.2.3.5", Allow),
            ("www.example.org.", "AAAA", "10.2.3.5", Filter),
            ("www.example.org.", "AAAA", "2001:db8::1", Allow),
            ("www.example.org.", "A", "192.0.2.255", Drop),
            ("www.example.org.", "A", "192.0.3.0", Allow),
            // The first list has no rule for it; the next one has.
            ("example.org.", "A", "198.51.100.1", Block),
            ("example.org.", "A", "198.51.100.2", Allow),
            // CoreDNS takes ANY for the type of the question, not for all of them.
            ("org.", "ANY", "198.51.100.2", Block),
            ("org.", "A", "198.51.100.2", Allow),
            ("example.net.", "A", "192.0.2.1", Allow),
            // Types of which no record is read or written here.
            ("org.", "IXFR", "198.51.100.2", Block),
            ("org.", "LOC", "198.51.100.2", Filter),
            // Rules of a zone do not hold for one whose name ends alike.
            ("anexample.org.", "AAAA", "10.2.3.5", Allow),
        ] {
            let found = verdict(plugins, name, record_type, address);
            assert_eq!(found, expected, "{name} {record_type} from {address}");
        }
    }

    #[test]
    fn an_allowed_client_meets_no_later_list() {
        let plugins = "acl {\n allow net 10.0.0.0/8\n}\n acl {\n block\n}";
        assert_eq!(verdict(plugins, ".", "NS", "10.0.0.1"), AclAction::Allow);
        assert_eq!(verdict(plugins, ".", "NS", "11.0.0.1"), AclAction::Block);
    }

    #[test]
    fn overlapping_networks_are_all_of_their_addresses() {
        let plugins = "acl {\n block net 10.0.0.0/8 10.1.0.0/16 10.255.255.0/24 11.0.0.0/32 ::/0\n}";
        for (address, expected) in [
            ("10.0.0.0", AclAction::Block),
            ("10.200.0.1", AclAction::Block),
            ("10.255.255.255", AclAction::Block),
            ("11.0.0.0", AclAction::Block),
            ("11.0.0.1", AclAction::Allow),
            ("9.255.255.255", AclAction::Allow),
            ("::1", AclAction::Block),
            ("::ffff:11.0.0.1", AclAction::Allow),
        ] {
            assert_eq!(verdict(plugins, "example.org.", "A", address), expected, "{address}");
        }
    }

    #[test]
    fn who_is_refused_is_told_so_unless_dropped() {
        assert_eq!(AclAction::Allow.refusal(), None);
        assert_eq!(AclAction::Block.refusal(), Some((ResponseCode::Refused, ExtendedError::Blocked)));
        assert_eq!(AclAction::Filter.refusal(), Some((ResponseCode::NoError, ExtendedError::Filtered)));
        assert_eq!(AclAction::Drop.refusal(), None);
    }
}
