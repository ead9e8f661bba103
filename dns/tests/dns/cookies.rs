//! Server cookies (RFC 7873, RFC 9018): in every answer to a question with a cookie, whoever has it and however it goes.

use crate::harness::*;
use config::DnsCompatibility;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use hickory_proto::rr::{DNSClass, RecordType};
use tidegate_dns::{CacheSettings, Protection, Settings};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

const COOKIE: u16 = 10;
const CLIENT: [u8; 8] = *b"a client";
const OURS: &str = "web.shop.svc.cluster.local.";
const THEIRS: &str = "example.org.";

/// The question with a cookie.
fn with_cookie(query: Message, cookie: &[u8]) -> Message {
    let mut query = with_edns(query, 1232);
    let edns = query.edns.as_mut().unwrap();
    edns.options_mut().insert(EdnsOption::Unknown(COOKIE, cookie.to_vec()));
    query
}

fn asking(name: &str, record_type: RecordType, cookie: &[u8]) -> Message {
    with_cookie(question(1, name, record_type), cookie)
}

/// All cookies of an answer.
fn cookies(answer: &Message) -> Vec<Vec<u8>> {
    let options = answer.edns.iter().flat_map(|edns| edns.options().options.iter());
    let cookies = options.filter(|(code, _)| *code == EdnsCode::Cookie || *code == EdnsCode::Unknown(COOKIE));
    let content = |option: &EdnsOption| match option {
        EdnsOption::Unknown(COOKIE, content) => content.clone(),
        option => panic!("{option:?}"),
    };
    cookies.map(|(_, option)| content(option)).collect()
}

/// The one that there is, with the client's part at its start.
fn cookie(answer: &Message, what: &str) -> Vec<u8> {
    let [cookie] = &cookies(answer)[..] else { panic!("{what}: {answer:?}") };
    assert_eq!((&cookie[..8], cookie[8], cookie.len()), (&CLIENT[..], 1, 24), "{what}");
    cookie.clone()
}

async fn ask_over(stream: &mut TcpStream, query: &Message) -> Message {
    stream.write_all(&frame(&query.to_vec().unwrap())).await.unwrap();
    Message::from_vec(&read_frame(stream).await.unwrap()).unwrap()
}

/// Asks the same over UDP and TCP, with the client's part alone and then with what that got: each answer has this code
/// and the same cookie.
async fn is_kept(server: &Running, what: &str, query: &Message, code: ResponseCode) {
    let first = server.ask(&with_cookie(query.clone(), &CLIENT)).await;
    assert_eq!(first.metadata.response_code, code, "{what}");
    let first = cookie(&first, what);
    let again = server.ask(&with_cookie(query.clone(), &first)).await;
    assert_eq!((cookie(&again, what), again.metadata.response_code), (first.clone(), code), "{what}, again");
    let mut stream = server.connect().await;
    for known in [&CLIENT[..], &first] {
        let over_tcp = ask_over(&mut stream, &with_cookie(query.clone(), known)).await;
        assert_eq!(over_tcp.metadata.response_code, code, "{what} over TCP");
        let found = cookie(&over_tcp, what);
        assert!(known.len() == 8 || found == first, "{what}: it is the same over TCP");
    }
}

