//! Server blocks and their lines, from words.

use super::{Place, PlanError, Word};
use std::iter::Peekable;
use std::vec::IntoIter;

/// How deep blocks may lie in each other; plugins have one level.
const MAX_DEPTH: usize = 4;

/// A server block: the zones it is for, and its plugins.
#[derive(Debug)]
pub(crate) struct Section {
    pub(crate) place: Place,
    pub(crate) keys: Vec<Word>,
    pub(crate) lines: Vec<Line>,
}

/// A plugin with its arguments and options, or one of these.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) name: Word,
    pub(crate) arguments: Vec<Word>,
    /// `None`: there are no braces.
    pub(crate) body: Option<Vec<Line>>,
}

struct Parser {
    words: Peekable<IntoIter<Word>>,
    /// Words that end in a brace, and their lines with them: it was meant to open a block.
    glued: Vec<Word>,
}

/// All server blocks.
///
/// # Errors
/// Braces that do not match, and blocks that are for nothing.
pub(super) fn sections(words: Vec<Word>) -> Result<Vec<Section>, PlanError> {
    let ends_line = |at: usize| words.get(at + 1).is_none_or(|next| next.opens_line);
    let is_glued = |word: &Word| !word.is_quoted && word.text.len() > 1 && word.text.ends_with('{');
    let glued = words.iter().enumerate().filter(|(at, word)| is_glued(word) && ends_line(*at));
    let glued = glued.map(|(_, word)| word.clone()).collect();
    let mut parser = Parser { words: words.into_iter().peekable(), glued };
    let mut sections = Vec::new();
    while let Some(first) = parser.words.peek() {
        let place = first.place.clone();
        let (keys, opening) = parser.keys()?;
        if keys.is_empty() {
            return Err(PlanError::syntax(&place, "a server block without a zone"));
        }
        let lines = parser.lines(opening.as_ref(), 0)?;
        sections.push(Section { place, keys, lines });
    }
    Ok(sections)
}

impl Parser {
    /// A brace closes nothing, perhaps since one before it is a part of a word.
    fn stray(&self, place: &Place) -> PlanError {
        let is_before = |word: &&Word| word.place.file == place.file && word.place.line < place.line;
        match self.glued.iter().rev().find(is_before) {
            Some(word) => PlanError::syntax(
                &word.place,
                format!(
                    "{:?} is one word, and the '}}' in {place} closes nothing: '{{' needs white space before it",
                    word.text
                ),
            ),
            None => PlanError::syntax(place, "'}' without '{'"),
        }
    }

    /// The words before a block, and where its brace is; `None`: it has none, and goes to the end.
    fn keys(&mut self) -> Result<(Vec<Word>, Option<Place>), PlanError> {
        let mut keys: Vec<Word> = Vec::new();
        // After a comma the next zone may stand on the next line.
        let mut comma: Option<Place> = None;
        while let Some(word) =
            self.words.next_if(|word| keys.is_empty() || comma.is_some() || !word.opens_line || word.is("{"))
        {
            if word.is("}") {
                return Err(self.stray(&word.place));
            }
            if word.is("{") {
                return match comma {
                    Some(place) => Err(PlanError::syntax(&place, "a zone must follow ','")),
                    None => Ok((keys, Some(word.place))),
                };
            }
            comma = None;
            match word.text.strip_suffix(',').map(Into::into) {
                Some(text) => {
                    comma = Some(word.place.clone());
                    keys.push(Word { text, ..word });
                }
                None => keys.push(word),
            }
        }
        match comma {
            Some(place) => Err(PlanError::syntax(&place, "a zone must follow ','")),
            None => Ok((keys, None)),
        }
    }

    /// Lines up to the brace that closes the one at `opening`, or to the end where there is none.
    fn lines(&mut self, opening: Option<&Place>, depth: usize) -> Result<Vec<Line>, PlanError> {
        let mut lines = Vec::new();
        while let Some(word) = self.words.next() {
            if word.is("{") {
                return Err(PlanError::syntax(&word.place, "'{' without a plugin before it"));
            }
            if !word.is("}") {
                lines.push(self.line(word, depth)?);
                continue;
            }
            if opening.is_none() {
                return Err(self.stray(&word.place));
            }
            return match self.words.peek() {
                Some(next) if !next.opens_line => {
                    Err(PlanError::syntax(&next.place, format!("{:?} must begin a line of its own", next.text)))
                }
                _ => Ok(lines),
            };
        }
        match opening {
            Some(place) => Err(PlanError::syntax(place, "this '{' is never closed")),
            None => Ok(lines),
        }
    }

    fn line(&mut self, name: Word, depth: usize) -> Result<Line, PlanError> {
        let mut arguments = Vec::new();
        // The last option of a plugin may have the brace that closes them on its line, as Caddy has it.
        let ends = |word: &Word| depth > 0 && word.is("}");
        while let Some(word) = self.words.next_if(|word| !ends(word) && (!word.opens_line || word.is("{"))) {
            if word.is("}") {
                return Err(PlanError::syntax(&word.place, "'}' must begin a line of its own"));
            }
            if !word.is("{") {
                arguments.push(word);
                continue;
            }
            if depth >= MAX_DEPTH {
                return Err(PlanError::syntax(&word.place, "blocks lie too deep in each other"));
            }
            let body = self.lines(Some(&word.place), depth + 1)?;
            return Ok(Line { name, arguments, body: Some(body) });
        }
        Ok(Line { name, arguments, body: None })
    }
}
