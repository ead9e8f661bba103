//! `acl`: who may ask for what.

use super::item::{Item, name_of};
use super::print::Printed;
use super::question::record_type;
use super::reading::Reading;
use super::zone::Zone;
use crate::corefile::{Place, PlanError, Word};
use crate::question::TypeName;
use hickory_proto::rr::RecordType;
use ipnet::IpNet;
use std::net::IpAddr;

#[derive(Debug, Clone)]
pub(crate) struct Acl {
    /// Names that it is about.
    pub(crate) zones: Vec<Zone>,
    /// The first that a question meets counts; where it meets none, it is allowed.
    pub(crate) rules: Vec<AclRule>,
}

#[derive(Debug, Clone)]
pub(crate) struct AclRule {
    /// Where it was written.
    pub(super) place: Place,
    pub(crate) action: AclAction,
    /// Empty: all.
    pub(crate) types: Vec<RecordType>,
    /// Empty: all clients.
    pub(crate) networks: Vec<IpNet>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AclAction {
    Allow,
    /// REFUSED.
    Block,
    /// An empty answer.
    Filter,
    /// No answer.
    Drop,
}

const ACTIONS: [(&str, AclAction); 4] = [
    ("allow", AclAction::Allow),
    ("block", AclAction::Block),
    ("filter", AclAction::Filter),
    ("drop", AclAction::Drop),
];

impl Acl {
    pub(super) fn read(item: Item<'_>, reading: &mut Reading<'_>, block: &[Zone]) -> Result<Self, PlanError> {
        let mut acl = Self { zones: item.zones_or(item.arguments(), block)?, rules: Vec::new() };
        let before = reading.errors.len();
        item.options(reading, |_, option| {
            if !ACTIONS.iter().any(|(name, _)| option.name().eq_ignore_ascii_case(name)) {
                return Err(option.unknown(&ACTIONS.map(|(name, _)| name)));
            }
            acl.rules.push(AclRule::read(option)?);
            Ok(())
        });
        if acl.rules.is_empty() && reading.errors.len() == before {
            reading.note(item, "changes nothing: it has no rule");
        }
        Ok(acl)
    }

    pub(super) fn printed(&self) -> Printed {
        let printed = Printed::new("acl").words(&self.zones);
        self.rules.iter().fold(printed, |printed, rule| printed.option(rule.printed()))
    }
}

impl AclRule {
    fn read(option: Item<'_>) -> Result<Self, PlanError> {
        let action = option.choice_in_any_case(option.name_word(), &ACTIONS)?;
        let place = option.place().clone();
        let mut rule = Self { place, action, types: Vec::new(), networks: Vec::new() };
        let mut rest = option.arguments();
        while let [section, after @ ..] = rest {
            let opens = |word: &Word| ["type", "net"].iter().any(|name| word.text.eq_ignore_ascii_case(name));
            let end = after.iter().position(opens).unwrap_or(after.len());
            let (words, next) = after.split_at(end);
            rest = next;
            if words.is_empty() {
                return Err(option.error(format!("nothing follows {:?}", section.text)));
            }
            let is_all = words.iter().any(|word| word.as_str() == "*");
            match section.text.to_ascii_lowercase().as_str() {
                "type" | "net" if is_all => {}
                "type" => {
                    for word in words {
                        rule.types.push(record_type(option, word)?);
                    }
                }
                "net" => {
                    for word in words {
                        rule.networks.push(network(option, word)?);
                    }
                }
                _ => return Err(option.error(format!("type or net must stand before {:?}", section.text))),
            }
        }
        Ok(rule)
    }

    /// Whether it is for everybody, and all that they ask.
    pub(super) fn is_for_all(&self) -> bool {
        self.types.is_empty() && self.networks.is_empty()
    }

    /// Whether it is for every question that another one is for.
    pub(super) fn covers(&self, other: &Self) -> bool {
        let is_in = |network: &IpNet| self.networks.iter().any(|own| own.contains(network));
        let has_types = !other.types.is_empty() && other.types.iter().all(|of| self.types.contains(of));
        let has_networks = !other.networks.is_empty() && other.networks.iter().all(is_in);
        (self.types.is_empty() || has_types) && (self.networks.is_empty() || has_networks)
    }

    /// What it is called where it is told of.
    pub(super) fn as_str(&self) -> &'static str {
        name_of(&self.action, &ACTIONS)
    }

    fn printed(&self) -> Printed {
        let list = |name: &str, words: Vec<String>| {
            if words.is_empty() { vec![] } else { [vec![name.to_owned()], words].concat() }
        };
        let types = list("type", self.types.iter().map(|of| TypeName(*of).to_string()).collect());
        let networks = list("net", self.networks.iter().map(ToString::to_string).collect());
        Printed::new(self.as_str()).words(types).words(networks)
    }
}

fn network(option: Item<'_>, word: &Word) -> Result<IpNet, PlanError> {
    let alone = |text: &str| text.parse().ok().map(|ip: IpAddr| IpNet::from(ip));
    let network = word.text.parse().ok().or_else(|| alone(&word.text)).map(|network: IpNet| network.trunc());
    network.ok_or_else(|| option.error(format!("{:?} is no network", word.text)))
}
