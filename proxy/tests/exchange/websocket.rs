//! Upgrades to WebSocket, and the tunnels they become.

use crate::harness::tunnel::{SWITCHING, UPGRADE, echoes, opened};
use crate::harness::{Bulk, Ended, field, proxied};
use std::time::Duration;
use tokio::io::AsyncReadExt;

#[tokio::test]
async fn case_96_a_websocket_is_opened_and_carries_bytes_both_ways() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.client().await;
    client.send(UPGRADE).await;
    let mut up = upstream.accept().await;
    let head = up.head().await;
    assert!(head.starts_with("GET /chat HTTP/1.1\r\nHost: a.test\r\n"), "{head}");
    assert_eq!((field(&head, "connection"), field(&head, "upgrade")), (Some("Upgrade"), Some("websocket")), "{head}");
    assert_eq!(field(&head, "sec-websocket-key"), Some("dGhlIHNhbXBsZSBub25jZQ=="), "{head}");
    assert_eq!(field(&head, "sec-websocket-version"), Some("13"), "{head}");
    up.send(SWITCHING).await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
    assert_eq!((field(&head, "connection"), field(&head, "upgrade")), (Some("upgrade"), Some("websocket")), "{head}");
    assert_eq!(field(&head, "sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
    assert_eq!((field(&head, "content-length"), field(&head, "transfer-encoding")), (None, None), "{head}");
    echoes(&mut client, &mut up).await;

    // Much at once, both ways.
    const LENGTH: u64 = 20 * 1024 * 1024;
    let echo = async {
        let (mut reader, mut writer) = up.socket.split();
        tokio::io::copy(&mut (&mut reader).take(LENGTH), &mut writer).await.expect("echo")
    };
    let (mut reader, mut writer) = client.socket.split();
    let (mut sent, mut received) = (Bulk::new(), Bulk::new());
    tokio::join!(sent.send(&mut writer, LENGTH), received.expect(&mut reader, LENGTH), echo);

    client.finish().await;
    up.is_closed().await;
    up.finish().await;
    client.is_closed().await;
    proxy.after(&["GET /chat 101"]).await;
}

#[tokio::test]
async fn case_97_a_frame_in_the_segment_of_the_101_is_delivered() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.client().await;
    client.send(UPGRADE).await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.send(&format!("{SWITCHING}frame")).await;
    client.head().await;
    assert_eq!(client.exactly(5).await, "frame");
    echoes(&mut client, &mut up).await;
    drop((client, up));
    proxy.after(&["GET /chat 101"]).await;
}

#[tokio::test]
async fn case_98_a_frame_sent_with_the_request_waits_for_the_101() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.client().await;
    client.send(&format!("{UPGRADE}early")).await;
    let mut up = upstream.accept().await;
    up.head().await;
    // An interim head makes sure that the proxy has had its time to send it.
    up.send("HTTP/1.1 103 Early Hints\r\n\r\n").await;
    client.head().await;
    client.send(" bird").await;
    up.send("HTTP/1.1 103 Early Hints\r\n\r\n").await;
    client.head().await;
    let nothing = tokio::time::timeout(Duration::ZERO, up.exactly(1)).await;
    assert!(nothing.is_err(), "{nothing:?} came before the 101");
    up.send(SWITCHING).await;
    assert_eq!(up.exactly(10).await, "early bird");
    client.head().await;
    echoes(&mut client, &mut up).await;
    drop((client, up));
    proxy.after(&["GET /chat 101"]).await;
}

#[tokio::test]
async fn case_98_what_came_with_a_refused_upgrade_is_the_next_request() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.client().await;
    client.send(&format!("{UPGRADE}GET /next HTTP/1.1\r\nHost: a.test\r\n\r\n")).await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno").await;
    assert!(client.answer().await.0.starts_with("HTTP/1.1 403 "));
    assert!(up.head().await.starts_with("GET /next "));
    up.no_content().await;
    client.is_answered().await;
    proxy.after(&["GET /chat 403", "GET /next 204"]).await;
}

