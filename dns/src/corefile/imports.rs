//! Snippets, imports and variables: the words of all files in the order in which they count.
//! A variable never makes two words of one, and what it holds is not looked at again.

use super::lexer::{self, MAX_WORDS};
use super::{Environment, Note, Place, PlanError, Word};
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How deep imports may lie in each other: a file that imports itself ends here.
const MAX_DEPTH: usize = 32;
/// Imports in all: with doubling at each level, depth alone bounds nothing.
const MAX_IMPORTS: usize = 1000;
/// What words with variables may hold in all; bytes.
const MAX_REPLACED: usize = 4 << 20;
/// What all imported files may hold; bytes.
const MAX_IMPORTED: usize = 4 << 20;

struct Expansion<'e> {
    environment: &'e dyn Environment,
    snippets: HashMap<Arc<str>, Vec<Word>>,
    /// Open braces before the next word; snippets are defined outside of all.
    open: usize,
    imports: usize,
    /// Words of snippets, each time that one is imported.
    copied: usize,
    replaced: usize,
    imported: usize,
    notes: Vec<Note>,
    words: Vec<Word>,
}

/// Replaces imports by what they stand for, takes snippets out, and fills in variables; with what is worth telling, also
/// where that fails.
///
/// # Errors
/// What is imported cannot be read or is malformed, or a bound is passed.
pub(super) fn expand(words: Vec<Word>, environment: &dyn Environment) -> (Result<Vec<Word>, PlanError>, Vec<Note>) {
    let mut expansion = Expansion {
        environment,
        snippets: HashMap::new(),
        open: 0,
        imports: 0,
        copied: 0,
        replaced: 0,
        imported: 0,
        notes: Vec::new(),
        words: Vec::new(),
    };
    let taken = expansion.take(words, 0);
    let Expansion { words, notes, .. } = expansion;
    (taken.map(|()| words), notes)
}

