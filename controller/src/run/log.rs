//! What became of objects as log lines: once a change, and only what an operator may have to act on.

#[cfg(test)]
mod tests;

use crate::{Printable, Problem, Status, Statuses, Verdict};
use config::{Kind, ObjectRef};
use tracing::Level;

/// Logs the difference.
pub(super) fn statuses(before: &Statuses, after: &Statuses) {
    for Line { level, object, message } in lines(before, after) {
        let (object, message) = (Printable(object), Printable(message));
        match level {
            Level::WARN => tracing::warn!(%object, "{message}"),
            Level::INFO => tracing::info!(%object, "{message}"),
            _ => tracing::debug!(%object, "{message}"),
        }
    }
}

/// What is said of an object.
struct Line<'s> {
    level: Level,
    object: &'s ObjectRef,
    message: String,
}

fn lines<'s>(before: &'s Statuses, after: &'s Statuses) -> impl Iterator<Item = Line<'s>> {
    Statuses::differences(before, after).flat_map(|(object, before, after)| {
        let said = verdict(object.kind, before, after).into_iter().chain(notices(before, after));
        said.map(move |(level, message)| Line { level, object, message })
    })
}

/// Nothing where only notices differ.
fn verdict(kind: Kind, before: Option<&Status>, after: Option<&Status>) -> Option<(Level, String)> {
    let (faults_before, faults) = (faults(before), faults(after));
    let is_served = |status: &Status| matches!(status.verdict, Verdict::Accepted | Verdict::AcceptedWithProblems);
    if before.is_some_and(|before| after.is_none_or(|after| before.verdict == after.verdict)) && faults_before == faults
    {
        return None;
    }
    let Some(status) = after else { return Some((Level::INFO, "its problems are over".to_owned())) };
    Some(match status.verdict {
        Verdict::Refused => (Level::WARN, format!("refused: {}", joined(&faults))),
        Verdict::AcceptedWithProblems => (Level::WARN, format!("accepted, but {}", joined(&faults))),
        Verdict::Accepted if faults_before.is_empty() => (Level::DEBUG, "accepted".to_owned()),
        Verdict::Accepted => (Level::INFO, "accepted: its problems are over".to_owned()),
        Verdict::NotOurs if kind != Kind::Ingress => (Level::DEBUG, format!("not ours: {}", joined(&faults))),
        Verdict::NotOurs if before.is_some_and(is_served) => {
            (Level::WARN, format!("no longer ours, and no longer served: {}", joined(&faults)))
        }
        Verdict::NotOurs => (Level::INFO, format!("not ours: {}", joined(&faults))),
    })
}

/// The notices that begin and those that end.
fn notices(before: Option<&Status>, after: Option<&Status>) -> impl Iterator<Item = (Level, String)> {
    let of = |status: Option<&Status>| -> Vec<Problem> {
        let problems = status.into_iter().flat_map(|status| &status.problems);
        problems.filter(|problem| problem.is_notice()).cloned().collect()
    };
    let (before, after) = (of(before), of(after));
    let begun: Vec<_> = after.iter().filter(|notice| !before.contains(notice)).cloned().collect();
    let ended = before.into_iter().filter(move |notice| !after.contains(notice));
    let begun = begun.into_iter().map(|notice| (Level::WARN, notice.to_string()));
    begun.chain(ended.map(|notice| (Level::INFO, format!("over: {notice}"))))
}

fn faults(status: Option<&Status>) -> Vec<&Problem> {
    let problems = status.into_iter().flat_map(|status| &status.problems);
    problems.filter(|problem| !problem.is_notice()).collect()
}

fn joined(problems: &[&Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
