use super::*;
use crate::corefile::System;
use crate::metrics::Metrics;
use crate::plan::{self, Plan};
use crate::server::Bounds;
use crate::server::respond::Shared;
use crate::serving::{At, Forwarders};
use config::{BackendTable, DnsCompatibility, NameChange, NameTable, RoutingTable, ServiceNames, Snapshot};
use hickory_proto::op::{Message, MessageType, OpCode};
use prometheus::Registry;
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// What becomes of a question about the cluster's own names in a block with these plugins.
fn respond(plugins: &str, name: &str, record_type: RecordType, may_wait: bool) -> Response {
    respond_of(plugins, name, record_type, may_wait).1
}

/// The same, and who has it.
fn respond_of(plugins: &str, name: &str, record_type: RecordType, may_wait: bool) -> (Responder, Response) {
    let text = format!(".:53 {{\n {plugins}\n kubernetes cluster.local {{\n pods verified\n}}\n}}");
    let (plan, _) = Plan::from_corefile(&text, "Corefile", &System).unwrap();
    let metrics = Arc::new(Metrics::new(&Registry::new()).unwrap());
    let serving = Serving::of(&plan, DnsCompatibility::Standard, (&Forwarders::default(), &metrics)).unwrap();
    let at = At { transport: plan::Transport::Dns, address: "[::]:53".parse().unwrap() };
    let (publisher, names) = config::publisher();
    let web = ServiceNames::cluster_ip(["10.0.0.1".parse().unwrap()], Vec::new(), Vec::new());
    let web = NameChange::Service { namespace: "shop".into(), service: "web".into(), names: Some(Arc::new(web)) };
    let address = "192.0.2.9".parse().unwrap();
    let pod =
        NameChange::Pod { namespace: "front".into(), pod: "a".into(), address, has_own_search: false, exists: true };
    publisher.publish(Arc::new(Snapshot {
        generation: 1,
        routing: Arc::new(RoutingTable::default()),
        backends: Arc::new(BackendTable::default()),
        names: Arc::new(NameTable::default().patched([web, pod], 1)),
    }));
    let shared = Arc::new(Shared::new(names, Arc::new(serving), metrics, Bounds::default()));
    let labels = name.split('.').flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat());
    let kind = [u16::from(record_type), 1].map(u16::to_be_bytes).concat();
    let packet: Vec<u8> = [0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0].into_iter().chain(labels).chain(kind).collect();
    let peer = "192.0.2.9:4000".parse().unwrap();
    let came = (peer, None, (Transport::Udp, may_wait));
    let responder = Responder::new(Arc::clone(&shared), at);
    let response = responder.respond_as_of(&Now::of(&shared), &packet, came, &mut Vec::new());
    (responder, response)
}

/// Else there would be as many tasks as there are questions.
#[tokio::test]
async fn what_is_known_is_answered_at_once() {
    for (plugins, name, record_type) in [
        ("dns64 {\n allow_ipv4\n}", "web.shop.svc.cluster.local.", RecordType::AAAA),
        ("autopath @kubernetes", "web.shop.front.svc.cluster.local.", RecordType::A),
        ("autopath @kubernetes", "gone.shop.front.svc.cluster.local.", RecordType::A),
        ("rewrite name suffix .short .svc.cluster.local", "web.shop.short.", RecordType::A),
    ] {
        let response = respond(plugins, name, record_type, true);
        assert!(matches!(response, Response::Ready(_)), "{plugins} {name}: {response:?}");
    }
}

#[tokio::test]
async fn what_may_not_wait_is_walked_as_far_as_is_known() {
    let plugins = "autopath @kubernetes\n forward . 127.0.0.1:1";
    for (may_wait, is_ready) in [(true, false), (false, true)] {
        let response = respond(plugins, "gone.front.svc.cluster.local.", RecordType::A, may_wait);
        assert_eq!(matches!(response, Response::Ready(_)), is_ready, "{response:?}");
    }
}

