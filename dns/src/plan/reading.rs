//! What is gathered while a Corefile is read.

use super::item::Item;
use super::pattern::Pattern;
use crate::corefile::{Environment, Note, PlanError, Word};
use crate::file;
use std::cell::Cell;
use std::io;
use std::path::Path;

/// Zones of all blocks and parts: a network that ends within an octet stands for up to 128.
pub(super) const MAX_ZONES: usize = 100_000;
/// Regular expressions in all files that take 256 KiB at most; larger ones count as several.
const MAX_PATTERNS: usize = 1000;

/// What it means that a file which a server reads at its start is not there.
pub(super) const NO_START: &str = "a server does not start without it";

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

    /// Tells where a resolv.conf(5) that is needed there cannot be read, and what is done `without` it.
    pub(super) fn needs_resolv_conf(&mut self, item: Item<'_>, file: &str, without: &str) {
        let found = self.environment.read_lossily(Path::new(file)).map(drop);
        let missing = missing(found, file, without);
        self.notes.extend(missing.map(|message| {
            let PlanError(note) = item.error(message);
            Note { is_missing: true, ..note }
        }));
    }

    /// Tells where a file that is needed at the place of `note`, of at most `most` bytes, cannot be read, and what is done
    /// `without` it.
    pub(super) fn needs_file(&mut self, note: &Note, (file, most): (&str, u64), without: &str) {
        let found = self.environment.find(Path::new(file)).and_then(|len| file::within(len, most));
        let missing = missing(found, file, without);
        self.notes.extend(missing.map(|message| Note { is_missing: true, message, ..note.clone() }));
    }

    pub(super) fn pattern(&mut self, item: Item<'_>, word: &Word) -> Result<Pattern, PlanError> {
        let mut parsed = Err(String::new());
        if self.patterns < MAX_PATTERNS {
            parsed = Pattern::parse(word.as_str());
        }
        self.patterns += parsed.as_ref().map_or(1, Pattern::shares);
        if self.patterns > MAX_PATTERNS {
            let message =
                format!("more than {MAX_PATTERNS} regular expressions, of which a large one counts as up to 16");
            return Err(item.error(message));
        }
        parsed.map_err(|message| item.error(message))
    }
}

fn missing(found: io::Result<()>, file: &str, without: &str) -> Option<String> {
    found.err().map(|error| match error.kind() {
        io::ErrorKind::NotFound => format!("there is no {file}: {without}"),
        _ => format!("{file} cannot be read: {error}; {without}"),
    })
}
