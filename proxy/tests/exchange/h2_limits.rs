//! What one HTTP/2 client may use of the proxy, and for how long.

use crate::harness::frames::{self, ACK, Frames, PREFACE, STATUS_200, frame, kind};
use crate::harness::h2::{BOTH, Over, answer, body, head, piece, request, respond};
use crate::harness::{Bulk, Ended, Running, Upstream, proxied};
use config::BackendProtocol;
use h2::Reason;
use proxy::drain::Drained;
use std::time::Duration;
use tidegate_proxy as proxy;
use tokio::time::Instant;

/// A clock that runs out soon.
const SOON: Duration = Duration::from_millis(300);

#[tokio::test]
async fn case_128_streams_beyond_the_limit_are_refused_alone() {
    let (upstream, proxy) = proxied(|setup| setup.protocol = BackendProtocol::H2c).await;
    let mut client = proxy.frames(Over::Clear).await;
    let requests: Vec<u8> = (0..129).flat_map(|number| frames::head(1 + 2 * number, &frames::get("/"))).collect();
    client.send_bytes(&requests).await;
    let refused = client.until(kind::RST_STREAM).await;
    assert_eq!((refused.stream, refused.code()), (257, Reason::REFUSED_STREAM.into()));
    let mut up = upstream.accept_h2().await;
    for _ in 0..128 {
        let (_, mut sent) = up.request().await;
        respond(&mut sent, 200, "");
    }
    for _ in 0..128 {
        assert_eq!(client.until(kind::HEADERS).await.payload.first(), Some(&STATUS_200));
    }
    client.send_bytes(&frames::head(259, &frames::get("/"))).await;
    let (_, mut sent) = up.request().await;
    respond(&mut sent, 200, "");
    client.is_served(259).await;
    proxy.after(&["GET / 200"; 129]).await;
}

#[tokio::test]
async fn case_129_a_stream_that_is_not_read_keeps_nobody_else_waiting() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client =
        proxy.h2_with(Over::Clear, |builder| _ = builder.initial_connection_window_size(1024 * 1024)).await;
    let response = client.get("/unread").await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.send("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n").await;
    Bulk::new().send_until_stalled(&mut up.socket, 100_000_000).await;
    let mut sibling: Option<crate::harness::Client> = None;
    for _ in 0..20 {
        let response = client.get("/read").await;
        if sibling.is_none() {
            sibling = Some(upstream.accept().await);
        }
        let up = sibling.as_mut().expect("connected");
        up.head().await;
        up.send("HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n").await;
        up.send_bulk(50_000).await;
        assert_eq!(answer(response).await.body.len(), 50_000);
    }
    drop(response);
}

#[tokio::test]
async fn case_130_a_stream_without_window_is_cancelled_and_its_upstream_let_go() {
    let (upstream, proxy) = proxied(|setup| setup.limits.write = SOON).await;
    let mut client = proxy.h2_with(Over::Clear, |builder| _ = builder.initial_window_size(0)).await;
    let response = client.get("/").await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello").await;
    let began = Instant::now();
    let mut received = head(response).await.into_body();
    assert_eq!(body(&mut received).await, (vec![], Err(Some(Reason::CANCEL))));
    assert!(began.elapsed() >= SOON * 9 / 10, "{:?}", began.elapsed());
    up.rest_and_end().await;
    // The connection is not to blame.
    let response = client.get("/").await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(answer(response).await.status(), 204);
    proxy.after(&["GET / 200 write_timeout cut", "GET / 204"]).await;
}

#[tokio::test]
async fn a_client_that_reads_slowly_is_no_client_that_does_not_read() {
    let (upstream, proxy) = proxied(|setup| setup.limits.write = SOON).await;
    let mut client = proxy.h2_with(Over::Clear, |builder| _ = builder.initial_window_size(2)).await;
    let response = client.get("/").await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789").await;
    let mut received = head(response).await.into_body();
    for expected in ["01", "23", "45", "67", "89"] {
        // Each step is within the clock, all of them are not.
        tokio::time::sleep(SOON / 2).await;
        assert_eq!(piece(&mut received).await, expected);
    }
    assert_eq!(body(&mut received).await, (vec![], Ok(None)));
    proxy.after(&["GET / 200"]).await;
}

/// Opens the windows of a client by hand as far as they go, and asks for an answer without end.
async fn endless(upstream: &Upstream, client: &mut Frames) -> tokio::task::JoinHandle<u64> {
    client.send(kind::WINDOW_UPDATE, 0, 0, &[0x7f, 0, 0, 0]).await;
    client.send_bytes(&frames::head(1, &frames::get("/"))).await;
    client.send(kind::WINDOW_UPDATE, 0, 1, &[0x7f, 0, 0, 0]).await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.send("HTTP/1.1 200 OK\r\n\r\n").await;
    tokio::spawn(async move { Bulk::new().send_until_refused(&mut up.socket).await })
}

