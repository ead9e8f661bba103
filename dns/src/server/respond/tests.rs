use super::*;
use crate::corefile::System;
use crate::part::harness::Log;
use crate::plan::{self, Plan};
use crate::server::Settings;
use crate::serving::Forwarders;
use config::{DnsCompatibility, DomainName};
use prometheus::Registry;

/// What is logged of a question for `example.`.
async fn logged(plugins: &str, record_type: u16, class: u16) -> Vec<String> {
    let (_publisher, subscriber) = config::publisher();
    let metrics = Arc::new(Metrics::new(&Registry::new()).unwrap());
    let plan = Plan::from_corefile(&format!(". {{\n{plugins}\n}}"), "Corefile", &System).unwrap().0;
    let serving = Serving::of(&plan, DnsCompatibility::Standard, (&Forwarders::default(), &metrics)).unwrap();
    let at = At { transport: plan::Transport::Dns, address: "[::]:53".parse().unwrap() };
    let responder =
        Responder::new(Arc::new(Shared::new(subscriber, Arc::new(serving), metrics, Bounds::default())), at);
    let kind = [record_type, class].map(u16::to_be_bytes).concat();
    let packet = [&[0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], b"\x07example\x00", &kind].concat();
    let (log, _subscribed) = Log::begin();
    let peer = "192.0.2.9:4000".parse().unwrap();
    responder.respond(&packet, (peer, None), Transport::Udp, &mut Vec::new());
    let lines = log.take().into_iter().filter_map(|line| Some(line.split_once("dns::query: ")?.1.to_owned()));
    lines.map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect()
}

#[tokio::test]
async fn a_question_that_is_refused_or_dropped_has_its_line() {
    const CHAOS: u16 = 3;
    for (plugins, (record_type, class), expected) in [
        ("log", (16, CHAOS), "\"TXT CH example. udp 25 false 512\" REFUSED qr 25"),
        ("log", (1, 4), "\"A HS example. udp 25 false 512\" REFUSED qr 25"),
        ("log . {\nclass error\n}", (252, 1), "\"AXFR IN example. udp 25 false 512\" REFUSED qr 25"),
        ("log\nacl {\ndrop type MX\n}", (15, 1), "\"MX IN example. udp 25 false 512\" - - 0"),
        ("log . {\nclass error\n}\nacl {\ndrop\n}", (16, CHAOS), "\"TXT CH example. udp 25 false 512\" - - 0"),
    ] {
        assert_eq!(logged(plugins, record_type, class).await, [format!("192.0.2.9:4000 - 7 {expected}")], "{plugins}");
    }
    assert_eq!(logged("log . {\nclass denial\n}\nacl {\ndrop\n}", 1, 1).await, [""; 0]);
}

#[tokio::test]
async fn what_is_sent_to_everybody_gets_no_answer() {
    let (_publisher, subscriber) = config::publisher();
    let metrics = Arc::new(Metrics::new(&Registry::new()).unwrap());
    let block = Settings::new(DomainName::cluster_local(), Vec::new()).block(&metrics);
    let at = At { transport: plan::Transport::Dns, address: "192.0.2.1:53".parse().unwrap() };
    let serving = Arc::new(Serving::everywhere(block, [at], (Clocks::default(), &metrics)));
    let shared = Shared::new(subscriber, serving, metrics, Bounds::default());
    let responder = Responder::new(Arc::new(shared), at);
    let packet = [&[0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], b"\x07example\x00", &[0, 1, 0, 1]].concat();
    let peer = "192.0.2.9:4000".parse().unwrap();
    for (address, is_answered) in [
        ("224.0.0.251:5353", false),
        ("255.255.255.255:53", false),
        ("[ff02::fb]:5353", false),
        ("[::ffff:224.0.0.251]:5353", false),
        ("192.0.2.1:53", true),
        ("[::ffff:192.0.2.1]:53", true),
    ] {
        let asked_at = Some(crate::host::canonical(address.parse().unwrap()));
        let response = responder.respond(&packet, (peer, asked_at), Transport::Udp, &mut Vec::new());
        assert_eq!(matches!(response, Response::Ready(_)), is_answered, "{address}: {response:?}");
    }
    assert_eq!(responder.metrics.dropped.with_label_values(&["broadcast"]).get(), 4);
}
