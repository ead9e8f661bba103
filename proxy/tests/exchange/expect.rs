//! `Expect: 100-continue`: forwarded, and answered at most once.

use crate::harness::{Client, Ended, Running, Upstream, field, proxied};
use config::HostPattern;

const HEAD: &str = "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nExpect: 100-Continue\r\n\r\n";
const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";

/// A client that has sent [`HEAD`], and the upstream that has read it.
async fn expecting() -> (Client, Client, Upstream, Running) {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.client().await;
    client.send(HEAD).await;
    let mut up = upstream.accept().await;
    let head = up.head().await;
    assert_eq!((field(&head, "expect"), field(&head, "content-length")), (Some("100-continue"), Some("5")), "{head}");
    (client, up, upstream, proxy)
}

#[tokio::test]
async fn case_49_the_upstreams_100_is_relayed_once() {
    let (mut client, mut up, _upstream, proxy) = expecting().await;
    up.send(CONTINUE).await;
    assert_eq!(client.head().await, CONTINUE);
    client.send("hello").await;
    assert_eq!(up.exactly(5).await, "hello");
    up.send(CONTINUE).await;
    up.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert_eq!(field(&head, "connection"), None);
    // Both connections go on.
    client.send(HEAD).await;
    assert!(up.head().await.starts_with("POST / "));
    client.send("hello").await;
    assert_eq!(up.exactly(5).await, "hello");
    up.no_content().await;
    client.is_answered().await;
    proxy.after(&["POST / 200", "POST / 204"]).await;
}

#[tokio::test]
async fn case_50_a_final_answer_without_100_ends_the_connection() {
    for status in ["417 Expectation Failed", "401 Unauthorized", "200 OK"] {
        let (mut client, mut up, upstream, proxy) = expecting().await;
        up.send(&format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nno")).await;
        let (head, body) = client.answer().await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{head}");
        // The client may or may not send the body now: nothing after it could be told apart (RFC 9110 §10.1.1).
        assert_eq!((field(&head, "connection"), body.as_str()), (Some("close"), "no"), "{head}");
        client.is_closed().await;
        assert_ne!(up.rest_and_end().await.0, "hello");
        // The upstream still waits for the body: its connection is no good for another request.
        let mut next = proxy.client().await;
        next.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
        let mut up = upstream.accept().await;
        up.head().await;
        up.no_content().await;
        next.is_answered().await;
        let code = status.split(' ').next().expect("a code");
        proxy.after(&[&format!("POST / {code}"), "GET / 204"]).await;
    }
}

#[tokio::test]
async fn case_51_a_body_that_comes_without_a_100_flows() {
    let (mut client, mut up, _upstream, proxy) = expecting().await;
    client.send("hello").await;
    assert_eq!(up.exactly(5).await, "hello");
    up.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let (head, body) = client.answer().await;
    assert_eq!((field(&head, "connection"), body.as_str()), (None, "ok"), "{head}");
    proxy.after(&["POST / 200"]).await;
}

#[tokio::test]
async fn case_52_an_expectation_that_cannot_be_meant_is_stripped_and_others_are_refused() {
    let (upstream, proxy) = proxied(|_| {}).await;
    for request in [
        "POST / HTTP/1.0\r\nHost: a.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello",
        "GET / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\n\r\n",
    ] {
        let mut client = proxy.client().await;
        client.send(request).await;
        let mut up = upstream.accept().await;
        let (head, _) = up.answer().await;
        assert_eq!(field(&head, "expect"), None, "{head}");
        up.send("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await;
        client.head().await;
    }
    proxy.after(&["POST / 204", "GET / 204"]).await;
    proxy.refuses(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nExpect: foo\r\n\r\n", 417).await;
    assert!(upstream.is_left_alone().await);
}

#[tokio::test]
async fn case_53_an_answer_made_here_needs_no_body() {
    let (upstream, proxy) = proxied(|setup| setup.host = HostPattern::Exact("b.test".into())).await;
    let mut client = proxy.client().await;
    client.send(HEAD).await;
    let (head, _) = client.answer().await;
    assert!(head.starts_with("HTTP/1.1 404 "), "{head}");
    assert_eq!(field(&head, "connection"), Some("close"), "{head}");
    client.is_closed().await;
    assert!(upstream.is_left_alone().await);
    proxy.after(&["POST / 404 no_route"]).await;
}

#[tokio::test]
async fn case_55_a_100_that_nobody_waits_for_is_dropped() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.client().await;
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello").await;
    let mut up = upstream.accept().await;
    up.answer().await;
    up.send(CONTINUE).await;
    up.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
    drop(up);
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    proxy.after(&["POST / 200"]).await;
}

#[tokio::test]
async fn case_49_an_upstream_that_fails_after_its_100_is_told_to_the_client() {
    let (mut client, mut up, upstream, proxy) = expecting().await;
    up.send(CONTINUE).await;
    assert_eq!(client.head().await, CONTINUE);
    client.send("hel").await;
    assert_eq!(up.exactly(3).await, "hel");
    up.reset();
    let (head, _) = client.answer().await;
    assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
    client.send("lo").await;
    client.finish().await;
    assert_eq!(client.rest_and_end().await.1, Ended::Cleanly);
    assert!(upstream.is_left_alone().await);
    proxy.after(&["POST / 502 upstream_reset"]).await;
}
