//! Writing of whole lines to an output that may fail, be full for a while, or be gone.

use crate::metrics::AccessLogCounts;
use std::io::{self, ErrorKind, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// Time between two reports of failures.
const REPORTED_EVERY: Duration = Duration::from_secs(60);
/// Time between two tries at an output that does not block and takes nothing now.
const FULL: Duration = Duration::from_millis(5);

pub(super) struct Output<W> {
    out: W,
    counts: Arc<AccessLogCounts>,
    /// A failure cut a line: the next one must not be glued to it.
    is_torn: bool,
    reported: Option<Instant>,
}

impl<W: Write> Output<W> {
    pub(super) fn new(out: W, counts: Arc<AccessLogCounts>) -> Self {
        Self { out, counts, is_torn: false, reported: None }
    }

    /// Writes lines and flushes. On failure what is left of them is dropped, counted, and reported once a minute.
    pub(super) fn write(&mut self, lines: &[u8]) {
        let mut rest = lines;
        let result = self.write_all(&mut rest).and_then(|()| self.out.flush());
        let written = lines.get(..lines.len() - rest.len()).unwrap_or_default();
        count(&self.counts.written, written);
        let Err(error) = result else { return };
        count(&self.counts.write_failed, rest);
        self.is_torn |= written.last().is_some_and(|&byte| byte != b'\n');
        if self.reported.is_none_or(|reported| reported.elapsed() >= REPORTED_EVERY) {
            self.reported = Some(Instant::now());
            tracing::error!(%error, "access log cannot be written: its lines are lost until it can");
        }
    }

    fn write_all(&mut self, rest: &mut &[u8]) -> io::Result<()> {
        if self.is_torn {
            let mut end_of_line: &[u8] = b"\n";
            self.write_rest(&mut end_of_line)?;
            self.is_torn = false;
        }
        self.write_rest(rest)
    }

    fn write_rest(&mut self, rest: &mut &[u8]) -> io::Result<()> {
        while !rest.is_empty() {
            match self.out.write(rest) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(len) => *rest = rest.get(len..).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(FULL),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn count(counter: &AtomicU64, lines: &[u8]) {
    counter.fetch_add(memchr::memchr_iter(b'\n', lines).count() as u64, Relaxed);
}
