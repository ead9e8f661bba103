//! Which upstream is asked for which name, and who after it.

use super::super::*;
use super::cast::*;

const SERVFAIL: u8 = 2;
const NXDOMAIN: u8 = 3;

#[tokio::test]
async fn the_first_route_that_takes_a_name_is_asked() {
    let (one, two) = (Upstream::new(0, 1).await, Upstream::new(0, 2).await);
    let body = format!(
        "forward example.org {} {{\n except not.example.org\n}}\nforward org {} {{\n except left.org out.org\n}}\nforward net {}\n\
         forward in.out.org {}",
        one.address, two.address, one.address, two.address
    );
    let asker = Asker::new(&body);
    for (name, expected) in [
        ("example.org.", Ok("192.0.2.1")),
        ("A.EXAMPLE.org.", Ok("192.0.2.1")),
        ("not.example.org.", Ok("192.0.2.2")),
        ("a.not.example.org.", Ok("192.0.2.2")),
        ("anexample.org.", Ok("192.0.2.2")),
        ("net.", Ok("192.0.2.1")),
        ("a.left.org.", Err(Failure::LeftOut)),
        ("out.org.", Err(Failure::LeftOut)),
        ("in.out.org.", Ok("192.0.2.2")),
        ("example.com.", Err(Failure::NoUpstream)),
        (".", Err(Failure::NoUpstream)),
    ] {
        let is_taken = expected.is_ok();
        assert_eq!(asker.ask(name).await, expected.map(str::to_owned), "{name}");
        let wire = hickory_proto::serialize::binary::BinEncodable::to_bytes(
            &hickory_proto::rr::Name::from_ascii(name).unwrap(),
        );
        let lower = LowerName::read(&wire.unwrap()).unwrap();
        assert_eq!(asker.forwarder.takes(&lower), is_taken, "{name}");
    }
}

#[tokio::test]
async fn codes_and_absent_records_are_left_to_the_next_route_where_that_is_said() {
    let (one, two) = (Upstream::new(NXDOMAIN, 1).await, Upstream::new(0, 2).await);
    let next = Asker::new(&format!("forward . {} {{\n next NXDOMAIN\n}}\nforward . {}", one.address, two.address));
    assert_eq!(next.ask("example.org.").await.unwrap(), "192.0.2.2");
    one.say(NO_DATA);
    assert_eq!(next.ask("example.org.").await.unwrap(), "No Error");
    let no_data = Asker::new(&format!("forward . {} {{\n next_on_nodata\n}}\nforward . {}", one.address, two.address));
    assert_eq!(no_data.ask("example.org.").await.unwrap(), "192.0.2.2");
    one.say(NXDOMAIN);
    assert_eq!(no_data.ask("example.org.").await.unwrap(), "Non-Existent Domain");
    // Where no other route takes the name the answer stands.
    let alone = Asker::new(&format!("forward . {} {{\n next NXDOMAIN\n}}\nforward net {}", one.address, two.address));
    assert_eq!(alone.ask("example.org.").await.unwrap(), "Non-Existent Domain");
}

#[tokio::test]
async fn the_next_upstream_is_asked_for_codes_that_fail_over() {
    let (mut one, two) = (Upstream::new(SERVFAIL, 1).await, Upstream::new(0, 2).await);
    let body =
        |options: &str| format!("forward . {} {} {{\n policy sequential\n{options}\n}}", one.address, two.address);
    let usual = Asker::new(&body(""));
    let only_absent = Asker::new(&body("failover NXDOMAIN"));
    assert_eq!(usual.ask("example.org.").await.unwrap(), "192.0.2.2");
    assert_eq!(only_absent.ask("example.org.").await.unwrap(), "Server Failure");
    one.say(NXDOMAIN);
    assert_eq!(usual.ask("example.org.").await.unwrap(), "Non-Existent Domain");
    assert_eq!(only_absent.ask("example.org.").await.unwrap(), "192.0.2.2");
    // Where none can help, each is asked once, and the first word stands.
    one.heard();
    two.say(NXDOMAIN);
    assert_eq!(only_absent.ask("example.org.").await.unwrap(), "Non-Existent Domain");
    assert_eq!(one.heard().len(), 1);
}

#[tokio::test]
async fn questions_above_max_concurrent_are_refused() {
    let ((one, _), two) = (sockets().await, Upstream::new(0, 2).await);
    let options = "max_concurrent 1\n read_timeout 60s";
    let body = format!("forward org {} {{\n {options}\n}}\nforward . {}", one.local_addr().unwrap(), two.address);
    let asker = Arc::new(Asker::new(&body));
    let first = asking(&asker, "192.0.2.1:5000", "a.org.");
    let question = asked(&one).await;
    assert_eq!(asker.ask("b.org.").await, Err(Failure::Busy));
    assert_eq!(Failure::Busy.code(), ResponseCode::Refused);
    assert_eq!(asker.metric("tidegate_dns_forward_failures_total", &["reason=\"busy\""]), 1.0);
    // Each route has room of its own, and a place is free again once its question is over.
    assert_eq!(asker.ask("example.com.").await.unwrap(), "192.0.2.2");
    reply(&one, &question).await;
    assert_eq!(first.await.unwrap().unwrap(), "192.0.2.1");
    let next = asking(&asker, "192.0.2.1:5000", "b.org.");
    reply(&one, &asked(&one).await).await;
    assert_eq!(next.await.unwrap().unwrap(), "192.0.2.1");
}

