//! Clients that leave, half close, or stop talking before their exchange is over.

use crate::harness::{Bulk, Client, Ended, Running, Upstream, field, proxied};
use std::time::Duration;
use tokio::io::AsyncReadExt;

const GET: &str = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\n\r\n";

/// A client that has sent this, and the upstream that has read the head.
async fn begun(request: &str) -> (Client, Client, Upstream, Running) {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.client().await;
    client.send(request).await;
    let mut up = upstream.accept().await;
    up.head().await;
    (client, up, upstream, proxy)
}

/// Whether the upstream's connection ends, soon and not as a complete message would.
async fn is_let_go(mut up: Client, upstream: &Upstream) {
    assert_eq!(up.rest_and_end().await, (String::new(), Ended::Badly));
    assert!(upstream.is_left_alone().await, "a client that is gone wants no other attempt");
}

#[tokio::test]
async fn case_62_a_client_that_resets_takes_the_upstream_with_it() {
    let (mut client, mut up, upstream, proxy) = begun(POST).await;
    client.send("hello").await;
    assert_eq!(up.exactly(5).await, "hello");
    client.reset();
    is_let_go(up, &upstream).await;
    proxy.after(&["POST / 499 client_gone cut"]).await;

    let (client, up, upstream, proxy) = begun(GET).await;
    client.reset();
    is_let_go(up, &upstream).await;
    proxy.after(&["GET / 499 client_gone cut"]).await;

    let (mut client, mut up, upstream, proxy) = begun(GET).await;
    up.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello").await;
    client.head().await;
    assert_eq!(client.exactly(5).await, "hello");
    client.reset();
    is_let_go(up, &upstream).await;
    proxy.after(&["GET / 200 client_gone cut"]).await;
}

#[tokio::test]
async fn case_62_a_client_that_resets_amid_a_large_download_takes_the_upstream_with_it() {
    let (mut client, mut up, upstream, proxy) = begun(GET).await;
    up.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n").await;
    client.head().await;
    // Blocked first: nobody reads.
    let mut bulk = Bulk::new();
    let blocked = tokio::time::timeout(Duration::from_millis(200), bulk.send_until_refused(&mut up.socket)).await;
    assert!(blocked.is_err(), "all was taken: {blocked:?}");
    client.reset();
    bulk.send_until_refused(&mut up.socket).await;
    assert!(upstream.is_left_alone().await);
    proxy.after(&["GET / 200 client_gone cut"]).await;
}

#[tokio::test]
async fn case_62_a_reset_is_seen_while_nothing_of_the_client_is_read() {
    // The upstream does not read.
    let post = "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1000000000000\r\n\r\n";
    let (mut client, _up, _upstream, proxy) = begun(post).await;
    let mut bulk = Bulk::new();
    let blocked = tokio::time::timeout(Duration::from_millis(200), bulk.send_until_refused(&mut client.socket)).await;
    assert!(blocked.is_err(), "all was taken: {blocked:?}");
    client.reset();
    assert_eq!(proxy.record().await, "POST / 499 client_gone cut");

    // More is pipelined than is read ahead.
    let (mut client, _up, _upstream, proxy) = begun(GET).await;
    client.send(&GET.repeat(1000)).await;
    client.reset();
    assert_eq!(proxy.record().await, "GET / 499 client_gone cut");

    // It had half closed before.
    let (mut client, mut up, _upstream, proxy) = begun(GET).await;
    client.finish().await;
    up.send("HTTP/1.1 103 Early Hints\r\n\r\n").await;
    client.head().await;
    client.reset();
    assert_eq!(proxy.record().await, "GET / 499 client_gone cut");
}

#[tokio::test]
async fn case_63_a_client_that_half_closes_gets_its_answer() {
    for request in [GET, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello"] {
        let (mut client, mut up, _upstream, proxy) = begun(request).await;
        client.finish().await;
        // The end of the client's half has come by the time that a round trip has.
        up.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n").await;
        assert!(client.head().await.starts_with("HTTP/1.1 103 "));
        up.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        let (head, body) = client.answer().await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert_eq!(body, "ok");
        client.is_closed().await;
        proxy.after(&[&format!("{} / 200", &request[..request.find(' ').expect("a method")])]).await;
    }
}

