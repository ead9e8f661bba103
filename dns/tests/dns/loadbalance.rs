//! Addresses that take turns in answers which are not the cluster's own.

use crate::authority::*;
use crate::encrypted::{POST, request};
use crate::harness::*;
use config::DnsCompatibility;
use hickory_proto::op::Message;
use hickory_proto::rr::{Name, RData, Record, RecordType, rdata};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use tidegate_dns::{CacheSettings, Explainer, Outcome, Question, Settings};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::runtime::Handle;

/// One of four addresses is the first in none of them once in 10¹⁵ times.
const OFTEN: usize = 128;

/// Plugins with four addresses for each name.
const HOSTS: &str = "hosts {
        10.0.0.1 printer.test
        10.0.0.2 printer.test
        10.0.0.3 printer.test
        10.0.0.4 printer.test
        fallthrough
    }";
const TEMPLATE: &str = r#"template IN A made.test {
        answer "{{ .Name }} 60 IN A 10.0.0.1"
        answer "{{ .Name }} 60 IN A 10.0.0.2"
        answer "{{ .Name }} 60 IN A 10.0.0.3"
        answer "{{ .Name }} 60 IN A 10.0.0.4"
    }"#;

/// An upstream's four addresses of every name; of `late.test` behind an alias that stands behind them.
fn four(question: &Message) -> Message {
    let mut answer = addresses(question, &[]);
    let name = question.queries[0].name();
    let is_late = name.to_ascii().ends_with("late.test.");
    let owner = if is_late { Name::from_ascii("real.test.").unwrap() } else { name.clone() };
    let address = |index: u16| match question.queries[0].query_type() {
        RecordType::AAAA => RData::AAAA(rdata::AAAA(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, index))),
        RecordType::MX => RData::MX(rdata::MX::new(10, Name::from_ascii(format!("mx{index}.test.")).unwrap())),
        _ => RData::A(rdata::A(Ipv4Addr::new(192, 0, 2, index as u8))),
    };
    answer.answers = (1..=4).map(|index| Record::from_rdata(owner.clone(), 60, address(index))).collect();
    if is_late {
        let alias = RData::CNAME(rdata::CNAME(owner));
        answer.answers.push(Record::from_rdata(name.clone(), 60, alias));
    }
    answer
}

/// A server with these plugins and an upstream that has four addresses for every name.
async fn start_balancing(plugins: &str) -> Running {
    let upstream = Upstream::new().await;
    let forward = format!("forward . {}", upstream.address());
    upstream.answering(four);
    start_corefile(&format!(".:PORT {{\n bind 127.0.0.1\n kubernetes cluster.local\n {plugins}\n {forward}\n}}\n")).0
}

/// All first addresses, which are those of all answers: each has the same ones behind as many aliases.
fn firsts(answers: &[Message], aliases: usize) -> BTreeSet<String> {
    let mut all: Vec<BTreeSet<String>> = Vec::new();
    let firsts = answers.iter().map(|answer| {
        let mut records = answered(answer).split_off(aliases);
        let first = records[0].clone();
        records.sort();
        all.push(records.into_iter().collect());
        first
    });
    let firsts = firsts.collect();
    assert!(all.iter().all(|records| records.len() == 4 && *records == all[0]), "{all:?}");
    firsts
}

/// The answers to the same question, asked often over UDP with the same id.
async fn often(server: &Running, name: &str, record_type: RecordType) -> Vec<Message> {
    let (client, query) = (server.client().await, with_edns(question(7, name, record_type), 1232).to_vec().unwrap());
    let mut answers = Vec::new();
    for _ in 0..OFTEN {
        client.send(&query).await.unwrap();
        answers.push(answer(&client).await);
    }
    answers
}

/// The same over a connection.
async fn often_over(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), name: &str) -> Vec<Message> {
    use tokio::io::AsyncReadExt;
    let query = frame(&question(7, name, RecordType::A).to_vec().unwrap());
    let mut answers = Vec::new();
    for _ in 0..OFTEN {
        stream.write_all(&query).await.unwrap();
        let mut message = vec![0; usize::from(stream.read_u16().await.unwrap())];
        stream.read_exact(&mut message).await.unwrap();
        answers.push(Message::from_vec(&message).unwrap());
    }
    answers
}

#[tokio::test]
async fn whatever_a_block_answers_with_takes_turns() {
    for policy in ["loadbalance", "loadbalance round_robin"] {
        for (plugins, name, record_type, aliases) in [
            ("cache 30", "www.test.", RecordType::A, 0),
            ("cache 30", "www.test.", RecordType::AAAA, 0),
            ("cache 30", "www.test.", RecordType::MX, 0),
            // Nothing is kept: an upstream is waited for each time.
            ("", "www.test.", RecordType::A, 0),
            (HOSTS, "printer.test.", RecordType::A, 0),
            (TEMPLATE, "www.made.test.", RecordType::A, 0),
            ("rewrite name exact old.test www.test answer auto\n cache 30", "old.test.", RecordType::A, 0),
            ("dns64 {\n  translate_all\n  allow_ipv4\n }", "www.test.", RecordType::AAAA, 0),
            ("cache 30", "out.shop.svc.cluster.local.", RecordType::A, 1),
        ] {
            let server = start_balancing(&format!("{policy}\n {plugins}")).await;
            let answers = often(&server, name, record_type).await;
            assert_eq!(firsts(&answers, aliases).len(), 4, "{plugins} {name} {record_type}");
            server.stop().await;
        }
    }
}

