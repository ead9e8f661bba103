//! What a client sends over HTTP/2 besides questions: it keeps no connection open, and has an end.

use crate::authority::*;
use crate::harness::*;
use hickory_proto::rr::RecordType;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::client::TlsStream;

/// With the client's SETTINGS, which change nothing (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const PING: &[u8; 17] = b"\0\0\x08\x06\0\0\0\0\0somebody";
const SETTINGS: &[u8; 15] = b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x80";
/// SETTINGS with which no stream may send anything.
const NO_WINDOW: &[u8; 15] = b"\0\0\x06\x04\0\0\0\0\0\0\x04\0\0\0\0";
/// Why a stream is reset (RFC 9113 §7).
const CANCEL: [u8; 4] = [0, 0, 0, 8];
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// A connection on which frames are written by hand.
struct Client {
    writing: WriteHalf<TlsStream<TcpStream>>,
    next: u32,
}

impl Client {
    async fn connect(authority: &Authority, server: &Running) -> (Self, ReadHalf<TlsStream<TcpStream>>) {
        let stream = authority.connect(server, "dns.test", &["h2"], None).await.unwrap();
        let (reading, mut writing) = tokio::io::split(stream);
        writing.write_all(PREFACE).await.unwrap();
        writing.flush().await.unwrap();
        (Self { writing, next: 1 }, reading)
    }

    async fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.writing.write_all(bytes).await?;
        self.writing.flush().await
    }

    /// Asks; the stream of the question.
    async fn ask(&mut self, name: &str) -> std::io::Result<u32> {
        let (stream, question) = (self.next, question(7, name, RecordType::A).to_vec().unwrap());
        self.next += 2;
        // POST, https, and what the tables of RFC 7541 have no value for, as it is.
        let fields = b"\x83\x87\x04\x0a/dns-query\x01\x08dns.test\x0f\x10\x17application/dns-message";
        let head = framed(1, END_HEADERS, stream, fields);
        self.write(&[head, framed(0, END_STREAM, stream, &question)].concat()).await?;
        Ok(stream)
    }
}

fn framed(kind: u8, flags: u8, stream: u32, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), content].concat()
}

/// Reads what comes until the end.
fn drained(mut reading: ReadHalf<TlsStream<TcpStream>>) -> JoinHandle<()> {
    tokio::spawn(async move { while matches!(reading.read(&mut [0; 4096]).await, Ok(1..)) {} })
}

fn floods(server: &Running) -> f64 {
    server.metric("tidegate_dns_dropped_total", &["reason=\"flood\""])
}

fn answers(server: &Running) -> f64 {
    server.metric("coredns_dns_https_responses_total", &["status=\"200\""])
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

#[tokio::test]
async fn no_more_is_made_than_a_client_takes() {
    let authority = Authority::new();
    authority.mount("dns.test");
    tokio::time::pause();
    let server = start_secured("https", &authority, "\n timeouts {\n  idle 60s\n }");
    let (mut client, reading) = Client::connect(&authority, &server).await;
    let reading = drained(reading);
    client.write(NO_WINDOW).await.unwrap();
    for _ in 0..100 {
        client.ask("huge.shop.svc.cluster.local.").await.unwrap();
    }
    reading.await.unwrap();
    // Of nearly 64 KiB each.
    assert_eq!(answers(&server), 2.0);
    server.stop().await;
}

#[tokio::test]
async fn what_upstreams_say_is_no_more_than_a_client_takes() {
    let (authority, upstream) = (Authority::new(), Upstream::new().await);
    authority.mount("dns.test");
    let forward = format!("\n forward . {} {{\n force_tcp\n }}\n", upstream.address());
    let server = start_secured("https", &authority, &forward);
    let (mut client, reading) = Client::connect(&authority, &server).await;
    let reading = drained(reading);
    client.write(NO_WINDOW).await.unwrap();
    let answering = upstream.answering_at_once(100);
    for count in 0..100 {
        client.ask(&format!("n{count}.example.org.")).await.unwrap();
    }
    answering.await.unwrap();
    let refused = || server.metric("coredns_dns_https_responses_total", &["status=\"503\""]);
    while answers(&server) + refused() < 100.0 {
        tokio::task::yield_now().await;
    }
    // Of nearly 64 KiB each.
    assert_eq!((answers(&server), refused()), (5.0, 95.0));
    reading.abort();
    server.stop().await;
}
