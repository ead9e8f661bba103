//! Upstreams that lie, keep silent, or lead back here.

use crate::harness::*;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType;
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use std::time::Duration;
use tidegate_dns::Settings;
use tokio::net::UdpSocket;

#[tokio::test]
async fn what_is_not_the_answer_is_passed_over() {
    let upstream = Upstream::new().await;
    let server = start(upstreams(&[upstream.address()]));
    let client = send(&server, &question(1, "example.org.", RecordType::A)).await;
    let (asked, peer) = upstream.asked().await;
    let forged = addresses(&asked, &["203.0.113.66".parse().unwrap()]);
    let change = |change: fn(&mut Message)| {
        let mut message = forged.clone();
        change(&mut message);
        message.to_vec().unwrap()
    };
    for packet in [
        vec![],
        vec![0; 12],
        change(|message| message.metadata.id ^= 1),
        change(|message| message.metadata.message_type = hickory_proto::op::MessageType::Query),
        change(|message| message.metadata.op_code = hickory_proto::op::OpCode::Status),
        change(|message| drop(message.queries.pop())),
        change(|message| message.queries[0] = question(1, "example.com.", RecordType::A).queries[0].clone()),
        change(|message| message.queries[0] = question(1, "example.org.", RecordType::AAAA).queries[0].clone()),
        change(|message| message.queries.push(message.queries[0].clone())),
    ] {
        upstream.udp.send_to(&packet, peer).await.unwrap();
    }
    // From another address nothing comes through at all.
    let stranger = UdpSocket::bind(ANY_PORT).await.unwrap();
    stranger.send_to(&forged.to_vec().unwrap(), peer).await.unwrap();
    upstream.reply(&one_address(&asked), peer).await;
    assert_eq!(answered(&answer(&client).await), ["192.0.2.1"]);
    assert_eq!(server.metric("tidegate_dns_upstream_mismatches_total", &[]), 9.0);
    server.stop().await;
}

#[tokio::test]
async fn what_was_not_asked_for_is_neither_told_nor_kept() {
    let upstream = Upstream::new().await;
    let forward = upstream.address();
    let (server, _) = start_corefile(&format!(".:PORT {{\n bind 127.0.0.1\n cache\n forward . {forward}\n}}\n"));
    let mut asked = upstream.answering(|question| {
        let mut message = one_address(question);
        let mut other = message.answers[0].clone();
        other.name = hickory_proto::rr::Name::from_ascii("victim.test.").unwrap();
        message.answers.insert(0, other);
        message
    });
    for _ in 0..2 {
        let answer = server.ask(&question(1, "unrelated.test.", RecordType::A)).await;
        let owners: Vec<_> = answer.answers.iter().map(|record| record.name.to_string()).collect();
        assert_eq!(owners, ["unrelated.test."]);
    }
    assert_eq!(asked.recv().await.as_deref(), Some("unrelated.test."));
    assert_eq!(asked.try_recv().ok(), None, "it was kept");
    server.stop().await;
}

