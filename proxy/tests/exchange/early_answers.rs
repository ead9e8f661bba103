//! Answers that come before the upload has ended.

use crate::harness::{Bulk, Client, Ended, field, proxied};
use tokio::io::AsyncReadExt;
use tokio::net::TcpSocket;

const MIB: u64 = 1024 * 1024;

fn post(length: u64) -> String {
    format!("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {length}\r\n\r\n")
}

#[tokio::test]
async fn case_56_a_refusal_reaches_a_client_whose_upload_nobody_reads() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.client().await;
    client.send(&post(10 * MIB)).await;
    let mut up = upstream.accept().await;
    up.head().await;
    client.send_bulk(64 * 1024).await;
    up.expect_bulk(64 * 1024).await;
    up.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 8\r\n\r\ntoo much").await;
    client.send_bulk(128 * 1024).await;
    let (head, body) = client.answer().await;
    assert!(head.starts_with("HTTP/1.1 413 "), "{head}");
    assert_eq!((field(&head, "connection"), body.as_str()), (Some("close"), "too much"), "{head}");
    client.finish().await;
    client.is_closed().await;
    // The upstream must not take what it has for a whole request: what it gets ends early.
    assert!((up.rest_and_end().await.0.len() as u64) < 10 * MIB);
    proxy.after(&["POST / 413"]).await;
}

#[tokio::test]
async fn case_57_a_refusal_is_relayed_though_the_upstream_closes_over_unread_bytes() {
    let (upstream, proxy) = proxied(|_| {}).await;
    for _ in 0..20 {
        let mut client = proxy.client().await;
        client.send(&post(10 * MIB)).await;
        let mut up = upstream.accept().await;
        up.head().await;
        client.send_bulk(MIB).await;
        up.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 8\r\n\r\ntoo much").await;
        drop(up);
        let (head, body) = client.answer().await;
        assert!(head.starts_with("HTTP/1.1 413 "), "{head}");
        assert_eq!((field(&head, "connection"), body.as_str()), (Some("close"), "too much"), "{head}");
    }
    proxy.after(&["POST / 413"; 20]).await;
}

#[tokio::test]
async fn case_57_an_upstream_that_closes_over_the_upload_without_a_word_is_a_bad_gateway() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.client().await;
    client.send(&post(10 * MIB)).await;
    let mut up = upstream.accept().await;
    up.head().await;
    client.send_bulk(MIB).await;
    drop(up);
    let (head, _) = client.answer().await;
    assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
    assert_eq!(field(&head, "connection"), Some("close"), "{head}");
    assert!(upstream.is_left_alone().await);
    proxy.after(&["POST / 502 upstream_reset"]).await;
}

#[tokio::test]
async fn case_58_a_large_answer_passes_an_upload_that_nobody_reads() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.client().await;
    client.send(&post(10 * MIB)).await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.send(&format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 10 * MIB)).await;
    let head = client.head().await;
    assert_eq!(field(&head, "content-length"), Some("10485760"), "{head}");
    let (mut reader, mut writer) = client.socket.split();
    let upload = async {
        Bulk::new().send_until_refused(&mut writer).await;
        std::future::pending::<()>().await;
    };
    let (mut answered, mut download) = (Bulk::new(), Bulk::new());
    let both = async { tokio::join!(answered.send(&mut up.socket, 10 * MIB), download.expect(&mut reader, 10 * MIB)) };
    tokio::select! {
        () = upload => {}
        _ = both => {}
    }
    // Both sides are closed after it, not used for more.
    drop(client);
    assert!(upstream.is_left_alone().await);
    proxy.after(&["POST / 200"]).await;
}

#[tokio::test]
async fn case_58_an_answer_on_its_way_outlives_a_client_that_goes_on_uploading() {
    const LENGTH: u64 = 128 * 1024;
    let (upstream, proxy) = proxied(|_| {}).await;
    // So that most of the answer waits on the proxy's side.
    let socket = TcpSocket::new_v4().expect("socket");
    socket.set_recv_buffer_size(4096).expect("buffer size");
    let mut client = Client::from_socket(socket.connect(proxy.http).await.expect("connect"));
    client.send(&post(1000 * MIB)).await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.send(&format!("HTTP/1.1 401 Unauthorized\r\nContent-Length: {LENGTH}\r\n\r\n")).await;
    up.send_bulk(LENGTH).await;
    // All has left as far as the proxy can see.
    assert_eq!(proxy.record().await, "POST / 401");
    client.send_bulk(MIB).await;
    let head = client.head().await;
    assert_eq!(field(&head, "connection"), Some("close"), "{head}");
    client.expect_bulk(LENGTH).await;
    client.finish().await;
    client.is_closed().await;
    proxy.after(&[]).await;
}

