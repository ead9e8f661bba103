//! What became of objects as log lines: once a change, and only what an operator may have to act on.

use crate::{Status, Statuses, Verdict};
use config::ObjectRef;
use std::fmt::Write;

/// Logs the difference.
pub(super) fn statuses(before: &Statuses, after: &Statuses) {
    for (object, status) in after.iter() {
        if before.find(object) != status {
            log(object, before.find(object), status);
        }
    }
    let had_problems = before.iter().filter(|(_, status)| !status.problems.is_empty());
    for (object, _) in had_problems.filter(|(object, _)| after.entry(object).is_none()) {
        tracing::info!(%object, "its problems are over");
    }
}

fn log(object: &ObjectRef, before: &Status, status: &Status) {
    match status.verdict {
        Verdict::Refused => tracing::warn!(%object, "refused: {}", problems(status)),
        Verdict::AcceptedWithProblems => tracing::warn!(%object, "accepted, but {}", problems(status)),
        Verdict::Accepted if before.problems.is_empty() => tracing::debug!(%object, "accepted"),
        Verdict::Accepted => tracing::info!(%object, "accepted: its problems are over"),
        Verdict::NotOurs => tracing::debug!(%object, "not ours: {}", problems(status)),
    }
}

fn problems(status: &Status) -> String {
    let mut line = String::new();
    for (number, problem) in status.problems.iter().enumerate() {
        let separator = if number == 0 { "" } else { "; " };
        // Writing to a string cannot fail.
        let _ = write!(line, "{separator}{problem}");
    }
    line
}
