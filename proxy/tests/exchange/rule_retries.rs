//! Tries as a rule sets them: how many, after which statuses, and what becomes of the answers that are not passed on.

use crate::harness::proxied;
use config::RulePolicy;
use std::sync::Arc;

const GET: &str = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";

/// A rule that allows so many tries, also after these statuses.
fn tries(attempts: u32, retry_on: &[u16]) -> Option<Arc<RulePolicy>> {
    let retry_on = retry_on.iter().copied().collect();
    Some(Arc::new(RulePolicy { attempts: Some(attempts), retry_on, ..RulePolicy::default() }))
}

#[tokio::test]
async fn a_rule_sets_how_often_a_lost_request_is_tried() {
    for attempts in [1, 3] {
        let (upstream, proxy) = proxied(|setup| setup.policy = tries(attempts, &[])).await;
        let mut client = proxy.client().await;
        client.send(GET).await;
        for _ in 0..attempts {
            upstream.accept().await.head().await;
        }
        let (head, _) = client.answer().await;
        assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
        assert!(upstream.is_left_alone().await);
        proxy.after(&["GET / 502 upstream_reset"]).await;
        assert_eq!(proxy.counted("tidegate_upstream_attempts_total").await, u64::from(attempts));
    }
}
