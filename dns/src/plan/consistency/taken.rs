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
}

impl<'b> Taken<'b> {
    /// What one has already stays with that.
    pub(super) fn add(&mut self, zone: &'b Zone, taker: Taker<'b>) {
        self.0.entry(zone.wire()).or_insert(taker);
    }

    /// Who has every name of a zone. O(labels).
    pub(super) fn by(&self, zone: &Zone) -> Option<Taker<'b>> {
        around(zone.wire()).find_map(|around| self.0.get(around)).copied()
    }
}

/// Who has every one of some zones, the first of them; `None`: a zone is left, or there are none.
pub(super) fn taker_of_all<'b>(zones: &[&Zone], by: impl Fn(&Zone) -> Option<Taker<'b>>) -> Option<Taker<'b>> {
    let takers: Option<Vec<_>> = zones.iter().map(|zone| by(zone)).collect();
    takers?.first().copied()
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
        [(_, taker), _, ..] if idle.len() == zones.len() => {
            vec![block.note_of(part, format!("changes nothing: {taker}"))]
        }
        _ => idle.iter().map(|(zone, taker)| block.note_of(part, format!("{zone} changes nothing: {taker}"))).collect(),
    }
}

impl fmt::Display for Taker<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} in {} takes all such names", self.plugin, self.place)
    }
}
