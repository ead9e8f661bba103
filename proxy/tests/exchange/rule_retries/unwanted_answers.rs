//! What becomes of an answer in whose place another attempt is made, of its connection, and of an upload that still runs.

use super::{GET, KIB, OK, UNAVAILABLE, refuse, retrying, status, tries};
use crate::harness::h2::{Over, answer, body, piece, request, reset, respond};
use crate::harness::{Bulk, field, proxied};
use bytes::Bytes;
use config::BackendProtocol;
use h2::Reason;

#[tokio::test]
async fn the_answer_to_a_head_is_dropped_without_waiting_for_a_body() {
    let (upstream, proxy, mut client) = retrying(2).await;
    client.send("HEAD / HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    let mut up = upstream.accept().await;
    for answer in ["503 Service Unavailable\r\nContent-Length: 10", "200 OK\r\nContent-Length: 100"] {
        assert!(up.head().await.starts_with("HEAD / "));
        up.send(&format!("HTTP/1.1 {answer}\r\n\r\n")).await;
    }
    let head = client.head().await;
    assert_eq!((status(&head), field(&head, "content-length")), (200, Some("100")), "{head}");
    assert!(upstream.is_left_alone().await);
    proxy.after(&["HEAD / 200"]).await;
}

#[tokio::test]
async fn an_upload_that_still_runs_goes_on_to_the_next_endpoint() {
    let (upstream, proxy, mut client) = retrying(2).await;
    client.send("PUT / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\n\r\nhello").await;
    let mut up = upstream.accept().await;
    up.head().await;
    assert_eq!(up.exactly(5).await, "hello");
    up.send(UNAVAILABLE).await;
    // The rest of the upload belongs to nobody there.
    assert_eq!(up.rest_and_end().await.0, "");
    let mut up = upstream.accept().await;
    up.head().await;
    assert_eq!(up.exactly(5).await, "hello");
    client.send("world").await;
    assert_eq!(up.exactly(5).await, "world");
    up.send(OK).await;
    assert_eq!(client.answer().await.1, "ok");
    proxy.after(&["PUT / 200"]).await;
}

#[tokio::test]
async fn an_upload_of_a_stream_goes_on_to_the_next_stream() {
    let (upstream, proxy) = proxied(|setup| {
        setup.policy = tries(2, &[503]);
        setup.protocol = BackendProtocol::H2c;
    })
    .await;
    let mut client = proxy.h2(Over::Clear).await;
    let (response, mut upload) = client.send(request("PUT", "/").body(()).expect("a request"), false).await;
    upload.send_data(Bytes::from_static(b"hello"), false).expect("open");
    let mut up = upstream.accept_h2().await;
    let (mut first, mut sent) = up.request().await;
    assert_eq!(piece(first.body_mut()).await, "hello");
    refuse(&mut sent);
    let (mut second, mut sent) = up.request().await;
    assert_eq!(piece(second.body_mut()).await, "hello");
    // The first stream was cut, so that it does not look whole.
    assert_eq!(body(first.body_mut()).await, (vec![], Err(Some(Reason::CANCEL))));
    upload.send_data(Bytes::from_static(b"world"), true).expect("open");
    assert_eq!(body(second.body_mut()).await, (b"world".to_vec(), Ok(None)));
    respond(&mut sent, 200, "ok");
    assert_eq!(answer(response).await.text(), "ok");
    proxy.after(&["PUT / 200"]).await;
}

#[tokio::test]
async fn a_long_answer_that_is_not_wanted_ends_its_connection() {
    let length = 10 * KIB * KIB;
    let (upstream, proxy, mut client) = retrying(2).await;
    client.send(GET).await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.send(&format!("HTTP/1.1 503 Service Unavailable\r\nContent-Length: {length}\r\n\r\n")).await;
    assert!(Bulk::new().send_until_refused(&mut up.socket).await < length as u64);
    let mut up = upstream.accept().await;
    up.head().await;
    up.send(OK).await;
    assert_eq!(client.answer().await.1, "ok");
    // Nothing of it is taken for the answer to another request.
    client.send(GET).await;
    up.head().await;
    up.no_content().await;
    client.is_answered().await;
    proxy.after(&["GET / 200", "GET / 204"]).await;
}

#[tokio::test]
async fn an_answer_that_is_not_wanted_is_not_waited_for() {
    let (upstream, proxy, mut client) = retrying(2).await;
    for rest in ["Content-Length: 10\r\n\r\nnot", "Transfer-Encoding: chunked\r\n\r\n3\r\nnot\r\n", "\r\nnot"] {
        client.send(GET).await;
        let mut up = upstream.accept().await;
        up.head().await;
        up.send(&format!("HTTP/1.1 503 Service Unavailable\r\n{rest}")).await;
        let mut next = upstream.accept().await;
        next.head().await;
        next.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok").await;
        assert_eq!(client.answer().await.1, "ok");
        assert_eq!(up.rest_and_end().await.0, "");
    }
    proxy.after(&["GET / 200"; 3]).await;
}

#[tokio::test]
async fn what_follows_an_answer_that_is_not_wanted_answers_nobody() {
    const FORGED: &str = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged";
    let (upstream, proxy, mut client) = retrying(2).await;
    for (method, unwanted) in [("GET", UNAVAILABLE), ("HEAD", UNAVAILABLE), ("GET", "HTTP/1.1 503 No\r\n\r\n")] {
        client.send(&format!("{method} / HTTP/1.1\r\nHost: a.test\r\n\r\n")).await;
        let mut up = upstream.accept().await;
        up.head().await;
        up.send(&format!("{unwanted}{FORGED}")).await;
        let mut next = upstream.accept().await;
        next.head().await;
        next.send("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await;
        client.is_answered().await;
        assert_eq!(up.rest_and_end().await.0, "");
    }
    proxy.after(&["GET / 204", "HEAD / 204", "GET / 204"]).await;
}

#[tokio::test]
async fn a_stream_whose_answer_is_not_wanted_is_reset_and_its_connection_used_again() {
    let (upstream, proxy) = proxied(|setup| {
        setup.policy = tries(2, &[503]);
        setup.protocol = BackendProtocol::H2c;
    })
    .await;
    let mut client = proxy.h2(Over::Clear).await;
    let response = client.get("/").await;
    let mut up = upstream.accept_h2().await;
    let (_request, mut sent) = up.request().await;
    let head = http::Response::builder().status(503).body(()).expect("a response");
    let mut unwanted = sent.send_response(head, false).expect("open");
    let (_request, mut sent) = up.request().await;
    assert_eq!(reset(&mut unwanted).await, Reason::CANCEL);
    respond(&mut sent, 200, "ok");
    let answer = answer(response).await;
    assert_eq!((answer.status(), answer.text()), (200, "ok"));
    proxy.after(&["GET / 200"]).await;
}
