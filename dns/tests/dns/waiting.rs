//! Questions that wait for upstreams: there are only so many of them, and nobody else waits for them.

use crate::harness::*;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType;
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use tidegate_dns::{Bounds, Settings};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UdpSocket};

/// Of one client.
const BOUND: u16 = 40;

/// An eighth of all, rounded down, is for others.
fn bounds() -> Bounds {
    Bounds { waiting: usize::from(BOUND) + 5, ..Bounds::default() }
}

fn outside(id: u16, record_type: RecordType) -> Message {
    with_edns(question(id, &format!("{id}.example.org."), record_type), 1232)
}

fn inside(id: u16) -> Message {
    question(id, "web.shop.svc.cluster.local.", RecordType::A)
}

/// The extended error of an answer (RFC 8914).
fn extended_error(answer: &Message) -> Option<Vec<u8>> {
    match answer.edns.as_ref()?.option(EdnsCode::Unknown(15))? {
        EdnsOption::Unknown(_, bytes) => Some(bytes.clone()),
        option => panic!("{option:?}"),
    }
}

fn assert_refused(answer: &Message, id: u16) {
    assert_eq!((answer.metadata.id, answer.metadata.response_code), (id, ResponseCode::Refused));
    let busy = b"\x00\x00too many questions are waiting for upstreams";
    assert_eq!(extended_error(answer).as_deref(), Some(&busy[..]));
}

/// Asks so much that no more of this client may wait, and waits until the upstream was asked all of it.
async fn fill(
    server: &Running,
    upstream: &Upstream,
    record_type: RecordType,
) -> (UdpSocket, Vec<(Message, std::net::SocketAddr)>) {
    let client = server.client().await;
    let mut asked = Vec::new();
    for id in 0..BOUND {
        client.send(&outside(id, record_type).to_vec().unwrap()).await.unwrap();
        asked.push(upstream.asked().await);
    }
    assert_eq!(server.metric("tidegate_dns_waiting", &[]), f64::from(BOUND));
    (client, asked)
}

async fn exchange(stream: &mut TcpStream, query: &Message) -> Message {
    stream.write_all(&frame(&query.to_vec().unwrap())).await.unwrap();
    Message::from_vec(&read_frame(stream).await.unwrap()).unwrap()
}

