//! Which names the parts of a block are asked for. Those that clients ask for are in its zones; others come where a rule
//! of `rewrite` makes them, or a CNAME or a search list leads to them and no other block is for them.

use crate::plan::rewrite::{After, NameMatch, NameRewrite, Piece, Rewrite, RewriteRule, Substitute};
use crate::plan::{BindTo, Block, Listener, Plan, RecordTemplate, Zone};
use hickory_proto::rr::RecordType;
use std::collections::HashSet;
use std::iter::successors;

/// The names that come to the parts of one block.
pub(super) struct Asked<'p> {
    /// As clients ask for them.
    by_clients: Names,
    /// These, and what rules make of them.
    by_rules: Names,
    /// `None`: no answer leads to another name.
    led: Option<Led<'p>>,
}

/// Names that answers lead to.
struct Led<'p> {
    /// What rules may make of them, and those that come anyway.
    by_rules: Names,
    /// For each listener of the block the zones of all that are there, in wire form: other blocks answer for these.
    taken: Vec<HashSet<&'p [u8]>>,
}

/// Names of zones, and single ones. All are in wire form and lower case.
#[derive(Debug, Clone, Default)]
struct Names {
    zones: HashSet<Box<[u8]>>,
    single: HashSet<Box<[u8]>>,
    /// All of them, and what is above them.
    above: HashSet<Box<[u8]>>,
    /// All of them, each once.
    all: Vec<Zone>,
}

/// What a rule makes of names.
enum Made {
    /// This one.
    Single(Zone),
    /// Names of this zone.
    In(Zone),
}

impl<'p> Asked<'p> {
    pub(super) fn of(plan: &'p Plan, block: &Block) -> Self {
        let mut by_clients = Names::default();
        block.zones().into_iter().for_each(|zone| by_clients.add(Made::In(zone)));
        let by_rules = by_clients.clone().rewritten(&block.rewrites, false);
        let led = leads_on(block, &by_rules)
            .then(|| Led { by_rules: by_rules.clone().rewritten(&block.rewrites, true), taken: taken(plan, block) });
        Self { by_clients, by_rules, led }
    }

    /// The rules, by their places, whose names never come to them; `rewrites`: those of the block.
    pub(super) fn unmet(&self, rewrites: &[Rewrite]) -> Vec<usize> {
        let (mut unmet, mut coming) = (Vec::new(), self.by_clients.clone());
        for (nth, Rewrite { after, rule }) in rewrites.iter().enumerate() {
            let Some(names) = rule.names() else { continue };
            let is_led = || self.led.as_ref().is_some_and(|led| led.may_match(names));
            if !coming.may_match(names) && !is_led() {
                unmet.push(nth);
            } else if let (After::Continue, RewriteRule::Name(NameRewrite { to, .. })) = (after, rule) {
                coming.add(made(names, to));
            }
        }
        unmet
    }

    /// Whether clients ask for any name of a zone.
    pub(super) fn by_clients(&self, zone: &Zone) -> bool {
        self.by_clients.meet(zone)
    }

    /// Whether there is any name of a zone among what rules make of the names that clients ask for, or among these.
    pub(super) fn by_rules(&self, zone: &Zone) -> bool {
        self.by_rules.meet(zone)
    }

    /// Zones that all names of a zone are in which clients ask for; none: they ask for none.
    pub(super) fn within_by_clients<'z>(&'z self, zone: &'z Zone) -> Vec<&'z Zone> {
        self.by_clients.within(zone)
    }

    /// The same of all names of a zone that may come.
    pub(super) fn within<'z>(&'z self, zone: &'z Zone) -> Vec<&'z Zone> {
        let is_led = self.led.as_ref().is_some_and(|led| led.may_be_in(zone));
        if is_led { vec![zone] } else { self.by_rules.within(zone) }
    }

    /// Whether any name of a zone may come, be it that an answer has led to it.
    pub(super) fn at_all(&self, zone: &Zone) -> bool {
        self.by_rules(zone) || self.led.as_ref().is_some_and(|led| led.may_be_in(zone))
    }
}

impl Led<'_> {
    fn may_be_in(&self, zone: &Zone) -> bool {
        let is_taken = |zones: &HashSet<&[u8]>| around(zone.wire()).any(|around| zones.contains(around));
        self.by_rules.meet(zone) || !self.taken.iter().all(is_taken)
    }

    /// Whether one of them may be for a rule.
    fn may_match(&self, names: &NameMatch) -> bool {
        match names {
            NameMatch::Exact(name) => Zone::parse(name.as_str()).map_or(true, |name| self.may_be_in(&name)),
            NameMatch::Suffix(text) => self.may_be_in(&end(text)),
            NameMatch::Prefix(_) | NameMatch::Substring(_) | NameMatch::Regex(_) => true,
        }
    }
}