#[tokio::test]
async fn a_client_whose_socket_takes_nothing_loses_its_connection() {
    for over in BOTH {
        let (upstream, proxy) = proxied(|setup| setup.limits.write = SOON).await;
        let mut client = proxy.frames(over).await;
        let sending = endless(&upstream, &mut client).await;
        // The upstream is let go before the client reads again.
        sending.await.expect("refused");
        let (code, _) = client.end().await;
        assert_eq!(code, None, "it is dropped");
    }
}

#[tokio::test]
async fn a_client_that_asks_for_pongs_and_reads_none_loses_its_connection() {
    for over in BOTH {
        let (_upstream, proxy) = proxied(|setup| setup.limits.write = SOON).await;
        let mut client = proxy.frames(over).await;
        let most = 256 * 1024 * 1024;
        let sent = client.send_until_refused(&frame(kind::PING, 0, 0, b"12345678").repeat(1000), most).await;
        assert!(sent < most, "all were taken");
        client.end().await;
    }
}

#[tokio::test]
async fn case_138_a_preface_that_does_not_come_is_waited_for_so_long() {
    for over in BOTH {
        let (_upstream, proxy) = proxied(|setup| (setup.limits.hello, setup.limits.first_request) = (SOON, SOON)).await;
        for begun in [&b""[..], &PREFACE[..3], &PREFACE[..20]] {
            let mut client = proxy.silent_frames(over).await;
            client.send_bytes(begun).await;
            let began = Instant::now();
            client.end().await;
            assert!(began.elapsed() >= SOON * 9 / 10, "{over:?} {begun:?}");
        }
    }
}

#[tokio::test]
async fn case_138_settings_that_are_not_acknowledged_end_the_connection() {
    for over in BOTH {
        let (upstream, proxy) = proxied(|setup| setup.limits.hello = SOON).await;
        let settings = frame(kind::SETTINGS, 0, 0, &[]);
        for said in [vec![], settings.clone(), [settings, frames::head(1, &frames::get("/"))].concat()] {
            let mut client = proxy.silent_frames(over).await;
            client.send_bytes(&[PREFACE, &said].concat()).await;
            let mut up = None;
            if said.len() > 9 {
                let mut asked = upstream.accept().await;
                asked.head().await;
                up = Some(asked);
            }
            assert_eq!(client.end().await.0, Some(Reason::SETTINGS_TIMEOUT.into()), "{over:?} {said:?}");
            if let Some(mut up) = up {
                up.rest_and_end().await;
            }
        }
    }
}

#[tokio::test]
async fn case_138_a_client_without_a_request_is_sent_away() {
    let (_upstream, proxy) = proxied(|setup| setup.limits.first_request = SOON).await;
    let mut client = proxy.frames(Over::Tls).await;
    goes_away(&mut client, 0).await;
}

#[tokio::test]
async fn a_client_that_is_idle_after_its_requests_is_sent_away() {
    let (upstream, proxy) = proxied(|setup| setup.limits.h2_idle = SOON).await;
    let mut client = proxy.frames(Over::Clear).await;
    client.send_bytes(&frames::head(1, &frames::get("/"))).await;
    let mut up = upstream.accept().await;
    up.head().await;
    // A stream is no idleness, however long it takes.
    tokio::time::sleep(2 * SOON).await;
    up.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    client.is_served(1).await;
    goes_away(&mut client, 1).await;
    proxy.after(&["GET / 200"]).await;
}

/// Waits for both GOAWAYs, the second of which names the last stream that is served, and for the end.
async fn goes_away(client: &mut Frames, last_stream: u32) {
    let first = client.until(kind::GOAWAY).await;
    assert_eq!((first.last_stream(), first.code()), (u32::MAX >> 1, 0));
    let second = client.until(kind::GOAWAY).await;
    assert_eq!((second.last_stream(), second.code()), (last_stream, 0));
    assert_eq!(client.end().await, (None, Ended::Cleanly));
}

