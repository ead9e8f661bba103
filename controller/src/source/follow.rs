//! Following manifests as they change: one thread that takes inotify's events, waits for a quiet moment, and reads
//! what changed.

#[cfg(test)]
mod tests;

use super::manifests::Manifests;
use super::node::STACK;
use super::revisions::Revisions;
use super::watches::{Concern, Watches};
use super::{SourceError, check_sources};
use crate::Batch;
use crate::Follower;
use inotify::{EventMask, Inotify};
use rustc_hash::{FxHashMap, FxHashSet};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::io::{self, PipeReader, PipeWriter};
use std::iter::once;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self as std_mpsc, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Events are gathered until none came for this long,
const QUIET: Duration = Duration::from_millis(1);
/// but no longer than this.
const GATHER: Duration = Duration::from_millis(8);
/// A file that is being written is read when its writer closes it, or has not written for this long: what makes it may be
/// slow, and until then it may hold nothing.
const WRITING: Duration = Duration::from_secs(10);
/// A file that appears is written next, if it is no link; and one that was read while it changed will have changed.
const APPEARING: Duration = Duration::from_millis(100);
/// How long the end of the thread is waited for: a document is parsed in one go, and a file system may hang.
const END: Duration = Duration::from_secs(1);
/// How often changes are looked for where they cannot be watched.
const POLL: Duration = Duration::from_secs(1);

/// The thread that reads manifests; dropping it ends the thread.
#[derive(Debug)]
pub struct ManifestThread {
    stop: Arc<AtomicBool>,
    /// Closing it wakes the thread, for the last time.
    presence: Option<PipeWriter>,
    /// Disconnected when the thread ends.
    ended: std_mpsc::Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

/// Follows the manifests below `sources`, each a file or a directory. The first batch has all there is.
///
/// # Errors
/// Where a source cannot be read now, or there is no thread to be had. Later on that is a notice.
pub fn follow(sources: Vec<PathBuf>) -> Result<Follower, SourceError> {
    check_sources(&sources)?;
    let (sender, batches) = mpsc::channel(1);
    let (absence, presence) = io::pipe().map_err(SourceError::Thread)?;
    let (end, ended) = std_mpsc::channel();
    let manifests = Manifests::new(sources, Watches::new(Inotify::init()), Revisions::now());
    let stop = manifests.stop();
    let work = Reading { manifests, pending: Pending::default() };
    let thread = std::thread::Builder::new().name("manifests".to_owned()).stack_size(STACK);
    let run = move || {
        let _end = end;
        work.run(&absence, &sender);
    };
    let thread = thread.spawn(run).map_err(SourceError::Thread)?;
    let thread = ManifestThread { stop, presence: Some(presence), ended, thread: Some(thread) };
    Ok(Follower::of_manifests(batches, thread))
}

impl ManifestThread {
    #[cfg(test)]
    pub(super) fn stop(&self) -> std::sync::Weak<AtomicBool> {
        Arc::downgrade(&self.stop)
    }
}

impl Drop for ManifestThread {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.presence = None;
        if self.ended.recv_timeout(END) == Err(RecvTimeoutError::Timeout) {
            return tracing::debug!("the manifest thread ends later");
        }
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the manifest thread panicked");
        }
    }
}

/// What is to be read again.
#[derive(Debug, Default)]
struct Pending {
    tree: bool,
    files: FxHashSet<PathBuf>,
    /// Being written, and when that is taken to be over.
    writing: FxHashMap<PathBuf, Instant>,
    /// The same for links, whose target is being written.
    tree_writing: Option<Instant>,
}

/// How an event is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Urgency {
    Now,
    /// The writer is not done; when no more is heard of it.
    After(Duration),
}

/// Why the thread woke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wake {
    Events,
    /// It is time.
    Timeout,
    /// The follower is gone.
    Stop,
}

struct Reading {
    manifests: Manifests,
    pending: Pending,
}

impl Reading {
    /// Works until `absence`, the other end of [`ManifestThread::presence`], is closed.
    fn run(mut self, absence: &PipeReader, batches: &mpsc::Sender<Batch>) {
        let mut batch = self.manifests.rescan(|_| false, Instant::now());
        let mut is_first = true;
        loop {
            if (is_first || !batch.is_empty()) && batches.blocking_send(batch).is_err() {
                return;
            }
            is_first = false;
            match self.gather(absence) {
                Ok(Wake::Stop) => return,
                Ok(_) => batch = self.read(Instant::now()),
                Err(error) => return tracing::error!(%error, "manifests are no longer followed: poll"),
            }
        }
    }