#[tokio::test]
async fn every_transport_has_them_take_turns() {
    let server = start_balancing(&format!("loadbalance\n cache 30\n {HOSTS}")).await;
    // Kept from now on: what is asked over TCP is asked of upstreams so too.
    server.ask(&question(1, "www.test.", RecordType::A)).await;
    for name in ["www.test.", "printer.test."] {
        let mut stream = server.connect().await;
        assert_eq!(firsts(&often_over(&mut stream, name).await, 0).len(), 4, "{name}");
    }
    server.stop().await;
    let authority = Authority::new();
    authority.mount("dns.test");
    let more = format!("\n loadbalance\n {HOSTS}");
    let server = start_secured("tls", &authority, &more);
    let mut stream = authority.connect(&server, "dns.test", &["dot"], None).await.unwrap();
    assert_eq!(firsts(&often_over(&mut stream, "printer.test.").await, 0).len(), 4);
    server.stop().await;
    let server = start_secured("https", &authority, &more);
    let mut stream = authority.connect(&server, "dns.test", &["http/1.1"], None).await.unwrap();
    let query = question(0, "printer.test.", RecordType::A).to_vec().unwrap();
    let mut answers = Vec::new();
    for _ in 0..OFTEN {
        answers.push(Message::from_vec(&request(&mut stream, POST, &query).await.2).unwrap());
    }
    assert_eq!(firsts(&answers, 0).len(), 4);
    let query = question(0, "small.shop.svc.cluster.local.", RecordType::A).to_vec().unwrap();
    let mut firsts = BTreeSet::new();
    for _ in 0..OFTEN {
        let answer = Message::from_vec(&request(&mut stream, POST, &query).await.2).unwrap();
        firsts.insert(answered(&answer)[0].clone());
    }
    // Without turns it is one.
    assert!(firsts.len() > 3, "{firsts:?}");
    server.stop().await;
}

#[tokio::test]
async fn without_it_the_order_stays() {
    let server = start_balancing(&format!("cache 30\n {HOSTS}")).await;
    for name in ["www.test.", "printer.test."] {
        assert_eq!(firsts(&often(&server, name, RecordType::A).await, 0).len(), 1, "{name}");
    }
    let late = server.ask(&question(1, "late.test.", RecordType::A)).await;
    assert_eq!(late.answers[4].record_type(), RecordType::CNAME);
    server.stop().await;
}

/// Glibc takes no address that stands before its alias.
#[tokio::test]
async fn aliases_stand_before_addresses() {
    let server = start_balancing("loadbalance\n cache 30").await;
    for answer in often(&server, "late.test.", RecordType::A).await {
        let types: Vec<_> = answer.answers.iter().map(Record::record_type).collect();
        assert_eq!(types, [&[RecordType::CNAME][..], &[RecordType::A; 4]].concat());
    }
    server.stop().await;
}

#[tokio::test]
async fn flags_alone_have_them_take_turns() {
    for cache in [CacheSettings::default(), settings().cache] {
        let upstream = Upstream::new().await;
        let server = start(Settings { cache, ..upstreams(&[upstream.address()]) });
        upstream.answering(four);
        assert_eq!(firsts(&often(&server, "www.test.", RecordType::A).await, 0).len(), 4);
        server.stop().await;
    }
}

/// Those have turns of their own, which cost less; a question with the same id gets the same.
#[tokio::test]
async fn names_of_the_cluster_are_left_alone() {
    let server = start_balancing("loadbalance").await;
    let answers = often(&server, "small.shop.svc.cluster.local.", RecordType::A).await;
    assert!(answers.iter().all(|answer| answer.answers == answers[0].answers && answer.answers.len() == 7));
    server.stop().await;
}

#[tokio::test]
async fn what_is_explained_is_the_same_each_time() {
    let corefile = format!(".:PORT {{\n bind 127.0.0.1\n kubernetes cluster.local\n loadbalance\n {HOSTS}\n}}\n");
    let plan = plan(&corefile, 53);
    let explainer = Explainer::new(&plan, DnsCompatibility::Standard, Arc::new(table()), &Handle::current()).unwrap();
    let name = Name::from_ascii("printer.test.").unwrap();
    for _ in 0..OFTEN {
        let question = Question { name: name.clone(), record_type: RecordType::A };
        let explained = explainer.explain(&question, (Some(ANY_PORT.ip()), Some(53)), Some(ANY_PORT.ip())).unwrap();
        let Outcome::Answered(sections) = explained.outcome else { panic!("{:?}", explained.outcome) };
        let records: Vec<_> = sections.answers.iter().map(|record| record.data.to_string()).collect();
        assert_eq!(records, ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"]);
    }
}
