//! HTTP/2 clients that cost more than they pay: each flood ends in GOAWAY or is passed over, and memory stays flat.

use crate::harness::frames::{self, ACK, END_HEADERS, Frames, frame, kind, literal};
use crate::harness::h2::{BOTH, H2Peer, Over};
use crate::harness::{Client, Running, Upstream, proxied};
use config::BackendProtocol;
use h2::Reason;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// More than any honest client sends of it, in bytes.
const FLOOD: usize = 64 * 1024 * 1024;

const CALM: Option<u32> = Some(11);

/// A client by hand before an HTTP/1 upstream.
async fn client() -> (Upstream, Running, Frames) {
    let (upstream, proxy) = proxied(|_| {}).await;
    let client = proxy.frames(Over::Clear).await;
    (upstream, proxy, client)
}

/// Asks for something and gets it.
async fn is_served(upstream: &Upstream, client: &mut Frames, stream: u32) {
    client.send_bytes(&frames::head(stream, &frames::get("/"))).await;
    let mut up: Client = upstream.accept().await;
    up.head().await;
    up.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
    client.is_served(stream).await;
}

fn cancel(stream: u32) -> Vec<u8> {
    frame(kind::RST_STREAM, 0, stream, &u32::from(Reason::CANCEL).to_be_bytes())
}

/// Counts the requests that reach an upstream, which answers none.
fn count(mut up: H2Peer) -> (Arc<AtomicU32>, tokio::task::JoinHandle<()>) {
    let seen = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&seen);
    let counting = tokio::spawn(async move {
        let mut kept = vec![];
        while let Some(request) = up.next().await {
            counted.fetch_add(1, Relaxed);
            kept.push(request);
        }
    });
    (seen, counting)
}

#[tokio::test]
async fn case_132_streams_taken_back_at_once_end_the_connection() {
    for over in BOTH {
        let (upstream, proxy) = proxied(|setup| setup.protocol = BackendProtocol::H2c).await;
        let mut client = proxy.frames(over).await;
        client.send_bytes(&frames::head(1, &frames::get("/"))).await;
        let (seen, counting) = count(upstream.accept_h2().await);
        let streams = (1..10_000).map(|number| 1 + 2 * number);
        let flood: Vec<u8> =
            streams.flat_map(|stream| [frames::head(stream, &frames::get("/")), cancel(stream)].concat()).collect();
        client.send_until_refused(&flood, flood.len()).await;
        client.end().await;
        assert!(seen.load(Relaxed) < 300, "{} reached the upstream", seen.load(Relaxed));
        counting.abort();
    }
}

#[tokio::test]
async fn case_132_streams_taken_back_one_by_one_end_the_connection() {
    let (upstream, proxy) = proxied(|setup| setup.protocol = BackendProtocol::H2c).await;
    let mut client = proxy.frames(Over::Clear).await;
    client.send_bytes(&frames::head(1, &frames::get("/"))).await;
    let (seen, counting) = count(upstream.accept_h2().await);
    assert_eq!(take_back_one_by_one(&mut client, frames::head).await, CALM);
    let seen = seen.load(Relaxed);
    assert!((100..300).contains(&seen), "{seen} reached the upstream");
    counting.abort();
}

#[tokio::test]
async fn case_132_uploads_taken_back_count_too() {
    let (upstream, proxy) = proxied(|setup| setup.protocol = BackendProtocol::H2c).await;
    let mut client = proxy.frames(Over::Clear).await;
    client.send_bytes(&frames::head(1, &frames::get("/"))).await;
    let (seen, counting) = count(upstream.accept_h2().await);
    let uploading = |stream, fields: &[(&str, &str)]| {
        [frame(kind::HEADERS, END_HEADERS, stream, &literal(fields)), frame(kind::DATA, 0, stream, b"hi")].concat()
    };
    assert_eq!(take_back_one_by_one(&mut client, uploading).await, CALM);
    assert!(seen.load(Relaxed) < 300);
    counting.abort();
}

/// Opens streams and takes each back once the proxy has begun with it; gives the code that the connection ends with.
async fn take_back_one_by_one(client: &mut Frames, open: impl Fn(u32, &[(&str, &str)]) -> Vec<u8>) -> Option<u32> {
    for number in 1..10_000 {
        let stream = 1 + 2 * number;
        let opening = [open(stream, &frames::get("/")), frame(kind::PING, 0, 0, b"have you")].concat();
        if !client.try_send_bytes(&opening).await {
            return client.end().await.0;
        }
        let answered = client.find(|frame| matches!(frame.kind, kind::PING | kind::GOAWAY)).await;
        if answered.kind == kind::GOAWAY {
            return Some(answered.code());
        }
        if !client.try_send_bytes(&cancel(stream)).await {
            return client.end().await.0;
        }
    }
    None
}

#[tokio::test]
async fn a_client_that_takes_back_a_third_of_its_streams_is_served() {
    let (upstream, proxy) = proxied(|setup| setup.protocol = BackendProtocol::H2c).await;
    let mut client = proxy.frames(Over::Clear).await;
    let mut up: Option<H2Peer> = None;
    for number in 0..400 {
        let stream = 1 + 2 * number;
        client.send_bytes(&frames::head(stream, &frames::get("/"))).await;
        if up.is_none() {
            up = Some(upstream.accept_h2().await);
        }
        let (_, mut sent) = up.as_mut().expect("connected").request().await;
        if number % 3 == 0 {
            client.send_bytes(&cancel(stream)).await;
        } else {
            crate::harness::h2::respond(&mut sent, 200, "");
            client.is_served(stream).await;
        }
    }
}

