//! The time that a rule gives each attempt: when it runs, what it ends, and what comes after.

use crate::harness::h2::{self, Over, answer, get, respond};
use crate::harness::unreachable::BlackHole;
use crate::harness::{Bulk, Client, Ended, PATIENCE, Running, Setup, Upstream, proxied};
use ::h2::Reason;
use config::{BackendProtocol, RulePolicy};
use std::future::poll_fn;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::timeout;

const GET: &str = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
/// The time of an attempt that is to be over.
const SOON: Duration = Duration::from_millis(300);

fn within(attempt: Duration) -> Option<Arc<RulePolicy>> {
    Some(Arc::new(RulePolicy { attempt: Some(attempt), ..RulePolicy::default() }))
}

async fn two(protocol: BackendProtocol) -> (Upstream, Upstream, Running) {
    let (one, other) = (Upstream::bind().await, Upstream::bind().await);
    let mut setup = Setup::to(&[one.address, other.address]).speaking(protocol);
    setup.policy = within(SOON);
    (one, other, setup.start().await)
}

/// Nothing comes for longer than an attempt may take.
async fn waits(client: &mut Client) {
    assert!(timeout(2 * SOON, client.exactly(1)).await.is_err(), "it does not wait");
}

#[tokio::test]
async fn case_141_a_silent_endpoint_is_left_for_the_second_which_answers() {
    let (one, other, proxy) = two(BackendProtocol::Http1).await;
    let mut client = proxy.client().await;
    for method in ["GET", "PUT"] {
        let begun = Instant::now();
        client.send(&format!("{method} / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello")).await;
        let (mut silent, other) = tokio::select! {
            up = one.accept() => (up, &other),
            up = other.accept() => (up, &one),
        };
        silent.answer().await;
        let mut up = other.accept().await;
        assert!(begun.elapsed() >= SOON, "{:?}", begun.elapsed());
        assert_eq!(silent.rest_and_end().await.1, Ended::Badly);
        let (head, body) = up.answer().await;
        assert!(head.starts_with(&format!("{method} / ")) && body == "hello", "{head}");
        up.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok").await;
        assert_eq!(client.answer().await.1, "ok");
        let line = proxy.record_line().await;
        assert!(line.contains(&format!("\"endpoint\":\"{}\",\"attempts\":2,", other.address)), "{line}");
    }
    assert_eq!(proxy.counted("tidegate_upstream_failures_total").await, 2);
    proxy.after(&[]).await;
}

#[tokio::test]
async fn case_141_a_silent_stream_is_reset_for_the_second_endpoint() {
    let (one, other, proxy) = two(BackendProtocol::H2c).await;
    let mut client = proxy.h2(Over::Clear).await;
    let (response, _) = client.send(get("/"), true).await;
    let (mut silent, other) = tokio::select! {
        up = one.accept_h2() => (up, &other),
        up = other.accept_h2() => (up, &one),
    };
    let (_request, mut unanswered) = silent.request().await;
    let mut up = other.accept_h2().await;
    let (_, mut sent) = up.request().await;
    let reset = timeout(PATIENCE, poll_fn(|cx| unanswered.poll_reset(cx))).await.expect("no reset");
    assert_eq!(reset.expect("a reset"), Reason::CANCEL);
    respond(&mut sent, 200, "ok");
    assert_eq!(answer(response).await.text(), "ok");
    proxy.after(&["GET / 200"]).await;
}

#[tokio::test]
async fn what_may_not_be_repeated_is_a_timeout_and_the_endpoint_is_blamed() {
    let (upstream, proxy) = proxied(|setup| setup.policy = within(SOON)).await;
    let mut client = proxy.client().await;
    for count in 1..=5 {
        client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello").await;
        let mut up = upstream.accept().await;
        up.answer().await;
        let (head, _) = client.answer().await;
        assert!(head.starts_with("HTTP/1.1 504 "), "{head}");
        assert!(upstream.is_left_alone().await);
        assert_eq!(proxy.ejections().await, u64::from(count == 5));
    }
    proxy.after(&["POST / 504 upstream_timeout"; 5]).await;
}

