//! Bodies of requests: how they are framed, what is refused, and what the upstream gets.

use crate::harness::{Ended, field, proxied};

const POST: &str = "POST / HTTP/1.1\r\nHost: a.test\r\n";

#[tokio::test]
async fn cases_37_and_38_framing_has_one_reading() {
    let (upstream, proxy) = proxied(|_| {}).await;
    for fields in [
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding:",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Content-Length: +5",
        "Content-Length: -5",
        "Content-Length: 5,6",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 0x5",
        "Content-Length: 5 5",
        "Content-Length:",
        "Content-Length: ,",
        "Content-Length: 18446744073709551616",
    ] {
        proxy.refuses(format!("{POST}{fields}\r\n\r\n").as_bytes(), 400).await;
    }
    let old = "POST / HTTP/1.0\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n";
    proxy.refuses(old.as_bytes(), 400).await;
    assert!(upstream.is_left_alone().await);
    proxy.after(&[]).await;
}

#[tokio::test]
async fn case_39_equal_lengths_are_one() {
    let (upstream, proxy) = proxied(|_| {}).await;
    for fields in ["Content-Length: 5, 5", "Content-Length: 5\r\nContent-Length: 5"] {
        let mut client = proxy.client().await;
        client.send(&format!("{POST}{fields}\r\n\r\nhello")).await;
        let mut up = upstream.accept().await;
        let (head, body) = up.answer().await;
        assert_eq!(head.matches("Content-Length: 5\r\n").count(), 1, "{head}");
        assert_eq!(body, "hello");
        up.send("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await;
        client.is_answered().await;
    }
    proxy.after(&["POST / 204"; 2]).await;
}

#[tokio::test]
async fn case_40_chunks_are_read_strictly() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let extension = "x".repeat(9 * 1024);
    let body_of_trailers = format!("0\r\n{}", "x: y\r\n".repeat(12 * 1024));
    for body in [
        "00000000000000005\r\nhello\r\n0\r\n\r\n",
        &format!("5;{extension}\r\nhello\r\n0\r\n\r\n"),
        &format!("5;{extension}"),
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhelloX\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        "0\r\nbad trailer\r\n\r\n",
        "0\r\nx: y\n\r\n",
        &body_of_trailers,
    ] {
        let mut client = proxy.client().await;
        client.send(&format!("{POST}Transfer-Encoding: chunked\r\n\r\n")).await;
        let mut up = upstream.accept().await;
        up.head().await;
        client.send(body).await;
        // What reached the upstream before the fault was framed anew, and never looks whole.
        let (uploaded, ended) = up.rest_and_end().await;
        assert!(["", "5\r\nhello\r\n"].contains(&uploaded.as_str()), "{body:?} became {uploaded:?}");
        assert_eq!(ended, Ended::Badly, "{body:?}");
        let (head, _) = client.answer().await;
        assert!(head.starts_with("HTTP/1.1 400 ") && head.contains("Connection: close\r\n"), "{body:?}: {head}");
        client.is_closed().await;
        assert_eq!(proxy.record().await, "POST / 400 bad_request");
    }
    proxy.after(&[]).await;
}

#[tokio::test]
async fn case_40_extensions_and_trailers_end_here() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.client().await;
    client
        .send(&format!(
            "{POST}Transfer-Encoding: chunked\r\n\r\n5;a=\"b\"\r\nhello\r\n00 ;c\r\nX-Trailer: x\r\n\r\n{POST}\r\n"
        ))
        .await;
    let mut up = upstream.accept().await;
    up.head().await;
    assert_eq!(up.exactly(15).await, "5\r\nhello\r\n0\r\n\r\n");
    up.no_content().await;
    assert!(up.head().await.starts_with("POST / "));
    up.no_content().await;
    client.is_answered().await;
    client.is_answered().await;
    proxy.after(&["POST / 204", "POST / 204"]).await;
}

