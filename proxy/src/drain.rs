//! How the process stops: four phases, advanced by one [`Drain`], watched by each worker through a [`DrainWatch`].
//! Within a worker, connections follow through a [`WorkerDrain`]; dropping the last watch means that all is drained.

#[cfg(test)]
mod tests;
mod worker;

pub use worker::{DrainGuard, Reached, WorkerDrain};

use config::DrainSettings;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// Longest time over which connections are closed, so that their clients do not all come back at once.
const LONGEST_SPREAD: Duration = Duration::from_secs(10);
/// The end of the time to drain, in which what still runs is ended; of a short time less.
const LAST: Duration = Duration::from_secs(2);

/// What is asked of listeners and connections; a later phase includes the earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum DrainPhase {
    /// Nothing.
    Running,
    /// Answer requests with `Connection: close`; connections are still accepted.
    Closing,
    /// Accept what is queued and no more; close idle connections, spread over [`DrainWatch::spread`]; GOAWAY.
    Stopping,
    /// End everything that still runs, in a way that its peers understand.
    Deadline,
    /// Drop what is left.
    Over,
}

impl DrainPhase {
    fn from_number(number: u8) -> Self {
        match number {
            0 => Self::Running,
            1 => Self::Closing,
            2 => Self::Stopping,
            3 => Self::Deadline,
            _ => Self::Over,
        }
    }
}

/// How a drain ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// Everything ended by itself.
    Empty,
    /// The time was over before.
    TimedOut,
}

/// The one who decides; dropping it ends everything at once.
#[derive(Debug)]
pub struct Drain {
    settings: DrainSettings,
    phase: Arc<AtomicU8>,
    sender: watch::Sender<DrainPhase>,
}

/// What a worker, or a listener that may go alone, watches as long as it lives.
#[derive(Debug, Clone)]
pub struct DrainWatch {
    settings: DrainSettings,
    phase: Arc<AtomicU8>,
    receiver: watch::Receiver<DrainPhase>,
}

impl Drain {
    /// Starts in [`DrainPhase::Running`].
    #[must_use]
    pub fn new(settings: DrainSettings) -> Self {
        let (sender, _) = watch::channel(DrainPhase::Running);
        Self { settings, phase: Arc::new(AtomicU8::new(DrainPhase::Running as u8)), sender }
    }

    /// One more that has to end before all is drained.
    #[must_use]
    pub fn watch(&self) -> DrainWatch {
        DrainWatch { settings: self.settings, phase: Arc::clone(&self.phase), receiver: self.sender.subscribe() }
    }

    /// Goes on to `phase`; never back.
    pub fn advance(&self, phase: DrainPhase) {
        self.sender.send_if_modified(|current| {
            let is_later = *current < phase;
            if is_later {
                *current = phase;
                self.phase.store(phase as u8, Relaxed);
            }
            is_later
        });
    }

    /// Waits until every watch is dropped.
    pub async fn drained(&self) {
        self.sender.closed().await;
    }

    /// Goes through all phases in the settings' time, and ends early when all is drained. Readiness should fail before.
    /// May be dropped on the way, to end everything at once.
    pub async fn run(&self) -> Drained {
        self.advance(DrainPhase::Closing);
        sleep(self.settings.delay).await;
        self.advance(DrainPhase::Stopping);
        // All of it is within the time that was set: who stops the process counts on that, and kills it after.
        let last = last(self.settings);
        let ended = timeout(self.settings.timeout - last, self.drained()).await;
        if ended.is_err() {
            self.advance(DrainPhase::Deadline);
            // What has not ended by then is dropped.
            let _ = timeout(last, self.drained()).await;
        }
        self.advance(DrainPhase::Over);
        if ended.is_ok() { Drained::Empty } else { Drained::TimedOut }
    }
}

fn last(settings: DrainSettings) -> Duration {
    LAST.min(settings.timeout / 4)
}

impl Drop for Drain {
    fn drop(&mut self) {
        self.advance(DrainPhase::Over);
    }
}

impl DrainWatch {
    /// The current phase.
    #[must_use]
    pub fn phase(&self) -> DrainPhase {
        DrainPhase::from_number(self.phase.load(Relaxed))
    }

    /// Waits for `phase` or a later one.
    pub async fn reached(&mut self, phase: DrainPhase) {
        // An error means that the `Drain` is gone, and all is over.
        let _ = self.receiver.wait_for(|current| *current >= phase).await;
    }

    /// How long after the start of [`DrainPhase::Stopping`] the last idle connection is closed.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.settings.timeout / 2
    }

    /// The time before that over which idle connections are closed.
    #[must_use]
    pub fn spread(&self) -> Duration {
        (self.patience() / 5 * 4).min(LONGEST_SPREAD)
    }

    /// How long the two sides of a tunnel have to end it after [`DrainPhase::Deadline`].
    fn farewell(&self) -> Duration {
        last(self.settings) / 2
    }

    async fn changed(&mut self) {
        let _ = self.receiver.changed().await;
    }
}
