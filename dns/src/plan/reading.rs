//! What is gathered while a Corefile is read.

use super::item::Item;
use super::pattern::Pattern;
use crate::corefile::{Environment, Note, PlanError, Word};
use std::cell::Cell;

/// Zones of all blocks and parts: a network that ends within an octet stands for up to 128.
pub(super) const MAX_ZONES: usize = 100_000;
/// Regular expressions in all files: each may take 256 KiB.
const MAX_PATTERNS: usize = 1000;

pub(super) struct Reading<'e> {
    pub(super) environment: &'e dyn Environment,
    pub(super) errors: Vec<PlanError>,
    pub(super) notes: Vec<Note>,
    patterns: usize,
    /// Zones that there may still be.
    pub(super) zones_left: &'e Cell<usize>,
}

impl<'e> Reading<'e> {
    pub(super) fn new(environment: &'e dyn Environment, notes: Vec<Note>, zones_left: &'e Cell<usize>) -> Self {
        Self { environment, errors: Vec::new(), notes, patterns: 0, zones_left }
    }

    /// The value, or the error kept for the end.
    pub(super) fn keep<T>(&mut self, result: Result<T, PlanError>) -> Option<T> {
        result.map_err(|error| self.errors.push(error)).ok()
    }

    pub(super) fn note(&mut self, item: Item<'_>, message: impl Into<String>) {
        let PlanError(note) = item.error(message.into());
        self.notes.push(note);
    }

    /// Of a file that is named there and cannot be read.
    pub(super) fn missing(&mut self, item: Item<'_>, message: String) {
        let PlanError(note) = item.error(message);
        self.notes.push(Note { is_missing: true, ..note });
    }

    pub(super) fn pattern(&mut self, item: Item<'_>, word: &Word) -> Result<Pattern, PlanError> {
        self.patterns += 1;
        if self.patterns > MAX_PATTERNS {
            return Err(item.error(format!("more than {MAX_PATTERNS} regular expressions")));
        }
        Pattern::parse(word.as_str()).map_err(|message| item.error(message))
    }
}
