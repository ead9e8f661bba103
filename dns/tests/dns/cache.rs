//! Answers of upstreams that are kept.

use crate::harness::*;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tidegate_dns::{CacheSettings, Settings};
use tokio::io::AsyncWriteExt;

fn keeping(upstream: &Upstream, cache: CacheSettings) -> Settings {
    Settings { cache, ..upstreams(&[upstream.address()]) }
}

fn counted(server: &Running, result: &str) -> f64 {
    server.metric("tidegate_dns_cache_requests_total", &[&format!("result=\"{result}\"")])
}

#[tokio::test]
async fn an_answer_is_asked_for_once() {
    let upstream = Upstream::new().await;
    let server = start(keeping(&upstream, CacheSettings::default()));
    let mut asked = upstream.answering(one_address);
    for (id, name) in [(1, "example.org."), (2, "EXAMPLE.org."), (3, "example.org.")] {
        let query = question(id, name, RecordType::A);
        let answer = server.ask(&query).await;
        assert_eq!((answer.metadata.id, answered(&answer)), (id, vec!["192.0.2.1".to_owned()]));
        assert!(answer.queries[0].name().eq_case(query.queries[0].name()));
        // 60 s, and 30 s are the most.
        assert!((29..=30).contains(&answer.answers[0].ttl), "{}", answer.answers[0].ttl);
    }
    let mut stream = server.connect().await;
    stream.write_all(&frame(&question(4, "example.org.", RecordType::A).to_vec().unwrap())).await.unwrap();
    assert_eq!(answered(&Message::from_vec(&read_frame(&mut stream).await.unwrap()).unwrap()), ["192.0.2.1"]);
    // The same name behind an alias of the zone.
    let answer = server.ask(&question(5, "out.shop.svc.cluster.local.", RecordType::A)).await;
    assert_eq!(answered(&answer), ["ext.interwebs.test.", "192.0.2.1"]);
    let answer = server.ask(&question(6, "out.shop.svc.cluster.local.", RecordType::A)).await;
    assert_eq!(answered(&answer), ["ext.interwebs.test.", "192.0.2.1"]);
    assert!(answer.metadata.authoritative);
    assert_eq!(asked.recv().await.unwrap(), "example.org.");
    assert_eq!(asked.recv().await.unwrap(), "ext.interwebs.test.");
    assert!(asked.is_empty());
    assert_eq!((counted(&server, "hit"), counted(&server, "miss")), (4.0, 2.0));
    assert_eq!(server.metric("tidegate_dns_request_duration_seconds_count", &["source=\"cache\""]), 4.0);
    server.stop().await;
}

#[tokio::test]
async fn what_is_kept_is_not_authoritative() {
    let upstream = Upstream::new().await;
    let server = start(keeping(&upstream, CacheSettings::default()));
    drop(upstream.answering(|question| {
        let mut answer = one_address(question);
        answer.metadata.authoritative = true;
        answer
    }));
    for is_authoritative in [true, false, false] {
        let answer = server.ask(&question(1, "example.org.", RecordType::A)).await;
        assert_eq!((answer.metadata.authoritative, answer.answers.len()), (is_authoritative, 1));
    }
    server.stop().await;
}