/// An upstream that answers its first question with this code and without a record, after a second and a half, and no
/// other; each that it hears comes out, with its type.
async fn falling_silent(first: Option<ResponseCode>) -> (SocketAddr, UnboundedReceiver<String>) {
    let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let (address, (tell, heard)) = (udp.local_addr().unwrap(), unbounded_channel());
    tokio::spawn(async move {
        let (mut packet, mut first) = ([0; 4096], first);
        loop {
            let (len, peer) = udp.recv_from(&mut packet).await.unwrap();
            let question = Message::from_vec(&packet[..len]).unwrap();
            let query = &question.queries[0];
            if query.query_type() == RecordType::HINFO {
                // By which circles are found.
                continue;
            }
            drop(tell.send(format!("{} {}", query.name(), query.query_type())));
            if let Some(code) = first.take() {
                tokio::time::sleep(Duration::from_millis(1500)).await;
                let mut answer = Message::new(question.metadata.id, MessageType::Response, OpCode::Query);
                answer.metadata.response_code = code;
                answer.queries = question.queries;
                udp.send_to(&answer.to_vec().unwrap(), peer).await.unwrap();
            }
        }
    });
    (address, heard)
}

/// Clients give up after 5 s, and ask again: who still asks for them then keeps places from others.
#[tokio::test(start_paused = true)]
async fn what_takes_several_questions_takes_no_longer_than_one() {
    let directory = tempfile::tempdir().unwrap();
    let list = directory.path().join("resolv.conf");
    std::fs::write(&list, "search first.test second.test\n").unwrap();
    let (dns64, walk) = ("dns64 {\n allow_ipv4\n}", &format!("autopath {}", list.display()));
    let led = &format!("{dns64}\ntemplate IN ANY x.test {{\n answer \"{{{{ .Name }}}} 60 IN CNAME a.test.\"\n}}");
    let (nodata, nxdomain) = (Some(ResponseCode::NoError), Some(ResponseCode::NXDomain));
    let (twice, often) = ("", "max_connect_attempts 9");
    for (plugins, first, name, record_type, tries, heard, millis) in [
        // Each try takes 2 s. Nothing is asked again where nobody has answered.
        (dns64, None, "a.test.", RecordType::AAAA, twice, &["a.test. AAAA"; 2][..], 4000),
        (dns64, None, "a.test.", RecordType::AAAA, often, &["a.test. AAAA"; 3], 4800),
        (led, None, "x.test.", RecordType::AAAA, twice, &["a.test. AAAA"; 2], 4000),
        // What is left of the time is what the next has.
        (dns64, nodata, "a.test.", RecordType::AAAA, twice, &["a.test. AAAA", "a.test. A", "a.test. A"], 4800),
        (led, nodata, "x.test.", RecordType::AAAA, twice, &["a.test. AAAA", "a.test. A", "a.test. A"], 4800),
        (
            walk,
            nxdomain,
            "a.first.test.",
            RecordType::A,
            twice,
            &["a.first.test. A", "a.second.test. A", "a.second.test. A"],
            4800,
        ),
    ] {
        let (upstream, mut asked) = falling_silent(first).await;
        // Without checks, which would be heard too.
        let plugins = format!("{plugins}\n forward . {upstream} {{\n max_fails 0\n{tries}\n}}");
        let since = Instant::now();
        let (responder, response) = respond_of(&plugins, name, record_type, true);
        let Response::Pending(pending) = response else { panic!("{plugins}: {response:?}") };
        let message = responder.finish(pending, |_| ()).await;
        let took = since.elapsed();
        let span = Duration::from_millis(millis);
        assert!(span <= took && took < span + Duration::from_millis(50), "{plugins}: {took:?}");
        let expected = match name {
            // Of a CNAME that leads to what nobody can tell it is the answer.
            "x.test." => ResponseCode::NoError,
            // A walk that comes to what nobody can tell is left to its client.
            "a.first.test." => ResponseCode::NXDomain,
            _ => ResponseCode::ServFail,
        };
        assert_eq!(code(&message), expected, "{plugins}");
        let asked: Vec<_> = std::iter::from_fn(|| asked.try_recv().ok()).collect();
        assert_eq!(asked, heard, "{plugins}");
    }
}
