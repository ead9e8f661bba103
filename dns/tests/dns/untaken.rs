//! Answers that clients do not take.

use crate::authority::*;
use crate::harness::*;
use crate::http2::{Client, END_STREAM, NO_WINDOW, answers, drained, framed};
use hickory_proto::op::Message;
use hickory_proto::rr::RecordType;
use std::time::Duration;
use tidegate_dns::Bounds;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::Instant;

/// Of two clients.
const GREEDY: [u8; 4] = [127, 0, 0, 1];
const OTHER: [u8; 4] = [127, 0, 0, 2];

/// A mebibyte, of which each client has a quarter.
fn bounds() -> Bounds {
    Bounds { untaken: 1 << 20, ..Bounds::default() }
}

fn query(name: &str) -> Vec<u8> {
    frame(&question(7, name, RecordType::A).to_vec().unwrap())
}

/// A question whose answer has 65,533 bytes.
fn huge() -> Vec<u8> {
    query("huge.shop.svc.cluster.local.")
}

/// What the answer counts as where it is held by itself.
const HELD: f64 = 65_533.0 + 1_024.0;

/// A client for whom the kernel keeps little.
async fn connect(server: &Running, from: [u8; 4]) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.bind((from, 0).into()).unwrap();
    socket.connect(server.address).await.unwrap()
}

async fn read(stream: &mut TcpStream) -> Message {
    Message::from_vec(&read_frame(stream).await.unwrap()).unwrap()
}

/// Connections that were closed since their clients did not take what they had asked.
fn let_go(server: &Running) -> f64 {
    server.metric("tidegate_dns_dropped_total", &["reason=\"untaken\""])
}

/// Bytes that nobody has taken.
fn untaken(server: &Running) -> f64 {
    server.metric("tidegate_dns_untaken_bytes", &[])
}

#[test]
fn who_does_not_read_is_let_go_and_keeps_nobody_waiting() {
    with_still_clock(async {
        let server = start(settings());
        let mut deaf = server.connect().await;
        let bytes = huge().repeat(50);
        let since = Instant::now();
        // It is read no further as long as it does not read, and then not at all.
        let asking = async { while deaf.write_all(&bytes).await.is_ok() {} };
        let other = async {
            let mut stream = server.connect().await;
            stream.write_all(&query("web.shop.svc.cluster.local.")).await.unwrap();
            assert_eq!(read(&mut stream).await.answers.len(), 1);
            since.elapsed()
        };
        let ((), quick) = tokio::join!(asking, other);
        assert!(quick < Duration::from_secs(1), "{quick:?}");
        assert_eq!((let_go(&server), untaken(&server)), (1.0, 0.0));
        let took = since.elapsed();
        assert!((Duration::from_secs(5)..Duration::from_secs(6)).contains(&took), "{took:?}");
        server.stop().await;
    });
}

#[tokio::test(start_paused = true)]
async fn many_connections_that_do_not_read_hold_no_more_than_the_share_of_their_client() {
    let server = start_bounded(settings(), bounds());
    let mut deaf = Vec::new();
    for _ in 0..40 {
        let mut stream = connect(&server, GREEDY).await;
        stream.write_all(&huge().repeat(50)).await.unwrap();
        deaf.push(stream);
    }
    // As long as something goes on the clock stands still.
    while let_go(&server) < 36.0 {
        assert!(untaken(&server) <= f64::from(1 << 18));
        tokio::task::yield_now().await;
    }
    assert_eq!(untaken(&server), 4.0 * 65_535.0);
    // Who reads is answered, whoever it is, and somebody else may be slow about it.
    for from in [GREEDY, OTHER] {
        let mut stream = connect(&server, from).await;
        stream.write_all(&query("web.shop.svc.cluster.local.")).await.unwrap();
        assert_eq!(answered(&read(&mut stream).await), ["10.0.0.1"]);
    }
    let mut slow = connect(&server, OTHER).await;
    slow.write_all(&huge()).await.unwrap();
    while untaken(&server) < 5.0 * 65_535.0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(read(&mut slow).await.answers.len(), 4_093);
    assert_eq!(let_go(&server), 36.0);
    tokio::time::advance(Duration::from_secs(6)).await;
    while let_go(&server) < 40.0 || untaken(&server) > 0.0 {
        tokio::task::yield_now().await;
    }
    drop(deaf);
    server.stop().await;
}