#[tokio::test]
async fn every_answer_has_one_whoever_knows_it() {
    let upstream = Upstream::new().await;
    let settings = Settings { cache: CacheSettings::default(), ..upstreams(&[upstream.address()]) };
    upstream.answering(|question| {
        assert!(cookies(question).is_empty(), "a client's cookie is for nobody else");
        match question.queries[0].name().to_string().as_str() {
            "bad.example.org." => code(question, ResponseCode::ServFail),
            "gone.example.org." => code(question, ResponseCode::NXDomain),
            _ => one_address(question),
        }
    });
    let server = start(settings);
    let mut chaos = question(1, "version.bind.", RecordType::TXT);
    chaos.queries[0].set_query_class(DNSClass::CH);
    for (what, query, code) in [
        ("an address", question(1, OURS, RecordType::A), ResponseCode::NoError),
        ("nothing of the type", question(1, OURS, RecordType::TXT), ResponseCode::NoError),
        ("no such name", question(1, "no.shop.svc.cluster.local.", RecordType::A), ResponseCode::NXDomain),
        ("an alias", question(1, "out.shop.svc.cluster.local.", RecordType::A), ResponseCode::NoError),
        ("an upstream's answer, then one that is kept", question(1, THEIRS, RecordType::A), ResponseCode::NoError),
        ("an upstream's denial", question(1, "gone.example.org.", RecordType::A), ResponseCode::NXDomain),
        (
            "an upstream's failure, then a known one",
            question(1, "bad.example.org.", RecordType::A),
            ResponseCode::ServFail,
        ),
        ("a zone", question(1, "cluster.local.", RecordType::AXFR), ResponseCode::Refused),
        ("another class", chaos, ResponseCode::Refused),
        ("a type that is none", question(1, OURS, RecordType::OPT), ResponseCode::FormErr),
        ("a type that is not done", question(1, OURS, RecordType::TSIG), ResponseCode::NotImp),
    ] {
        is_kept(&server, what, &query, code).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn parts_that_change_answers_leave_one() {
    let upstream = Upstream::new().await;
    let forward = format!("forward . {} {{\n prefer_udp\n }}", upstream.address());
    upstream.answering(|question| match question.queries[0].query_type() {
        RecordType::A => one_address(question),
        _ => addresses(question, &[]),
    });
    let directory = tempfile::tempdir().unwrap();
    let list = directory.path().join("resolv.conf");
    std::fs::write(&list, "search front.svc.cluster.local svc.cluster.local\n").unwrap();
    let autopath = &format!("autopath {}", list.display());
    for (plugins, name, record_type, code) in [
        (&**autopath, "web.shop.front.svc.cluster.local.", RecordType::A, ResponseCode::NoError),
        (autopath, "gone.shop.front.svc.cluster.local.", RecordType::A, ResponseCode::NoError),
        ("rewrite name short.test web.shop.svc.cluster.local", "short.test.", RecordType::A, ResponseCode::NoError),
        ("rewrite name short.test example.org", "short.test.", RecordType::A, ResponseCode::NoError),
        ("dns64 {\n allow_ipv4\n}", OURS, RecordType::AAAA, ResponseCode::NoError),
        ("dns64 {\n allow_ipv4\n}", THEIRS, RecordType::AAAA, ResponseCode::NoError),
        ("minimal\n nsid here", OURS, RecordType::SRV, ResponseCode::NoError),
        ("header {\n response clear aa\n}", OURS, RecordType::A, ResponseCode::NoError),
        (
            "template IN A test {\n answer \"{{ .Name }} 60 A 192.0.2.7\"\n}",
            "a.test.",
            RecordType::A,
            ResponseCode::NoError,
        ),
        ("hosts {\n 192.0.2.8 a.test\n fallthrough\n}", "a.test.", RecordType::A, ResponseCode::NoError),
        ("any", OURS, RecordType::ANY, ResponseCode::NoError),
        ("acl {\n block type A\n}", OURS, RecordType::A, ResponseCode::Refused),
    ] {
        let (server, _) = start_corefile(&format!(
            ".:PORT {{\n bind 127.0.0.1\n kubernetes cluster.local\n {plugins}\n {forward}\n}}\n"
        ));
        is_kept(&server, plugins, &question(1, name, record_type), code).await;
        server.stop().await;
    }
}

#[tokio::test]
async fn who_brings_none_gets_none() {
    let server = start(settings());
    let plain = server.ask(&question(1, OURS, RecordType::A)).await;
    assert_eq!(plain.edns, None);
    let edns = server.ask(&with_edns(question(1, OURS, RecordType::A), 1232)).await;
    assert!(cookies(&edns).is_empty() && edns.edns.is_some());
    server.stop().await;
}

#[tokio::test]
async fn a_length_that_no_cookie_has_is_an_error() {
    let server = start(settings());
    let mut stream = server.connect().await;
    for len in [0, 7, 9, 15, 41] {
        for name in [OURS, THEIRS] {
            let query = asking(name, RecordType::A, &vec![1; len]);
            for answer in [server.ask(&query).await, ask_over(&mut stream, &query).await] {
                assert_eq!(answer.metadata.response_code, ResponseCode::FormErr, "{len} bytes");
                assert!(answer.answers.is_empty() && cookies(&answer).is_empty() && answer.edns.is_some());
            }
        }
    }
    // Not one of ours, and answered all the same.
    for len in [16, 24, 40] {
        let answer = server.ask(&asking(OURS, RecordType::A, &[&CLIENT[..], &vec![1; len - 8]].concat())).await;
        assert_eq!(answered(&answer), ["10.0.0.1"]);
        cookie(&answer, "another's");
    }
    // The first of several counts.
    let mut two = asking(OURS, RecordType::A, &CLIENT).to_vec().unwrap();
    let end = two.len();
    two[end - 13] += 7;
    two.extend([0, 10, 0, 3, 1, 2, 3]);
    let answer = Message::from_vec(&server.exchange(&two).await).unwrap();
    cookie(&answer, "the first of two");
    server.stop().await;
}

#[tokio::test]
async fn an_answer_is_cut_to_have_room_for_it() {
    let server = start(settings());
    let mut sizes = Vec::new();
    for payload in 512..=1232 {
        let mut query = asking("big.shop.svc.cluster.local.", RecordType::A, &CLIENT);
        query.edns.as_mut().unwrap().set_max_payload(payload);
        let bytes = server.exchange(&query.to_vec().unwrap()).await;
        assert!(bytes.len() <= usize::from(payload), "{} bytes of {payload}", bytes.len());
        let answer = Message::from_vec(&bytes).unwrap();
        assert!(answer.metadata.truncation, "100 addresses do not fit");
        cookie(&answer, "a cut answer");
        sizes.push(usize::from(payload) - bytes.len());
    }
    assert_eq!(sizes.iter().min(), Some(&0), "no byte is left that an address needs");
    assert!(sizes.iter().all(|left| *left < 16));
    server.stop().await;
}

#[tokio::test]
async fn a_cookie_can_be_asked_for_alone() {
    let server = start(settings());
    let alone = |cookie: &[u8]| {
        let mut query = asking(OURS, RecordType::A, cookie);
        query.queries.clear();
        query
    };
    let first = server.ask(&alone(&CLIENT)).await;
    assert_eq!((first.metadata.response_code, first.queries.len()), (ResponseCode::NoError, 0));
    let known = cookie(&first, "alone");
    let again = server.ask(&alone(&known)).await;
    assert_eq!((again.metadata.response_code, cookie(&again, "alone")), (ResponseCode::NoError, known));
    let foreign = server.ask(&alone(&[&CLIENT[..], &[1; 16]].concat())).await;
    assert_eq!(foreign.metadata.response_code, ResponseCode::BADCOOKIE);
    cookie(&foreign, "a bad one alone");
    assert_eq!(server.ask(&alone(&[1; 3])).await.metadata.response_code, ResponseCode::FormErr);
    server.stop().await;
}

#[tokio::test]
async fn those_who_want_the_answers_of_coredns_get_none() {
    let mut settings = settings();
    settings.records.compatibility = DnsCompatibility::CoreDns;
    let server = start(settings);
    for len in [3, 8, 24] {
        let answer = server.ask(&asking(OURS, RecordType::A, &vec![1; len])).await;
        assert_eq!(answered(&answer), ["10.0.0.1"], "{len} bytes");
        assert!(cookies(&answer).is_empty() && answer.edns.is_some(), "{len} bytes");
    }
    let mut alone = asking(OURS, RecordType::A, &CLIENT);
    alone.queries.clear();
    let answer = server.ask(&alone).await;
    assert_eq!((answer.metadata.response_code, answer.edns), (ResponseCode::FormErr, None));
    server.stop().await;
}

#[tokio::test]
async fn a_transferred_zone_has_one() {
    let (server, _) =
        start_corefile(".:PORT {\n bind 127.0.0.1\n kubernetes cluster.local\n transfer {\n  to *\n }\n}\n");
    let mut stream = server.connect().await;
    let first = ask_over(&mut stream, &asking("cluster.local.", RecordType::AXFR, &CLIENT)).await;
    assert_eq!(first.answers[0].record_type(), RecordType::SOA);
    cookie(&first, "a zone");
    let mut stream = server.connect().await;
    let wrong = ask_over(&mut stream, &asking("cluster.local.", RecordType::AXFR, &CLIENT[..5])).await;
    assert_eq!((wrong.metadata.response_code, wrong.answers.len()), (ResponseCode::FormErr, 0));
    server.stop().await;
}

#[tokio::test]
async fn replicas_with_the_same_secret_know_each_others() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("secret");
    std::fs::write(&path, "e5e973e5a6b2a43f48e7dc849e37bfcf\n").unwrap();
    let shared = || Protection { cookie_secret: Some(path.clone()), ..Protection::default() };
    let [one, other] = [(); 2].map(|()| start_protected(settings(), shared()).unwrap());
    let stranger = start(settings());
    let known = cookie(&one.ask(&asking(OURS, RecordType::A, &CLIENT)).await, "of one");
    let at_other = other.ask(&asking(OURS, RecordType::A, &known)).await;
    assert_eq!(cookie(&at_other, "at the other"), known);
    let at_stranger = stranger.ask(&asking(OURS, RecordType::A, &known)).await;
    assert_ne!(cookie(&at_stranger, "at a stranger"), known);
    for server in [one, other, stranger] {
        server.stop().await;
    }
    std::fs::write(&path, "short\n").unwrap();
    let told = start_protected(settings(), shared()).err().unwrap().to_string();
    assert!(told.contains("secret: line 1 is not 32 hexadecimal digits"), "{told}");
}

#[tokio::test]
async fn a_secret_is_changed_while_the_server_runs() {
    let directory = tempfile::tempdir().unwrap();
    let [path, next] = ["secret", "next"].map(|name| directory.path().join(name));
    let put = |text: &str| {
        std::fs::write(&next, text).unwrap();
        std::fs::rename(&next, &path).unwrap();
    };
    let [old, new] = ["e5e973e5a6b2a43f48e7dc849e37bfcf", "445536bcd2513298075a5d379663c962"];
    put(old);
    tokio::time::pause();
    let protection = Protection { cookie_secret: Some(path.clone()), ..Protection::default() };
    let server = start_protected(settings(), protection).unwrap();
    let known = cookie(&server.ask(&asking(OURS, RecordType::A, &CLIENT)).await, "of the old one");
    put(&format!("{new}\n{old}\n"));
    let mut alone = asking(OURS, RecordType::A, &known);
    alone.queries.clear();
    let renewed = loop {
        let answer = server.ask(&alone).await;
        assert_eq!(answer.metadata.response_code, ResponseCode::NoError, "it is good all the time");
        let found = cookie(&answer, "while it changes");
        if found != known {
            break found;
        }
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
    };
    put(new);
    while server.ask(&alone).await.metadata.response_code != ResponseCode::BADCOOKIE {
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
    }
    let again = server.ask(&asking(OURS, RecordType::A, &renewed)).await;
    assert_eq!(cookie(&again, "of the new one"), renewed);
    server.stop().await;
}
