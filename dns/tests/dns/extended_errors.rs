//! Why an answer is as it is (RFC 8914): said to those who speak EDNS.

use crate::harness::*;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType;
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use std::time::Duration;
use tidegate_dns::{CacheSettings, Settings};

/// The number and the text.
fn why(answer: &Message) -> Option<(u16, String)> {
    let option = answer.edns.as_ref()?.option(EdnsCode::Unknown(15))?;
    let EdnsOption::Unknown(15, bytes) = option else { panic!("{option:?}") };
    let (number, text) = bytes.split_first_chunk().unwrap();
    Some((u16::from_be_bytes(*number), String::from_utf8(text.to_vec()).unwrap()))
}

fn asking(name: &str) -> Message {
    with_edns(question(1, name, RecordType::A), 1232)
}

#[tokio::test]
async fn a_refusal_and_a_failure_say_why() {
    let server = start_empty(|_| settings());
    let early = server.ask(&asking("web.shop.svc.cluster.local.")).await;
    assert_eq!(early.metadata.response_code, ResponseCode::ServFail);
    assert_eq!(why(&early), Some((14, "the names of the cluster are not known yet".to_owned())));
    let plain = server.ask(&question(1, "web.shop.svc.cluster.local.", RecordType::A)).await;
    assert_eq!((plain.metadata.response_code, plain.edns), (ResponseCode::ServFail, None));
    let nobody = server.ask(&asking("example.org.")).await;
    assert_eq!(nobody.metadata.response_code, ResponseCode::ServFail);
    assert_eq!(why(&nobody), Some((20, "no upstream is set for this name".to_owned())));
    server.stop().await;

    let (server, _) =
        start_corefile(".:PORT {\n bind 127.0.0.1\n forward . 192.0.2.53 {\n  except private.test\n }\n}\n");
    let left_out = server.ask(&asking("a.private.test.")).await;
    assert_eq!(left_out.metadata.response_code, ResponseCode::ServFail);
    let except = "the upstreams that are set are not for this name (`except` of `forward`)";
    assert_eq!(why(&left_out), Some((20, except.to_owned())));
    server.stop().await;

    let upstream = Upstream::new().await;
    let server = start(Settings { forward_limit: 0, ..upstreams(&[upstream.address()]) });
    let busy = server.ask(&asking("example.org.")).await;
    assert_eq!(why(&busy), Some((0, "too many questions are waiting for upstreams".to_owned())));
    // What is as it should be needs no word.
    assert_eq!(why(&server.ask(&asking("web.shop.svc.cluster.local.")).await), None);
    assert_eq!(why(&server.ask(&asking("gone.shop.svc.cluster.local.")).await), None);
    server.stop().await;
}

#[tokio::test]
async fn what_is_over_or_remembered_is_told_to_be() {
    let gone = Upstream::new().await.address();
    let server = start(Settings { cache: CacheSettings::default(), ..upstreams(&[gone]) });
    for expected in [(22, "no upstream answered"), (13, "this failed a moment ago")] {
        let answer = server.ask(&asking("example.org.")).await;
        assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
        assert_eq!(why(&answer), Some((expected.0, expected.1.to_owned())));
    }
    server.stop().await;

    let upstream = Upstream::new().await;
    let patience = Duration::from_millis(20);
    let cache = CacheSettings { min_ttl: 1, max_ttl: 1, patience, ..CacheSettings::default() };
    let server = start(Settings { cache, ..upstreams(&[upstream.address()]) });
    let client = send(&server, &asking("example.org.")).await;
    let (asked, peer) = upstream.asked().await;
    upstream.reply(&one_address(&asked), peer).await;
    assert_eq!(why(&answer(&client).await), None);
    // Until it is over and the upstream says nothing more.
    let stale = loop {
        let answer = server.ask(&asking("example.org.")).await;
        if why(&answer).is_some() {
            break answer;
        }
    };
    assert_eq!((why(&stale), answered(&stale)), (Some((3, String::new())), vec!["192.0.2.1".to_owned()]));
    server.stop().await;
}
