//! Which upstream connections are kept, for how long, and for whom.

use crate::harness::tls::{acceptor, any_certificate};
use crate::harness::{Client, Running, Setup, Upstream, proxied};
use config::BackendProtocol;
use std::time::Duration;

const GET: &str = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// One exchange over a connection that is there.
async fn served_by(client: &mut Client, up: &mut Client, answer: &str) {
    client.send(GET).await;
    up.head().await;
    up.send(answer).await;
    assert_eq!(client.answer().await.1, "ok");
}

/// One exchange over a new connection.
async fn served_anew(client: &mut Client, upstream: &Upstream, answer: &str) -> Client {
    client.send(GET).await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.send(answer).await;
    assert_eq!(client.answer().await.1, "ok");
    up
}

#[tokio::test]
async fn case_117_connections_of_another_tls_policy_are_not_shared() {
    let acceptor = acceptor(&[]);
    let named = |name: &str| Some(config::UpstreamTls { server_name: Some(name.into()), ..any_certificate() });
    let upstream = Upstream::bind().await;
    let mut setup = Setup::to(&[upstream.address]).speaking(BackendProtocol::Https);
    setup.tls = named("one.test");
    let mut proxy = setup.start().await;
    let mut client = proxy.client().await;
    let mut kept = Vec::new();
    for name in ["one.test", "two.test"] {
        proxy.change(|setup| setup.tls = named(name)).await;
        client.send(GET).await;
        let mut up = upstream.accept_tls(&acceptor).await;
        assert_eq!(up.socket.get_ref().1.server_name(), Some(name));
        up.head().await;
        up.send(OK).await;
        assert_eq!(client.answer().await.1, "ok");
        kept.push(up);
    }
    // Each is still there for its own.
    for (name, up) in ["one.test", "two.test"].into_iter().zip(&mut kept) {
        proxy.change(|setup| setup.tls = named(name)).await;
        client.send(GET).await;
        up.head().await;
        up.send(OK).await;
        assert_eq!(client.answer().await.1, "ok");
    }
    assert!(upstream.is_left_alone().await);
    proxy.after(&["GET / 200"; 4]).await;
}

#[tokio::test]
async fn case_117_a_clear_connection_is_not_used_for_tls() {
    let (upstream, mut proxy) = proxied(|_| {}).await;
    let mut client = proxy.client().await;
    let mut clear = served_anew(&mut client, &upstream, OK).await;
    proxy.change(|setup| (setup.protocol, setup.tls) = (BackendProtocol::Https, Some(any_certificate()))).await;
    client.send(GET).await;
    upstream.accept_tls(&acceptor(&[])).await.head().await;
    proxy.change(|setup| (setup.protocol, setup.tls) = (BackendProtocol::Http1, None)).await;
    served_by(&mut proxy.client().await, &mut clear, OK).await;
}

#[tokio::test]
async fn case_118_an_upstream_says_how_long_it_keeps_a_connection() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.client().await;
    // A second is left for what is on its way.
    let soon = OK.replace("\r\n\r\n", "\r\nKeep-Alive: max=100, timeout=1\r\n\r\n");
    let mut up = served_anew(&mut client, &upstream, &soon).await;
    up.is_closed().await;
    let later = OK.replace("\r\n\r\n", "\r\nKeep-Alive: timeout=100\r\n\r\n");
    let mut up = served_anew(&mut client, &upstream, &later).await;
    served_by(&mut client, &mut up, OK).await;
    assert!(upstream.is_left_alone().await);
    proxy.after(&["GET / 200"; 3]).await;
}

#[tokio::test]
async fn case_118_a_kept_connection_is_closed_when_its_time_is_over() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.client().await;
    let answer = OK.replace("\r\n\r\n", "\r\nKeep-Alive: timeout=2\r\n\r\n");
    let kept = std::time::Instant::now();
    let mut up = served_anew(&mut client, &upstream, &answer).await;
    up.is_closed().await;
    let age = kept.elapsed();
    assert!((Duration::from_secs(1)..Duration::from_secs(3)).contains(&age), "{age:?}");
    served_anew(&mut client, &upstream, OK).await;
    proxy.after(&["GET / 200"; 2]).await;
}

#[tokio::test]
async fn case_119_a_connection_carries_so_many_requests() {
    let (upstream, proxy) = proxied(|setup| setup.limits.pool_requests = 3).await;
    let mut client = proxy.client().await;
    for _ in 0..2 {
        let mut up = served_anew(&mut client, &upstream, OK).await;
        for _ in 1..3 {
            served_by(&mut client, &mut up, OK).await;
        }
        up.is_closed().await;
    }
    proxy.after(&["GET / 200"; 6]).await;
}

#[tokio::test]
async fn so_many_connections_are_kept_and_the_last_one_is_used_first() {
    let (upstream, proxy) = proxied(|setup| setup.limits.pool_per_endpoint = 2).await;
    let (mut clients, mut ups) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let mut client = proxy.client().await;
        client.send(GET).await;
        let mut up = upstream.accept().await;
        up.head().await;
        clients.push(client);
        ups.push(up);
    }
    for (client, up) in clients.iter_mut().zip(&mut ups) {
        up.send(OK).await;
        client.answer().await;
    }
    let [first, second, third] = &mut ups[..] else { unreachable!("three of them") };
    third.is_closed().await;
    let [one, other, ..] = &mut clients[..] else { unreachable!("three of them") };
    one.send(GET).await;
    second.head().await;
    served_by(other, first, OK).await;
    second.send(OK).await;
    one.answer().await;
    assert!(upstream.is_left_alone().await);
    proxy.after(&["GET / 200"; 5]).await;
}

/// A request on its way, and a kept connection beside it.
async fn one_kept_one_busy(proxy: &Running, upstream: &Upstream) -> [Client; 3] {
    let (mut client, mut idle) = (proxy.client().await, proxy.client().await);
    client.send(GET).await;
    let mut busy = upstream.accept().await;
    busy.head().await;
    let kept = served_anew(&mut idle, upstream, OK).await;
    [client, busy, kept]
}

#[tokio::test]
async fn an_endpoint_that_is_gone_keeps_its_running_exchanges_only() {
    let (first, second) = (Upstream::bind().await, Upstream::bind().await);
    let mut proxy = Setup::to(&[first.address]).start().await;
    let [mut client, mut busy, mut kept] = one_kept_one_busy(&proxy, &first).await;
    proxy.change(|setup| setup.endpoints = vec![second.address]).await;
    kept.is_closed().await;
    busy.send(OK).await;
    assert_eq!(client.answer().await.1, "ok");
    // What it used is not kept either.
    busy.is_closed().await;
    served_anew(&mut client, &second, OK).await;
    assert!(first.is_left_alone().await);
    proxy.after(&["GET / 200"; 3]).await;
}
