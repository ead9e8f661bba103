//! What an endpoint is not blamed for: what is refused here, and failures while it is set aside already.

use crate::harness::h2::{Over, answer, respond};
use crate::harness::tunnel::UPGRADE;
use crate::harness::{Client, Running, Setup, Upstream, field, proxied};
use config::BackendProtocol;
use std::time::Duration;
use tokio::task::JoinSet;

const GET: &str = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
const CLOSING: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

#[tokio::test]
async fn a_websocket_that_a_backend_cannot_speak_is_refused_and_nobody_blamed() {
    let (one, other) = (Upstream::bind().await, Upstream::bind().await);
    let proxy = Setup::to(&[one.address, other.address]).speaking(BackendProtocol::H2c).start().await;
    let mut client = proxy.client().await;
    client.send(UPGRADE).await;
    let (mut first, other) = tokio::select! {
        up = one.accept_h2() => (up, &other),
        up = other.accept_h2() => (up, &one),
    };
    is_refused(&mut client, &proxy).await;
    client.send(UPGRADE).await;
    let mut second = other.accept_h2().await;
    is_refused(&mut client, &proxy).await;
    // Nine in turn: one of the two would have the five failures that eject, the other would not.
    for _ in 2..9 {
        client.send(UPGRADE).await;
        is_refused(&mut client, &proxy).await;
    }
    // Each has its turn still, and has been asked for nothing else.
    let mut turns = vec![];
    for _ in 0..2 {
        client.send(GET).await;
        let (turn, (asked, mut sent)) = tokio::select! {
            seen = first.request() => (1, seen),
            seen = second.request() => (2, seen),
        };
        assert_eq!((asked.method(), asked.uri().path()), (&http::Method::GET, "/"));
        respond(&mut sent, 200, "ok");
        assert_eq!(client.answer().await.1, "ok");
        turns.push(turn);
    }
    turns.sort_unstable();
    assert_eq!(turns, [1, 2]);
    proxy.after(&["GET / 200"; 2]).await;
    assert_eq!(proxy.ejections().await, 0);
}

async fn is_refused(client: &mut Client, proxy: &Running) {
    let (head, _) = client.answer().await;
    assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
    assert_eq!(field(&head, "connection"), None, "{head}");
    assert_eq!(proxy.record().await, "GET /chat 502 no_websocket");
}

#[tokio::test]
async fn a_target_that_http2_lacks_is_encoded_for_it_alone() {
    const TARGET: &str = "/?a=<b>&c=\"d\"&e={|}^`[]";
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.client().await;
    client.send(&format!("GET {TARGET} HTTP/1.1\r\nHost: a.test\r\n\r\n")).await;
    let mut up = upstream.accept().await;
    let head = up.head().await;
    assert!(head.starts_with(&format!("GET {TARGET} HTTP/1.1\r\n")), "{head}");
    up.send(CLOSING).await;
    client.answer().await;
    proxy.after(&[&format!("GET {TARGET} 200")]).await;

    let (upstream, proxy) = proxied(|setup| setup.protocol = BackendProtocol::H2c).await;
    let mut client = proxy.client().await;
    client.send(&format!("GET {TARGET} HTTP/1.1\r\nHost: a.test\r\n\r\n")).await;
    let mut up = upstream.accept_h2().await;
    let (request, mut sent) = up.request().await;
    let path = request.uri().path_and_query().expect("a path").as_str();
    assert_eq!(path, "/?a=%3Cb%3E&c=%22d%22&e={|}^`[]");
    respond(&mut sent, 200, "ok");
    assert_eq!(client.answer().await.1, "ok");
    proxy.after(&[&format!("GET {TARGET} 200")]).await;
}

