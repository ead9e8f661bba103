use super::*;
use crate::metrics::Metrics;
use crate::plan;
use crate::server::respond;
use crate::server::{Bounds, Settings};
use crate::serving::{At, Clocks, Serving};
use config::DomainName;
use prometheus::Registry;

/// A server's socket that nobody serves yet, and a client's.
struct Pair {
    listener: Listener,
    client: UdpSocket,
    _waited: mpsc::Receiver<()>,
    _publisher: config::Publisher,
}

/// With room for so many bytes in the server's socket.
fn pair(buffer: usize) -> Pair {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    SockRef::from(&socket).set_recv_buffer_size(buffer).unwrap();
    let at = At { transport: plan::Transport::Dns, address: socket.local_addr().unwrap() };
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(at.address).unwrap();
    SockRef::from(&client).set_recv_buffer_size(1 << 20).unwrap();
    client.set_nonblocking(true).unwrap();
    let (publisher, names) = config::publisher();
    let metrics = Arc::new(Metrics::new(&Registry::new()).unwrap());
    let block = Settings::new(DomainName::cluster_local(), Vec::new()).block(&metrics);
    let serving = Arc::new(Serving::everywhere(block, [at], (Clocks::default(), &metrics)));
    let shared = respond::Shared::new(names, serving, metrics, Bounds::default());
    let responder = Arc::new(Responder::new(Arc::new(shared), at));
    let (waiting, waited) = mpsc::channel(1);
    let shared = Shared { responder, runtime: Handle::current(), is_stopping: Arc::default(), waiting };
    Pair { listener: Listener::new(socket, shared).unwrap(), client, _waited: waited, _publisher: publisher }
}

impl Pair {
    /// Sends questions with these ids.
    fn ask(&self, ids: std::ops::Range<u16>) {
        for id in ids {
            let question = b"\x03web\x04shop\x03svc\x07cluster\x05local\x00\x00\x01\x00\x01";
            let packet = [&id.to_be_bytes()[..], &[1, 0, 0, 1, 0, 0, 0, 0, 0, 0], question].concat();
            assert_eq!(self.client.send(&packet).unwrap(), packet.len());
        }
    }

    /// Those of the answers that have come since the last look; on the loopback they are there once they are sent.
    fn answered(&self) -> Vec<u16> {
        let mut reply = [0; 512];
        std::iter::from_fn(|| {
            let len = self.client.recv(&mut reply).ok()?;
            assert!(len > 12);
            Some(u16::from_be_bytes([reply[0], reply[1]]))
        })
        .collect()
    }

    fn dropped(&self, reason: &str) -> u64 {
        self.listener.shared.responder.metrics.dropped.with_label_values(&[reason]).get()
    }
}

/// A clock that goes on by `step` each time that somebody looks at it.
fn clock(from: Instant, step: Duration) -> impl FnMut() -> Instant {
    let mut now = from;
    move || {
        now += step;
        now
    }
}

#[tokio::test]
async fn the_newest_are_answered_first_where_not_all_can_be_in_time() {
    let pair = pair(1 << 20);
    let start = Instant::now();
    let mut exchange = pair.listener.exchange(start);
    let each = Duration::from_millis(10);
    let mut backlog = Backlog::new(pair.listener.buffer, each);
    // The flood, and then the questions of those who still wait.
    pair.ask(0..200);
    pair.ask(1000..1020);
    // An answer takes 10 ms: 32 of them 320.
    let mut round = |from: Duration, backlog: &mut Backlog| {
        let step = Duration::from_millis(320);
        pair.listener.relieve(backlog, &mut exchange, clock(start + from, step))
    };
    assert!(round(Duration::ZERO, &mut backlog));
    let newest: Vec<_> = (188..200).chain(1000..1020).rev().collect();
    assert_eq!(pair.answered(), newest);
    assert_eq!(backlog.each(), each);
    // Newer ones still go first.
    pair.ask(2000..2002);
    assert!(round(Duration::from_millis(640), &mut backlog));
    assert_eq!(pair.answered(), (158..188).chain(2000..2002).rev().collect::<Vec<_>>());
    assert_eq!(pair.dropped("overload"), 0, "they may have their turn yet");
    // The others have waited for more than a second by now.
    assert!(!round(Duration::from_millis(1_280), &mut backlog));
    assert_eq!((pair.answered(), pair.dropped("overload")), (Vec::new(), 158));
}

