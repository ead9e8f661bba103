//! What a rule's policy means for one exchange; boxed, since most rules have none.

use crate::response::UpstreamHead;
use config::RulePolicy;
use std::sync::Arc;
use tokio::time::Instant;

/// The policy and what follows from it.
#[derive(Debug)]
pub(super) struct Terms {
    pub(super) policy: Arc<RulePolicy>,
    /// When the time for the whole is over.
    pub(super) deadline: Option<Instant>,
    /// When that for the attempt under way is.
    attempt_over: Option<Instant>,
    /// Whether all that was there of the upload when the attempt had its connection has been read.
    has_slept: bool,
    /// A final head that was not passed on yet.
    pub(super) held: Option<UpstreamHead>,
}

impl Terms {
    /// Those of an exchange that began at `begun`.
    pub(super) fn new(policy: &Arc<RulePolicy>, begun: Instant) -> Box<Self> {
        let deadline = policy.request.map(|time| begun + time);
        Box::new(Self { policy: Arc::clone(policy), deadline, attempt_over: None, has_slept: false, held: None })
    }

    /// An attempt begins, which is to have its connection in its time too: until when.
    pub(super) fn begin_attempt(&mut self) -> Option<Instant> {
        self.has_slept = false;
        self.attempt_over = self.policy.attempt.map(|time| Instant::now() + time);
        self.attempt_over
    }

    /// All that was there has been read; gives until when the endpoint may wait with its answer.
    pub(super) fn sleeps(&mut self) -> Option<Instant> {
        self.has_slept = true;
        self.attempt_over
    }

    /// The client has sent all of its upload. If the endpoint had to wait for it, only now it owes an answer.
    pub(super) fn upload_ended(&mut self) {
        if self.has_slept {
            self.begin_attempt();
        }
    }

    /// Whether an answer with that status calls for another attempt.
    pub(super) fn retries(&self, status: u16) -> bool {
        self.policy.retry_on.contains(status)
    }
}