#[tokio::test]
async fn all_attempts_in_vain_are_a_timeout() {
    let (upstream, proxy) = proxied(|setup| setup.policy = within(SOON)).await;
    let mut client = proxy.client().await;
    let begun = Instant::now();
    client.send(GET).await;
    let mut attempts = Vec::new();
    for _ in 0..3 {
        attempts.push(upstream.accept().await);
    }
    for up in &mut attempts {
        up.head().await;
    }
    let (head, _) = client.answer().await;
    assert!(head.starts_with("HTTP/1.1 504 "), "{head}");
    assert!(begun.elapsed() >= 3 * SOON, "{:?}", begun.elapsed());
    assert!(upstream.is_left_alone().await);
    proxy.after(&["GET / 504 upstream_timeout"]).await;
}

#[tokio::test]
async fn a_client_that_takes_its_time_does_not_use_up_the_endpoints() {
    let (upstream, proxy) = proxied(|setup| setup.policy = within(SOON)).await;
    let mut client = proxy.client().await;
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\n\r\nhello").await;
    let mut up = upstream.accept().await;
    up.head().await;
    waits(&mut client).await;
    client.send("world").await;
    let ended = Instant::now();
    assert_eq!(up.exactly(10).await, "helloworld");
    // From there on it is the endpoint's turn.
    let (head, _) = client.answer().await;
    assert!(head.starts_with("HTTP/1.1 504 "), "{head}");
    assert!(ended.elapsed() >= SOON * 9 / 10, "{:?}", ended.elapsed());
    proxy.after(&["POST / 504 upstream_timeout"]).await;
}

#[tokio::test]
async fn a_client_that_waits_to_be_told_to_go_on_does_not_either() {
    let (upstream, proxy) = proxied(|setup| setup.policy = within(SOON)).await;
    let mut client = proxy.client().await;
    client.send("PUT / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n").await;
    let mut up = upstream.accept().await;
    up.head().await;
    // It never is, and goes on all the same (RFC 9110 §10.1.1).
    waits(&mut client).await;
    client.send("hello").await;
    assert_eq!(up.exactly(5).await, "hello");
    up.send(OK).await;
    assert_eq!(client.answer().await.1, "ok");
    assert!(upstream.is_left_alone().await);
    proxy.after(&["PUT / 200"]).await;
}

#[tokio::test]
async fn an_answer_that_has_begun_has_all_the_time_of_the_proxy() {
    let (upstream, proxy) = proxied(|setup| setup.policy = within(SOON)).await;
    let mut client = proxy.client().await;
    client.send(GET).await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n").await;
    client.head().await;
    waits(&mut client).await;
    up.send("ok").await;
    assert_eq!(client.exactly(2).await, "ok");
    proxy.after(&["GET / 200"]).await;
}

#[tokio::test]
async fn what_was_hinted_to_the_client_is_not_tried_again() {
    let (upstream, proxy) = proxied(|setup| setup.policy = within(SOON)).await;
    let mut client = proxy.client().await;
    client.send(GET).await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.send("HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n").await;
    assert!(client.head().await.starts_with("HTTP/1.1 103 "));
    let (head, _) = client.answer().await;
    assert!(head.starts_with("HTTP/1.1 504 "), "{head}");
    assert!(upstream.is_left_alone().await);
    proxy.after(&["GET / 504 upstream_timeout"]).await;
}

