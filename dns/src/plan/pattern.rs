//! Regular expressions, bounded in size and number.

use regex::{Captures, Regex, RegexBuilder};
use std::fmt;

/// The size of one once compiled; bytes. Rust's own bound is 10 MiB.
const MAX_SIZE: usize = 256 << 10;

/// A regular expression over names in lower case with a dot at the end, which need not match all of a name.
#[derive(Debug, Clone)]
pub(crate) struct Pattern(Regex);

impl Pattern {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let built = RegexBuilder::new(text).size_limit(MAX_SIZE).build();
        built.map(Self).map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => format!("the regular expression {text:?} is too large"),
            error => {
                // The parser draws the pattern and an arrow over several lines; the last one says what is wrong.
                let error = error.to_string();
                let why = error.lines().next_back().unwrap_or_default().trim_start_matches("error: ");
                format!("{text:?} is no regular expression: {why}")
            }
        })
    }

    /// How many groups it has, the whole match among them.
    pub(crate) fn group_count(&self) -> usize {
        self.0.captures_len()
    }

    pub(crate) fn has_group(&self, name: &str) -> bool {
        self.0.capture_names().flatten().any(|other| other == name)
    }

    /// The first match in a name, with its groups; O(length of both).
    pub(crate) fn captures<'n>(&self, name: &'n str) -> Option<Captures<'n>> {
        self.0.captures(name)
    }

    pub(crate) fn is_match(&self, name: &str) -> bool {
        self.0.is_match(name)
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
