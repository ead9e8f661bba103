//! Names of others: asked upstream, believed with care.

use crate::harness::*;
use hickory_proto::op::{Edns, Message, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType, rdata};
use std::net::Ipv4Addr;
use tidegate_dns::Settings;
use tokio::io::AsyncWriteExt;

#[tokio::test]
async fn the_client_gets_its_own_id_case_and_flags() {
    let upstream = Upstream::new().await;
    let server = start(upstreams(&[upstream.address()]));
    let mut query = question(4711, "WWW.Example.org.", RecordType::A);
    query.metadata.checking_disabled = true;
    let client = send(&server, &query).await;
    let (asked, peer) = upstream.asked().await;
    assert!(asked.metadata.recursion_desired && asked.metadata.checking_disabled);
    assert!(asked.edns.is_none(), "the client asked without");
    assert_eq!(asked.queries[0].name().to_string(), "www.example.org.");
    let mut reply = one_address(&asked);
    reply.metadata.authentic_data = true;
    upstream.reply(&reply, peer).await;
    let answer = answer(&client).await;
    assert_eq!((answer.metadata.id, answered(&answer)), (4711, vec!["192.0.2.1".to_owned()]));
    assert!(answer.queries[0].name().eq_case(query.queries[0].name()));
    assert!(answer.answers[0].name.eq_case(query.queries[0].name()), "the answer points at the question");
    assert!(answer.metadata.recursion_available && !answer.metadata.authoritative);
    assert!(!answer.metadata.authentic_data, "the client did not ask whether it is");
    assert_eq!(server.metric("tidegate_dns_request_duration_seconds_count", &["source=\"upstream\""]), 1.0);
    server.stop().await;
}

#[tokio::test]
async fn edns_is_each_hops_own() {
    let upstream = Upstream::new().await;
    let server = start(upstreams(&[upstream.address()]));
    let mut query = with_edns(question(1, "example.org.", RecordType::A), 4096);
    query.edns.as_mut().unwrap().set_dnssec_ok(true);
    let client = send(&server, &query).await;
    let (asked, peer) = upstream.asked().await;
    let edns = asked.edns.clone().unwrap();
    assert_eq!((edns.max_payload(), edns.flags().dnssec_ok), (1232, true));
    let mut reply = one_address(&asked);
    reply.metadata.authentic_data = true;
    let mut theirs = Edns::new();
    theirs.set_max_payload(4000);
    theirs.options_mut().insert(rdata::opt::EdnsOption::Unknown(65_001, vec![1, 2]));
    reply.edns = Some(theirs);
    upstream.reply(&reply, peer).await;
    let answer = answer(&client).await;
    let edns = answer.edns.unwrap();
    assert_eq!((edns.max_payload(), edns.flags().dnssec_ok, edns.options().options.is_empty()), (1232, true, true));
    assert!(answer.metadata.authentic_data, "DO asks whether it is");
    server.stop().await;
}

#[tokio::test]
async fn the_same_question_is_asked_once() {
    let upstream = Upstream::new().await;
    let server = start(upstreams(&[upstream.address()]));
    // One client's questions come to one thread, and so in order.
    let client = send(&server, &question(1, "example.org.", RecordType::A)).await;
    let (asked, peer) = upstream.asked().await;
    // The third differs in its type: once it comes out, the second has been dealt with.
    for (id, name, record_type) in [(2, "EXAMPLE.org.", RecordType::A), (3, "example.org.", RecordType::AAAA)] {
        client.send(&question(id, name, record_type).to_vec().unwrap()).await.unwrap();
    }
    let (other, other_peer) = upstream.asked().await;
    assert_eq!(other.queries[0].query_type(), RecordType::AAAA);
    upstream.reply(&one_address(&asked), peer).await;
    upstream.reply(&addresses(&other, &[]), other_peer).await;
    let mut counts = [0; 4];
    for _ in 0..3 {
        let answer = answer(&client).await;
        counts[usize::from(answer.metadata.id)] = answer.answers.len();
    }
    assert_eq!(counts, [0, 1, 1, 0]);
    // Without a cache nothing is kept.
    let again = send(&server, &question(4, "example.org.", RecordType::A)).await;
    let (asked, peer) = upstream.asked().await;
    upstream.reply(&code(&asked, ResponseCode::NXDomain), peer).await;
    assert_eq!(answer(&again).await.metadata.response_code, ResponseCode::NXDomain);
    server.stop().await;
}

