//! Why a request meets the rule that it meets: what [`super::RoutingTable::find`] decides by index, decided again rule
//! by rule and put into words.

use super::{HostRules, ListenerName, PathMatch, RoutingTable, Rule};
use crate::{HostPattern, host::wildcard_suffix};
use std::fmt;
use std::sync::Arc;

/// How the rule of a request is found.
#[derive(Debug, Clone)]
pub struct Explanation<'t> {
    /// The rules of the host that owns the request; `None`: no rule is for such a host.
    pub owner: Option<&'t Arc<HostRules>>,
    /// Hosts that match too, most specific first, and own nothing since the owner is more specific.
    pub beaten: Vec<&'t Arc<HostRules>>,
    /// The rule that takes the request.
    pub met: Option<&'t Rule>,
    /// The other rules of the owner, most specific first.
    pub others: Vec<(&'t Rule, Loss)>,
}

/// Why a rule did not take a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// It matches, and so does one with a longer path.
    Shorter,
    /// It matches, and so does one for exactly this path.
    PrefixBesideExact,
    /// Its path is the beginning of the request's, but ends within an element.
    WithinElement,
    /// It is for exactly one path, above the request's.
    ExactAbove,
    /// Only a trailing slash is different, and the rule is for exactly one path.
    TrailingSlash,
    /// Only upper and lower case are different.
    OtherCase,
    /// It is for paths below the request's.
    Below,
    /// It is for other paths.
    Unrelated,
}

impl Loss {
    /// Whether a reader may have expected the rule to match.
    #[must_use]
    pub fn is_near(self) -> bool {
        self != Self::Unrelated
    }

    fn of(rule: &PathMatch, path: &str, met: Option<&PathMatch>) -> Self {
        if rule.matches(path) {
            let is_shorter = met.is_some_and(|met| rule.text().len() < met.text().len());
            return if is_shorter { Self::Shorter } else { Self::PrefixBesideExact };
        }
        let without_slash = |path: &'_ str| path.strip_suffix('/').unwrap_or(path).len();
        let is_below = |path: &str, above: &str| {
            path.strip_prefix(above).is_some_and(|rest| above.ends_with('/') || rest.starts_with('/'))
        };
        match rule {
            PathMatch::Exact(text) if text.get(..without_slash(text)) == path.get(..without_slash(path)) => {
                Self::TrailingSlash
            }
            PathMatch::Exact(text) if is_below(path, text) => Self::ExactAbove,
            PathMatch::Prefix(text) if path.starts_with(&**text) => Self::WithinElement,
            rule if rule.to_ascii_lowercase().matches(&path.to_ascii_lowercase()) => Self::OtherCase,
            rule if is_below(rule.text(), path) => Self::Below,
            _ => Self::Unrelated,
        }
    }
}

impl PathMatch {
    fn to_ascii_lowercase(&self) -> Self {
        match self {
            Self::Exact(path) => Self::Exact(path.to_ascii_lowercase().into()),
            Self::Prefix(path) => Self::Prefix(path.to_ascii_lowercase().into()),
        }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Shorter => "matches, but a longer path comes first",
            Self::PrefixBesideExact => "matches, but Exact comes before Prefix",
            Self::WithinElement => "a prefix matches whole path elements, and this one ends within one",
            Self::ExactAbove => "Exact does not match the paths below",
            Self::TrailingSlash => "Exact is byte for byte, and the trailing slash differs",
            Self::OtherCase => "paths are case-sensitive",
            Self::Below => "is for paths below this one",
            Self::Unrelated => "is for other paths",
        })
    }
}

impl RoutingTable {
    /// Explains what [`Self::find`] answers for the same arguments; `None` where there is no such listener. O(rules of
    /// the host), allocates.
    #[must_use]
    pub fn explain(&self, listener: ListenerName, host: &str, path: &str) -> Option<Explanation<'_>> {
        let hosts = &self.listener(listener)?.hosts;
        let exact = HostPattern::Exact(host.into());
        let wildcard = wildcard_suffix(host).map(|suffix| HostPattern::Wildcard(suffix.into()));
        let patterns = [Some(exact), wildcard, Some(HostPattern::Any)];
        let mut matching = patterns.into_iter().flatten().filter_map(|pattern| hosts.rules(&pattern));
        let Some(owner) = matching.next() else {
            return Some(Explanation { owner: None, beaten: Vec::new(), met: None, others: Vec::new() });
        };
        let mut rules: Vec<_> = owner.rules().iter().collect();
        rules.sort_by(|a, b| a.path.cmp_precedence(&b.path));
        let met = rules.iter().position(|rule| rule.path.matches(path)).map(|place| rules.remove(place));
        let loss = |rule: &Rule| Loss::of(&rule.path, path, met.map(|met| &met.path));
        let others = rules.into_iter().map(|rule| (rule, loss(rule))).collect();
        Some(Explanation { owner: Some(owner), beaten: matching.collect(), met, others })
    }
}

#[cfg(test)]
mod tests;
