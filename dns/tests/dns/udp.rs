//! Questions over UDP.

use crate::harness::*;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType;
use std::collections::BTreeSet;
use tidegate_dns::Settings;
use tokio::net::UdpSocket;

#[tokio::test]
async fn an_answer_repeats_id_question_and_flags() {
    let server = start(settings());
    let mut query = question(4711, "WEB.shop.svc.cluster.local.", RecordType::A);
    query.metadata.checking_disabled = true;
    let answer = server.ask(&query).await;
    assert_eq!(answered(&answer), ["10.0.0.1"]);
    assert_eq!(answer.metadata.id, 4711);
    assert!(answer.metadata.authoritative && answer.metadata.recursion_desired && answer.metadata.checking_disabled);
    assert!(!answer.metadata.recursion_available, "nobody can be asked");
    assert!(!answer.metadata.truncation && !answer.metadata.authentic_data);
    assert!(answer.queries[0].name().eq_case(query.queries[0].name()));
    assert!(answer.answers[0].name.eq_case(query.queries[0].name()));
    assert_eq!(answer.edns, None);
    server.stop().await;
}

#[tokio::test]
async fn before_the_first_snapshot_nothing_is_denied() {
    let upstream = Upstream::new().await;
    let server = start_empty(|_| Settings { upstreams: vec![upstream.address()], ..settings() });
    upstream.answering(|question| addresses(question, &["192.0.2.1".parse().unwrap()]));
    for name in ["web.shop.svc.cluster.local.", "cluster.LOCAL.", "1.0.0.10.in-addr.arpa.", "0.0.10.in-addr.arpa."] {
        let answer = server.ask(&question(1, name, RecordType::PTR)).await;
        assert_eq!(answer.metadata.response_code, ResponseCode::ServFail, "{name}");
        let soa = answer.authorities.iter().filter(|record| record.record_type() == RecordType::SOA).count();
        assert_eq!(soa, usize::from(!name.ends_with("arpa.")), "{name}");
    }
    // Neither is ours.
    for (name, record_type) in [("example.org.", RecordType::A), ("8.8.8.8.in-addr.arpa.", RecordType::PTR)] {
        assert_eq!(answered(&server.ask(&question(2, name, record_type)).await), ["192.0.2.1"], "{name}");
    }
    server.publish(config::NameTable::default());
    let answer = server.ask(&question(3, "web.shop.svc.cluster.local.", RecordType::A)).await;
    assert_eq!(answer.metadata.response_code, ResponseCode::NXDomain);
    server.stop().await;
}

#[tokio::test]
async fn edns_is_answered_with_edns() {
    let server = start(settings());
    for (payload, is_dnssec_ok) in [(512, false), (1232, true), (65_535, false), (0, false)] {
        let mut query = with_edns(question(1, "web.shop.svc.cluster.local.", RecordType::A), payload);
        query.edns.as_mut().unwrap().set_dnssec_ok(is_dnssec_ok);
        let edns = server.ask(&query).await.edns.unwrap();
        assert_eq!((edns.max_payload(), edns.version()), (1232, 0));
        assert_eq!(edns.flags().dnssec_ok, is_dnssec_ok);
        assert!(edns.options().options.is_empty());
    }
    server.stop().await;
}

#[tokio::test]
async fn newer_edns_is_told_our_version() {
    let server = start(settings());
    let mut query = with_edns(question(1, "web.shop.svc.cluster.local.", RecordType::A), 1232);
    query.edns.as_mut().unwrap().set_version(1);
    let answer = server.ask(&query).await;
    // 16 has two names.
    assert_eq!(u16::from(answer.metadata.response_code), u16::from(ResponseCode::BADVERS));
    assert_eq!(answer.edns.unwrap().version(), 0);
    assert_eq!((answer.queries.len(), answer.answers.len()), (1, 0));
    server.stop().await;
}

#[tokio::test]
async fn an_answer_is_never_longer_than_the_client_takes() {
    let server = start(settings());
    let query = question(1, "big.shop.svc.cluster.local.", RecordType::A);
    for (query, limit) in [
        (query.clone(), 512),
        (with_edns(query.clone(), 100), 512),
        (with_edns(query.clone(), 900), 900),
        (with_edns(query, 65_535), 1232),
    ] {
        let packet = server.exchange(&query.to_vec().unwrap()).await;
        let answer = Message::from_vec(&packet).unwrap();
        assert!(answer.metadata.truncation);
        assert_eq!(answer.edns.is_some(), query.edns.is_some());
        // As many as fit: the next one would have taken 16 bytes.
        assert!(packet.len() <= limit && packet.len() + 16 > limit, "{} of {limit}", packet.len());
    }
    server.stop().await;
}

