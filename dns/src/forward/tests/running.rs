//! Exchanges that several wait for, and that those leave who began them.

use super::super::*;
use super::cast::*;
use hickory_proto::op::{Edns, Message};
use hickory_proto::rr::RecordType;
use hickory_proto::rr::rdata::opt::EdnsOption;
use std::task::{Context, Waker};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

const SERVFAIL: u8 = 2;
const NXDOMAIN: u8 = 3;

async fn refuse(udp: &UdpSocket, (question, _, peer): &(Message, String, SocketAddr), code: u8) {
    udp.send_to(&answer(question, code, 1).to_vec().unwrap(), peer).await.unwrap();
}

/// Asks an upstream, and after NXDOMAIN the next one, eight questions of which are taken at once.
fn leaving_to_next(first: SocketAddr, next: SocketAddr) -> Asker {
    Asker::new(&format!(
        "forward . {first} {{\n read_timeout 60s\n next NXDOMAIN\n}}\n\
         forward . {next} {{\n read_timeout 60s\n max_concurrent 8\n}}"
    ))
}

/// Ten thousand may wait.
#[test]
fn an_exchange_takes_little_room() {
    let asker = Asker::new("forward . 192.0.2.1");
    let ask = Ask::own(b"\x01a\0", RecordType::A, true);
    let (host, transport) = (Host::of([192, 0, 2, 2].into()), Transport::Udp);
    let how = How { host, transport, peer: [192, 0, 2, 2].into() };
    let asking = Asking { ask, has_edns: true, transport };
    let room = size_of_val(&asker.forwarder.exchange_and_keep(&asking, how));
    assert!(room <= 2048, "{room} bytes");
}

#[tokio::test]
async fn who_waits_for_what_is_on_its_way_takes_no_place() {
    let (udp, _) = sockets().await;
    let options = "max_concurrent 1\n read_timeout 60s";
    let asker = Arc::new(Asker::new(&format!("forward . {} {{\n {options}\n}}", udp.local_addr().unwrap())));
    let first = asking(&asker, "192.0.2.1:5000", "a.org.");
    let question = asked(&udp).await;
    assert_eq!(question.1, "a.org.");
    let followers = ["192.0.2.1:5001", "192.0.2.2:5000"].map(|peer| asking(&asker, peer, "a.org."));
    while asker.metric("tidegate_dns_waiting", &[]) < 3.0 {
        assert!(!followers.iter().any(JoinHandle::is_finished), "they wait");
        tokio::task::yield_now().await;
    }
    assert_eq!(asker.ask("b.org.").await, Err(Failure::Busy));
    reply(&udp, &question).await;
    for asking in followers.into_iter().chain([first]) {
        assert_eq!(asking.await.unwrap().unwrap(), "192.0.2.1");
    }
    assert_eq!(asker.metric("tidegate_dns_waiting", &[]), 0.0);
    let next = asking(&asker, "192.0.2.1:5000", "b.org.");
    reply(&udp, &asked(&udp).await).await;
    assert_eq!(next.await.unwrap().unwrap(), "192.0.2.1");
}

#[tokio::test]
async fn who_began_an_exchange_leaves_it_to_the_others() {
    let [(one, _), (two, _)] = [sockets().await, sockets().await];
    let [first, next] = [&one, &two].map(|udp| udp.local_addr().unwrap());
    let options = "max_concurrent 1\n read_timeout 60s";
    let body = format!("forward . {first} {{\n {options}\n next NXDOMAIN\n}}\nforward . {next} {{\n {options}\n}}");
    let asker = Arc::new(Asker::new(&body));
    // Before anybody else comes, while the first upstream is asked, while the next one is, and not before the end.
    for (stage, name) in ["a.org.", "b.org.", "c.org.", "d.org."].into_iter().enumerate() {
        let mut began = Some(Box::pin(asker.ask_from("192.0.2.1:5000", Transport::Udp, name)));
        let polled = began.as_mut().map(|began| began.as_mut().poll(&mut Context::from_waker(Waker::noop())));
        assert!(polled.is_some_and(|polled| polled.is_pending()));
        began.take_if(|_| stage == 0);
        let follower = asking(&asker, "192.0.2.2:5000", name);
        while asker.metric("tidegate_dns_waiting", &[]) < 2.0 {
            assert!(!follower.is_finished(), "it waits");
            tokio::task::yield_now().await;
        }
        let before = asked(&one).await;
        began.take_if(|_| stage == 1);
        refuse(&one, &before, NXDOMAIN).await;
        let question = asked(&two).await;
        began.take_if(|_| stage == 2);
        assert_eq!((&*before.1, &*question.1), (name, name), "neither is asked twice");
        assert_eq!(asker.ask("z.org.").await, Err(Failure::Busy));
        reply(&two, &question).await;
        assert_eq!(follower.await.unwrap().unwrap(), "192.0.2.1");
        assert_eq!(asker.metric("tidegate_dns_waiting", &[]), 0.0);
    }
}