#[tokio::test]
async fn case_133_a_head_without_end_ends_the_connection() {
    let (upstream, _proxy, mut client) = client().await;
    client.send(kind::HEADERS, 0, 1, &literal(&frames::get("/"))).await;
    let more = frame(kind::CONTINUATION, 0, 1, &literal(&[("x", &"x".repeat(1000))]));
    let sent = client.send_until_refused(&more, FLOOD).await;
    assert!(sent < FLOOD, "all of it was taken");
    assert!(upstream.is_left_alone().await);
}

#[tokio::test]
async fn case_133_continuations_without_a_byte_end_the_connection() {
    let (upstream, _proxy, mut client) = client().await;
    client.send(kind::HEADERS, 0, 1, &literal(&frames::get("/"))).await;
    let sent = client.send_until_refused(&frame(kind::CONTINUATION, 0, 1, b"").repeat(1000), FLOOD).await;
    assert!(sent < FLOOD, "all of it was taken");
    assert!(upstream.is_left_alone().await);
}

#[tokio::test]
async fn case_133_empty_data_ends_the_connection() {
    let (upstream, _proxy, mut client) = client().await;
    let mut fields = frames::get("/");
    fields[0].1 = "POST";
    client.send(kind::HEADERS, END_HEADERS, 1, &literal(&fields)).await;
    upstream.accept().await.head().await;
    client.send_bytes(&frame(kind::DATA, 0, 1, b"").repeat(1000)).await;
    let end = client.find(|frame| frame.kind == kind::GOAWAY).await;
    assert_eq!(Some(end.code()), CALM);
}

#[tokio::test]
async fn case_133_tiny_data_that_is_read_is_no_flood() {
    const FRAMES: usize = 50_000;
    let (upstream, _proxy, mut client) = client().await;
    let length = FRAMES.to_string();
    let mut fields = frames::get("/");
    fields[0].1 = "POST";
    fields.push(("content-length", &length));
    client.send(kind::HEADERS, END_HEADERS, 1, &literal(&fields)).await;
    let mut up = upstream.accept().await;
    up.head().await;
    let reading = tokio::spawn(async move {
        let body = up.exact_bytes(FRAMES).await;
        (up, body)
    });
    client.send_bytes(&frame(kind::DATA, 0, 1, b"x").repeat(FRAMES)).await;
    let (mut up, body) = reading.await.expect("read");
    assert!(body.iter().all(|&byte| byte == b'x'));
    up.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    client.is_served(1).await;
}

#[tokio::test]
async fn case_133_pings_settings_and_priorities_are_passed_over() {
    let (upstream, _proxy, mut client) = client().await;
    let flood = [
        frame(kind::PRIORITY, 0, 7, &[0, 0, 0, 0, 1]),
        frame(kind::PRIORITY_UPDATE, 0, 0, b"\0\0\0\x07u=1"),
        frame(kind::WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]),
        frame(kind::SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0]),
        frame(kind::PING, 0, 0, b"12345678"),
        frame(99, 0, 0, b"unknown"),
    ]
    .concat();
    client.knows_all().await;
    for _ in 0..100 {
        client.send_bytes(&flood.repeat(100)).await;
        let (mut pongs, mut acknowledged) = (0, 0);
        while (pongs, acknowledged) != (100, 100) {
            let answer = client.find(|frame| frame.kind != kind::WINDOW_UPDATE).await;
            assert_eq!(answer.flags, ACK, "{answer:?}");
            pongs += u32::from(answer.kind == kind::PING);
            acknowledged += u32::from(answer.kind == kind::SETTINGS);
        }
    }
    is_served(&upstream, &mut client, 1).await;
}

#[tokio::test]
async fn case_133_data_for_streams_that_are_over_is_reset() {
    let (upstream, _proxy, mut client) = client().await;
    is_served(&upstream, &mut client, 1).await;
    client.send(kind::DATA, 0, 1, b"late").await;
    let reset = client.find(|frame| frame.stream == 1).await;
    assert_eq!((reset.kind, reset.code()), (kind::RST_STREAM, Reason::STREAM_CLOSED.into()));
    is_served(&upstream, &mut client, 3).await;
}

/// A head that is small on the wire and large when it is read (RFC 7541 §7.3).
fn bomb(copies: usize) -> Vec<u8> {
    let value = [b'x'; 4000];
    // A literal that is put into the dynamic table, then references to it.
    let mut block = literal(&frames::get("/"));
    block.extend_from_slice(&[0x40, 1, b'x', 0x7f, 0xa1, 0x1e]);
    block.extend_from_slice(&value);
    block.extend(std::iter::repeat_n(0xbe, copies));
    block
}

#[tokio::test]
async fn case_134_a_head_that_is_large_when_it_is_read_is_refused() {
    let (upstream, _proxy, mut client) = client().await;
    // Above 64 KiB, but not by much: told so, and the connection goes on.
    client.send(kind::HEADERS, END_HEADERS | frames::END_STREAM, 1, &bomb(20)).await;
    let refused = client.find(|frame| frame.stream == 1).await;
    assert_eq!(refused.kind, kind::HEADERS);
    // A literal value for the name `:status` of the static table; Huffman for 431.
    assert_ne!(refused.payload.first(), Some(&frames::STATUS_200));
    assert!(upstream.is_left_alone().await);
    is_served(&upstream, &mut client, 3).await;
    // 40 MiB.
    client.send(kind::HEADERS, END_HEADERS | frames::END_STREAM, 5, &bomb(10_000)).await;
    let ended = client.find(|frame| matches!(frame.kind, kind::GOAWAY | kind::RST_STREAM) && frame.stream != 1).await;
    assert_ne!(ended.code(), 0);
    assert!(upstream.is_left_alone().await);
}
