use super::*;
use crate::metrics::Metrics;
use crate::plan;
use crate::server::respond;
use crate::server::{Bounds, Settings};
use crate::serving::{At, Clocks, Serving};
use config::{BackendTable, DomainName, NameChange, NameTable, RoutingTable, ServiceNames, Snapshot};
use prometheus::Registry;
use std::net::Shutdown;

/// A server's socket that nobody serves yet, and a client's.
struct Pair {
    listener: Listener,
    client: UdpSocket,
    _waited: mpsc::Receiver<()>,
    publisher: config::Publisher,
    registry: Registry,
}

/// With room for so many bytes in the server's socket.
fn pair(buffer: usize) -> Pair {
    pair_with(buffer, Vec::new())
}

/// The same that has these upstreams.
fn pair_with(buffer: usize, upstreams: Vec<SocketAddr>) -> Pair {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    SockRef::from(&socket).set_recv_buffer_size(buffer).unwrap();
    let at = At { transport: plan::Transport::Dns, address: socket.local_addr().unwrap() };
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(at.address).unwrap();
    SockRef::from(&client).set_recv_buffer_size(1 << 20).unwrap();
    client.set_nonblocking(true).unwrap();
    let (publisher, names) = config::publisher();
    let registry = Registry::new();
    let metrics = Arc::new(Metrics::new(&registry).unwrap());
    let block = Settings::new(DomainName::cluster_local(), upstreams).block(&metrics);
    let serving = Arc::new(Serving::everywhere(block, [at], (Clocks::default(), &metrics)));
    let shared = respond::Shared::new(names, serving, metrics, Bounds::default());
    let responder = Arc::new(Responder::new(Arc::new(shared), at));
    let (waiting, waited) = mpsc::channel(1);
    let shared = Shared { responder, runtime: Handle::current(), is_stopping: Arc::default(), waiting };
    Pair { listener: Listener::new(socket, shared).unwrap(), client, _waited: waited, publisher, registry }
}

impl Pair {
    /// Sends questions with these ids.
    fn ask(&self, ids: std::ops::Range<u16>) {
        ids.for_each(|id| self.ask_for(id, b"\x03web\x04shop\x03svc\x07cluster\x05local\x00"));
    }

    /// Sends a question about the address of a name.
    fn ask_for(&self, id: u16, name: &[u8]) {
        let packet = [&id.to_be_bytes()[..], &[1, 0, 0, 1, 0, 0, 0, 0, 0, 0], name, &[0, 1, 0, 1]].concat();
        assert_eq!(self.client.send(&packet).unwrap(), packet.len());
    }

    /// Makes `web.shop` known.
    fn publish(&self) {
        let web = ServiceNames::cluster_ip(["10.0.0.1".parse().unwrap()], Vec::new(), Vec::new());
        let web = NameChange::Service { namespace: "shop".into(), service: "web".into(), names: Some(Arc::new(web)) };
        self.publisher.publish(Arc::new(Snapshot {
            generation: 1,
            routing: Arc::new(RoutingTable::default()),
            backends: Arc::new(BackendTable::default()),
            names: Arc::new(NameTable::default().patched([web], 1)),
        }));
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
    while pair.listener.answer_batch(&mut exchange, Instant::now).is_ok() {}
    let answered = pair.answered().len() as u64;
    assert!(answered < 100, "{answered}");
    // It was looked up once already, and is not again within a second.
    let metrics = &pair.listener.shared.responder.metrics;
    assert_eq!(pair.dropped("buffer"), 100 - answered);
    pair.ask(0..100);
    exchange.losses.look(&pair.listener.socket, metrics, start + Duration::from_millis(1));
    assert_eq!(pair.dropped("buffer"), 100 - answered);
    exchange.losses.look(&pair.listener.socket, metrics, start + Duration::from_secs(3600));
    while pair.listener.answer_batch(&mut exchange, Instant::now).is_ok() {}
    assert_eq!(pair.dropped("buffer"), 200 - answered - pair.answered().len() as u64);
}

/// The whole thread, by a clock that goes on by 100 ms with each look: 3 ms for each answer, of which what has come before
/// the thread first has its turn takes more than a second.
#[tokio::test]
async fn a_server_that_cannot_keep_up_answers_the_newest_and_drops_who_has_waited() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let Pair { listener, client, _waited, publisher, .. } = {
        let pair = pair_with(1 << 20, vec![silent.local_addr().unwrap()]);
        pair.publish();
        for id in 0..250 {
            pair.ask(2 * id..2 * id + 1);
            // Between the cluster's names others, which wait for an upstream that never answers.
            let name = format!("\x05n{id:04}\x07example\x03org\0");
            pair.ask_for(2 * id + 1, name.as_bytes());
        }
        pair
    };
    client.set_nonblocking(false).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let (socket, metrics) = (listener.socket(), Arc::clone(&listener.shared.responder.metrics));
    let is_stopping = Arc::clone(&listener.shared.is_stopping);
    let thread = std::thread::spawn(move || listener.serve_by(clock(Instant::now(), Duration::from_millis(100))));
    let next = || {
        let mut reply = [0; 512];
        let len = client.recv(&mut reply).unwrap();
        assert_eq!((reply[3] & 0x0F, &reply[len - 4..len]), (0, &[10, 0, 0, 1][..]));
        u16::from_be_bytes([reply[0], reply[1]])
    };
    // Two batches until it is noticed, and four turns of the newest.
    let (noticed, newest) = ((0..64), (372..500).rev());
    for expected in noticed.chain(newest).filter(|id| id % 2 == 0) {
        assert_eq!(next(), expected);
    }
    // The others have waited for more than a second by now, and the next one comes at once.
    let web = b"\x03web\x04shop\x03svc\x07cluster\x05local\x00";
    client.send(&[&[0xFF, 0xFF, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0], &web[..], &[0, 1, 0, 1]].concat()).unwrap();
    assert_eq!(next(), u16::MAX);
    assert_eq!(metrics.dropped.with_label_values(&["overload"]).get(), 500 - 64 - 128);
    assert_eq!(metrics.waiting.get(), 32 + 64, "who was dropped waits for no upstream");
    is_stopping.store(true, Ordering::Relaxed);
    // It says ENOTCONN, and wakes the thread.
    let _ = SockRef::from(&*socket).shutdown(Shutdown::Read);
    drop(socket);
    // It ends once nobody waits for the upstream any more.
    tokio::task::spawn_blocking(|| thread.join().unwrap()).await.unwrap();
    drop(publisher);
}

