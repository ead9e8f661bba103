//! Heads before the final one (1xx).

use crate::harness::{Ended, field, proxied};

const GET: &str = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
const HINT: &str = "HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n";

#[tokio::test]
async fn case_70_hints_are_relayed_to_http11_and_not_to_http10() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.client().await;
    client.send(GET).await;
    let mut up = upstream.accept().await;
    up.head().await;
    for _ in 0..2 {
        up.send(&HINT.replace("Link", "Connection: x-hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nLink")).await;
        // Before anything else comes.
        assert_eq!(client.head().await, HINT);
    }
    up.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let (head, body) = client.answer().await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && body == "ok", "{head}");

    let mut client = proxy.client().await;
    client.send("GET / HTTP/1.0\r\nHost: a.test\r\n\r\n").await;
    up.head().await;
    up.send(&format!("{HINT}{HINT}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")).await;
    let (head, body) = client.answer().await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && body == "ok", "{head}");
    proxy.after(&["GET / 200", "GET / 200"]).await;
}

#[tokio::test]
async fn case_71_hints_without_end_are_a_bad_gateway() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.client().await;
    client.send(GET).await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.send(&HINT.repeat(17)).await;
    for _ in 0..16 {
        assert_eq!(client.head().await, HINT);
    }
    let (head, _) = client.answer().await;
    assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
    assert_eq!(up.rest_and_end().await.1, Ended::Badly);
    assert!(upstream.is_left_alone().await);
    proxy.after(&["GET / 502 upstream_protocol"]).await;
}

#[tokio::test]
async fn case_72_a_101_that_nobody_asked_for_is_a_bad_gateway() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.client().await;
    for request in [GET, "GET / HTTP/1.1\r\nHost: a.test\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"] {
        client.send(request).await;
        let mut up = upstream.accept().await;
        up.head().await;
        up.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n").await;
        let (head, _) = client.answer().await;
        assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
        assert_eq!(field(&head, "upgrade"), None, "{head}");
        assert_eq!(up.rest_and_end().await, (String::new(), Ended::Badly));
    }
    assert!(upstream.is_left_alone().await);
    proxy.after(&["GET / 502 upstream_protocol"; 2]).await;
}