#[tokio::test]
async fn case_99_a_refused_upgrade_is_an_ordinary_answer() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.client().await;
    client.send(UPGRADE).await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno").await;
    let (head, body) = client.answer().await;
    assert!(head.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{head}");
    assert_eq!((field(&head, "connection"), field(&head, "upgrade"), body.as_str()), (None, None, "no"), "{head}");
    client.send("GET /next HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    assert!(up.head().await.starts_with("GET /next "));
    up.no_content().await;
    client.is_answered().await;
    proxy.after(&["GET /chat 403", "GET /next 204"]).await;
}

#[tokio::test]
async fn cases_100_and_101_other_upgrades_are_stripped() {
    let (upstream, proxy) = proxied(|_| {}).await;
    for request in [
        "GET / HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: keep-alive\r\nUpgrade: websocket\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n\r\nhello",
        "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n\r\nhello",
        "GET / HTTP/1.0\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: TLS/1.0\r\n\r\n",
    ] {
        let mut client = proxy.client().await;
        client.send(request).await;
        let mut up = upstream.accept().await;
        let (head, _) = up.answer().await;
        for name in ["connection", "upgrade", "http2-settings"] {
            assert_eq!(field(&head, name), None, "{request:?}: {head}");
        }
        up.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok").await;
        let (head, body) = client.answer().await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && body == "ok", "{request:?}: {head}");
    }
    proxy.after(&["GET / 200", "GET / 200", "POST / 200", "GET / 200", "GET / 200", "GET / 200", "GET / 200"]).await;
}

#[tokio::test]
async fn case_72_a_101_to_another_protocol_is_a_bad_gateway() {
    let (upstream, proxy) = proxied(|_| {}).await;
    for switching in [
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
    ] {
        let mut client = proxy.client().await;
        client.send(UPGRADE).await;
        let mut up = upstream.accept().await;
        up.head().await;
        up.send(switching).await;
        assert!(client.answer().await.0.starts_with("HTTP/1.1 502 "));
        assert_eq!(up.rest_and_end().await.1, Ended::Badly);
    }
    proxy.after(&["GET /chat 502 upstream_protocol"; 2]).await;
}

#[tokio::test]
async fn case_102_a_half_closed_tunnel_goes_on_the_other_way() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let (mut client, mut up) = opened(&upstream, &proxy).await;
    client.send("bye").await;
    client.finish().await;
    assert_eq!(up.rest_and_end().await, ("bye".to_owned(), Ended::Cleanly));
    for _ in 0..10 {
        up.send("still here").await;
        assert_eq!(client.exactly(10).await, "still here");
    }
    up.finish().await;
    client.is_closed().await;

    let (mut client, mut up) = opened(&upstream, &proxy).await;
    up.send("bye").await;
    up.finish().await;
    assert_eq!(client.rest_and_end().await, ("bye".to_owned(), Ended::Cleanly));
    for _ in 0..10 {
        client.send("still here").await;
        assert_eq!(up.exactly(10).await, "still here");
    }
    client.finish().await;
    up.is_closed().await;
    // A tunnel's connection carries no request afterwards.
    let mut next = proxy.client().await;
    next.send("GET /next HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    let mut up = upstream.accept().await;
    assert!(up.head().await.starts_with("GET /next "));
    up.no_content().await;
    next.is_answered().await;
    proxy.after(&["GET /chat 101", "GET /chat 101", "GET /next 204"]).await;
}

#[tokio::test]
async fn case_103_tunnels_do_not_idle_for_ever() {
    let (upstream, proxy) = proxied(|setup| setup.limits.tunnel = Duration::from_millis(200)).await;
    let (mut client, mut up) = opened(&upstream, &proxy).await;
    echoes(&mut client, &mut up).await;
    assert_eq!(client.rest_and_end().await.0, "");
    assert_eq!(up.rest_and_end().await.0, "");
    proxy.after(&["GET /chat 101 tunnel_timeout cut"]).await;

    let (upstream, proxy) = proxied(|setup| setup.limits.half_closed = Duration::from_millis(200)).await;
    let (mut client, mut up) = opened(&upstream, &proxy).await;
    client.finish().await;
    up.is_closed().await;
    assert_eq!(client.rest_and_end().await.0, "");

    let (mut client, mut up) = opened(&upstream, &proxy).await;
    up.finish().await;
    client.is_closed().await;
    assert_eq!(up.rest_and_end().await.0, "");
    proxy.after(&["GET /chat 101 tunnel_timeout cut"; 2]).await;
}

#[tokio::test]
async fn case_103_a_tunnel_whose_upstream_does_not_read_is_closed() {
    let (upstream, proxy) = proxied(|setup| setup.limits.write = Duration::from_millis(200)).await;
    let (mut client, _up) = opened(&upstream, &proxy).await;
    Bulk::new().send_until_refused(&mut client.socket).await;
    proxy.after(&["GET /chat 101 upstream_timeout cut"]).await;
}

#[tokio::test]
async fn case_104_a_reset_passes_through_a_tunnel() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let (mut client, up) = opened(&upstream, &proxy).await;
    up.reset();
    assert_eq!(client.rest_and_end().await, (String::new(), Ended::Badly));

    let (client, mut up) = opened(&upstream, &proxy).await;
    client.reset();
    assert_eq!(up.rest_and_end().await, (String::new(), Ended::Badly));
    proxy.after(&["GET /chat 101 upstream_reset cut", "GET /chat 101 client_gone cut"]).await;
}
