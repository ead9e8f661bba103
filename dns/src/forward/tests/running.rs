//! Exchanges that several wait for, and that those leave who began them.

use super::super::*;
use super::cast::*;
use std::task::{Context, Waker};
use tokio::task::JoinHandle;

const NXDOMAIN: u8 = 3;

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
        let (question, asked_first, peer) = asked(&one).await;
        began.take_if(|_| stage == 1);
        one.send_to(&answer(&question, NXDOMAIN, 1).to_vec().unwrap(), peer).await.unwrap();
        let question = asked(&two).await;
        began.take_if(|_| stage == 2);
        assert_eq!((&*asked_first, &*question.1), (name, name), "neither is asked twice");
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
    let body = format!(
        "forward . {first} {{\n read_timeout 60s\n next NXDOMAIN\n}}\n\
         forward . {next} {{\n read_timeout 60s\n max_concurrent 4\n}}"
    );
    let asker = Arc::new(Asker::new(&body));
    let leave_to_next = async || {
        let (question, name, peer) = asked(&one).await;
        one.send_to(&answer(&question, NXDOMAIN, 1).to_vec().unwrap(), peer).await.unwrap();
        name
    };
    // A quarter of four.
    let greedy = asking(&asker, "192.0.2.1:5000", "a.org.");
    assert_eq!(leave_to_next().await, "a.org.");
    let held = asked(&two).await;
    let began = asking(&asker, "192.0.2.1:5000", "b.org.");
    while asker.metric("tidegate_dns_waiting", &[]) < 2.0 {
        tokio::task::yield_now().await;
    }
    let [same, other] = ["192.0.2.1:5001", "192.0.2.2:5000"].map(|peer| asking(&asker, peer, "b.org."));
    while asker.metric("tidegate_dns_waiting", &[]) < 4.0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(leave_to_next().await, "b.org.");
    for refused in [began, same] {
        assert_eq!(refused.await.unwrap(), Err(Failure::Busy));
    }
    assert_eq!(leave_to_next().await, "b.org.");
    for (question, asking) in [(asked(&two).await, other), (held, greedy)] {
        reply(&two, &question).await;
        assert_eq!(asking.await.unwrap().unwrap(), "192.0.2.1");
    }
    assert_eq!(asker.metric("tidegate_dns_waiting", &[]), 0.0);
}
