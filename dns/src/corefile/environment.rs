//! What a Corefile may name besides itself: variables, and files to import.

use crate::file;
use std::io;
use std::path::Path;

/// The largest file that is read; a ConfigMap holds no more. Bytes.
const MAX_FILE: u64 = 1 << 20;

/// Where variables and files come from.
pub trait Environment {
    /// An environment variable; `None`: there is none of that name, or it is not UTF-8.
    fn variable(&self, name: &str) -> Option<String>;

    /// A file's text.
    ///
    /// # Errors
    /// It cannot be read, is no regular file, is not UTF-8, or is larger than 1 MiB.
    fn read(&self, path: &Path) -> io::Result<String>;

    /// The same of a file that need not be UTF-8, as one of the system's whose comments anybody may have written: bytes
    /// that are not are U+FFFD.
    ///
    /// # Errors
    /// It cannot be read, is no regular file, or is larger than 1 MiB.
    fn read_lossily(&self, path: &Path) -> io::Result<String> {
        self.read(path)
    }

    /// The length of a file that can be read, of whatever form it is: those of certificates need not be text. Bytes.
    ///
    /// # Errors
    /// It cannot be read, or is no regular file.
    fn find(&self, path: &Path) -> io::Result<u64> {
        self.read(path).map(|text| text.len() as u64)
    }

    /// The names of what is in a directory, in any order. One that does not exist holds nothing.
    ///
    /// # Errors
    /// It cannot be read.
    fn list(&self, directory: &Path) -> io::Result<Vec<String>>;
}

/// The environment of this process.
#[derive(Debug, Clone, Copy)]
pub struct System;

impl Environment for System {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn read(&self, path: &Path) -> io::Result<String> {
        file::read_text(path, MAX_FILE)
    }

    fn read_lossily(&self, path: &Path) -> io::Result<String> {
        file::read_lossily(path, MAX_FILE)
    }

    fn find(&self, path: &Path) -> io::Result<u64> {
        Ok(file::open(path)?.metadata()?.len())
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        match std::fs::read_dir(directory) {
            Ok(entries) => entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}
