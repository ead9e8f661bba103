//! Requests that follow one another on a client's connection, and when it ends.

use crate::harness::frames::{self, kind};
use crate::harness::h2::{self, Over};
use crate::harness::{Ended, field, proxied};
use std::time::Duration;

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n\r\n")
}

#[tokio::test]
async fn case_1_requests_of_a_connection_are_answered_in_order_over_one_upstream_connection() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.client().await;
    client.send(&get("/0")).await;
    let mut up = upstream.accept().await;
    for number in 0..3 {
        if number > 0 {
            client.send(&get(&format!("/{number}"))).await;
        }
        let head = up.head().await;
        assert!(head.starts_with(&format!("GET /{number} HTTP/1.1\r\nHost: a.test\r\n")), "{head}");
        up.send(&format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{number}")).await;
        let (head, body) = client.answer().await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert_eq!(field(&head, "connection"), None);
        assert_eq!(body, number.to_string());
    }
    assert!(upstream.is_left_alone().await);
    proxy.after(&["GET /0 200", "GET /1 200", "GET /2 200"]).await;
}

#[tokio::test]
async fn case_3_pipelined_requests_are_answered_in_order() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.client().await;
    client.send(&(get("/0") + &get("/1"))).await;
    let mut up = upstream.accept().await;
    for number in 0..2 {
        assert!(up.head().await.starts_with(&format!("GET /{number} ")));
        up.send(&format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{number}")).await;
    }
    assert_eq!(client.answer().await.1, "0");
    assert_eq!(client.answer().await.1, "1");
    proxy.after(&["GET /0 200", "GET /1 200"]).await;
}

#[tokio::test]
async fn case_4_a_body_goes_with_its_own_request_only() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.client().await;
    let post = "POST /0 HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello";
    client.send(&(post.to_owned() + &get("/1"))).await;
    let mut up = upstream.accept().await;
    let (head, body) = up.answer().await;
    assert!(head.starts_with("POST /0 "), "{head}");
    assert_eq!(body, "hello");
    up.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    let (head, body) = up.answer().await;
    assert!(head.starts_with("GET /1 "), "{head}");
    assert_eq!(body, "");
    up.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1").await;
    assert!(client.head().await.starts_with("HTTP/1.1 204 "));
    assert_eq!(client.answer().await.1, "1");
    proxy.after(&["POST /0 204", "GET /1 200"]).await;
}

#[tokio::test]
async fn case_5_a_request_that_comes_during_an_answer_is_served_after_it() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.client().await;
    client.send(&get("/0")).await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\none").await;
    let head = client.head().await;
    assert_eq!(client.exactly(3).await, "one");
    // More than is read ahead, so that the socket keeps the rest until it is wanted.
    let many: String = (1..=1000).map(|number| get(&format!("/{number}"))).collect();
    client.send(&many).await;
    up.send("two").await;
    assert_eq!(client.exactly(3).await, "two", "{head}");
    for number in 1..=1000 {
        assert!(up.head().await.starts_with(&format!("GET /{number} ")));
        up.send("HTTP/1.1 204 No Content\r\n\r\n").await;
        assert!(client.head().await.starts_with("HTTP/1.1 204 "));
    }
    let records: Vec<_> =
        (1..=1000).map(|number| format!("GET /{number} 204")).chain(["GET /0 200".to_owned()]).collect();
    proxy.after(&records.iter().map(String::as_str).collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn case_6_close_is_found_in_any_connection_line() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.client().await;
    let close = "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: keep-alive\r\nConnection: x, Close\r\n\r\n";
    client.send(&(close.to_owned() + &get("/unserved"))).await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let head = client.head().await;
    assert_eq!(field(&head, "connection"), Some("close"), "{head}");
    // What was pipelined behind it is not served (RFC 9112 §9.6).
    client.is_closed().await;
    let mut next = proxy.client().await;
    next.send(&get("/served")).await;
    assert!(up.head().await.starts_with("GET /served "));
    up.no_content().await;
    next.head().await;
    proxy.after(&["GET / 200", "GET /served 204"]).await;
}

