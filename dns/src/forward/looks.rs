//! Names of upstreams that are looked up, and who waits for the first of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// Those of a `forward` that are under way.
#[derive(Debug, Default)]
pub(super) struct Looks {
    under_way: AtomicUsize,
    ended: Notify,
}

/// One of them; it ends where this is dropped.
#[derive(Debug)]
pub(super) struct Look(Arc<Looks>);

impl Looks {
    pub(super) fn begin(self: &Arc<Self>) -> Look {
        self.under_way.fetch_add(1, Ordering::AcqRel);
        Look(Arc::clone(self))
    }

    pub(super) fn are_under_way(&self) -> bool {
        self.under_way.load(Ordering::Acquire) > 0
    }

    /// Waits for the next one that ends.
    pub(super) fn ended(&self) -> Notified<'_> {
        self.ended.notified()
    }
}

impl Drop for Look {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::AcqRel);
        self.0.ended.notify_waiters();
    }
}