#[tokio::test]
async fn case_139_a_wrong_preface_gets_nothing_but_the_end() {
    let (_upstream, proxy) = proxied(|_| {}).await;
    for wrong in ["PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", "INVALID CONNECTION PREFACE\r\n\r\n"] {
        let mut client = proxy.client().await;
        client.send(wrong).await;
        assert_eq!(client.rest_and_end().await.0, "");
    }
    // Over TLS the protocol was agreed on; it may be told what is wrong.
    let mut client = proxy.silent_frames(Over::Tls).await;
    client.send_bytes(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    client.end().await;
    proxy.after(&["- - 0 bad_request"]).await;
}

#[tokio::test]
async fn case_139_a_method_like_the_preface_is_a_method() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.client().await;
    client.send("PRI /x HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    assert!(upstream.accept().await.head().await.starts_with("PRI /x HTTP/1.1\r\n"));
}

#[tokio::test]
async fn case_147_a_drain_serves_what_runs_and_what_comes_late() {
    let (upstream, mut proxy) = proxied(|setup| setup.protocol = BackendProtocol::H2c).await;
    let mut client = proxy.frames(Over::Clear).await;
    client.send_bytes(&frames::head(1, &frames::get("/running"))).await;
    let mut up = upstream.accept_h2().await;
    let (_, mut running) = up.request().await;
    let drained = proxy.drain();
    let first = client.until(kind::GOAWAY).await;
    assert_eq!((first.last_stream(), first.code()), (u32::MAX >> 1, 0));
    // Sent before the client heard of it.
    client.send_bytes(&frames::head(3, &frames::get("/late"))).await;
    let ping = client.until(kind::PING).await;
    client.send(kind::PING, ACK, 0, &ping.payload).await;
    let (_, mut late) = up.request().await;
    let second = client.until(kind::GOAWAY).await;
    assert_eq!((second.last_stream(), second.code()), (3, 0));
    respond(&mut late, 200, "");
    client.is_served(3).await;
    respond(&mut running, 200, "");
    client.is_served(1).await;
    assert_eq!(client.end().await, (None, Ended::Cleanly));
    assert_eq!(drained.await.expect("no panic"), Drained::Empty);
}

#[tokio::test]
async fn the_deadline_of_a_drain_answers_what_still_waits_and_ends_all() {
    let (upstream, mut proxy) = proxied(|setup| setup.drain.timeout = SOON).await;
    let idle = proxy.h2(Over::Clear).await;
    let mut client = proxy.h2(Over::Tls).await;
    let response = client.get("/waits").await;
    let mut up = upstream.accept().await;
    up.head().await;
    let drained = proxy.drain();
    assert_eq!(answer(response).await.status(), 503);
    client.ended().await.expect("a clean end");
    idle.ended().await.expect("a clean end");
    up.rest_and_end().await;
    assert_eq!(drained.await.expect("no panic"), Drained::TimedOut);
    proxy.after(&["GET /waits 503 draining"]).await;
}

/// A proxy whose PINGs come soon, and a client of it with a stream that waits.
async fn waiting() -> (Upstream, Running, Frames, crate::harness::Client) {
    let (upstream, proxy) =
        proxied(|setup| (setup.limits.h2_ping_idle, setup.limits.h2_ping_timeout) = (SOON, SOON)).await;
    let mut client = proxy.frames(Over::Clear).await;
    client.send_bytes(&frames::head(1, &frames::get("/"))).await;
    let mut up = upstream.accept().await;
    up.head().await;
    (upstream, proxy, client, up)
}

#[tokio::test]
async fn a_quiet_client_with_open_streams_is_asked_whether_it_lives() {
    let (_upstream, proxy, mut client, mut up) = waiting().await;
    for _ in 0..3 {
        let ping = client.until(kind::PING).await;
        client.send(kind::PING, ACK, 0, &ping.payload).await;
    }
    up.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    client.is_served(1).await;
    // Without streams it is left alone.
    assert!(tokio::time::timeout(3 * SOON, client.until(kind::PING)).await.is_err());
    proxy.after(&["GET / 200"]).await;
}

#[tokio::test]
async fn a_quiet_client_that_gives_no_sign_of_life_is_dropped() {
    let (_upstream, proxy, mut client, mut up) = waiting().await;
    client.until(kind::PING).await;
    client.end().await;
    up.rest_and_end().await;
    proxy.after(&["GET / 499 client_gone cut"]).await;
}

#[tokio::test]
async fn heads_that_are_too_large_are_told_so_and_the_connection_goes_on() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.h2(Over::Clear).await;
    let long = request("GET", "/").header("x-long", "x".repeat(70 * 1024));
    let many = (0..101).fold(request("GET", "/"), |many, number| many.header(format!("x-{number}"), "x"));
    let target = request("GET", &format!("/{}", "x".repeat(9 * 1024)));
    for (refused, status) in [(long, 431), (many, 431), (target, 414)] {
        let refused = client.send(refused.body(()).expect("a request"), true).await.0;
        assert_eq!(answer(refused).await.status(), status);
    }
    let response = client.get("/").await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(answer(response).await.status(), 204);
    proxy.after(&["- - 431 head_too_large", "- - 414 target_too_long", "GET / 204"]).await;
}
