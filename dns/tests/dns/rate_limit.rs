//! Response rate limiting: what is sent over UDP to a network that gets too much, and what is not touched by it.

use crate::harness::*;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType;
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use std::num::NonZeroU32;
use tidegate_dns::{Bounds, Protection, RateLimit, Settings};
use tokio::io::AsyncWriteExt;

const OURS: &str = "web.shop.svc.cluster.local.";
const THEIRS: &str = "example.org.";
/// Questions of a burst: far more than are earned while it is answered.
const BURST: u16 = 100;

fn start_limited(settings: Settings, change: impl FnOnce(&mut RateLimit)) -> Running {
    start_limited_within(Bounds::default(), settings, change)
}

fn start_limited_within(bounds: Bounds, settings: Settings, change: impl FnOnce(&mut RateLimit)) -> Running {
    let mut limit = RateLimit { rate: NonZeroU32::MIN, exempt: Vec::new(), is_report_only: false };
    change(&mut limit);
    start_guarded(settings, bounds, Protection { rate_limit: Some(limit), ..Protection::default() }).unwrap()
}

fn counted(server: &Running) -> [f64; 3] {
    ["slip", "drop", "badcookie"]
        .map(|action| server.metric("tidegate_dns_rate_limited_total", &[&format!("action=\"{action}\"")]))
}

/// Asks the same again and again from one socket.
async fn burst(server: &Running, query: &Message) -> tokio::net::UdpSocket {
    let (client, query) = (server.client().await, query.to_vec().unwrap());
    for id in 0..BURST {
        client.send(&[&id.to_be_bytes(), &query[2..]].concat()).await.unwrap();
    }
    client
}

/// The answers to a burst about the zone.
async fn answers(server: &Running, query: &Message) -> Vec<Message> {
    let client = burst(server, query).await;
    answers_before(&client, ["10-0-0-1.shop.pod.cluster.local.", "small.shop.svc.cluster.local."]).await
}

/// The answers to what was asked until now. Nobody has asked for the last names yet, so that they are answered: the second
/// one when all that came together with the first one, in whatever order, has been sent.
async fn answers_before(client: &tokio::net::UdpSocket, last: [&str; 2]) -> Vec<Message> {
    let mut answers = Vec::new();
    for last in last {
        client.send(&question(u16::MAX, last, RecordType::A).to_vec().unwrap()).await.unwrap();
        loop {
            match answer(client).await {
                found if found.metadata.id == u16::MAX => break,
                found => answers.push(found),
            }
        }
    }
    answers
}

/// How many are whole, and how many are cut; none has anything else.
fn sorted(answers: &[Message]) -> [usize; 2] {
    let (cut, whole): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.metadata.truncation);
    assert!(cut.iter().all(|answer| answer.answers.is_empty() && answer.additionals.is_empty()));
    assert!(whole.iter().all(|answer| answer.answers.len() == 1), "{whole:?}");
    [whole.len(), cut.len()]
}

/// Half of what is too much is dropped, but for one, and nothing is missing.
fn is_shared_out([whole, cut]: [usize; 2], [slip, drop, badcookie]: [f64; 3]) {
    assert!((1..usize::from(BURST) / 2).contains(&whole), "{whole} whole answers");
    assert_eq!((cut as f64, badcookie), (slip, 0.0));
    assert_eq!(whole as f64 + slip + drop, f64::from(BURST));
    assert!((slip - drop).abs() <= whole as f64, "{slip} slips and {drop} drops, which begin anew after each answer");
}

#[tokio::test]
async fn what_is_too_much_is_cut_or_not_sent_and_tcp_is_open() {
    let server = start_limited(settings(), |_| {});
    let query = question(1, OURS, RecordType::A);
    let found = sorted(&answers(&server, &query).await);
    is_shared_out(found, counted(&server));
    let mut stream = server.connect().await;
    for _ in 0..BURST {
        stream.write_all(&frame(&query.to_vec().unwrap())).await.unwrap();
        let answer = Message::from_vec(&read_frame(&mut stream).await.unwrap()).unwrap();
        assert_eq!(answered(&answer), ["10.0.0.1"], "over TCP");
    }
    // What was not sent is no answer, and what was is one; two of them are the last ones.
    let sent = server.metric("tidegate_dns_requests_total", &["proto=\"udp\""]);
    assert_eq!(sent, (found[0] + found[1] + 2) as f64);
    server.stop().await;
}

