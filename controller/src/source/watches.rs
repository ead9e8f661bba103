//! The directories that inotify watches for us, what it is asked to tell of each, and what an event concerns.
//! Directories are watched one by one under their real paths: links, swaps and re-created directories then need no
//! case of their own.

#[cfg(test)]
mod tests;

use super::tree::{is_hidden, is_manifest};
use inotify::{Event, EventMask, Inotify, WatchDescriptor, WatchMask};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// As the kernel: more links than this in one path are a loop.
const MAX_LINKS: usize = 40;

/// Asked of a directory for a name in it that is a link or a directory: what is written beside costs no event.
const NAMES: WatchMask = WatchMask::CREATE
    .union(WatchMask::DELETE)
    .union(WatchMask::MOVE)
    .union(WatchMask::DELETE_SELF)
    .union(WatchMask::MOVE_SELF)
    .union(WatchMask::ONLYDIR);
/// For a name that cannot be reached, which a change of permissions may end.
const MISSING: WatchMask = NAMES.union(WatchMask::ATTRIB);
/// For a file, and of a directory of manifests.
const FILES: WatchMask = MISSING.union(WatchMask::MODIFY).union(WatchMask::CLOSE_WRITE);

/// What only files tell.
const CONTENT: EventMask = EventMask::MODIFY.union(EventMask::CLOSE_WRITE);

/// Room for at least fifteen events.
const BUFFER: usize = 4096;

/// What is watched; without inotify, only what would be.
#[derive(Debug, Default)]
pub(super) struct Watches {
    inotify: Option<Inotify>,
    dirs: FxHashMap<Arc<Path>, Watched>,
    watches: FxHashMap<WatchDescriptor, Watch>,
    /// During a walk: what was watched before it.
    before: FxHashMap<WatchDescriptor, Watch>,
    /// Why something is not watched.
    failure: Option<String>,
}

/// Why a directory is watched.
#[derive(Debug)]
struct Watched {
    /// The paths by which manifests in it are known.
    known_as: FxHashSet<PathBuf>,
    /// Names in it that a path to a manifest leads through.
    links: FxHashSet<OsString>,
    mask: WatchMask,
}

/// What inotify watches as one: a directory, however many paths it has through mounts.
#[derive(Debug)]
struct Watch {
    dirs: Vec<Arc<Path>>,
    mask: WatchMask,
}

/// What an event concerns.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Concern {
    /// These files and no other, by the paths by which they are known.
    Files(Vec<PathBuf>),
    /// More than that.
    Tree,
}

impl Watches {
    /// Watches nothing yet.
    pub(super) fn new(inotify: io::Result<Inotify>) -> Self {
        match inotify {
            Ok(inotify) => Self { inotify: Some(inotify), ..Self::default() },
            Err(error) => Self { failure: Some(format!("inotify: {error}")), ..Self::default() },
        }
    }

    /// Begins a walk.
    pub(super) fn begin(&mut self) {
        self.dirs.clear();
        self.before = std::mem::take(&mut self.watches);
        if self.inotify.is_some() {
            self.failure = None;
        }
    }

    /// Ends a walk: what it did not meet is no longer watched.
    pub(super) fn end(&mut self) {
        let before = std::mem::take(&mut self.before);
        if let Some(inotify) = &self.inotify {
            for watch in before.into_keys() {
                // A directory that is gone is no longer watched anyway.
                let _ = inotify.watches().remove(watch);
            }
        }
    }

