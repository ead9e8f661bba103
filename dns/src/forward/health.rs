//! Looks whether an upstream that failed is well again, as CoreDNS does: any answer is good.

use super::Outbound;
use super::ask::Ask;
use super::exchange::Trip;
use super::upstream::Upstream;
use crate::message::Transport;
use crate::plan::forward::HealthCheck;
use hickory_proto::rr::RecordType;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Time for the answer to a check.
const ANSWER: Duration = Duration::from_secs(1);

/// An upstream that is checked; where this is dropped nobody does so any more, and it counts as well until it fails anew.
pub(super) struct Checked(Weak<Upstream>);

impl Checked {
    pub(super) fn new(upstream: &Arc<Upstream>) -> Self {
        Self(Arc::downgrade(upstream))
    }
}

impl Drop for Checked {
    fn drop(&mut self) {
        if let Some(upstream) = self.0.upgrade() {
            upstream.end_checks();
        }
    }
}

/// Checks until the upstream is well, or nobody has it any more.
pub(super) async fn check(checked: Checked, outbound: Arc<Outbound>) {
    loop {
        let Some(upstream) = checked.0.upgrade() else { return };
        let HealthCheck { interval, recursion_desired, domain } = &upstream.forward.health;
        let ask = Ask::own(domain.wire(), RecordType::NS, *recursion_desired);
        let deadline = Instant::now() + ANSWER;
        let trip = Trip { transport: Transport::Udp, deadline, outbound: &outbound, has_edns: false, is_check: true };
        match upstream.exchange(&ask, &trip).await {
            Ok(_) => return upstream.recovered(),
            // That this host has no socket says nothing about the upstream.
            Err(fault) if fault.is_ours() => {}
            Err(fault) => upstream.check_failed(&fault),
        }
        let interval = *interval;
        drop(upstream);
        sleep(interval).await;
    }
}
