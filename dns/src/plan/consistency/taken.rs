//! Zones of which one part of a block leaves those behind it nothing.

use super::asked::around;
use crate::corefile::{Note, Place};
use crate::plan::{Block, Zone};
use std::collections::HashMap;
use std::fmt;

/// By their names in wire form and lower case, who has all of each.
#[derive(Debug, Default)]
pub(super) struct Taken<'b>(HashMap<&'b [u8], Taker<'b>>);

/// A part of a block, and where it was written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taker<'b> {
    pub(super) plugin: &'static str,
    pub(super) place: &'b Place,
    /// Whether questions for PTR records go on all the same.
    pub(super) leaves_pointers: bool,
}

impl<'b> Taken<'b> {
    /// What one before has wholly stays with that.
    pub(super) fn add(&mut self, zone: &'b Zone, taker: Taker<'b>) {
        if self.by(zone).is_none_or(|before| before.leaves_pointers && !taker.leaves_pointers) {
            self.0.insert(zone.wire(), taker);
        }
    }

    /// Who has every name of a zone. O(labels).
    pub(super) fn by(&self, zone: &Zone) -> Option<Taker<'b>> {
        let takers = around(zone.wire()).filter_map(|around| self.0.get(around)).copied();
        takers.min_by_key(|taker| taker.leaves_pointers)
    }
}

impl<'b> Taker<'b> {
    pub(super) fn new(plugin: &'static str, place: &'b Place) -> Self {
        Self { plugin, place, leaves_pointers: false }
    }
}

/// Who has every one of some zones, the first of them; `None`: a zone is left, or there are none.
pub(super) fn taker_of_all<'b>(zones: &[&Zone], by: impl Fn(&Zone) -> Option<Taker<'b>>) -> Option<Taker<'b>> {
    let takers: Vec<_> = zones.iter().map(|zone| by(zone)).collect::<Option<_>>()?;
    takers.iter().find(|taker| taker.leaves_pointers).or(takers.first()).copied()
}

/// Tells of the zones of the `nth` part of its kind of which nothing is left for it: of each, or in one line of several
/// where they are all that it has.
pub(super) fn tell_left_out<'b>(
    block: &Block,
    part: (&str, usize),
    zones: &[Zone],
    taker_of: impl Fn(&Zone) -> Option<Taker<'b>>,
) -> Vec<Note> {
    let idle: Vec<_> = zones.iter().filter_map(|zone| Some((zone, taker_of(zone)?))).collect();
    match &idle[..] {
        [(_, taker), _, ..] if idle.len() == zones.len() => vec![block.note_of(part, taker.to_string())],
        _ => idle.iter().map(|(zone, taker)| block.note_of(part, format!("{zone} {taker}"))).collect(),
    }
}

/// What it says of what is behind it.
impl fmt::Display for Taker<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plugin, place, leaves_pointers } = self;
        if *leaves_pointers {
            return write!(f, "changes nothing but for PTR: the {plugin} in {place} takes all other questions");
        }
        let all = if ["acl", "template"].contains(plugin) { "questions" } else { "names" };
        write!(f, "changes nothing: the {plugin} in {place} takes all such {all}")
    }
}