#[tokio::test]
async fn an_endpoint_that_is_set_aside_and_used_all_the_same_is_not_set_aside_again() {
    // Three of four are gone: more than half, so that all take part.
    let alive = Upstream::bind().await;
    let gone = {
        let [one, two, three] = [Upstream::bind().await, Upstream::bind().await, Upstream::bind().await];
        [one.address, two.address, three.address]
    };
    let proxy = Setup::to(&[gone[0], gone[1], gone[2], alive.address]).start().await;
    let serving = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let mut up = alive.accept().await;
            connections.spawn(async move {
                up.head().await;
                up.send(CLOSING).await;
                up.rest().await
            });
        }
    });
    let begun = std::time::Instant::now();
    let mut requests = 0;
    let mut client = proxy.client().await;
    // Well within the shortest period.
    while begun.elapsed() < Duration::from_millis(700) {
        client.send(GET).await;
        assert_eq!(client.answer().await.1, "ok");
        requests += 1;
    }
    assert!(requests > 20, "{requests} requests only");
    assert_eq!(proxy.ejections().await, 3, "each once, in {requests} requests");
    serving.abort();
    proxy.after(&vec!["GET / 200"; requests]).await;
}

/// One answered request; gives the upstream's end of its connection, which is kept.
async fn kept(client: &mut Client, upstream: &Upstream) -> Client {
    client.send(GET).await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    assert_eq!(client.answer().await.1, "ok");
    up
}

/// A proxy with room for so many connections to endpoints, in front of two.
async fn with_room_for(ceiling: usize, protocol: BackendProtocol) -> (Upstream, Upstream, Running) {
    let (mut one, mut other) = (Upstream::bind().await, Upstream::bind().await);
    if other.address < one.address {
        std::mem::swap(&mut one, &mut other);
    }
    let mut setup = Setup::to(&[one.address, other.address]).speaking(protocol);
    setup.ceiling = ceiling;
    (one, other, setup.start().await)
}

#[tokio::test]
async fn an_idle_connection_makes_room_for_one_that_is_needed() {
    let (one, other, proxy) = with_room_for(1, BackendProtocol::Http1).await;
    let mut client = proxy.client().await;
    let mut before = kept(&mut client, &one).await;
    for upstream in [&other, &one, &other] {
        let next = kept(&mut client, upstream).await;
        before.is_closed().await;
        before = next;
    }
    proxy.after(&["GET / 200"; 4]).await;
}

#[tokio::test]
async fn an_unused_http2_connection_makes_room_too() {
    let (one, other, proxy) = with_room_for(1, BackendProtocol::H2c).await;
    let mut client = proxy.client().await;
    let mut before = None;
    for upstream in [&one, &other, &one] {
        client.send(GET).await;
        let mut up = upstream.accept_h2().await;
        let (_, mut sent) = up.request().await;
        respond(&mut sent, 200, "ok");
        assert_eq!(client.answer().await.1, "ok");
        if let Some(mut before) = before.replace(up) {
            let ended = tokio::time::timeout(crate::harness::PATIENCE, before.next()).await;
            assert!(ended.expect("it is closed").is_none());
        }
    }
    proxy.after(&["GET / 200"; 3]).await;
}

#[tokio::test]
async fn more_connections_than_there_is_room_for_are_refused_and_nobody_blamed() {
    let (one, other, proxy) = with_room_for(2, BackendProtocol::Http1).await;
    let mut client = proxy.h2(Over::Clear).await;
    let running = [client.get("/1").await, client.get("/2").await];
    let mut ups = [one.accept().await, other.accept().await];
    for up in &mut ups {
        up.head().await;
    }
    for _ in 0..9 {
        let refused = answer(client.get("/more").await).await;
        assert_eq!((refused.status(), refused.field("cache-control")), (503, Some("no-store")));
        assert_eq!(proxy.record().await, "GET /more 503 local_resources");
    }
    for (response, up) in running.into_iter().zip(&mut ups) {
        up.send(CLOSING).await;
        assert_eq!(answer(response).await.text(), "ok");
    }
    // Both still take part.
    let running = [client.get("/3").await, client.get("/4").await];
    for (response, upstream) in running.into_iter().zip([&other, &one]) {
        let mut up = upstream.accept().await;
        up.head().await;
        up.send(CLOSING).await;
        assert_eq!(answer(response).await.status(), 200);
    }
    proxy.after(&["GET /1 200", "GET /2 200", "GET /3 200", "GET /4 200"]).await;
    assert_eq!(proxy.ejections().await, 0);
}
