//! The directory of the demo's manifests, which is there to be edited and gone afterwards.

use anyhow::Context as _;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Names that are tried.
const NAMES: u32 = 1000;

/// A directory that only its user can read; dropping it removes it.
#[derive(Debug)]
pub(super) struct Directory(PathBuf);

impl Directory {
    /// Makes it below `parent`, with these files, under a name that nothing has yet: a demo that was killed leaves its own
    /// behind, and in a container the next one has the same process id.
    ///
    /// # Errors
    /// It or one of the files cannot be made; the message names it.
    pub(super) fn create(parent: &Path, files: &[(&str, String)]) -> anyhow::Result<Self> {
        let directory = Self(make(parent).with_context(|| format!("no directory in {}", parent.display()))?);
        for (name, text) in files {
            let path = directory.0.join(name);
            fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        }
        Ok(directory)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

fn make(parent: &Path) -> io::Result<PathBuf> {
    let name = format!("tidegate-demo-{}", std::process::id());
    let names = std::iter::once(name.clone()).chain((2..NAMES).map(|number| format!("{name}-{number}")));
    let mut outcome = Err(io::ErrorKind::AlreadyExists.into());
    for name in names {
        let path = parent.join(name);
        outcome = DirBuilder::new().mode(0o700).create(&path).map(|()| path);
        if !matches!(&outcome, Err(error) if error.kind() == io::ErrorKind::AlreadyExists) {
            break;
        }
    }
    outcome
}

impl Drop for Directory {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "cannot be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_demo_left_is_in_nobodys_way() {
        let parent = tempfile::tempdir().expect("a directory");
        let files = [("a.yaml", "a: 1".to_owned())];
        let left = Directory::create(parent.path(), &files).expect("made");
        let own = Directory::create(parent.path(), &files).expect("made");
        assert_ne!(left.path(), own.path());
        let path = own.path().to_owned();
        assert_eq!(fs::read_to_string(path.join("a.yaml")).expect("written"), "a: 1");
        drop(own);
        assert!(!path.exists() && left.path().exists());
    }

    #[test]
    fn a_parent_that_is_missing_is_named() {
        let parent = tempfile::tempdir().expect("a directory").path().join("gone");
        let error = Directory::create(&parent, &[]).expect_err("refused");
        assert!(error.to_string().contains("gone"), "{error}");
    }
}
