//! What is wrong with a manifest, where, and since when it no longer is.

use crate::Printable;
use config::ObjectRef;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// Something is not read; the file's last good objects stay.
    Error,
    /// All is read, but hardly as it was meant.
    Warning,
}

/// Something wrong with a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Finding {
    /// The file, as its source was named.
    pub file: Arc<Path>,
    /// The line, counted from 1; `None`: the file as a whole.
    pub line: Option<u32>,
    /// How bad it is.
    pub severity: Severity,
    /// The object, where its name could be read.
    pub object: Option<ObjectRef>,
    /// What is wrong, without where.
    pub message: String,
}

/// `shop/web.yaml:12: Ingress shop/web: unknown field spec.hots`.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", Printable(Location { file: &self.file, line: self.line }))?;
        if let Some(object) = &self.object {
            write!(f, "{}: ", Printable(object))?;
        }
        write!(f, "{}", Printable(&self.message))
    }
}

/// A line of a file, as it is printed.
struct Location<'f> {
    file: &'f Path,
    line: Option<u32>,
}

impl fmt::Display for Location<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}", self.file.display()),
            None => write!(f, "{}", self.file.display()),
        }
    }
}

/// A change in what is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Something new is wrong.
    Found(Finding),
    /// A file that could not be read can be again.
    Recovered {
        /// The file.
        file: Arc<Path>,
    },
    /// A file that could not be read is gone.
    Removed {
        /// The file.
        file: Arc<Path>,
    },
    /// An object that several files described is described by one.
    Resolved {
        /// The object.
        object: ObjectRef,
        /// The file that describes it.
        file: Arc<Path>,
    },
}

impl Notice {
    /// Writes it to the log.
    pub fn log(&self) {
        match self {
            Self::Found(finding) => {
                let location = Printable(Location { file: &finding.file, line: finding.line });
                let object = finding.object.as_ref().map(|object| tracing::field::display(Printable(object)));
                let message = Printable(&finding.message);
                match finding.severity {
                    Severity::Error => tracing::error!(%location, object, "{message}"),
                    Severity::Warning => tracing::warn!(%location, object, "{message}"),
                }
            }
            Self::Recovered { file } => tracing::info!(location = %Printable(file.display()), "recovered"),
            Self::Removed { file } => {
                tracing::info!(location = %Printable(file.display()), "gone, and what was wrong with it");
            }
            Self::Resolved { object, file } => {
                let (location, object) = (Printable(file.display()), Printable(object));
                tracing::info!(%location, %object, "no longer described twice");
            }
        }
    }
}

#[cfg(test)]
mod tests;