#[tokio::test]
async fn additional_records_go_first_and_silently() {
    let server = start(settings());
    // The SRV records fit into 512 bytes, and some of the addresses.
    let answer = server.ask(&question(1, "_http._tcp.small.shop.svc.cluster.local.", RecordType::SRV)).await;
    assert_eq!(answer.answers.len(), 7);
    assert!((1..7).contains(&answer.additionals.len()), "{}", answer.additionals.len());
    assert!(!answer.metadata.truncation);
    let whole = with_edns(question(1, "_http._tcp.small.shop.svc.cluster.local.", RecordType::SRV), 1232);
    assert_eq!(server.ask(&whole).await.additionals.len(), 7);
    server.stop().await;
}

#[tokio::test]
async fn every_address_comes_first_for_some_client() {
    let server = start(settings());
    let mut first = BTreeSet::new();
    for id in 0..7 {
        let answer = server.ask(&question(id, "small.shop.svc.cluster.local.", RecordType::A)).await;
        let addresses = answered(&answer);
        assert_eq!(addresses.iter().collect::<BTreeSet<_>>().len(), 7);
        first.insert(addresses[0].clone());
    }
    assert_eq!(first.len(), 7);
    server.stop().await;
}

#[tokio::test]
async fn all_sockets_of_a_port_answer() {
    let server = start(settings());
    for id in 0..64 {
        let answer = server.ask(&question(id, "web.shop.svc.cluster.local.", RecordType::A)).await;
        assert_eq!(answer.metadata.id, id);
    }
    let labels = ["proto=\"udp\"", "type=\"A\"", "rcode=\"NOERROR\""];
    assert_eq!(server.metric("tidegate_dns_requests_total", &labels), 64.0);
    assert_eq!(server.metric("tidegate_dns_request_duration_seconds_count", &["source=\"zone\""]), 64.0);
    server.stop().await;
}

#[tokio::test]
async fn a_change_is_served_at_once() {
    let server = start(settings());
    let query = question(1, "web.shop.svc.cluster.local.", RecordType::A);
    assert_eq!(answered(&server.ask(&query).await), ["10.0.0.1"]);
    server.publish(config::NameTable::default());
    assert_eq!(server.ask(&query).await.metadata.response_code, ResponseCode::NXDomain);
    server.stop().await;
}

/// All hosts of the network would answer at once, and one answer leaves from another address than was asked.
#[tokio::test]
async fn what_is_sent_to_a_whole_network_gets_no_answer() {
    let mut any = vec!["0.0.0.0:0"];
    any.extend(std::net::UdpSocket::bind("[::1]:0").is_ok().then_some("[::]:0"));
    for any in any {
        let server = start_at(any.parse().unwrap(), settings());
        let client = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        client.set_broadcast(true).unwrap();
        client.set_nonblocking(true).unwrap();
        let client = UdpSocket::from_std(client).unwrap();
        let port = server.address.port();
        let dropped = || server.metric("tidegate_dns_dropped_total", &["reason=\"broadcast\""]);
        let send = async |id, to| {
            let packet = question(id, "web.shop.svc.cluster.local.", RecordType::A).to_vec().unwrap();
            client.send_to(&packet, (to, port)).await.unwrap();
        };
        for id in 0..3 {
            send(id, "127.255.255.255").await;
        }
        // Each of the server's two sockets hears of each.
        while dropped() < 6.0 {
            assert_eq!(server.metric("tidegate_dns_requests_total", &[]), 0.0, "{any}");
            tokio::task::yield_now().await;
        }
        // Any other address of the same network is one of this host.
        for (id, own) in [(3, "127.0.0.1"), (4, "127.255.255.254")] {
            send(id, own).await;
            let mut packet = [0; 512];
            let (len, from) = client.recv_from(&mut packet).await.unwrap();
            let answer = Message::from_vec(&packet[..len]).unwrap();
            assert_eq!((answer.metadata.id, from), (id, format!("{own}:{port}").parse().unwrap()), "{any}");
        }
        assert_eq!(dropped(), 6.0);
        server.stop().await;
    }
}

#[test]
fn a_port_in_use_is_named() {
    let first = tidegate_dns::bind(ANY_PORT, 2).unwrap();
    let error = tidegate_dns::bind(first.address, 2).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    assert!(error.to_string().contains(&first.address.to_string()), "{error}");
    let udp = std::net::UdpSocket::bind(ANY_PORT).unwrap();
    let address = udp.local_addr().unwrap();
    assert_eq!(tidegate_dns::bind(address, 2).unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
}
