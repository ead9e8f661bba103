//! What a client sends over HTTP/2 besides questions: it keeps no connection open, and has an end.

use crate::authority::*;
use crate::harness::*;
use crate::http2::{Client, answers, drained, framed};
use std::time::Duration;

const PING: &[u8; 17] = b"\0\0\x08\x06\0\0\0\0\0somebody";
const SETTINGS: &[u8; 15] = b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x80";
/// Why a stream is reset (RFC 9113 §7).
const CANCEL: [u8; 4] = [0, 0, 0, 8];

fn floods(server: &Running) -> f64 {
    server.metric("tidegate_dns_dropped_total", &["reason=\"flood\""])
}

#[tokio::test]
async fn frames_that_ask_nothing_have_an_end() {
    let authority = Authority::new();
    authority.mount("dns.test");
    let server = start_secured("https", &authority, "");
    let settings = SETTINGS.repeat(100);
    for (count, frames) in [(1.0, PING.repeat(100)), (2.0, settings)] {
        let (mut client, reading) = Client::connect(&authority, &server).await;
        let reading = drained(reading);
        // Far more than there is room for on the way.
        let mut sent = 0;
        while sent < 256 << 20 && client.write(&frames).await.is_ok() {
            sent += frames.len();
        }
        reading.await.unwrap();
        assert_eq!(floods(&server), count, "after {sent} bytes");
    }
    server.stop().await;
}

#[tokio::test]
async fn frames_among_questions_are_taken() {
    let authority = Authority::new();
    authority.mount("dns.test");
    let server = start_secured("https", &authority, "");
    let (mut client, reading) = Client::connect(&authority, &server).await;
    let reading = drained(reading);
    // 1.7 MB of them in all.
    for count in 1..=250 {
        client.write(&PING.repeat(400)).await.unwrap();
        client.ask("web.shop.svc.cluster.local.").await.unwrap();
        while answers(&server) < f64::from(count) {
            assert!(!reading.is_finished());
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(floods(&server), 0.0);
    drop(client);
    reading.abort();
    server.stop().await;
}

#[tokio::test]
async fn questions_that_are_taken_back_have_an_end() {
    let (authority, upstream) = (Authority::new(), Upstream::new().await);
    authority.mount("dns.test");
    let forward = format!("\n forward . {} {{\n prefer_udp\n read_timeout 60s\n }}\n", upstream.address());
    let server = start_secured("https", &authority, &forward);
    let (mut client, reading) = Client::connect(&authority, &server).await;
    let mut reading = drained(reading);
    let mut asked = Vec::new();
    // Each has cost a socket and a question to an upstream by then.
    while asked.len() < 10_000
        && let Ok(stream) = client.ask(&format!("n{}.example.org.", asked.len())).await
    {
        tokio::select! {
            one = upstream.asked() => asked.push(one),
            _ = &mut reading => break,
        }
        if client.write(&framed(3, 0, stream, &CANCEL)).await.is_err() {
            break;
        }
    }
    assert!((128..1_000).contains(&asked.len()), "{}", asked.len());
    assert_eq!(floods(&server), 1.0);
    // What has begun has its places until its end.
    for (question, peer) in &asked {
        upstream.reply(&one_address(question), *peer).await;
    }
    while server.metric("tidegate_dns_waiting", &[]) > 0.0 {
        tokio::task::yield_now().await;
    }
    server.stop().await;
}

#[tokio::test]
async fn frames_do_not_keep_a_connection_without_questions_open() {
    let authority = Authority::new();
    authority.mount("dns.test");
    tokio::time::pause();
    let server = start_secured("https", &authority, "\n timeouts {\n  idle 2s\n  write 1s\n }");
    let (mut client, reading) = Client::connect(&authority, &server).await;
    let reading = drained(reading);
    let mut turns = 0;
    while client.write(PING).await.is_ok() && client.write(SETTINGS).await.is_ok() && !reading.is_finished() {
        turns += 1;
        assert!(turns < 120, "four times as long as it may be silent, and told to go");
        tokio::time::advance(Duration::from_millis(100)).await;
    }
    reading.await.unwrap();
    server.stop().await;
}