#[tokio::test]
async fn a_client_has_no_more_than_its_share_of_the_next_route() {
    let (one, (udp, _)) = (Upstream::new(NXDOMAIN, 1).await, sockets().await);
    let next = format!("forward . {} {{\n max_concurrent 8\n read_timeout 60s\n}}", udp.local_addr().unwrap());
    let asker = Arc::new(Asker::new(&format!("forward . {} {{\n next NXDOMAIN\n}}\n{next}", one.address)));
    let mut held = Vec::new();
    for name in OF_EIGHT {
        let greedy = asking(&asker, "192.0.2.1:5000", name);
        held.push((asked(&udp).await, greedy));
    }
    assert_eq!(asker.ask_from("192.0.2.1:5001", Transport::Udp, "b.org.").await, Err(Failure::Busy));
    let other = asking(&asker, "192.0.2.2:5000", "c.org.");
    held.push((asked(&udp).await, other));
    assert_eq!(held.iter().map(|((_, name, _), _)| &**name).collect::<Vec<_>>(), [&OF_EIGHT[..], &["c.org."]].concat());
    for (question, asking) in held {
        reply(&udp, &question).await;
        assert_eq!(asking.await.unwrap().unwrap(), "192.0.2.1");
    }
    let next = asking(&asker, "192.0.2.1:5001", "b.org.");
    reply(&udp, &asked(&udp).await).await;
    assert_eq!(next.await.unwrap().unwrap(), "192.0.2.1");
}

#[tokio::test]
async fn round_robin_takes_turns_and_sequential_does_not() {
    let (mut one, mut two) = (Upstream::new(0, 1).await, Upstream::new(0, 2).await);
    for (policy, expected) in [("round_robin", [3, 3]), ("sequential", [6, 0])] {
        let body = format!("forward . {} {} {{\n policy {policy}\n}}", one.address, two.address);
        let asker = Asker::new(&body);
        for _ in 0..6 {
            asker.ask("example.org.").await.unwrap();
        }
        assert_eq!([one.heard().len(), two.heard().len()], expected, "{policy}");
    }
}

#[test]
fn tries_end_with_their_number_or_with_the_patience_of_clients() {
    with_still_clock(async {
        let mut silent = Upstream::new(SILENT, 1).await;
        for (options, tries, span) in
            [("", 2, 4000), ("max_connect_attempts 1", 1, 2000), ("max_connect_attempts 9", 3, 4800)]
        {
            // Without checks, which would be heard too.
            let asker = Asker::new(&format!("forward . {} {{\n max_fails 0\n{options}\n}}", silent.address));
            let since = Instant::now();
            assert_eq!(asker.ask("example.org.").await, Err(Failure::Unanswered), "{options}");
            let took = since.elapsed();
            let span = Duration::from_millis(span);
            assert!(span <= took && took < span + Duration::from_millis(50), "{options}: {took:?}");
            assert_eq!(silent.heard().len(), tries, "{options}");
        }
    });
}

#[test]
fn tries_without_a_number_end_with_the_patience_of_clients_alone() {
    with_still_clock(async {
        // Nobody listens there: each try fails at once.
        let closed = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        for (options, tries, span) in [
            ("", 2.0, 0),
            ("max_connect_attempts 2", 2.0, 0),
            ("max_connect_attempts 5", 5.0, 300),
            // Two, and one after each pause.
            ("max_connect_attempts 0", 49.0, 4800),
            ("max_connect_attempts 4294967295", 49.0, 4800),
        ] {
            let asker = Asker::new(&format!("forward . {closed} {{\n max_fails 0\n{options}\n}}"));
            let since = Instant::now();
            assert_eq!(asker.ask("example.org.").await, Err(Failure::Unanswered), "{options}");
            let took = since.elapsed();
            let span = Duration::from_millis(span);
            assert!(span <= took && took < span + Duration::from_millis(50), "{options}: {took:?}");
            assert_eq!(asker.metric("tidegate_dns_upstream_failures_total", &[]), tries, "{options}");
        }
    });
}

#[tokio::test]
async fn a_host_without_sockets_blames_no_upstream() {
    let mut upstream = Upstream::new(0, 1).await;
    // No address of this host, so that there is no socket with it.
    let asker = Asker::new(&format!("cache\nforward . {} {{\n source_address 192.0.2.7\n}}", upstream.address));
    for _ in 0..2 {
        // It is not remembered either: the next question may find one.
        assert_eq!(asker.ask("example.org.").await, Err(Failure::NoSocket));
    }
    assert_eq!(asker.metric("tidegate_dns_upstream_failures_total", &[]), 0.0);
    assert_eq!(asker.metric("tidegate_dns_forward_failures_total", &["reason=\"no_socket\""]), 2.0);
    assert_eq!(upstream.heard(), Vec::<String>::new());
}

#[tokio::test]
async fn questions_leave_from_the_source_address() {
    let (udp, _) = sockets().await;
    let body = format!("forward . {} {{\n source_address 127.0.0.77\n}}", udp.local_addr().unwrap());
    let asking = asking(&Arc::new(Asker::new(&body)), "192.0.2.1:5000", "example.org.");
    let question = asked(&udp).await;
    assert_eq!(question.2.ip().to_string(), "127.0.0.77");
    reply(&udp, &question).await;
    assert_eq!(asking.await.unwrap().unwrap(), "192.0.2.1");
}
