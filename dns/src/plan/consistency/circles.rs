//! Forwarding that comes back to the block that it began in. Questions that come back are found while they are answered
//! too, and so a circle is refused here only where every name of a zone stays in it.

#[cfg(test)]
mod tests;

use crate::corefile::PlanError;
use crate::part::local;
use crate::plan::forward::{Forward, Upstream};
use crate::plan::key::Transport;
use crate::plan::reading::Reading;
use crate::plan::rewrite::RewriteRule;
use crate::plan::{AclAction, BindTo, Block, Listener, Plan, Template, TemplateClass, Zone};
use hickory_proto::rr::RecordType;
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Zones that are compared for it in all; circles that would take more are left to be found while they are asked.
const MAX_COMPARED: usize = 10_000_000;
/// Blocks of a circle that are told by their names.
const MAX_TOLD: usize = 3;

/// The blocks of a plan by where they are asked.
struct Search<'p> {
    plan: &'p Plan,
    at: HashMap<&'p Listener, &'p [(Zone, usize)]>,
    /// Of [`MAX_COMPARED`].
    left: usize,
}

/// How names of a zone come back.
struct Circle {
    /// The other blocks on the way, in its order.
    way: Vec<usize>,
    /// Who on the way may see to some of the names; none: all of them come back.
    unless: BTreeSet<&'static str>,
}

pub(super) fn check(plan: &Plan, reading: &mut Reading<'_>) {
    let at = plan.listening.iter().map(|(listener, zones)| (listener, &zones[..])).collect();
    let mut search = Search { plan, at, left: MAX_COMPARED };
    for (start, block) in plan.blocks.iter().enumerate() {
        for (nth, forward) in block.forwards.iter().enumerate() {
            if forward.to.iter().all(|to| search.listening(to).is_none()) {
                continue;
            }
            let mut first = None;
            for zone in asked(block, forward) {
                match search.circle((start, nth), zone) {
                    Some(circle) if circle.unless.is_empty() => {
                        let way = circle.way(plan);
                        let by_way = |way| format!("{zone} is forwarded in a circle, by way of {way}");
                        let to_itself = || format!("{zone} is forwarded to this block itself, and so in a circle");
                        let message = way.map_or_else(to_itself, by_way);
                        reading.errors.push(PlanError(block.note_of(("forward", nth), message)));
                        first = None;
                        break;
                    }
                    Some(circle) => first = first.or(Some((zone, circle))),
                    None => {}
                }
            }
            if let Some((zone, circle)) = first {
                reading.notes.push(block.note_of(("forward", nth), circle.note(zone, plan)));
            }
        }
    }
}

/// What a block is asked for that a `forward` of it is for, each zone once.
fn asked<'p>(block: &'p Block, forward: &'p Forward) -> Vec<&'p Zone> {
    let mut seen = HashSet::new();
    let zones = block.keys.iter().filter_map(|key| match &key.zone {
        zone if forward.from.contains(zone) => Some(zone),
        zone if zone.contains(&forward.from) => Some(&forward.from),
        _ => None,
    });
    zones.filter(|zone| seen.insert(*zone)).collect()
}

