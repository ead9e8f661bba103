//! What one client may ask a second, over all transports together.

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
    let why = b"\x00\x12a client may ask 1 questions a second here";
    let error = refused.edns.as_ref().unwrap().option(EdnsCode::Unknown(15));
    assert_eq!(error, Some(&EdnsOption::Unknown(15, why.to_vec())));
    // It is the same client over TCP.
    let mut stream = server.connect().await;
    let frame = frame(&ours(3).to_vec().unwrap());
    while stream.write_all(&frame).await.is_ok()
        && let Ok(answer) = read_frame(&mut stream).await
    {
        let answer = Message::from_vec(&answer).unwrap();
        assert!(matches!(answer.metadata.response_code, ResponseCode::Refused | ResponseCode::NoError));
    }
    assert_eq!(server.metric("tidegate_dns_dropped_total", &["reason=\"client\""]), 1.0);
    assert!(server.metric("tidegate_dns_held_back_total", &[]) >= 2.0);
    // Others do not notice.
    let other = UdpSocket::bind("127.0.0.2:0").await.unwrap();
    other.connect(server.address).await.unwrap();
    other.send(&ours(4).to_vec().unwrap()).await.unwrap();
    assert_eq!(answered(&answer(&other).await), ["10.0.0.1"]);
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
