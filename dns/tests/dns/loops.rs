//! Servers that forward to each other, with others between them or not.

use crate::harness::*;
use config::DnsCompatibility;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tidegate_dns::{CacheSettings, Settings};
use tokio::net::UdpSocket;
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
    async fn new() -> Self {
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

/// Two servers that forward to each other, for which an upstream that says nothing costs so much time.
async fn two_of_a_circle(read_timeout: &str) -> [Running; 2] {
    let corefile = |to: SocketAddr| {
        format!(".:PORT {{\n bind 127.0.0.1\n forward . {to} {{\n max_fails 0\n read_timeout {read_timeout}\n }}\n}}\n")
    };
    let (one, reloads) = start_corefile(&corefile("192.0.2.1:53".parse().unwrap()));
    let (two, _) = start_corefile(&corefile(one.address));
    let plan = plan(&corefile(two.address), one.address.port());
    reloads.replace(reloads.prepare(&plan, DnsCompatibility::Standard).unwrap(), Vec::new()).await.unwrap();
    [one, two]
}

/// Waits until no question waits for an upstream.
async fn until_quiet(servers: &[&Running]) {
    while servers.iter().any(|server| server.metric("tidegate_dns_waiting", &[]) > 0.0) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn two_servers_that_forward_to_each_other_fail_at_once_after_the_first_question() {
    let [one, two] = two_of_a_circle("1s").await;
    let asked = || [&one, &two].map(|server| server.metric("tidegate_dns_requests_total", &[])).iter().sum::<f64>();
    let fails = async |server: &Running, name: &str| {
        let answer = server.ask(&question(1, name, RecordType::A)).await;
        assert_eq!(answer.metadata.response_code, ResponseCode::ServFail, "{name}");
    };
    fails(&one, LONG).await;
    until_quiet(&[&one, &two]).await;
    assert!(loops(&one) > 0.0);
    for name in ["first.example.", "second.example."] {
        let before = asked();
        fails(&one, name).await;
        assert_eq!(asked() - before, 3.0, "to the other, and back");
        until_quiet(&[&one, &two]).await;
    }
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn a_question_that_both_of_a_circle_get_at_the_same_time_fails_with_the_second_try() {
    let [one, two] = two_of_a_circle("1s").await;
    let query = question(1, LONG, RecordType::A);
    let (first, second) = tokio::join!(one.ask(&query), two.ask(&query));
    for answer in [first, second] {
        assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
    }
    assert!(loops(&one) + loops(&two) > 0.0);
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn what_is_not_known_when_it_comes_back_is_tried_no_more_often_than_anything() {
    for name in ["few.test.", "Few.test.", "MiXeD.example."] {
        let [one, two] = two_of_a_circle("300ms").await;
        let answer = one.ask(&question(1, name, RecordType::A)).await;
        assert_eq!(answer.metadata.response_code, ResponseCode::ServFail, "{name}");
        until_quiet(&[&one, &two]).await;
        let asked = [&one, &two].map(|server| server.metric("tidegate_dns_requests_total", &[])).iter().sum::<f64>();
        // By the client, and by two tries of each.
        assert!(asked <= 5.0, "{name} {asked}");
        one.stop().await;
        two.stop().await;
    }
}

#[tokio::test]
async fn a_circle_with_another_forwarder_in_it_fails_with_the_second_try() {
    let between = Between::new().await;
    // Long enough for the way there and back.
    let upstream_timeout = Duration::from_secs(1);
    let server = start(Settings { upstream_timeout, ..upstreams(&[between.address]) });
    between.lead_to(server.address);
    for (name, passed) in [(LONG, 2), ("example.org.", 3), ("example.com.", 4)] {
        let answer = server.ask(&question(1, name, RecordType::A)).await;
        assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
        // The first came back and joined, the second was known, and others after it from their first try on.
        assert_eq!((between.passed(), loops(&server)), (passed, passed as f64 - 1.0), "{name}");
    }
    server.stop().await;
}

/// So many letters that nobody spells it as another did, by chance.
const LONG: &str = "a-name-of-which-nobody.guesses-how-its-letters-are-spelled.example.";

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
    assert_eq!((answer.metadata.response_code, loops(&server)), (ResponseCode::ServFail, 1.0));
    server.stop().await;
}
