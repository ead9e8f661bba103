//! What a rule's policy means for one exchange; boxed, since most rules have none.

use config::RulePolicy;
use std::sync::Arc;
use tokio::time::Instant;

/// The policy and the times that follow from it.
#[derive(Debug)]
pub(super) struct Terms {
    pub(super) policy: Arc<RulePolicy>,
    /// When the time for the whole is over.
    pub(super) deadline: Option<Instant>,
}

impl Terms {
    /// Those of an exchange that began at `begun`.
    pub(super) fn new(policy: &Arc<RulePolicy>, begun: Instant) -> Box<Self> {
        Box::new(Self { deadline: policy.request.map(|time| begun + time), policy: Arc::clone(policy) })
    }
}
