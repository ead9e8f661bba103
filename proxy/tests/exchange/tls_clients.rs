//! HTTP/1 clients on TLS, where close_notify tells an end from a cut.

use crate::harness::{Bulk, Client, Ended, Running, Upstream, field, proxied};
use std::time::Duration;
use tidegate_proxy::tls::upstream::UpstreamAlpn;
use tokio::io::{AsyncReadExt, split};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

const GET: &str = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";

async fn connect(proxy: &Running) -> Client<TlsStream<TcpStream>> {
    Client::over(proxy.tls(UpstreamAlpn::Http1).await)
}

/// A client that has sent this, and the upstream that has read the head.
async fn begun(proxy: &Running, upstream: &Upstream, request: &str) -> (Client<TlsStream<TcpStream>>, Client) {
    let mut client = connect(proxy).await;
    client.send(request).await;
    let mut up = upstream.accept().await;
    up.head().await;
    (client, up)
}

#[tokio::test]
async fn case_7_an_answer_that_ends_the_connection_ends_with_close_notify() {
    let (upstream, proxy) = proxied(|_| {}).await;
    for request in [GET.replace("Host", "Connection: close\r\nHost"), GET.replace("1.1", "1.0")] {
        let (mut client, mut up) = begun(&proxy, &upstream, &request).await;
        up.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok").await;
        let (head, body) = client.answer().await;
        assert_eq!((field(&head, "connection"), body.as_str()), (Some("close"), "ok"), "{head}");
        client.is_closed().await;
    }
    let (mut client, mut up) = begun(&proxy, &upstream, &GET.replace("1.1", "1.0")).await;
    up.send("HTTP/1.1 200 OK\r\n\r\nhello").await;
    drop(up);
    client.head().await;
    assert_eq!(client.rest_and_end().await, ("hello".to_owned(), Ended::Cleanly));
    proxy.after(&["GET / 200"; 3]).await;
}

#[tokio::test]
async fn case_22_a_connection_that_idles_ends_with_close_notify() {
    let (upstream, proxy) = proxied(|setup| setup.limits.first_request = Duration::from_millis(100)).await;
    connect(&proxy).await.is_closed().await;
    assert!(upstream.is_left_alone().await);
    proxy.after(&[]).await;
}

#[tokio::test]
async fn cases_79_and_80_a_cut_answer_ends_without_close_notify() {
    let (upstream, proxy) = proxied(|_| {}).await;
    for (version, answer, body) in [
        ("1.1", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", "hello"),
        ("1.1", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "5\r\nhello\r\n"),
        ("1.0", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "hello"),
    ] {
        let (mut client, mut up) = begun(&proxy, &upstream, &GET.replace("1.1", version)).await;
        up.send(answer).await;
        client.head().await;
        assert_eq!(client.exactly(body.len()).await, body);
        drop(up);
        assert_eq!(client.rest_and_end().await, (String::new(), Ended::Badly), "{answer:?}");
    }
    proxy.after(&["GET / 200 upstream_reset cut"; 3]).await;
}

#[tokio::test]
async fn case_63_a_client_that_half_closes_has_left() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let (mut client, mut up) = begun(&proxy, &upstream, GET).await;
    client.finish().await;
    assert_eq!(up.rest_and_end().await, (String::new(), Ended::Badly));
    proxy.after(&["GET / 499 client_gone cut"]).await;

    let (mut client, mut up) = begun(&proxy, &upstream, GET).await;
    up.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello").await;
    client.head().await;
    client.finish().await;
    assert_eq!(up.rest_and_end().await, (String::new(), Ended::Badly));
    proxy.after(&["GET / 200 client_gone cut"]).await;
}

#[tokio::test]
async fn case_62_a_client_that_resets_takes_the_upstream_with_it() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let (client, mut up) = begun(&proxy, &upstream, GET).await;
    client.socket.get_ref().0.set_zero_linger().expect("linger");
    drop(client);
    assert_eq!(up.rest_and_end().await, (String::new(), Ended::Badly));
    proxy.after(&["GET / 499 client_gone cut"]).await;
}

#[tokio::test]
async fn case_20_a_refusal_can_be_read_by_a_client_that_goes_on() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = connect(&proxy).await;
    client.send(&format!("GET / HTTP/1.1\r\nHost: a.test\r\nX: {}\r\n", "x".repeat(170 * 1024))).await;
    let (head, _) = client.answer().await;
    assert!(head.starts_with("HTTP/1.1 431 "), "{head}");
    client.is_closed().await;
    assert!(upstream.is_left_alone().await);
    proxy.after(&["- - 431 head_too_large"]).await;
}

#[tokio::test]
async fn case_59_an_echo_is_equal() {
    const LENGTH: u64 = 16 * 1024 * 1024;
    let (upstream, proxy) = proxied(|_| {}).await;
    let request = format!("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {LENGTH}\r\n\r\n");
    let (mut client, mut up) = begun(&proxy, &upstream, &request).await;
    up.send(&format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n")).await;
    client.head().await;
    let echo = async {
        let (mut reader, mut writer) = up.socket.split();
        tokio::io::copy(&mut (&mut reader).take(LENGTH), &mut writer).await.expect("echo")
    };
    let (mut reader, mut writer) = split(&mut client.socket);
    let (mut sent, mut received) = (Bulk::new(), Bulk::new());
    let send = async {
        sent.send(&mut writer, LENGTH).await;
        tokio::io::AsyncWriteExt::flush(&mut writer).await.expect("flush");
    };
    tokio::join!(send, received.expect(&mut reader, LENGTH), echo);
    client.send(GET).await;
    up.head().await;
    up.no_content().await;
    client.is_answered().await;
    proxy.after(&["POST / 200", "GET / 204"]).await;
}

#[tokio::test]
async fn case_96_a_websocket_is_opened_and_half_closed() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let upgrade = "GET /chat HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let (mut client, mut up) = begun(&proxy, &upstream, upgrade).await;
    up.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nframe").await;
    client.head().await;
    assert_eq!(client.exactly(5).await, "frame");
    client.send("ping").await;
    assert_eq!(up.exactly(4).await, "ping");
    client.finish().await;
    up.is_closed().await;
    up.send("bye").await;
    assert_eq!(client.exactly(3).await, "bye");
    up.finish().await;
    client.is_closed().await;
    proxy.after(&["GET /chat 101"]).await;
}