#[tokio::test]
async fn who_asks_otherwise_is_answered_otherwise() {
    let upstream = Upstream::new().await;
    let server = start(keeping(&upstream, CacheSettings::default()));
    let mut asked = upstream.answering(one_address);
    let plain = question(1, "example.org.", RecordType::A);
    let mut unchecked = plain.clone();
    unchecked.metadata.checking_disabled = true;
    let mut signed = with_edns(plain.clone(), 1232);
    signed.edns.as_mut().unwrap().set_dnssec_ok(true);
    for query in [plain, unchecked, signed, question(1, "example.org.", RecordType::AAAA)] {
        for _ in 0..2 {
            server.ask(&query).await;
        }
        assert_eq!(asked.recv().await.unwrap(), "example.org.");
        assert_eq!(
            asked.is_empty(),
            query.queries[0].query_type() == RecordType::A,
            "no AAAA, and no SOA that says so"
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn what_is_over_is_given_where_upstreams_are_slow() {
    let upstream = Upstream::new().await;
    let patience = Duration::from_millis(20);
    let cache = CacheSettings { min_ttl: 1, max_ttl: 1, patience, ..CacheSettings::default() };
    let server = start(keeping(&upstream, cache));
    let query = question(1, "example.org.", RecordType::A);
    let client = send(&server, &query).await;
    let (asked, peer) = upstream.asked().await;
    upstream.reply(&one_address(&asked), peer).await;
    assert_eq!(answer(&client).await.answers[0].ttl, 1);
    // Once it is over the upstream is asked again, and says nothing.
    let asking = async {
        loop {
            let ttl = server.ask(&query).await.answers[0].ttl;
            if ttl == 30 {
                return;
            }
            assert!(ttl <= 1, "{ttl}");
        }
    };
    let ((asked, peer), ()) = tokio::join!(upstream.asked(), asking);
    assert!(counted(&server, "stale") >= 1.0);
    // Nobody waits for its answer any more; it is kept all the same.
    upstream.reply(&addresses(&asked, &["192.0.2.7".parse().unwrap()]), peer).await;
    while answered(&server.ask(&query).await) != ["192.0.2.7"] {}
    server.stop().await;
}

#[tokio::test]
async fn upstreams_that_failed_are_left_alone_for_a_while() {
    let upstream = Upstream::new().await;
    let server = start(keeping(&upstream, CacheSettings::default()));
    let mut asked = upstream.answering(|question| code(question, ResponseCode::ServFail));
    for id in 1..4 {
        let answer = server.ask(&question(id, "example.org.", RecordType::A)).await;
        assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
    }
    // Two tries of the one upstream, then none.
    assert_eq!(counted(&server, "failed"), 2.0);
    let mut tries = 0;
    while asked.try_recv().is_ok() {
        tries += 1;
    }
    assert!((1..=2).contains(&tries), "{tries}");
    server.stop().await;
}

#[tokio::test]
async fn upstreams_that_refuse_what_is_over_are_left_alone_too() {
    for refusal in [ResponseCode::Refused, ResponseCode::ServFail] {
        let upstream = Upstream::new().await;
        let cache = CacheSettings { min_ttl: 1, max_ttl: 1, ..CacheSettings::default() };
        let server = start(keeping(&upstream, cache));
        let turn = AtomicUsize::new(0);
        let mut asked = upstream.answering(move |question| match turn.fetch_add(1, Ordering::Relaxed) {
            0 => one_address(question),
            _ => code(question, refusal),
        });
        let query = question(1, "example.org.", RecordType::A);
        assert_eq!(server.ask(&query).await.answers[0].ttl, 1);
        // Before it is over, once it is, and again and again.
        while server.ask(&query).await.answers[0].ttl != 30 {}
        for _ in 0..10 {
            assert_eq!(server.ask(&query).await.answers[0].ttl, 30);
        }
        asked.close();
        let mut tries = 0;
        while asked.recv().await.is_some() {
            tries += 1;
        }
        assert!(tries <= 3, "{tries} tries after {refusal}");
        server.stop().await;
    }
}

#[tokio::test]
async fn a_server_that_asks_itself_keeps_no_answer_alive() {
    let upstream = Upstream::new().await;
    let cache = CacheSettings { min_ttl: 1, max_ttl: 1, ..CacheSettings::default() };
    let server = start_empty(|own| Settings { cache, ..upstreams(&[own, upstream.address()]) });
    let turn = AtomicUsize::new(0);
    drop(upstream.answering(move |question| match turn.fetch_add(1, Ordering::Relaxed) {
        0 => one_address(question),
        _ => code(question, ResponseCode::ServFail),
    }));
    let query = question(1, "example.org.", RecordType::A);
    assert_eq!(server.ask(&query).await.answers[0].ttl, 1);
    while server.ask(&query).await.answers[0].ttl != 30 {}
    assert!(counted(&server, "stale") >= 1.0);
    server.stop().await;
}

#[tokio::test]
async fn what_is_over_needs_no_room_either() {
    let upstream = Upstream::new().await;
    let cache = CacheSettings { min_ttl: 1, max_ttl: 1, ..CacheSettings::default() };
    let server = start(Settings { forward_limit: 1, ..keeping(&upstream, cache) });
    let query = question(1, "example.org.", RecordType::A);
    let client = send(&server, &query).await;
    let (asked, peer) = upstream.asked().await;
    upstream.reply(&one_address(&asked), peer).await;
    assert_eq!(answer(&client).await.answers[0].ttl, 1);
    // The only place is taken, for as long as it lives and longer.
    let _waiting = send(&server, &question(2, "slow.example.", RecordType::A)).await;
    upstream.asked().await;
    let mut ttl = 0;
    while ttl < 30 {
        let answer = server.ask(&query).await;
        assert_eq!(answered(&answer), ["192.0.2.1"]);
        ttl = answer.answers[0].ttl;
    }
    assert_eq!(counted(&server, "stale"), 1.0);
    server.stop().await;
}

#[tokio::test]
async fn what_is_kept_needs_no_room_among_those_who_wait() {
    let upstream = Upstream::new().await;
    let server = start(Settings { forward_limit: 1, ..keeping(&upstream, CacheSettings::default()) });
    let client = send(&server, &question(1, "example.org.", RecordType::A)).await;
    let (asked, peer) = upstream.asked().await;
    upstream.reply(&one_address(&asked), peer).await;
    answer(&client).await;
    // The only place is taken.
    let _waiting = send(&server, &question(2, "slow.example.", RecordType::A)).await;
    upstream.asked().await;
    assert_eq!(answered(&server.ask(&question(3, "example.org.", RecordType::A)).await), ["192.0.2.1"]);
    let refused = server.ask(&question(4, "other.example.", RecordType::A)).await;
    assert_eq!(refused.metadata.response_code, ResponseCode::Refused);
    server.stop().await;
}

/// As CoreDNS has it, which keeps these too.
#[tokio::test]
async fn what_is_made_here_is_told_for_no_longer_than_it_would_be_kept() {
    let plugins = "hosts {
            192.0.2.7 printer.test
            ttl 3600
            fallthrough
        }
        template IN A made.test {
            answer \"{{ .Name }} 600 IN A 192.0.2.8\" \"{{ .Name }} 1 IN A 192.0.2.9\"
        }
        template IN AAAA made.test {
            authority \"{{ .Zone }} 600 IN SOA ns.{{ .Zone }} h.{{ .Zone }} 1 60 60 60 500\"
        }
        kubernetes cluster.local {
            ttl 60
        }";
    let (ours, gone) = ("web.shop.svc.cluster.local.", "gone.shop.svc.cluster.local.");
    for (cache, [hosts, made, denied, records, none]) in [
        ("", [3600, 600, 600, 60, 60]),
        ("cache 30", [30, 30, 30, 30, 30]),
        ("cache 30 {\n denial 9984 20\n }", [30, 30, 20, 30, 20]),
        ("cache 30 {\n disable success cluster.local\n disable denial cluster.local\n }", [30, 30, 30, 60, 60]),
        ("cache 30 example.org", [3600, 600, 600, 60, 60]),
    ] {
        let (server, _) = start_corefile(&format!(".:PORT {{\n bind 127.0.0.1\n {cache}\n {plugins}\n}}\n"));
        for (name, record_type, expected) in [
            ("printer.test.", RecordType::A, vec![hosts]),
            // One that is to live less does.
            ("made.test.", RecordType::A, vec![made, 1]),
            ("made.test.", RecordType::AAAA, vec![denied]),
            (ours, RecordType::A, vec![records]),
            (gone, RecordType::A, vec![none]),
        ] {
            let answer = server.ask(&question(1, name, record_type)).await;
            let told: Vec<_> = answer.answers.iter().chain(&answer.authorities).map(|record| record.ttl).collect();
            assert_eq!(told, expected, "{cache}: {name} {record_type}");
        }
        server.stop().await;
    }
}
