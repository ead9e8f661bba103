//! Deadlines: each fires where its side owes something, and nowhere else.

use crate::harness::{Bulk, Ended, PATIENCE, field, proxied};
use config::RulePolicy;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::timeout;

const GET: &str = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
const MIB: u64 = 1024 * 1024;
/// A deadline that is to be met.
const SOON: Duration = Duration::from_millis(200);

/// A rule whose requests have so much time.
fn within(time: Duration) -> Option<Arc<RulePolicy>> {
    Some(Arc::new(RulePolicy { request: Some(time), ..RulePolicy::default() }))
}

#[tokio::test]
async fn case_140_the_time_for_a_request_is_over_before_its_answer() {
    let upload = "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\n\r\nhello";
    for (request, record) in [(GET, "GET / 504 deadline"), (upload, "POST / 504 deadline")] {
        let (upstream, proxy) = proxied(|setup| setup.policy = within(SOON)).await;
        let mut client = proxy.client().await;
        let begun = Instant::now();
        client.send(request).await;
        let mut up = upstream.accept().await;
        up.head().await;
        let (head, _) = client.answer().await;
        assert!(head.starts_with("HTTP/1.1 504 "), "{head}");
        assert!(begun.elapsed() >= SOON, "{:?}", begun.elapsed());
        assert_eq!(up.rest_and_end().await.1, Ended::Badly);
        assert!(upstream.is_left_alone().await, "there is no time for another attempt");
        proxy.after(&[record]).await;
    }
}

#[tokio::test]
async fn case_140_the_time_for_a_request_is_over_within_its_answer() {
    let (upstream, proxy) = proxied(|setup| setup.policy = within(SOON)).await;
    let mut client = proxy.client().await;
    client.send(GET).await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    client.head().await;
    // An upstream that is not silent for long has no more time than that.
    let begun = Instant::now();
    let speaking = async {
        loop {
            up.send("1\r\nx\r\n").await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let (body, _) = tokio::select! {
        () = speaking => unreachable!("it does not end"),
        end = timeout(PATIENCE, client.rest_and_end()) => end.expect("no end"),
    };
    assert!(!body.contains("0\r\n"), "{body}");
    assert!(begun.elapsed() >= SOON / 2, "{:?}", begun.elapsed());
    assert_eq!(up.rest_and_end().await.1, Ended::Badly);
    proxy.after(&["GET / 200 deadline cut"]).await;
}

#[tokio::test]
async fn case_140_a_request_in_time_is_not_disturbed_and_a_tunnel_has_its_own() {
    let (upstream, proxy) = proxied(|setup| {
        setup.policy = within(SOON);
        setup.limits.tunnel = 3 * SOON;
    })
    .await;
    let mut client = proxy.client().await;
    client.send(GET).await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    assert_eq!(client.answer().await.1, "ok");
    client.send("GET /chat HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n").await;
    up.head().await;
    up.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n").await;
    client.head().await;
    let opened = Instant::now();
    client.rest_and_end().await;
    assert!(opened.elapsed() >= 2 * SOON, "{:?}", opened.elapsed());
    proxy.after(&["GET / 200", "GET /chat 101 tunnel_timeout cut"]).await;
}

#[tokio::test]
async fn case_142_a_client_that_does_not_read_is_not_the_upstreams_silence() {
    const LENGTH: u64 = 16 * MIB;
    let (upstream, proxy) = proxied(|setup| setup.limits.upstream_idle = SOON).await;
    let mut client = proxy.client().await;
    client.send(GET).await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.send(&format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n")).await;
    client.head().await;
    let mut bulk = Bulk::new();
    // It stalls for longer than the upstream could be silent.
    let sent = bulk.send_until_stalled(&mut up.socket, LENGTH).await;
    assert!(sent < LENGTH);
    tokio::join!(bulk.send(&mut up.socket, LENGTH - sent), client.expect_bulk(LENGTH));
    proxy.after(&["GET / 200"]).await;
}

#[tokio::test]
async fn case_142_an_upstream_that_falls_silent_is_cut() {
    let (upstream, proxy) = proxied(|setup| setup.limits.upstream_idle = SOON).await;
    let mut client = proxy.client().await;
    client.send(GET).await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello").await;
    client.head().await;
    let begun = Instant::now();
    assert_eq!(client.rest_and_end().await.0, "hello");
    assert!(begun.elapsed() >= SOON / 2, "{:?}", begun.elapsed());
    assert_eq!(up.rest_and_end().await.1, Ended::Badly);
    proxy.after(&["GET / 200 upstream_timeout cut"]).await;
}

#[tokio::test]
async fn case_142_an_upstream_without_an_answer_is_a_timeout_and_not_asked_again() {
    let (upstream, proxy) = proxied(|setup| setup.limits.upstream_head = SOON).await;
    let mut client = proxy.client().await;
    client.send(GET).await;
    let mut up = upstream.accept().await;
    up.head().await;
    let (head, _) = client.answer().await;
    assert!(head.starts_with("HTTP/1.1 504 "), "{head}");
    assert_eq!(field(&head, "connection"), None, "{head}");
    assert_eq!(up.rest_and_end().await.1, Ended::Badly);
    assert!(upstream.is_left_alone().await);
    proxy.after(&["GET / 504 upstream_timeout"]).await;
}

#[tokio::test]
async fn case_143_a_client_that_never_reads_is_reset() {
    const LENGTH: u64 = 64 * MIB;
    for close_delimited in [false, true] {
        let (upstream, proxy) = proxied(|setup| setup.limits.write = SOON).await;
        let mut client = proxy.client().await;
        client.send(GET).await;
        let mut up = upstream.accept().await;
        up.head().await;
        let length = if close_delimited { String::new() } else { format!("Content-Length: {LENGTH}\r\n") };
        up.send(&format!("HTTP/1.1 200 OK\r\n{length}\r\n")).await;
        let sent = timeout(PATIENCE, Bulk::new().send_until_refused(&mut up.socket)).await.expect("never refused");
        assert!(sent < LENGTH);
        let (_, ended) = client.bytes_and_end().await;
        assert_eq!(ended, Ended::Badly);
        proxy.after(&["GET / 200 write_timeout cut"]).await;
    }
}
