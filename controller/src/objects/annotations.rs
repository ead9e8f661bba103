//! Annotations that Tidegate reads: each has one kind that it belongs on and values that it may have.
//! Nothing is ignored in silence: what is unknown, malformed or without effect becomes a problem of the object.

use crate::status::{Problem, Reason};
use config::Kind;
use std::collections::BTreeMap;
use std::fmt::Write;

pub(crate) const SSL_REDIRECT: &str = "tidegate.dev/ssl-redirect";
pub(crate) const REQUEST_TIMEOUT: &str = "tidegate.dev/request-timeout";
pub(crate) const ATTEMPT_TIMEOUT: &str = "tidegate.dev/attempt-timeout";
pub(crate) const ATTEMPTS: &str = "tidegate.dev/attempts";
pub(crate) const RETRY_ON: &str = "tidegate.dev/retry-on";
pub(crate) const CLIENT_CA: &str = "tidegate.dev/client-ca-secret";
pub(crate) const ENDPOINTS: &str = "tidegate.dev/endpoints";
pub(crate) const LOAD_BALANCE: &str = "tidegate.dev/load-balance";
pub(crate) const NGINX_SSL_REDIRECT: &str = "nginx.ingress.kubernetes.io/ssl-redirect";
pub(crate) const CLASS: &str = "kubernetes.io/ingress.class";

const PREFIX: &str = "tidegate.dev/";
const NGINX_PREFIX: &str = "nginx.ingress.kubernetes.io/";
const KNOWN: [(&str, Kind); 8] = [
    (SSL_REDIRECT, Kind::Ingress),
    (CLIENT_CA, Kind::Ingress),
    (REQUEST_TIMEOUT, Kind::Ingress),
    (ATTEMPT_TIMEOUT, Kind::Ingress),
    (ATTEMPTS, Kind::Ingress),
    (RETRY_ON, Kind::Ingress),
    (ENDPOINTS, Kind::Service),
    (LOAD_BALANCE, Kind::Service),
];

/// The annotations of one object.
pub(crate) struct Annotations<'o>(Option<&'o BTreeMap<String, String>>);

impl<'o> Annotations<'o> {
    /// Takes an object's annotations and reports those that nothing here knows.
    pub(crate) fn new(kind: Kind, all: Option<&'o BTreeMap<String, String>>, problems: &mut Vec<Problem>) -> Self {
        for name in all.into_iter().flat_map(BTreeMap::keys).filter(|name| name.starts_with(PREFIX)) {
            match KNOWN.iter().find(|(known, _)| known == name) {
                Some((_, home)) if *home == kind => {}
                Some((_, home)) => {
                    let message = format!("{name} has no effect on {kind} objects, it belongs on {home} objects");
                    problems.push(Problem::at(field(name), Reason::UnknownAnnotation, message));
                }
                None => {
                    let of_kind: Vec<_> =
                        KNOWN.iter().filter(|(_, home)| *home == kind).map(|(name, _)| *name).collect();
                    let mut message = format!("there is no {name}");
                    if !of_kind.is_empty() {
                        let _ = write!(message, ", only {}", of_kind.join(", "));
                    }
                    message.push_str(&did_you_mean(name, &of_kind));
                    problems.push(Problem::at(field(name), Reason::UnknownAnnotation, message));
                }
            }
        }
        Self(all)
    }

    /// The text of an annotation; `None` where it is absent.
    pub(crate) fn text(&self, name: &str) -> Option<&'o str> {
        self.0?.get(name).map(String::as_str)
    }

    /// The value of an annotation; `None` where it is absent or, which is reported, malformed.
    pub(crate) fn value<T>(
        &self,
        name: &str,
        read: impl FnOnce(&str) -> Result<T, String>,
        problems: &mut Vec<Problem>,
    ) -> Option<T> {
        let result = read(self.text(name)?.trim());
        result.map_err(|message| problems.push(Problem::at(field(name), Reason::BadAnnotation, message))).ok()
    }

    /// Reports in one problem all ingress-nginx annotations whose effect is missed.
    pub(crate) fn report_nginx(&self, problems: &mut Vec<Problem>) {
        let all = self.0.into_iter().flatten();
        let nginx = all.filter_map(|(name, value)| Some((name.strip_prefix(NGINX_PREFIX)?, value)));
        let is_missed = |name, value: &str| match name {
            "ssl-redirect" => false,
            // cert-manager has one with everybody on each Ingress of its challenges.
            "whitelist-source-range" | "allowlist-source-range" => !is_everybody(value),
            _ => true,
        };
        let without_effect: Vec<_> =
            nginx.filter(|(name, value)| is_missed(*name, value)).map(|(name, _)| name).collect();
        if !without_effect.is_empty() {
            let message = format!("no effect yet: {}", without_effect.join(", "));
            problems.push(Problem::at(field(NGINX_PREFIX), Reason::NoEffect, message));
        }
    }
}

