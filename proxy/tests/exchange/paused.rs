//! Peers that are there and read nothing for a while: each is cut by the clock that is meant for it.

use crate::harness::{Bulk, Client, Ended, PATIENCE, Running, Upstream, proxied};
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// What a peer may take nothing for, and what a tunnel may be silent for.
const WRITE: Duration = Duration::from_millis(300);
const TUNNEL: Duration = Duration::from_millis(900);

async fn tunnel(write: Duration, silent: Duration) -> (Client, Client, Upstream, Running) {
    let (upstream, proxy) = proxied(|setup| (setup.limits.write, setup.limits.tunnel) = (write, silent)).await;
    let mut client = proxy.client().await;
    client.send("GET /chat HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n").await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n").await;
    client.head().await;
    (client, up, upstream, proxy)
}

/// Sends until the proxy has cut the tunnel; gives how long that took.
async fn cut_after(sender: &mut Client) -> Duration {
    let begun = Instant::now();
    timeout(PATIENCE, Bulk::new().send_until_refused(&mut sender.socket)).await.expect("never cut");
    begun.elapsed()
}

#[tokio::test]
async fn case_143_a_tunnels_client_that_takes_nothing_is_cut_by_the_write_clock() {
    let (mut client, mut up, _upstream, proxy) = tunnel(WRITE, PATIENCE).await;
    let after = cut_after(&mut up).await;
    assert!(after >= WRITE, "{after:?}");
    assert_eq!(client.bytes_and_end().await.1, Ended::Badly);
    proxy.after(&["GET /chat 101 write_timeout cut"]).await;
}

#[tokio::test]
async fn case_68_a_tunnels_upstream_that_takes_nothing_is_cut_by_the_write_clock() {
    let (mut client, mut up, _upstream, proxy) = tunnel(WRITE, PATIENCE).await;
    let after = cut_after(&mut client).await;
    assert!(after >= WRITE, "{after:?}");
    assert_eq!(up.bytes_and_end().await.1, Ended::Badly);
    proxy.after(&["GET /chat 101 upstream_timeout cut"]).await;
}

#[tokio::test]
async fn a_tunnel_whose_receiver_pauses_while_little_waits_for_it_has_the_tunnels_clock() {
    let (client, mut up, _upstream, proxy) = tunnel(WRITE, TUNNEL).await;
    let begun = Instant::now();
    up.send_bulk(10_000).await;
    assert_eq!(proxy.record().await, "GET /chat 101 tunnel_timeout cut");
    assert!(begun.elapsed() >= TUNNEL * 9 / 10, "{:?}", begun.elapsed());
    drop(client);
}
