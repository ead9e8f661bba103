//! The directories that inotify watches for us, and what an event in one of them concerns.
//! Directories are watched one by one under their real paths: links, swaps and re-created directories then need no
//! case of their own.

use super::tree::{is_hidden, is_manifest};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Component, Path, PathBuf};

/// As the kernel: more links than this in one path are a loop.
const MAX_LINKS: usize = 40;

/// What is watched; without a notifier, only what would be.
#[derive(Debug, Default)]
pub(super) struct Watches {
    notifier: Option<RecommendedWatcher>,
    dirs: FxHashMap<PathBuf, Watched>,
    /// During a walk: what was watched before it.
    before: FxHashMap<PathBuf, Watched>,
    /// Why something is not watched.
    failure: Option<String>,
}

/// Why a directory is watched.
#[derive(Debug, Default)]
struct Watched {
    /// The paths by which manifests in it are known.
    known_as: FxHashSet<PathBuf>,
    /// Names in it that a path to a manifest leads through.
    links: FxHashSet<OsString>,
}

/// What an event concerns.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Concern {
    /// No manifest.
    Nothing,
    /// These files and no other, by the paths by which they are known.
    Files(Vec<PathBuf>),
    /// More than that.
    Tree,
}

impl Watches {
    /// Watches nothing yet.
    pub(super) fn new(notifier: notify::Result<RecommendedWatcher>) -> Self {
        match notifier {
            Ok(notifier) => Self { notifier: Some(notifier), ..Self::default() },
            Err(error) => Self { failure: Some(error.to_string()), ..Self::default() },
        }
    }

    /// Begins a walk.
    pub(super) fn begin(&mut self) {
        self.before = std::mem::take(&mut self.dirs);
        if self.notifier.is_some() {
            self.failure = None;
        }
    }

    /// Ends a walk: what it did not meet is no longer watched.
    pub(super) fn end(&mut self) {
        for dir in std::mem::take(&mut self.before).into_keys() {
            self.unwatch(&dir);
        }
    }

    /// Why changes may go unnoticed; `None`: they do not.
    pub(super) fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Watches the directory `canonical`, whose manifests are known as `known_as`.
    pub(super) fn watch_dir(&mut self, canonical: &Path, known_as: &Path) {
        self.watch(canonical).known_as.insert(known_as.to_owned());
    }

    /// Watches every name that decides where `path`, seen from the real directory `start`, leads.
    pub(super) fn follow_path(&mut self, start: &Path, path: &Path) {
        loop {
            let known = self.dirs.len();
            for (dir, name) in deciding_names(start, path) {
                self.watch(&dir).links.insert(name);
            }
            // A name may have changed before its directory was watched.
            if self.dirs.len() == known {
                break;
            }
        }
    }

    fn watch(&mut self, dir: &Path) -> &mut Watched {
        if !self.dirs.contains_key(dir)
            && self.before.remove(dir).is_none()
            && let Some(notifier) = &mut self.notifier
            && let Err(error) = notifier.watch(dir, RecursiveMode::NonRecursive)
        {
            self.failure = Some(format!("{}: {error}", dir.display()));
        }
        self.dirs.entry(dir.to_owned()).or_default()
    }

    fn unwatch(&mut self, dir: &Path) {
        if let Some(notifier) = &mut self.notifier {
            // A directory that is gone is no longer watched anyway.
            let _ = notifier.unwatch(dir);
        }
    }

    /// Takes the end of a path: directories there are watched anew by the next walk.
    pub(super) fn forget(&mut self, path: &Path) {
        let gone: Vec<_> = self.dirs.keys().filter(|dir| dir.starts_with(path)).cloned().collect();
        for dir in gone {
            self.dirs.remove(&dir);
            self.unwatch(&dir);
        }
    }

    /// What a change of the real path `path` concerns.
    pub(super) fn concern(&self, path: &Path) -> Concern {
        if self.dirs.contains_key(path) {
            return Concern::Tree;
        }
        let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else { return Concern::Nothing };
        let Some(watched) = self.dirs.get(dir) else { return Concern::Nothing };
        if watched.links.contains(name) {
            return Concern::Tree;
        }
        if watched.known_as.is_empty() || is_hidden(name) {
            return Concern::Nothing;
        }
        match fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_dir() || metadata.is_symlink() => Concern::Tree,
            _ if is_manifest(name) => Concern::Files(watched.known_as.iter().map(|dir| dir.join(name)).collect()),
            _ => Concern::Nothing,
        }
    }
}

/// The directory and name of each link on the way to `path`, of its last part, and of the first part that is missing.
fn deciding_names(start: &Path, path: &Path) -> Vec<(PathBuf, OsString)> {
    let mut names = Vec::new();
    let mut dir = start.to_owned();
    let mut rest = parts(path).collect::<VecDeque<_>>();
    let mut links = 0;
    while let Some(name) = rest.pop_front() {
        if name == OsStr::new("/") {
            dir = PathBuf::from("/");
            continue;
        }
        if name == OsStr::new("..") {
            dir.pop();
            continue;
        }
        let next = dir.join(&name);
        match fs::read_link(&next) {
            Ok(target) => {
                names.push((dir.clone(), name));
                links += 1;
                if links > MAX_LINKS {
                    break;
                }
                parts(&target).collect::<Vec<_>>().into_iter().rev().for_each(|part| rest.push_front(part));
            }
            Err(_) if rest.is_empty() || !next.exists() => {
                names.push((dir, name));
                break;
            }
            Err(_) => dir = next,
        }
    }
    names
}

fn parts(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter(|part| *part != Component::CurDir).map(|part| part.as_os_str().to_owned())
}
