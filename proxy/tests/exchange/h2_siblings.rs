//! Streams that stall keep nobody else waiting who shares a connection with them, on either side of the proxy.

use crate::harness::h2::{H2Client, H2Peer, Over, Seen, answer, body, fill, get, post, respond};
use crate::harness::{Client, Running, Setup, Upstream, proxied};
use bytes::Bytes;
use config::BackendProtocol;
use h2::SendStream;
use h2::client::ResponseFuture;
use http::Response;
use std::time::Duration;
use tokio::task::JoinSet;

const KIB: usize = 1024;
/// What a stream may have under way in a window, in the queue behind it, and in the piece that filled the queue.
const HELD: usize = (64 + 64 + 16) * KIB;

async fn h2c(change: impl FnOnce(&mut Setup)) -> (Upstream, Running) {
    proxied(|setup| {
        setup.protocol = BackendProtocol::H2c;
        change(setup);
    })
    .await
}

/// A client that takes heads and nothing else.
async fn windowless(proxy: &Running) -> H2Client {
    proxy.h2_with(Over::Clear, |builder| _ = builder.initial_window_size(0)).await
}

/// Answers so many requests without end; gives their streams, and how much of each was taken.
async fn answer_endlessly(up: &mut H2Peer, requests: usize) -> Vec<(usize, SendStream<Bytes>)> {
    let mut answers = JoinSet::new();
    for _ in 0..requests {
        let (_, mut respond) = up.request().await;
        let mut stream = respond.send_response(Response::new(()), false).expect("open");
        answers.spawn(async move { (fill(&mut stream, usize::MAX).await, stream) });
    }
    answers.join_all().await
}

/// A client's request is answered in full on that very connection.
async fn is_served(client: &mut H2Client, up: &mut H2Peer) {
    const LEN: usize = 1024 * KIB;
    let response = client.get("/served").await;
    let (_, mut sent) = up.request().await;
    let mut stream = sent.send_response(Response::new(()), false).expect("open");
    let sending = async {
        assert_eq!(fill(&mut stream, LEN).await, LEN);
        stream.send_data(Bytes::new(), true).expect("open");
    };
    let (answer, ()) = tokio::join!(answer(response), sending);
    assert_eq!((answer.body.len(), answer.trailers()), (LEN, None));
}