#[tokio::test]
async fn cases_7_and_8_http10_connections_stay_only_if_asked_to() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.client().await;
    client.send("GET / HTTP/1.0\r\nHost: a.test\r\nConnection: keep-alive, foo\r\n\r\n").await;
    let mut up = upstream.accept().await;
    assert!(up.head().await.starts_with("GET / HTTP/1.1\r\n"));
    up.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1").await;
    let (head, _) = client.answer().await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert_eq!(field(&head, "connection"), Some("keep-alive"), "{head}");

    client.send("GET / HTTP/1.0\r\nHost: a.test\r\n\r\n").await;
    up.head().await;
    up.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2").await;
    let (head, body) = client.answer().await;
    assert_eq!((field(&head, "connection"), body.as_str()), (Some("close"), "2"), "{head}");
    client.is_closed().await;
    proxy.after(&["GET / 200", "GET / 200"]).await;
}

#[tokio::test]
async fn case_94_a_local_answer_keeps_the_connection() {
    let (upstream, proxy) = proxied(|setup| setup.host = config::HostPattern::Exact("a.test".into())).await;
    let mut client = proxy.client().await;
    client.send("GET / HTTP/1.1\r\nHost: other.test\r\n\r\n").await;
    let (head, body) = client.answer().await;
    assert!(head.starts_with("HTTP/1.1 404 Not Found\r\n"), "{head}");
    assert_eq!(field(&head, "connection"), None);
    assert_eq!(body, "404 Not Found\n");
    client.send(&get("/")).await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    assert_eq!(client.answer().await.1, "ok");
    // A small body that nobody wanted is read over.
    client
        .send(&("POST / HTTP/1.1\r\nHost: other.test\r\nContent-Length: 5\r\n\r\nhello".to_owned() + &get("/")))
        .await;
    assert!(client.answer().await.0.starts_with("HTTP/1.1 404 "));
    up.head().await;
    up.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    assert_eq!(client.answer().await.1, "ok");
    proxy.after(&["GET / 404 no_route", "GET / 200", "POST / 404 no_route", "GET / 200"]).await;
}

#[tokio::test]
async fn an_old_connection_takes_no_more_requests() {
    let (upstream, proxy) = proxied(|setup| setup.limits.connection_age = Duration::ZERO).await;
    let mut client = proxy.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.no_content().await;
    let head = client.head().await;
    assert_eq!(field(&head, "connection"), Some("close"), "{head}");
    client.is_closed().await;
    proxy.after(&["GET / 204"]).await;
}

#[tokio::test]
async fn an_old_http2_connection_goes_away_and_its_streams_run_to_their_end() {
    let (upstream, proxy) = proxied(|setup| {
        setup.limits.connection_age = Duration::ZERO;
        setup.limits.linger_total = Duration::from_millis(50);
    })
    .await;
    let mut client = proxy.h2(Over::Clear).await;
    let response = client.get("/").await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n").await;
    let mut received = h2::head(response).await.into_body();
    // Longer than a connection without streams would have.
    for text in ["one", "two", "end"] {
        tokio::time::sleep(Duration::from_millis(50)).await;
        up.send(text).await;
        assert_eq!(h2::piece(&mut received).await, text);
    }
    assert_eq!(h2::body(&mut received).await, (vec![], Ok(None)));
    client.ended().await.expect("a clean end");
    proxy.after(&["GET / 200"]).await;
}

#[tokio::test]
async fn an_old_http2_connection_that_does_not_hear_goaway_gets_no_more_streams() {
    let patience = Duration::from_millis(50);
    let (upstream, proxy) = proxied(|setup| {
        setup.limits.connection_age = Duration::ZERO;
        setup.limits.linger_total = patience;
    })
    .await;
    let mut client = proxy.frames(Over::Clear).await;
    client.send_bytes(&frames::head(1, &frames::get("/"))).await;
    let mut up = upstream.accept().await;
    up.head().await;
    client.until(kind::GOAWAY).await;
    // The PING that asks whether it heard is not answered.
    client.until(kind::PING).await;
    tokio::time::sleep(2 * patience).await;
    client.send_bytes(&frames::head(3, &frames::get("/"))).await;
    let refused = client.find(|frame| frame.stream == 3).await;
    assert_eq!((refused.kind, refused.code()), (kind::RST_STREAM, u32::from(::h2::Reason::REFUSED_STREAM)));
    up.no_content().await;
    let answered = client.find(|frame| frame.stream == 1).await;
    assert_eq!(answered.kind, kind::HEADERS);
    assert_eq!(client.end().await.1, Ended::Cleanly);
    assert!(upstream.is_left_alone().await);
    proxy.after(&["GET / 204"]).await;
}
