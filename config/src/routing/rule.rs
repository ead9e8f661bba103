//! One row of the routing table: its condition and its outcome.

use super::{Protocol, RulePolicy};
use crate::{BackendKey, ObjectRef};
use serde::Serialize;
use smallvec::SmallVec;
use std::cmp::Ordering;
use std::sync::Arc;

/// The condition on a request's path.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub enum PathMatch {
    /// The whole path, byte for byte.
    Exact(Arc<str>),
    /// Leading path elements; held without a trailing slash, the empty string matching every path.
    Prefix(Arc<str>),
}

impl PathMatch {
    /// A prefix by elements: `/foo` and `/foo/` are the same.
    #[must_use]
    pub fn prefix(path: &str) -> Self {
        Self::Prefix(path.strip_suffix('/').unwrap_or(path).into())
    }

    /// Whether a path in canonical form meets the condition.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        match self {
            Self::Exact(exact) => **exact == *path,
            Self::Prefix(prefix) => {
                path.strip_prefix(&**prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
        }
    }

    /// The longer path first, `Exact` before `Prefix` at the same length, then by text.
    #[must_use]
    pub fn cmp_precedence(&self, other: &Self) -> Ordering {
        let key = |path: &Self| match path {
            Self::Exact(path) => (path.len(), 1),
            Self::Prefix(path) => (path.len(), 0),
        };
        key(other).cmp(&key(self)).then_with(|| self.text().cmp(other.text()))
    }

    pub(super) fn text(&self) -> &str {
        match self {
            Self::Exact(path) | Self::Prefix(path) => path,
        }
    }
}

/// `Exact /foo`, `Prefix /`.
impl std::fmt::Display for PathMatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exact(path) => write!(f, "Exact {path}"),
            Self::Prefix(path) if path.is_empty() => f.write_str("Prefix /"),
            Self::Prefix(path) => write!(f, "Prefix {path}"),
        }
    }
}

/// Where a rule came from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct RuleOrigin {
    /// The route.
    pub object: Arc<ObjectRef>,
    /// The field within it, such as `spec.rules[0].http.paths[1]` or `spec.defaultBackend`.
    pub field: Arc<str>,
}

/// What is done with a request on a plain port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum PlainHttp {
    /// It is served.
    Serve,
    /// It is sent to HTTPS with 308, ACME challenges aside.
    RedirectToHttps,
}

impl PlainHttp {
    pub(super) fn redirect(self, protocol: Protocol, path: &str) -> Option<HttpsRedirect> {
        let redirects = self == Self::RedirectToHttps && protocol == Protocol::Http && !is_acme_challenge(path);
        redirects.then_some(HttpsRedirect)
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
    pub(super) fn is_served(&self) -> bool {
        *self == Self::Serve
    }
}

/// Weighted targets of a forward; never empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Split {
    /// One target in an Ingress rule; several in a canary.
    pub targets: SmallVec<[Target; 1]>,
}

/// One side of a split.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Target {
    /// Its share of the sum of weights.
    pub weight: u32,
    /// The Service port; 503 where the backend table lacks it.
    pub backend: Arc<BackendKey>,
}

/// An answer made here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Respond {
    /// Status code.
    pub status: u16,
    /// Reason word of the access log.
    pub reason: &'static str,
}

/// What a rule does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Action {
    /// Forwards to a backend.
    Forward(Split),
    /// Answers here.
    Respond(Respond),
}

/// One row of the routing table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// Where it came from.
    pub origin: RuleOrigin,
    /// Its condition.
    pub path: PathMatch,
    /// What plain ports do.
    pub plain_http: PlainHttp,
    /// What it does.
    pub action: Action,
    /// What it says of time and tries; `None`: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<Arc<RulePolicy>>,
}

/// A redirect to the same URL over TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpsRedirect;

/// What becomes of a request that met a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome<'r> {
    /// Sent to HTTPS.
    Redirect(HttpsRedirect),
    /// The rule's action.
    Action(&'r Action),
}

impl Rule {
    /// What becomes of a request that met this rule, by the protocol of the port it came in on.
    #[must_use]
    pub fn outcome(&self, protocol: Protocol, path: &str) -> Outcome<'_> {
        self.plain_http.redirect(protocol, path).map_or(Outcome::Action(&self.action), Outcome::Redirect)
    }
}

const ACME: &str = "/.well-known/acme-challenge/";

/// Whether a path belongs to an ACME HTTP-01 exchange (RFC 8555 §8.3), which plain HTTP must reach.
#[must_use]
pub fn is_acme_challenge(path: &str) -> bool {
    path.starts_with(ACME)
}

/// Whether a path is that of one challenge, its token in base64url and nothing more: what is open on a host that is
/// protected otherwise, where a backend could take `/..;/` below it for another path.
#[must_use]
pub fn is_acme_token(path: &str) -> bool {
    let is_letter = |letter: u8| letter.is_ascii_alphanumeric() || b"-_".contains(&letter);
    path.strip_prefix(ACME).is_some_and(|token| !token.is_empty() && token.bytes().all(is_letter))
}
