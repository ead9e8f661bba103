//! How much of what its peers send the proxy holds when they do not take what it has for them.

use crate::harness::{Bulk, Client, Running, Upstream, proxied};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// What an exchange may hold beyond an idle connection, both directions together.
const BOUND: u64 = 384 * 1024;
/// More than anybody holds, the kernel included.
const ENDLESS: u64 = 256 * 1024 * 1024;

/// The kernel's queues of one socket, as it tells of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Queues {
    /// Written and not acknowledged.
    send: u64,
    /// Acknowledged and not read.
    receive: u64,
}

/// The queues of the socket with that local and that remote address.
fn queues(local: SocketAddr, remote: SocketAddr) -> Queues {
    let sockets = std::fs::read_to_string("/proc/net/tcp").expect("the kernel's list of sockets");
    let hex = |address: SocketAddr| match address {
        SocketAddr::V4(address) => {
            format!("{:08X}:{:04X}", u32::from_le_bytes(address.ip().octets()), address.port())
        }
        SocketAddr::V6(_) => panic!("{address} is no IPv4 address"),
    };
    let (local, remote) = (hex(local), hex(remote));
    let line = sockets.lines().find(|line| {
        let mut words = line.split_whitespace().skip(1);
        words.next() == Some(&local) && words.next() == Some(&remote)
    });
    let mut words = line.unwrap_or_else(|| panic!("no socket from {local} to {remote}")).split_whitespace();
    let (send, receive) = words.nth(4).and_then(|word| word.split_once(':')).expect("two queues");
    let number = |text| u64::from_str_radix(text, 16).expect("a number");
    Queues { send: number(send), receive: number(receive) }
}

/// The two connections of an exchange, from both ends.
struct Path {
    client: SocketAddr,
    proxy: SocketAddr,
    proxy_up: SocketAddr,
    upstream: SocketAddr,
}

impl Path {
    fn of(client: &Client, up: &Client) -> Self {
        Self {
            client: client.socket.local_addr().expect("connected"),
            proxy: client.socket.peer_addr().expect("connected"),
            proxy_up: up.socket.peer_addr().expect("connected"),
            upstream: up.socket.local_addr().expect("connected"),
        }
    }

    /// Bytes that the kernel holds on the way up and on the way down.
    fn in_kernel(&self) -> (u64, u64) {
        let [client, proxy] = [queues(self.client, self.proxy), queues(self.proxy, self.client)];
        let [proxy_up, upstream] = [queues(self.proxy_up, self.upstream), queues(self.upstream, self.proxy_up)];
        (
            client.send + proxy.receive + proxy_up.send + upstream.receive,
            upstream.send + proxy_up.receive + proxy.send + client.receive,
        )
    }

    /// The same once nothing moves: what is on its way between two queues would be in both.
    async fn settled(&self) -> (u64, u64) {
        const STILL: Duration = Duration::from_millis(300);
        let (mut last, mut since) = (self.in_kernel(), Instant::now());
        while since.elapsed() < STILL {
            sleep(Duration::from_millis(20)).await;
            let now = self.in_kernel();
            if now != last {
                (last, since) = (now, Instant::now());
            }
        }
        last
    }
}

/// What the proxy holds of this many bytes that were sent up and down, none of which were read.
async fn held(client: &Client, up: &Client, sent_up: u64, sent_down: u64) -> u64 {
    let (up, down) = Path::of(client, up).settled().await;
    // Heads and chunk sizes, which the proxy writes anew, are in the kernel and were not sent by anybody.
    sent_up.saturating_sub(up) + sent_down.saturating_sub(down)
}

async fn begun(request: &str) -> (Client, Client, Upstream, Running) {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.client().await;
    client.send(request).await;
    let mut up = upstream.accept().await;
    up.head().await;
    (client, up, upstream, proxy)
}

fn check(held: u64, least: u64) {
    assert!(held <= BOUND, "{held} bytes are held");
    assert!(held >= least, "{held} bytes are held: what is measured?");
}

#[tokio::test]
async fn an_upload_that_nobody_reads_is_held_within_bounds() {
    for framing in [format!("Content-Length: {ENDLESS}"), "Transfer-Encoding: chunked".to_owned()] {
        let (mut client, up, _upstream, _proxy) =
            begun(&format!("POST / HTTP/1.1\r\nHost: a.test\r\n{framing}\r\n\r\n")).await;
        if framing.starts_with("Transfer") {
            client.send(&format!("{ENDLESS:x}\r\n")).await;
        }
        let sent = Bulk::new().send_until_stalled(&mut client.socket, ENDLESS).await;
        assert!(sent < ENDLESS);
        check(held(&client, &up, sent, 0).await, 32 * 1024);
    }
}

#[tokio::test]
async fn a_download_that_nobody_reads_is_held_within_bounds() {
    for framing in [format!("Content-Length: {ENDLESS}\r\n"), String::new()] {
        let (client, mut up, _upstream, _proxy) = begun("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
        up.send(&format!("HTTP/1.1 200 OK\r\n{framing}\r\n")).await;
        let sent = Bulk::new().send_until_stalled(&mut up.socket, ENDLESS).await;
        assert!(sent < ENDLESS);
        check(held(&client, &up, 0, sent).await, 32 * 1024);
    }
}

#[tokio::test]
async fn both_at_once_are_held_within_bounds() {
    let upload = format!("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {ENDLESS}\r\n\r\n");
    let (mut client, mut up, _upstream, _proxy) = begun(&upload).await;
    up.send(&format!("HTTP/1.1 200 OK\r\nContent-Length: {ENDLESS}\r\n\r\n")).await;
    let (mut upload, mut download) = (Bulk::new(), Bulk::new());
    let (sent_up, sent_down) = tokio::join!(
        upload.send_until_stalled(&mut client.socket, ENDLESS),
        download.send_until_stalled(&mut up.socket, ENDLESS)
    );
    assert!(sent_up < ENDLESS && sent_down < ENDLESS);
    check(held(&client, &up, sent_up, sent_down).await, 64 * 1024);
}

#[tokio::test]
async fn a_tunnel_that_nobody_reads_is_held_within_bounds() {
    let upgrade = "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let (mut client, mut up, _upstream, _proxy) = begun(upgrade).await;
    up.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n").await;
    client.head().await;
    let (mut upload, mut download) = (Bulk::new(), Bulk::new());
    let (sent_up, sent_down) = tokio::join!(
        upload.send_until_stalled(&mut client.socket, ENDLESS),
        download.send_until_stalled(&mut up.socket, ENDLESS)
    );
    assert!(sent_up < ENDLESS && sent_down < ENDLESS);
    check(held(&client, &up, sent_up, sent_down).await, 64 * 1024);
}

#[tokio::test]
async fn what_a_client_sends_before_its_turn_is_held_within_bounds() {
    // The next requests behind one that waits, and the first bytes of a tunnel that is not open yet.
    for request in [
        "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    ] {
        let (mut client, up, _upstream, _proxy) = begun(request).await;
        let sent = Bulk::new().send_until_stalled(&mut client.socket, ENDLESS).await;
        assert!(sent < ENDLESS);
        check(held(&client, &up, sent, 0).await, 8 * 1024);
    }
}
