//! SRV records: which were written, and where the names of their targets stand.

use crate::reply::Pointer;

/// Targets that are remembered: more than a UDP reply holds.
const FEW: usize = 32;

/// An endpoint's label, if the target has one, and a port.
pub(super) type Target<'s> = (Option<&'s str>, u16);

/// The targets written so far, on the stack, so that an answer allocates nothing.
pub(super) struct Targets<'s> {
    known: [Option<(Target<'s>, Option<Pointer>)>; FEW],
    /// Whether there is room for all.
    has_room: bool,
}

impl<'s> Targets<'s> {
    /// Room for this many, if they are few.
    pub(super) fn new(most: usize) -> Self {
        Self { known: [None; FEW], has_room: most <= FEW }
    }

    /// Whether it was written; `is_repeated` finds out where that is not remembered.
    pub(super) fn contains(&self, target: Target<'s>, is_repeated: impl FnOnce() -> bool) -> bool {
        if self.has_room { self.written().any(|(known, _)| known == target) } else { is_repeated() }
    }

    /// Adds one whose name stands there.
    pub(super) fn insert(&mut self, target: Target<'s>, name: Option<Pointer>) {
        if self.has_room
            && let Some(place) = self.known.iter_mut().find(|place| place.is_none())
        {
            *place = Some((target, name));
        }
    }

    /// Where the name with this label stands, if that is known.
    pub(super) fn name(&self, label: Option<&str>) -> Option<Pointer> {
        self.written().find(|((other, _), _)| *other == label).and_then(|(_, name)| name)
    }

    fn written(&self) -> impl Iterator<Item = (Target<'s>, Option<Pointer>)> {
        self.known.iter().map_while(|known| *known)
    }
}
