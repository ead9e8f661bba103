//! Whole zones over TCP (AXFR, RFC 5936; IXFR, RFC 1995), for those who may have them.

use crate::harness::*;
use crate::parts::extended_error;
use config::DnsCompatibility;
use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType, rdata};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

const ZONE: &str = "cluster.local.";

fn start_block(plugins: &str) -> Running {
    let (server, _) =
        start_corefile(&format!(".:PORT {{\n bind 127.0.0.1\n kubernetes cluster.local\n {plugins}\n}}\n"));
    server
}

async fn read(stream: &mut TcpStream) -> Message {
    Message::from_vec(&read_frame(stream).await.unwrap()).unwrap()
}

async fn send(stream: &mut TcpStream, query: &Message) {
    stream.write_all(&frame(&query.to_vec().unwrap())).await.unwrap();
}

fn is_soa(record: Option<&Record>) -> bool {
    record.is_some_and(|record| record.record_type() == RecordType::SOA)
}

/// All messages of a transfer, of which the last ends with the SOA that the first begins with.
async fn transferred(stream: &mut TcpStream) -> Vec<Message> {
    let mut messages = vec![read(stream).await];
    assert!(is_soa(messages[0].answers.first()), "{:?}", messages[0]);
    while messages.len() == 1 && messages[0].answers.len() == 1 || !is_soa(messages.last().unwrap().answers.last()) {
        messages.push(read(stream).await);
    }
    messages
}

fn incremental(serial: u32) -> Message {
    let mut query = question(5, ZONE, RecordType::IXFR);
    let names = ["ns.", "root."].map(|name| Name::from_ascii(name).unwrap());
    let [server, mail] = names;
    let soa = rdata::SOA::new(server, mail, serial, 1, 2, 3, 4);
    query.authorities = vec![Record::from_rdata(Name::from_ascii(ZONE).unwrap(), 0, RData::SOA(soa))];
    query
}

#[tokio::test]
async fn a_zone_of_many_messages_comes_whole() {
    let server = start_block("transfer {\n  to *\n }");
    let mut stream = server.connect().await;
    send(&mut stream, &question(7, ZONE, RecordType::AXFR)).await;
    // What is asked meanwhile is answered after it.
    send(&mut stream, &question(8, "web.shop.svc.cluster.local.", RecordType::A)).await;
    let messages = transferred(&mut stream).await;
    assert!(messages.len() > 50, "{} messages", messages.len());
    assert!(messages.iter().all(|message| message.metadata.id == 7 && message.metadata.authoritative));
    let records: usize = messages.iter().map(|message| message.answers.len()).sum();
    // Each of 5,107 endpoints has an address, an SRV record, and both again in its Service's name and in its port's.
    assert!(records > 5_107 * 6, "{records} records");
    assert_eq!(answered(&read(&mut stream).await), ["10.0.0.1"]);
    let asked = server.metric("tidegate_dns_requests_total", &["proto=\"tcp\""]);
    assert_eq!(asked, 2.0, "a transfer is one answer");
    server.stop().await;
}

#[tokio::test]
async fn who_has_the_serial_gets_the_soa_alone() {
    let server = start_block("transfer {\n  to 127.0.0.1\n }");
    let mut stream = server.connect().await;
    send(&mut stream, &incremental((1 << 31) + 7)).await;
    let answer = read(&mut stream).await;
    assert_eq!((answer.metadata.id, answer.answers.len()), (5, 1));
    send(&mut stream, &incremental((1 << 31) + 6)).await;
    assert!(transferred(&mut stream).await.len() > 50);
    // Without the SOA that the client has there is nothing to compare.
    send(&mut stream, &question(9, ZONE, RecordType::IXFR)).await;
    assert_eq!(read(&mut stream).await.metadata.response_code, ResponseCode::Refused);
    server.stop().await;
}

/// What a secondary is told (NOTIFY, RFC 1996), which it answers.
async fn told(secondary: &UdpSocket) -> Message {
    let mut packet = [0; 512];
    let (len, from) = timeout(Duration::from_secs(60), secondary.recv_from(&mut packet)).await.unwrap().unwrap();
    let told = Message::from_vec(&packet[..len]).unwrap();
    let mut answer = told.clone();
    answer.metadata.message_type = MessageType::Response;
    secondary.send_to(&answer.to_vec().unwrap(), from).await.unwrap();
    told
}

