//! The manifest files below the sources, following links, and every name whose change could change that list.

use super::watches::Watches;
use std::ffi::OsStr;
use std::fs::{self, FileType};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What a walk met.
#[derive(Debug, Default)]
pub(super) struct Tree {
    pub(super) files: Vec<PathBuf>,
    /// Sources and directories that could not be read, with the reason: what was known below them stays.
    pub(super) unread: Vec<(PathBuf, String)>,
}

/// Device and inode of each directory from the source down, so that a link back ends the walk.
type Ancestors = Vec<(u64, u64)>;

/// Walks all sources. Everything is watched before it is read, so that no change falls between.
pub(super) fn walk(sources: &[PathBuf], watches: &mut Watches) -> Tree {
    let mut walk = Walk { tree: Tree::default(), watches };
    walk.watches.begin();
    for source in sources {
        walk.visit_source(source);
    }
    walk.watches.end();
    walk.tree
}

struct Walk<'w> {
    tree: Tree,
    watches: &'w mut Watches,
}

impl Walk<'_> {
    fn visit_source(&mut self, source: &Path) {
        match std::path::absolute(source) {
            Ok(absolute) => self.watches.follow_path(Path::new("/"), &absolute),
            Err(error) => return self.unread(source, &error),
        }
        match fs::metadata(source) {
            Ok(metadata) if metadata.is_dir() => self.visit_dir(source, &mut Vec::new()),
            Ok(_) => self.tree.files.push(source.to_owned()),
            Err(error) => self.unread(source, &error),
        }
    }

    fn visit_dir(&mut self, dir: &Path, ancestors: &mut Ancestors) {
        let depth = ancestors.len();
        if let Err(error) = self.try_visit_dir(dir, ancestors) {
            self.unread(dir, &error);
        }
        ancestors.truncate(depth);
    }

    fn try_visit_dir(&mut self, dir: &Path, ancestors: &mut Ancestors) -> io::Result<()> {
        let metadata = fs::metadata(dir)?;
        let identity = (metadata.dev(), metadata.ino());
        if ancestors.contains(&identity) {
            return Err(io::Error::other("a link back to a directory that holds it"));
        }
        let canonical = fs::canonicalize(dir)?;
        self.watches.watch_dir(&canonical, dir);
        ancestors.push(identity);
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            if !is_hidden(&entry.file_name()) {
                self.visit_entry(&canonical, &entry.path(), entry.file_type()?, ancestors);
            }
        }
        Ok(())
    }

    fn visit_entry(&mut self, canonical: &Path, path: &Path, file_type: FileType, ancestors: &mut Ancestors) {
        let Some(name) = path.file_name() else { return };
        let is_dir = if file_type.is_symlink() {
            self.watches.follow_path(canonical, Path::new(name));
            fs::metadata(path).is_ok_and(|metadata| metadata.is_dir())
        } else {
            file_type.is_dir()
        };
        if is_dir {
            self.visit_dir(path, ancestors);
        } else if is_manifest(name) {
            self.tree.files.push(path.to_owned());
        }
    }

    fn unread(&mut self, path: &Path, error: &io::Error) {
        self.tree.unread.push((path.to_owned(), format!("cannot be read: {error}")));
    }
}

/// Names that are not manifests whatever their ending: hidden ones, among them the `..data` of a mounted ConfigMap and
/// vim's `.x.swp`; backups `x~`; Emacs' `#x#`.
pub(super) fn is_hidden(name: &OsStr) -> bool {
    matches!(name.as_bytes(), [b'.', ..] | [.., b'~'] | [b'#', .., b'#'])
}

/// Whether a file in a directory is read: by its ending, in either case.
pub(super) fn is_manifest(name: &OsStr) -> bool {
    let ending = Path::new(name).extension().and_then(OsStr::to_str);
    !is_hidden(name)
        && ending.is_some_and(|ending| ["yaml", "yml", "json"].iter().any(|known| ending.eq_ignore_ascii_case(known)))
}
