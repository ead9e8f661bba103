//! Upstreams that fail, are down, and are well again.

use super::super::*;
use super::cast::*;

/// The next questions that are checks.
async fn checks(upstream: &mut Upstream, count: usize) {
    for _ in 0..count {
        assert_eq!(upstream.asked.recv().await.unwrap(), "check.example. NS");
    }
}

#[test]
fn an_upstream_whose_checks_fail_is_passed_over_until_it_is_well() {
    with_still_clock(async {
        let (mut one, two) = (Upstream::new(0, 1).await, Upstream::new(0, 2).await);
        let options = "policy sequential\nmax_fails 2\nhealth_check 500ms no_rec domain check.example";
        let asker = Asker::new(&format!("forward . {} {} {{\n{options}\n}}", one.address, two.address));
        // Nobody checks an upstream that answers, be it that it cannot help.
        one.say(2);
        assert_eq!(asker.ask("a.org.").await.unwrap(), "192.0.2.2");
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(one.heard(), ["a.org. A RD"]);
        one.say(SILENT);
        assert_eq!(asker.ask("b.org.").await.unwrap(), "192.0.2.2");
        assert_eq!(one.asked.recv().await.unwrap(), "b.org. A RD");
        // It counts as down once two checks have failed, and the third has begun by then.
        checks(&mut one, 3).await;
        let since = Instant::now();
        assert_eq!(asker.ask("c.org.").await.unwrap(), "192.0.2.2");
        assert!(since.elapsed() < Duration::from_millis(500), "{:?}", since.elapsed());
        let to = format!("to=\"{}\"", one.address);
        assert_eq!(asker.metric("tidegate_dns_upstream_failed_checks_total", &[&to]), 2.0);
        assert_eq!(asker.metric("tidegate_dns_upstream_failures_total", &[&to]), 1.0);
        one.say(2);
        checks(&mut one, 1).await;
        while asker.ask("d.org.").await.is_ok() && one.heard().is_empty() {}
        one.say(0);
        assert_eq!(asker.ask("e.org.").await.unwrap(), "192.0.2.1");
        // The checks have ended.
        one.heard();
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(asker.ask("f.org.").await.unwrap(), "192.0.2.1");
        assert_eq!(one.heard(), ["f.org. A RD"]);
    });
}

#[test]
fn where_all_are_down_any_is_tried_or_none() {
    with_still_clock(async {
        for (option, is_tried) in [("", true), ("failfast_all_unhealthy_upstreams", false)] {
            let mut silent = Upstream::new(SILENT, 1).await;
            let options = format!("max_fails 1\nhealth_check 500ms no_rec domain check.example\n{option}");
            let asker = Asker::new(&format!("forward . {} {{\n{options}\n}}", silent.address));
            assert_eq!(asker.ask("a.org.").await, Err(Failure::Unanswered));
            while silent.asked.recv().await.unwrap() != "check.example. NS" {}
            checks(&mut silent, 1).await;
            let since = Instant::now();
            let failure = if is_tried { Failure::Unanswered } else { Failure::Down };
            assert_eq!(asker.ask("b.org.").await, Err(failure));
            assert_eq!(since.elapsed() > Duration::from_secs(1), is_tried, "{:?}", since.elapsed());
            assert_eq!(silent.heard().contains(&"b.org. A RD".to_owned()), is_tried);
            assert_eq!(asker.metric("tidegate_dns_forward_broken_total", &[]), 1.0);
        }
    });
}

#[test]
fn a_forwarder_that_is_stopped_and_used_again_passes_nobody_over_for_good() {
    with_still_clock(async {
        let (mut one, two) = (Upstream::new(SILENT, 1).await, Upstream::new(0, 2).await);
        let options = "policy sequential\nmax_fails 1\nhealth_check 500ms no_rec domain check.example";
        let asker = Asker::new(&format!("forward . {} {} {{\n{options}\n}}", one.address, two.address));
        assert_eq!(asker.ask("a.org.").await.unwrap(), "192.0.2.2");
        assert_eq!(one.asked.recv().await.unwrap(), "a.org. A RD");
        checks(&mut one, 2).await;
        asker.forwarder.stop().await;
        one.heard();
        assert_eq!(asker.ask("b.org.").await.unwrap(), "192.0.2.2");
        assert_eq!(one.heard().first().map(String::as_str), Some("b.org. A RD"));
        // It is checked anew, and passed over meanwhile.
        checks(&mut one, 2).await;
        assert_eq!(asker.ask("c.org.").await.unwrap(), "192.0.2.2");
        one.say(0);
        checks(&mut one, 1).await;
        while asker.ask("d.org.").await.unwrap() == "192.0.2.2" {}
    });
}

#[test]
fn nobody_checks_for_a_forwarder_that_is_stopped() {
    with_still_clock(async {
        let mut silent = Upstream::new(SILENT, 1).await;
        let options = "health_check 500ms no_rec domain check.example\nmax_connect_attempts 1";
        let asker = Asker::new(&format!("forward . {} {{\n{options}\n}}", silent.address));
        assert_eq!(asker.ask("a.org.").await, Err(Failure::Unanswered));
        assert_eq!(silent.asked.recv().await.unwrap(), "a.org. A RD");
        checks(&mut silent, 2).await;
        asker.forwarder.stop().await;
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(asker.ask("b.org.").await, Err(Failure::Unanswered));
        assert_eq!(silent.heard()[0], "b.org. A RD");
    });
}

#[test]
fn where_nobody_listens_the_next_is_asked_at_once() {
    with_still_clock(async {
        let (dead, two) = (sockets().await.0.local_addr().unwrap(), Upstream::new(0, 2).await);
        let asker = Asker::new(&format!("forward . {dead} {} {{\npolicy sequential\n}}", two.address));
        let begun = Instant::now();
        assert_eq!(asker.ask("a.org.").await.unwrap(), "192.0.2.2");
        // The clock goes on where nothing but the time is waited for.
        assert!(begun.elapsed() < Duration::from_millis(100), "{:?}", begun.elapsed());
    });
}

#[test]
fn whatever_replies_to_a_check_is_well() {
    with_still_clock(async {
        let (odd, _) = sockets().await;
        let options = "max_fails 1\nhealth_check 500ms no_rec domain check.example\nmax_connect_attempts 1";
        let asker = Arc::new(Asker::new(&format!("forward . {} {{\n{options}\n}}", odd.local_addr().unwrap())));
        let asking = asking(&asker, "192.0.2.1:5000", "a.org.");
        assert_eq!(asked(&odd).await.1, "a.org.");
        assert_eq!(asking.await.unwrap(), Err(Failure::Unanswered));
        let (check, name, peer) = asked(&odd).await;
        assert_eq!(name, "check.example.");
        // Another reply is none, and a header alone is one.
        for (id, code) in [(check.metadata.id ^ 1, 0), (check.metadata.id, 0)] {
            odd.send_to(&[&id.to_be_bytes()[..], &[0x80, code], &[0; 8]].concat(), peer).await.unwrap();
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
        let mut packet = [0; 512];
        assert!(odd.try_recv(&mut packet).is_err(), "the checks have ended");
        let to = format!("to=\"{}\"", odd.local_addr().unwrap());
        assert_eq!(asker.metric("tidegate_dns_upstream_failed_checks_total", &[&to]), 0.0);
        assert_eq!(asker.metric("tidegate_dns_upstream_mismatches_total", &[&to]), 1.0);
    });
}
