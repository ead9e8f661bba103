//! The manifest files below the sources, following links, and every name whose change could change that list.
//! A directory is walked once, however many links lead to it: the work is linear in what there is.

use super::finding::{Finding, Severity};
use super::watches::Watches;
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::VecDeque;
use std::collections::hash_map::Entry;
use std::ffi::{OsStr, OsString};
use std::fs::{self, FileType};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a walk met.
#[derive(Debug, Default)]
pub(super) struct Tree {
    pub(super) files: Vec<PathBuf>,
    /// What is wrong with sources, directories and links.
    pub(super) findings: Vec<Finding>,
    /// Sources and directories that could not be read: what was known below them stays.
    pub(super) unread: FxHashSet<PathBuf>,
}

/// Walks all sources; `None` once `stop` is set. Everything is watched before it is read, so that no change falls
/// between.
pub(super) fn walk(sources: &[PathBuf], watches: &mut Watches, stop: &AtomicBool) -> Option<Tree> {
    let mut walk =
        Walk { tree: Tree::default(), watches, stop, walked: FxHashMap::default(), links: VecDeque::default() };
    walk.watches.begin();
    for source in sources {
        walk.visit_source(source);
    }
    // Last, so that a link changes nothing about the directories that need none.
    while let Some(link) = walk.links.pop_front() {
        walk.walk_from(link);
    }
    walk.watches.end();
    (!walk.is_stopped()).then_some(walk.tree)
}

struct Walk<'w> {
    tree: Tree,
    watches: &'w mut Watches,
    stop: &'w AtomicBool,
    /// The first path of each directory, by device and inode.
    walked: FxHashMap<(u64, u64), PathBuf>,
    /// Links to directories, in the order in which they were met.
    links: VecDeque<Dir>,
}

/// A directory to be walked.
struct Dir {
    known_as: PathBuf,
    /// A path without links but for the last part, if `is_link`: depth then costs no more than its length.
    path: PathBuf,
    is_link: bool,
}

impl Walk<'_> {
    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn visit_source(&mut self, source: &Path) {
        match std::path::absolute(source) {
            Ok(absolute) => self.watches.follow_path(Path::new("/"), &absolute),
            Err(error) => return self.unread(source, &error),
        }
        match fs::metadata(source) {
            Ok(metadata) if metadata.is_dir() => {
                self.walk_from(Dir { known_as: source.to_owned(), path: source.to_owned(), is_link: true });
            }
            Ok(_) => self.tree.files.push(source.to_owned()),
            Err(error) => self.unread(source, &error),
        }
    }

    /// Walks a directory and those in it, in path order.
    fn walk_from(&mut self, dir: Dir) {
        let mut rest = vec![dir];
        while let Some(dir) = rest.pop() {
            if self.is_stopped() {
                return;
            }
            let before = rest.len();
            if let Err(error) = self.walk_dir(&dir, &mut rest) {
                self.unread(&dir.known_as, &error);
            }
            if let Some(found) = rest.get_mut(before..) {
                found.reverse();
            }
        }
    }

    fn walk_dir(&mut self, dir: &Dir, found: &mut Vec<Dir>) -> io::Result<()> {
        let metadata = fs::metadata(&dir.path)?;
        match self.walked.entry((metadata.dev(), metadata.ino())) {
            Entry::Occupied(first) => {
                if *first.get() != dir.known_as {
                    let message = format!("leads to {}, which is read already: passed over", first.get().display());
                    self.report(&dir.known_as, Severity::Warning, message);
                }
                return Ok(());
            }
            Entry::Vacant(first) => drop(first.insert(dir.known_as.clone())),
        }
        let canonical = if dir.is_link { fs::canonicalize(&dir.path)? } else { dir.path.clone() };
        self.watches.watch_dir(&canonical, &dir.known_as);
        let entries = fs::read_dir(&canonical)?.map(|entry| {
            let entry = entry?;
            Ok((entry.file_name(), entry.file_type()?))
        });
        let mut entries: Vec<(OsString, FileType)> = entries.collect::<io::Result<_>>()?;
        entries.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        for (name, file_type) in entries {
            if self.is_stopped() {
                break;
            }
            if is_hidden(&name) {
                continue;
            }
            let (known_as, path) = (dir.known_as.join(&name), canonical.join(&name));
            if file_type.is_dir() {
                found.push(Dir { known_as, path, is_link: false });
            } else if file_type.is_symlink() {
                self.watches.follow_path(&canonical, Path::new(&name));
                self.visit_link(Dir { known_as, path, is_link: true });
            } else if is_manifest(&name) {
                self.tree.files.push(known_as);
            }
        }
        Ok(())
    }

    fn visit_link(&mut self, link: Dir) {
        let is_manifest = link.path.file_name().is_some_and(is_manifest);
        match fs::metadata(&link.path) {
            Ok(metadata) if metadata.is_dir() => self.links.push_back(link),
            Err(error) if is_manifest && matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                self.tree.findings.extend(dangling(&link.known_as));
            }
            _ if is_manifest => self.tree.files.push(link.known_as),
            _ => {}
        }
    }

    fn unread(&mut self, path: &Path, error: &io::Error) {
        self.report(path, Severity::Error, format!("cannot be read: {error}"));
        self.tree.unread.insert(path.to_owned());
    }

    fn report(&mut self, path: &Path, severity: Severity, message: String) {
        self.tree.findings.push(Finding { file: Arc::from(path), line: None, severity, object: None, message });
    }
}

/// What is told of a link that leads nowhere; `None`: it is none.
pub(super) fn dangling(link: &Path) -> Option<Finding> {
    if fs::metadata(link).is_ok() {
        return None;
    }
    let message = format!("links to nothing: {}", fs::read_link(link).ok()?.display());
    Some(Finding { file: Arc::from(link), line: None, severity: Severity::Error, object: None, message })
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
