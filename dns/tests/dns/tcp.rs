//! Questions over TCP (RFC 7766).

use crate::harness::*;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType;
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use std::io::ErrorKind;
use std::time::Duration;
use tidegate_dns::{Bounds, Settings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::Instant;

fn query(id: u16, name: &str, record_type: RecordType) -> Vec<u8> {
    frame(&question(id, name, record_type).to_vec().unwrap())
}

async fn read(stream: &mut TcpStream) -> Message {
    Message::from_vec(&read_frame(stream).await.unwrap()).unwrap()
}

async fn is_closed(stream: &mut TcpStream) -> bool {
    matches!(
        stream.read_u8().await.map_err(|error| error.kind()),
        Err(ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset)
    )
}

#[tokio::test]
async fn what_udp_cuts_comes_whole() {
    let server = start(settings());
    let mut stream = server.connect().await;
    stream.write_all(&query(1, "big.shop.svc.cluster.local.", RecordType::A)).await.unwrap();
    let answer = read(&mut stream).await;
    assert_eq!(answer.answers.len(), 100);
    assert!(!answer.metadata.truncation);
    stream.write_all(&query(2, "_http._tcp.big.shop.svc.cluster.local.", RecordType::SRV)).await.unwrap();
    let answer = read(&mut stream).await;
    assert_eq!((answer.answers.len(), answer.additionals.len()), (100, 100));
    server.stop().await;
}

#[tokio::test]
async fn even_tcp_has_an_end() {
    let server = start(settings());
    let mut stream = server.connect().await;
    stream.write_all(&query(1, "huge.shop.svc.cluster.local.", RecordType::A)).await.unwrap();
    let answer = read(&mut stream).await;
    // 12 bytes of header, 33 of question, 16 an address.
    assert_eq!(answer.answers.len(), (65_535 - 12 - 33) / 16);
    assert!(answer.metadata.truncation);
    server.stop().await;
}

#[tokio::test]
async fn a_question_may_come_in_pieces() {
    let server = start(settings());
    let mut stream = server.connect().await;
    for id in 1..4 {
        write_slowly(&mut stream, &query(id, "web.shop.svc.cluster.local.", RecordType::A)).await;
        let answer = read(&mut stream).await;
        assert_eq!((answer.metadata.id, answered(&answer)), (id, vec!["10.0.0.1".to_owned()]));
    }
    server.stop().await;
}

#[tokio::test]
async fn questions_may_come_all_at_once() {
    let server = start(settings());
    let mut stream = server.connect().await;
    let queries: Vec<u8> = (0..200).flat_map(|id| query(id, "web.shop.svc.cluster.local.", RecordType::A)).collect();
    stream.write_all(&queries).await.unwrap();
    for id in 0..200 {
        assert_eq!(read(&mut stream).await.metadata.id, id);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_quick_answer_overtakes_a_slow_one() {
    let upstream = Upstream::new().await;
    let server = start(Settings { upstreams: vec![upstream.address()], ..settings() });
    let mut stream = server.connect().await;
    stream.write_all(&query(1, "example.org.", RecordType::A)).await.unwrap();
    let (asked, peer) = upstream.asked().await;
    stream.write_all(&query(2, "web.shop.svc.cluster.local.", RecordType::A)).await.unwrap();
    assert_eq!(read(&mut stream).await.metadata.id, 2);
    upstream.reply(&addresses(&asked, &["192.0.2.1".parse().unwrap()]), peer).await;
    let answer = read(&mut stream).await;
    assert_eq!((answer.metadata.id, answered(&answer)), (1, vec!["192.0.2.1".to_owned()]));
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_ends_its_side_still_gets_its_answers() {
    let upstream = Upstream::new().await;
    let server = start(Settings { upstreams: vec![upstream.address()], ..settings() });
    let mut stream = server.connect().await;
    stream.write_all(&query(1, "example.org.", RecordType::A)).await.unwrap();
    stream.shutdown().await.unwrap();
    let (asked, peer) = upstream.asked().await;
    upstream.reply(&addresses(&asked, &[]), peer).await;
    assert_eq!(read(&mut stream).await.metadata.id, 1);
    assert!(is_closed(&mut stream).await);
    server.stop().await;
}

#[tokio::test]
async fn what_is_no_question_ends_the_connection() {
    let server = start(settings());
    let mut response = question(1, "web.shop.svc.cluster.local.", RecordType::A).to_vec().unwrap();
    response[2] |= 0x80;
    for bytes in [vec![0, 0], vec![0, 11], vec![0x10, 0x01], vec![0xff, 0xff], frame(&response)] {
        let mut stream = server.connect().await;
        stream.write_all(&bytes).await.unwrap();
        assert!(is_closed(&mut stream).await, "{bytes:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn what_was_asked_before_a_mistake_is_answered() {
    let server = start(settings());
    let mut stream = server.connect().await;
    let asked = query(1, "web.shop.svc.cluster.local.", RecordType::A);
    stream.write_all(&[&asked[..], &[0, 11]].concat()).await.unwrap();
    assert_eq!(read(&mut stream).await.metadata.id, 1);
    assert!(is_closed(&mut stream).await);
    server.stop().await;
}

#[tokio::test]
async fn what_waits_for_upstreams_when_a_mistake_comes_is_answered() {
    let upstream = Upstream::new().await;
    let server = start(upstreams(&[upstream.address()]));
    let mut response = question(2, "web.shop.svc.cluster.local.", RecordType::A).to_vec().unwrap();
    response[2] |= 0x80;
    let after = query(3, "web.shop.svc.cluster.local.", RecordType::A);
    for (name, mistake) in [("a.org.", vec![0, 11]), ("b.org.", vec![0xff, 0xff]), ("c.org.", frame(&response))] {
        let mut stream = server.connect().await;
        let before = query(1, name, RecordType::A);
        stream.write_all(&[before, mistake, after.clone()].concat()).await.unwrap();
        let (asked, peer) = upstream.asked().await;
        upstream.reply(&one_address(&asked), peer).await;
        let answer = read(&mut stream).await;
        assert_eq!((answer.metadata.id, answered(&answer)), (1, vec!["192.0.2.1".to_owned()]));
        assert!(is_closed(&mut stream).await, "no more is taken");
    }
    server.stop().await;
}

#[tokio::test]
async fn who_has_asked_much_of_upstreams_is_refused_more_of_them_alone() {
    let upstream = Upstream::new().await;
    let server = start(Settings { upstreams: vec![upstream.address()], forward_limit: 2000, ..settings() });
    let mut stream = server.connect().await;
    let outside = (0..257).flat_map(|id| query(id, &format!("{id}.example.org."), RecordType::A));
    let inside = query(999, "web.shop.svc.cluster.local.", RecordType::A);
    stream.write_all(&outside.chain(inside).collect::<Vec<_>>()).await.unwrap();
    let refused = read(&mut stream).await;
    assert_eq!((refused.metadata.id, refused.metadata.response_code), (256, ResponseCode::Refused));
    assert_eq!(read(&mut stream).await.metadata.id, 999);
    // There is room for one where one has its answer.
    let (asked, peer) = upstream.asked().await;
    upstream.reply(&addresses(&asked, &["192.0.2.1".parse().unwrap()]), peer).await;
    assert_eq!(read(&mut stream).await.queries[0].name(), asked.queries[0].name());
    stream.write_all(&query(1000, "example.org.", RecordType::A)).await.unwrap();
    while upstream.asked().await.0.queries[0].name().num_labels() != 2 {}
    drop(stream);
    server.stop().await;
}

#[test]
fn a_silent_connection_is_closed_in_time() {
    with_still_clock(async {
        let server = start(settings());
        let mut stream = server.connect().await;
        stream.write_all(&query(1, "web.shop.svc.cluster.local.", RecordType::A)).await.unwrap();
        read(&mut stream).await;
        let since = Instant::now();
        assert!(is_closed(&mut stream).await);
        let took = since.elapsed();
        assert!((Duration::from_secs(10)..Duration::from_secs(11)).contains(&took), "{took:?}");
        server.stop().await;
    });
}

/// What an answer says of `edns-tcp-keepalive`, in units of 100 ms.
fn keepalive(answer: &Message) -> Option<Vec<u8>> {
    match answer.edns.as_ref()?.option(EdnsCode::Keepalive)? {
        EdnsOption::Unknown(_, content) => Some(content.clone()),
        option => panic!("{option:?}"),
    }
}

fn with_keepalive(id: u16, name: &str) -> Message {
    let mut query = with_edns(question(id, name, RecordType::A), 1232);
    query.edns.as_mut().unwrap().options_mut().insert(EdnsOption::Unknown(11, Vec::new()));
    query
}

#[tokio::test]
async fn who_asks_is_told_how_long_a_connection_may_be_silent() {
    let upstream = Upstream::new().await;
    let server = start(Settings { upstreams: vec![upstream.address()], ..settings() });
    let mut stream = server.connect().await;
    let inside = with_keepalive(1, "web.shop.svc.cluster.local.");
    stream.write_all(&frame(&inside.to_vec().unwrap())).await.unwrap();
    assert_eq!(keepalive(&read(&mut stream).await), Some(vec![0, 100]));
    stream.write_all(&frame(&with_keepalive(2, "example.org.").to_vec().unwrap())).await.unwrap();
    let (asked, peer) = upstream.asked().await;
    upstream.reply(&addresses(&asked, &["192.0.2.1".parse().unwrap()]), peer).await;
    assert_eq!(keepalive(&read(&mut stream).await), Some(vec![0, 100]));
    let silent = with_edns(question(3, "web.shop.svc.cluster.local.", RecordType::A), 1232);
    stream.write_all(&frame(&silent.to_vec().unwrap())).await.unwrap();
    assert_eq!(keepalive(&read(&mut stream).await), None);
    // Over UDP it means nothing (RFC 7828 §3.3.1).
    assert_eq!(keepalive(&server.ask(&inside).await), None);
    server.stop().await;
}

#[tokio::test]
async fn the_last_answer_of_a_connection_says_so() {
    let (server, _) =
        start_corefile(".:PORT {\n bind 127.0.0.1\n kubernetes cluster.local\n timeouts {\n  maxtcpqueries 2\n }\n}\n");
    let mut stream = server.connect().await;
    let query = with_keepalive(1, "web.shop.svc.cluster.local.").to_vec().unwrap();
    stream.write_all(&frame(&query).repeat(2)).await.unwrap();
    assert_eq!(keepalive(&read(&mut stream).await), Some(vec![0, 100]));
    assert_eq!(keepalive(&read(&mut stream).await), Some(vec![0, 0]));
    server.stop().await;
}

#[test]
fn a_question_that_dawdles_is_not_waited_for() {
    with_still_clock(async {
        let server = start(settings());
        let mut stream = server.connect().await;
        let bytes = query(1, "web.shop.svc.cluster.local.", RecordType::A);
        let since = Instant::now();
        let mut sent = 0;
        // A byte a second is never silent, and still never a question.
        let closed = loop {
            if stream.write_all(&bytes[sent..=sent]).await.is_err() {
                break true;
            }
            sent += 1;
            let pause = tokio::time::timeout(Duration::from_secs(1), is_closed(&mut stream)).await;
            if let Ok(closed) = pause {
                break closed;
            }
        };
        assert!(closed && since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
        server.stop().await;
    });
}

#[tokio::test]
async fn one_client_does_not_take_all_connections() {
    let server = start_bounded(settings(), Bounds { connections: 8, ..Bounds::default() });
    let mut kept = Vec::new();
    for id in 0..2 {
        let mut stream = server.connect().await;
        stream.write_all(&query(id, "web.shop.svc.cluster.local.", RecordType::A)).await.unwrap();
        assert_eq!(read(&mut stream).await.metadata.id, id);
        kept.push(stream);
    }
    assert_eq!(server.metric("tidegate_dns_tcp_connections", &[]), 2.0);
    assert!(is_closed(&mut server.connect().await).await);
    assert_eq!(server.metric("tidegate_dns_dropped_total", &["reason=\"connections\""]), 1.0);
    for stream in &mut kept {
        stream.write_all(&query(9, "web.shop.svc.cluster.local.", RecordType::A)).await.unwrap();
        assert_eq!(read(stream).await.metadata.id, 9);
    }
    server.stop().await;
}

#[test]
fn silent_connections_make_room_where_all_places_are_taken() {
    with_still_clock(async {
        let server = start_bounded(settings(), Bounds { connections: 4, ..Bounds::default() });
        let mut taken = Vec::new();
        for client in 2..6 {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind(([127, 0, 0, client], 0).into()).unwrap();
            let mut stream = socket.connect(server.address).await.unwrap();
            stream.write_all(&query(1, "web.shop.svc.cluster.local.", RecordType::A)).await.unwrap();
            read(&mut stream).await;
            taken.push(stream);
        }
        let since = Instant::now();
        let mut last = server.connect().await;
        last.write_all(&query(2, "web.shop.svc.cluster.local.", RecordType::A)).await.unwrap();
        assert_eq!(read(&mut last).await.metadata.id, 2);
        // A fifth of the usual 10 s.
        let waited = since.elapsed();
        assert!((Duration::from_millis(1500)..Duration::from_millis(3500)).contains(&waited), "{waited:?}");
        server.stop().await;
    });
}

#[test]
fn a_silent_connection_of_a_client_makes_room_for_its_next() {
    with_still_clock(async {
        // A quarter of them for each client.
        let server = start_bounded(settings(), Bounds { connections: 16, ..Bounds::default() });
        let asked = query(1, "web.shop.svc.cluster.local.", RecordType::A);
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 2], 0).into()).unwrap();
        let mut other = socket.connect(server.address).await.unwrap();
        let mut silent = Vec::new();
        for _ in 0..4 {
            let mut stream = server.connect().await;
            stream.write_all(&asked).await.unwrap();
            read(&mut stream).await;
            silent.push(stream);
        }
        let since = Instant::now();
        let [one, two, three, four] = &mut silent[..] else { unreachable!() };
        // One of them is enough.
        let is_room = tokio::select! {
            closed = is_closed(one) => closed,
            closed = is_closed(two) => closed,
            closed = is_closed(three) => closed,
            closed = is_closed(four) => closed,
        };
        assert!(is_room);
        // A fifth of the usual 10 s.
        let waited = since.elapsed();
        assert!((Duration::from_millis(1500)..Duration::from_millis(3500)).contains(&waited), "{waited:?}");
        for stream in [&mut server.connect().await, &mut other] {
            stream.write_all(&asked).await.unwrap();
            assert_eq!(read(stream).await.metadata.id, 1);
        }
        server.stop().await;
    });
}

#[tokio::test]
async fn what_was_asked_before_the_end_is_answered() {
    let upstream = Upstream::new().await;
    let server = start(Settings { upstreams: vec![upstream.address()], ..settings() });
    let mut stream = server.connect().await;
    let mut idle = server.connect().await;
    stream.write_all(&query(1, "example.org.", RecordType::A)).await.unwrap();
    let (over_tcp, tcp_peer) = upstream.asked().await;
    let client = server.client().await;
    client.send(&question(2, "example.com.", RecordType::A).to_vec().unwrap()).await.unwrap();
    let (over_udp, udp_peer) = upstream.asked().await;
    let address = server.address;
    let stopping = tokio::spawn(server.stop());
    assert!(is_closed(&mut idle).await);
    // Who comes now is sent elsewhere at once.
    while let Ok(stream) = TcpStream::connect(address).await {
        drop(stream);
    }
    upstream.reply(&addresses(&over_tcp, &[]), tcp_peer).await;
    upstream.reply(&addresses(&over_udp, &[]), udp_peer).await;
    assert_eq!(read(&mut stream).await.metadata.id, 1);
    assert_eq!(Message::from_vec(&receive(&client).await).unwrap().metadata.id, 2);
    stopping.await.unwrap();
}
