//! Answers that come slowly, and answers that are taken slowly.

use crate::harness::{Bulk, field, proxied};
use std::time::Duration;
use tokio::time::timeout;

const GET: &str = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";

#[tokio::test]
async fn case_92_events_are_not_held() {
    // The upstream sends an event only after the client has seen the one before.
    for (framing, event, last) in [
        ("Transfer-Encoding: chunked\r\n", "d\r\ndata: event\n\n\r\n", "0\r\n\r\n"),
        ("Content-Length: 1300\r\n", "data: event\n\n", ""),
    ] {
        let (upstream, proxy) = proxied(|_| {}).await;
        let mut client = proxy.client().await;
        client.send(GET).await;
        let mut up = upstream.accept().await;
        up.head().await;
        up.send(&format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{framing}\r\n")).await;
        // The head alone, before any event.
        let head = client.head().await;
        assert_eq!(field(&head, "content-type"), Some("text/event-stream"), "{head}");
        for _ in 0..100 {
            up.send(event).await;
            assert_eq!(client.exactly(event.len()).await, event);
        }
        up.send(last).await;
        assert_eq!(client.exactly(last.len()).await, last);
        client.send(GET).await;
        up.head().await;
        up.no_content().await;
        client.is_answered().await;
        proxy.after(&["GET / 200", "GET / 204"]).await;
    }
    // Until close.
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.client().await;
    client.send(GET).await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.send("HTTP/1.1 200 OK\r\n\r\n").await;
    client.head().await;
    for _ in 0..100 {
        up.send("data: event\n\n").await;
        assert_eq!(client.exactly(18).await, "d\r\ndata: event\n\n\r\n");
    }
    drop(up);
    assert_eq!(client.exactly(5).await, "0\r\n\r\n");
    proxy.after(&["GET / 200"]).await;
}

#[tokio::test]
async fn case_93_a_client_that_does_not_read_stops_the_upstream_and_loses_nothing() {
    const LENGTH: u64 = 256 * 1024 * 1024;
    for framing in [format!("Content-Length: {LENGTH}"), "Transfer-Encoding: chunked".to_owned()] {
        let (upstream, proxy) = proxied(|_| {}).await;
        let mut client = proxy.client().await;
        client.send("GET / HTTP/1.0\r\nHost: a.test\r\n\r\n").await;
        let mut up = upstream.accept().await;
        up.head().await;
        let is_chunked = framing.starts_with("Transfer");
        up.send(&format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n")).await;
        if is_chunked {
            up.send(&format!("{LENGTH:x}\r\n")).await;
        }
        client.head().await;
        let mut body = Bulk::new();
        let sending = async {
            body.send(&mut up.socket, LENGTH).await;
            if is_chunked {
                up.send("\r\n0\r\n\r\n").await;
            }
        };
        tokio::pin!(sending);
        // What the kernel takes on four sockets and what is buffered between them is far less than the whole.
        assert!(timeout(Duration::from_millis(300), &mut sending).await.is_err(), "all was taken");
        tokio::join!(sending, client.expect_bulk(LENGTH));
        client.is_closed().await;
        proxy.after(&["GET / 200"]).await;
    }
}

#[tokio::test]
async fn case_93_a_long_download_outlives_the_write_timeout_while_its_client_reads() {
    let (upstream, proxy) = proxied(|setup| setup.limits.write = Duration::from_millis(300)).await;
    let mut client = proxy.client().await;
    client.send(GET).await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n").await;
    client.head().await;
    // Each piece leaves as a whole, for longer than the client may take for one.
    let piece = vec![b'x'; 32 * 1024];
    let begun = tokio::time::Instant::now();
    while begun.elapsed() < Duration::from_millis(600) {
        up.send_bytes(&piece).await;
        assert_eq!(client.exact_bytes(piece.len()).await, piece);
    }
    // Then the client pauses, for less than it may.
    let more = 30_000_000;
    let (mut sent, mut received) = (Bulk::new(), Bulk::new());
    {
        let sending = sent.send(&mut up.socket, more);
        tokio::pin!(sending);
        assert!(timeout(Duration::from_millis(100), &mut sending).await.is_err(), "all was taken");
        tokio::join!(sending, received.expect(&mut client.socket, more));
    }
    up.reset();
    client.rest_and_end().await;
    proxy.after(&["GET / 200 upstream_reset cut"]).await;
}

#[tokio::test]
async fn case_143_a_client_that_never_reads_is_reset() {
    let (upstream, proxy) = proxied(|setup| setup.limits.write = Duration::from_millis(200)).await;
    let mut client = proxy.client().await;
    client.send(GET).await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n").await;
    Bulk::new().send_until_refused(&mut up.socket).await;
    // What it reads now ends early, and not as if it were whole.
    let mut buffer = vec![0; 1 << 20];
    let ended = loop {
        match timeout(crate::harness::PATIENCE, tokio::io::AsyncReadExt::read(&mut client.socket, &mut buffer)).await {
            Ok(Ok(0)) => break None,
            Ok(Ok(_)) => {}
            Ok(Err(error)) => break Some(error.kind()),
            Err(_) => panic!("no end"),
        }
    };
    assert_eq!(ended, Some(std::io::ErrorKind::ConnectionReset));
    proxy.after(&["GET / 200 write_timeout cut"]).await;
}
