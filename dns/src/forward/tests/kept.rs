//! What a block's cache gives, and what is fetched behind it.

use super::super::*;
use super::cast::*;

#[test]
fn an_immediate_stale_answer_is_fetched_behind_it() {
    with_still_clock(async {
        let mut upstream = Upstream::new(0, 1).await;
        let forward = format!("forward . {} {{\nmax_fails 0\n}}", upstream.address);
        let asker = Asker::new(&format!("cache 30 {{\nserve_stale 1h immediate 9s\n}}\n{forward}"));
        assert_eq!(asker.ask("example.org.").await.unwrap(), "192.0.2.1");
        tokio::time::advance(Duration::from_secs(31)).await;
        upstream.say(SILENT);
        let since = Instant::now();
        let question = question("example.org.", hickory_proto::rr::RecordType::A);
        for _ in 0..3 {
            let stale = asker.exchange(Transport::Udp, &question).await.unwrap();
            assert_eq!((stale.answers.len(), stale.answers[0].ttl), (1, 9));
        }
        assert_eq!(since.elapsed(), Duration::ZERO);
        assert_eq!(asker.metric("tidegate_dns_cache_prefetches_total", &[]), 1.0);
        assert_eq!(asker.metric("tidegate_dns_cache_requests_total", &["result=\"stale\"", "type=\"success\""]), 3.0);
        for _ in 0..2 {
            assert_eq!(upstream.asked.recv().await.unwrap(), "example.org. A RD");
        }
        // The try that is repeated is answered, and waited for.
        upstream.say(0);
        asker.forwarder.stop().await;
        let fresh = asker.exchange(Transport::Udp, &question).await.unwrap();
        assert!((29..=30).contains(&fresh.answers[0].ttl), "{}", fresh.answers[0].ttl);
    });
}

#[tokio::test]
async fn without_room_nothing_is_fetched_behind_a_stale_answer_yet() {
    tokio::time::pause();
    let mut upstream = Upstream::new(0, 1).await;
    let forward = format!("forward . {} {{\nmax_concurrent 1\n}}", upstream.address);
    let asker = Arc::new(Asker::new(&format!("cache 30 {{\nserve_stale\n}}\n{forward}")));
    assert_eq!(asker.ask("example.org.").await.unwrap(), "192.0.2.1");
    tokio::time::advance(Duration::from_secs(31)).await;
    upstream.say(SILENT);
    let waits = tokio::spawn({
        let asker = Arc::clone(&asker);
        async move { asker.ask("slow.org.").await }
    });
    upstream.heard();
    assert_eq!(upstream.asked.recv().await.unwrap(), "slow.org. A RD");
    assert_eq!(asker.ask("example.org.").await.unwrap(), "192.0.2.1");
    assert_eq!(asker.metric("tidegate_dns_cache_prefetches_total", &[]), 0.0);
    assert_eq!(waits.await.unwrap(), Err(Failure::Unanswered));
    assert_eq!(asker.ask("example.org.").await.unwrap(), "192.0.2.1");
    assert_eq!(asker.metric("tidegate_dns_cache_prefetches_total", &[]), 1.0, "the next one does");
}

#[tokio::test]
async fn what_is_fetched_behind_an_answer_is_asked_on_its_clients_account() {
    tokio::time::pause();
    let upstream = Upstream::new(0, 1).await;
    let forward = format!("forward . {} {{\nmax_concurrent 8\n}}", upstream.address);
    let asker = Arc::new(Asker::new(&format!("cache 30 {{\nserve_stale\n}}\n{forward}")));
    for name in OF_EIGHT.into_iter().chain(["b.org."]) {
        assert_eq!(asker.ask(name).await.unwrap(), "192.0.2.1");
    }
    tokio::time::advance(Duration::from_secs(31)).await;
    upstream.say(SILENT);
    let prefetches = || asker.metric("tidegate_dns_cache_prefetches_total", &[]);
    let greedy = OF_EIGHT.into_iter().zip(1_u8..).map(|(name, expected)| ("192.0.2.1:5000", name, expected));
    for (peer, name, expected) in greedy.chain([("192.0.2.1:5000", "b.org.", 7), ("192.0.2.2:5000", "b.org.", 8)]) {
        assert_eq!(asker.ask_from(peer, Transport::Udp, name).await.unwrap(), "192.0.2.1");
        assert_eq!(prefetches(), f64::from(expected), "{peer} {name}");
    }
    upstream.say(0);
    asker.forwarder.stop().await;
}