#[tokio::test]
async fn what_upstreams_answer_is_limited_when_it_is_there() {
    let upstream = Upstream::new().await;
    let settings = upstreams(&[upstream.address()]);
    upstream.answering(one_address);
    let server = start_limited(settings, |_| {});
    let client = burst(&server, &question(1, THEIRS, RecordType::A)).await;
    let mut found = Vec::new();
    let dropped = || {
        let [_, drop, _] = counted(&server);
        drop
    };
    while found.len() as f64 + dropped() < f64::from(BURST) {
        tokio::select! {
            one = answer(&client) => found.push(one),
            () = tokio::task::yield_now() => {}
        }
    }
    is_shared_out(sorted(&found), counted(&server));
    // Nothing at all was sent where nothing was to be: the next thing that comes is the next answer.
    client.send(&question(777, OURS, RecordType::A).to_vec().unwrap()).await.unwrap();
    assert_eq!(answer(&client).await.metadata.id, 777);
    server.stop().await;
}

fn with_cookie(mut query: Message, cookie: &[u8]) -> Message {
    query = with_edns(query, 1232);
    query.edns.as_mut().unwrap().options_mut().insert(EdnsOption::Unknown(10, cookie.to_vec()));
    query
}

fn cookie(answer: &Message) -> Vec<u8> {
    match answer.edns.as_ref().unwrap().option(EdnsCode::Cookie) {
        Some(EdnsOption::Unknown(10, content)) => content.clone(),
        option => panic!("{option:?}"),
    }
}

#[tokio::test]
async fn a_client_with_a_cookie_asks_once_more_and_is_known() {
    let server = start_limited(settings(), |_| {});
    // Somebody floods the client's network.
    answers(&server, &question(1, OURS, RecordType::A)).await;
    let query = with_cookie(question(1, OURS, RecordType::A), b"a client");
    let packet = query.to_vec().unwrap();
    // One of two: more is not for who has only made up a client's part.
    let client = server.client().await;
    client.send(&packet).await.unwrap();
    client.send(&packet).await.unwrap();
    let bytes = receive(&client).await;
    let refused = Message::from_vec(&bytes).unwrap();
    assert_eq!((refused.metadata.response_code, refused.answers.len()), (ResponseCode::BADCOOKIE, 0));
    assert_eq!(bytes.len(), packet.len() + 16, "the server's part, and nothing else");
    let known = with_cookie(question(1, OURS, RecordType::A), &cookie(&refused));
    let client = burst(&server, &known).await;
    for _ in 0..BURST {
        assert_eq!(answered(&answer(&client).await), ["10.0.0.1"]);
    }
    assert_eq!(counted(&server)[2], 1.0);
    server.stop().await;
}

#[tokio::test]
async fn names_of_pods_are_no_way_around_it() {
    let server = start_limited(settings(), |_| {});
    let client = server.client().await;
    let ask = async |host: u16| {
        let name = format!("10-0-{}-{}.shop.pod.cluster.local.", host >> 8, host & 255);
        client.send(&question(host, &name, RecordType::A).to_vec().unwrap()).await.unwrap();
    };
    for host in 0..BURST {
        ask(host).await;
    }
    let found = answers_before(&client, [OURS, "small.shop.svc.cluster.local."]).await;
    is_shared_out(sorted(&found), counted(&server));
    server.stop().await;
}

#[tokio::test]
async fn who_is_exempt_and_what_is_only_counted_is_answered() {
    let everybody = "127.0.0.0/8".parse().unwrap();
    for (is_report_only, exempt, is_counted) in [(false, vec![everybody], false), (true, Vec::new(), true)] {
        let server = start_limited(settings(), |limit| {
            limit.exempt = exempt;
            limit.is_report_only = is_report_only;
        });
        let found = answers(&server, &question(1, OURS, RecordType::A)).await;
        assert_eq!(sorted(&found), [usize::from(BURST), 0]);
        assert_eq!(counted(&server).iter().sum::<f64>() > 0.0, is_counted);
        server.stop().await;
    }
}

