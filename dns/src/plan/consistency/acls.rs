//! Rules of `acl` that no question meets, since one before them is for it, and lists that refuse nothing.

use super::asked::Asked;
use super::taken::{Taken, Taker, taker_of_all};
use crate::corefile::Note;
use crate::plan::reading::Reading;
use crate::plan::{Acl, AclAction, AclRule, Block, Zone};

/// Rules and zones that are compared in one block; what more would find is not told.
const MAX_COMPARED: usize = 1_000_000;

pub(super) fn tell_idle(block: &Block, asked: &Asked<'_>, reading: &mut Reading<'_>) {
    let mut left = MAX_COMPARED;
    for (nth, acl) in block.acls.iter().enumerate() {
        let (before, _) = block.acls.split_at(nth);
        // Those whose rules all questions of this list have met before its own.
        let outer = before.iter().filter(|other| {
            left = left.saturating_sub(1 + acl.zones.len() + other.zones.len());
            left > 0 && is_within(acl, other, asked)
        });
        let outer: Vec<_> = outer.collect();
        for (index, rule) in acl.rules.iter().enumerate() {
            let (own, _) = acl.rules.split_at(index);
            let mut earlier = outer.iter().flat_map(|other| &other.rules).chain(own);
            let first = earlier.find(|other| {
                left = left.saturating_sub(1);
                left > 0 && other.covers(rule)
            });
            if let Some(first) = first {
                let message = format!("changes nothing: the rule in {} takes all such questions", first.place);
                reading.notes.push(note(rule, message));
            }
        }
    }
    let rules = || block.acls.iter().flat_map(|acl| &acl.rules);
    if rules().all(|rule| rule.action == AclAction::Allow) {
        let message = "changes nothing: what no rule is for is allowed too, and no rule here refuses anything";
        reading.notes.extend(rules().map(|rule| note(rule, message.to_owned())));
    }
}

/// Zones of which nothing is let pass, with the first rule that has it so.
pub(super) fn refused(block: &Block) -> impl Iterator<Item = (&Zone, Taker<'_>)> {
    let rules = block.acls.iter().flat_map(|acl| acl.rules.iter().map(move |rule| (acl, rule)));
    // Who is allowed before it passes.
    let before = rules.take_while(|(_, rule)| rule.action != AclAction::Allow);
    let whole = before.filter(|(_, rule)| rule.is_for_all());
    whole.flat_map(|(acl, rule)| acl.zones.iter().map(move |zone| (zone, Taker::new("acl", &rule.place))))
}

/// Whether all names that come to a list are another one's too.
fn is_within(acl: &Acl, other: &Acl, asked: &Asked<'_>) -> bool {
    let mut of_other = Taken::default();
    let Some(rule) = other.rules.first() else { return false };
    other.zones.iter().for_each(|zone| of_other.add(zone, Taker::new("acl", &rule.place)));
    acl.zones.iter().all(|zone| taker_of_all(&asked.within(zone), |zone| of_other.by(zone)).is_some())
}

fn note(rule: &AclRule, message: String) -> Note {
    let subject = format!("acl: {}", rule.as_str());
    Note { place: rule.place.clone(), subject, message, is_missing: false }
}
