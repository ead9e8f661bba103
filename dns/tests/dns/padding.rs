//! Answers that are padded (RFC 7830): over TLS and HTTPS, to clients that pad.

use crate::authority::*;
use crate::encrypted::{POST, request};
use crate::harness::*;
use hickory_proto::op::Message;
use hickory_proto::rr::RecordType;
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use tidegate_dns::Bounds;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

const KEEPALIVE: u16 = 11;
const PADDING: u16 = 12;
/// From the cluster, and from an upstream.
const NAMES: [&str; 2] = ["web.shop.svc.cluster.local.", "example.org."];

fn query(name: &str, record_type: RecordType, options: &[(u16, usize)]) -> Vec<u8> {
    let mut query = with_edns(question(7, name, record_type), 1232);
    for (code, len) in options {
        let option = EdnsOption::Unknown(*code, vec![0; *len]);
        query.edns.as_mut().unwrap().options_mut().insert(option);
    }
    query.to_vec().unwrap()
}

/// Whether a message is padded; what is has a length that tells nothing.
fn is_padded(message: &[u8]) -> bool {
    let edns = Message::from_vec(message).unwrap().edns;
    let is_padded = edns.is_some_and(|edns| edns.option(EdnsCode::Padding).is_some());
    assert_eq!(message.len().is_multiple_of(468), is_padded, "{} bytes", message.len());
    is_padded
}

async fn exchange(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), query: &[u8]) -> Vec<u8> {
    stream.write_all(&frame(query)).await.unwrap();
    read(stream).await
}

async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut message = vec![0; usize::from(stream.read_u16().await.unwrap())];
    stream.read_exact(&mut message).await.unwrap();
    message
}

/// With an upstream that answers over UDP.
async fn corefile(key: &str, tls: &str) -> String {
    let upstream = Upstream::new().await;
    let address = upstream.address();
    drop(upstream.answering(one_address));
    format!(
        "{key} {{
            bind 127.0.0.1
            {tls}
            kubernetes cluster.local
            transfer {{
                to *
            }}
            forward . {address} {{
                prefer_udp
            }}
        }}"
    )
}

async fn start_over(scheme: &str, authority: &Authority) -> Running {
    let path = authority.path().display();
    let tls = format!("tls {path}/tls.crt {path}/tls.key {path}/ca.crt");
    start_corefile_over(scheme, &corefile(&format!("{scheme}://.:PORT"), &tls).await, Bounds::default())
}

#[tokio::test]
async fn answers_over_tls_are_padded_for_who_pads() {
    let authority = Authority::new();
    authority.mount("dns.test");
    let server = start_over("tls", &authority).await;
    let mut stream = authority.connect(&server, "dns.test", &[], None).await.unwrap();
    for name in NAMES {
        for (options, expected) in [
            (&[(PADDING, 40)][..], true),
            (&[(PADDING, 0)], true),
            (&[(KEEPALIVE, 0), (PADDING, 7)], true),
            (&[(KEEPALIVE, 0)], false),
            (&[], false),
        ] {
            let message = exchange(&mut stream, &query(name, RecordType::A, options)).await;
            assert_eq!(is_padded(&message), expected, "{name} {options:?}");
            assert_eq!(answered(&Message::from_vec(&message).unwrap()).len(), 1);
        }
        let plain = question(7, name, RecordType::A).to_vec().unwrap();
        assert!(!is_padded(&exchange(&mut stream, &plain).await), "{name} without EDNS");
    }
    // Each message of a zone is an answer.
    let mut message = exchange(&mut stream, &query("cluster.local.", RecordType::AXFR, &[(PADDING, 0)])).await;
    let mut count = 1;
    let is_last = |message: &[u8]| {
        let answers = Message::from_vec(message).unwrap().answers;
        answers.last().unwrap().record_type() == RecordType::SOA
    };
    while count == 1 || !is_last(&message) {
        assert!(is_padded(&message), "message {count}");
        message = read(&mut stream).await;
        count += 1;
    }
    assert!(is_padded(&message) && count > 50, "{count} messages");
    server.stop().await;
}

#[tokio::test]
async fn answers_over_https_are_padded_for_who_pads() {
    let authority = Authority::new();
    authority.mount("dns.test");
    let server = start_over("https", &authority).await;
    let mut stream = authority.connect(&server, "dns.test", &["http/1.1"], None).await.unwrap();
    for name in NAMES {
        for (options, expected) in [(&[(PADDING, 40)][..], true), (&[(PADDING, 0)], true), (&[], false)] {
            let (status, _, message) = request(&mut stream, POST, &query(name, RecordType::A, options)).await;
            assert_eq!((status, is_padded(&message)), (200, expected), "{name} {options:?}");
            assert_eq!(answered(&Message::from_vec(&message).unwrap()).len(), 1);
        }
    }
    server.stop().await;
}

/// How many answers were counted, and how long they were in all.
fn counted(server: &Running) -> (f64, f64) {
    let of = |unit| server.metric(&format!("coredns_dns_response_size_bytes_{unit}"), &[]);
    (of("count"), of("sum"))
}

/// Be they there at once or waited for.
#[tokio::test]
async fn answers_over_tls_count_as_long_as_they_leave() {
    let authority = Authority::new();
    authority.mount("dns.test");
    let server = start_over("tls", &authority).await;
    let mut stream = authority.connect(&server, "dns.test", &[], None).await.unwrap();
    let (mut count, mut bytes) = (0, 0);
    for name in NAMES {
        for option in [(PADDING, 0), (KEEPALIVE, 0)] {
            count += 1;
            bytes += exchange(&mut stream, &query(name, RecordType::A, &[option])).await.len();
            assert_eq!(counted(&server), (f64::from(count), bytes as f64), "{name} {option:?}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn answers_over_https_count_as_long_as_they_leave() {
    let authority = Authority::new();
    authority.mount("dns.test");
    let server = start_over("https", &authority).await;
    let mut stream = authority.connect(&server, "dns.test", &["http/1.1"], None).await.unwrap();
    let (mut count, mut bytes) = (0, 0);
    for name in NAMES {
        count += 1;
        bytes += request(&mut stream, POST, &query(name, RecordType::A, &[(PADDING, 0)])).await.2.len();
        assert_eq!(counted(&server), (f64::from(count), bytes as f64), "{name}");
    }
    server.stop().await;
}

/// There it would hide nothing, and make more of a question that comes in another's name.
#[tokio::test]
async fn answers_in_the_clear_are_not_padded() {
    let server = start_corefile(&corefile(".:PORT", "").await).0;
    let mut stream = server.connect().await;
    for name in NAMES {
        let query = query(name, RecordType::A, &[(PADDING, 40)]);
        for (message, transport) in
            [(server.exchange(&query).await, "UDP"), (exchange(&mut stream, &query).await, "TCP")]
        {
            assert!(!is_padded(&message), "{name} over {transport}");
            assert_eq!(answered(&Message::from_vec(&message).unwrap()).len(), 1, "{name} over {transport}");
        }
    }
    server.stop().await;
}