fn taken<'p>(plan: &'p Plan, block: &Block) -> Vec<HashSet<&'p [u8]>> {
    let own: HashSet<Listener> = block.listeners().map(|(listener, _)| listener).collect();
    let shared = plan.listening.iter().filter(|(listener, _)| own.contains(listener));
    let zones = shared.map(|(listener, zones)| {
        let own = left_out(block, listener);
        // An address that another one leaves out may be this one's alone.
        let is_there = |other: &Block| left_out(other, listener).iter().all(|address| own.contains(address));
        let there = zones.iter().filter(|(_, index)| plan.blocks.get(*index).is_some_and(is_there));
        there.map(|(zone, _)| zone.wire()).collect()
    });
    zones.collect()
}

fn left_out<'b>(block: &'b Block, listener: &Listener) -> &'b [BindTo] {
    block.bind_of(listener).map_or(&[], |(_, bind)| &bind.except)
}

/// Whether there may be an answer that leads to another name: of an ExternalName or a load balancer, with a CNAME of a
/// template, or by the search list of a client. `asked`: the names that it may be the answer for.
fn leads_on(block: &Block, asked: &Names) -> bool {
    let is_asked = |zones: &[Zone]| zones.iter().any(|zone| asked.meet(zone));
    let has_names = |zones: &[Zone]| zones.iter().any(|zone| !zone.is_reverse() && asked.meet(zone));
    let is_alias = |made: &RecordTemplate| made.record_type == RecordType::CNAME;
    block.kubernetes.as_ref().is_some_and(|part| has_names(&part.zones))
        || block.external.as_ref().is_some_and(|part| has_names(&part.zones))
        || block.autopath.as_ref().is_some_and(|part| is_asked(&part.zones))
        || block.templates.iter().any(|part| part.answers.iter().any(is_alias) && is_asked(&part.zones))
}

impl Names {
    fn add(&mut self, made: Made) {
        let (names, zone) = match made {
            Made::Single(zone) => (&mut self.single, zone),
            Made::In(zone) => (&mut self.zones, zone),
        };
        if names.insert(zone.wire().into()) {
            self.above.extend(around(zone.wire()).map(Into::into));
            self.all.push(zone);
        }
    }

    /// With what rules make of them; `of_any`: or of any other name.
    fn rewritten(mut self, rewrites: &[Rewrite], of_any: bool) -> Self {
        // A rule is for what those before it have made too.
        for Rewrite { rule, .. } in rewrites {
            if let RewriteRule::Name(NameRewrite { names, to, .. }) = rule
                && (of_any || self.may_match(names))
            {
                self.add(made(names, to));
            }
        }
        self
    }

    /// Which of them are in a zone: the zone itself where it is within one of them.
    fn within<'z>(&'z self, zone: &'z Zone) -> Vec<&'z Zone> {
        if around(zone.wire()).any(|around| self.zones.contains(around)) {
            return vec![zone];
        }
        self.all.iter().filter(|own| zone.contains(own)).collect()
    }

    /// Whether one of them is in the zone.
    fn meet(&self, zone: &Zone) -> bool {
        self.above.contains(zone.wire()) || around(zone.wire()).any(|around| self.zones.contains(around))
    }

    /// Whether one of them may be for a rule.
    fn may_match(&self, names: &NameMatch) -> bool {
        match names {
            NameMatch::Exact(name) => Zone::parse(name.as_str()).map_or(true, |name| {
                self.single.contains(name.wire()) || around(name.wire()).any(|around| self.zones.contains(around))
            }),
            NameMatch::Suffix(text) => self.meet(&end(text)),
            NameMatch::Prefix(_) | NameMatch::Substring(_) | NameMatch::Regex(_) => true,
        }
    }
}

/// A name in wire form, and all that are above it.
pub(super) fn around(name: &[u8]) -> impl Iterator<Item = &[u8]> {
    successors(Some(name), |name| {
        let (&length, rest) = name.split_first()?;
        rest.get(usize::from(length)..).filter(|rest| !rest.is_empty())
    })
}

/// What a rule makes of the names that it is for.
fn made(names: &NameMatch, Substitute(pieces): &Substitute) -> Made {
    match (names, &pieces[..]) {
        (NameMatch::Exact(_) | NameMatch::Regex(_), [Piece::Text(text)]) if !text.contains('\\') => {
            Zone::parse(text).map_or(Made::In(Zone::root()), Made::Single)
        }
        (NameMatch::Suffix(_) | NameMatch::Regex(_), [.., Piece::Text(text)]) => Made::In(end(text)),
        // What is behind the text may be any part of a name.
        _ => Made::In(Zone::root()),
    }
}

/// The zone of the names that end with a text, be its first label whole or not.
fn end(text: &str) -> Zone {
    let whole = text.split_once('.').map(|(_, whole)| whole).filter(|_| !text.contains('\\'));
    whole.and_then(|whole| Zone::parse(whole).ok()).unwrap_or_else(Zone::root)
}
