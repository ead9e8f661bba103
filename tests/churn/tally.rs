//! What a load counts: answers, connections that the program ended, and what went wrong.

use crate::PATIENCE;
use std::sync::{Mutex, PoisonError};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

#[derive(Debug)]
pub(crate) struct Tally {
    answered: watch::Sender<u64>,
    /// Connections that the program ended, as it may while it drains.
    ended: watch::Sender<u64>,
    failures: Mutex<Vec<String>>,
    pub(crate) begun: Instant,
}

impl Tally {
    pub(crate) fn new() -> Self {
        let (answered, ended, failures) = Default::default();
        Self { answered, ended, failures, begun: Instant::now() }
    }

    pub(crate) fn answer(&self) {
        self.answered.send_modify(|answered| *answered += 1);
    }

    pub(crate) fn end(&self) {
        self.ended.send_modify(|ended| *ended += 1);
    }

    pub(crate) fn fail(&self, failure: String) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).push(failure);
    }

    pub(crate) fn answered(&self) -> u64 {
        *self.answered.borrow()
    }

    pub(crate) fn ended(&self) -> u64 {
        *self.ended.borrow()
    }

    pub(crate) fn failures(&self) -> Vec<String> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Answers a second until now.
    pub(crate) fn rate(&self) -> f64 {
        self.answered() as f64 / self.begun.elapsed().as_secs_f64()
    }

    /// Waits until that many requests more were answered.
    pub(crate) async fn passes(&self, more: u64) {
        let mut answered = self.answered.subscribe();
        let goal = *answered.borrow() + more;
        let passed = timeout(PATIENCE, answered.wait_for(|answered| *answered >= goal)).await.is_ok();
        assert!(passed, "the load stands still; failures: {:?}", self.failures());
    }
}