impl<'p> Search<'p> {
    /// Whether and how names of a zone come back that a block, which is asked for them, sends to its `nth` forward.
    fn circle(&mut self, (start, nth): (usize, usize), zone: &Zone) -> Option<Circle> {
        let block = self.plan.blocks.get(start)?;
        let forward = block.forwards.get(nth)?;
        let mut unless = BTreeSet::new();
        let is_taken = block.forwards.iter().take(nth).any(|before| before.takes_all(zone));
        let is_left_out = forward.except.iter().any(|left_out| left_out.contains(zone));
        if is_taken || is_left_out || parts_take_all(block, |own| own.contains(zone), zone, &mut unless) {
            return None;
        }
        if forward.may_ask_next() && nth + 1 < block.forwards.len() {
            unless.insert("the next `forward`");
        }
        // From where each block is first asked; the first is from none.
        let mut seen: HashMap<usize, usize> = HashMap::new();
        let (mut next, mut last) = (vec![(start, forward)], None);
        while let Some((index, forward)) = next.pop() {
            for to in &forward.to {
                let Some(target) = self.target(to, zone, start, &mut unless) else {
                    unless.insert("another upstream");
                    continue;
                };
                if target == start {
                    last.get_or_insert(index);
                } else if let Entry::Vacant(first) = seen.entry(target) {
                    first.insert(index);
                    let on = self.plan.blocks.get(target).and_then(|block| forwarded(block, zone, &mut unless));
                    if let Some(on) = on {
                        next.push((target, on));
                    } else {
                        unless.insert("another upstream");
                    }
                }
            }
        }
        let mut way = Vec::new();
        let mut at = last?;
        while at != start {
            way.push(at);
            at = *seen.get(&at)?;
        }
        way.reverse();
        Some(Circle { way, unless })
    }

    /// The block that is asked for a zone at an upstream; `None`: it is none of this plan.
    fn target(
        &mut self,
        to: &Upstream,
        zone: &Zone,
        start: usize,
        unless: &mut BTreeSet<&'static str>,
    ) -> Option<usize> {
        let (listener, zones) = self.listening(to)?;
        self.left = self.left.checked_sub(zones.len())?;
        let index = zones.iter().find(|(own, _)| own.contains(zone)).map(|(_, index)| *index)?;
        let is_parted = zones.iter().any(|(own, other)| *other != index && zone.contains(own));
        // What other blocks are asked for where this one is never came to it.
        let is_only_there = || {
            let block = self.plan.blocks.get(index).filter(|_| index == start);
            block.is_some_and(|block| block.listeners().all(|(own, _)| own == *listener))
        };
        if is_parted && !is_only_there() {
            unless.insert("another block");
        }
        Some(index)
    }

    /// What listens where an upstream is. At all addresses of the host only loopback is surely ours, and of the
    /// interface `lo` only the addresses that it has everywhere.
    fn listening(&self, to: &Upstream) -> Option<(&'p Listener, &'p [(Zone, usize)])> {
        let (transport, address) = match to {
            Upstream::Plain(address) => (Transport::Dns, *address),
            Upstream::Tls { address, .. } => (Transport::Tls, *address),
            Upstream::Host { .. } | Upstream::File(_) => return None,
        };
        let ip = address.ip().to_canonical();
        let is_everywhere = [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()].contains(&ip);
        let places = [
            Some(Some(BindTo::Address(ip))),
            is_everywhere.then(|| Some(BindTo::Interface("lo".to_owned()))),
            (ip.is_loopback() || ip.is_unspecified()).then_some(None),
        ];
        let found = places.into_iter().flatten().find_map(|address_of| {
            let listener = Listener { transport, address: address_of, port: address.port() };
            self.at.get_key_value(&listener)
        });
        let (listener, zones) = found?;
        let mut blocks = zones.iter().filter_map(|(_, index)| self.plan.blocks.get(*index));
        let is_left_out = blocks
            .any(|block| block.bind_of(listener).is_some_and(|(_, bind)| bind.except.contains(&BindTo::Address(ip))));
        (!is_left_out).then_some((*listener, *zones))
    }
}

/// The `forward` that all names of a zone go to, but for those that are told; `None`: there is none, or what is before it
/// answers them all.
fn forwarded<'p>(block: &'p Block, zone: &Zone, unless: &mut BTreeSet<&'static str>) -> Option<&'p Forward> {
    if parts_take_all(block, |own| own.meets(zone), zone, unless) {
        return None;
    }
    for (nth, forward) in block.forwards.iter().enumerate() {
        if !forward.from.contains(zone) {
            if forward.from.meets(zone) {
                unless.insert("another `forward`");
            }
        } else if !forward.except.iter().any(|left_out| left_out.contains(zone)) {
            if !forward.takes_all(zone) {
                unless.insert("`except`");
            }
            if forward.may_ask_next() && nth + 1 < block.forwards.len() {
                unless.insert("the next `forward`");
            }
            return Some(forward);
        }
    }
    None
}