#[tokio::test]
async fn ids_and_ports_are_new_each_time() {
    let upstream = Upstream::new().await;
    let server = start(upstreams(&[upstream.address()]));
    let (mut ids, mut ports) = (Vec::new(), Vec::new());
    for _ in 0..16 {
        let client = send(&server, &question(1, "example.org.", RecordType::A)).await;
        let (asked, peer) = upstream.asked().await;
        ids.push(asked.metadata.id);
        ports.push(peer.port());
        upstream.reply(&one_address(&asked), peer).await;
        answer(&client).await;
    }
    for numbers in [&mut ids, &mut ports] {
        numbers.sort_unstable();
        numbers.dedup();
        assert!(numbers.len() > 12, "{numbers:?}");
        assert!(numbers.windows(2).any(|pair| pair[1] - pair[0] > 1), "counted up: {numbers:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_silent_upstream_is_passed_over_and_servfail_if_it_is_the_last() {
    let (silent, good) = (Upstream::new().await, Upstream::new().await);
    let upstream_timeout = Duration::from_millis(200);
    let server = start(Settings { upstream_timeout, ..upstreams(&[silent.address(), good.address()]) });
    let client = send(&server, &question(1, "example.org.", RecordType::A)).await;
    silent.asked().await;
    let (asked, peer) = good.asked().await;
    good.reply(&one_address(&asked), peer).await;
    assert_eq!(answered(&answer(&client).await), ["192.0.2.1"]);
    // The one that answered is asked first from now on, and if none answers the client hears that.
    let client = send(&server, &question(2, "example.com.", RecordType::A)).await;
    good.asked().await;
    let mut packet = [0; 512];
    while let Ok((len, _)) = silent.udp.try_recv_from(&mut packet) {
        let question = Message::from_vec(&packet[..len]).unwrap();
        assert_ne!(question.queries[0].name().to_string(), "example.com.");
    }
    assert_eq!(answer(&client).await.metadata.response_code, ResponseCode::ServFail);
    assert_eq!(server.metric("tidegate_dns_forward_failures_total", &["reason=\"unanswered\""]), 1.0);
    server.stop().await;
}

#[tokio::test]
async fn a_closed_port_is_servfail_at_once() {
    let gone = Upstream::new().await.address();
    let server = start(upstreams(&[gone]));
    let answer = server.ask(&question(1, "example.org.", RecordType::A)).await;
    assert_eq!((answer.metadata.id, answer.metadata.response_code), (1, ResponseCode::ServFail));
    server.stop().await;
}

#[tokio::test]
async fn an_upstream_that_cannot_help_is_passed_over() {
    let (failing, good) = (Upstream::new().await, Upstream::new().await);
    let server = start(upstreams(&[failing.address(), good.address()]));
    failing.answering(|question| code(question, ResponseCode::ServFail));
    let mut asked = good.answering(|question| match question.queries[0].query_type() {
        RecordType::A => one_address(question),
        _ => code(question, ResponseCode::Refused),
    });
    assert_eq!(answered(&server.ask(&question(1, "example.org.", RecordType::A)).await), ["192.0.2.1"]);
    assert_eq!(asked.recv().await.unwrap().to_ascii_lowercase(), "example.org.");
    // Where nobody can, the first word stands.
    let answer = server.ask(&question(2, "example.org.", RecordType::MX)).await;
    assert!(matches!(answer.metadata.response_code, ResponseCode::Refused | ResponseCode::ServFail));
    server.stop().await;
}

#[tokio::test]
async fn a_malformed_answer_is_as_good_as_none() {
    let upstream = Upstream::new().await;
    let server = start(upstreams(&[upstream.address()]));
    for is_good in [true, false] {
        let client = send(&server, &question(1, "example.org.", RecordType::A)).await;
        for is_whole in [false, is_good] {
            let (asked, peer) = upstream.asked().await;
            let mut reply = one_address(&asked).to_vec().unwrap();
            reply.truncate(reply.len() - usize::from(!is_whole));
            upstream.udp.send_to(&reply, peer).await.unwrap();
        }
        let answer = answer(&client).await;
        let expected = if is_good { ResponseCode::NoError } else { ResponseCode::ServFail };
        assert_eq!((answer.metadata.response_code, answer.answers.len()), (expected, usize::from(is_good)));
    }
    assert_eq!(server.metric("tidegate_dns_forward_failures_total", &["reason=\"malformed\""]), 1.0);
    assert_eq!(server.metric("tidegate_dns_upstream_failures_total", &[]), 3.0);
    server.stop().await;
}

/// An answer with an address of three bytes.
fn unreadable(question: &Message) -> Vec<u8> {
    let mut message = one_address(question);
    // Nothing stands behind the record.
    message.edns = None;
    let mut bytes = message.to_vec().unwrap();
    let length = bytes.len() - 5;
    bytes[length] = 3;
    bytes.pop();
    bytes
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_neither_told_nor_kept() {
    let (bad, good) = (Upstream::new().await, Upstream::new().await);
    let to = format!("{} {}", bad.address(), good.address());
    let (server, _) = start_corefile(&format!(
        ".:PORT {{\n bind 127.0.0.1\n cache\n forward . {to} {{\n  policy sequential\n  max_connect_attempts 2\n }}\n}}\n"
    ));
    let mut query = with_edns(question(1, "example.org.", RecordType::A), 1232);
    for is_good in [false, true] {
        let client = send(&server, &query).await;
        let (asked, peer) = bad.asked().await;
        bad.udp.send_to(&unreadable(&asked), peer).await.unwrap();
        let (asked, peer) = good.asked().await;
        let next = if is_good { one_address(&asked).to_vec().unwrap() } else { unreadable(&asked) };
        good.udp.send_to(&next, peer).await.unwrap();
        let answer = answer(&client).await;
        let code = if is_good { ResponseCode::NoError } else { ResponseCode::ServFail };
        assert_eq!((answer.metadata.response_code, answer.answers.len()), (code, usize::from(is_good)));
        let said = answer.edns.unwrap().option(EdnsCode::Unknown(15)).cloned();
        let why = EdnsOption::Unknown(15, b"\0\x18the upstream's answer is malformed".to_vec());
        assert_eq!(said, (!is_good).then_some(why));
        // That it failed is remembered for a while, of this question.
        query = with_edns(question(2, "example.com.", RecordType::A), 1232);
    }
    assert_eq!(server.metric("tidegate_dns_forward_failures_total", &["reason=\"malformed\""]), 1.0);
    assert_eq!(answered(&server.ask(&query).await), ["192.0.2.1"], "of what is kept");
    server.stop().await;
}

#[tokio::test]
async fn questions_beyond_the_limit_are_not_kept_waiting() {
    let upstream = Upstream::new().await;
    let server = start(Settings { forward_limit: 1, ..upstreams(&[upstream.address()]) });
    let first = send(&server, &question(1, "example.org.", RecordType::A)).await;
    let (asked, peer) = upstream.asked().await;
    let refused = server.ask(&question(2, "example.com.", RecordType::A)).await;
    assert_eq!(refused.metadata.response_code, ResponseCode::Refused);
    let ours = server.ask(&question(3, "web.shop.svc.cluster.local.", RecordType::A)).await;
    assert_eq!(answered(&ours), ["10.0.0.1"]);
    upstream.reply(&one_address(&asked), peer).await;
    assert_eq!(answered(&answer(&first).await), ["192.0.2.1"]);
    assert_eq!(server.metric("tidegate_dns_forward_failures_total", &["reason=\"busy\""]), 1.0);
    server.stop().await;
}

#[tokio::test]
async fn a_server_that_is_its_own_upstream_says_so_at_once() {
    let server = start_empty(|own| upstreams(&[own]));
    for id in 0..20 {
        let answer = server.ask(&question(id, &format!("n{id}.example."), RecordType::A)).await;
        assert_eq!((answer.metadata.id, answer.metadata.response_code), (id, ResponseCode::ServFail));
    }
    let asked = server.metric("tidegate_dns_requests_total", &[]);
    assert!(asked <= 60.0, "20 questions made {asked}");
    server.stop().await;
}

#[test]
fn a_circle_of_servers_asks_once() {
    with_still_clock(async {
        let upstream = Upstream::new().await;
        let server = start_empty(|_| upstreams(&[upstream.address()]));
        let address = server.address;
        // Sends every question back to where it came from, as another server would: with its own id and port.
        let circle = tokio::spawn(async move {
            let mut count = 0;
            loop {
                let (mut question, _) = upstream.asked().await;
                count += 1;
                question.metadata.id ^= 0x5555;
                let back = UdpSocket::bind(ANY_PORT).await.unwrap();
                back.send_to(&question.to_vec().unwrap(), address).await.unwrap();
                if count == 2 {
                    return upstream;
                }
            }
        });
        let answer = server.ask(&question(1, "example.org.", RecordType::A)).await;
        assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
        // Two tries were two questions; what came back joined them and made none.
        let upstream = circle.await.unwrap();
        let mut packet = [0; 512];
        while let Ok((len, _)) = upstream.udp.try_recv_from(&mut packet) {
            let question = Message::from_vec(&packet[..len]).unwrap();
            assert_eq!(question.queries[0].query_type(), RecordType::HINFO, "by which circles are found: {question}");
        }
        server.stop().await;
    });
}
