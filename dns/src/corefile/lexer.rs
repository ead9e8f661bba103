//! Words of a Corefile: what stands between white space, or in double quotes, in which only `\"` is an escape; `#` begins
//! a comment anywhere outside of quotes.

use super::{Place, PlanError};
use std::str::Chars;
use std::sync::Arc;

/// Words in one file, and in all of them.
pub(super) const MAX_WORDS: usize = 100_000;

/// A word and where it begins.
#[derive(Debug, Clone)]
pub(crate) struct Word {
    /// Without its quotes.
    pub(crate) text: Arc<str>,
    pub(crate) place: Place,
    /// In quotes, braces and `import` are text.
    pub(crate) is_quoted: bool,
    /// Whether it is the first of its line.
    pub(crate) opens_line: bool,
}

impl Word {
    /// Whether this is `bare`, outside of quotes.
    pub(crate) fn is(&self, bare: &str) -> bool {
        !self.is_quoted && *self.text == *bare
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }
}

struct Lexer<'t> {
    letters: Chars<'t>,
    file: &'t Arc<str>,
    line: u32,
    opens_line: bool,
    words: Vec<Word>,
}

/// All words of a text.
///
/// # Errors
/// A quote that is never closed, or more than 100,000 words.
pub(super) fn words(text: &str, file: &Arc<str>) -> Result<Vec<Word>, PlanError> {
    let letters = text.strip_prefix('\u{feff}').unwrap_or(text).chars();
    let mut lexer = Lexer { letters, file, line: 1, opens_line: true, words: Vec::new() };
    let mut word = String::new();
    while let Some(letter) = lexer.letters.next() {
        if lexer.words.len() > MAX_WORDS {
            return Err(PlanError::syntax(&lexer.place(), format!("more than {MAX_WORDS} words")));
        }
        match letter {
            '\r' => {}
            '"' if word.is_empty() => lexer.quoted()?,
            '#' => {
                lexer.end(&mut word);
                if lexer.letters.any(|letter| letter == '\n') {
                    lexer.next_line();
                }
            }
            letter if letter.is_whitespace() => {
                lexer.end(&mut word);
                if letter == '\n' {
                    lexer.next_line();
                }
            }
            letter => word.push(letter),
        }
    }
    lexer.end(&mut word);
    Ok(lexer.words)
}

impl Lexer<'_> {
    fn place(&self) -> Place {
        Place { file: Arc::clone(self.file), line: self.line }
    }

    fn next_line(&mut self) {
        self.line = self.line.saturating_add(1);
        self.opens_line = true;
    }

    fn end(&mut self, word: &mut String) {
        if !word.is_empty() {
            let word = Word {
                text: std::mem::take(word).into(),
                place: self.place(),
                is_quoted: false,
                opens_line: self.opens_line,
            };
            self.words.push(word);
            self.opens_line = false;
        }
    }

    /// What follows an opening quote, which may go over several lines.
    fn quoted(&mut self) -> Result<(), PlanError> {
        let (place, opens_line) = (self.place(), self.opens_line);
        let mut text = String::new();
        let mut is_escaped = false;
        for letter in self.letters.by_ref() {
            if letter == '"' && !is_escaped {
                self.words.push(Word { text: text.into(), place, is_quoted: true, opens_line });
                self.opens_line = false;
                return Ok(());
            }
            if letter == '\n' {
                self.line = self.line.saturating_add(1);
            }
            if is_escaped && letter != '"' {
                text.push('\\');
            }
            is_escaped = letter == '\\' && !is_escaped;
            if !is_escaped {
                text.push(letter);
            }
        }
        Err(PlanError::syntax(&place, "this quote is never closed"))
    }
}
