//! Upstreams that are files and names.

use super::super::origin::Origin;
use super::super::*;
use super::cast::*;
use crate::plan::Zone;
use crate::plan::forward::{Forward, Upstream as To};
use hickory_proto::op::Message;
use hickory_proto::rr::{RData, RecordType, rdata};
use tokio::net::UdpSocket;

fn addresses(origin: &Origin, outbound: &Arc<Outbound>) -> Vec<String> {
    let mut upstreams = Vec::new();
    origin.look(&Arc::default(), outbound);
    origin.add_to(&mut upstreams, outbound);
    upstreams.iter().map(|upstream| upstream.address.to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_file_is_read_again_when_it_changes() {
    let metrics = crate::metrics::Metrics::new(&prometheus::Registry::new()).unwrap();
    let outbound = Arc::new(Outbound::new(metrics.forward));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("resolv.conf");
    let write = |text: &[u8]| {
        // As a mount does it: another file in its place.
        let new = folder.path().join("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, &path).unwrap();
    };
    write(b"search a.example\nnameserver 192.0.2.1\nnameserver 2001:db8::1\n");
    let forward = Arc::new(Forward::new(Zone::root()));
    let origin = Origin::new(&To::File(path.to_str().unwrap().to_owned()), &forward, &mut Default::default()).unwrap();
    assert_eq!(addresses(&origin, &outbound), ["192.0.2.1:53", "[2001:db8::1]:53"]);
    write(b"nameserver 192.0.2.2\nnameserver 192.0.2.1\n");
    let later = || tokio::time::advance(Duration::from_secs(5));
    assert_eq!(addresses(&origin, &outbound).len(), 2);
    assert_eq!(addresses(&origin, &outbound)[1], "[2001:db8::1]:53", "it is not looked at all the time");
    later().await;
    assert_eq!(addresses(&origin, &outbound), ["192.0.2.2:53", "192.0.2.1:53"]);
    // What is of no use changes nothing.
    for text in ["", "nameserver nonsense\n"] {
        write(text.as_bytes());
        later().await;
        assert_eq!(addresses(&origin, &outbound).len(), 2, "{text:?}");
    }
    std::fs::remove_file(&path).unwrap();
    later().await;
    assert_eq!(addresses(&origin, &outbound).len(), 2);
    write(b"nameserver 192.0.2.3 # caf\xE9\n");
    later().await;
    assert_eq!(addresses(&origin, &outbound), ["192.0.2.3:53"]);
}

#[tokio::test]
async fn a_file_that_is_of_no_use_is_told_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("resolv.conf");
    let path = path.to_str().unwrap();
    let gone = routes(&format!("forward . {path}")).unwrap_err();
    assert!(gone.starts_with(&format!("forward .: {path}: No such file")), "{gone}");
    let directory = folder.path().to_str().unwrap();
    let error = routes(&format!("forward . {directory}")).unwrap_err();
    assert!(error.contains(directory) && error.contains("no regular file"), "{error}");
    for (text, why) in [
        ("search example.org\n", "it names no nameserver"),
        ("nameserver\nnameservers 1.1.1.1\n", "it names no nameserver"),
        (
            "nameserver\n nameserver\t1.1.1.1#53 # ours\nnameserver x\n",
            "its nameserver \"1.1.1.1#53\" is no address, or there is no such interface",
        ),
        (
            "nameserver fe80::1%nosuch\n",
            "its nameserver \"fe80::1%nosuch\" is no address, or there is no such interface",
        ),
    ] {
        std::fs::write(path, text).unwrap();
        let error = routes(&format!("forward . {path}")).unwrap_err();
        assert_eq!(error, format!("forward .: {path}: {why}"), "{text:?}");
    }
}

/// An answer that says 127.0.0.1, and that there is no address of IPv6.
fn at_home(question: &Message) -> Message {
    let is_of_v4 = question.queries[0].query_type() == RecordType::A;
    let mut reply = answer(question, if is_of_v4 { 0 } else { NO_DATA }, 1);
    for record in &mut reply.answers {
        record.data = RData::A(rdata::A::new(127, 0, 0, 1));
    }
    reply
}

/// What a resolver is asked next; it gives that answer.
async fn resolved(resolver: &UdpSocket) -> String {
    let (question, name, peer) = asked(resolver).await;
    resolver.send_to(&at_home(&question).to_vec().unwrap(), peer).await.unwrap();
    format!("{name} {}", question.queries[0].query_type())
}

#[tokio::test]
async fn the_resolver_tells_where_an_upstream_is() {
    let upstream = Upstream::new(0, 1).await;
    let (resolver, _) = sockets().await;
    let at = resolver.local_addr().unwrap();
    let resolving = tokio::spawn(async move { [resolved(&resolver).await, resolved(&resolver).await] });
    let body = format!("forward . dns.example:{} {{\n resolver {at}\n}}", upstream.address.port());
    let asker = Asker::new(&body);
    // Those who ask at the same time wait for one look-up.
    let (one, two) = tokio::join!(asker.ask("a.org."), asker.ask("b.org."));
    assert_eq!((one.unwrap(), two.unwrap()), ("192.0.2.1".to_owned(), "192.0.2.1".to_owned()));
    assert_eq!(asker.ask("c.org.").await.unwrap(), "192.0.2.1");
    let to = format!("to=\"dns.example:{}\"", upstream.address.port());
    assert_eq!(asker.metric("tidegate_dns_upstream_request_duration_seconds_count", &[&to]), 3.0);
    assert_eq!(resolving.await.unwrap(), ["dns.example. A", "dns.example. AAAA"]);
}

#[test]
fn a_name_that_nobody_can_resolve_is_asked_for_now_and_then() {
    with_still_clock(async {
        let mut resolver = Upstream::new(3, 1).await;
        let asker = Asker::new(&format!("forward . dns.example {{\n resolver {}\n}}", resolver.address));
        for name in ["a.org.", "b.org."] {
            assert_eq!(asker.ask(name).await, Err(Failure::Unanswered));
        }
        assert_eq!(resolver.heard(), ["dns.example. A RD", "dns.example. AAAA RD"]);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(asker.ask("c.org.").await, Err(Failure::Unanswered));
        assert_eq!(resolver.heard().len(), 2);
    });
}

#[tokio::test]
async fn a_name_is_looked_up_though_who_asked_first_goes_away() {
    let (upstream, (resolver, _)) = (Upstream::new(0, 1).await, sockets().await);
    let at = resolver.local_addr().unwrap();
    let body = format!("forward . dns.example:{} {{\n resolver {at}\n}}", upstream.address.port());
    let asker = Arc::new(Asker::new(&body));
    let first = asking(&asker, "192.0.2.1:5000", "a.org.");
    resolver.readable().await.unwrap();
    let next = asking(&asker, "192.0.2.2:5000", "b.org.");
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    for record_type in ["A", "AAAA"] {
        assert_eq!(resolved(&resolver).await, format!("dns.example. {record_type}"));
    }
    assert_eq!(next.await.unwrap().unwrap(), "192.0.2.1");
}

#[tokio::test]
async fn names_are_looked_up_at_once_and_the_first_that_is_found_is_asked() {
    let (upstream, (resolver, _)) = (Upstream::new(0, 1).await, sockets().await);
    let (at, port) = (resolver.local_addr().unwrap(), upstream.address.port());
    let asker = Arc::new(Asker::new(&format!("forward . a.example b.example:{port} {{\n resolver {at}\n}}")));
    let asking = asking(&asker, "192.0.2.1:5000", "a.org.");
    let (first, second) = (asked(&resolver).await, asked(&resolver).await);
    let (silent, found) = if first.1 == "b.example." { (second, first) } else { (first, second) };
    assert_eq!((&*silent.1, &*found.1), ("a.example.", "b.example."));
    resolver.send_to(&at_home(&found.0).to_vec().unwrap(), found.2).await.unwrap();
    assert_eq!(resolved(&resolver).await, "b.example. AAAA");
    assert_eq!(asking.await.unwrap().unwrap(), "192.0.2.1");
}

#[tokio::test]
async fn an_address_is_asked_while_a_name_is_looked_up() {
    let (upstream, (resolver, _)) = (Upstream::new(0, 1).await, sockets().await);
    let at = resolver.local_addr().unwrap();
    let asker = Asker::new(&format!("forward . a.example {} {{\n resolver {at}\n}}", upstream.address));
    assert_eq!(asker.ask("a.org.").await.unwrap(), "192.0.2.1");
    assert_eq!(asked(&resolver).await.1, "a.example.", "nobody has answered");
}

#[test]
fn one_address_with_two_names_of_certificates_is_two_upstreams() {
    let metrics = crate::metrics::Metrics::new(&prometheus::Registry::new()).unwrap();
    let outbound = Arc::new(Outbound::new(metrics.forward));
    let forward = Arc::new(Forward::new(Zone::root()));
    let mut upstreams = Vec::new();
    for name in ["a.example", "b.example", "a.example"] {
        let server_name = Some(name.parse().unwrap());
        let to = To::Tls { address: "192.0.2.1:853".parse().unwrap(), server_name };
        Origin::new(&to, &forward, &mut Default::default()).unwrap().add_to(&mut upstreams, &outbound);
    }
    let names = upstreams.iter().map(|upstream| upstream.secure.as_ref().unwrap().name.to_str().into_owned());
    assert_eq!(names.collect::<Vec<_>>(), ["a.example", "b.example"]);
}
