//! An address that is given up while questions that came there wait for their upstreams: what comes there then belongs to
//! who serves it next.

use crate::harness::*;
use config::DnsCompatibility;
use hickory_proto::rr::RecordType;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, Ordering};
use tidegate_dns::{At, Bounds, Reloads, Transport, bind};
use tokio::net::UdpSocket;

/// At these addresses, or all: the names of the cluster with this TTL, and those of others from an upstream.
fn corefile(bind: &str, ttl: u32, upstream: &Upstream) -> String {
    let bind = if bind.is_empty() { String::new() } else { format!(" bind {bind}\n") };
    let forward = upstream.address();
    format!(".:PORT {{\n{bind} kubernetes cluster.local {{\n  ttl {ttl}\n }}\n forward . {forward}\n}}\n")
}

/// Serves another Corefile in the place of one that serves at `served`; where it serves then.
async fn change(reloads: &Reloads, (corefile, port): (&str, u16), served: &[At]) -> Vec<At> {
    let prepared = reloads.prepare(&plan(corefile, port), DnsCompatibility::Standard).unwrap();
    let wanted: Vec<At> = prepared.addresses().collect();
    let sockets = reloads.bind(&wanted, served, 2).unwrap();
    reloads.replace(prepared, sockets).await.unwrap();
    wanted
}

async fn client(address: SocketAddr) -> UdpSocket {
    let any = if address.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
    let client = UdpSocket::bind(any).await.unwrap();
    // An answer from elsewhere does not come to it.
    client.connect(address).await.unwrap();
    client
}

async fn ask(client: &UdpSocket, name: &str) {
    client.send(&question(7, name, RecordType::A).to_vec().unwrap()).await.unwrap();
}

/// Starts a server at 127.0.0.1 and a port that no other test is given on any address: below those of which the system
/// gives out free ones.
fn start_at_a_port_of_all(upstream: &Upstream) -> (Running, Reloads) {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let offset = u16::try_from(std::process::id() % 1_000).unwrap() * 10;
    loop {
        let port = 20_000 + (offset + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000;
        if bind(SocketAddr::new([0, 0, 0, 0].into(), port), 1).is_err() {
            continue;
        }
        // Another process may take it meanwhile.
        if let Ok(sockets) = bind(SocketAddr::new([127, 0, 0, 1].into(), port), 1) {
            return start_corefile_at(&corefile("127.0.0.1", 10, upstream), (port, sockets), Bounds::default());
        }
    }
}

/// So many clients in a row get that TTL: the kernel spreads them over all sockets that may get what they ask.
async fn all_get(address: SocketAddr, ttl: u32) {
    for _ in 0..32 {
        let client = client(address).await;
        ask(&client, "web.shop.svc.cluster.local.").await;
        assert_eq!(answer(&client).await.answers[0].ttl, ttl, "at {address}");
    }
}

#[tokio::test]
async fn what_comes_after_a_change_is_answered_by_who_serves_it_then() {
    let has_ipv6 = std::net::UdpSocket::bind("[::1]:0").is_ok();
    for (before, next, asked_at) in [
        ("127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.1", "0.0.0.0", "127.0.0.1"),
        ("0.0.0.0", "", "127.0.0.2"),
        ("", "0.0.0.0", "127.0.0.2"),
        ("0.0.0.0", "127.0.0.1", "127.0.0.1"),
        ("::1", "", "::1"),
    ] {
        if !has_ipv6 && before == "::1" {
            continue;
        }
        let upstream = Upstream::new().await;
        let (server, reloads) = start_at_a_port_of_all(&upstream);
        let port = server.address.port();
        let served = At { transport: Transport::Dns, address: server.address };
        let served = change(&reloads, (&corefile(before, 11, &upstream), port), &[served]).await;
        let address = SocketAddr::new(asked_at.parse().unwrap(), port);
        let early = client(address).await;
        ask(&early, "early.example.org.").await;
        let (first, asker) = upstream.asked().await;

        change(&reloads, (&corefile(next, 12, &upstream), port), &served).await;
        all_get(address, 12).await;
        let late = client(address).await;
        ask(&late, "late.example.org.").await;
        let (second, late_asker) = upstream.asked().await;
        upstream.reply(&one_address(&first), asker).await;
        assert_eq!(answered(&answer(&early).await), ["192.0.2.1"], "from {before:?} to {next:?}");
        // Nothing is waited for any more at the address that was given up.
        all_get(address, 12).await;
        upstream.reply(&one_address(&second), late_asker).await;
        assert_eq!(answered(&answer(&late).await), ["192.0.2.1"], "from {before:?} to {next:?}");
        server.stop().await;
    }
}

#[tokio::test]
async fn an_address_that_was_given_up_can_be_served_again_at_once() {
    let upstream = Upstream::new().await;
    let (server, reloads) = start_at_a_port_of_all(&upstream);
    let (there, port) = (server.address, server.address.port());
    let served = [At { transport: Transport::Dns, address: there }];
    let early = client(there).await;
    ask(&early, "early.example.org.").await;
    let (first, asker) = upstream.asked().await;
    let served = change(&reloads, (&corefile("127.0.0.2", 11, &upstream), port), &served).await;

    change(&reloads, (&corefile("127.0.0.1 127.0.0.2", 12, &upstream), port), &served).await;
    all_get(there, 12).await;
    upstream.reply(&one_address(&first), asker).await;
    assert_eq!(answered(&answer(&early).await), ["192.0.2.1"]);
    server.stop().await;
}
