//! Which names a rule is for, and what it makes of them. All are text in lower case with a dot at the end.

use super::back::Back;
use crate::plan::{Groups, NameMatch, Pattern, Piece, Substitute};

#[derive(Debug)]
pub(super) enum Names {
    Exact(String),
    Prefix(String),
    Suffix(String),
    Substring(String),
    Regex(Pattern),
}

impl Names {
    pub(super) fn new(names: &NameMatch) -> Self {
        match names {
            NameMatch::Exact(name) => Self::Exact(dotted(name.as_str())),
            NameMatch::Prefix(text) => Self::Prefix(dotted(text)),
            NameMatch::Suffix(text) => Self::Suffix(dotted(text)),
            NameMatch::Substring(text) => Self::Substring(dotted(text)),
            NameMatch::Regex(pattern) => Self::Regex(pattern.clone()),
        }
    }

    pub(super) fn holds(&self, name: &str) -> bool {
        match self {
            Self::Exact(text) => name == text,
            Self::Prefix(text) => name.starts_with(text),
            Self::Suffix(text) => name.ends_with(text),
            Self::Substring(text) => name.contains(text),
            Self::Regex(pattern) => pattern.is_match(name),
        }
    }

    /// What becomes of a name, which may be no name any more; `None`: it is not for it.
    pub(super) fn rewritten(&self, name: &str, to: &Substitute) -> Option<String> {
        match self {
            Self::Exact(text) => (name == text).then(|| dotted(&to.fill(None))),
            Self::Prefix(text) => name.strip_prefix(text).map(|rest| dotted(&to.fill(None)) + rest),
            Self::Suffix(text) => name.strip_suffix(text).map(|before| before.to_owned() + &dotted(&to.fill(None))),
            Self::Substring(text) => name.contains(text).then(|| name.replace(text, &dotted(&to.fill(None)))),
            Self::Regex(pattern) => pattern.captures(name).map(|groups| dotted(&to.fill(Some(&groups)))),
        }
    }

    /// How answers get back from the name that was made of `before`: another end, or all of it.
    pub(super) fn back(&self, before: &str, after: &str, to: &Substitute) -> Back {
        match self {
            Self::Suffix(text) => Back::Suffix { from: dotted(&to.fill(None)), to: text.clone() },
            _ => Back::Name { from: after.to_owned(), to: before.to_owned() },
        }
    }
}

impl Substitute {
    /// The text with the groups of a match in it.
    pub(super) fn fill(&self, groups: Option<&Groups<'_>>) -> String {
        let pieces = self.0.iter().map(|piece| match piece {
            Piece::Text(text) => text,
            Piece::Group(number) => groups.map_or("", |groups| groups.numbered(*number)),
        });
        pieces.collect()
    }
}

/// With a dot at the end.
pub(super) fn dotted(text: &str) -> String {
    if text.ends_with('.') { text.to_owned() } else { format!("{text}.") }
}
