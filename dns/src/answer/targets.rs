//! SRV records: which were written, and where the names of their targets stand.

use crate::reply::Pointer;
use std::collections::HashSet;

/// Targets that are remembered with their places: more than a UDP reply holds.
const FEW: usize = 32;

/// An endpoint's label, if the target has one, and a port.
pub(super) type Target<'s> = (Option<&'s str>, u16);

/// The targets written so far.
#[expect(clippy::large_enum_variant, reason = "most answers allocate nothing")]
pub(super) enum Targets<'s> {
    /// On the stack.
    Few([Option<(Target<'s>, Option<Pointer>)>; FEW]),
    /// Endpoints may share a name, thousands of them, and are no neighbours: they stand by their addresses.
    Many(HashSet<Target<'s>>),
}

impl<'s> Targets<'s> {
    /// Room for this many.
    pub(super) fn new(most: usize) -> Self {
        if most <= FEW { Self::Few([None; FEW]) } else { Self::Many(HashSet::new()) }
    }

    /// Whether it was written.
    pub(super) fn contains(&self, target: Target<'s>) -> bool {
        match self {
            Self::Few(known) => known.iter().map_while(|known| *known).any(|(known, _)| known == target),
            Self::Many(known) => known.contains(&target),
        }
    }

    /// Adds one whose name stands there.
    pub(super) fn insert(&mut self, target: Target<'s>, name: Option<Pointer>) {
        match self {
            Self::Few(known) => {
                if let Some(place) = known.iter_mut().find(|place| place.is_none()) {
                    *place = Some((target, name));
                }
            }
            Self::Many(known) => drop(known.insert(target)),
        }
    }

    /// Where the name with this label stands, if that is known.
    pub(super) fn name(&self, label: Option<&str>) -> Option<Pointer> {
        let Self::Few(known) = self else { return None };
        known.iter().map_while(|known| *known).find(|((other, _), _)| *other == label).and_then(|(_, name)| name)
    }
}