    /// Waits until there is something to read. Events of no concern do not end that.
    fn gather(&mut self, absence: &PipeReader) -> io::Result<Wake> {
        let start = Instant::now();
        let mut end: Option<Instant> = None;
        loop {
            let now = Instant::now();
            let moment = match end {
                Some(end) if end <= now => return Ok(Wake::Events),
                Some(end) => Some(end.min(now + QUIET)),
                None => self.next_moment(start),
            };
            match self.wait(absence, moment.map(|moment| moment.saturating_duration_since(now)))? {
                Wake::Events if self.take() => {
                    end.get_or_insert_with(|| Instant::now() + GATHER);
                }
                Wake::Events => {}
                wake => return Ok(wake),
            }
        }
    }

    /// When something is to be read though nothing happens, with changes looked for last at `start`.
    fn next_moment(&self, start: Instant) -> Option<Instant> {
        let poll = self.manifests.watches.failure().map(|_| start + POLL);
        let writing = self.pending.writing.values().copied().chain(self.pending.tree_writing);
        writing.chain(self.manifests.next_expiry()).chain(poll).min()
    }

    /// Waits; without a timeout, for as long as it takes.
    fn wait(&self, absence: &PipeReader, timeout: Option<Duration>) -> io::Result<Wake> {
        // A pipe that is closed says so unasked.
        let absence = PollFd::new(absence, PollFlags::empty());
        let events = self.manifests.watches.descriptor().map(|events| PollFd::from_borrowed_fd(events, PollFlags::IN));
        let mut descriptors: Vec<_> = once(absence).chain(events).collect();
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        match poll(&mut descriptors, timeout.as_ref()) {
            Ok(0) => Ok(Wake::Timeout),
            Ok(_) if descriptors.first().is_some_and(|absence| !absence.revents().is_empty()) => Ok(Wake::Stop),
            Ok(_) | Err(Errno::INTR) => Ok(Wake::Events),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes the events there are; whether any is of concern.
    fn take(&mut self) -> bool {
        let now = Instant::now();
        let mut is_concerned = false;
        self.manifests.watches.read(|concern, kind| {
            is_concerned = true;
            self.pending.add(concern, urgency(kind), now);
        });
        is_concerned
    }

    fn read(&mut self, now: Instant) -> Batch {
        let must_poll = self.manifests.watches.failure().is_some();
        let (tree, files) = self.pending.due(now);
        let mut batch = if tree || must_poll {
            let writing = &self.pending.writing;
            self.manifests.rescan(|path: &Path| writing.contains_key(path), now)
        } else {
            Batch::default()
        };
        batch.extend(self.manifests.reread(files, now));
        batch.extend(self.manifests.expire(now));
        let torn = self.manifests.take_torn();
        self.pending.writing.extend(torn.into_iter().map(|path| (path, now + APPEARING)));
        batch
    }
}

impl Pending {
    fn add(&mut self, concern: Concern, urgency: Urgency, now: Instant) {
        match (concern, urgency) {
            (Concern::Files(files), Urgency::Now) => {
                self.writing.retain(|file, _| !files.contains(file));
                self.files.extend(files);
            }
            (Concern::Files(files), Urgency::After(wait)) => {
                self.writing.extend(files.into_iter().map(|file| (file, now + wait)));
            }
            (Concern::Tree, Urgency::Now) => self.tree = true,
            (Concern::Tree, Urgency::After(wait)) => self.tree_writing = Some(now + wait),
        }
    }

    /// What is to be read by now: whether the whole tree, and which files.
    fn due(&mut self, now: Instant) -> (bool, Vec<PathBuf>) {
        let mut files = std::mem::take(&mut self.files);
        files.extend(self.writing.extract_if(|_, end| *end <= now).map(|(file, _)| file));
        let tree = std::mem::take(&mut self.tree) | self.tree_writing.take_if(|end| *end <= now).is_some();
        (tree, files.into_iter().collect())
    }
}

/// A file is read when its writer is done: half a file would end the objects of the other half.
fn urgency(kind: EventMask) -> Urgency {
    let is_new_file = kind.contains(EventMask::CREATE) && !kind.contains(EventMask::ISDIR);
    match () {
        () if kind.contains(EventMask::MODIFY) => Urgency::After(WRITING),
        () if is_new_file => Urgency::After(APPEARING),
        () => Urgency::Now,
    }
}
