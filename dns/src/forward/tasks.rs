//! Work that goes on behind a question: it is owned, so that it ends with its owner.

use super::lock;
use std::future::Future;
use std::sync::Mutex;
use tokio::runtime::Handle;
use tokio::task::{JoinError, JoinSet};
use tracing::warn;

/// Tasks; they are aborted where this is dropped.
#[derive(Debug, Default)]
pub(super) struct Tasks(Mutex<JoinSet<()>>);

impl Tasks {
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static, runtime: &Handle) {
        let mut tasks = lock(&self.0);
        while let Some(ended) = tasks.try_join_next() {
            report(ended);
        }
        tasks.spawn_on(task, runtime);
    }

    /// Waits for all of them.
    pub(super) async fn finish(&self) {
        let mut tasks = std::mem::take(&mut *lock(&self.0));
        while let Some(ended) = tasks.join_next().await {
            report(ended);
        }
    }

    /// Ends all of them.
    pub(super) async fn abort(&self) {
        let mut tasks = std::mem::take(&mut *lock(&self.0));
        tasks.shutdown().await;
    }
}

fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        warn!(%error, "dns: a task of the forwarder was lost");
    }
}
