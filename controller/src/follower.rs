//! Following a source: its batches, and what works behind them.
//! Dropping it ends that work.

use crate::Batch;
use crate::source::ManifestThread;
use tokio::sync::mpsc;

/// Follows a source; dropping it ends that.
#[derive(Debug)]
pub struct Follower {
    // Closed first, so that who waits for room in it ends too.
    batches: mpsc::Receiver<Batch>,
    _thread: ManifestThread,
}

impl Follower {
    /// Follows what `thread` sends.
    pub(crate) fn of_manifests(batches: mpsc::Receiver<Batch>, thread: ManifestThread) -> Self {
        Self { batches, _thread: thread }
    }

    /// The next changes; `None` when there will be none.
    pub async fn next(&mut self) -> Option<Batch> {
        self.batches.recv().await
    }

    #[cfg(test)]
    pub(crate) fn manifests(&self) -> &ManifestThread {
        &self._thread
    }
}