#[tokio::test]
async fn case_129_clients_that_do_not_read_leave_an_upstreams_connection_to_others() {
    let (upstream, proxy) = h2c(|_| {}).await;
    let mut slow = windowless(&proxy).await;
    let mut responses = vec![slow.get("/unread").await];
    let mut up = upstream.accept_h2().await;
    let mut stalled = answer_endlessly(&mut up, 1).await;
    for _ in 0..7 {
        responses.push(slow.get("/unread").await);
    }
    stalled.extend(answer_endlessly(&mut up, 7).await);
    assert!(stalled.iter().all(|(sent, _)| *sent <= HELD), "{:?}", stalled.iter().map(|(sent, _)| sent));
    // Those of HTTP/1 are no better.
    let mut clients: Vec<Client> = vec![];
    for _ in 0..8 {
        let mut client = proxy.client().await;
        client.send("GET /unread HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
        clients.push(client);
    }
    stalled.extend(answer_endlessly(&mut up, 8).await);
    is_served(&mut proxy.h2(Over::Clear).await, &mut up).await;
    let mut client = proxy.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    respond(&mut up.request().await.1, 200, "ok");
    assert_eq!(client.answer().await.1, "ok");
    assert!(upstream.is_left_alone().await, "one connection is enough");
}

#[tokio::test]
async fn case_129_the_last_stream_of_a_connection_has_its_window_whoever_has_the_others() {
    const STALLED: usize = 127;
    let (upstream, proxy) = h2c(|_| {}).await;
    let (mut slow, mut client) = (windowless(&proxy).await, proxy.h2(Over::Clear).await);
    let mut responses = vec![];
    for _ in 0..STALLED {
        responses.push(slow.get("/unread").await);
    }
    let mut up = upstream.accept_h2().await;
    let stalled = answer_endlessly(&mut up, STALLED).await;
    let sent = stalled.iter().map(|(sent, _)| sent);
    assert!(sent.clone().all(|&sent| (64 * KIB..=HELD).contains(&sent)), "{:?}", sent.collect::<Vec<_>>());
    is_served(&mut client, &mut up).await;
}

/// Uploads that go on until nobody takes any more of them.
async fn upload(client: &mut H2Client, path: &str, uploads: usize) -> Vec<(ResponseFuture, SendStream<Bytes>)> {
    let mut filling = JoinSet::new();
    for _ in 0..uploads {
        let (response, mut stream) = client.send(post(path), false).await;
        filling.spawn(async move {
            fill(&mut stream, usize::MAX).await;
            (response, stream)
        });
    }
    filling.join_all().await
}

/// What is under way between a client and an upstream; neither reads.
type Stalled = (H2Client, Vec<(ResponseFuture, SendStream<Bytes>)>, Vec<Seen>);

/// Uploads of one client that an upstream with small windows does not read: its connection's window is full of them.
async fn stalled_uploads(upstream: &Upstream, proxy: &Running) -> (H2Peer, Stalled) {
    let mut slow = proxy.h2(Over::Clear).await;
    let (uploads, mut up) = tokio::join!(upload(&mut slow, "/unread", 8), upstream.accept_h2());
    let mut requests = vec![];
    for _ in 0..8 {
        requests.push(up.request().await);
    }
    (up, (slow, uploads, requests))
}

/// How long uploads stall before others go elsewhere; less than [`fill`] waits.
const STALL: Duration = Duration::from_millis(100);

#[tokio::test]
async fn uploads_that_an_upstream_does_not_read_send_others_to_another_connection() {
    let (upstream, proxy) = h2c(|setup| setup.limits.upstream_stall = STALL).await;
    let (_up, _stalled) = stalled_uploads(&upstream, &proxy).await;
    let mut client = proxy.h2(Over::Clear).await;
    let response = client.post(post("/"), &"x".repeat(200 * KIB)).await;
    let mut other = upstream.accept_h2().await;
    let (mut request, mut sent) = other.request().await;
    assert_eq!(body(request.body_mut()).await.0.len(), 200 * KIB);
    respond(&mut sent, 200, "ok");
    assert_eq!(answer(response).await.text(), "ok");
    // That one flows, and is enough.
    let mut client = proxy.client().await;
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 2\r\n\r\nhi").await;
    let (mut request, mut sent) = other.request().await;
    assert_eq!(body(request.body_mut()).await, (b"hi".to_vec(), Ok(None)));
    respond(&mut sent, 200, "ok");
    assert_eq!(client.answer().await.1, "ok");
    assert!(upstream.is_left_alone().await);
}

#[tokio::test]
async fn a_connection_that_takes_no_uploads_is_better_than_none() {
    let (upstream, proxy) = h2c(|setup| setup.limits.upstream_stall = STALL).await;
    let (mut up, _stalled) = stalled_uploads(&upstream, &proxy).await;
    drop(upstream);
    let mut client = proxy.h2(Over::Clear).await;
    for _ in 0..2 {
        let response = client.send(get("/"), true).await.0;
        respond(&mut up.request().await.1, 200, "ok");
        assert_eq!(answer(response).await.text(), "ok");
    }
}

#[tokio::test]
async fn a_connection_whose_uploads_move_again_is_used_again() {
    let (upstream, proxy) = h2c(|setup| setup.limits.upstream_stall = STALL).await;
    let mut client = proxy.h2(Over::Clear).await;
    let (mut uploads, mut up) = tokio::join!(upload(&mut client, "/slow", 1), upstream.accept_h2());
    let (mut request, mut sent) = up.request().await;
    for (_, stream) in &mut uploads {
        stream.send_data(Bytes::new(), true).expect("open");
    }
    assert_eq!(body(request.body_mut()).await.1, Ok(None));
    respond(&mut sent, 200, "ok");
    for (response, _) in uploads {
        assert_eq!(answer(response).await.text(), "ok");
    }
    is_served(&mut client, &mut up).await;
    assert!(upstream.is_left_alone().await);
}

#[tokio::test]
async fn case_129_uploads_that_upstreams_do_not_read_leave_a_clients_connection_to_others() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.h2(Over::Clear).await;
    let _stalled = upload(&mut client, "/unread", 8).await;
    let mut ups = vec![];
    for _ in 0..8 {
        let mut up = upstream.accept().await;
        assert!(up.head().await.starts_with("POST /unread "));
        ups.push(up);
    }
    let length = 300 * KIB;
    let request = crate::harness::h2::request("POST", "/").header("content-length", length);
    let (response, mut stream) = client.send(request.body(()).expect("a request"), false).await;
    let mut up = upstream.accept().await;
    up.head().await;
    let sending = async {
        assert_eq!(fill(&mut stream, length).await, length);
        stream.send_data(Bytes::new(), true).expect("open");
    };
    let (uploaded, ()) = tokio::join!(up.exact_bytes(length), sending);
    assert_eq!(uploaded.len(), length);
    up.no_content().await;
    assert_eq!(answer(response).await.status(), 204);
}
