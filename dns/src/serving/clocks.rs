//! How long clients over TCP, TLS and HTTPS may take.

use crate::plan::{Questions, Timeouts, timeouts};
use std::time::Duration;

/// Times of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Clocks {
    /// For a question that has begun to arrive whole.
    pub(crate) read: Duration,
    /// For the client to take what is ready.
    pub(crate) write: Duration,
    /// Without a question; less where few places are left, of all or of the client's.
    pub(crate) idle: Duration,
    /// Questions over one connection; `None`: no bound.
    pub(crate) most_questions: Option<u32>,
}

impl Default for Clocks {
    fn default() -> Self {
        Self { read: timeouts::READ, write: timeouts::WRITE, idle: timeouts::IDLE, most_questions: None }
    }
}

/// Defaults are those of all that is not said.
impl From<Timeouts> for Clocks {
    fn from(plan: Timeouts) -> Self {
        let (Timeouts { read, write, idle, questions }, default) = (plan, Self::default());
        Self {
            read: read.unwrap_or(default.read),
            write: write.unwrap_or(default.write),
            idle: idle.unwrap_or(default.idle),
            most_questions: match questions {
                Some(Questions::AtMost(most)) => Some(most),
                Some(Questions::Unbounded) | None => None,
            },
        }
    }
}