impl Expansion<'_> {
    fn take(&mut self, words: Vec<Word>, depth: usize) -> Result<(), PlanError> {
        let mut words = words.into_iter().peekable();
        while let Some(word) = words.next() {
            if self.words.len() >= MAX_WORDS {
                return Err(PlanError::syntax(&word.place, format!("more than {MAX_WORDS} words")));
            }
            if word.opens_line && word.is("import") {
                let mut arguments = Vec::new();
                while let Some(argument) = words.next_if(|next| !next.opens_line) {
                    arguments.push(argument);
                }
                self.import(&word.place, &arguments, depth)?;
                continue;
            }
            let snippet = word.opens_line.then(|| snippet_name(&word)).flatten();
            if let Some(name) = snippet.filter(|_| self.open == 0 && words.peek().is_some_and(|next| next.is("{"))) {
                words.next();
                let body = body(&mut words, &word.place)?;
                if self.snippets.insert(name, body).is_some() {
                    return Err(PlanError::syntax(&word.place, format!("a second snippet {}", word.text)));
                }
                continue;
            }
            if word.is("{") {
                self.open += 1;
            } else if word.is("}") {
                self.open = self.open.saturating_sub(1);
            }
            let word = self.replaced(word)?;
            self.words.push(word);
        }
        Ok(())
    }

    fn import(&mut self, place: &Place, arguments: &[Word], depth: usize) -> Result<(), PlanError> {
        let [argument] = arguments else {
            return Err(PlanError::syntax(place, "import takes one snippet, file or pattern"));
        };
        let name = self.replaced(argument.clone())?.text;
        if name.is_empty() {
            return Err(PlanError::syntax(place, "import of nothing"));
        }
        if depth >= MAX_DEPTH {
            let message = format!("imports lie more than {MAX_DEPTH} deep in each other; does {name} import itself?");
            return Err(PlanError::syntax(place, message));
        }
        self.count_import(place)?;
        if let Some(snippet) = self.snippets.get(&name) {
            // One that imports itself is there as often as that goes on.
            self.copied = self.copied.saturating_add(snippet.len());
            if self.copied > MAX_WORDS {
                return Err(PlanError::syntax(place, format!("snippets hold more than {MAX_WORDS} words")));
            }
            return self.take(snippet.clone(), depth + 1);
        }
        let path = Path::new(&*place.file).parent().unwrap_or(Path::new("")).join(&*name);
        for (index, file) in self.files(place, &path)?.into_iter().enumerate() {
            if index > 0 {
                self.count_import(place)?;
            }
            let text = self.environment.read(&file).map_err(|error| {
                PlanError::syntax(place, format!("{} cannot be imported: {}", file.display(), reason(&error)))
            })?;
            self.imported = self.imported.saturating_add(text.len());
            if self.imported > MAX_IMPORTED {
                return Err(PlanError::syntax(place, format!("imports hold more than {MAX_IMPORTED} bytes")));
            }
            let words = lexer::words(&text, &file.display().to_string().into())?;
            self.take(words, depth + 1)?;
        }
        Ok(())
    }

    fn count_import(&mut self, place: &Place) -> Result<(), PlanError> {
        self.imports += 1;
        let message = || format!("more than {MAX_IMPORTS} imports");
        if self.imports > MAX_IMPORTS { Err(PlanError::syntax(place, message())) } else { Ok(()) }
    }

    /// The files that a path or pattern means, sorted by name.
    fn files(&mut self, place: &Place, path: &Path) -> Result<Vec<PathBuf>, PlanError> {
        let is_pattern = |part: &str| part.contains(['*', '?', '[']);
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let directory = path.parent().unwrap_or(Path::new(""));
        if is_pattern(&directory.to_string_lossy()) || name.contains('[') || name.matches(['*', '?']).count() > 1 {
            let message = "a pattern has one '*' or '?', in the last part of its path";
            return Err(PlanError::syntax(place, format!("{message}: {}", path.display())));
        }
        if !is_pattern(&name) {
            return Ok(vec![path.to_owned()]);
        }
        let names = self.environment.list(directory).map_err(|error| {
            PlanError::syntax(place, format!("{} cannot be read: {}", directory.display(), reason(&error)))
        })?;
        // What a mounted ConfigMap is made of has such names: ..data, ..2026_01_01.
        let mut names: Vec<_> = names.into_iter().filter(|file| !file.starts_with("..") && fits(&name, file)).collect();
        names.sort();
        if names.is_empty() {
            let message = format!("nothing to import is called {}: the line adds nothing", path.display());
            self.notes.push(Note { is_missing: true, ..Note::syntax(place, message) });
        }
        Ok(names.into_iter().map(|name| directory.join(name)).collect())
    }

    /// The word with `{$NAME}` and `{%NAME%}` replaced; a variable that is not set is empty.
    fn replaced(&mut self, word: Word) -> Result<Word, PlanError> {
        if !word.text.contains("{$") && !word.text.contains("{%") {
            return Ok(word);
        }
        let mut text = String::new();
        let mut rest = &*word.text;
        while let Some((before, name, after)) = next_variable(rest) {
            text.push_str(before);
            match self.environment.variable(name) {
                Some(value) => text.push_str(&value),
                None => {
                    let message = format!("the variable {name} is not set: it counts as empty");
                    self.notes.push(Note::syntax(&word.place, message));
                }
            }
            rest = after;
            if self.replaced.saturating_add(text.len()) > MAX_REPLACED || self.notes.len() > MAX_WORDS {
                return Err(PlanError::syntax(&word.place, format!("variables hold more than {MAX_REPLACED} bytes")));
            }
        }
        text.push_str(rest);
        self.replaced = self.replaced.saturating_add(text.len());
        Ok(Word { text: text.into(), ..word })
    }
}

/// What stands before the first variable, its name, and what stands after it.
fn next_variable(text: &str) -> Option<(&str, &str, &str)> {
    let start = text.find("{$").into_iter().chain(text.find("{%")).min()?;
    let (before, reference) = text.split_at(start);
    let end = if reference.starts_with("{$") { "}" } else { "%}" };
    let (name, after) = reference.get(2..)?.split_once(end)?;
    (!name.is_empty()).then_some((before, name, after))
}

fn snippet_name(word: &Word) -> Option<Arc<str>> {
    let name = word.text.strip_prefix('(')?.strip_suffix(')')?;
    (!word.is_quoted).then(|| name.into())
}

/// The words up to the brace that closes one that is open already.
fn body(words: &mut impl Iterator<Item = Word>, place: &Place) -> Result<Vec<Word>, PlanError> {
    let mut body = Vec::new();
    let mut open = 1_usize;
    for word in words {
        if word.is("{") {
            open += 1;
        } else if word.is("}") {
            open -= 1;
            if open == 0 {
                return Ok(body);
            }
        }
        body.push(word);
    }
    Err(PlanError::syntax(place, "this snippet's '{' is never closed"))
}

/// Whether `name` is what a pattern with at most one `*` or `?` means.
fn fits(pattern: &str, name: &str) -> bool {
    let around = |(before, after): (&str, &str)| Some(name.strip_prefix(before)?.strip_suffix(after)?.chars().count());
    match (pattern.split_once('*'), pattern.split_once('?')) {
        (Some(sides), _) => around(sides).is_some(),
        (None, Some(sides)) => around(sides) == Some(1),
        (None, None) => pattern == name,
    }
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::InvalidData => "it is not UTF-8".to_owned(),
        _ => error.to_string(),
    }
}
