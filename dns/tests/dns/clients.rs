//! What one client may ask a second: over all transports together where it is surely the one that asks, and over UDP else.

use crate::harness::*;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType;
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use std::num::NonZeroU32;
use tidegate_dns::Bounds;
use tokio::io::AsyncWriteExt;
use tokio::net::UdpSocket;

fn ours(id: u16) -> Message {
    with_edns(question(id, "web.shop.svc.cluster.local.", RecordType::A), 1232)
}

#[tokio::test]
async fn a_client_that_asks_too_much_is_told_so_and_then_nothing() {
    let server = start_bounded(settings(), Bounds { per_client: NonZeroU32::new(1), ..Bounds::default() });
    assert_eq!(answered(&server.ask(&ours(1)).await), ["10.0.0.1"]);
    // As long as it takes, since there is one more each second.
    let refused = loop {
        let answer = server.ask(&ours(2)).await;
        if answer.answers.is_empty() {
            break answer;
        }
    };
    assert_eq!(refused.metadata.response_code, ResponseCode::Refused);
    assert_eq!(refused.queries, ours(2).queries);
    let error = |answer: &Message| answer.edns.as_ref().unwrap().option(EdnsCode::Unknown(15)).cloned();
    // No words over UDP, where they may reach somebody else.
    assert_eq!(error(&refused), Some(EdnsOption::Unknown(15, vec![0, 18])));
    // Others cannot ask over TCP in its name, and what they ask takes nothing of it.
    let mut stream = server.connect().await;
    let frame = frame(&ours(3).to_vec().unwrap());
    let mut codes = Vec::new();
    while stream.write_all(&frame).await.is_ok()
        && let Ok(answer) = read_frame(&mut stream).await
    {
        let answer = Message::from_vec(&answer).unwrap();
        codes.push(answer.metadata.response_code);
        let why = b"\x00\x12a client may ask 1 questions a second here";
        let expected = answer.answers.is_empty().then(|| EdnsOption::Unknown(15, why.to_vec()));
        assert_eq!(error(&answer), expected);
    }
    assert_eq!(codes[0], ResponseCode::NoError, "{codes:?}");
    assert!(codes.contains(&ResponseCode::Refused), "{codes:?}");
    assert_eq!(server.metric("tidegate_dns_dropped_total", &["reason=\"client\""]), 1.0);
    assert!(server.metric("tidegate_dns_held_back_total", &[]) >= 2.0);
    // Others do not notice.
    let other = UdpSocket::bind("127.0.0.2:0").await.unwrap();
    other.connect(server.address).await.unwrap();
    other.send(&ours(4).to_vec().unwrap()).await.unwrap();
    assert_eq!(answered(&answer(&other).await), ["10.0.0.1"]);
    server.stop().await;
}

/// Anybody can send as many packets in a client's name.
#[tokio::test]
async fn a_client_with_a_good_cookie_is_not_held_back_for_what_others_ask_in_its_name() {
    let server = start_bounded(settings(), Bounds { per_client: NonZeroU32::new(1), ..Bounds::default() });
    let with_cookie = |content: &[u8]| {
        let mut query = ours(1);
        query.edns.as_mut().unwrap().options_mut().insert(EdnsOption::Unknown(10, content.to_vec()));
        query
    };
    let new = with_cookie(b"a client");
    let refused = loop {
        let answer = server.ask(&new).await;
        if answer.answers.is_empty() {
            break answer;
        }
    };
    let Some(EdnsOption::Unknown(10, cookie)) = refused.edns.as_ref().unwrap().option(EdnsCode::Cookie) else {
        panic!("{refused:?}")
    };
    // With a bad one it is one of those who ask in its name.
    let bad = with_cookie(&[&b"a client"[..], &[7; 16]].concat());
    let client = server.client().await;
    let (bad, good) = (bad.to_vec().unwrap(), with_cookie(cookie).to_vec().unwrap());
    for _ in 0..20 {
        client.send(&bad).await.unwrap();
    }
    client.send(&[&[0, 99], &good[2..]].concat()).await.unwrap();
    let known = loop {
        let answer = answer(&client).await;
        if answer.metadata.id == 99 {
            break answer;
        }
    };
    assert_eq!(answered(&known), ["10.0.0.1"]);
    assert!(server.metric("tidegate_dns_dropped_total", &["reason=\"client\""]) >= 10.0);
    server.stop().await;
}

#[tokio::test]
async fn a_zone_is_not_sent_to_who_asks_too_much() {
    let corefile = ".:PORT {\n bind 127.0.0.1\n transfer cluster.local {\n to *\n }\n kubernetes cluster.local\n}\n";
    let server = start_corefile_bounded(corefile, Bounds { per_client: NonZeroU32::new(1), ..Bounds::default() });
    let zone = frame(&question(1, "cluster.local.", RecordType::AXFR).to_vec().unwrap());
    let first = async || {
        let mut stream = server.connect().await;
        stream.write_all(&zone).await.unwrap();
        // Where nothing at all is said the connection ends.
        let message = read_frame(&mut stream).await.ok()?;
        Some(Message::from_vec(&message).unwrap().metadata.response_code)
    };
    assert_eq!(first().await, Some(ResponseCode::NoError), "this client may have it");
    let mut codes = Vec::new();
    // One more is allowed each second.
    while codes.len() < 1000 && codes.last() != Some(&None) {
        codes.push(first().await);
    }
    assert!(codes.contains(&Some(ResponseCode::Refused)) && codes.len() < 1000, "{codes:?}");
    server.stop().await;
}

#[tokio::test]
async fn what_is_no_question_counts_too() {
    let server = start_bounded(settings(), Bounds { per_client: NonZeroU32::new(1), ..Bounds::default() });
    // Two questions, which is a mistake, until there is nothing more to be had.
    let mut wrong = ours(1);
    wrong.add_query(ours(2).queries[0].clone());
    let codes = async |query: &Message| server.ask(query).await.metadata.response_code;
    while codes(&wrong).await == ResponseCode::FormErr {}
    assert_eq!(server.metric("tidegate_dns_held_back_total", &[]), 1.0);
    server.stop().await;
}
