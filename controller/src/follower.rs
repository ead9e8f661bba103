//! Following a source: its batches, and what works behind them.
//! Dropping it ends that work.

use crate::source::ManifestThread;
use crate::{Batch, Selection};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Follows a source; dropping it ends that.
#[derive(Debug)]
pub struct Follower {
    // Closed first, so that who waits for room in it ends too.
    batches: mpsc::Receiver<Batch>,
    work: Work,
    /// `None`: all of what comes is of use.
    selection: Option<Selection>,
    /// Whether external addresses of Services are of use.
    has_externals: bool,
}

/// What makes the batches, and ends when it is dropped.
#[derive(Debug)]
enum Work {
    Thread(#[cfg_attr(not(test), expect(dead_code, reason = "it is only dropped"))] ManifestThread),
    Tasks(#[expect(dead_code, reason = "they are only dropped")] JoinSet<()>),
}

impl Follower {
    /// Follows what `thread` sends.
    pub(crate) fn of_manifests(batches: mpsc::Receiver<Batch>, thread: ManifestThread) -> Self {
        Self { batches, work: Work::Thread(thread), selection: None, has_externals: true }
    }

    /// Follows what `tasks` send.
    pub(crate) fn of_cluster(batches: mpsc::Receiver<Batch>, tasks: JoinSet<()>, has_externals: bool) -> Self {
        Self { batches, work: Work::Tasks(tasks), selection: None, has_externals }
    }

    /// The same with those objects alone that are of use.
    #[must_use]
    pub fn selecting(self, selection: Selection) -> Self {
        Self { has_externals: selection.has_externals(), selection: Some(selection), ..self }
    }

    /// Whether it is a cluster that is followed.
    pub(crate) fn is_cluster(&self) -> bool {
        matches!(self.work, Work::Tasks(_))
    }

    /// The next changes; `None` when there will be none.
    pub async fn next(&mut self) -> Option<Batch> {
        let mut batch = self.batches.recv().await?;
        if let Some(selection) = &self.selection {
            selection.select(&mut batch);
        }
        if !self.has_externals {
            batch.drop_externals();
        }
        Some(batch)
    }

    #[cfg(test)]
    pub(crate) fn manifests(&self) -> &ManifestThread {
        match &self.work {
            Work::Thread(thread) => thread,
            Work::Tasks(_) => panic!("a cluster is followed"),
        }
    }
}
