//! What blocks write into the log: lines about answers (`log`) and failures (`errors`). A thread of its own writes them
//! behind a bounded queue, so that a log that takes nothing holds up no answer.

mod errors;
mod queries;

pub(crate) use errors::Errors;
pub(crate) use queries::{Logged, Queries};

use crate::plan::Level;
use prometheus::IntCounter;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

/// Lines that may wait.
const QUEUE: usize = 4096;

/// One line.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    Query(String),
    Error(Level, String),
}

/// Where lines go.
#[derive(Debug, Clone)]
pub(crate) struct Writer {
    lines: SyncSender<Line>,
    lost: IntCounter,
}

impl Writer {
    /// With a thread that ends with the last of those who write. `lost` counts lines that the log does not take.
    pub(crate) fn start(lost: IntCounter) -> Self {
        let (lines, written) = sync_channel(QUEUE);
        let write = move || {
            for line in written {
                match line {
                    Line::Query(line) => tracing::info!(target: "dns::query", "{line}"),
                    Line::Error(Level::Error, line) => tracing::error!(target: "dns::errors", "{line}"),
                    Line::Error(Level::Warning, line) => tracing::warn!(target: "dns::errors", "{line}"),
                    Line::Error(Level::Info, line) => tracing::info!(target: "dns::errors", "{line}"),
                    Line::Error(Level::Debug, line) => tracing::debug!(target: "dns::errors", "{line}"),
                }
            }
        };
        if let Err(error) = thread::Builder::new().name("dns-log".to_owned()).spawn(write) {
            tracing::error!(%error, "no thread for the log of DNS: its lines are lost, and counted");
        }
        Self { lines, lost }
    }

    fn write(&self, line: Line) {
        if self.lines.try_send(line).is_err() {
            self.lost.inc();
        }
    }
}