#[tokio::test]
async fn who_waits_goes_on_where_another_client_may_not() {
    let [(one, _), (two, _)] = [sockets().await, sockets().await];
    let [first, next] = [&one, &two].map(|udp| udp.local_addr().unwrap());
    let asker = Arc::new(leaving_to_next(first, next));
    let leave_to_next = async || {
        let question = asked(&one).await;
        refuse(&one, &question, NXDOMAIN).await;
        question.1
    };
    let mut held = Vec::new();
    for name in OF_EIGHT {
        let greedy = asking(&asker, "192.0.2.1:5000", name);
        assert_eq!(leave_to_next().await, name);
        held.push((asked(&two).await, greedy));
    }
    let began = asking(&asker, "192.0.2.1:5000", "b.org.");
    asker.until_waiting(8.0).await;
    let [same, other] = ["192.0.2.1:5001", "192.0.2.2:5000"].map(|peer| asking(&asker, peer, "b.org."));
    asker.until_waiting(10.0).await;
    assert_eq!(leave_to_next().await, "b.org.");
    for refused in [began, same] {
        assert_eq!(refused.await.unwrap(), Err(Failure::Busy));
    }
    assert_eq!(leave_to_next().await, "b.org.");
    held.push((asked(&two).await, other));
    for (question, asking) in held {
        reply(&two, &question).await;
        assert_eq!(asking.await.unwrap().unwrap(), "192.0.2.1");
    }
    assert_eq!(asker.metric("tidegate_dns_waiting", &[]), 0.0);
}

#[test]
fn who_goes_on_in_the_place_of_another_client_waits_no_longer_for_that() {
    with_still_clock(async {
        let [(one, _), (two, _)] = [sockets().await, sockets().await];
        let [first, next] = [&one, &two].map(|udp| udp.local_addr().unwrap());
        let asker = Arc::new(leaving_to_next(first, next));
        let mut greedy = Vec::new();
        for name in OF_EIGHT {
            greedy.push(asking(&asker, "192.0.2.1:5000", name));
            refuse(&one, &asked(&one).await, NXDOMAIN).await;
            assert_eq!(asked(&two).await.1, name);
        }
        let began = asking(&asker, "192.0.2.1:5000", "b.org.");
        let question = asked(&one).await;
        let since = Instant::now();
        let other = asking(&asker, "192.0.2.2:5000", "b.org.");
        asker.until_waiting(9.0).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        refuse(&one, &question, NXDOMAIN).await;
        assert_eq!(began.await.unwrap(), Err(Failure::Busy));
        // It is asked anew, and not answered.
        assert_eq!(asked(&one).await.1, "b.org.");
        assert_eq!(other.await.unwrap(), Err(Failure::Unanswered));
        assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
        for asking in greedy {
            assert_eq!(asking.await.unwrap(), Err(Failure::Unanswered));
        }
    });
}

/// Asks with tokens as forwarders add them.
fn passing_on(asker: &Arc<Asker>, peer: &'static str, name: &str) -> JoinHandle<Result<Message, Failure>> {
    let mut edns = Edns::new();
    edns.options_mut().insert(EdnsOption::Unknown(65_313, [&[1][..], &[7; 16 * 8]].concat()));
    let mut question = question(name, RecordType::A);
    question.edns = Some(edns);
    let asker = Arc::clone(asker);
    tokio::spawn(async move { asker.exchange_from(peer, Transport::Udp, &question).await })
}

#[tokio::test]
async fn failures_of_what_others_have_passed_on_are_remembered_for_all() {
    let (udp, _) = sockets().await;
    let forward = format!("forward . {} {{\n read_timeout 60s\n}}", udp.local_addr().unwrap());
    let asker = Arc::new(Asker::new(&format!("cache 30\n{forward}")));
    let first = passing_on(&asker, "192.0.2.1:5000", "a.org.");
    let question = asked(&udp).await;
    let same = passing_on(&asker, "192.0.2.2:5000", "a.org.");
    while asker.metric("tidegate_dns_waiting", &[]) < 2.0 {
        assert!(!same.is_finished(), "it waits");
        tokio::task::yield_now().await;
    }
    refuse(&udp, &question, SERVFAIL).await;
    for passed_on in [first, same] {
        assert_eq!(passed_on.await.unwrap().unwrap().metadata.response_code, ResponseCode::ServFail);
    }
    let again = passing_on(&asker, "192.0.2.1:5000", "a.org.").await.unwrap();
    assert_eq!((again.err(), asker.ask("a.org.").await), (Some(Failure::Remembered), Err(Failure::Remembered)));
}
