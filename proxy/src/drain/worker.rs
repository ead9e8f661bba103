//! A worker's share of the drain: its connections wait and are counted without a lock or a shared count.

use super::{DrainPhase, DrainWatch};
use crate::balance::Random;
use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::sync::Notify;

/// One a worker, shared by its listeners and connections.
#[derive(Debug)]
pub struct WorkerDrain {
    phase: Arc<AtomicU8>,
    patience: Duration,
    spread: Duration,
    farewell: Duration,
    waiting: RefCell<Waiting>,
    guards: Cell<usize>,
    emptied: Notify,
}

/// Wakers by slot; free slots are used again.
#[derive(Debug, Default)]
struct Waiting {
    slots: Vec<Option<Waker>>,
    free: Vec<usize>,
}

impl WorkerDrain {
    /// Follows the same [`super::Drain`] as `watch`, once [`WorkerDrain::follow`] runs.
    #[must_use]
    pub fn new(watch: &DrainWatch) -> Rc<Self> {
        Rc::new(Self {
            phase: Arc::clone(&watch.phase),
            patience: watch.patience(),
            spread: watch.spread(),
            farewell: watch.farewell(),
            waiting: RefCell::default(),
            guards: Cell::new(0),
            emptied: Notify::new(),
        })
    }

    /// Wakes those who wait, until [`DrainPhase::Over`]. Dropping it drops `watch`: this worker is drained.
    pub async fn follow(&self, mut watch: DrainWatch) {
        self.wake_all();
        while watch.phase() < DrainPhase::Over {
            watch.changed().await;
            self.wake_all();
        }
    }

    /// The current phase; one atomic load.
    #[must_use]
    pub fn phase(&self) -> DrainPhase {
        DrainPhase::from_number(self.phase.load(Relaxed))
    }

    /// Whether the next answer has to end its connection.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.phase() >= DrainPhase::Closing
    }

    /// A future that is ready in `phase` or later; keep one a connection, polling it again is cheap.
    #[must_use]
    pub fn reached(self: &Rc<Self>, phase: DrainPhase) -> Reached {
        Reached { drain: Rc::clone(self), phase, slot: None }
    }

    /// How long after [`DrainPhase::Stopping`] one idle connection is closed: not at once, since a request may be on
    /// its way, and spread, so that clients do not all come back at once.
    #[must_use]
    pub fn close_after(&self, random: &Random) -> Duration {
        self.patience - random.time_below(self.spread)
    }

    /// How long after [`DrainPhase::Stopping`] one HTTP/2 connection is told to go away: soon, since what is on its way is
    /// served all the same, and spread too.
    #[must_use]
    pub fn go_away_after(&self, random: &Random) -> Duration {
        random.time_below(self.spread)
    }

    /// How long the two sides of a tunnel have to end it after [`DrainPhase::Deadline`].
    #[must_use]
    pub fn farewell(&self) -> Duration {
        self.farewell
    }

    /// Something that has to end before this worker is drained.
    #[must_use]
    pub fn guard(self: &Rc<Self>) -> DrainGuard {
        self.guards.set(self.guards.get() + 1);
        DrainGuard(Rc::clone(self))
    }

    /// How many guards there are.
    #[must_use]
    pub fn guards(&self) -> usize {
        self.guards.get()
    }

    /// Waits until there is no guard; more may come later, unless nothing is accepted any more.
    pub async fn emptied(&self) {
        while self.guards.get() > 0 {
            self.emptied.notified().await;
        }
    }

    #[cfg(test)]
    pub(super) fn slots(&self) -> usize {
        self.waiting.borrow().slots.len()
    }

    fn wake_all(&self) {
        // Taken out first: a waker may run code that waits anew.
        let wakers: Vec<Waker> = self.waiting.borrow().slots.iter().flatten().cloned().collect();
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Waiting {
    fn store(&mut self, slot: &mut Option<usize>, waker: &Waker) {
        let slot = *slot.get_or_insert_with(|| {
            self.free.pop().unwrap_or_else(|| {
                self.slots.push(None);
                self.slots.len() - 1
            })
        });
        match self.slots.get_mut(slot) {
            Some(Some(stored)) => stored.clone_from(waker),
            Some(empty) => *empty = Some(waker.clone()),
            None => {}
        }
    }

    fn forget(&mut self, slot: usize) {
        if let Some(stored) = self.slots.get_mut(slot) {
            *stored = None;
            self.free.push(slot);
        }
    }
}

/// Ready once a phase is reached; see [`WorkerDrain::reached`].
#[derive(Debug)]
pub struct Reached {
    drain: Rc<WorkerDrain>,
    phase: DrainPhase,
    slot: Option<usize>,
}

impl Future for Reached {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if this.drain.phase() >= this.phase {
            return Poll::Ready(());
        }
        this.drain.waiting.borrow_mut().store(&mut this.slot, cx.waker());
        Poll::Pending
    }
}

impl Drop for Reached {
    fn drop(&mut self) {
        if let Some(slot) = self.slot {
            self.drain.waiting.borrow_mut().forget(slot);
        }
    }
}

/// Counts as running until it is dropped; see [`WorkerDrain::guard`].
#[derive(Debug)]
pub struct DrainGuard(Rc<WorkerDrain>);

impl Drop for DrainGuard {
    fn drop(&mut self) {
        let guards = self.0.guards.get() - 1;
        self.0.guards.set(guards);
        if guards == 0 {
            self.0.emptied.notify_waiters();
        }
    }
}
