//! Endpoints that come and go while a request is on its way: it is told of both.

use crate::harness::unreachable::{BlackHole, refusing};
use crate::harness::{Client, Running, Setup, Upstream};
use config::RulePolicy;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tidegate_proxy::Limits;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const LONG: Duration = Duration::from_secs(600);
const SECOND: Duration = Duration::from_secs(1);

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

/// Another endpoint takes the place of all, and the request goes there.
async fn is_served_by_a_newcomer(proxy: &mut Running, client: &mut Client) {
    let upstream = Upstream::bind().await;
    proxy.change(|setup| setup.endpoints = vec![upstream.address]).await;
    is_served_by(&upstream, client).await;
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
    is_served_by_a_newcomer(&mut proxy, &mut client).await;
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
    is_served_by_a_newcomer(&mut proxy, &mut client).await;
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
    is_served_by_a_newcomer(&mut proxy, &mut client).await;
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
    let proxy = Setup::to(&[refused]).limits(|limits| limits.newcomer = SECOND).start().await;
    let mut client = proxy.client().await;
    let mut took = Vec::new();
    for _ in 0..3 {
        let begun = Instant::now();
        client.send(&request("POST")).await;
        let (head, _) = client.answer().await;
        assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
        took.push(begun.elapsed() >= SECOND * 9 / 10);
    }
    assert_eq!(took, [true, false, false], "who comes later does not wait");
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

/// It is told of endpoints that came while the answer was on its way.
#[tokio::test]
async fn an_unwanted_answer_is_followed_by_a_try_at_another_endpoint() {
    let one = Upstream::bind().await;
    let mut setup = Setup::to(&[one.address]);
    setup.policy = Some(Arc::new(RulePolicy { retry_on: [503].into_iter().collect(), ..RulePolicy::default() }));
    let mut proxy = setup.start().await;
    let mut client = proxy.client().await;
    client.send(&request("PUT")).await;
    let mut up = one.accept().await;
    up.answer().await;
    let other = Upstream::bind().await;
    proxy.change(|setup| setup.endpoints.push(other.address)).await;
    up.send("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n").await;
    is_served_by(&other, &mut client).await;
    proxy.after(&["PUT / 200"]).await;
}

/// A proxy that makes one attempt, and waits long for the news that its endpoint has left.
async fn single_minded(endpoint: &Upstream, policy: Option<RulePolicy>) -> Running {
    let mut setup = Setup::to(&[endpoint.address]).limits(|limits| (limits.attempts, limits.departure) = (1, LONG));
    setup.policy = policy.map(Arc::new);
    setup.start().await
}

async fn loses(upstream: &Upstream) {
    upstream.accept().await.answer().await;
}

/// A Deployment is scaled down: more Pods have ended than a request has attempts, and the news of it is on its way.
#[tokio::test]
async fn endpoints_that_have_left_give_attempts_back_but_not_for_ever() {
    for (departures, is_served) in [(1, true), (3, true), (4, false)] {
        let mut leaving = Upstream::bind().await;
        let mut proxy = single_minded(&leaving, None).await;
        let mut client = proxy.client().await;
        client.send(&request("GET")).await;
        // They keep their ports: one that came back at the address of another would not have left.
        let mut left = Vec::new();
        for _ in 0..departures {
            loses(&leaving).await;
            let next = Upstream::bind().await;
            proxy.change(|setup| setup.endpoints = vec![next.address]).await;
            left.push(std::mem::replace(&mut leaving, next));
        }
        if is_served {
            is_served_by(&leaving, &mut client).await;
            proxy.after(&["GET / 200"]).await;
        } else {
            assert!(client.answer().await.0.starts_with("HTTP/1.1 502 "));
            assert!(leaving.is_left_alone().await);
            proxy.after(&["GET / 502 upstream_reset"]).await;
        }
    }
}

#[tokio::test]
async fn what_may_not_be_repeated_awaits_no_departure() {
    let upstream = Upstream::bind().await;
    let proxy = single_minded(&upstream, None).await;
    let mut client = proxy.client().await;
    client.send(&request("POST")).await;
    loses(&upstream).await;
    assert!(client.answer().await.0.starts_with("HTTP/1.1 502 "));
    // A rule that wants one attempt wants no other.
    let upstream = Upstream::bind().await;
    let policy = RulePolicy { attempts: Some(1), ..RulePolicy::default() };
    let strict = single_minded(&upstream, Some(policy)).await;
    let mut client = strict.client().await;
    client.send(&request("GET")).await;
    loses(&upstream).await;
    assert!(client.answer().await.0.starts_with("HTTP/1.1 502 "));
    proxy.after(&["POST / 502 upstream_reset"]).await;
    strict.after(&["GET / 502 upstream_reset"]).await;
}

#[tokio::test]
async fn where_nobody_leaves_the_loss_is_told() {
    let upstream = Upstream::bind().await;
    let setup = Setup::to(&[upstream.address]).limits(|limits| (limits.attempts, limits.departure) = (1, SECOND));
    let proxy = setup.start().await;
    let mut client = proxy.client().await;
    let mut took = Vec::new();
    for _ in 0..3 {
        let begun = Instant::now();
        client.send(&request("GET")).await;
        loses(&upstream).await;
        let (head, _) = client.answer().await;
        assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
        took.push(begun.elapsed() >= SECOND);
        // Others are served meanwhile.
        let mut other = proxy.client().await;
        other.send(&request("GET")).await;
        is_served_by(&upstream, &mut other).await;
    }
    assert_eq!(took, [true, false, false], "who comes later does not wait");
    proxy.after(&["GET / 502 upstream_reset", "GET / 200"].repeat(3)).await;
}

/// What it would not try it does not wait for.
#[tokio::test]
async fn a_request_that_has_tried_enough_does_not_wait() {
    let holes: Vec<_> = (0..4).map(|_| BlackHole::open()).collect();
    let addresses: Vec<_> = holes.iter().map(|hole| hole.address).collect();
    let limits = |limits: &mut Limits| (limits.newcomer, limits.connect) = (LONG, Duration::from_millis(20));
    let proxy = Setup::to(&addresses).limits(limits).start().await;
    let mut client = proxy.client().await;
    client.send(&request("POST")).await;
    let (head, _) = client.answer().await;
    assert!(head.starts_with("HTTP/1.1 504 "), "{head}");
    proxy.after(&["POST / 504 connect_timeout"]).await;
}

/// Of several that refuse the one counts that has begun last.
#[tokio::test]
async fn an_endpoint_that_has_been_dead_for_long_does_not_hide_that_another_one_ends() {
    let (_refusing, dead) = refusing();
    let old = Upstream::bind().await;
    let limits = |limits: &mut Limits| limits.newcomer = SECOND;
    let mut proxy = Setup::to(&[dead]).limits(limits).start().await;
    let mut client = proxy.client().await;
    for _ in 0..3 {
        client.send(&request("POST")).await;
        client.answer().await;
    }
    assert_eq!(proxy.ejections().await, 1);
    proxy.change(|setup| setup.endpoints.push(old.address)).await;
    drop(old);
    client.send(&request("POST")).await;
    until_failed(&proxy, 5).await;
    let upstream = Upstream::bind().await;
    proxy.change(|setup| setup.endpoints.push(upstream.address)).await;
    is_served_by(&upstream, &mut client).await;
}

/// The news that the only Pod is gone can be there before its connections end.
#[tokio::test]
async fn a_request_that_is_lost_with_the_last_endpoint_waits_too() {
    let old = Upstream::bind().await;
    let mut proxy = patient(old.address).await;
    let mut client = proxy.client().await;
    client.send(&request("GET")).await;
    let mut up = old.accept().await;
    up.answer().await;
    proxy.change(|setup| setup.endpoints.clear()).await;
    drop((old, up));
    until_failed(&proxy, 1).await;
    is_served_by_a_newcomer(&mut proxy, &mut client).await;
    proxy.after(&["GET / 200"]).await;
}
