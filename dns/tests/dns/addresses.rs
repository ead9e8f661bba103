//! A server that listens on all addresses answers from the one that was asked, and knows which one that was.

use crate::harness::*;
use hickory_proto::op::Message;
use hickory_proto::rr::RecordType;
use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use std::collections::BTreeSet;
use std::io::IoSliceMut;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tidegate_dns::{At, Transport, bind};
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::{TcpStream, UdpSocket};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Where the server listens, and addresses of it; IPv6 as far as the machine has it.
fn listening() -> Vec<(&'static str, Vec<&'static str>)> {
    let mut listening =
        vec![("0.0.0.0:0", vec!["127.0.0.1", "127.0.0.2", "127.1.2.3"]), ("127.0.0.2:0", vec!["127.0.0.2"])];
    if std::net::UdpSocket::bind("[::1]:0").is_ok() {
        listening.push(("[::]:0", vec!["127.0.0.1", "127.0.0.2", "::1"]));
        listening.push(("[::1]:0", vec!["::1"]));
    }
    listening
}

#[tokio::test]
async fn an_answer_leaves_from_the_address_that_was_asked() {
    for (bind, own) in listening() {
        let upstream = Upstream::new().await;
        let server = start_at(bind.parse().unwrap(), upstreams(&[upstream.address()]));
        drop(upstream.answering(one_address));
        for own in own {
            let asked_at = SocketAddr::new(ip(own), server.address.port());
            let any = if asked_at.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
            // Not connected, so that it sees where answers come from.
            let client = UdpSocket::bind(any).await.unwrap();
            for (name, expected) in [
                ("web.shop.svc.cluster.local.", "10.0.0.1"),
                // Answered after a while, by another task.
                ("example.org.", "192.0.2.1"),
            ] {
                let query = question(1, name, RecordType::A).to_vec().unwrap();
                client.send_to(&query, asked_at).await.unwrap();
                let mut packet = [0; 512];
                let (length, from) = client.recv_from(&mut packet).await.unwrap();
                assert_eq!(from, asked_at, "{name} at {bind}");
                assert_eq!(answered(&Message::from_vec(&packet[..length]).unwrap()), [expected]);
            }
        }
        server.stop().await;
    }
}

#[tokio::test]
async fn the_name_server_is_where_it_was_asked() {
    for (bind, own) in listening() {
        let server = start_at(bind.parse().unwrap(), settings());
        for own in own {
            let asked_at = SocketAddr::new(ip(own), server.address.port());
            let any = if asked_at.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
            let client = UdpSocket::bind(any).await.unwrap();
            client.connect(asked_at).await.unwrap();
            let mut stream = TcpStream::connect(asked_at).await.unwrap();
            let query = question(1, "cluster.local.", RecordType::NS).to_vec().unwrap();
            client.send(&query).await.unwrap();
            stream.write_all(&frame(&query)).await.unwrap();
            for packet in [receive(&client).await, read_frame(&mut stream).await.unwrap()] {
                let answer = Message::from_vec(&packet).unwrap();
                assert_eq!(answered(&answer), ["ns.dns.cluster.local."]);
                let glue: Vec<_> = answer.additionals.iter().map(|record| record.data.to_string()).collect();
                assert_eq!(glue, [own], "at {bind}");
            }
            let kind = if asked_at.is_ipv4() { RecordType::A } else { RecordType::AAAA };
            client.send(&question(2, "ns.dns.cluster.local.", kind).to_vec().unwrap()).await.unwrap();
            assert_eq!(answered(&Message::from_vec(&receive(&client).await).unwrap()), [own], "at {bind}");
        }
        server.stop().await;
    }
}

/// The kernel hands packets over in one piece that one client sends at once.
#[tokio::test]
async fn every_packet_of_a_piece_is_answered() {
    let server = start(settings());
    let client = server.client().await;
    let state = UdpSocketState::new((&client).into()).unwrap();
    let questions: Vec<_> =
        (1..=5).map(|id| question(id, "web.shop.svc.cluster.local.", RecordType::A).to_vec().unwrap()).collect();
    let contents = questions.concat();
    let transmit = Transmit {
        destination: server.address,
        ecn: None,
        contents: &contents,
        segment_size: Some(questions[0].len()),
        src_ip: None,
    };
    client.writable().await.unwrap();
    state.try_send((&client).into(), &transmit).unwrap();
    // Such a client takes answers in pieces too.
    let (mut ids, mut room, mut meta) = (BTreeSet::new(), vec![0; 65_536], [RecvMeta::default()]);
    while ids.len() < questions.len() {
        client.readable().await.unwrap();
        let received = client
            .try_io(Interest::READABLE, || state.recv((&client).into(), &mut [IoSliceMut::new(&mut room)], &mut meta));
        let [RecvMeta { len, stride, .. }] = meta;
        for answer in received.iter().flat_map(|_| room[..len].chunks(stride)) {
            let answer = Message::from_vec(answer).unwrap();
            assert_eq!(answered(&answer), ["10.0.0.1"]);
            assert!(ids.insert(answer.metadata.id));
        }
    }
    assert_eq!(ids, (1..=5).collect());
    server.stop().await;
}

/// An address that is taken out of one that takes all would get what comes there meanwhile, with nobody to read it.
#[tokio::test]
async fn addresses_that_are_refused_take_nothing_from_who_serves_all() {
    let (running, reloads) = start_corefile(".:PORT {\n bind 127.0.0.1\n whoami\n}\n");
    let all = bind("0.0.0.0:0".parse().unwrap(), 1).unwrap();
    let at = |text: &str, port| At { transport: Transport::Dns, address: SocketAddr::new(ip(text), port) };
    let port = all.address.port();
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let taken = at("127.0.0.1", taken.local_addr().unwrap().port());
    // No host has one of these.
    let not_ours = at("240.0.0.1", port);
    let server = &all.udp[0];
    server.set_nonblocking(false).unwrap();
    server.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let client = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(("127.0.0.1", port)).unwrap();
    let is_over = AtomicBool::new(false);
    let served = [at("0.0.0.0", port)];
    let refusals = std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                client.send(b"question").unwrap();
                server.recv(&mut [0; 16]).expect("what was sent");
            }
        });
        let refused = [taken, not_ours].into_iter().cycle().take(4_000);
        let refusals: Vec<_> =
            refused.map(|refused| (refused, reloads.bind(&[at("127.0.0.1", port), refused], &served, 1))).collect();
        is_over.store(true, Ordering::Relaxed);
        asking.join().unwrap();
        refusals
    });
    for (refused, bound) in refusals {
        let error = bound.unwrap_err().to_string();
        assert!(error.contains(&refused.address.to_string()), "{error}");
    }
    running.stop().await;
}
