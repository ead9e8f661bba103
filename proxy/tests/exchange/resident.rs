//! What exchanges cost in resident memory while their peers do the least helpful thing (statement 1.10 of the
//! specification). A program of its own, since it measures the memory of its process.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[expect(dead_code, unused_imports, reason = "what the cases of the exchange need beside")]
mod harness;

use harness::frames::{END_HEADERS, STATUS_200, frame, kind};
use harness::h2::{Over, head};
use harness::tunnel::{WILLING, connect, h2c};
use harness::{PATIENCE, Running, Upstream, proxied};
use std::io;
use std::process::Command;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// Bytes that an exchange may hold above an idle connection.
const BOUND: usize = 384 * 1024;
const EXCHANGES: usize = 48;
/// What the process itself may grow by, whatever runs.
const SLACK: usize = 4 * 1024 * 1024;
const PIECE: &[u8] = &[b'x'; 64 * 1024];

const GET: &str = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1000000000000\r\n\r\n";
const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n";
const ENDLESS: &str = "HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n";
const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

/// That of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Set in the process that runs a case.
const IN_CHILD: &str = "TIDEGATE_TEST_ALONE";

/// Runs a case in a process of its own: what one leaves with the allocator must not hide or add to what another holds.
fn alone(case: impl Future<Output = ()>) {
    if std::env::var_os(IN_CHILD).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
        return runtime.block_on(case);
    }
    let thread = std::thread::current();
    let mut child = Command::new(std::env::current_exe().expect("this program"));
    let child = child.args([thread.name().expect("the case's name"), "--exact", "--nocapture"]).env(IN_CHILD, "1");
    let output = child.output().expect("started");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}

/// Resident memory of this process in bytes, without what it maps of files.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("status");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("RssAnon");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") * 1024
}

/// An exchange as its two peers see it.
struct Peers {
    client: TcpStream,
    up: TcpStream,
}

async fn read_head(socket: &mut TcpStream) {
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\n\r\n") {
        assert!(timeout(PATIENCE, socket.read_buf(&mut seen)).await.expect("no head").expect("read") > 0);
    }
}

async fn begin(proxy: &Running, upstream: &Upstream, request: &str, answer: Option<&str>) -> Peers {
    let mut client = proxy.client().await.socket;
    client.write_all(request.as_bytes()).await.expect("send");
    let mut up = upstream.accept().await.socket;
    read_head(&mut up).await;
    if let Some(answer) = answer {
        up.write_all(answer.as_bytes()).await.expect("send");
        read_head(&mut client).await;
    }
    Peers { client, up }
}

/// Writes to all sockets until none has taken anything for a while.
async fn saturate(sockets: &[&TcpStream]) {
    let mut quiet = 0;
    while quiet < 20 {
        quiet += 1;
        for socket in sockets {
            loop {
                match socket.try_write(PIECE) {
                    Ok(_) => quiet = 0,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => panic!("{error}"),
                }
            }
        }
        sleep(Duration::from_millis(10)).await;
    }
}

/// Checks what so many exchanges hold now, above what was resident before.
fn is_bounded(exchanges: usize, before: usize) {
    let held = resident().saturating_sub(before);
    assert!(held <= exchanges * BOUND + SLACK, "{} KiB for each of {exchanges}", held / 1024 / exchanges);
}

fn stalled(request: &'static str, answer: Option<&'static str>, is_uploading: bool, is_downloading: bool) {
    alone(async move {
        let (upstream, proxy) = proxied(|_| {}).await;
        let before = resident();
        let mut all = Vec::new();
        for _ in 0..EXCHANGES {
            all.push(begin(&proxy, &upstream, request, answer).await);
        }
        let clients = all.iter().map(|peers| &peers.client).filter(|_| is_uploading);
        let ups = all.iter().map(|peers| &peers.up).filter(|_| is_downloading);
        saturate(&clients.chain(ups).collect::<Vec<_>>()).await;
        is_bounded(EXCHANGES, before);
    });
}

#[test]
fn case_58_an_upload_that_the_upstream_does_not_read() {
    stalled(POST, None, true, false);
}

#[test]
fn case_58_an_upload_and_an_answer_that_nobody_reads() {
    stalled(POST, Some(ENDLESS), true, true);
}

#[test]
fn case_93_an_answer_that_the_client_does_not_read() {
    stalled(GET, Some(ENDLESS), false, true);
}

