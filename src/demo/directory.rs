//! The directory of the demo's manifests, which is there to be edited and gone afterwards.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// A directory that only its user can read; dropping it removes it.
#[derive(Debug)]
pub(super) struct Directory(PathBuf);

impl Directory {
    /// Makes it, with these files.
    ///
    /// # Errors
    /// It cannot be made, or exists.
    pub(super) fn create(files: &[(&str, String)]) -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("tidegate-demo-{}", std::process::id()));
        DirBuilder::new().mode(0o700).create(&path)?;
        let directory = Self(path);
        for (name, text) in files {
            fs::write(directory.0.join(name), text)?;
        }
        Ok(directory)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "cannot be removed");
        }
    }
}
