use super::*;
use crate::corefile::System;
use crate::part::harness::Log;
use crate::plan::{self, Plan};
use crate::server::Settings;
use crate::serving::Forwarders;
use config::{BackendTable, DnsCompatibility, DomainName, NameTable, RoutingTable, Snapshot};
use prometheus::Registry;

/// What is logged of a question for `example.`.
async fn logged(plugins: &str, record_type: u16, class: u16) -> Vec<String> {
    logged_over(Transport::Udp, plugins, record_type, class).await
}

async fn logged_over(transport: Transport, plugins: &str, record_type: u16, class: u16) -> Vec<String> {
    let (publisher, subscriber) = config::publisher();
    publisher.publish(Arc::new(Snapshot {
        generation: 1,
        routing: Arc::new(RoutingTable::default()),
        backends: Arc::new(BackendTable::default()),
        names: Arc::new(NameTable::default()),
    }));
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
    let mut out = Vec::new();
    let response = responder.respond(&packet, (peer, None), transport, &mut out);
    if let Response::Ready(answered) = response
        && (transport, answered.asks_for_a_zone()) == (Transport::Tcp, true)
    {
        responder.transfer(&packet, (peer, None), (answered, out));
    }
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
        ("log\nacl {\ndrop\n}", (1, 4), "\"A HS example. udp 25 false 512\" - - 0"),
        ("log\nacl {\nfilter\n}", (252, 1), "\"AXFR IN example. udp 25 false 512\" NOERROR qr 25"),
        ("log\nacl {\ndrop\n}", (251, 1), "\"IXFR IN example. udp 25 false 512\" - - 0"),
        ("log", (250, 1), "\"TSIG IN example. udp 25 false 512\" NOTIMP qr 25"),
        ("log\nacl {\ndrop\n}", (250, 1), "\"TSIG IN example. udp 25 false 512\" - - 0"),
    ] {
        assert_eq!(logged(plugins, record_type, class).await, [format!("192.0.2.9:4000 - 7 {expected}")], "{plugins}");
    }
    assert_eq!(logged("log . {\nclass denial\n}\nacl {\ndrop\n}", 1, 1).await, [""; 0]);
}

#[tokio::test]
async fn a_question_for_a_zone_has_one_line_about_what_it_gets() {
    let zone = "log\nkubernetes example";
    // Nobody can have one of another class, and it has its line for that.
    for (plugins, expected) in [("log", "REFUSED qr 25"), ("log\nacl {\ndrop\n}", "- - 0")] {
        let line = format!("192.0.2.9:4000 - 7 \"AXFR CH example. tcp 25 false 65535\" {expected}");
        assert_eq!(logged_over(Transport::Tcp, plugins, 252, 3).await, [line], "{plugins}");
    }
    for (transfer, acl, expected) in [
        ("to *", "allow", "NOERROR qr,aa "),
        ("to 192.0.2.1", "allow", "REFUSED qr 25"),
        ("to *", "block", "REFUSED qr 25"),
        ("to *", "filter", "NOERROR qr 25"),
        ("to *", "drop", "- - 0"),
    ] {
        let plugins = format!("{zone}\ntransfer {{\n{transfer}\n}}\nacl {{\n{acl} type AXFR\n}}");
        let lines = logged_over(Transport::Tcp, &plugins, 252, 1).await;
        let begins = format!("192.0.2.9:4000 - 7 \"AXFR IN example. tcp 25 false 65535\" {expected}");
        assert!(lines.len() == 1 && lines[0].starts_with(&begins), "{lines:?}");
    }
}

#[tokio::test]
async fn what_came_to_an_address_is_answered_by_what_was_served_there() {
    let (_publisher, subscriber) = config::publisher();
    let metrics = Arc::new(Metrics::new(&Registry::new()).unwrap());
    let block = || Settings::new(DomainName::cluster_local(), Vec::new()).block(&metrics);
    let [at, other] = ["192.0.2.1:53", "192.0.2.2:53"]
        .map(|address| At { transport: plan::Transport::Dns, address: address.parse().unwrap() });
    let [before, after] =
        [at, other].map(|at| Arc::new(Serving::everywhere(block(), [at], (Clocks::default(), &metrics))));
    let shared = Arc::new(Shared::new(subscriber, Arc::clone(&before), Arc::clone(&metrics), Bounds::default()));
    let packet = [&[0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], b"\x07example\x00", &[0, 1, 0, 1]].concat();
    let peer = "192.0.2.9:4000".parse().unwrap();
    let is_answered = |responder: &Responder| {
        let response = responder.respond(&packet, (peer, None), Transport::Tcp, &mut Vec::new());
        (matches!(response, Response::Ready(_)), responder.connection().is_some())
    };
    let [left, closed] = [(); 2].map(|()| Responder::new(Arc::clone(&shared), at));
    left.leave(&before);
    shared.serving.store(after);
    assert_eq!([is_answered(&left), is_answered(&closed)], [(true, true), (false, false)]);
}

/// Of one who is asked at 192.0.2.1.
fn alone() -> Responder {
    let (_publisher, subscriber) = config::publisher();
    let metrics = Arc::new(Metrics::new(&Registry::new()).unwrap());
    let block = Settings::new(DomainName::cluster_local(), Vec::new()).block(&metrics);
    let at = At { transport: plan::Transport::Dns, address: "192.0.2.1:53".parse().unwrap() };
    let serving = Arc::new(Serving::everywhere(block, [at], (Clocks::default(), &metrics)));
    Responder::new(Arc::new(Shared::new(subscriber, serving, metrics, Bounds::default())), at)
}

fn about_example() -> Vec<u8> {
    [&[0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], b"\x07example\x00", &[0, 1, 0, 1]].concat()
}

#[tokio::test]
async fn what_comes_from_port_0_gets_no_answer() {
    let (responder, asked_at) = (alone(), Some("192.0.2.1:53".parse().unwrap()));
    for (peer, is_answered) in [("192.0.2.9:0", false), ("[2001:db8::9]:0", false), ("192.0.2.9:1", true)] {
        let mut out = Vec::new();
        let response = responder.respond(&about_example(), (peer.parse().unwrap(), asked_at), Transport::Udp, &mut out);
        assert_eq!(matches!(response, Response::Ready(_)), is_answered, "{peer}: {response:?}");
        assert_eq!(out.is_empty(), !is_answered, "{peer}");
    }
    assert_eq!(responder.metrics.dropped.with_label_values(&["port"]).get(), 2);
}

#[tokio::test]
async fn what_is_sent_to_everybody_gets_no_answer() {
    let (responder, packet) = (alone(), about_example());
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