#[test]
fn case_5_requests_that_wait_behind_an_answer() {
    stalled(GET, None, true, false);
}

#[test]
fn case_96_a_tunnel_that_nobody_reads() {
    stalled(UPGRADE, Some(SWITCHING), true, true);
}

#[test]
fn case_20_heads_that_do_not_end() {
    alone(async {
        let (upstream, proxy) = proxied(|_| {}).await;
        let before = resident();
        let head = format!("GET / HTTP/1.1\r\n{}Z: {}", "X: y\r\n".repeat(90), "z".repeat(60 * 1024));
        let mut clients = Vec::new();
        for _ in 0..EXCHANGES {
            let mut client = proxy.client().await.socket;
            client.write_all(head.as_bytes()).await.expect("send");
            clients.push(client);
        }
        saturate(&[]).await;
        is_bounded(EXCHANGES, before);
        assert!(upstream.is_left_alone().await);
    });
}

#[test]
fn case_93_a_client_that_is_always_a_little_behind() {
    alone(async {
        let (upstream, proxy) = proxied(|_| {}).await;
        let before = resident();
        let Peers { mut client, mut up } = begin(&proxy, &upstream, GET, Some(ENDLESS)).await;
        let write = async { while up.write_all(PIECE).await.is_ok() {} };
        let read = async {
            let mut piece = vec![0; 32 * 1024];
            for _ in 0..4096 {
                client.read_exact(&mut piece).await.expect("read");
            }
            is_bounded(1, before);
        };
        tokio::select! {
            () = write => panic!("the upstream was cut off"),
            () = read => {}
        }
    });
}

#[test]
fn case_114_small_pieces_that_are_kept_for_another_attempt() {
    alone(async {
        let (upstream, proxy) = proxied(|_| {}).await;
        let before = resident();
        let Peers { mut client, mut up } = begin(&proxy, &upstream, CHUNKED, None).await;
        // Each byte comes with as much around it as it may.
        let chunk = format!("1;{}\r\nx\r\n", "y".repeat(8000));
        let mut read = vec![0; 6];
        for _ in 0..8000 {
            client.write_all(chunk.as_bytes()).await.expect("send");
            timeout(PATIENCE, up.read_exact(&mut read)).await.expect("nothing comes").expect("read");
        }
        assert_eq!(read, b"1\r\nx\r\n");
        is_bounded(1, before);
    });
}

#[test]
fn case_103_tunnels_that_idle_after_a_burst() {
    const BURST: usize = 4 * 1024 * 1024;
    alone(async {
        let (upstream, proxy) = proxied(|_| {}).await;
        let before = resident();
        let (mut all, mut read) = (Vec::new(), vec![0; BURST]);
        for _ in 0..EXCHANGES {
            let mut peers = begin(&proxy, &upstream, UPGRADE, Some(SWITCHING)).await;
            let write = async {
                for _ in 0..BURST / PIECE.len() {
                    peers.up.write_all(PIECE).await.expect("send");
                }
            };
            let (read, ()) = tokio::join!(peers.client.read_exact(&mut read), write);
            read.expect("read");
            all.push(peers);
        }
        drop(read);
        // A sixth of what busy ones may hold.
        is_bounded(EXCHANGES / 6, before);
    });
}

#[test]
fn case_126_frames_of_a_byte_that_clients_do_not_read() {
    const TUNNELS: usize = 4;
    alone(async {
        let (upstream, proxy) = h2c(|_| {}).await;
        // One that holds nothing itself.
        let mut client = proxy.h2_with(Over::Clear, |builder| _ = builder.initial_window_size(0)).await;
        client.offers_extended_connect().await;
        let (mut held, mut up) = (Vec::new(), None);
        let before = resident();
        for _ in 0..TUNNELS {
            let (response, send) = connect(&mut client, "websocket").await;
            let up = match &mut up {
                Some(up) => up,
                None => up.insert(upstream.accept_frames(&WILLING).await),
            };
            let stream = up.until(kind::HEADERS).await.stream;
            up.send(kind::HEADERS, END_HEADERS, stream, &[STATUS_200]).await;
            held.push((head(response).await, send));
            // The queue before the client takes the first of them, the upstream's window the second.
            for _ in 0..2 {
                up.send_bytes(&frame(kind::DATA, 0, stream, b"x").repeat(60_000)).await;
                up.knows_all().await;
            }
        }
        is_bounded(TUNNELS, before);
    });
}
