//! What there is to say about a Corefile, and where.

use std::fmt;
use std::sync::Arc;

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file, as it was named: by the user, or by the path that an `import` leads to.
    pub file: Arc<str>,
    /// Counted from 1.
    pub line: u32,
}

/// Something that a user should know, and no fault.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Note {
    /// Where.
    pub place: Place,
    /// The plugin, with its option after a colon if it is about one; empty: the file itself.
    pub subject: String,
    /// What, in one line.
    pub message: String,
    /// Whether it is about a file that is needed and cannot be read here: what it would say is gone, or nothing starts.
    /// That it is so where a Corefile is looked at says nothing of where it is served.
    pub is_missing: bool,
}

impl Note {
    /// About the file itself.
    pub(super) fn syntax(place: &Place, message: impl fmt::Display) -> Self {
        Self { place: place.clone(), subject: String::new(), message: message.to_string(), is_missing: false }
    }
}

/// Why a Corefile cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("{0}")]
pub struct PlanError(pub Note);

/// All that is wrong with a Corefile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Never empty, in the order of the lines.
    pub errors: Vec<PlanError>,
    /// What there is to say about the text itself, in the same order, since it may be the cause: variables that are not
    /// set, and patterns of files that mean none.
    pub notes: Vec<Note>,
}

impl PlanError {
    /// A fault of the syntax, before any plugin is known.
    pub(crate) fn syntax(place: &Place, message: impl fmt::Display) -> Self {
        Self(Note::syntax(place, message))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, subject, message, is_missing: _ } = self;
        if subject.is_empty() { write!(f, "{place}: {message}") } else { write!(f, "{place}: {subject}: {message}") }
    }
}