    /// Why changes may go unnoticed; `None`: they do not.
    pub(super) fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Readable when there are events; `None`: there never will be.
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.inotify.as_ref().map(AsFd::as_fd)
    }

    /// Watches the directory `canonical`, whose manifests are known as `known_as`.
    pub(super) fn watch_dir(&mut self, canonical: &Path, known_as: &Path) {
        self.watch(canonical, FILES, |watched| watched.known_as.insert(known_as.to_owned()));
    }

    /// Watches every name that decides where `path`, seen from the real directory `start`, leads.
    pub(super) fn follow_path(&mut self, start: &Path, path: &Path) {
        let mut is_sure = false;
        while !is_sure {
            is_sure = true;
            for (dir, name, mask) in deciding_names(start, path) {
                // A name may have changed before its directory was watched.
                is_sure &= !self.watch(&dir, mask, |watched| watched.links.insert(name));
            }
        }
    }

    /// Notes why `dir` is watched; whether inotify had to be asked for it.
    fn watch(&mut self, dir: &Path, mask: WatchMask, note: impl FnOnce(&mut Watched) -> bool) -> bool {
        let dir = self.dirs.get_key_value(dir).map_or_else(|| Arc::from(dir), |(dir, _)| Arc::clone(dir));
        let watched = self.dirs.entry(Arc::clone(&dir)).or_insert_with(Watched::for_nothing);
        note(watched);
        if watched.mask.contains(mask) {
            return false;
        }
        watched.mask |= mask;
        let mask = watched.mask;
        if let Err(error) = self.ask(&dir, mask) {
            let reason = match (error.kind(), error.raw_os_error()) {
                // Gone meanwhile, which the directory above tells.
                (ErrorKind::NotFound | ErrorKind::NotADirectory, _) => return true,
                (_, Some(libc::ENOSPC)) => "fs.inotify.max_user_watches is reached".to_owned(),
                _ => error.to_string(),
            };
            // The first in the order of the walk, so that it stays the same while others come and go.
            self.failure.get_or_insert_with(|| format!("{}: {reason}", dir.display()));
        }
        true
    }

    /// Asks anew in each walk, since another directory may have come to stand there, and the event be lost.
    fn ask(&mut self, dir: &Arc<Path>, mask: WatchMask) -> io::Result<()> {
        let Some(inotify) = &self.inotify else { return Ok(()) };
        // Takes the place of what was asked before. What is missed between is seen all the same: files are read after
        // the walk.
        let descriptor = inotify.watches().add(dir, mask)?;
        self.before.remove(&descriptor);
        let watch = self.watches.entry(descriptor).or_insert_with(|| Watch { dirs: Vec::new(), mask });
        if !mask.contains(watch.mask) {
            inotify.watches().add(dir, watch.mask | WatchMask::MASK_ADD)?;
        }
        watch.mask |= mask;
        if !watch.dirs.contains(dir) {
            watch.dirs.push(Arc::clone(dir));
        }
        Ok(())
    }

    /// Takes some of the events there are, never waiting for any: what each concerns, and its kind.
    pub(super) fn read(&mut self, mut take: impl FnMut(Concern, EventMask)) {
        let mut buffer = [0; BUFFER];
        let Some(inotify) = &mut self.inotify else { return };
        match inotify.read_events(&mut buffer) {
            Ok(events) => events.for_each(|event| self.take(&event, &mut take)),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => {
                *self = Self::new(Err(error));
                take(Concern::Tree, EventMask::Q_OVERFLOW);
            }
        }
    }

    fn take(&mut self, event: &Event<&OsStr>, take: &mut impl FnMut(Concern, EventMask)) {
        if event.mask.contains(EventMask::Q_OVERFLOW) {
            tracing::debug!("inotify lost events: everything is looked at again");
            return take(Concern::Tree, event.mask);
        }
        // None: it was watched before the last walk, which saw what became of it.
        let Some(watch) = self.watches.get(&event.wd) else { return };
        watch.dirs.iter().filter_map(|dir| self.concern(dir, event)).for_each(|concern| take(concern, event.mask));
        if event.mask.contains(EventMask::IGNORED) {
            self.watches.remove(&event.wd);
        }
    }

    /// What an event in `dir` concerns; `None`: no manifest.
    fn concern(&self, dir: &Path, event: &Event<&OsStr>) -> Option<Concern> {
        let watched = self.dirs.get(dir)?;
        let Some(name) = event.name else { return Some(Concern::Tree) };
        if watched.links.contains(name) {
            return Some(Concern::Tree);
        }
        let is_content = event.mask.intersects(CONTENT);
        if is_content && !is_manifest(name) {
            return None;
        }
        let path = dir.join(name);
        if self.dirs.contains_key(&*path) {
            return Some(Concern::Tree);
        }
        if watched.known_as.is_empty() || is_hidden(name) {
            return None;
        }
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_dir() || metadata.is_symlink() => Some(Concern::Tree),
            _ if is_manifest(name) => Some(Concern::Files(watched.known_as.iter().map(|dir| dir.join(name)).collect())),
            _ => None,
        }
    }
}

impl Watched {
    fn for_nothing() -> Self {
        Self { known_as: FxHashSet::default(), links: FxHashSet::default(), mask: WatchMask::empty() }
    }
}

/// The directory and name of each link on the way to `path`, of its last part, and of the first part that is missing;
/// and what is to be asked of the directory for it.
fn deciding_names(start: &Path, path: &Path) -> Vec<(PathBuf, OsString, WatchMask)> {
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
                names.push((dir.clone(), name, NAMES));
                links += 1;
                if links > MAX_LINKS {
                    break;
                }
                parts(&target).collect::<Vec<_>>().into_iter().rev().for_each(|part| rest.push_front(part));
            }
            Err(_) if rest.is_empty() || !next.exists() => {
                let mask = match () {
                    () if next.is_dir() => NAMES,
                    // Missing or not, it is a file to come.
                    () if rest.is_empty() => FILES,
                    () => MISSING,
                };
                names.push((dir, name, mask));
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