#[tokio::test]
async fn names_of_the_cluster_wait_for_nobody() {
    let upstream = Upstream::new().await;
    let settings =
        Settings { upstream_timeout: std::time::Duration::from_secs(60), ..upstreams(&[upstream.address()]) };
    let server = start_bounded(settings, bounds());
    let (client, asked) = fill(&server, &upstream, RecordType::A).await;
    assert_refused(&server.ask(&outside(100, RecordType::A)).await, 100);
    assert_eq!(answered(&server.ask(&inside(1)).await), ["10.0.0.1"]);
    let mut stream = server.connect().await;
    assert_refused(&exchange(&mut stream, &outside(101, RecordType::A)).await, 101);
    assert_eq!(answered(&exchange(&mut stream, &inside(2)).await), ["10.0.0.1"]);
    assert_eq!(server.metric("tidegate_dns_forward_failures_total", &["reason=\"busy\""]), 2.0);
    // Once there are answers there is room.
    for (question, peer) in &asked {
        upstream.reply(&one_address(question), *peer).await;
        assert_eq!(answered(&answer(&client).await), ["192.0.2.1"]);
    }
    assert_eq!(server.metric("tidegate_dns_waiting", &[]), 0.0);
    let (_client, asked) = fill(&server, &upstream, RecordType::AAAA).await;
    assert_refused(&exchange(&mut stream, &outside(102, RecordType::A)).await, 102);
    drop(stream);
    for (question, peer) in &asked {
        upstream.reply(&addresses(question, &[]), *peer).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn what_takes_several_questions_has_its_place_for_each() {
    let upstream = Upstream::new().await;
    let forward = format!("forward . {} {{\n read_timeout 60s\n }}", upstream.address());
    let corefile =
        format!(".:PORT {{\n bind 127.0.0.1\n dns64 {{\n allow_ipv4\n }}\n kubernetes cluster.local\n {forward}\n}}\n");
    let server = start_corefile_bounded(&corefile, bounds());
    let (client, asked) = fill(&server, &upstream, RecordType::AAAA).await;
    assert_refused(&server.ask(&outside(100, RecordType::AAAA)).await, 100);
    assert_eq!(answered(&server.ask(&inside(1)).await), ["10.0.0.1"]);
    // Without an address of IPv6 there is one to be made of that of IPv4, which is asked for then.
    for (question, peer) in &asked {
        upstream.reply(&addresses(question, &[]), *peer).await;
        let (question, peer) = upstream.asked().await;
        assert_eq!(question.queries[0].query_type(), RecordType::A);
        upstream.reply(&one_address(&question), peer).await;
        assert_eq!(answered(&answer(&client).await), ["64:ff9b::c000:201"]);
    }
    assert_eq!(server.metric("tidegate_dns_waiting", &[]), 0.0);
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_asks_what_nobody_answers_leaves_others_their_room() {
    let upstream = Upstream::new().await;
    let long = std::time::Duration::from_secs(60);
    let settings = Settings { upstream_timeout: long, forward_limit: 8, ..upstreams(&[upstream.address()]) };
    let server = start(settings);
    let [greedy, other] = [server.client().await, UdpSocket::bind("127.0.0.2:0").await.unwrap()];
    other.connect(server.address).await.unwrap();
    for id in 0..7 {
        greedy.send(&outside(id, RecordType::A).to_vec().unwrap()).await.unwrap();
        upstream.asked().await;
    }
    // Over a connection, and from another port, it is the same client.
    assert_refused(&exchange(&mut server.connect().await, &outside(7, RecordType::A)).await, 7);
    assert_refused(&server.ask(&outside(8, RecordType::A)).await, 8);
    assert_eq!(server.metric("tidegate_dns_forward_failures_total", &["reason=\"busy\""]), 2.0);
    other.send(&outside(9, RecordType::A).to_vec().unwrap()).await.unwrap();
    let (asked, peer) = upstream.asked().await;
    upstream.reply(&one_address(&asked), peer).await;
    assert_eq!(answered(&answer(&other).await), ["192.0.2.1"]);
    drop((greedy, other));
    server.stop().await;
}

#[tokio::test]
async fn who_breaks_a_connection_leaves_what_it_asked_to_those_who_wait() {
    let upstream = Upstream::new().await;
    let long = std::time::Duration::from_secs(60);
    let server = start(Settings { upstream_timeout: long, ..upstreams(&[upstream.address()]) });
    let mut stream = server.connect().await;
    stream.write_all(&frame(&outside(1, RecordType::A).to_vec().unwrap())).await.unwrap();
    let (asked, peer) = upstream.asked().await;
    let client = server.client().await;
    client.send(&outside(1, RecordType::A).to_vec().unwrap()).await.unwrap();
    while server.metric("tidegate_dns_waiting", &[]) < 2.0 {
        tokio::task::yield_now().await;
    }
    stream.set_zero_linger().unwrap();
    drop(stream);
    while server.metric("tidegate_dns_tcp_connections", &[]) > 0.0 {
        tokio::task::yield_now().await;
    }
    upstream.reply(&one_address(&asked), peer).await;
    assert_eq!(answered(&answer(&client).await), ["192.0.2.1"]);
    client.send(&outside(2, RecordType::A).to_vec().unwrap()).await.unwrap();
    let (next, peer) = upstream.asked().await;
    assert_eq!(next.queries[0].name().to_string(), "2.example.org.", "nothing was asked twice");
    upstream.reply(&one_address(&next), peer).await;
    assert_eq!(answered(&answer(&client).await), ["192.0.2.1"]);
    server.stop().await;
}
