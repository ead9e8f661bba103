//! Answers that are locked together: records on one shelf, denials and failures on the other, each with its bound.

use super::entry::Entry;
use super::lifetime::Kind;
use crate::forward::Ask;
use indexmap::IndexMap;
use std::hash::{BuildHasher, RandomState};
use tokio::time::Instant;

/// Entries that are looked at to find the one that goes where one is too many.
const CANDIDATES: usize = 8;

type Shelf = IndexMap<Ask, Entry, RandomState>;

/// A question is on one of the shelves at most.
#[derive(Debug)]
pub(super) struct Part {
    /// By the number that `Kind::shelf` gives.
    shelves: [Shelf; 2],
}

/// What came of putting an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Change {
    /// By shelf: how many more entries there are.
    pub(super) more: [i64; 2],
    /// Those that had to go, of the shelf that was put to.
    pub(super) evicted: u64,
}

impl Part {
    pub(super) fn new(hasher: &RandomState) -> Self {
        Self { shelves: [(), ()].map(|()| Shelf::with_hasher(hasher.clone())) }
    }

    pub(super) fn get_mut(&mut self, ask: &Ask) -> Option<&mut Entry> {
        self.shelves.iter_mut().find_map(|shelf| shelf.get_mut(ask))
    }

    /// How many entries are on each shelf.
    pub(super) fn lens(&self) -> [usize; 2] {
        self.shelves.each_ref().map(Shelf::len)
    }

    /// Forgets what is known about a question.
    pub(super) fn remove(&mut self, ask: &Ask) -> Change {
        let before = self.lens();
        for shelf in &mut self.shelves {
            shelf.swap_remove(ask);
        }
        self.change(before, 0)
    }

    /// Puts an entry in the place of what was known; at most so many of its kind stay.
    pub(super) fn put(&mut self, ask: &Ask, mut entry: Entry, most: usize) -> Change {
        let before = self.lens();
        let old = self.shelves.iter_mut().find_map(|shelf| shelf.swap_remove(ask));
        if let Some(old) = &old {
            entry.inherit(old);
        }
        let (now, kind) = (entry.since, entry.kind);
        let mut evicted = 0;
        let [records, others] = &mut self.shelves;
        let shelf = if kind == Kind::Records { records } else { others };
        shelf.insert(ask.clone(), entry);
        while shelf.len() > most.max(1) {
            shelf.swap_remove_index(first_to_go(shelf, now));
            evicted += 1;
        }
        self.change(before, evicted)
    }

    fn change(&self, before: [usize; 2], evicted: u64) -> Change {
        let [records, others] = self.lens();
        let more = |now: usize, before: usize| now as i64 - before as i64;
        Change { more: [more(records, before[0]), more(others, before[1])], evicted }
    }
}

/// Of some, the one that ends first.
fn first_to_go(shelf: &Shelf, now: Instant) -> usize {
    let turn = shelf.hasher().hash_one((now, shelf.len())) as usize;
    let candidates = (0..CANDIDATES).map(|step| turn.wrapping_add(step) % shelf.len().max(1));
    let first = candidates.min_by_key(|index| shelf.get_index(*index).map(|(_, entry)| entry.until));
    // Not the one that has just come, which is the last.
    first.filter(|index| index + 1 < shelf.len()).unwrap_or(0)
}
