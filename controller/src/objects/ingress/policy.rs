//! What the annotations of an Ingress say of time and tries, for all its rules.

use crate::objects::annotations::{ATTEMPT_TIMEOUT, ATTEMPTS, Annotations, REQUEST_TIMEOUT, RETRY_ON, field};
use crate::status::{Problem, Reason};
use config::{RulePolicy, StatusSet, parse_duration};
use std::sync::Arc;
use std::time::Duration;

/// The policy; `None` where no annotation says anything else than what is so anyway.
pub(super) fn read(annotations: &Annotations<'_>, problems: &mut Vec<Problem>) -> Option<Arc<RulePolicy>> {
    let policy = RulePolicy {
        request: annotations.value(REQUEST_TIMEOUT, time, problems).flatten(),
        attempt: annotations.value(ATTEMPT_TIMEOUT, time, problems).flatten(),
        attempts: annotations.value(ATTEMPTS, attempts, problems),
        retry_on: annotations.value(RETRY_ON, statuses, problems).unwrap_or_default(),
    };
    let mut report = |annotation, message: String| {
        problems.push(Problem::at(field(annotation), Reason::NoEffect, message));
    };
    if policy.request.is_some() && policy.attempt >= policy.request {
        report(ATTEMPT_TIMEOUT, format!("it is not shorter than {REQUEST_TIMEOUT}, which ends all attempts"));
    }
    if policy.attempts == Some(1) && !policy.retry_on.is_empty() {
        report(RETRY_ON, format!("{ATTEMPTS} allows no other attempt"));
    }
    (policy != RulePolicy::default()).then(|| Arc::new(policy))
}

/// Zero is no limit, as in Gateway API (GEP-1742).
fn time(text: &str) -> Result<Option<Duration>, String> {
    let time = parse_duration(text).map_err(|message| format!("{text:?}: {message}"))?;
    Ok((!time.is_zero()).then_some(time))
}

fn attempts(text: &str) -> Result<u32, String> {
    let most = RulePolicy::MOST_ATTEMPTS;
    let attempts = number(text).filter(|attempts| (1..=most).contains(attempts));
    attempts.ok_or_else(|| format!("{text:?} is not a number from 1 to {most}"))
}

/// What may be another at another endpoint or a moment later: failures of the server's, and 429. Other statuses are the
/// answer to the request itself.
fn statuses(text: &str) -> Result<StatusSet, String> {
    let read = |word: &str| {
        let status = number(word).and_then(|status| u16::try_from(status).ok());
        let status = status.filter(|status| matches!(status, 429 | 500..=599));
        status.ok_or_else(|| format!("{text:?}: {word:?} is neither 429 nor a number from 500 to 599"))
    };
    text.split(',').map(|word| read(word.trim())).collect()
}

/// Digits alone.
fn number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_digits_in_range() {
        for (text, expected) in [("1", Some(1)), ("10", Some(10)), ("03", Some(3))] {
            assert_eq!(attempts(text).ok(), expected, "{text}");
        }
        for text in ["", "0", "11", "+3", "-1", "3.0", "3 ", "three", "4294967297"] {
            assert_eq!(attempts(text), Err(format!("{text:?} is not a number from 1 to 10")));
        }
    }

    #[test]
    fn statuses_are_a_list_of_those_that_may_pass() {
        assert_eq!(statuses("503, 429,503,500 ,599"), Ok([429, 500, 503, 599].into_iter().collect()));
        for (text, word) in [
            ("", ""),
            ("503,", ""),
            ("499", "499"),
            ("503,404", "404"),
            ("600", "600"),
            ("5xx", "5xx"),
            ("66039", "66039"),
            ("502;503", "502;503"),
        ] {
            let message = format!("{text:?}: {word:?} is neither 429 nor a number from 500 to 599");
            assert_eq!(statuses(text), Err(message));
        }
    }
}
