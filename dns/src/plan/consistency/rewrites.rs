//! Rules of `rewrite` that no question meets: no such name comes to them, or a rule before them ends with all of theirs.

use super::asked::Asked;
use crate::plan::Block;
use crate::plan::reading::Reading;
use crate::plan::rewrite::{After, NameMatch, Rewrite, RewriteRule};
use hickory_proto::rr::RecordType;
use std::collections::{HashMap, HashSet};

/// Rules that are compared in one block; what more would find is not told.
const MAX_COMPARED: usize = 1_000_000;

pub(super) fn tell_idle(block: &Block, asked: &Asked<'_>, reading: &mut Reading<'_>) {
    let unmet: HashSet<_> = asked.unmet(&block.rewrites).into_iter().collect();
    let mut ends = Ends { left: MAX_COMPARED, ..Ends::default() };
    for (nth, rewrite) in block.rewrites.iter().enumerate() {
        let first = ends.of(&rewrite.rule);
        ends.add(nth, rewrite);
        let message = if let Some(names) = rewrite.rule.names().filter(|_| unmet.contains(&nth)) {
            let [_, text] = names.words();
            format!("{text} is in none of the zones of its block: no such question comes there")
        } else if let Some(first) = first {
            let place = block.place_of("rewrite", first);
            format!("changes nothing: the rule in {place} takes all such questions, and none goes on from it")
        } else {
            continue;
        };
        reading.notes.push(block.note_of(("rewrite", nth), message));
    }
}

/// Rules after which no other one is looked at, by what they are for as the next rule sees it.
#[derive(Default)]
struct Ends<'b> {
    names: Vec<(&'b NameMatch, usize)>,
    types: HashMap<RecordType, usize>,
    /// Of [`MAX_COMPARED`].
    left: usize,
}

impl<'b> Ends<'b> {
    /// The first at which all questions end that a rule is for.
    fn of(&mut self, rule: &RewriteRule) -> Option<usize> {
        let covers = |own: &NameMatch| rule.names().map_or_else(|| own.is_all(), |names| own.covers(names));
        let found = self.names.iter().find(|(own, _)| {
            self.left = self.left.saturating_sub(1);
            self.left > 0 && covers(own)
        });
        let of_type = match rule {
            RewriteRule::Type { from, .. } => self.types.get(from).copied(),
            _ => None,
        };
        found.map(|(_, nth)| *nth).or(of_type)
    }

    fn add(&mut self, nth: usize, rewrite: &'b Rewrite) {
        match (&rewrite.rule, rewrite.after) {
            (RewriteRule::Type { from, .. }, After::Stop) => {
                self.types.entry(*from).or_insert(nth);
            }
            (RewriteRule::Type { to, .. }, After::Continue) => {
                self.types.remove(to);
            }
            (RewriteRule::Name(_), After::Continue) => self.names.clear(),
            (rule, After::Stop) => self.names.extend(rule.names().map(|names| (names, nth))),
            (RewriteRule::Ttl { .. } | RewriteRule::Rcode { .. }, After::Continue) => {}
        }
    }
}
