//! The file of a `hosts` part, which is looked at again and again; what it said last stays where it cannot be read.

use super::Hosts;
use super::table::HostTable;
use crate::file::{self, Fault, Stamp};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use tracing::{info, warn};

/// The largest file that is read; bytes.
pub(crate) const MOST_OF_FILE: u64 = 16 << 20;

impl Hosts {
    /// Reads the file if it has changed. Blocks while it does.
    pub(crate) fn look(&self) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Stamp::of(&self.path).ok();
        let news = seen.news(now, || {
            self.read()?;
            self.changed.store(now.map_or(0, |stamp| stamp.changed()), Ordering::Relaxed);
            Ok(())
        });
        if let Some(Err(why)) = news {
            warn!(file = %self.path.display(), %why, "hosts cannot be read; what was known of them stays");
        }
    }

    /// Looks at the file now and each time that the interval is over, unless once is enough.
    pub(crate) async fn watch(self: Arc<Self>) {
        if self.reload.is_zero() {
            return;
        }
        let (every, path) = (self.reload, self.path.display().to_string());
        file::watch(self, every, path, Self::look).await;
    }

    fn read(&self) -> Result<(), Fault> {
        let text = file::read_lossily(&self.path, MOST_OF_FILE).map_err(|error| Fault::Unread(error.to_string()))?;
        let (table, faults) = HostTable::read(&text, &self.zones, self.has_reverse).map_err(Fault::Bad)?;
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