#[tokio::test]
async fn case_41_a_chunk_split_at_every_byte_has_one_end() {
    let (upstream, proxy) = proxied(|setup| setup.limits.read = 1).await;
    let mut client = proxy.client().await;
    let encoded = "5\r\nhello\r\n00001;ext\r\n,\r\nC\r\n wide worlds\r\n0\r\nTrailer: x\r\n\r\n";
    client.send(&format!("{POST}Transfer-Encoding: chunked\r\n\r\n{encoded}")).await;
    client.send("GET /next HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    let mut up = upstream.accept().await;
    let (head, body) = up.answer().await;
    assert_eq!((field(&head, "transfer-encoding"), body.as_str()), (Some("chunked"), "hello, wide worlds"));
    up.no_content().await;
    let next = up.head().await;
    assert!(next.starts_with("GET /next "), "{next}");
    up.no_content().await;
    client.is_answered().await;
    client.is_answered().await;
    proxy.after(&["POST / 204", "GET /next 204"]).await;
}

#[tokio::test]
async fn case_42_the_last_chunk_may_come_in_two_segments() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.client().await;
    client.send(&format!("{POST}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n")).await;
    let mut up = upstream.accept().await;
    up.head().await;
    assert_eq!(up.exactly(10).await, "5\r\nhello\r\n");
    client.send("\r\n").await;
    assert_eq!(up.exactly(5).await, "0\r\n\r\n");
    up.no_content().await;
    client.is_answered().await;
    client.send("GET /next HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    assert!(up.head().await.starts_with("GET /next "));
    up.no_content().await;
    client.is_answered().await;
    proxy.after(&["POST / 204", "GET /next 204"]).await;
}

#[tokio::test]
async fn case_45_any_method_may_have_a_body() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.client().await;
    client.send("GET /0 HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello").await;
    let mut up = upstream.accept().await;
    let (head, body) = up.answer().await;
    assert_eq!((field(&head, "content-length"), body.as_str()), (Some("5"), "hello"), "{head}");
    up.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    client.head().await;
    client
        .send("DELETE /1 HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
        .await;
    let (head, body) = up.answer().await;
    assert_eq!((field(&head, "transfer-encoding"), body.as_str()), (Some("chunked"), "hello"), "{head}");
    up.no_content().await;
    client.is_answered().await;
    proxy.after(&["GET /0 204", "DELETE /1 204"]).await;
}

#[tokio::test]
async fn case_46_a_post_without_a_body_says_so() {
    let (upstream, proxy) = proxied(|_| {}).await;
    for (method, length) in
        [("POST", Some("0")), ("PUT", Some("0")), ("PATCH", Some("0")), ("GET", None), ("DELETE", None)]
    {
        let mut client = proxy.client().await;
        client.send(&format!("{method} / HTTP/1.1\r\nHost: a.test\r\n\r\n")).await;
        let mut up = upstream.accept().await;
        let head = up.head().await;
        up.send("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await;
        client.head().await;
        assert_eq!((field(&head, "content-length"), field(&head, "transfer-encoding")), (length, None), "{head}");
    }
    proxy.after(&["POST / 204", "PUT / 204", "PATCH / 204", "GET / 204", "DELETE / 204"]).await;
}

#[tokio::test]
async fn case_47_an_announced_body_over_the_limit_is_refused_before_the_upstream_hears_of_it() {
    let (upstream, proxy) = proxied(|setup| setup.limits.upload = 10).await;
    for expect in ["", "Expect: 100-continue\r\n"] {
        let mut client = proxy.client().await;
        client.send(&format!("{POST}{expect}Content-Length: 100000\r\n\r\n")).await;
        let (head, _) = client.answer().await;
        assert!(head.starts_with("HTTP/1.1 413 ") && head.contains("Connection: close\r\n"), "{head}");
        client.is_closed().await;
    }
    assert!(upstream.is_left_alone().await);
    proxy.after(&["POST / 413 upload_too_large"; 2]).await;
}

#[tokio::test]
async fn case_48_a_chunked_body_over_the_limit_is_cut() {
    let (upstream, proxy) = proxied(|setup| setup.limits.upload = 10).await;
    let mut client = proxy.client().await;
    client.send(&format!("{POST}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")).await;
    let mut up = upstream.accept().await;
    up.head().await;
    assert_eq!(up.exactly(10).await, "5\r\nhello\r\n");
    // The client goes on; the answer must not be lost to it.
    client.send(&format!("6\r\n, wide\r\n186A0\r\n{}\r\n0\r\n\r\n", "x".repeat(100_000))).await;
    assert_eq!(up.rest_and_end().await, (String::new(), Ended::Badly));
    let (head, _) = client.answer().await;
    assert!(head.starts_with("HTTP/1.1 413 ") && head.contains("Connection: close\r\n"), "{head}");
    client.finish().await;
    client.is_closed().await;
    proxy.after(&["POST / 413 upload_too_large"]).await;
}