#[tokio::test]
async fn errors_and_denials_are_limited_too() {
    let server = start_limited(settings(), |_| {});
    for (name, code) in [(THEIRS, ResponseCode::ServFail), ("no.shop.svc.cluster.local.", ResponseCode::NXDomain)] {
        let found = answers(&server, &question(1, name, RecordType::A)).await;
        assert!(found.len() < usize::from(BURST) * 3 / 4, "{name}: {} answers", found.len());
        assert!(found.iter().all(|answer| answer.metadata.response_code == code), "{name}");
    }
    // Packets without a question are reflected as little.
    let client = server.client().await;
    for _ in 0..BURST {
        client.send(&[0, 1, 0x28, 0, 0, 0, 0, 0, 0, 0, 0, 0]).await.unwrap();
    }
    let last = question(u16::MAX, OURS, RecordType::A);
    client.send(&last.to_vec().unwrap()).await.unwrap();
    let mut count = 0;
    while answer(&client).await.metadata.id != u16::MAX {
        count += 1;
    }
    assert!(count < BURST * 3 / 4, "{count} answers");
    server.stop().await;
}

fn held_back(server: &Running) -> f64 {
    server.metric("tidegate_dns_held_back_total", &[])
}

fn unanswered(server: &Running) -> f64 {
    server.metric("tidegate_dns_dropped_total", &["reason=\"client\""])
}

/// What comes of a burst, until each question has had its fate; how many were without answer when it began.
async fn fates(server: &Running, query: &Message) -> Vec<Message> {
    let before = counted(server)[1] + unanswered(server);
    let client = burst(server, query).await;
    let mut found = Vec::new();
    while found.len() as f64 + counted(server)[1] + unanswered(server) < before + f64::from(BURST) {
        tokio::select! {
            one = answer(&client) => found.push(one),
            () = tokio::task::yield_now() => {}
        }
    }
    found
}

/// `--dns-client-limit` is looked at first, and its refusals are answers like others.
#[tokio::test]
async fn what_a_client_may_ask_comes_before_what_its_network_gets() {
    let one_a_second = Bounds { per_client: NonZeroU32::new(1), ..Bounds::default() };
    let server = start_limited_within(one_a_second, settings(), |_| {});
    let found = fates(&server, &question(1, OURS, RecordType::A)).await;
    let [slip, drop, badcookie] = counted(&server);
    let refused = found.iter().filter(|answer| answer.metadata.response_code == ResponseCode::Refused).count();
    let answered: Vec<_> =
        found.iter().filter(|answer| answer.metadata.response_code != ResponseCode::Refused).cloned().collect();
    let [whole, cut] = sorted(&answered);
    assert!(whole >= 1 && refused >= 1, "{found:?}");
    // Who is not answered since it asks too much is none of those who get too much.
    let passed = f64::from(BURST) - unanswered(&server);
    assert!(passed < f64::from(BURST) / 2.0 && slip + drop <= passed, "{passed} {slip} {drop}");
    // Two seconds of questions and refusals each, of which the network gets one second's: the first one more of each kind
    // is a slip, which an error is whole.
    assert!(cut >= 1 && slip > cut as f64, "{cut} of {slip} slips are cut");
    assert_eq!((passed, badcookie), ((whole + cut + refused) as f64 + drop, 0.0));
    let refusals = held_back(&server) - unanswered(&server);
    assert!(refusals >= refused as f64 && refusals <= refused as f64 + drop);
    server.stop().await;
}

#[tokio::test]
async fn a_good_cookie_is_exempt_from_one_limit_and_has_an_account_of_its_own_at_the_other() {
    let one_a_second = Bounds { per_client: NonZeroU32::new(1), ..Bounds::default() };
    let server = start_limited_within(one_a_second, settings(), |_| {});
    // Somebody uses up what the client may ask without a cookie, and what its network gets.
    fates(&server, &question(1, OURS, RecordType::A)).await;
    let mut stream = server.connect().await;
    let new = frame(&with_cookie(question(1, OURS, RecordType::A), b"a client").to_vec().unwrap());
    stream.write_all(&new).await.unwrap();
    let known = Message::from_vec(&read_frame(&mut stream).await.unwrap()).unwrap();
    assert_eq!(answered(&known), ["10.0.0.1"], "over TCP nobody asks in another's name");
    let before = counted(&server);
    let query = with_cookie(question(1, OURS, RecordType::A), &cookie(&known));
    let found = fates(&server, &query).await;
    assert_eq!(counted(&server), before, "the network's account is not looked at");
    let (refused, given): (Vec<_>, Vec<_>) =
        found.iter().partition(|answer| answer.metadata.response_code == ResponseCode::Refused);
    // It is held to the same rate as over TCP, together with that.
    assert!(!refused.is_empty() && !given.is_empty() && found.len() < usize::from(BURST) / 2, "{found:?}");
    assert!(given.iter().all(|answer| answer.answers.len() == 1 && !answer.metadata.truncation));
    server.stop().await;
}
