//! Following manifests as they change: one thread that takes inotify's events, waits for a quiet moment, and reads
//! what changed.

use super::manifests::Manifests;
use super::node::STACK;
use super::watches::{Concern, Watches};
use super::{Batch, SourceError, check_sources};
use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind, RenameMode};
use notify::{Config, Event, EventKind, RecommendedWatcher, Watcher};
use rustc_hash::{FxHashMap, FxHashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

/// Events are gathered until none came for this long,
const QUIET: Duration = Duration::from_millis(1);
/// but no longer than this.
const GATHER: Duration = Duration::from_millis(8);
/// A file that is being written is read when its writer closes it, or has not written for this long.
const WRITING: Duration = Duration::from_millis(100);
/// How often changes are looked for where they cannot be watched.
const POLL: Duration = Duration::from_secs(1);

/// Follows manifests; dropping it ends that.
#[derive(Debug)]
pub struct Follower {
    batches: tokio::sync::mpsc::Receiver<Batch>,
    signals: mpsc::Sender<Signal>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What wakes the thread.
#[derive(Debug)]
pub(super) enum Signal {
    Event(notify::Result<Event>),
    Stop,
}

/// Follows the manifests below `sources`, each a file or a directory. The first batch has all there is.
///
/// # Errors
/// Where a source cannot be read now, or there is no thread to be had. Later on that is a notice.
pub fn follow(sources: Vec<PathBuf>) -> Result<Follower, SourceError> {
    check_sources(&sources)?;
    let (signals, events) = mpsc::channel();
    let (sender, batches) = tokio::sync::mpsc::channel(1);
    let notifier = {
        let signals = signals.clone();
        let send = move |event| drop(signals.send(Signal::Event(event)));
        RecommendedWatcher::new(send, Config::default())
    };
    // Revisions rise over restarts as well, since the serial of the DNS zone follows them.
    let revision = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
    let manifests = Manifests::new(sources, Watches::new(notifier), revision);
    let stop = manifests.stop();
    let work = Work { manifests, pending: Pending::default() };
    let thread = std::thread::Builder::new().name("manifests".to_owned()).stack_size(STACK);
    let thread = thread.spawn(move || work.run(&events, &sender)).map_err(SourceError::Thread)?;
    Ok(Follower { batches, signals, stop, thread: Some(thread) })
}

impl Follower {
    /// The next changes; `None` when there will be none.
    pub async fn next(&mut self) -> Option<Batch> {
        self.batches.recv().await
    }

    #[cfg(test)]
    pub(super) fn signals(&self) -> mpsc::Sender<Signal> {
        self.signals.clone()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.batches.close();
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.signals.send(Signal::Stop);
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
    /// The writer is not done.
    Later,
}

struct Work {
    manifests: Manifests,
    pending: Pending,
}

impl Work {
    fn run(mut self, events: &mpsc::Receiver<Signal>, batches: &tokio::sync::mpsc::Sender<Batch>) {
        let mut batch = self.manifests.rescan(|_| false, Instant::now());
        let mut is_first = true;
        loop {
            if (is_first || !batch.is_empty()) && batches.blocking_send(batch).is_err() {
                return;
            }
            is_first = false;
            if !self.gather(events) {
                return;
            }
            batch = self.read(Instant::now());
        }
    }

    /// Waits until there is something to read; `false` where the follower is gone.
    fn gather(&mut self, events: &mpsc::Receiver<Signal>) -> bool {
        let now = Instant::now();
        let wait = self.next_moment(now).map_or(Duration::MAX, |moment| moment.saturating_duration_since(now));
        let mut signal = match events.recv_timeout(wait) {
            Err(RecvTimeoutError::Timeout) => return true,
            signal => signal,
        };
        let end = Instant::now() + GATHER;
        loop {
            match signal {
                Ok(Signal::Event(event)) => self.take(event),
                Ok(Signal::Stop) | Err(RecvTimeoutError::Disconnected) => return false,
                Err(RecvTimeoutError::Timeout) => return true,
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            signal = events.recv_timeout(QUIET.min(left));
        }
    }

    fn next_moment(&self, now: Instant) -> Option<Instant> {
        let poll = self.manifests.watches.failure().map(|_| now + POLL);
        let writing = self.pending.writing.values().copied().chain(self.pending.tree_writing);
        writing.chain(self.manifests.next_expiry()).chain(poll).min()
    }

    fn take(&mut self, event: notify::Result<Event>) {
        let event = match event {
            Ok(event) if event.need_rescan() => {
                tracing::debug!("inotify lost events: everything is looked at again");
                self.pending.tree = true;
                return;
            }
            Ok(event) => event,
            Err(error) => {
                tracing::warn!(%error, "inotify");
                self.pending.tree = true;
                return;
            }
        };
        let is_end = matches!(event.kind, EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(RenameMode::From)));
        let Some(urgency) = urgency(event.kind) else { return };
        for path in &event.paths {
            let concern = self.manifests.watches.concern(path);
            if is_end {
                self.manifests.watches.forget(path);
            }
            self.pending.add(concern, urgency, Instant::now());
        }
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
        self.pending.writing.extend(torn.into_iter().map(|path| (path, now + WRITING)));
        batch
    }
}

impl Pending {
    fn add(&mut self, concern: Concern, urgency: Urgency, now: Instant) {
        match (concern, urgency) {
            (Concern::Nothing, _) => {}
            (Concern::Files(files), Urgency::Now) => {
                self.writing.retain(|file, _| !files.contains(file));
                self.files.extend(files);
            }
            (Concern::Files(files), Urgency::Later) => {
                self.writing.extend(files.into_iter().map(|file| (file, now + WRITING)));
            }
            (Concern::Tree, Urgency::Now) => self.tree = true,
            (Concern::Tree, Urgency::Later) => self.tree_writing = Some(now + WRITING),
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
fn urgency(kind: EventKind) -> Option<Urgency> {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => Some(Urgency::Now),
        EventKind::Access(_) | EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => None,
        EventKind::Create(CreateKind::File) | EventKind::Modify(ModifyKind::Data(_)) => Some(Urgency::Later),
        _ => Some(Urgency::Now),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use notify::event::Flag;

    #[test]
    fn lost_events_cost_a_walk_and_no_change() {
        let dir = tempfile::tempdir().expect("a directory");
        let manifests = Manifests::new(vec![dir.path().to_owned()], Watches::default(), 0);
        let mut work = Work { manifests, pending: Pending::default() };
        assert!(work.manifests.rescan(|_| false, Instant::now()).is_empty());
        let text = "{apiVersion: v1, kind: Namespace, metadata: {name: a}}";
        std::fs::write(dir.path().join("a.yaml"), text).expect("written");
        assert!(work.read(Instant::now()).is_empty(), "nobody said anything");
        work.take(Ok(Event::new(EventKind::Other).set_flag(Flag::Rescan)));
        assert_eq!(work.read(Instant::now()).changes.len(), 1);
        std::fs::write(dir.path().join("a.yaml"), text.replace("name: a", "name: b")).expect("written");
        work.take(Err(notify::Error::generic("broken")));
        assert_eq!(work.read(Instant::now()).changes.len(), 2);
    }

    #[test]
    fn nothing_is_read_for_nobody() {
        let dir = tempfile::tempdir().expect("a directory");
        let text = "{apiVersion: v1, kind: Namespace, metadata: {name: a}}";
        std::fs::write(dir.path().join("a.yaml"), text).expect("written");
        let mut manifests = Manifests::new(vec![dir.path().to_owned()], Watches::default(), 0);
        manifests.stop().store(true, Ordering::Relaxed);
        assert!(manifests.rescan(|_| false, Instant::now()).is_empty());
    }

    #[test]
    fn without_inotify_changes_are_looked_for() {
        let dir = tempfile::tempdir().expect("a directory");
        let watches = Watches::new(Err(notify::Error::generic("too many open files")));
        let mut work =
            Work { manifests: Manifests::new(vec![dir.path().to_owned()], watches, 0), pending: Pending::default() };
        let first = work.manifests.rescan(|_| false, Instant::now());
        assert!(matches!(&first.notices[..], [notice] if format!("{notice:?}").contains("too many open files")));
        let now = Instant::now();
        assert_eq!(work.next_moment(now), Some(now + POLL));
        std::fs::write(dir.path().join("a.yaml"), "{apiVersion: v1, kind: Namespace, metadata: {name: a}}")
            .expect("written");
        assert_eq!(work.read(now).changes.len(), 1);
    }
}
