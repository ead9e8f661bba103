//! Regular expressions, bounded in size and number.

mod go;

use regex::bytes::{Captures, Regex, RegexBuilder};
use std::fmt;

/// What one takes as it is written, as in CoreDNS; bytes.
const LONGEST: usize = 10_000;
/// What one takes at most once compiled, in 256 KiB, which few need: it is tried with each in turn.
const SHARES: [usize; 3] = [1, 4, 16];
const SHARE: usize = 256 << 10;

/// A regular expression as Go reads it, over names in lower case with a dot at the end, which are ASCII. It need not match
/// all of a name.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    regex: Regex,
    text: String,
    shares: usize,
}

/// A match and its groups.
#[derive(Debug)]
pub(crate) struct Groups<'n> {
    name: &'n str,
    captures: Captures<'n>,
}

impl Pattern {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > LONGEST {
            return Err(format!("a regular expression of {} bytes, more than {LONGEST}", text.len()));
        }
        let wrong = |why: &str| format!("{text:?} is no regular expression: {why}");
        let read = go::translated(text).map_err(|why| wrong(&why))?;
        for shares in SHARES {
            match RegexBuilder::new(&read).unicode(false).size_limit(shares * SHARE).build() {
                Ok(regex) => return Ok(Self { regex, text: text.to_owned(), shares }),
                Err(regex::Error::CompiledTooBig(_)) => {}
                Err(error) => {
                    // The parser draws the pattern and an arrow over several lines; the last one says what is wrong.
                    let error = error.to_string();
                    return Err(wrong(error.lines().next_back().unwrap_or_default().trim_start_matches("error: ")));
                }
            }
        }
        Err(format!("the regular expression {text:?} is too large"))
    }

    /// Whether it is one of those that are written to match every name.
    pub(super) fn is_all(&self) -> bool {
        let inner = self.text.strip_prefix('^').unwrap_or(&self.text);
        let inner = inner.strip_suffix('$').unwrap_or(inner);
        ["", ".*", "(.*)", ".+", "(.+)"].contains(&inner)
    }

    /// How much memory it may take, in 256 KiB.
    pub(crate) fn shares(&self) -> usize {
        self.shares
    }

    /// How many groups it has, the whole match among them.
    pub(crate) fn group_count(&self) -> usize {
        self.regex.captures_len()
    }

    pub(crate) fn has_group(&self, name: &str) -> bool {
        self.regex.capture_names().flatten().any(|other| other == name)
    }

    /// The first match in a name, with its groups; O(length of both).
    pub(crate) fn captures<'n>(&self, name: &'n str) -> Option<Groups<'n>> {
        self.regex.captures(name.as_bytes()).map(|captures| Groups { name, captures })
    }

    pub(crate) fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text.as_bytes())
    }
}

impl<'n> Groups<'n> {
    /// The group of a number, 0 the whole match; empty: it has no part in the match.
    pub(crate) fn numbered(&self, number: usize) -> &'n str {
        self.captures.get(number).and_then(|group| self.name.get(group.range())).unwrap_or_default()
    }

    /// The same of a name.
    pub(crate) fn named(&self, name: &str) -> &'n str {
        self.captures.name(name).and_then(|group| self.name.get(group.range())).unwrap_or_default()
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests;
