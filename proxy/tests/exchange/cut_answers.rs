//! Answers that end before their framing said so: what of them the client sees, and that it can tell.

use crate::harness::tls::{acceptor, any_certificate};
use crate::harness::{Bulk, Ended, field, proxied};
use config::BackendProtocol;
use tokio::io::AsyncWriteExt;

const GET: &str = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

#[tokio::test]
async fn cases_79_and_80_a_cut_is_seen() {
    let length = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n";
    for (answer, reset) in [
        (format!("{length}hello"), false),
        (format!("{length}hello"), true),
        (format!("{CHUNKED}A\r\nhello"), false),
        (format!("{CHUNKED}A\r\nhello"), true),
        (format!("{CHUNKED}5\r\nhello\r\n"), false),
        (format!("{CHUNKED}5\r\nhello\r\n0\r\n"), false),
        (format!("{CHUNKED}5\r\nhello\r\n0\r\nX: y\r\n"), false),
        (format!("{CHUNKED}5\r\nhello\r\nnonsense\r\n"), false),
    ] {
        let (upstream, proxy) = proxied(|_| {}).await;
        let mut client = proxy.client().await;
        client.send(GET).await;
        let mut up = upstream.accept().await;
        up.head().await;
        up.send(&answer).await;
        let head = client.head().await;
        let is_chunked = field(&head, "transfer-encoding").is_some();
        let body = if is_chunked { "5\r\nhello\r\n" } else { "hello" };
        assert_eq!(client.exactly(body.len()).await, body, "{answer:?}");
        if reset {
            up.reset();
        } else {
            drop(up);
        }
        // Nothing more: no last chunk, no second message.
        assert_eq!(client.rest_and_end().await.0, "", "{answer:?}");
        assert!(upstream.is_left_alone().await);

        let mut client = proxy.client().await;
        client.send("GET / HTTP/1.0\r\nHost: a.test\r\n\r\n").await;
        let mut up = upstream.accept().await;
        up.head().await;
        up.send(&answer).await;
        client.head().await;
        assert_eq!(client.exactly(5).await, "hello", "{answer:?}");
        drop(up);
        let (more, ended) = client.rest_and_end().await;
        assert_eq!(more, "", "{answer:?}");
        // To HTTP/1.0 a chunked answer is sent until close: a FIN would look clean.
        if is_chunked {
            assert_eq!(ended, Ended::Badly, "{answer:?}");
        }
        proxy.after(&["GET / 200 upstream_reset cut"; 2]).await;
    }
}

#[tokio::test]
async fn case_81_an_answer_until_close_on_tls_ends_with_close_notify_or_is_cut() {
    let acceptor = acceptor(&[]);
    let (upstream, proxy) = proxied(|setup| {
        setup.protocol = BackendProtocol::Https;
        setup.tls = Some(any_certificate());
    })
    .await;
    for is_clean in [true, false] {
        let mut client = proxy.client().await;
        client.send(GET).await;
        let mut up = upstream.accept_tls(&acceptor).await;
        up.head().await;
        up.send("HTTP/1.1 200 OK\r\n\r\nhello").await;
        client.head().await;
        assert_eq!(client.exactly(10).await, "5\r\nhello\r\n");
        if is_clean {
            up.finish().await;
            assert_eq!(client.exactly(5).await, "0\r\n\r\n");
            assert_eq!(proxy.record().await, "GET / 200");
        } else {
            up.socket.get_mut().0.shutdown().await.expect("FIN");
            assert_eq!(client.rest_and_end().await.0, "");
            assert_eq!(proxy.record().await, "GET / 200 upstream_reset cut");
        }
    }
    proxy.after(&[]).await;
}

#[tokio::test]
async fn case_84_what_is_no_answer_is_a_bad_gateway() {
    let long_field = format!("HTTP/1.1 200 OK\r\nX: {}\r\n", "x".repeat(70 * 1024));
    let many_fields = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(101));
    for answer in [
        "garbage\r\n\r\n",
        // It may wait for us to speak first.
        "SSH-2.0-OpenSSH_9.9\r\n",
        "HTTP/1.1 99\r\n\r\n",
        "HTTP/1.1 099 Low\r\n\r\n",
        "HTTP/1.1 600 High\r\n\r\n",
        "HTTP/1.1 2000 Long\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1  200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nbad line\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        &long_field,
        &many_fields,
    ] {
        let (upstream, proxy) = proxied(|_| {}).await;
        let mut client = proxy.client().await;
        client.send(GET).await;
        let mut up = upstream.accept().await;
        up.head().await;
        up.send(answer).await;
        let (head, _) = client.answer().await;
        assert!(head.starts_with("HTTP/1.1 502 "), "{answer:.80?}: {head}");
        // Keep-alive stays: the client did nothing wrong.
        assert_eq!(field(&head, "connection"), None, "{head}");
        assert_eq!(up.rest_and_end().await, (String::new(), Ended::Badly), "{answer:.80?}");
        assert!(upstream.is_left_alone().await, "{answer:.80?}");
        client.send(GET).await;
        let mut up = upstream.accept().await;
        up.head().await;
        up.no_content().await;
        client.is_answered().await;
        proxy.after(&["GET / 502 upstream_protocol", "GET / 204"]).await;
    }
}

#[tokio::test]
async fn case_85_an_end_within_the_head_is_tried_again_where_that_does_no_harm() {
    for method in ["GET", "POST"] {
        let (upstream, proxy) = proxied(|_| {}).await;
        let mut client = proxy.client().await;
        client.send(GET).await;
        let mut up = upstream.accept().await;
        up.head().await;
        up.send("HTTP/1.1 204 No Content\r\n\r\n").await;
        client.head().await;
        client.send(&format!("{method} / HTTP/1.1\r\nHost: a.test\r\n\r\n")).await;
        up.head().await;
        up.send("HTT").await;
        drop(up);
        if method == "GET" {
            // Nobody has seen anything of the answer, and it may be asked for twice.
            let mut up = upstream.accept().await;
            up.head().await;
            up.send("HTTP/1.1 204 No Content\r\n\r\n").await;
            assert!(client.head().await.starts_with("HTTP/1.1 204 "));
            proxy.after(&["GET / 204", "GET / 204"]).await;
            continue;
        }
        let (head, _) = client.answer().await;
        assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
        assert!(upstream.is_left_alone().await);
        proxy.after(&["GET / 204", "POST / 502 upstream_reset"]).await;
    }
}

#[tokio::test]
async fn a_reset_that_the_upload_met_first_is_no_clean_end_of_the_answer() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.client().await;
    client.send(&format!("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {}\r\n\r\n", 64 * 1024 * 1024)).await;
    let mut up = upstream.accept().await;
    up.head().await;
    // The proxy waits until the upload can go on, so that is where it hears of the reset; reads would tell it once only.
    Bulk::new().send_until_stalled(&mut client.socket, 64 * 1024 * 1024).await;
    up.send("HTTP/1.1 200 OK\r\n\r\nhello").await;
    client.head().await;
    assert_eq!(client.exactly(10).await, "5\r\nhello\r\n");
    up.reset();
    assert_eq!(client.rest_and_end().await.0, "");
    proxy.after(&["POST / 200 upstream_reset cut"]).await;
}
