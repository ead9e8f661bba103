//! What exchanges hold in memory while their peers do the least helpful thing (statement 1.10 of the specification).
//! A program of its own: resident memory is that of a whole process.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[expect(dead_code, unused_imports, reason = "what the cases of the exchange need beside")]
mod harness;

use harness::{PATIENCE, Running, Upstream, proxied};
use std::io;
use std::sync::LazyLock;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
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

/// One case at a time.
static ALONE: LazyLock<Mutex<()>> = LazyLock::new(Mutex::default);
/// Memory before anything ran: what one case leaves with the allocator must not hide what the next one holds.
static START: LazyLock<usize> = LazyLock::new(resident);

/// Resident memory of this process in bytes, without what it maps of files.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("status");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("RssAnon");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") * 1024
}

/// An exchange as its two peers see it.
struct Peers {
    client: TcpStream,
    up: Option<TcpStream>,
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
    Peers { client, up: Some(up) }
}

/// Writes to all sockets as long as any takes something.
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

/// Checks what `exchanges` exchanges hold now, above what was resident before.
fn is_bounded(exchanges: usize, before: usize) {
    let held = resident().saturating_sub(before);
    assert!(held <= exchanges * BOUND + SLACK, "{} KiB for each of {exchanges}", held / 1024 / exchanges);
}

async fn stalled(request: &str, answer: Option<&str>, is_uploading: bool, is_downloading: bool) {
    let _alone = ALONE.lock().await;
    LazyLock::force(&START);
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut all = Vec::new();
    for _ in 0..EXCHANGES {
        all.push(begin(&proxy, &upstream, request, answer).await);
    }
    let clients = all.iter().map(|peers| &peers.client).filter(|_| is_uploading);
    let ups = all.iter().filter_map(|peers| peers.up.as_ref()).filter(|_| is_downloading);
    saturate(&clients.chain(ups).collect::<Vec<_>>()).await;
    is_bounded(EXCHANGES, *START);
}

#[tokio::test]
async fn case_58_an_upload_that_the_upstream_does_not_read() {
    stalled(POST, None, true, false).await;
}

#[tokio::test]
async fn case_58_an_upload_and_an_answer_that_nobody_reads() {
    stalled(POST, Some(ENDLESS), true, true).await;
}

#[tokio::test]
async fn case_93_an_answer_that_the_client_does_not_read() {
    stalled(GET, Some(ENDLESS), false, true).await;
}

#[tokio::test]
async fn case_5_requests_that_wait_behind_an_answer() {
    stalled(GET, None, true, false).await;
}

#[tokio::test]
async fn case_96_a_tunnel_that_nobody_reads() {
    stalled(UPGRADE, Some(SWITCHING), true, true).await;
}

#[tokio::test]
async fn case_20_heads_that_do_not_end() {
    let _alone = ALONE.lock().await;
    LazyLock::force(&START);
    let (_upstream, proxy) = proxied(|_| {}).await;
    let mut clients = Vec::new();
    for _ in 0..EXCHANGES {
        let mut client = proxy.client().await.socket;
        let field = "X: y\r\n".repeat(90);
        client
            .write_all(format!("GET / HTTP/1.1\r\n{field}Z: {}", "z".repeat(60 * 1024)).as_bytes())
            .await
            .expect("send");
        clients.push(client);
    }
    saturate(&[]).await;
    is_bounded(EXCHANGES, *START);
}

#[tokio::test]
async fn case_93_a_client_that_is_always_a_little_behind() {
    let _alone = ALONE.lock().await;
    LazyLock::force(&START);
    let before = resident();
    let (upstream, proxy) = proxied(|_| {}).await;
    let Peers { mut client, up } = begin(&proxy, &upstream, GET, Some(ENDLESS)).await;
    let up = up.expect("an upstream");
    let mut read = vec![0; 32 * 1024];
    for _ in 0..4096 {
        while up.try_write(PIECE).is_ok() {}
        client.read_exact(&mut read).await.expect("read");
    }
    is_bounded(1, before);
}

#[tokio::test]
async fn case_114_small_pieces_that_are_kept_for_another_attempt() {
    let _alone = ALONE.lock().await;
    LazyLock::force(&START);
    let before = resident();
    let (upstream, proxy) = proxied(|_| {}).await;
    let Peers { mut client, up } = begin(&proxy, &upstream, CHUNKED, None).await;
    let mut up = up.expect("an upstream");
    // Each byte comes with as much around it as it may.
    let chunk = format!("1;{}\r\nx\r\n", "y".repeat(8000));
    let mut read = vec![0; 6];
    for _ in 0..8000 {
        client.write_all(chunk.as_bytes()).await.expect("send");
        timeout(PATIENCE, up.read_exact(&mut read)).await.expect("nothing comes").expect("read");
    }
    assert_eq!(read, b"1\r\nx\r\n");
    is_bounded(1, before);
}