#[tokio::test]
async fn many_connections_of_https_hold_no_more_than_the_share_of_their_client() {
    let authority = Authority::new();
    authority.mount("dns.test");
    let server = start_secured_bounded("https", &authority, "", bounds());
    tokio::time::pause();
    let refused = || server.metric("coredns_dns_https_responses_total", &["status=\"503\""]);
    let mut deaf = Vec::new();
    for _ in 0..20 {
        let (mut client, reading) = Client::connect(&authority, &server).await;
        client.write(NO_WINDOW).await.unwrap();
        client.ask("huge.shop.svc.cluster.local.").await.unwrap();
        deaf.push((client, drained(reading)));
        while answers(&server) + refused() < deaf.len() as f64 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!((answers(&server), refused(), untaken(&server)), (3.0, 17.0, 3.0 * HELD));
    for (count, from) in [(4.0, GREEDY), (5.0, OTHER)] {
        let (mut client, _reading) = Client::over(connect(&server, from).await, &authority).await;
        client.ask("web.shop.svc.cluster.local.").await.unwrap();
        while answers(&server) < count {
            tokio::task::yield_now().await;
        }
    }
    let (mut client, _reading) = Client::over(connect(&server, OTHER).await, &authority).await;
    client.write(NO_WINDOW).await.unwrap();
    client.ask("huge.shop.svc.cluster.local.").await.unwrap();
    while answers(&server) < 6.0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(untaken(&server), 4.0 * HELD);
    server.stop().await;
}

/// Asks for more than the kernel keeps and reads it at 6 KiB a second, where 64 KiB are made at once.
async fn read_slowly(mut stream: impl AsyncRead + AsyncWrite + Unpin, server: Running) {
    tokio::time::pause();
    stream.write_all(&huge().repeat(4)).await.unwrap();
    let mut read = vec![0; 4 * 65_535];
    for some in read.chunks_mut(6 << 10) {
        stream.read_exact(some).await.unwrap();
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    for answer in read.chunks(65_535) {
        assert_eq!(Message::from_vec(&answer[2..]).unwrap().answers.len(), 4_093);
    }
    assert_eq!(let_go(&server), 0.0);
    server.stop().await;
}

#[tokio::test]
async fn who_reads_slowly_and_steadily_is_let_be() {
    let server = start(settings());
    read_slowly(connect(&server, GREEDY).await, server).await;
}

#[tokio::test]
async fn who_reads_slowly_and_steadily_over_tls_is_let_be() {
    let authority = Authority::new();
    authority.mount("dns.test");
    let server = start_secured("tls", &authority, "");
    let stream = connect(&server, GREEDY).await;
    read_slowly(authority.secure(stream, "dns.test", &["dot"], None).await.unwrap(), server).await;
}

#[tokio::test]
async fn who_takes_streams_slowly_and_steadily_is_let_be() {
    let authority = Authority::new();
    authority.mount("dns.test");
    let server = start_secured("https", &authority, "");
    let (mut client, mut reading) = Client::connect(&authority, &server).await;
    tokio::time::pause();
    client.write(NO_WINDOW).await.unwrap();
    let widen = |stream, bytes: u32| framed(8, 0, stream, &bytes.to_be_bytes());
    client.write(&widen(0, 1 << 20)).await.unwrap();
    // The last one has to wait for the others.
    for _ in 0..3 {
        client.ask("huge.shop.svc.cluster.local.").await.unwrap();
    }
    for stream in [1, 3, 5] {
        let (mut taken, mut is_whole) = (0, false);
        while !is_whole {
            client.write(&widen(stream, 2 << 10)).await.unwrap();
            let wanted = (taken + (2 << 10)).min(65_533);
            while taken < wanted {
                let mut head = [0; 9];
                reading.read_exact(&mut head).await.unwrap();
                let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
                reading.read_exact(&mut vec![0; length]).await.unwrap();
                if head[3] == 0 {
                    assert_eq!(head[8], stream as u8);
                    taken += length;
                    is_whole = head[4] & END_STREAM != 0;
                }
            }
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(taken, 65_533);
    }
    assert_eq!(let_go(&server), 0.0);
    server.stop().await;
}

#[tokio::test]
async fn what_upstreams_say_is_no_more_than_a_client_takes() {
    let upstream = Upstream::new().await;
    let forward = format!("forward . {} {{\n force_tcp\n }}", upstream.address());
    let (server, _) = start_corefile(&format!(".:PORT {{\n bind 127.0.0.1\n {forward}\n}}\n"));
    let answering = upstream.answering_at_once(200);
    let mut stream = connect(&server, GREEDY).await;
    for id in 0..200 {
        let asked = question(id, &format!("n{id}.example.org."), RecordType::A).to_vec().unwrap();
        stream.write_all(&frame(&asked)).await.unwrap();
    }
    answering.await.unwrap();
    while server.metric("tidegate_dns_waiting", &[]) > 0.0 {
        tokio::task::yield_now().await;
    }
    let mut count = 0;
    while read_frame(&mut stream).await.is_ok() {
        count += 1;
    }
    // Of 64 kB each.
    assert!((1..12).contains(&count), "{count}");
    assert_eq!(let_go(&server), 1.0);
    server.stop().await;
}

#[tokio::test]
async fn no_more_is_made_than_a_client_takes_over_https() {
    let authority = Authority::new();
    authority.mount("dns.test");
    tokio::time::pause();
    let server = start_secured("https", &authority, "\n timeouts {\n  idle 60s\n }");
    let (mut client, reading) = Client::connect(&authority, &server).await;
    let reading = drained(reading);
    client.write(NO_WINDOW).await.unwrap();
    for _ in 0..100 {
        client.ask("huge.shop.svc.cluster.local.").await.unwrap();
    }
    reading.await.unwrap();
    // Of nearly 64 KiB each.
    assert_eq!((answers(&server), let_go(&server), untaken(&server)), (1.0, 1.0, 0.0));
    server.stop().await;
}

#[tokio::test]
async fn what_upstreams_say_is_no_more_than_a_client_takes_over_https() {
    let (authority, upstream) = (Authority::new(), Upstream::new().await);
    authority.mount("dns.test");
    let forward = format!("\n forward . {} {{\n force_tcp\n }}\n", upstream.address());
    let server = start_secured("https", &authority, &forward);
    let (mut client, reading) = Client::connect(&authority, &server).await;
    let reading = drained(reading);
    client.write(NO_WINDOW).await.unwrap();
    let answering = upstream.answering_at_once(100);
    for count in 0..100 {
        client.ask(&format!("n{count}.example.org.")).await.unwrap();
    }
    answering.await.unwrap();
    let refused = || server.metric("coredns_dns_https_responses_total", &["status=\"503\""]);
    while answers(&server) + refused() < 100.0 {
        tokio::task::yield_now().await;
    }
    // Of nearly 64 KiB each.
    assert_eq!((answers(&server), refused()), (8.0, 92.0));
    reading.abort();
    server.stop().await;
}