#[tokio::test]
async fn case_64_a_half_close_within_a_body_is_a_cut() {
    let chunked = "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (head, sent, forwarded) in [
        (POST, "hello", "hello"),
        (POST, "", ""),
        (chunked, "5\r\nhel", "3\r\nhel\r\n"),
        (chunked, "5\r\nhello", "5\r\nhello\r\n"),
        (chunked, "5\r\nhello\r\n", "5\r\nhello\r\n"),
        (chunked, "5\r\nhello\r\n0\r\n", "5\r\nhello\r\n"),
    ] {
        let (mut client, mut up, upstream, proxy) = begun(head).await;
        client.send(sent).await;
        assert_eq!(up.exactly(forwarded.len()).await, forwarded);
        client.finish().await;
        is_let_go(up, &upstream).await;
        let (head, _) = client.answer().await;
        assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
        assert_eq!(field(&head, "connection"), Some("close"), "{head}");
        client.is_closed().await;
        proxy.after(&["POST / 400 client_reset"]).await;
    }
}

#[tokio::test]
async fn case_64_a_half_close_within_a_body_cuts_an_answer_that_has_begun() {
    let (mut client, mut up, upstream, proxy) = begun(POST).await;
    up.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello").await;
    client.head().await;
    assert_eq!(client.exactly(5).await, "hello");
    client.finish().await;
    is_let_go(up, &upstream).await;
    assert_eq!(client.rest_and_end().await.0, "");
    proxy.after(&["POST / 200 client_reset cut"]).await;
}

#[tokio::test]
async fn case_67_a_client_that_stops_uploading_is_told() {
    let (upstream, proxy) = proxied(|setup| setup.limits.body_idle = Duration::from_millis(200)).await;
    let mut client = proxy.client().await;
    client.send(POST).await;
    let mut up = upstream.accept().await;
    up.head().await;
    client.send("hello").await;
    assert_eq!(up.exactly(5).await, "hello");
    is_let_go(up, &upstream).await;
    let (head, _) = client.answer().await;
    assert!(head.starts_with("HTTP/1.1 408 "), "{head}");
    assert_eq!(field(&head, "connection"), Some("close"), "{head}");
    client.is_closed().await;
    proxy.after(&["POST / 408 client_timeout"]).await;
}

#[tokio::test]
async fn case_67_a_client_that_stops_uploading_during_its_answer_is_cut_off() {
    let (upstream, proxy) = proxied(|setup| setup.limits.body_idle = Duration::from_millis(200)).await;
    let mut client = proxy.client().await;
    client.send(POST).await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n").await;
    client.head().await;
    is_let_go(up, &upstream).await;
    assert_eq!(client.rest_and_end().await.0, "5\r\nhello\r\n");
    proxy.after(&["POST / 200 client_timeout cut"]).await;
}

#[tokio::test]
async fn case_68_an_upstream_that_does_not_read_is_not_the_clients_fault() {
    let (upstream, proxy) = proxied(|setup| {
        setup.limits.body_idle = Duration::from_millis(100);
        setup.limits.write = Duration::from_millis(500);
    })
    .await;
    let mut client = proxy.client().await;
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1000000000000\r\n\r\n").await;
    let mut up = upstream.accept().await;
    up.head().await;
    let (mut reader, mut writer) = client.socket.split();
    let mut answer = Vec::new();
    let mut upload = Bulk::new();
    let upload = async {
        upload.send_until_refused(&mut writer).await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = upload => {}
        read = reader.read_buf(&mut answer) => assert!(read.expect("an answer") > 0),
    }
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 504 "), "{answer}");
    drop(client);
    proxy.after(&["POST / 504 upstream_timeout"]).await;
}

#[tokio::test]
async fn case_68_time_that_the_upstream_took_is_not_counted_against_the_client() {
    const MOST: u64 = 32 * 1024 * 1024;
    let (upstream, proxy) = proxied(|setup| {
        setup.limits.body_idle = Duration::from_millis(300);
        // So that all that the client has so far waits for the upstream here.
        setup.limits.output = 2 * MOST as usize;
    })
    .await;
    let mut client = proxy.client().await;
    client.send(&format!("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {}\r\n\r\n", MOST + 1)).await;
    let mut up = upstream.accept().await;
    up.head().await;
    client.send_bulk(MOST).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    up.expect_bulk(MOST).await;
    client.send("!").await;
    assert_eq!(up.exactly(1).await, "!");
    up.no_content().await;
    client.is_answered().await;
    proxy.after(&["POST / 204"]).await;
}
