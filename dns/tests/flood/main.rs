//! Millions of hostile packets, beside a client that asks good questions: `cargo xtask fuzz`. Memory stays where it was,
//! every good question is answered, and the times are printed.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test")]

mod hostile;

use config::{BackendTable, NameChange, NameTable, PortName, RoutingTable, ServiceNames, Snapshot, Transport};
use hostile::Hostile;
use prometheus::Registry;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tidegate_dns::{Server, Settings, bind};
use tokio::sync::oneshot;

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// Packets between two looks at the clock.
const BURST: u64 = 64;
/// What the process may grow by; bytes. Ten million packets that each left a byte behind would be seen.
const GROWTH: u64 = 4 << 20;
/// Of so many good questions one may be lost.
const LOST: u64 = 10_000;
/// Good questions that the rest is measured by.
const BEFORE: usize = 20_000;

/// A number from the environment.
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

fn table() -> NameTable {
    let port = PortName { name: Some("http".into()), transport: Transport::Tcp, number: 80 };
    let names = ServiceNames::cluster_ip(vec!["10.0.0.1".parse().unwrap()], vec![port], Vec::new());
    let web = NameChange::Service { namespace: "shop".into(), service: "web".into(), names: Some(Arc::new(names)) };
    NameTable::default().patched([web], 1)
}

/// Pages of this process that are in memory; bytes.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// Asks for `web.shop` until it is to stop, or so often; gives the times, sorted, and how many questions were lost.
fn ask(server: SocketAddr, is_over: &AtomicBool, most: usize) -> (Vec<Duration>, u64) {
    let socket = UdpSocket::bind(ANY).unwrap();
    socket.connect(server).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let (mut times, mut lost, mut reply) = (Vec::new(), 0, [0; 512]);
    while times.len() < most && !is_over.load(Ordering::Relaxed) {
        let [high, low] = (times.len() as u16).to_be_bytes();
        let question = b"\x03web\x04shop\x03svc\x07cluster\x05local\x00\x00\x01\x00\x01";
        let packet = [&[high, low, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0], &question[..]].concat();
        let begun = Instant::now();
        socket.send(&packet).unwrap();
        match socket.recv(&mut reply) {
            Ok(len) => {
                assert_eq!(reply[..2], packet[..2], "an answer to another question");
                assert_eq!(reply[len - 4..len], [10, 0, 0, 1]);
                times.push(begun.elapsed());
            }
            Err(_) => lost += 1,
        }
    }
    times.sort_unstable();
    (times, lost)
}

fn told(what: &str, (times, lost): &(Vec<Duration>, u64)) {
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize];
    let (p50, p99) = (at(0.5), at(0.99));
    println!("{what}: {} good questions, {lost} lost, p50 {p50:.1?}, p99 {p99:.1?}", times.len());
}

/// Sends so many of the packets that `next` makes, so many a second at most, over many sockets; what comes back is thrown
/// away.
fn flood(server: SocketAddr, (packets, rate): (u64, u64), sent: &AtomicU64, mut next: impl FnMut(&mut Vec<u8>)) {
    let sockets: Vec<_> = (0..64).map(|_| UdpSocket::bind(ANY).unwrap()).collect();
    for socket in &sockets {
        socket.connect(server).unwrap();
        socket.set_nonblocking(true).unwrap();
    }
    let (mut packet, mut reply) = (Vec::new(), [0; 2048]);
    let begun = Instant::now();
    for number in 0..packets {
        let socket = &sockets[(number % 64) as usize];
        // A full buffer is the kernel's way to throw packets away; so is ours.
        next(&mut packet);
        let _ = socket.send(&packet);
        while socket.recv(&mut reply).is_ok() {}
        if number % BURST == 0 {
            sent.store(number, Ordering::Relaxed);
            let due = begun + Duration::from_secs_f64(number as f64 / rate as f64);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    }
    println!("{packets} packets in {:.0?}", begun.elapsed());
}

#[test]
fn hostile_packets_leave_memory_and_good_clients_where_they_were() {
    let (packets, rate) = (number("FLOOD_PACKETS", 1_000_000), number("FLOOD_RATE", 80_000));
    let sockets = bind(ANY, 1).unwrap();
    let address = sockets.address;
    let (publisher, subscriber) = config::publisher();
    publisher.publish(Arc::new(Snapshot {
        generation: 1,
        routing: Arc::new(RoutingTable::default()),
        backends: Arc::new(BackendTable::default()),
        names: Arc::new(table()),
    }));
    let settings = Settings::new("cluster.local".parse().unwrap(), Vec::new());
    let server = Server::new(subscriber, settings, &Registry::new()).unwrap();
    let (stop, stopped) = oneshot::channel();
    let serving = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(server.serve(vec![sockets], async move { drop(stopped.await) }))
    });
    told("before", &ask(address, &AtomicBool::new(false), BEFORE));
    // What a flood takes of the machine's cores is not the server's: as many packets that are good do the same.
    let (is_over, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    let good = std::thread::scope(|scope| {
        let good = scope.spawn(|| ask(address, &is_over, usize::MAX));
        flood(address, (packets / 10, rate), &sent, |packet| hostile::GOOD.clone_into(packet));
        is_over.store(true, Ordering::Relaxed);
        good.join().unwrap()
    });
    told("beside good packets", &good);
    let (is_over, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut hostile = Hostile::seeded(number("FLOOD_SEED", 1));
    let mut first = 0;
    let good = std::thread::scope(|scope| {
        let good = scope.spawn(|| ask(address, &is_over, usize::MAX));
        let hostile = |packet: &mut Vec<u8>| hostile.next().clone_into(packet);
        let flooding = scope.spawn(|| flood(address, (packets, rate), &sent, hostile));
        // After the first tenth all that is used again and again is there.
        while sent.load(Ordering::Relaxed) < packets / 10 && !flooding.is_finished() {
            std::thread::sleep(Duration::from_millis(10));
        }
        first = resident();
        flooding.join().unwrap();
        is_over.store(true, Ordering::Relaxed);
        good.join().unwrap()
    });
    told("beside hostile packets", &good);
    // The times of the client are in the same process.
    let kept = (good.0.capacity() * size_of::<Duration>()) as u64;
    let growth = resident().saturating_sub(first).saturating_sub(kept);
    told("after", &ask(address, &AtomicBool::new(false), BEFORE));
    println!("memory: {} KiB after a tenth, {} KiB more at the end", first >> 10, growth >> 10);
    // The kernel drops packets where the server has no turn for long, and a client asks again.
    assert!(good.1 * LOST <= good.0.len() as u64, "{} good questions were lost", good.1);
    assert!(growth <= GROWTH, "{growth} bytes more");
    stop.send(()).unwrap();
    serving.join().unwrap().unwrap();
}
