//! Endpoints that come and go while a request is on its way: it is told of both.

use crate::harness::unreachable::{BlackHole, refusing};
use crate::harness::{Client, Running, Setup, Upstream};
use std::net::SocketAddr;
use std::time::Duration;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const LONG: Duration = Duration::from_secs(600);

fn request(method: &str) -> String {
    format!("{method} / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello")
}

/// A proxy whose requests wait long.
async fn patient(endpoint: SocketAddr) -> Running {
    Setup::to(&[endpoint]).limits(|limits| (limits.newcomer, limits.connect) = (LONG, LONG)).start().await
}

async fn until_failed(proxy: &Running, failures: u64) {
    while proxy.counted("tidegate_upstream_failures_total").await < failures {
        tokio::task::yield_now().await;
    }
}

async fn is_served_by(upstream: &Upstream, client: &mut Client) {
    let mut up = upstream.accept().await;
    assert_eq!(up.answer().await.1, "hello");
    up.send(OK).await;
    assert_eq!(client.answer().await.1, "ok");
}

/// The only Pod of a rollout has ended, and the news of its successor is still on its way.
#[tokio::test]
async fn a_request_that_all_refuse_waits_for_another_endpoint() {
    let (_refusing, refused) = refusing();
    let mut proxy = patient(refused).await;
    let mut client = proxy.client().await;
    client.send(&request("POST")).await;
    until_failed(&proxy, 1).await;
    // News that do not help.
    proxy.change(|setup| setup.endpoints.clear()).await;
    let upstream = Upstream::bind().await;
    proxy.change(|setup| setup.endpoints = vec![upstream.address]).await;
    is_served_by(&upstream, &mut client).await;
    proxy.after(&["POST / 200"]).await;
}

#[tokio::test]
async fn a_request_that_was_lost_waits_too() {
    let old = Upstream::bind().await;
    let mut proxy = patient(old.address).await;
    let mut client = proxy.client().await;
    client.send(&request("GET")).await;
    let mut up = old.accept().await;
    up.answer().await;
    drop((old, up));
    // The loss, and the refusal.
    until_failed(&proxy, 2).await;
    let upstream = Upstream::bind().await;
    proxy.change(|setup| setup.endpoints = vec![upstream.address]).await;
    is_served_by(&upstream, &mut client).await;
    proxy.after(&["GET / 200"]).await;
}

/// A Pod whose network is gone does not even refuse.
#[tokio::test]
async fn a_connection_to_an_endpoint_that_goes_is_not_waited_for() {
    let hole = BlackHole::open();
    let mut proxy = patient(hole.address).await;
    let mut client = proxy.client().await;
    client.send(&request("POST")).await;
    proxy.are_in(&["connect"]).await;
    let upstream = Upstream::bind().await;
    proxy.change(|setup| setup.endpoints = vec![upstream.address]).await;
    is_served_by(&upstream, &mut client).await;
    proxy.after(&["POST / 200"]).await;
    assert_eq!(proxy.ejections().await, 0);
}

#[tokio::test]
async fn a_connection_to_an_endpoint_that_stays_is_waited_for() {
    let hole = BlackHole::open();
    let mut proxy = patient(hole.address).await;
    let mut client = proxy.client().await;
    client.send(&request("POST")).await;
    proxy.are_in(&["connect"]).await;
    let upstream = Upstream::bind().await;
    proxy.change(|setup| setup.endpoints.push(upstream.address)).await;
    assert!(upstream.is_left_alone().await);
    proxy.are_in(&["connect"]).await;
    client.reset();
    proxy.after(&["POST / 499 client_gone cut"]).await;
}

#[tokio::test]
async fn where_no_other_endpoint_comes_the_failure_is_told() {
    let (_refusing, refused) = refusing();
    let proxy = Setup::to(&[refused]).limits(|limits| limits.newcomer = Duration::from_millis(50)).start().await;
    let mut client = proxy.client().await;
    // The first waits; when the last comes the endpoint has failed for longer than is waited.
    for _ in 0..3 {
        client.send(&request("POST")).await;
        let (head, _) = client.answer().await;
        assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
    }
    proxy.after(&["POST / 502 connect_failed"; 3]).await;
}

#[tokio::test]
async fn a_client_that_leaves_while_it_waits_is_noticed() {
    let (_refusing, refused) = refusing();
    let proxy = patient(refused).await;
    let mut client = proxy.client().await;
    client.send(&request("POST")).await;
    until_failed(&proxy, 1).await;
    client.reset();
    proxy.after(&["POST / 499 client_gone cut"]).await;
}
