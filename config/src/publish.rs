//! Publication of snapshots: one writer, many readers, one swap.
//! A [`Subscriber`] may have nothing yet; a [`Reader`] always has a snapshot.

use crate::Snapshot;
use arc_swap::{ArcSwap, Guard};
use std::sync::{Arc, OnceLock};
use tokio::sync::watch;

#[derive(Debug, Default)]
struct Slot {
    current: OnceLock<ArcSwap<Snapshot>>,
}

/// The writing end.
#[derive(Debug)]
pub struct Publisher {
    slot: Arc<Slot>,
    generation: watch::Sender<u64>,
}

/// A reading end that may have nothing yet.
#[derive(Debug, Clone)]
pub struct Subscriber {
    slot: Arc<Slot>,
    generation: watch::Receiver<u64>,
}

/// A reading end that always has a snapshot.
#[derive(Debug, Clone)]
pub struct Reader {
    slot: Arc<Slot>,
    first: Arc<Snapshot>,
    generation: watch::Receiver<u64>,
}

/// Makes the two ends.
#[must_use]
pub fn publisher() -> (Publisher, Subscriber) {
    let slot = Arc::new(Slot::default());
    let (sender, receiver) = watch::channel(0);
    (Publisher { slot: Arc::clone(&slot), generation: sender }, Subscriber { slot, generation: receiver })
}

impl Publisher {
    /// Makes `snapshot` the current one and wakes those who wait for a change.
    pub fn publish(&self, snapshot: Arc<Snapshot>) {
        let generation = snapshot.generation;
        match self.slot.current.get() {
            Some(current) => current.store(snapshot),
            None => drop(self.slot.current.set(ArcSwap::new(snapshot))),
        }
        self.generation.send_replace(generation);
    }
}

impl Subscriber {
    /// The current snapshot, or `None` before the first publication.
    #[must_use]
    pub fn current(&self) -> Option<Arc<Snapshot>> {
        self.slot.current.get().map(ArcSwap::load_full)
    }

    /// Borrows the current snapshot without touching its reference count, or `None` before the first publication.
    #[must_use]
    pub fn load(&self) -> Option<Guard<Arc<Snapshot>>> {
        self.slot.current.get().map(ArcSwap::load)
    }

    /// Waits for a snapshot newer than the last seen by this subscriber; `false` when the publisher is gone.
    pub async fn changed(&mut self) -> bool {
        self.generation.changed().await.is_ok()
    }

    /// Waits for the first snapshot; `None` when the publisher went away before it.
    pub async fn ready(mut self) -> Option<Reader> {
        loop {
            if let Some(first) = self.current() {
                return Some(Reader { slot: self.slot, first, generation: self.generation });
            }
            self.generation.changed().await.ok()?;
        }
    }
}

impl Reader {
    /// The current snapshot.
    #[must_use]
    pub fn current(&self) -> Arc<Snapshot> {
        self.slot.current.get().map_or_else(|| Arc::clone(&self.first), ArcSwap::load_full)
    }

    /// Waits for a snapshot newer than the last seen by this reader; `false` when the publisher is gone.
    pub async fn changed(&mut self) -> bool {
        self.generation.changed().await.is_ok()
    }
}
