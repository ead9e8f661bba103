//! The program's own log, on standard error; the access log has standard output for itself. Nobody who serves waits for
//! either: a thread writes what others hand over.

mod one_line;
mod queue;

use crate::cli::{LogForm, ProcessFlags};
use crate::figures::lost_lines;
use anyhow::Context as _;
use one_line::OneLine;
use prometheus::IntCounterVec;
use queue::{Queue, Rest};
use std::io::{self, Write};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;
use tracing_subscriber::EnvFilter;

/// How long the end waits for a standard error that takes nothing: others have waited for their ends by then.
const PATIENCE: Duration = Duration::from_secs(2);

/// The log of a program that serves; what waits to be written is, when it is dropped, for two seconds at most.
#[derive(Debug)]
#[must_use = "the last lines are lost without it"]
pub(crate) struct Log {
    rest: Rest,
    lost: IntCounterVec,
}

impl Log {
    /// Begins logging as the flags have it.
    ///
    /// # Errors
    /// The system refused another thread.
    pub(crate) fn begin(flags: &ProcessFlags) -> anyhow::Result<Self> {
        let lost = lost_lines()?;
        let (queue, rest) = Queue::start(io::stderr(), &lost).context("no thread for the log")?;
        let level = &flags.log_level;
        // That crate logs answers that it cannot decode, Secrets too; whoever asks for it by name gets it.
        let filter = EnvFilter::builder().parse_lossy(format!("kube_client=off,{level}"));
        let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(queue);
        match flags.log_format {
            LogForm::Text => {
                use std::io::IsTerminal;
                log.with_ansi(io::stderr().is_terminal()).map_writer(OneLine).init();
            }
            LogForm::Json => log.json().flatten_event(true).with_current_span(false).with_span_list(false).init(),
        }
        Ok(Self { rest, lost })
    }

    /// Counts lines that nobody will read, by what became of them.
    pub(crate) fn lost(&self) -> IntCounterVec {
        self.lost.clone()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.rest.written_within(PATIENCE);
    }
}

/// Writes why the program ends, where there is no log or no longer one.
pub(crate) fn last_words(text: String) {
    let (said, is_said) = channel::<()>();
    let write = move || {
        // Where even that cannot be written, the exit code has to do.
        let _ = io::stderr().write_all(text.as_bytes());
        drop(said);
    };
    if thread::Builder::new().spawn(write).is_ok() {
        // Nothing is ever sent: this is the end of the thread, or of our patience.
        let _ = is_said.recv_timeout(PATIENCE);
    }
}