#[tokio::test]
async fn what_can_be_is_answered_until_nothing_is_waited_for_any_more() {
    let upstream = UdpSocket::bind("127.0.0.1:0").unwrap();
    let pair = pair_with(1 << 20, vec![upstream.local_addr().unwrap()]);
    pair.publish();
    for socket in [&pair.client, &upstream] {
        socket.set_nonblocking(false).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    }
    pair.ask_for(1, b"\x07example\x03org\x00");
    let is_stopping = Arc::clone(&pair.listener.shared.is_stopping);
    let Pair { listener, client, _waited, publisher, registry } = pair;
    let metrics = Arc::clone(&listener.shared.responder.metrics);
    let asking = move || {
        let serving = std::thread::spawn(move || listener.serve());
        let ask = |id: u16, name: &[u8]| {
            let head = [&id.to_be_bytes()[..], &[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]].concat();
            assert!(client.send(&[&head, name, &[0, 1, 0, 1]].concat()).is_ok());
        };
        let answered = || {
            let mut reply = [0; 512];
            client.recv(&mut reply).unwrap();
            u16::from_be_bytes([reply[0], reply[1]])
        };
        // What is asked again meanwhile is passed over.
        let asked = |name: &[u8]| {
            loop {
                let mut question = [0; 512];
                let (len, asker) = upstream.recv_from(&mut question).unwrap();
                if question[..len].to_ascii_lowercase().windows(name.len()).any(|part| part == name) {
                    return (question[..len].to_vec(), asker);
                }
            }
        };
        let reply = |(mut question, asker): (Vec<u8>, SocketAddr)| {
            question[2] |= 0x80;
            upstream.send_to(&question, asker).unwrap();
        };
        let first = asked(b"\x03org");
        is_stopping.store(true, Ordering::Relaxed);
        // The first may come while it does not know yet, the second cannot.
        for id in [2, 3] {
            ask(id, b"\x03web\x04shop\x03svc\x07cluster\x05local\x00");
            assert_eq!(answered(), id);
        }
        // The upstream may have time for others meanwhile; who it has none for is waited for no longer than the first.
        ask(4, b"\x07example\x03com\x00");
        reply(asked(b"\x03com"));
        assert_eq!(answered(), 4);
        ask(5, b"\x07example\x03net\x00");
        let _never = asked(b"\x03net");
        reply(first);
        assert_eq!(answered(), 1);
        serving.join().unwrap();
    };
    tokio::task::spawn_blocking(asking).await.unwrap();
    // Nobody can get the last answer any more, and it counts as none.
    while metrics.waiting.get() > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let all = registry.gather();
    let requests = all.iter().find(|family| family.name() == "tidegate_dns_requests_total").unwrap();
    let requests: f64 = requests.get_metric().iter().map(|metric| metric.get_counter().get_value()).sum();
    assert_eq!(requests, 4.0);
    drop(publisher);
}
