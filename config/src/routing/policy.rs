//! What a rule says of time and of tries, beyond what the proxy does for every request.

use crate::duration::duration_text;
use serde::{Serialize, Serializer};
use std::fmt;
use std::time::Duration;

/// How long the requests of a rule may take, and which of them are tried again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RulePolicy {
    /// From a request's head to the last byte of its answer, all attempts and pauses included; `None`: no end. Not zero.
    /// Gateway API `timeouts.request`.
    #[serde(serialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub request: Option<Duration>,
    /// For an endpoint to take the connection and begin its answer to what it was sent, in place of the proxy's limit for
    /// the latter; `None`: that one. Not zero. Gateway API `timeouts.backendRequest`.
    #[serde(serialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub attempt: Option<Duration>,
    /// Tries in all that reach an endpoint, 1 to 10; `None`: the proxy's default. Gateway API `retry.attempts` and one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    /// Statuses of answers after which an idempotent request is tried again. Gateway API `retry.codes`.
    #[serde(skip_serializing_if = "StatusSet::is_empty")]
    pub retry_on: StatusSet,
}

impl RulePolicy {
    /// The most tries that a rule can ask for.
    pub const MOST_ATTEMPTS: u32 = 10;
}

/// `30s in all, 2s an attempt, 3 attempts, again after 502, 503`; what is as for every request is left out.
impl fmt::Display for RulePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { request, attempt, attempts, retry_on } = self;
        let statuses: Vec<_> = retry_on.0.iter().map(u16::to_string).collect();
        let said = [
            request.map(|time| format!("{} in all", duration_text(time))),
            attempt.map(|time| format!("{} an attempt", duration_text(time))),
            attempts.map(|attempts| format!("{attempts} attempt{}", if attempts == 1 { "" } else { "s" })),
            (!retry_on.is_empty()).then(|| format!("again after {}", statuses.join(", "))),
        ];
        f.write_str(&said.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }
}

/// A few status codes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct StatusSet(Box<[u16]>);

impl StatusSet {
    /// Whether a status is one of them; O(their number).
    #[must_use]
    pub fn contains(&self, status: u16) -> bool {
        self.0.contains(&status)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// In order and each once, so that equal sets are equal.
impl FromIterator<u16> for StatusSet {
    fn from_iter<I: IntoIterator<Item = u16>>(statuses: I) -> Self {
        let mut statuses: Vec<_> = statuses.into_iter().collect();
        statuses.sort_unstable();
        statuses.dedup();
        Self(statuses.into())
    }
}

#[expect(clippy::ref_option, reason = "serde gives a reference to the field")]
fn text<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    duration.map(duration_text).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_says_what_is_its_own() {
        let seconds = |number| Some(Duration::from_secs(number));
        let retry_on: StatusSet = [503, 502].into_iter().collect();
        let all = RulePolicy { request: seconds(120), attempt: seconds(2), attempts: Some(3), retry_on };
        assert_eq!(all.to_string(), "2m in all, 2s an attempt, 3 attempts, again after 502, 503");
        assert_eq!(RulePolicy { attempts: Some(1), ..RulePolicy::default() }.to_string(), "1 attempt");
    }

    #[test]
    fn statuses_are_a_set() {
        let statuses: StatusSet = [503, 429, 503].into_iter().collect();
        assert_eq!(statuses, [429, 503].into_iter().collect());
        assert!(statuses.contains(429) && statuses.contains(503) && !statuses.contains(502) && !statuses.is_empty());
        assert!(!StatusSet::default().contains(0) && StatusSet::default().is_empty());
    }
}
