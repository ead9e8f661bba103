//! Corefile syntax, as Caddyfile v1 reads it: text in, server blocks of lines of words out. What the words mean is
//! `plan`'s business. Files, snippets and variables are all bounded, so that no text costs more than some megabytes.

mod environment;
mod imports;
mod lexer;
mod note;
mod parse;

pub use environment::{Environment, System};
pub use note::{Note, Place, PlanError, Refusal};

pub(crate) use lexer::Word;
pub(crate) use parse::{Line, Section};

use std::sync::Arc;

/// The server blocks of a Corefile, with what is worth telling, also where there is a fault.
///
/// # Errors
/// The first fault of the syntax: what follows it may mean something else.
pub(crate) fn sections(
    text: &str,
    path: &str,
    environment: &dyn Environment,
) -> (Result<Vec<Section>, PlanError>, Vec<Note>) {
    match lexer::words(text, &Arc::from(path)) {
        Ok(words) => {
            let (words, notes) = imports::expand(words, environment);
            (words.and_then(parse::sections), notes)
        }
        Err(error) => (Err(error), Vec::new()),
    }
}
