//! What stands between those who log and who writes it: handing a line over never waits. What there is no room for, or
//! what cannot be written, is lost and counted, and told of once lines are written again, once a minute and at the end.

#[cfg(test)]
mod tests;

use crate::serve::give_up_privileged_ports;
use prometheus::{IntCounter, IntCounterVec};
use proxy::line_output::LineOutput;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};
use tracing::Metadata;
use tracing_subscriber::fmt::MakeWriter;

/// Lines that may wait; bytes.
const ROOM: usize = 1024 * 1024;
/// What of that is for all but the lines of which clients make as many as they like.
const RESERVED: usize = ROOM / 4;
/// Bytes of lines after which they are written even if more wait.
const BATCH: usize = 64 * 1024;
/// How long nothing is told of what is lost after something was.
const SILENCE: Duration = Duration::from_secs(60);

/// The end that lines go into.
#[derive(Debug)]
pub(super) struct Queue {
    messages: Sender<Message>,
    waiting: Arc<AtomicUsize>,
    lost: IntCounter,
}

/// What is left in the queue.
#[derive(Debug)]
pub(super) struct Rest(Sender<Message>);

#[derive(Debug)]
enum Message {
    /// With its end of line.
    Line(Box<[u8]>),
    /// The end of the first sender tells that all before it is written; where there is more to say, it goes in again.
    Written(Sender<()>, Sender<Self>),
}

impl Queue {
    /// Starts the thread that writes; it never ends, since whoever logs may do so as long as there is a process.
    pub(super) fn start(out: impl Write + Send + 'static, lost: &IntCounterVec) -> io::Result<(Self, Rest)> {
        let (messages, waiting_messages) = channel();
        let waiting = Arc::<AtomicUsize>::default();
        let [queue_full, write_failed] = ["queue_full", "write_failed"].map(|why| lost.with_label_values(&[why]));
        let writer = Writer {
            messages: waiting_messages,
            waiting: Arc::clone(&waiting),
            output: LineOutput::new(out),
            loss: Loss { lost: [queue_full.clone(), write_failed], told: 0, last: None },
        };
        thread::Builder::new().name("log".to_owned()).spawn(move || {
            give_up_privileged_ports();
            writer.run();
        })?;
        Ok((Self { messages: messages.clone(), waiting, lost: queue_full }, Rest(messages)))
    }

    /// Hands a line over, if there is room for it below `room`.
    fn push(&self, line: &[u8], room: usize) {
        let with_it = |waiting: usize| waiting.checked_add(line.len()).filter(|waiting| *waiting <= room);
        let has_room = self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, with_it).is_ok();
        if !has_room || self.messages.send(Message::Line(line.into())).is_err() {
            self.lost.inc();
        }
    }
}

impl Rest {
    /// Waits until all that was handed over is written; not longer than this.
    pub(super) fn written_within(&self, patience: Duration) -> bool {
        let (written, is_written) = channel();
        self.0.send(Message::Written(written, self.0.clone())).is_ok()
            && is_written.recv_timeout(patience) == Err(RecvTimeoutError::Disconnected)
    }
}

impl<'q> MakeWriter<'q> for Queue {
    type Writer = Line<'q>;

    fn make_writer(&'q self) -> Line<'q> {
        Line { queue: self, room: ROOM }
    }

    fn make_writer_for(&'q self, meta: &Metadata<'_>) -> Line<'q> {
        let is_of_clients = dns::LOGGED.contains(&meta.target());
        Line { queue: self, room: if is_of_clients { ROOM - RESERVED } else { ROOM } }
    }
}

/// Takes one line, in one piece.
#[derive(Debug)]
pub(super) struct Line<'q> {
    queue: &'q Queue,
    room: usize,
}

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.queue.push(line, self.room);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The thread.
struct Writer<W> {
    messages: Receiver<Message>,
    waiting: Arc<AtomicUsize>,
    output: LineOutput<W>,
    loss: Loss,
}

/// What is lost, and what has been told of that.
struct Loss {
    lost: [IntCounter; 2],
    /// How many.
    told: u64,
    /// When last.
    last: Option<Instant>,
}

impl Loss {
    /// How many lines are to be told of now; none while that of others is still fresh, unless it is the end.
    fn untold(&mut self, now: Instant, is_end: bool) -> Option<u64> {
        let lost: u64 = self.lost.iter().map(IntCounter::get).sum();
        let is_fresh = self.last.is_some_and(|last| now.duration_since(last) < SILENCE);
        if lost == self.told || (is_fresh && !is_end) {
            return None;
        }
        self.last = Some(now);
        Some(lost - std::mem::replace(&mut self.told, lost))
    }
}

impl<W: Write> Writer<W> {
    fn run(mut self) {
        let mut lines = Vec::new();
        while let Ok(first) = self.messages.recv() {
            let mut next = Some(first);
            let mut written = None;
            while let Some(message) = next.take() {
                match message {
                    Message::Line(line) => lines.extend_from_slice(&line),
                    Message::Written(sender, again) => written = Some((sender, again)),
                }
                if written.is_none() && lines.len() < BATCH {
                    next = self.messages.try_recv().ok();
                }
            }
            let has_more = self.write(&lines) && self.tell(written.is_some());
            self.waiting.fetch_sub(lines.len(), Ordering::Relaxed);
            lines.clear();
            if let Some((sender, again)) = written.filter(|_| has_more) {
                // Behind what was told. Where nobody takes it, nobody waits.
                let _ = again.clone().send(Message::Written(sender, again));
            }
        }
    }

    fn write(&mut self, lines: &[u8]) -> bool {
        let [_, write_failed] = &self.loss.lost;
        let failed = self.output.write(lines).failed;
        if let Some((lines, _)) = &failed {
            // There is nobody to tell why.
            write_failed.inc_by(*lines);
        }
        failed.is_none()
    }

    /// Whether there was anything to tell.
    fn tell(&mut self, is_end: bool) -> bool {
        let untold = self.loss.untold(Instant::now(), is_end);
        if let Some(lines) = untold {
            // It takes its turn like any other; where there is no room for it, the next one tells of more.
            tracing::warn!(lines, "lines of the log were lost: its reader was too slow, or gone");
        }
        untold.is_some()
    }
}
