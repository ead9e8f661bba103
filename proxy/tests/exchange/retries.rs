//! Attempts that fail before an answer: which requests are tried again, where, and how often.

use crate::harness::unreachable::{BlackHole, refusing, refusing_on};
use crate::harness::{Client, Running, Setup, Upstream, field, proxied};
use std::time::Duration;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn request(method: &str) -> String {
    format!("{method} / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello")
}

/// An upstream whose kept connection has served a request, and a client.
async fn warm() -> (Upstream, Running, Client, Client) {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.client().await;
    client.send("GET /first HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.send(OK).await;
    client.answer().await;
    (upstream, proxy, client, up)
}

#[tokio::test]
async fn case_109_a_kept_connection_that_has_ended_is_not_used() {
    for method in ["GET", "POST"] {
        for resets in [false, true] {
            let (upstream, proxy, mut client, up) = warm().await;
            if resets {
                up.reset();
            } else {
                drop(up);
            }
            client.send(&request(method)).await;
            let mut up = upstream.accept().await;
            let (head, body) = up.answer().await;
            assert!(head.starts_with(&format!("{method} / ")), "{head}");
            assert_eq!(body, "hello");
            up.send(OK).await;
            assert_eq!(client.answer().await.1, "ok");
            assert!(upstream.is_left_alone().await);
            proxy.after(&["GET /first 200", &format!("{method} / 200")]).await;
        }
    }
}

#[tokio::test]
async fn case_110_what_a_kept_connection_loses_is_sent_again_once_if_it_may_be() {
    for (method, is_retried) in [("GET", true), ("PUT", true), ("POST", false), ("PATCH", false), ("BREW", false)] {
        for resets in [false, true] {
            let (upstream, proxy, mut client, mut up) = warm().await;
            client.send(&request(method)).await;
            up.answer().await;
            if resets {
                up.reset();
            } else {
                drop(up);
            }
            if !is_retried {
                let (head, _) = client.answer().await;
                assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
                assert_eq!(field(&head, "connection"), None, "{head}");
                assert!(upstream.is_left_alone().await);
                proxy.after(&["GET /first 200", &format!("{method} / 502 upstream_reset")]).await;
                continue;
            }
            let mut up = upstream.accept().await;
            let (head, body) = up.answer().await;
            assert!(head.starts_with(&format!("{method} / ")), "{head}");
            assert_eq!(body, "hello");
            up.send(OK).await;
            assert_eq!(client.answer().await.1, "ok");
            proxy.after(&["GET /first 200", &format!("{method} / 200")]).await;
        }
    }
}

#[tokio::test]
async fn case_110_a_third_loss_is_told() {
    let (upstream, proxy, mut client, mut up) = warm().await;
    client.send(&request("GET")).await;
    up.answer().await;
    drop(up);
    for _ in 1..3 {
        upstream.accept().await.answer().await;
    }
    let (head, _) = client.answer().await;
    assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
    assert!(upstream.is_left_alone().await);
    proxy.after(&["GET /first 200", "GET / 502 upstream_reset"]).await;
}

#[tokio::test]
async fn case_110_too_large_an_upload_is_not_sent_again() {
    let (upstream, proxy, mut client, mut up) = warm().await;
    let length = 100 * 1024;
    client.send(&format!("PUT / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {length}\r\n\r\n")).await;
    up.head().await;
    client.send_bulk(length).await;
    up.expect_bulk(length).await;
    drop(up);
    let (head, _) = client.answer().await;
    assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
    assert!(upstream.is_left_alone().await);
    proxy.after(&["GET /first 200", "PUT / 502 upstream_reset"]).await;
}

#[tokio::test]
async fn case_111_a_fresh_connection_that_ends_is_tried_elsewhere_if_the_request_may_be_repeated() {
    let (first, second) = (Upstream::bind().await, Upstream::bind().await);
    let proxy = Setup::to(&[first.address, second.address]).start().await;
    for (method, is_retried) in [("GET", true), ("POST", false)] {
        let mut client = proxy.client().await;
        client.send(&request(method)).await;
        let (one, other, mut up) = tokio::select! {
            up = first.accept() => (&first, &second, up),
            up = second.accept() => (&second, &first, up),
        };
        up.answer().await;
        drop(up);
        if is_retried {
            let mut up = other.accept().await;
            up.answer().await;
            up.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok").await;
            assert_eq!(client.answer().await.1, "ok");
        } else {
            let (head, _) = client.answer().await;
            assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
            assert!(other.is_left_alone().await);
        }
        assert!(one.is_left_alone().await);
    }
    proxy.after(&["GET / 200", "POST / 502 upstream_reset"]).await;
}

#[tokio::test]
async fn case_112_a_refused_connection_is_made_elsewhere_with_the_whole_body() {
    let upstream = Upstream::bind().await;
    let (_refusing, refused) = refusing();
    let proxy = Setup::to(&[refused, upstream.address]).start().await;
    // In turn, so that each of the two comes first.
    for _ in 0..2 {
        let mut client = proxy.client().await;
        let length = 1024 * 1024;
        client.send(&format!("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {length}\r\n\r\n")).await;
        let mut up = upstream.accept().await;
        assert!(up.head().await.starts_with("POST / "));
        tokio::join!(client.send_bulk(length), up.expect_bulk(length));
        up.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok").await;
        assert_eq!(client.answer().await.1, "ok");
    }
    proxy.after(&["POST / 200", "POST / 200"]).await;
    let attempts = proxy.counted("tidegate_upstream_attempts_total").await;
    let failures = proxy.counted("tidegate_upstream_failures_total").await;
    assert!((1..=2).contains(&failures) && attempts == 2 + failures, "{attempts} attempts, {failures} failures");
}

#[tokio::test]
async fn case_112_a_refused_connection_is_made_elsewhere_after_a_loss_too() {
    // Two of three endpoints go at once: one loses a request on its kept connection, the other refuses.
    let (mut lost, mut last) = (Upstream::bind().await, Upstream::bind().await);
    if lost.address < last.address {
        std::mem::swap(&mut lost, &mut last);
    }
    let (_refusing, refused) = refusing_on([127, 0, 0, 2]);
    let proxy = Setup::to(&[last.address, lost.address, refused]).start().await;
    let mut client = proxy.client().await;
    let closing = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
    // Each in its turn: the first, the second, the third and so the first again.
    let mut kept = None;
    for (upstream, answer) in [(&last, closing), (&lost, OK), (&last, closing)] {
        client.send(&request("GET")).await;
        let mut up = upstream.accept().await;
        up.answer().await;
        up.send(answer).await;
        assert_eq!(client.answer().await.1, "ok");
        kept = (answer == OK).then_some(up).or(kept);
    }
    // The second, the third and the first.
    client.send(&request("GET")).await;
    let mut up = kept.expect("kept");
    up.answer().await;
    drop(up);
    let mut up = last.accept().await;
    assert_eq!(up.answer().await.1, "hello");
    up.send(closing).await;
    assert_eq!(client.answer().await.1, "ok");
    assert!(lost.is_left_alone().await);
    proxy.after(&["GET / 200"; 4]).await;
}

/// A Deployment was scaled from ten to one, and the news is still on its way.
#[tokio::test]
async fn case_112_the_only_one_of_ten_that_does_not_refuse_is_found() {
    let upstream = Upstream::bind().await;
    let refusing: Vec<_> = (2..=10).map(|last| refusing_on([127, 0, 0, last])).collect();
    let addresses = refusing.iter().map(|(_, address)| *address).chain([upstream.address]);
    let proxy = Setup::to(&addresses.collect::<Vec<_>>()).start().await;
    let mut client = proxy.client().await;
    // In turn: for one of them every endpoint that refuses comes first.
    for _ in 0..2 {
        client.send(&request("POST")).await;
        let mut up = upstream.accept().await;
        assert_eq!(up.answer().await.1, "hello");
        up.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok").await;
        assert_eq!(client.answer().await.1, "ok");
    }
    proxy.after(&["POST / 200"; 2]).await;
    let failures = proxy.counted("tidegate_upstream_failures_total").await;
    assert!(failures >= 9, "{failures}");
}

#[tokio::test]
async fn case_112_a_refused_connection_alone_is_a_bad_gateway() {
    let (_refusing, refused) = refusing();
    let proxy = Setup::to(&[refused]).start().await;
    let mut client = proxy.client().await;
    client.send(&request("POST")).await;
    let (head, _) = client.answer().await;
    assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
    assert_eq!(field(&head, "cache-control"), Some("no-store"));
    proxy.after(&["POST / 502 connect_failed"]).await;
}

#[tokio::test]
async fn case_113_a_connection_that_is_not_made_is_made_elsewhere() {
    let upstream = Upstream::bind().await;
    let hole = BlackHole::open();
    let connect = |limits: &mut tidegate_proxy::Limits| limits.connect = Duration::from_millis(200);
    let proxy = Setup::to(&[hole.address, upstream.address]).limits(connect).start().await;
    for _ in 0..2 {
        let mut client = proxy.client().await;
        client.send(&request("POST")).await;
        let mut up = upstream.accept().await;
        assert_eq!(up.answer().await.1, "hello");
        up.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok").await;
        assert_eq!(client.answer().await.1, "ok");
    }
    proxy.after(&["POST / 200", "POST / 200"]).await;

    let proxy = Setup::to(&[hole.address]).limits(connect).start().await;
    let mut client = proxy.client().await;
    client.send(&request("POST")).await;
    let (head, _) = client.answer().await;
    assert!(head.starts_with("HTTP/1.1 504 "), "{head}");
    proxy.after(&["POST / 504 connect_timeout"]).await;
}

#[tokio::test]
async fn case_113_a_client_that_leaves_meanwhile_is_noticed() {
    let hole = BlackHole::open();
    let proxy = Setup::to(&[hole.address]).start().await;
    let mut client = proxy.client().await;
    client.send(&request("POST")).await;
    client.reset();
    proxy.after(&["POST / 499 client_gone cut"]).await;
}

#[tokio::test]
async fn case_115_retries_are_a_small_part_of_all_requests() {
    const REQUESTS: u64 = 100;
    let (upstream, proxy) = proxied(|setup| setup.limits.retry_pause = Duration::from_millis(1)).await;
    let failing = async {
        loop {
            upstream.accept().await.head().await;
        }
    };
    let asking = async {
        for _ in 0..REQUESTS {
            let mut client = proxy.client().await;
            client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
            let (head, _) = client.answer().await;
            assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
            let record = proxy.record().await;
            assert!(["GET / 502 upstream_reset", "GET / 502 retry_denied"].contains(&record.as_str()), "{record}");
        }
    };
    tokio::select! {
        () = failing => unreachable!(),
        () = asking => {}
    }
    let attempts = proxy.counted("tidegate_upstream_attempts_total").await;
    // A fifth of them, and three.
    assert!((REQUESTS..=REQUESTS * 6 / 5 + 3).contains(&attempts), "{attempts}");
}

#[tokio::test]
async fn case_116_a_client_that_leaves_during_the_pause_is_not_tried_for_again() {
    let (upstream, mut proxy) = proxied(|setup| {
        setup.limits.retry_pause = Duration::from_secs(600);
        setup.drain.timeout = Duration::from_secs(30);
    })
    .await;
    let mut client = proxy.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    let mut up = upstream.accept().await;
    up.head().await;
    drop(up);
    client.reset();
    assert_eq!(proxy.record().await, "GET / 499 client_gone cut");
    assert_eq!(proxy.drain().await.expect("no panic"), tidegate_proxy::drain::Drained::Empty);
    assert!(upstream.is_left_alone().await);
}

#[tokio::test]
async fn the_same_endpoint_is_given_a_pause() {
    let pause = Duration::from_millis(300);
    let (upstream, proxy) = proxied(|setup| setup.limits.retry_pause = pause).await;
    let mut client = proxy.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    let mut up = upstream.accept().await;
    up.head().await;
    drop(up);
    let failed = std::time::Instant::now();
    let mut up = upstream.accept().await;
    assert!(failed.elapsed() >= pause / 10, "{:?}", failed.elapsed());
    up.head().await;
    up.send(OK).await;
    assert_eq!(client.answer().await.1, "ok");
    proxy.after(&["GET / 200"]).await;
}
