//! One line a request. Workers hand their records over without waiting; one thread makes lines of them and writes them,
//! many at a time. What does not fit into the queue or cannot be written is dropped and counted, never waited for.

mod line;
#[cfg(test)]
mod tests;
mod timestamp;

use crate::line_output::LineOutput;
use crate::metrics::AccessLogCounts;
use crate::record::Record;
use config::AccessLogFormat;
use line::Lines;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

/// Records that may wait for the thread: more than a second's at 10,000 requests a second.
const QUEUE: usize = 16 * 1024;
/// Bytes of lines after which they are written even if more records wait.
const BATCH: usize = 64 * 1024;
/// While requests come, the thread looks for records this often: workers need not wake it, and a line is at most so late.
const DOZE: Duration = Duration::from_millis(10);
/// Looks in vain after which the thread sleeps until a worker wakes it.
const DOZES: u32 = 10;
/// Time between two reports of failures.
const REPORTED_EVERY: Duration = Duration::from_secs(60);
/// How long [`AccessLogThread`] waits for an output that takes nothing.
const PATIENCE: Duration = Duration::from_secs(5);

/// The end of the log that records go into; one for each worker, cheap to clone.
#[derive(Debug, Clone)]
pub struct AccessLog(Option<Queue>);

#[derive(Debug, Clone)]
struct Queue {
    records: SyncSender<Box<Record>>,
    thread: Thread,
    bell: Arc<Bell>,
    counts: Arc<AccessLogCounts>,
}

/// What wakes the thread.
#[derive(Debug, Default)]
struct Bell {
    is_asleep: AtomicBool,
    is_closing: AtomicBool,
}

/// The thread that writes; ended, with all lines written, when dropped or by [`AccessLogThread::finish`].
#[derive(Debug)]
pub struct AccessLogThread {
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    thread: JoinHandle<()>,
    bell: Arc<Bell>,
    /// Disconnected when the thread ends.
    ended: Receiver<()>,
}

impl AccessLog {
    /// Starts the log; with [`AccessLogFormat::Off`] there is no thread and records are thrown away.
    ///
    /// # Errors
    /// The system refused another thread.
    pub fn start(
        format: AccessLogFormat,
        out: impl Write + Send + 'static,
        counts: Arc<AccessLogCounts>,
    ) -> io::Result<(Self, AccessLogThread)> {
        let Some(lines) = Lines::new(format) else {
            return Ok((Self::off(), AccessLogThread { running: None }));
        };
        let (records, queue) = sync_channel(QUEUE);
        let (alive, ended) = sync_channel::<()>(0);
        let bell = Arc::<Bell>::default();
        let writer = Writer {
            queue,
            lines,
            output: LineOutput::new(out),
            counts: Arc::clone(&counts),
            reported: None,
            bell: Arc::clone(&bell),
        };
        let thread = thread::Builder::new().name("access-log".to_owned()).spawn(move || {
            let _alive = alive;
            writer.run();
        })?;
        let log = Self(Some(Queue { records, thread: thread.thread().clone(), bell: Arc::clone(&bell), counts }));
        Ok((log, AccessLogThread { running: Some(Running { thread, bell, ended }) }))
    }

    /// A log that throws its records away.
    #[must_use]
    pub fn off() -> Self {
        Self(None)
    }

    /// Whether records become lines.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Hands a record over. Never waits: where the queue is full the record is dropped and counted.
    pub fn log(&self, record: Box<Record>) {
        let Some(queue) = &self.0 else { return };
        if queue.records.try_send(record).is_err() {
            queue.counts.queue_full.fetch_add(1, Ordering::Relaxed);
            return;
        }
        // Either this load sees that the thread is about to sleep, or the thread's last look, which follows a fence of
        // its own, sees the record.
        fence(Ordering::SeqCst);
        if queue.bell.is_asleep.load(Ordering::Relaxed) && queue.bell.is_asleep.swap(false, Ordering::Relaxed) {
            queue.thread.unpark();
        }
    }
}

impl AccessLogThread {
    /// Waits until all that was handed over is written, for five seconds at most; `false`: the output still takes
    /// nothing. What is handed over later is dropped.
    pub fn finish(mut self) -> bool {
        self.end(PATIENCE)
    }

    fn end(&mut self, patience: Duration) -> bool {
        let Some(Running { thread, bell, ended }) = self.running.take() else { return true };
        bell.is_closing.store(true, Ordering::SeqCst);
        thread.thread().unpark();
        ended.recv_timeout(patience) == Err(RecvTimeoutError::Disconnected) && thread.join().is_ok()
    }
}

impl Drop for AccessLogThread {
    fn drop(&mut self) {
        self.end(PATIENCE);
    }
}

struct Writer<W> {
    queue: Receiver<Box<Record>>,
    lines: Lines,
    output: LineOutput<W>,
    counts: Arc<AccessLogCounts>,
    reported: Option<Instant>,
    bell: Arc<Bell>,
}

impl<W: Write> Writer<W> {
    fn run(mut self) {
        let mut dozes = 0;
        loop {
            // Before the queue is emptied, so that nothing handed over before the end is left.
            let is_closing = self.bell.is_closing.load(Ordering::SeqCst);
            let is_open = self.gather();
            if !self.lines.text.is_empty() {
                dozes = 0;
                self.write();
                self.lines.text.clear();
            } else if is_closing || !is_open {
                return;
            } else if dozes < DOZES {
                dozes += 1;
                thread::park_timeout(DOZE);
            } else {
                dozes = 0;
                self.sleep();
            }
        }
    }

    /// Makes lines of what waits, up to a batch; `false` where no more can come.
    fn gather(&mut self) -> bool {
        while self.lines.text.len() < BATCH {
            match self.queue.try_recv() {
                Ok(record) => self.lines.push(&record),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
        true
    }

    /// Writes the lines; what is lost of them is counted, and reported once a minute.
    fn write(&mut self) {
        let written = self.output.write(&self.lines.text);
        self.counts.written.fetch_add(written.lines, Ordering::Relaxed);
        let Some((lost, error)) = written.failed else { return };
        self.counts.write_failed.fetch_add(lost, Ordering::Relaxed);
        if self.reported.is_none_or(|reported| reported.elapsed() >= REPORTED_EVERY) {
            self.reported = Some(Instant::now());
            tracing::error!(%error, "access log cannot be written: its lines are lost until it can");
        }
    }

    fn sleep(&mut self) {
        self.bell.is_asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        match self.queue.try_recv() {
            Ok(record) => self.lines.push(&record),
            Err(TryRecvError::Empty) if !self.bell.is_closing.load(Ordering::SeqCst) => thread::park(),
            Err(_) => {}
        }
        self.bell.is_asleep.store(false, Ordering::Relaxed);
    }
}
