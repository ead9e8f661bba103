//! The file of a `hosts` part, which is looked at again and again; what it said last stays where it cannot be read.

use super::Hosts;
use super::table::HostTable;
use crate::file::{self, Stamp};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

/// The largest file that is read; bytes.
const MAX_FILE: u64 = 16 << 20;

/// What the file was when it was last looked at.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Seen {
    #[default]
    Nothing,
    File(Stamp),
    /// It could not be read, and why.
    Failure(String),
}

impl Hosts {
    /// Reads the file if it has changed. Blocks while it does.
    pub(crate) fn look(&self) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let now = match Stamp::of(&self.path) {
            Ok(stamp) => Seen::File(stamp),
            Err(error) => Seen::Failure(error.to_string()),
        };
        if now == *seen {
            return;
        }
        let read = match &now {
            Seen::Failure(why) => Err(why.clone()),
            Seen::File(stamp) => self.read().inspect(|()| self.changed.store(stamp.changed(), Ordering::Relaxed)),
            Seen::Nothing => Ok(()),
        };
        if let Err(why) = read {
            warn!(file = %self.path.display(), %why, "hosts cannot be read; what was known of them stays");
        }
        *seen = now;
    }

    /// Looks at the file now and each time that the interval is over, unless once is enough.
    pub(crate) async fn watch(self: Arc<Self>) {
        if self.reload.is_zero() {
            return;
        }
        let mut turns = interval(self.reload);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            turns.tick().await;
            let hosts = Arc::clone(&self);
            if let Err(error) = tokio::task::spawn_blocking(move || hosts.look()).await {
                warn!(file = %self.path.display(), %error, "hosts were not looked at");
            }
        }
    }

    fn read(&self) -> Result<(), String> {
        let bytes = file::read(&self.path, MAX_FILE).map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&bytes);
        let (table, faults) = HostTable::read(&text, &self.zones, self.has_reverse)?;
        let file = self.path.display();
        for fault in &faults.told {
            warn!(%file, "{fault}");
        }
        if faults.more > 0 {
            warn!(%file, "and {} more that cannot be read", faults.more);
        }
        info!(%file, names = table.len(), "hosts read");
        self.file.store(Arc::new(table));
        Ok(())
    }
}