#[tokio::test]
async fn a_connection_is_to_be_made_in_that_time_too() {
    let upstream = Upstream::bind().await;
    let hole = BlackHole::open();
    let mut setup = Setup::to(&[hole.address, upstream.address]);
    setup.policy = within(SOON);
    let proxy = setup.start().await;
    // In turn, so that each of the two comes first.
    for _ in 0..2 {
        let mut client = proxy.client().await;
        client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello").await;
        let mut up = upstream.accept().await;
        assert_eq!(up.answer().await.1, "hello");
        up.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok").await;
        assert_eq!(client.answer().await.1, "ok");
    }
    proxy.after(&["POST / 200", "POST / 200"]).await;

    let mut setup = Setup::to(&[hole.address]);
    setup.policy = within(SOON);
    let proxy = setup.start().await;
    let mut client = proxy.client().await;
    let begun = Instant::now();
    client.send(GET).await;
    let (head, _) = client.answer().await;
    assert!(head.starts_with("HTTP/1.1 504 "), "{head}");
    assert!(begun.elapsed() >= SOON, "{:?}", begun.elapsed());
    proxy.after(&["GET / 504 connect_timeout"]).await;
}

#[tokio::test]
async fn the_time_for_the_whole_ends_attempts_and_pauses() {
    let policy =
        RulePolicy { request: Some(2 * SOON), attempt: Some(SOON), attempts: Some(10), ..RulePolicy::default() };
    for pause in [Duration::from_millis(1), Duration::from_secs(600)] {
        let (upstream, proxy) = proxied(|setup| {
            setup.policy = Some(Arc::new(policy.clone()));
            setup.limits.retry_pause = pause;
        })
        .await;
        let mut client = proxy.client().await;
        let begun = Instant::now();
        client.send(GET).await;
        let mut first = upstream.accept().await;
        first.head().await;
        let (head, _) = client.answer().await;
        assert!(head.starts_with("HTTP/1.1 504 "), "{head}");
        assert!(begun.elapsed() >= 2 * SOON, "{:?}", begun.elapsed());
        proxy.after(&["GET / 504 deadline"]).await;
    }
}

#[tokio::test]
async fn a_rule_may_give_more_time_than_the_proxy() {
    let (upstream, proxy) = proxied(|setup| {
        setup.policy = within(4 * SOON);
        setup.limits.upstream_head = SOON;
    })
    .await;
    let mut client = proxy.client().await;
    client.send(GET).await;
    let mut up = upstream.accept().await;
    up.head().await;
    waits(&mut client).await;
    up.send(OK).await;
    assert_eq!(client.answer().await.1, "ok");
    proxy.after(&["GET / 200"]).await;
}

#[tokio::test]
async fn an_endpoint_is_not_blamed_where_all_streams_to_it_are_in_use() {
    const CONNECTIONS: usize = 8;
    let (upstream, proxy) = proxied(|setup| {
        setup.protocol = BackendProtocol::H2c;
        setup.policy = within(SOON);
    })
    .await;
    let mut client = proxy.h2(Over::Clear).await;
    let mut held = vec![];
    for _ in 0..CONNECTIONS {
        let response = client.get("/held").await;
        let mut up = upstream.accept_h2_with(|builder| _ = builder.max_concurrent_streams(1)).await;
        let (_, mut sent) = up.request().await;
        let head = http::Response::new(());
        held.push((up, sent.send_response(head, false).expect("open"), h2::head(response).await));
    }
    for _ in 0..6 {
        assert_eq!(answer(client.get("/").await).await.status(), 503);
        assert_eq!(proxy.record().await, "GET / 503 overflow");
    }
    assert_eq!(proxy.ejections().await, 0);
}

#[tokio::test]
async fn a_client_that_does_not_read_has_no_more_time_for_the_whole() {
    for is_h2 in [false, true] {
        let policy = RulePolicy { request: Some(SOON), ..RulePolicy::default() };
        let (upstream, proxy) = proxied(|setup| setup.policy = Some(Arc::new(policy))).await;
        let (mut h1, mut h2) = (proxy.client().await, proxy.h2(Over::Clear).await);
        let response = if is_h2 {
            Some(h2.get("/").await)
        } else {
            h1.send(GET).await;
            None
        };
        let mut up = upstream.accept().await;
        up.head().await;
        up.send("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n").await;
        timeout(PATIENCE, Bulk::new().send_until_refused(&mut up.socket)).await.expect("it is not refused");
        proxy.after(&["GET / 200 deadline cut"]).await;
        drop(response);
    }
}
