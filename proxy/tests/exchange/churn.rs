//! Snapshots that change under running traffic.

use crate::harness::{Client, Origin, Running, Setup, Upstream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::interval;

const SWAPS: usize = 200;
const CLIENTS: usize = 8;

/// Asks for as long as it may; gives the number of its requests.
async fn ask(mut client: Client, number: usize, may_go_on: Arc<AtomicBool>) -> usize {
    let mut asked = 0;
    while may_go_on.load(Relaxed) {
        let body = "x".repeat(asked % 2000);
        let method = if asked % 3 == 0 { "GET" } else { "POST" };
        let length = body.len();
        client
            .send(&format!(
                "{method} /{number}/{asked} HTTP/1.1\r\nHost: a.test\r\nContent-Length: {length}\r\n\r\n{body}"
            ))
            .await;
        let (head, _) = client.answer().await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{method} /{number}/{asked}: {head}");
        asked += 1;
    }
    asked
}

async fn asking(proxy: &Running, may_go_on: &Arc<AtomicBool>) -> JoinSet<usize> {
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        clients.spawn(ask(proxy.client().await, number, Arc::clone(may_go_on)));
    }
    clients
}

#[tokio::test]
async fn case_149_snapshots_that_change_every_10_ms_cost_no_request() {
    let origins = [Origin::start().await, Origin::start().await, Origin::start().await];
    let addresses = origins.each_ref().map(|origin| origin.address);
    let slow = Upstream::bind().await;
    let mut proxy = Setup::to(&[slow.address]).start().await;
    // One exchange that runs through all of it, though nothing of its snapshot is left.
    let mut patient = proxy.client().await;
    patient.send("GET /slow HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    let mut up = slow.accept().await;
    up.head().await;
    up.send("HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n").await;

    proxy.change(|setup| setup.endpoints = vec![addresses[0]]).await;
    let may_go_on = Arc::new(AtomicBool::new(true));
    let clients = asking(&proxy, &may_go_on).await;
    let mut ticks = interval(Duration::from_millis(10));
    for swap in 0..SWAPS {
        ticks.tick().await;
        // One, the other two, all of them, and now and then for any host or for this one only.
        let endpoints = match swap % 3 {
            0 => vec![addresses[swap % 2]],
            1 => addresses[1..].to_vec(),
            _ => addresses.to_vec(),
        };
        let any = swap % 5 == 0;
        proxy
            .change(|setup| {
                setup.endpoints = endpoints;
                setup.host = if any { config::HostPattern::Any } else { config::HostPattern::Exact("a.test".into()) };
            })
            .await;
        up.send("x").await;
    }
    may_go_on.store(false, Relaxed);
    let asked: usize = clients.join_all().await.into_iter().sum();
    assert!(asked > SWAPS, "{asked}");
    assert_eq!(patient.answer().await.1, "x".repeat(SWAPS));
    drop((patient, proxy));
    let mut seen = 0;
    for origin in origins {
        let (requests, has_more) = origin.saw().await;
        assert!(!requests.is_empty() && !has_more);
        seen += requests.len();
    }
    assert_eq!(seen, asked);
}