#[tokio::test]
async fn a_cut_answer_is_fetched_over_tcp() {
    let upstream = Upstream::new().await;
    let server = start(upstreams(&[upstream.address()]));
    for over_tcp in [false, true] {
        let query = question(1, "example.org.", RecordType::A).to_vec().unwrap();
        let client = server.client().await;
        let mut stream = server.connect().await;
        match over_tcp {
            true => stream.write_all(&frame(&query)).await.unwrap(),
            false => drop(client.send(&query).await.unwrap()),
        }
        let (asked, peer) = upstream.asked().await;
        let mut cut = addresses(&asked, &[]);
        cut.metadata.truncation = true;
        upstream.reply(&cut, peer).await;
        let (mut fetching, _) = upstream.tcp.accept().await.unwrap();
        let asked = Message::from_vec(&read_frame(&mut fetching).await.unwrap()).unwrap();
        let all: Vec<Ipv4Addr> = (1..=100).map(|host| [192, 0, 2, host].into()).collect();
        fetching.write_all(&frame(&addresses(&asked, &all).to_vec().unwrap())).await.unwrap();
        let packet = if over_tcp { read_frame(&mut stream).await.unwrap() } else { receive(&client).await };
        let answer = Message::from_vec(&packet).unwrap();
        if over_tcp {
            assert_eq!((answer.answers.len(), answer.metadata.truncation), (100, false));
        } else {
            assert!(answer.metadata.truncation && packet.len() <= 512 && packet.len() > 496, "{}", packet.len());
            // The first of them, in any order.
            let mut told: Vec<Ipv4Addr> = answered(&answer).iter().map(|address| address.parse().unwrap()).collect();
            told.sort();
            assert_eq!(told, all[..told.len()]);
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_cut_answer_is_better_than_none() {
    let upstream = Upstream::new().await;
    let server = start(upstreams(&[upstream.address()]));
    let client = send(&server, &question(1, "example.org.", RecordType::A)).await;
    let (asked, peer) = upstream.asked().await;
    let mut cut = one_address(&asked);
    cut.metadata.truncation = true;
    upstream.reply(&cut, peer).await;
    drop(upstream.tcp.accept().await.unwrap());
    let answer = answer(&client).await;
    assert!(answer.metadata.truncation);
    assert_eq!(answered(&answer), ["192.0.2.1"]);
    server.stop().await;
}

#[tokio::test]
async fn a_negative_answer_passes_with_its_soa() {
    let upstream = Upstream::new().await;
    let server = start(upstreams(&[upstream.address()]));
    upstream.answering(|question| {
        let mut answer = code(question, ResponseCode::NXDomain);
        let name = || Name::from_ascii("org.").unwrap();
        let soa = rdata::SOA::new(name(), name(), 1, 2, 3, 4, 5);
        answer.authorities.push(Record::from_rdata(name(), 60, RData::SOA(soa)));
        answer
    });
    let answer = server.ask(&question(1, "example.org.", RecordType::A)).await;
    assert_eq!(answer.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(answer.authorities[0].record_type(), RecordType::SOA);
    server.stop().await;
}

#[tokio::test]
async fn records_of_any_type_pass_as_they_are() {
    let upstream = Upstream::new().await;
    let server = start(upstreams(&[upstream.address()]));
    let client = send(&server, &question(1, "example.org.", RecordType::Unknown(65_280))).await;
    let (asked, peer) = upstream.asked().await;
    let mut reply = addresses(&asked, &[]);
    // Nothing stands behind the record.
    reply.edns = None;
    let mut reply = reply.to_vec().unwrap();
    reply[7] = 1;
    reply.extend([0xC0, 12, 0xFF, 0, 0, 1, 0, 0, 0, 60, 0, 3, 0xC0, 0xFF, 0xEE]);
    upstream.udp.send_to(&reply, peer).await.unwrap();
    let packet = receive(&client).await;
    assert_eq!(packet[packet.len() - 15..], reply[reply.len() - 15..]);
    server.stop().await;
}

#[tokio::test]
async fn names_of_the_zone_never_leave() {
    let upstream = Upstream::new().await;
    let server = start(upstreams(&[upstream.address()]));
    let mut asked = upstream.answering(one_address);
    for name in ["gone.shop.svc.cluster.local.", "x.CLUSTER.local.", "cluster.local.", "a.b.c.d.e.f.cluster.local."] {
        for record_type in [RecordType::A, RecordType::ANY, RecordType::AXFR, RecordType::Unknown(65_280)] {
            server.ask(&question(1, name, record_type)).await;
        }
    }
    server.ask(&question(2, "10.0.0.1.in-addr.arpa.", RecordType::PTR)).await;
    for name in ["1.0.0.10.in-addr.arpa.", "2.0.0.10.in-addr.arpa.", "0.0.10.in-addr.arpa."] {
        server.ask(&question(3, name, RecordType::PTR)).await;
    }
    server.ask(&question(4, "last.example.", RecordType::A)).await;
    assert_eq!(asked.recv().await.unwrap(), "10.0.0.1.in-addr.arpa.");
    assert_eq!(asked.recv().await.unwrap(), "last.example.");
    assert!(asked.is_empty());
    server.stop().await;
}

#[tokio::test]
async fn without_upstreams_nobody_can_tell_of_other_names() {
    let server = start(settings());
    let answer = server.ask(&question(1, "example.org.", RecordType::A)).await;
    assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
    assert!(!answer.metadata.recursion_available);
    server.stop().await;
}

#[tokio::test]
async fn an_alias_is_completed_by_the_upstream() {
    let upstream = Upstream::new().await;
    let server = start(upstreams(&[upstream.address()]));
    let query = question(1, "OUT.shop.svc.cluster.local.", RecordType::A);
    let client = send(&server, &query).await;
    let (asked, peer) = upstream.asked().await;
    assert_eq!(asked.queries[0].name().to_string(), "ext.interwebs.test.");
    upstream.reply(&one_address(&asked), peer).await;
    let answer = answer(&client).await;
    assert!(answer.metadata.authoritative && answer.metadata.recursion_available && !answer.metadata.truncation);
    let records: Vec<_> = answer.answers.iter().map(ToString::to_string).collect();
    assert_eq!(
        records,
        ["OUT.shop.svc.cluster.local. 5 IN CNAME ext.interwebs.test.", "ext.interwebs.test. 60 IN A 192.0.2.1"]
    );
    server.stop().await;
}

#[tokio::test]
async fn an_alias_takes_its_targets_denial_and_cut() {
    let upstream = Upstream::new().await;
    let server = start(upstreams(&[upstream.address()]));
    for (expected, is_cut, addresses) in [
        (ResponseCode::NXDomain, false, &[][..]),
        (ResponseCode::NoError, true, &[]),
        (ResponseCode::NoError, true, &["1.2.3.4"]),
    ] {
        let client = send(&server, &question(1, "out.shop.svc.cluster.local.", RecordType::A)).await;
        let (asked, peer) = upstream.asked().await;
        let told: Vec<_> = addresses.iter().map(|address| address.parse().unwrap()).collect();
        let mut reply = crate::harness::addresses(&asked, &told);
        reply.metadata.response_code = expected;
        reply.metadata.truncation = is_cut;
        upstream.reply(&reply, peer).await;
        if is_cut {
            drop(upstream.tcp.accept().await.unwrap());
        }
        let answer = answer(&client).await;
        assert_eq!((answer.metadata.response_code, answer.metadata.truncation), (expected, is_cut));
        assert_eq!(answered(&answer), [&["ext.interwebs.test."], addresses].concat());
    }
    server.stop().await;
}

#[tokio::test]
async fn an_alias_stands_where_nobody_tells_its_addresses() {
    let (failing, refusing) = (Upstream::new().await, Upstream::new().await);
    let gone = Upstream::new().await.address();
    let settings = [
        settings(),
        upstreams(&[gone]),
        upstreams(&[failing.address()]),
        upstreams(&[refusing.address()]),
        Settings { forward_limit: 0, ..upstreams(&[failing.address()]) },
    ];
    drop(failing.answering(|question| {
        let mut answer = code(question, ResponseCode::ServFail);
        answer.authorities = one_address(question).answers;
        answer
    }));
    drop(refusing.answering(|question| code(question, ResponseCode::Refused)));
    for settings in settings {
        let what = format!("{settings:?}");
        let server = start(settings);
        for (record_type, over_tcp) in [(RecordType::A, false), (RecordType::AAAA, true)] {
            let query = question(1, "out.shop.svc.cluster.local.", record_type);
            let answer = if over_tcp {
                let mut stream = server.connect().await;
                stream.write_all(&frame(&query.to_vec().unwrap())).await.unwrap();
                Message::from_vec(&read_frame(&mut stream).await.unwrap()).unwrap()
            } else {
                server.ask(&query).await
            };
            assert_eq!(answer.metadata.response_code, ResponseCode::NoError, "{what}");
            assert!(answer.metadata.authoritative, "{what}");
            assert_eq!(answered(&answer), ["ext.interwebs.test."], "{what}");
            assert!(answer.authorities.is_empty(), "nothing is denied: {what}");
        }
        server.stop().await;
    }
}

#[tokio::test]
async fn only_addresses_behind_an_alias_are_asked_for() {
    let upstream = Upstream::new().await;
    let server = start(upstreams(&[upstream.address()]));
    let mut asked = upstream.answering(one_address);
    for record_type in [RecordType::SRV, RecordType::MX, RecordType::TXT, RecordType::HTTPS, RecordType::CNAME] {
        let answer = server.ask(&question(1, "out.shop.svc.cluster.local.", record_type)).await;
        assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
        assert_eq!(answered(&answer), ["ext.interwebs.test."], "{record_type}");
    }
    server.ask(&question(2, "last.example.", RecordType::A)).await;
    assert_eq!(asked.recv().await.unwrap(), "last.example.");
    server.stop().await;
}

#[tokio::test]
async fn a_corefile_says_who_is_asked_and_what_is_kept() {
    let (corp, other) = (Upstream::new().await, Upstream::new().await);
    let (server, _) = start_corefile(&format!(
        ".:PORT {{\n bind 127.0.0.1\n cache 30 example.org\n forward corp.example {} {{\n  max_concurrent 1\n  except www.corp.example\n }}\n \
         forward . {} {{\n  force_tcp\n  except nobody.example\n }}\n}}\n",
        corp.address(),
        other.address(),
    ));
    let first = send(&server, &question(1, "a.corp.example.", RecordType::A)).await;
    let (asked, peer) = corp.asked().await;
    let refused = server.ask(&with_edns(question(2, "b.corp.example.", RecordType::A), 1232)).await;
    assert_eq!(refused.metadata.response_code, ResponseCode::Refused);
    let why = refused.edns.unwrap().option(rdata::opt::EdnsCode::Unknown(15)).cloned();
    let said = b"\0\0too many questions are waiting for upstreams".to_vec();
    assert_eq!(why, Some(rdata::opt::EdnsOption::Unknown(15, said)));
    corp.reply(&one_address(&asked), peer).await;
    assert_eq!(answered(&answer(&first).await), ["192.0.2.1"]);
    // The other one is asked over one connection, about each name as often as it is not kept.
    let answering = tokio::spawn(async move {
        let (mut stream, _) = other.tcp.accept().await.unwrap();
        let mut names = Vec::new();
        while let Ok(packet) = read_frame(&mut stream).await {
            let asked = Message::from_vec(&packet).unwrap();
            names.push(asked.queries[0].name().to_string());
            stream.write_all(&frame(&one_address(&asked).to_vec().unwrap())).await.unwrap();
        }
        names
    });
    for name in ["www.corp.example.", "example.org.", "example.com.", "example.org.", "example.com."] {
        assert_eq!(answered(&server.ask(&question(3, name, RecordType::A)).await), ["192.0.2.1"], "{name}");
    }
    let nobody = server.ask(&question(4, "nobody.example.", RecordType::A)).await;
    assert_eq!(nobody.metadata.response_code, ResponseCode::ServFail);
    let to = format!("to=\"{}\"", corp.address());
    let count = "tidegate_dns_upstream_request_duration_seconds_count";
    assert_eq!(server.metric(count, &[&to, "rcode=\"NOERROR\""]), 1.0);
    assert_eq!(server.metric("tidegate_dns_cache_entries", &["type=\"success\""]), 1.0);
    server.stop().await;
    assert_eq!(answering.await.unwrap(), ["www.corp.example.", "example.org.", "example.com.", "example.com."]);
}

#[tokio::test]
async fn who_asks_over_tcp_where_nobody_answers_holds_up_nobody_over_udp() {
    let upstream = Upstream::new().await;
    let options = "read_timeout 60s\n max_connect_attempts 1\n max_fails 0";
    let (server, _) = start_corefile(&format!(
        ".:PORT {{\n bind 127.0.0.1\n cache 30\n forward . {} {{\n {options}\n }}\n}}\n",
        upstream.address()
    ));
    let ask = async |name: &str| {
        let client = send(&server, &question(1, name, RecordType::A)).await;
        let (asked, peer) = upstream.asked().await;
        upstream.reply(&one_address(&asked), peer).await;
        assert_eq!(answered(&answer(&client).await), ["192.0.2.1"], "{name}");
    };
    for is_waiting in [true, false] {
        let name = format!("{is_waiting}.example.");
        let mut stream = server.connect().await;
        let query = question(2, &name, RecordType::A).to_vec().unwrap();
        stream.write_all(&frame(&query)).await.unwrap();
        let (mut asking, _) = upstream.tcp.accept().await.unwrap();
        read_frame(&mut asking).await.unwrap();
        if is_waiting {
            ask(&name).await;
        }
        drop(asking);
        let failed = Message::from_vec(&read_frame(&mut stream).await.unwrap()).unwrap();
        assert_eq!(failed.metadata.response_code, ResponseCode::ServFail);
        if !is_waiting {
            // Nor is it remembered for them.
            ask(&name).await;
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn another_answer_on_a_connection_is_passed_over() {
    let upstream = Upstream::new().await;
    let (server, _) = start_corefile(&format!(
        ".:PORT {{\n bind 127.0.0.1\n forward . {} {{\n force_tcp\n read_timeout 60s\n }}\n}}\n",
        upstream.address()
    ));
    let client = send(&server, &question(1, "a.example.", RecordType::A)).await;
    let (mut stream, _) = upstream.tcp.accept().await.unwrap();
    let asked = Message::from_vec(&read_frame(&mut stream).await.unwrap()).unwrap();
    let mut other = addresses(&asked, &[[192, 0, 2, 66].into()]);
    other.metadata.id ^= 1;
    for answer in [other, one_address(&asked)] {
        stream.write_all(&frame(&answer.to_vec().unwrap())).await.unwrap();
    }
    assert_eq!(answered(&answer(&client).await), ["192.0.2.1"]);
    assert_eq!(server.metric("tidegate_dns_upstream_mismatches_total", &[]), 1.0);
    server.stop().await;
}
