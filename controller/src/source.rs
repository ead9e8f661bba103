//! The manifest source: Kubernetes objects from YAML and JSON files, as they are and as they change.
//! [`load`] reads once, [`follow()`] reads and stays; past a [`Batch`](crate::Batch) a cluster would look the same.

mod claims;
mod document;
mod file;
mod files;
mod finding;
mod follow;
mod manifests;
mod node;
mod nothing;
mod revisions;
#[cfg(test)]
mod tests;
mod tree;
mod typed;
mod watches;

pub use finding::{Finding, Notice, Severity};
pub use follow::{ManifestThread, follow};
pub use nothing::nothing;

use crate::{Change, Object, Printable};
use manifests::Manifests;
use revisions::Revisions;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use watches::Watches;

/// Why a source cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A file or directory cannot be read.
    #[error("{}: cannot be read: {error}", Printable(path.display()))]
    Unreadable {
        /// As it was named.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// There is no thread for it.
    #[error("no thread to read manifests: {0}")]
    Thread(io::Error),
    /// Reading it ended in a fault of this program.
    #[error("reading manifests failed: a fault of this program")]
    Fault,
}

/// An object and where it is described.
#[derive(Debug, Clone, PartialEq)]
pub struct Located {
    /// The object.
    pub object: Object,
    /// The file, as its source was named.
    pub file: Arc<Path>,
    /// The line, counted from 1.
    pub line: u32,
}

/// All that some sources hold.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Each object once, in path order.
    pub objects: Vec<Located>,
    /// What is wrong, in path order.
    pub findings: Vec<Finding>,
}

/// Reads the manifests below `sources`, each a file or a directory, once.
///
/// # Errors
/// Where a source cannot be read. What is wrong below it is a finding.
pub fn load(sources: Vec<PathBuf>) -> Result<Loaded, SourceError> {
    check_sources(&sources)?;
    let load = move || {
        let mut manifests = Manifests::new(sources, Watches::default(), Revisions::new(0, Instant::now()));
        let mut batch = manifests.rescan(|_| false, Instant::now());
        batch.extend(manifests.reread_torn(Instant::now()));
        let applied = batch.changes.into_iter().filter_map(|change| match change {
            Change::Apply(object) => Some(object),
            Change::Delete(_) | Change::Refuse(..) => None,
        });
        Loaded { objects: manifests.locate(applied.collect()), findings: manifests.findings() }
    };
    let thread = std::thread::Builder::new().stack_size(node::STACK).spawn(load).map_err(SourceError::Thread)?;
    thread.join().map_err(|_| SourceError::Fault)
}

/// Opens each source once.
fn check_sources(sources: &[PathBuf]) -> Result<(), SourceError> {
    for path in sources {
        let check =
            || if fs::metadata(path)?.is_dir() { fs::read_dir(path).map(drop) } else { file::open(path).map(drop) };
        check().map_err(|error| SourceError::Unreadable { path: path.clone(), error })?;
    }
    Ok(())
}
