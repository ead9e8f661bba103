//! Servers that forward to each other, with others between them or not.

use crate::harness::*;
use config::DnsCompatibility;
use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::RecordType;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tidegate_dns::{CacheSettings, Settings};
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Not the address of clients: what comes from an upstream's tells that it may lead back.
const ELSEWHERE: (Ipv4Addr, u16) = (Ipv4Addr::new(127, 0, 0, 2), 0);

/// A forwarder of another make: each question goes on from a port of its own, and its answer back.
struct Between {
    address: SocketAddr,
    to: Arc<OnceLock<SocketAddr>>,
    passed: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Between {
    async fn new() -> Self {
        let socket = Arc::new(UdpSocket::bind(ELSEWHERE).await.unwrap());
        let address = socket.local_addr().unwrap();
        let (to, passed) = (Arc::new(OnceLock::new()), Arc::new(AtomicUsize::new(0)));
        let (target, count) = (Arc::clone(&to), Arc::clone(&passed));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut questions = JoinSet::new();
            loop {
                let mut packet = vec![0; 4096];
                let (len, peer) = socket.recv_from(&mut packet).await.unwrap();
                count.fetch_add(1, Ordering::Relaxed);
                let (socket, to) = (Arc::clone(&socket), *target.get().unwrap());
                let mut question = Message::from_vec(&packet[..len]).unwrap();
                questions.spawn(async move {
                    let id = question.metadata.id;
                    question.metadata.id ^= 0x5555;
                    let out = UdpSocket::bind(ELSEWHERE).await.unwrap();
                    out.connect(to).await.unwrap();
                    out.send(&question.to_vec().unwrap()).await.unwrap();
                    let mut answer = receive(&out).await;
                    answer[..2].copy_from_slice(&id.to_be_bytes());
                    socket.send_to(&answer, peer).await.unwrap();
                });
            }
        });
        Self { address, to, passed, _tasks: tasks }
    }

    fn lead_to(&self, address: SocketAddr) {
        self.to.set(address).unwrap();
    }

    fn passed(&self) -> usize {
        self.passed.load(Ordering::Relaxed)
    }
}

fn loops(server: &Running) -> f64 {
    server.metric("tidegate_dns_forward_failures_total", &["reason=\"loop\""])
}

/// Servers that each forward to all others, for which an upstream that says nothing costs a second.
async fn circle_of(count: usize, more: &str) -> Vec<Running> {
    let corefile = |to: &[SocketAddr]| {
        let to: Vec<_> = to.iter().map(SocketAddr::to_string).collect();
        format!(
            ".:PORT {{\n bind 127.0.0.1\n forward . {} {{\n read_timeout 1s\n max_fails 0\n }}\n {more}\n}}\n",
            to.join(" ")
        )
    };
    let started: Vec<_> = (0..count).map(|_| start_corefile(&corefile(&["192.0.2.1:53".parse().unwrap()]))).collect();
    let addresses: Vec<_> = started.iter().map(|(server, _)| server.address).collect();
    let mut servers = Vec::new();
    for (server, reloads) in started {
        let others: Vec<_> = addresses.iter().copied().filter(|other| *other != server.address).collect();
        let plan = plan(&corefile(&others), server.address.port());
        reloads.replace(reloads.prepare(&plan, DnsCompatibility::Standard).unwrap(), Vec::new()).await.unwrap();
        servers.push(server);
    }
    servers
}

