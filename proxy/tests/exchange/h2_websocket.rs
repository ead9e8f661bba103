//! WebSockets over HTTP/2 (RFC 8441), which go on over HTTP/1.

use crate::harness::frames::{END_HEADERS, frame, kind, literal};
use crate::harness::h2::{BOTH, H2Client, Over, answer, body, head, piece};
use crate::harness::tunnel::{client, connect};
use crate::harness::{Client, Ended, Running, Upstream, field, proxied};
use base64::Engine;
use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream};

/// The `Sec-WebSocket-Accept` that fits a request's key (RFC 6455 §4.2.2).
fn accept_of(head: &str) -> String {
    let key = field(head, "sec-websocket-key").expect("a key");
    let text = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let digest = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
    base64::engine::general_purpose::STANDARD.encode(digest)
}

fn switching(accept: &str) -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\
         Sec-WebSocket-Protocol: chat\r\n\r\n"
    )
}

struct Open {
    _upstream: Upstream,
    _proxy: Running,
    _client: H2Client,
    up: Client,
    send: SendStream<Bytes>,
    received: RecvStream,
}

/// A WebSocket that both sides have agreed on.
async fn open(over: Over) -> Open {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = client(&proxy, over).await;
    let (response, send) = connect(&mut client, "websocket").await;
    let mut up = upstream.accept().await;
    let asked = up.head().await;
    up.send(&switching(&accept_of(&asked))).await;
    let received = head(response).await.into_body();
    Open { _upstream: upstream, _proxy: proxy, _client: client, up, send, received }
}

#[tokio::test]
async fn case_105_a_websocket_goes_on_over_http1() {
    for over in BOTH {
        let (upstream, proxy) = proxied(|_| {}).await;
        let mut client = client(&proxy, over).await;
        let (response, mut send) = connect(&mut client, "websocket").await;
        let mut up = upstream.accept().await;
        let asked = up.head().await;
        assert!(asked.starts_with("GET /chat?room=1 HTTP/1.1\r\nHost: a.test\r\n"), "{asked}");
        for (name, value) in [
            ("connection", "Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-protocol", "chat"),
            ("origin", "https://a.test"),
        ] {
            assert_eq!(field(&asked, name), Some(value), "{asked}");
        }
        for framing in ["content-length", "transfer-encoding"] {
            assert_eq!(field(&asked, framing), None, "{asked}");
        }
        // Frames may follow the 101 in its segment.
        up.send(&(switching(&accept_of(&asked)) + "hello")).await;
        let (accepted, mut received) = head(response).await.into_parts();
        assert_eq!(accepted.status, 200);
        for (name, value) in
            [("sec-websocket-protocol", Some("chat")), ("sec-websocket-accept", None), ("upgrade", None)]
        {
            assert_eq!(accepted.headers.get(name).map(|value| value.to_str().expect("text")), value);
        }
        assert_eq!(piece(&mut received).await, "hello");
        for message in ["one", "two"] {
            send.send_data(Bytes::from_static(message.as_bytes()), false).expect("open");
            assert_eq!(up.exactly(3).await, message);
            up.send(message).await;
            assert_eq!(piece(&mut received).await, message);
        }
    }
}

#[tokio::test]
async fn case_105_the_version_is_said_where_the_client_did_not() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.frames(Over::Clear).await;
    client.send_bytes(&frame(kind::HEADERS, END_HEADERS, 1, &literal(&extended_connect("websocket")))).await;
    assert_eq!(field(&upstream.accept().await.head().await, "sec-websocket-version"), Some("13"));
}

fn extended_connect(protocol: &str) -> [(&str, &str); 5] {
    [(":method", "CONNECT"), (":protocol", protocol), (":scheme", "http"), (":authority", "a.test"), (":path", "/")]
}

#[tokio::test]
async fn case_105_what_the_client_sends_early_waits_for_the_101() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.frames(Over::Clear).await;
    client.send_bytes(&frame(kind::HEADERS, END_HEADERS, 1, &literal(&extended_connect("websocket")))).await;
    client.send(kind::DATA, 0, 1, b"early").await;
    let mut up = upstream.accept().await;
    let asked = up.head().await;
    client.knows_all().await;
    let nothing = up.socket.try_read(&mut [0]).map_err(|error| error.kind());
    assert_eq!(nothing, Err(std::io::ErrorKind::WouldBlock));
    up.send(&switching(&accept_of(&asked))).await;
    client.is_served(1).await;
    assert_eq!(up.exactly(5).await, "early");
}

