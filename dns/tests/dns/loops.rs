//! Servers that forward to each other, with others between them or not.

use crate::harness::*;
use config::DnsCompatibility;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType;
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tidegate_dns::{CacheSettings, Settings};
use tokio::net::UdpSocket;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// A forwarder of another make: each question goes on from a port of its own, and its answer back.
struct Between {
    address: SocketAddr,
    to: Arc<OnceLock<SocketAddr>>,
    passed: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Between {
    /// `drops`: whether it leaves EDNS out.
    async fn new(drops: bool) -> Self {
        let socket = Arc::new(UdpSocket::bind(ANY_PORT).await.unwrap());
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
                    if drops {
                        question.edns = None;
                    }
                    let out = UdpSocket::bind(ANY_PORT).await.unwrap();
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

#[tokio::test]
async fn two_servers_that_forward_to_each_other_fail_at_once() {
    let corefile = |to: SocketAddr| format!(".:PORT {{\n bind 127.0.0.1\n forward . {to}\n}}\n");
    let (one, reloads) = start_corefile(&corefile("192.0.2.1:53".parse().unwrap()));
    let (two, _) = start_corefile(&corefile(one.address));
    let plan = plan(&corefile(two.address), one.address.port());
    reloads.replace(reloads.prepare(&plan, DnsCompatibility::Standard).unwrap(), Vec::new()).await.unwrap();
    for (id, server) in [&one, &two, &one, &two].into_iter().enumerate() {
        let query = question(1, &format!("n{id}.example."), RecordType::A);
        assert_eq!(server.ask(&query).await.metadata.response_code, ResponseCode::ServFail);
    }
    assert_eq!(loops(&one) + loops(&two), 4.0);
    // To the other, and back.
    let asked = [&one, &two].map(|server| server.metric("tidegate_dns_requests_total", &[])).iter().sum::<f64>();
    assert_eq!(asked, 4.0 * 3.0);
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn a_question_that_both_of_a_circle_get_at_the_same_time_fails_at_once() {
    let corefile =
        |to: SocketAddr| format!(".:PORT {{\n bind 127.0.0.1\n forward . {to} {{\n read_timeout 60s\n }}\n}}\n");
    let (one, reloads) = start_corefile(&corefile("192.0.2.1:53".parse().unwrap()));
    let (two, _) = start_corefile(&corefile(one.address));
    let plan = plan(&corefile(two.address), one.address.port());
    reloads.replace(reloads.prepare(&plan, DnsCompatibility::Standard).unwrap(), Vec::new()).await.unwrap();
    let query = question(1, "a.example.", RecordType::A);
    let (first, second) = tokio::join!(one.ask(&query), two.ask(&query));
    for answer in [first, second] {
        assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
    }
    assert_eq!(loops(&one) + loops(&two), 2.0);
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn a_circle_with_another_forwarder_in_it_fails_at_once() {
    let (there, back) = (Between::new(false).await, Between::new(false).await);
    let one = start(upstreams(&[there.address]));
    let two = start(upstreams(&[back.address]));
    there.lead_to(two.address);
    back.lead_to(one.address);
    for query in [question(1, "a.example.", RecordType::A), with_edns(question(1, "b.example.", RecordType::A), 1232)] {
        assert_eq!(one.ask(&query).await.metadata.response_code, ResponseCode::ServFail);
    }
    assert_eq!((loops(&one), loops(&two)), (2.0, 0.0));
    assert_eq!((there.passed(), back.passed()), (2, 2));
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn a_circle_through_a_forwarder_without_edns_fails_with_the_second_try() {
    let between = Between::new(true).await;
    // Long enough for the way there and back.
    let upstream_timeout = Duration::from_secs(1);
    let server = start(Settings { upstream_timeout, ..upstreams(&[between.address]) });
    between.lead_to(server.address);
    let answer = server.ask(&question(1, LONG, RecordType::A)).await;
    assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
    // The first came back and joined, the second was known.
    assert_eq!((between.passed(), loops(&server)), (2, 1.0));
    server.stop().await;
}

/// So many letters that nobody spells it as another did, by chance.
const LONG: &str = "a-name-of-which-nobody.guesses-how-its-letters-are-spelled.example.";

#[tokio::test]
async fn the_same_of_short_names_takes_several_of_them() {
    let between = Between::new(true).await;
    let upstream_timeout = Duration::from_secs(1);
    let server = Arc::new(start(Settings { upstream_timeout, ..upstreams(&[between.address]) }));
    between.lead_to(server.address);
    let ask = |id: u16| {
        let server = Arc::clone(&server);
        async move { server.ask(&question(id, &format!("example.n{id}."), RecordType::A)).await }
    };
    // Each has seven bits of 40: six of them must have come back.
    let answers = (0..8).map(ask).collect::<JoinSet<_>>().join_all().await;
    assert!(answers.iter().all(|answer| answer.metadata.response_code == ResponseCode::ServFail));
    assert_eq!((between.passed(), loops(&server) > 0.0), (16, true));
    drop(answers);
    Arc::into_inner(server).unwrap().stop().await;
}

/// The same question with tokens as forwarders add them.
fn with_trail(id: u16, name: &str, tokens: &[u8]) -> Message {
    let mut query = with_edns(question(id, name, RecordType::A), 1232);
    let trail = EdnsOption::Unknown(65313, [&[1], tokens].concat());
    query.edns.as_mut().unwrap().options_mut().insert(trail);
    query
}

#[tokio::test]
async fn tokens_that_a_client_makes_up_or_has_been_told_change_nothing() {
    let upstream = Upstream::new().await;
    let server = start(upstreams(&[upstream.address()]));
    drop(upstream.answering(one_address));
    let answer = server.ask(&with_trail(1, "a.example.", &[7; 17 * 8])).await;
    assert_eq!(answered(&answer), ["192.0.2.1"]);
    // It says whose answer it is.
    let Some(EdnsOption::Unknown(_, told)) = answer.edns.as_ref().unwrap().option(EdnsCode::Unknown(65313)) else {
        panic!("{answer}");
    };
    for name in ["a.example.", "b.example."] {
        assert_eq!(answered(&server.ask(&with_trail(2, name, &told[1..])).await), ["192.0.2.1"]);
    }
    assert_eq!(loops(&server), 0.0);
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_spells_as_we_do_is_not_taken_for_us() {
    let upstream = Upstream::new().await;
    let upstream_timeout = Duration::from_secs(2);
    let server = start(Settings { upstream_timeout, ..upstreams(&[upstream.address()]) });
    let (tried_again, is_tried_again) = oneshot::channel();
    let late_answer = async {
        let _plain = upstream.asked().await;
        let (again, peer) = upstream.asked().await;
        tried_again.send(again.queries[0].name().to_ascii()).unwrap();
        let is_told = || server.metric("tidegate_dns_waiting", &[]) == 2.0 || loops(&server) > 0.0;
        while !is_told() {
            tokio::task::yield_now().await;
        }
        upstream.reply(&one_address(&again), peer).await;
    };
    let client = async {
        // There is one way alone to spell a letter otherwise.
        let spelled = is_tried_again.await.unwrap();
        assert_eq!(spelled, "A.");
        server.ask(&question(2, &spelled, RecordType::A)).await
    };
    let plain = question(1, "a.", RecordType::A);
    let (first, second, ()) = tokio::join!(server.ask(&plain), client, late_answer);
    assert_eq!([&first, &second].map(answered), [["192.0.2.1"], ["192.0.2.1"]]);
    assert_eq!(loops(&server), 0.0);
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
async fn an_answer_that_another_server_has_of_ours_is_not_kept_anew() {
    let source = Upstream::new().await;
    let between = Between::new(false).await;
    let brief = CacheSettings { min_ttl: 1, max_ttl: 1, ..CacheSettings::default() };
    let one = start(Settings { cache: brief, ..upstreams(&[source.address(), between.address]) });
    let long = CacheSettings { min_ttl: 60, max_ttl: 60, ..CacheSettings::default() };
    let two = start(Settings { cache: long, ..upstreams(&[one.address]) });
    between.lead_to(two.address);
    drop(source.answering(once()));
    let query = question(1, "example.org.", RecordType::A);
    assert_eq!(two.ask(&query).await.answers[0].ttl, 60);
    // What the first has is over soon, and the second would tell it for a minute.
    until_stale(&one, &query).await;
    assert_eq!(answered(&two.ask(&query).await), ["192.0.2.1"]);
    assert!(between.passed() > 0);
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn a_forwarder_without_edns_keeps_no_answer_of_ours_alive() {
    let source = Upstream::new().await;
    let between = Between::new(true).await;
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
    assert_eq!((answer.metadata.response_code, loops(&server)), (ResponseCode::ServFail, 1.0));
    server.stop().await;
}
