//! What the kubelet could not do, for those who wonder why a Pod does not run.

use anyhow::Context as _;
use k8s_openapi::jiff::Timestamp;
use std::cell::RefCell;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;

/// A log file; lines that repeat the last one are left out.
pub(super) struct Journal {
    file: File,
    last: RefCell<String>,
}

impl Journal {
    /// # Errors
    /// Where the file cannot be written.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let file = File::options().create(true).append(true).open(path);
        Ok(Self { file: file.with_context(|| path.display().to_string())?, last: RefCell::default() })
    }

    pub(super) fn write(&self, line: &str) {
        if *self.last.borrow() != line {
            line.clone_into(&mut self.last.borrow_mut());
            // Nothing depends on it.
            let _ = writeln!(&self.file, "{} {line}", Timestamp::now());
        }
    }
}