#[tokio::test]
async fn a_burst_that_can_be_answered_in_time_loses_nothing() {
    let pair = pair(1 << 20);
    let start = Instant::now();
    let mut exchange = pair.listener.exchange(start);
    // As after a pause in the middle of a batch: the pace looks slow, and is not.
    let mut backlog = Backlog::new(pair.listener.buffer, Duration::from_secs(5));
    pair.ask(0..500);
    let mut clock = clock(start, Duration::from_micros(100));
    let mut answered = Vec::new();
    while pair.listener.relieve(&mut backlog, &mut exchange, &mut clock) {
        answered.extend(pair.answered());
    }
    // Those that came last are the first, which does no harm where it takes some milliseconds.
    assert_eq!(answered, (0..500).rev().collect::<Vec<_>>());
    assert_eq!(pair.dropped("overload"), 0);
}

#[tokio::test]
async fn the_newest_stay_the_first_until_little_is_left() {
    let pair = pair(1 << 20);
    let start = Instant::now();
    let mut exchange = pair.listener.exchange(start);
    let mut backlog = Backlog::new(pair.listener.buffer, Duration::from_millis(10));
    pair.ask(0..138);
    let mut clock = clock(start, Duration::from_millis(1));
    // The third turn is in time for the first time.
    for expected in [106..138, 74..106, 42..74, 10..42] {
        assert!(pair.listener.relieve(&mut backlog, &mut exchange, &mut clock));
        assert_eq!(pair.answered(), expected.rev().collect::<Vec<_>>());
    }
    assert!(pair.listener.relieve(&mut backlog, &mut exchange, &mut clock));
    assert_eq!(pair.answered(), (0..10).collect::<Vec<_>>());
    assert_eq!(pair.dropped("overload"), 0);
}

#[tokio::test]
async fn a_queue_that_is_in_time_is_left_in_its_order() {
    let pair = pair(1 << 20);
    let start = Instant::now();
    let mut exchange = pair.listener.exchange(start);
    // 100 of them take less than a second, as long as a full buffer would not.
    let mut backlog = Backlog::new(pair.listener.buffer, Duration::from_millis(9));
    pair.ask(0..100);
    let step = Duration::from_millis(9 * 32);
    let mut now = start;
    for expected in [0..32, 32..64, 64..96] {
        assert!(pair.listener.relieve(&mut backlog, &mut exchange, clock(now, step)));
        assert_eq!(pair.answered(), expected.collect::<Vec<_>>());
        now += step;
    }
    assert_eq!(pair.dropped("overload"), 0);
}

#[tokio::test]
async fn no_more_is_kept_than_there_is_room_for() {
    let pair = pair(1 << 20);
    let start = Instant::now();
    let mut exchange = pair.listener.exchange(start);
    let each = Duration::from_millis(100);
    let mut backlog = Backlog::new(40 * (size_of::<Held>() + 44), each);
    pair.ask(0..300);
    assert!(pair.listener.relieve(&mut backlog, &mut exchange, clock(start, Duration::from_millis(1))));
    assert_eq!((pair.answered(), pair.dropped("overload")), ((268..300).rev().collect(), 260));
}

#[tokio::test]
async fn what_finds_no_room_in_the_socket_is_counted() {
    let pair = pair(4096);
    let start = Instant::now();
    let mut exchange = pair.listener.exchange(start);
    pair.ask(0..100);
    pair.listener.socket.set_nonblocking(true).unwrap();
    while pair.listener.answer_batch(&mut exchange).is_ok() {}
    let answered = pair.answered().len() as u64;
    assert!(answered < 100, "{answered}");
    // It was looked up once already, and is not again within a second.
    let metrics = &pair.listener.shared.responder.metrics;
    assert_eq!(pair.dropped("buffer"), 100 - answered);
    pair.ask(0..100);
    exchange.losses.look(&pair.listener.socket, metrics, start + Duration::from_millis(1));
    assert_eq!(pair.dropped("buffer"), 100 - answered);
    exchange.losses.look(&pair.listener.socket, metrics, start + Duration::from_secs(3600));
    while pair.listener.answer_batch(&mut exchange).is_ok() {}
    assert_eq!(pair.dropped("buffer"), 200 - answered - pair.answered().len() as u64);
}