/// Whether a list of address ranges holds all addresses of both families.
fn is_everybody(ranges: &str) -> bool {
    let has = |all: &str| ranges.split(',').any(|range| range.trim() == all);
    has("0.0.0.0/0") && has("::/0")
}

/// The path of an annotation within its object.
pub(crate) fn field(annotation: &str) -> String {
    format!("metadata.annotations[{annotation}]")
}

/// The value that a word stands for.
pub(crate) fn choice<T: Copy>(word: &str, choices: &[(&str, T)]) -> Result<T, String> {
    let found = choices.iter().find(|(name, _)| *name == word);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
        format!("{word:?} is none of {}{}", names.join(", "), did_you_mean(word, &names))
    })
}

/// `; did you mean X?`, or nothing where no candidate is near.
pub(crate) fn did_you_mean(word: &str, candidates: &[&str]) -> String {
    let near =
        candidates.iter().map(|candidate| (distance(&word.to_lowercase(), &candidate.to_lowercase()), candidate));
    match near.min() {
        Some((distance, candidate)) if distance <= 1 + candidate.len() / 6 => format!("; did you mean {candidate}?"),
        _ => String::new(),
    }
}

/// Levenshtein distance in characters; O(product of the lengths), of which the first 64 count.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (line, from) in a.chars().take(64).enumerate() {
        let mut diagonal = line;
        let mut left = line + 1;
        for (cell, to) in row.iter_mut().zip(std::iter::once(None).chain(b.iter().map(Some))) {
            let above = *cell;
            *cell = match to {
                None => left,
                Some(to) => (above + 1).min(left + 1).min(diagonal + usize::from(*to != from)),
            };
            (diagonal, left) = (above, *cell);
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits() {
        for (a, b, expected) in [
            ("", "", 0),
            ("abc", "abc", 0),
            ("abc", "", 3),
            ("", "ab", 2),
            ("kitten", "sitting", 3),
            ("round-robin", "round_robin", 1),
        ] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
            assert_eq!(distance(b, a), expected, "{b} {a}");
        }
    }

    #[test]
    fn a_wrong_word_brings_the_right_ones() {
        let choices = [("round_robin", 1), ("least_requests", 2)];
        assert_eq!(choice("round_robin", &choices), Ok(1));
        for (word, expected) in [
            ("round-robin", "\"round-robin\" is none of round_robin, least_requests; did you mean round_robin?"),
            ("ewma", "\"ewma\" is none of round_robin, least_requests"),
        ] {
            assert_eq!(choice(word, &choices), Err(expected.to_owned()));
        }
    }

    #[test]
    fn ranges_of_everybody_are_not_missed() {
        let problems_of = |name: &str, ranges: &str| {
            let all = BTreeMap::from([(format!("{NGINX_PREFIX}{name}"), ranges.to_owned())]);
            let mut problems = Vec::new();
            Annotations(Some(&all)).report_nginx(&mut problems);
            problems.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        for name in ["whitelist-source-range", "allowlist-source-range"] {
            for ranges in ["0.0.0.0/0,::/0", " ::/0 , 0.0.0.0/0", "10.0.0.0/8,0.0.0.0/0,::/0"] {
                assert_eq!(problems_of(name, ranges), [""; 0], "{name}: {ranges:?}");
            }
            let missed = format!("metadata.annotations[nginx.ingress.kubernetes.io/]: NoEffect: no effect yet: {name}");
            for ranges in ["", "0.0.0.0/0", "::/0", "10.0.0.0/8", "0.0.0.0/1,::/0", "0.0.0.0/00,::/0"] {
                assert_eq!(problems_of(name, ranges), [missed.as_str()], "{name}: {ranges:?}");
            }
        }
        assert_eq!(problems_of("denylist-source-range", "0.0.0.0/0,::/0").len(), 1);
    }

    #[test]
    fn an_annotation_on_the_wrong_kind_is_told_its_home() {
        let all = BTreeMap::from([("tidegate.dev/endpoints".to_owned(), String::new())]);
        let mut problems = Vec::new();
        Annotations::new(Kind::Ingress, Some(&all), &mut problems);
        let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            problems,
            ["metadata.annotations[tidegate.dev/endpoints]: UnknownAnnotation: \
              tidegate.dev/endpoints has no effect on Ingress objects, it belongs on Service objects"]
        );
    }
}
