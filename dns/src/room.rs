//! Room for what waits for others, of all clients and all blocks together: tasks, sockets and memory are bounded by it.

use prometheus::IntGauge;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// For so many at once.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    permits: Arc<Semaphore>,
    /// How many there are.
    waiting: IntGauge,
}

/// What one of them takes; free again where this is dropped.
#[derive(Debug)]
pub(crate) struct Taken {
    waiting: IntGauge,
    _permit: OwnedSemaphorePermit,
}

/// Where work goes on behind a question.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Behind<'r> {
    pub(crate) runtime: &'r Handle,
    pub(crate) room: &'r Room,
}

impl Room {
    pub(crate) fn new(most: usize, waiting: IntGauge) -> Self {
        Self { permits: Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS))), waiting }
    }

    /// `None`: there is none left.
    pub(crate) fn take(&self) -> Option<Taken> {
        let permit = Arc::clone(&self.permits).try_acquire_owned().ok()?;
        self.waiting.inc();
        Some(Taken { waiting: self.waiting.clone(), _permit: permit })
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.waiting.dec();
    }
}
