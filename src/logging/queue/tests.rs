use super::*;
use crate::figures::lost_lines;
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};
use std::sync::{Mutex, PoisonError};

const LONG: Duration = Duration::from_secs(30);

/// Takes nothing until `go` is dropped, then everything.
#[derive(Debug)]
struct Stuck {
    go: Receiver<()>,
    taken: Arc<Mutex<Vec<u8>>>,
}

impl Write for Stuck {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        assert!(self.go.recv().is_err());
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).write(lines)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
struct Gone;

impl Write for Gone {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn count(lost: &IntCounterVec, reason: &str) -> u64 {
    lost.with_label_values(&[reason]).get()
}

#[test]
fn an_output_that_takes_nothing_costs_lines_but_no_waiting() {
    let lost = lost_lines().expect("a family");
    let (hold, go) = channel::<()>();
    let taken = Arc::<Mutex<Vec<u8>>>::default();
    let (queue, rest) = Queue::start(Stuck { go, taken: Arc::clone(&taken) }, &lost).expect("started");
    let line = |first: u8| [&[first][..], &[b'.'; 1022], b"\n"].concat();
    let (of_clients, other) = (ROOM - RESERVED, ROOM);
    let mut expected = Vec::new();
    for (first, count, room) in [(b'a', of_clients / 1024, of_clients), (b'b', RESERVED / 1024, other)] {
        for _ in 0..count {
            queue.push(&line(first), room);
            expected.push(line(first));
        }
        queue.push(&line(b'-'), of_clients);
    }
    assert_eq!(count(&lost, "queue_full"), 2, "lines of clients, of which one finds none of the room of others");
    queue.push(&line(b'-'), other);
    assert_eq!(count(&lost, "queue_full"), 3);
    assert!(!rest.written_within(Duration::ZERO));
    drop(hold);
    assert!(rest.written_within(LONG));
    assert!(*taken.lock().expect("not poisoned") == expected.concat(), "each once, and in their order");
    // There is room again.
    queue.push(&line(b'c'), other);
    assert!(rest.written_within(LONG));
    assert!(taken.lock().expect("not poisoned").ends_with(&line(b'c')));
    assert_eq!((count(&lost, "queue_full"), count(&lost, "write_failed")), (3, 0));
}

/// Notes what the thread may do that writes.
struct Rights(Sender<CapabilitySets>);

impl Write for Rights {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.0.send(capabilities(None)?).expect("awaited");
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// As root; others have no such right to keep.
#[test]
fn the_thread_that_writes_keeps_no_right_to_low_ports() {
    let start = || {
        let right = CapabilitySet::NET_BIND_SERVICE;
        let held = capabilities(None).expect("known");
        set_capabilities(None, CapabilitySets { effective: held.effective - right, ..held }).expect("fewer");
        let (sender, rights) = channel();
        let (queue, _rest) = Queue::start(Rights(sender), &lost_lines().expect("a family")).expect("started");
        queue.push(b"a line\n", ROOM);
        let rights = rights.recv_timeout(LONG).expect("written");
        assert!(!(rights.permitted | rights.effective | rights.inheritable).contains(right), "{rights:?}");
        assert_eq!(capabilities(None).expect("known").permitted, held.permitted, "who starts it binds later");
    };
    thread::spawn(start).join().expect("no panic");
}

#[test]
fn what_is_lost_is_told_once_a_minute_and_at_the_end() {
    let lost = lost_lines().expect("a family");
    let [full, failed] = ["queue_full", "write_failed"].map(|why| lost.with_label_values(&[why]));
    let mut loss = Loss { lost: [full.clone(), failed.clone()], told: 0, last: None };
    let begin = Instant::now();
    let mut untold = |seconds, is_end| loss.untold(begin + Duration::from_secs(seconds), is_end);
    assert_eq!((untold(0, false), untold(0, true)), (None, None));
    full.inc_by(2);
    assert_eq!((untold(1, false), untold(1, false)), (Some(2), None));
    failed.inc_by(3);
    assert_eq!((untold(2, false), untold(60, false), untold(61, false)), (None, None, Some(3)));
    full.inc();
    assert_eq!((untold(62, false), untold(62, true), untold(63, true)), (None, Some(1), None));
}

#[test]
fn a_reader_that_is_gone_stops_nothing() {
    let lost = lost_lines().expect("a family");
    let (queue, rest) = Queue::start(Gone, &lost).expect("started");
    for _ in 0..3 * ROOM / 1024 {
        queue.push(&[b'\n'; 1024], ROOM);
        assert!(rest.written_within(LONG));
    }
    assert_eq!((count(&lost, "queue_full"), count(&lost, "write_failed")), (0, 3 * ROOM as u64));
}

#[test]
fn lines_of_clients_are_told_from_others() {
    let lost = lost_lines().expect("a family");
    let (queue, _rest) = Queue::start(io::sink(), &lost).expect("started");
    let rooms = Arc::<Mutex<Vec<usize>>>::default();
    let by_target = Seen { queue, rooms: Arc::clone(&rooms) };
    tracing::subscriber::with_default(tracing_subscriber::fmt().with_writer(by_target).finish(), || {
        tracing::info!(target: "dns::query", "a question");
        tracing::error!(target: "dns::errors", "a failure");
        tracing::warn!("else");
    });
    assert_eq!(*rooms.lock().expect("not poisoned"), [ROOM - RESERVED, ROOM - RESERVED, ROOM]);
}

/// Notes the room of each line.
#[derive(Debug)]
struct Seen {
    queue: Queue,
    rooms: Arc<Mutex<Vec<usize>>>,
}

impl<'s> MakeWriter<'s> for Seen {
    type Writer = Line<'s>;

    fn make_writer(&'s self) -> Line<'s> {
        self.queue.make_writer()
    }

    fn make_writer_for(&'s self, meta: &Metadata<'_>) -> Line<'s> {
        let line = self.queue.make_writer_for(meta);
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner).push(line.room);
        line
    }
}
