//! The plan as a Corefile again.

use std::fmt::{self, Display, Write};

/// A plugin with its options, one a line.
#[derive(Debug, Clone)]
pub(super) struct Printed {
    head: String,
    options: Vec<String>,
}

impl Printed {
    /// A plugin, or an option, and its arguments.
    pub(super) fn new(name: &str) -> Self {
        Self { head: name.to_owned(), options: Vec::new() }
    }

    pub(super) fn word(mut self, word: impl Display) -> Self {
        self.head.push(' ');
        self.head.push_str(&quoted(&word.to_string()));
        self
    }

    pub(super) fn words(self, words: impl IntoIterator<Item: Display>) -> Self {
        words.into_iter().fold(self, Self::word)
    }

    /// Adds an option.
    pub(super) fn option(mut self, option: Self) -> Self {
        self.options.push(option.head);
        self
    }

    /// Adds an option if there is one.
    pub(super) fn maybe(self, option: Option<Self>) -> Self {
        match option {
            Some(option) => self.option(option),
            None => self,
        }
    }

    /// Adds an option without arguments where `is_set`.
    pub(super) fn switch(self, name: &str, is_set: bool) -> Self {
        if is_set { self.option(Self::new(name)) } else { self }
    }

    /// Adds an option with a list of arguments where there are any.
    pub(super) fn list(self, name: &str, words: impl IntoIterator<Item: Display>) -> Self {
        let option = Self::new(name).words(words);
        if option.head == name { self } else { self.option(option) }
    }
}

impl Display for Printed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "    {}", self.head)?;
        if !self.options.is_empty() {
            writeln!(f, " {{")?;
            for option in &self.options {
                writeln!(f, "        {option}")?;
            }
            write!(f, "    }}")?;
        }
        f.write_char('\n')
    }
}

/// A word as it must be written to be read as one.
pub(super) fn quoted(word: &str) -> String {
    let needs_quotes = word.is_empty()
        || word.starts_with('"')
        || ["{", "}", "import"].contains(&word)
        || word.contains(|letter: char| letter.is_whitespace() || letter == '#');
    if needs_quotes { format!("\"{}\"", word.replace('"', "\\\"")) } else { word.to_owned() }
}