#[test]
fn who_has_no_room_to_go_on_leaves_what_is_over_to_be_asked_for_by_others() {
    with_still_clock(async {
        let (one, mut two) = (Upstream::new(3, 1).await, Upstream::new(0, 2).await);
        let forwards = format!(
            "forward . {} {{\nnext NXDOMAIN\n}}\nforward . {} {{\nmax_concurrent 1\n}}",
            one.address, two.address
        );
        let asker = Arc::new(Asker::new(&format!("cache 30 {{\nserve_stale 1h immediate\n}}\n{forwards}")));
        assert_eq!(asker.ask("example.org.").await.unwrap(), "192.0.2.2");
        tokio::time::advance(Duration::from_secs(31)).await;
        two.say(SILENT);
        two.heard();
        let slow = asking(&asker, "192.0.2.1:5000", "slow.org.");
        assert_eq!(two.asked.recv().await.unwrap(), "slow.org. A RD");
        let busy = || asker.metric("tidegate_dns_forward_failures_total", &["reason=\"busy\""]);
        for prefetches in [1.0, 2.0] {
            assert_eq!(asker.ask("example.org.").await.unwrap(), "192.0.2.2");
            assert_eq!(asker.metric("tidegate_dns_cache_prefetches_total", &[]), prefetches);
            while busy() < prefetches {
                tokio::task::yield_now().await;
            }
        }
        assert_eq!(slow.await.unwrap(), Err(Failure::Unanswered));
    });
}

#[tokio::test]
async fn what_all_have_given_up_is_there_for_the_next_one() {
    let (udp, _) = sockets().await;
    let forward = format!("forward . {} {{\nmax_concurrent 1\nread_timeout 60s\n}}", udp.local_addr().unwrap());
    let asker = Arc::new(Asker::new(&format!("cache 30\n{forward}")));
    let all = ["192.0.2.1:5000", "192.0.2.2:5000"].map(|peer| asking(&asker, peer, "example.org."));
    let question = asked(&udp).await;
    for one in all {
        one.abort();
        assert!(one.await.unwrap_err().is_cancelled());
    }
    assert_eq!(asker.ask("other.org.").await, Err(Failure::Busy), "it has its place");
    reply(&udp, &question).await;
    asker.forwarder.stop().await;
    assert_eq!(asker.metric("tidegate_dns_waiting", &[]), 0.0);
    assert_eq!(asker.ask("example.org.").await.unwrap(), "192.0.2.1");
    let other = asking(&asker, "192.0.2.1:5000", "other.org.");
    let question = asked(&udp).await;
    assert_eq!(question.1, "other.org.");
    reply(&udp, &question).await;
    assert_eq!(other.await.unwrap().unwrap(), "192.0.2.1");
}

#[tokio::test]
async fn without_the_plugin_each_question_is_asked() {
    let mut upstream = Upstream::new(0, 1).await;
    let asker = Asker::new(&format!("forward . {}", upstream.address));
    for _ in 0..3 {
        assert_eq!(asker.ask("example.org.").await.unwrap(), "192.0.2.1");
    }
    assert_eq!(upstream.heard().len(), 3);
}

#[test]
fn a_denial_does_not_displace_records_that_are_preferred() {
    with_still_clock(async {
        let upstream = Upstream::new(0, 1).await;
        let body =
            |policy: &str| format!("cache 30 {{\nserve_stale 1h verify\n{policy}\n}}\nforward . {}", upstream.address);
        let (prefers, takes) = (Asker::new(&body("serve_stale_policy prefer_positive")), Asker::new(&body("")));
        for asker in [&prefers, &takes] {
            assert_eq!(asker.ask("example.org.").await.unwrap(), "192.0.2.1");
        }
        tokio::time::advance(Duration::from_secs(31)).await;
        upstream.say(3);
        assert_eq!(takes.ask("example.org.").await.unwrap(), "Non-Existent Domain");
        assert_eq!(prefers.ask("example.org.").await.unwrap(), "192.0.2.1");
    });
}
