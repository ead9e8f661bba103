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
    /// When that for the attempt under way is, once the client has sent all of its upload: until then it is the client
    /// who owes something.
    pub(super) attempt_over: Option<Instant>,
}

impl Terms {
    /// Those of an exchange that began at `begun`.
    pub(super) fn new(policy: &Arc<RulePolicy>, begun: Instant) -> Box<Self> {
        let deadline = policy.request.map(|time| begun + time);
        Box::new(Self { policy: Arc::clone(policy), deadline, attempt_over: None })
    }

    /// Whether an answer with that status calls for another attempt.
    pub(super) fn retries(&self, status: u16) -> bool {
        self.policy.retry_on.contains(status)
    }

    /// From now on an endpoint owes an answer: an attempt begins, which is to have its connection in that time too, or
    /// the upload that it waited for has ended.
    pub(super) fn awaits_endpoint(&mut self) {
        self.attempt_over = self.policy.attempt.map(|time| Instant::now() + time);
    }
}