/// Whether a part before `forward` answers all names of a zone; `unless` becomes who answers some of them, or asks for
/// others in their place. `counts`: whether that a part is for a zone is of weight.
fn parts_take_all(
    block: &Block,
    counts: impl Fn(&Zone) -> bool,
    zone: &Zone,
    unless: &mut BTreeSet<&'static str>,
) -> bool {
    if block.rewrites.iter().any(|rewrite| matches!(rewrite.rule, RewriteRule::Name(_))) {
        unless.insert("`rewrite`");
    }
    if block.local.is_some() && local::has_all_of(zone.wire()) {
        unless.insert("`local`");
    }
    let may_refuse = |action| action != AclAction::Allow;
    let mut acls = block.acls.iter().filter(|acl| acl.rules.iter().any(|rule| may_refuse(rule.action)));
    if acls.any(|acl| acl.zones.iter().any(|own| own.meets(zone))) {
        unless.insert("`acl`");
    }
    let mut takes_all = |name, zones: &[Zone], keeps_all: bool| {
        let takes_all = keeps_all && zones.iter().any(|own| own.contains(zone));
        if !takes_all && zones.iter().any(&counts) {
            unless.insert(name);
        }
        takes_all
    };
    let keeps = |fallthrough: &crate::plan::Fallthrough| !fallthrough.0.iter().any(|left| left.meets(zone));
    let by_templates = block
        .templates
        .iter()
        .any(|template| takes_all("`template`", &template.zones, is_for_all(template) && keeps(&template.fallthrough)));
    // Addresses that it does not know always go on.
    let by_hosts = block
        .hosts
        .as_ref()
        .is_some_and(|hosts| takes_all("`hosts`", &hosts.zones, !zone.is_reverse() && keeps(&hosts.fallthrough)));
    let by_external = block
        .external
        .as_ref()
        .is_some_and(|external| takes_all("`k8s_external`", &external.zones, keeps(&external.fallthrough)));
    let by_kubernetes = block
        .kubernetes
        .as_ref()
        .is_some_and(|kubernetes| takes_all("`kubernetes`", &kubernetes.zones, keeps(&kubernetes.fallthrough)));
    by_templates || by_hosts || by_external || by_kubernetes
}

/// Whether it is for every question in its zones.
fn is_for_all(template: &Template) -> bool {
    template.matches.is_empty() && template.record_type == RecordType::ANY && template.class != TemplateClass::Chaos
}

impl Circle {
    fn note(&self, zone: &Zone, plan: &Plan) -> String {
        let way = self.way(plan).map_or_else(|| "to this block itself".to_owned(), |way| format!("by way of {way}"));
        let others: Vec<_> = self.unless.iter().copied().collect();
        format!("names of {zone} come back {way} unless {} on the way sees to them", others.join(" or "))
    }

    /// The blocks on the way, in words; `None`: there are none.
    fn way(&self, plan: &Plan) -> Option<String> {
        let told: Vec<_> = self.way.iter().filter_map(|index| plan.blocks.get(*index)).take(MAX_TOLD).collect();
        let told: Vec<_> = told.into_iter().map(in_words).collect();
        let more = self.way.len().saturating_sub(MAX_TOLD);
        let more = (more > 0).then(|| format!("{more} more"));
        let all: Vec<_> = told.into_iter().chain(more).collect();
        (!all.is_empty()).then(|| all.join(" and "))
    }
}

fn in_words(block: &Block) -> String {
    let mut keys: Vec<_> = block.keys.iter().take(MAX_TOLD).map(ToString::to_string).collect();
    if block.keys.len() > MAX_TOLD {
        keys.push("…".to_owned());
    }
    format!("the block {} in {}", keys.join(" "), block.place)
}
