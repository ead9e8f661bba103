//! Every request that came in, for tests to assert on.

use super::path::Verb;
use serde_json::Value;

/// Requests in the order in which their heads came.
#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) requests: Vec<Logged>,
}

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Logged {
    pub(crate) verb: Verb,
    /// Such as `ingresses`.
    pub(crate) resource: &'static str,
    pub(crate) method: String,
    pub(crate) path: String,
    /// As it was sent, still encoded.
    pub(crate) query: String,
    /// The header `authorization`.
    pub(crate) authorization: Option<String>,
    /// `None`: without one.
    pub(crate) body: Option<Value>,
}

impl Logged {
    /// Whether it is that verb on that resource.
    pub(crate) fn is(&self, verb: Verb, resource: &str) -> bool {
        self.verb == verb && self.resource == resource
    }
}