#[tokio::test]
async fn case_105_the_end_of_a_stream_is_the_end_of_a_half() {
    let Open { up, send, received, .. } = &mut open(Over::Clear).await;
    send.send_data(Bytes::from_static(b"bye"), true).expect("open");
    assert_eq!(up.rest_and_end().await, ("bye".to_owned(), Ended::Cleanly));
    up.send("and more").await;
    assert_eq!(piece(received).await, "and more");
    up.finish().await;
    assert_eq!(body(received).await, (vec![], Ok(None)));
}

#[tokio::test]
async fn case_105_the_end_of_a_half_is_the_end_of_a_stream() {
    let Open { up, send, received, .. } = &mut open(Over::Tls).await;
    up.send("bye").await;
    up.finish().await;
    assert_eq!(body(received).await, (b"bye".to_vec(), Ok(None)));
    send.send_data(Bytes::from_static(b"and more"), false).expect("open");
    assert_eq!(up.exactly(8).await, "and more");
    send.send_data(Bytes::new(), true).expect("open");
    assert_eq!(up.rest_and_end().await, (String::new(), Ended::Cleanly));
}

#[tokio::test]
async fn case_105_a_cancelled_stream_is_a_reset_connection() {
    let Open { up, send, .. } = &mut open(Over::Clear).await;
    send.send_reset(Reason::CANCEL);
    assert_eq!(up.rest_and_end().await, (String::new(), Ended::Badly));
}

#[tokio::test]
async fn case_105_a_reset_connection_is_a_cancelled_stream() {
    let Open { up, received, _proxy, _client, _upstream, send: _send } = open(Over::Clear).await;
    up.reset();
    let mut received = received;
    assert_eq!(body(&mut received).await.1, Err(Some(Reason::CANCEL)));
}

#[tokio::test]
async fn case_106_an_accept_that_does_not_fit_is_a_502() {
    for accept in ["s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", ""] {
        let (upstream, proxy) = proxied(|_| {}).await;
        let mut client = client(&proxy, Over::Clear).await;
        let (response, _send) = connect(&mut client, "websocket").await;
        let mut up = upstream.accept().await;
        up.head().await;
        up.send(&switching(accept)).await;
        assert_eq!(answer(response).await.status(), 502);
        up.rest_and_end().await;
        proxy.after(&["GET /chat?room=1 502 upstream_protocol"]).await;
    }
}

#[tokio::test]
async fn case_106_a_refusal_is_passed_on() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = client(&proxy, Over::Clear).await;
    let (response, mut send) = connect(&mut client, "websocket").await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno").await;
    let answer = answer(response).await;
    assert_eq!((answer.status(), answer.text()), (403, "no"));
    assert_eq!(crate::harness::h2::reset(&mut send).await, Reason::NO_ERROR);
    // The upstream's connection serves on.
    let response = client.get("/next").await;
    assert!(up.head().await.starts_with("GET /next "));
    drop(response);
}

#[tokio::test]
async fn case_107_another_protocol_is_a_501() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = client(&proxy, Over::Clear).await;
    let (response, _send) = connect(&mut client, "foo").await;
    assert_eq!(answer(response).await.status(), 501);
    assert!(upstream.is_left_alone().await);
    proxy.after(&["- - 501 not_implemented"]).await;
}

#[tokio::test]
async fn a_message_larger_than_every_buffer_passes_both_ways_at_once() {
    const LEN: usize = 4 * 1024 * 1024;
    let Open { up, mut send, mut received, _proxy, _client, _upstream } = open(Over::Clear).await;
    let sending = tokio::spawn(async move {
        assert_eq!(crate::harness::h2::fill(&mut send, LEN).await, LEN);
        send
    });
    let (mut read, mut write) = tokio::io::split(up.socket);
    let echoing = tokio::spawn(async move { tokio::io::copy(&mut read, &mut write).await });
    let mut seen = 0;
    while seen < LEN {
        seen += piece(&mut received).await.len();
    }
    sending.await.expect("sent");
    echoing.abort();
}