/// Waits until no question waits for an upstream.
async fn until_quiet(servers: &[Running]) {
    while servers.iter().any(|server| server.metric("tidegate_dns_waiting", &[]) > 0.0) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// How often they have been asked for addresses.
fn asked(servers: &[Running]) -> f64 {
    servers.iter().map(|server| server.metric("coredns_dns_requests_total", &["type=\"A\""])).sum()
}

async fn fails(server: &Running, name: &str) {
    let answer = server.ask(&question(1, name, RecordType::A)).await;
    assert_eq!(answer.metadata.response_code, ResponseCode::ServFail, "{name}");
}

#[tokio::test]
async fn servers_that_forward_to_each_other_fail_at_once_when_that_is_known() {
    for count in [2, 3, 4] {
        let servers = circle_of(count, "").await;
        fails(&servers[0], "First.example.").await;
        until_quiet(&servers).await;
        // Each server asks each other one, once for all it is asked meanwhile, and twice for the second round.
        let bound = (count * (count - 1) * 4) as f64;
        assert!(asked(&servers) <= bound, "{count} {}", asked(&servers));
        for server in &servers {
            // All of them have been asked by others.
            fails(server, "a.").await;
        }
        until_quiet(&servers).await;
        for name in ["b.", "Second.example."] {
            for server in &servers {
                let before = asked(&servers);
                fails(server, name).await;
                until_quiet(&servers).await;
                // From one to the other, until it is back.
                assert!(asked(&servers) - before <= count as f64 + 1.0, "{count} {name} {}", asked(&servers) - before);
            }
        }
        for server in servers {
            server.stop().await;
        }
    }
}

#[tokio::test]
async fn a_circle_through_another_forwarder_fails_at_once_after_the_first_question() {
    let between = Between::new().await;
    // Long enough for the way there and back.
    let upstream_timeout = Duration::from_secs(1);
    let server = start(Settings { upstream_timeout, ..upstreams(&[between.address]) });
    between.lead_to(server.address);
    fails(&server, "first.example.").await;
    let (before, failed) = (between.passed(), loops(&server));
    for name in ["a.", "Second.example."] {
        fails(&server, name).await;
    }
    assert_eq!((between.passed() - before, loops(&server) - failed), (2, 2.0));
    server.stop().await;
}

#[tokio::test]
async fn who_leads_back_is_not_asked_where_another_upstream_does_not() {
    let upstream = Upstream::new().await;
    let corefile = |to: &str| {
        let options = "policy sequential\n max_fails 0\n read_timeout 1s";
        format!(".:PORT {{\n bind 127.0.0.1\n forward . {to} {{\n {options}\n }}\n}}\n")
    };
    let (one, reloads) = start_corefile(&corefile("192.0.2.1"));
    let (two, _) = start_corefile(&corefile(&one.address.to_string()));
    let plan = plan(&corefile(&format!("{} {}", two.address, upstream.address())), one.address.port());
    reloads.replace(reloads.prepare(&plan, DnsCompatibility::Standard).unwrap(), Vec::new()).await.unwrap();
    drop(upstream.answering(one_address));
    let servers = [one, two];
    for name in ["a.example.", "b.example.", "c.example."] {
        for server in &servers {
            let answer = server.ask(&with_edns(question(1, name, RecordType::A), 1232)).await;
            assert_eq!(answered(&answer), ["192.0.2.1"], "{} {answer}", server.address);
            // Clients are at the address of both here: who asked the same meanwhile would be taken for what comes back.
            until_quiet(&servers).await;
        }
    }
    // One of them asked the other once, before it was known.
    assert_eq!(servers[1].metric("coredns_dns_requests_total", &["type=\"A\""]), 3.0 + 1.0);
    for server in servers {
        server.stop().await;
    }
}

#[tokio::test]
async fn a_circle_of_a_block_for_one_zone_is_found_too() {
    let between = Between::new().await;
    let options = "max_fails 0\n read_timeout 1s";
    let corefile =
        format!("corp.test:PORT {{\n bind 127.0.0.1\n forward . {} {{\n {options}\n }}\n}}\n", between.address);
    let (server, _) = start_corefile(&corefile);
    between.lead_to(server.address);
    fails(&server, "first.corp.test.").await;
    let before = between.passed();
    for name in ["a.corp.test.", "b.corp.test."] {
        fails(&server, name).await;
    }
    assert_eq!(between.passed() - before, 2);
    server.stop().await;
}

/// Says this to all it is asked, and nothing that anybody wants to know of HINFO, be it what comes back to us.
fn without_hinfo(question: &Message) -> Message {
    match question.queries[0].query_type() {
        RecordType::HINFO => code(question, ResponseCode::Refused),
        _ => one_address(question),
    }
}

#[tokio::test]
async fn an_upstream_that_answers_is_asked_by_all_whatever_came_back_of_it() {
    let socket = UdpSocket::bind(ELSEWHERE).await.unwrap();
    let address = socket.local_addr().unwrap();
    let options = "max_fails 0\n read_timeout 60s";
    let (server, _) =
        start_corefile(&format!(".:PORT {{\n bind 127.0.0.1\n forward . {address} {{\n {options}\n }}\n}}\n"));
    let receive = async || {
        let mut packet = [0; 4096];
        loop {
            let (len, peer) = socket.recv_from(&mut packet).await.unwrap();
            let message = Message::from_vec(&packet[..len]).unwrap();
            if message.metadata.message_type == MessageType::Query {
                return (message, peer);
            }
        }
    };
    let answer_it = async |(question, peer): (Message, SocketAddr)| {
        socket.send_to(&without_hinfo(&question).to_vec().unwrap(), peer).await.unwrap();
    };
    // It asks us, so that it is looked whether it leads back, and sees to it that it seems so.
    let of_its_own = question(1, "a.example.", RecordType::A).to_vec().unwrap();
    socket.send_to(&of_its_own, server.address).await.unwrap();
    let mut asked = [receive().await, receive().await];
    asked.sort_by_key(|(question, _)| question.queries[0].query_type() != RecordType::HINFO);
    let [probe, its_own] = asked;
    assert_eq!(server.ask(&probe.0).await.metadata.response_code, ResponseCode::ServFail);
    answer_it(probe).await;
    let lasting = async {
        while loops(&server) < 1.0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(20), lasting).await.unwrap();
    answer_it(its_own).await;
    // Two who ask the same both get what it says.
    let other = question(2, "b.example.", RecordType::A);
    let clients = [send(&server, &other).await, send(&server, &other).await];
    while server.metric("tidegate_dns_waiting", &[]) < 2.0 {
        assert_eq!(loops(&server), 1.0, "that of the question that came back");
        tokio::task::yield_now().await;
    }
    answer_it(receive().await).await;
    for client in &clients {
        assert_eq!(answered(&answer(client).await), ["192.0.2.1"]);
    }
    server.stop().await;
}

/// An upstream that answers once, and fails from then on.
fn once() -> impl Fn(&Message) -> Message {
    let turn = AtomicUsize::new(0);
    move |question| match turn.fetch_add(1, Ordering::Relaxed) {
        0 => one_address(question),
        _ => code(question, ResponseCode::ServFail),
    }
}

/// Asks until what is told is over, as it must be soon where nobody tells it anew.
async fn until_stale(server: &Running, query: &Message) {
    let asking = async { while server.ask(query).await.answers[0].ttl != 30 {} };
    timeout(Duration::from_secs(20), asking).await.unwrap();
}

#[tokio::test]
async fn another_forwarder_keeps_no_answer_of_ours_alive() {
    let source = Upstream::new().await;
    let between = Between::new().await;
    let brief = CacheSettings { min_ttl: 1, max_ttl: 1, ..CacheSettings::default() };
    let server = start(Settings { cache: brief, ..upstreams(&[source.address(), between.address]) });
    between.lead_to(server.address);
    drop(source.answering(once()));
    let query = question(1, "example.org.", RecordType::A);
    assert_eq!(server.ask(&query).await.answers[0].ttl, 1);
    until_stale(&server, &query).await;
    assert!(between.passed() > 0);
    server.stop().await;
}

#[tokio::test]
async fn a_server_may_ask_itself_for_names_that_it_has_rewritten() {
    let (server, _) = start_corefile(
        "a.test:PORT {
            bind 127.0.0.1
            rewrite name suffix .a.test .b.test answer auto
            forward . 127.0.0.1:PORT
        }
        .:PORT {
            bind 127.0.0.1
            hosts {
                192.0.2.9 www.b.test
            }
        }",
    );
    assert_eq!(answered(&server.ask(&question(7, "www.a.test.", RecordType::A)).await), ["192.0.2.9"]);
    // The name itself is no longer one, and so it comes back.
    let answer = server.ask(&question(8, "a.test.", RecordType::A)).await;
    assert_eq!((answer.metadata.response_code, loops(&server) > 0.0), (ResponseCode::ServFail, true));
    server.stop().await;
}