#[tokio::test]
async fn case_60_an_upstream_that_answered_early_carries_no_other_request() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.client().await;
    client.send(&post(100_000)).await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let (_, body) = client.answer().await;
    assert_eq!(body, "ok");
    client.is_closed().await;
    // A cut, since the body had not ended.
    up.rest_and_end().await;
    let mut next = proxy.client().await;
    next.send("GET /next HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    let mut up = upstream.accept().await;
    assert!(up.head().await.starts_with("GET /next "));
    up.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nclean").await;
    assert_eq!(next.answer().await.1, "clean");
    proxy.after(&["POST / 200", "GET /next 200"]).await;
}

#[tokio::test]
async fn case_61_a_small_rest_of_an_upload_is_read_over() {
    for status in ["200 OK", "404 Not Found"] {
        let (upstream, proxy) = proxied(|_| {}).await;
        let mut client = proxy.client().await;
        client.send(&(post(2048) + &"x".repeat(1024))).await;
        let mut up = upstream.accept().await;
        up.head().await;
        up.exactly(1024).await;
        up.send(&format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nok")).await;
        let (head, _) = client.answer().await;
        assert_eq!(field(&head, "connection"), None, "{head}");
        client.send(&("x".repeat(1024) + "GET /next HTTP/1.1\r\nHost: a.test\r\n\r\n")).await;
        let mut up = upstream.accept().await;
        assert!(up.head().await.starts_with("GET /next "));
        up.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nclean").await;
        assert_eq!(client.answer().await.1, "clean");
        proxy.after(&[&format!("POST / {}", &status[..3]), "GET /next 200"]).await;
    }
}

#[tokio::test]
async fn case_61_a_rest_that_does_not_come_ends_the_connection() {
    let (upstream, proxy) =
        proxied(|setup| setup.limits.drained_upload_time = std::time::Duration::from_millis(100)).await;
    let mut client = proxy.client().await;
    client.send(&(post(2048) + &"x".repeat(1024))).await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.exactly(1024).await;
    up.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    assert_eq!(client.answer().await.1, "ok");
    client.is_closed().await;
    proxy.after(&["POST / 200"]).await;
}

#[tokio::test]
async fn cases_56_and_59_the_upload_goes_on_while_a_2xx_streams() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.client().await;
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    let head = client.head().await;
    assert_eq!(field(&head, "connection"), None, "{head}");
    for _ in 0..3 {
        client.send("4\r\nping\r\n").await;
        assert_eq!(up.exactly(9).await, "4\r\nping\r\n");
        up.send("4\r\npong\r\n").await;
        assert_eq!(client.exactly(9).await, "4\r\npong\r\n");
    }
    client.send("0\r\n\r\nGET /next HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    assert_eq!(up.exactly(5).await, "0\r\n\r\n");
    up.send("0\r\n\r\n").await;
    assert_eq!(client.exactly(5).await, "0\r\n\r\n");
    assert!(up.head().await.starts_with("GET /next "));
    up.no_content().await;
    client.is_answered().await;
    proxy.after(&["POST / 200", "GET /next 204"]).await;
}

#[tokio::test]
async fn case_59_an_echo_of_100_mib_is_equal() {
    let length = 100 * MIB;
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.client().await;
    client.send(&post(length)).await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.send(&format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n")).await;
    client.head().await;
    let echo = async {
        let (mut reader, mut writer) = up.socket.split();
        tokio::io::copy(&mut (&mut reader).take(length), &mut writer).await.expect("echo")
    };
    let (mut reader, mut writer) = client.socket.split();
    let (mut sent, mut received) = (Bulk::new(), Bulk::new());
    let (_, _, echoed) = tokio::join!(sent.send(&mut writer, length), received.expect(&mut reader, length), echo);
    assert_eq!(echoed, length);
    client.send("GET /next HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    assert!(up.head().await.starts_with("GET /next "));
    up.no_content().await;
    client.is_answered().await;
    proxy.after(&["POST / 200", "GET /next 204"]).await;
}

#[tokio::test]
async fn case_56_an_early_refusal_cut_by_the_upstream_looks_cut() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.client().await;
    client.send(&post(10 * MIB)).await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 80\r\n\r\ntoo much").await;
    up.reset();
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 413 "), "{head}");
    let (body, ended) = client.rest_and_end().await;
    assert!(body == "too much" && ended == Ended::Cleanly || ended == Ended::Badly, "{body:?} {ended:?}");
    proxy.after(&["POST / 413 upstream_reset cut"]).await;
}