#[tokio::test]
async fn those_who_may_have_a_zone_are_told_that_there_is_one() {
    let [one, other] = [(); 2].map(|()| std::net::UdpSocket::bind("127.0.0.1:0").unwrap()).map(|socket| {
        socket.set_nonblocking(true).unwrap();
        UdpSocket::from_std(socket).unwrap()
    });
    let [first, second] = [&one, &other].map(|socket| socket.local_addr().unwrap());
    let corefile = |plugins: &str| format!(".:PORT {{\n bind 127.0.0.1\n kubernetes cluster.local\n {plugins}\n}}\n");
    let (server, reloads) = start_corefile(&corefile(&format!("transfer {{\n  to * {first}\n }}")));
    let is_of_zone = |told: &Message| {
        let question = &told.queries[0];
        (told.metadata.op_code, question.name().to_string().as_str(), question.query_type())
            == (OpCode::Notify, ZONE, RecordType::SOA)
    };
    assert!(is_of_zone(&told(&one).await));
    // Whom another Corefile names is told too, and whom both name is told again: it may have missed what was told before.
    let both = corefile(&format!("transfer {{\n  to {first} {second}\n }}"));
    let prepared = reloads.prepare(&plan(&both, server.address.port()), DnsCompatibility::Standard).unwrap();
    reloads.replace(prepared, Vec::new()).await.unwrap();
    for secondary in [&one, &other] {
        assert!(is_of_zone(&told(secondary).await));
    }
    server.stop().await;
}

#[tokio::test]
async fn others_are_refused() {
    for (plugins, zone) in [
        ("", ZONE),
        ("transfer {\n  to 192.0.2.1\n }", ZONE),
        ("transfer {\n  to *\n }\n transfer cluster.local {\n  to 192.0.2.1\n }", ZONE),
        ("transfer {\n  to *\n }\n acl {\n  block type AXFR\n }", ZONE),
        ("transfer {\n  to *\n }", "svc.cluster.local."),
        ("transfer {\n  to *\n }", "example.org."),
        ("transfer {\n  to *\n }", "."),
    ] {
        let server = start_block(plugins);
        let mut stream = server.connect().await;
        send(&mut stream, &question(7, zone, RecordType::AXFR)).await;
        let answer = read(&mut stream).await;
        assert_eq!(
            (answer.metadata.response_code, answer.answers.len()),
            (ResponseCode::Refused, 0),
            "{plugins} {zone}"
        );
        server.stop().await;
    }
    let server = start_block("transfer {\n  to *\n }");
    let answer = server.ask(&question(7, ZONE, RecordType::AXFR)).await;
    assert_eq!(answer.metadata.response_code, ResponseCode::Refused, "over UDP");
    server.stop().await;
}

#[tokio::test]
async fn who_may_not_ask_gets_of_a_zone_what_the_list_says() {
    for (rule, told, counter) in [
        ("block", Some((ResponseCode::Refused, Some(15))), "blocked"),
        ("filter", Some((ResponseCode::NoError, Some(17))), "filtered"),
        ("drop", None, "dropped"),
    ] {
        let server = start_block(&format!("transfer {{\n  to *\n }}\n acl cluster.local {{\n  {rule}\n }}"));
        let (mut stream, client) = (server.connect().await, server.client().await);
        let asked = [question(1, ZONE, RecordType::AXFR), incremental(0)].map(|query| with_edns(query, 1232));
        let last = question(9, "example.org.", RecordType::AXFR);
        for query in asked.iter().chain([&last]) {
            send(&mut stream, query).await;
            client.send(&query.to_vec().unwrap()).await.unwrap();
        }
        for query in asked.iter().filter(|_| told.is_some()) {
            for answer in [read(&mut stream).await, answer(&client).await] {
                let code = answer.metadata.response_code;
                assert_eq!((answer.metadata.id, answer.answers.len()), (query.metadata.id, 0), "{rule}");
                assert_eq!(Some((code, extended_error(&answer))), told, "{rule}");
            }
        }
        for answer in [read(&mut stream).await, answer(&client).await] {
            assert_eq!(answer.metadata.id, 9, "{rule}: what may be asked is answered next");
        }
        let counter = format!("coredns_acl_{counter}_requests_total");
        assert_eq!(server.metric(&counter, &[]), 4.0, "{rule}");
        assert_eq!(server.metric("coredns_acl_allowed_requests_total", &[]), 2.0, "{rule}");
        server.stop().await;
    }
}
