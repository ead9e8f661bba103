//! Whose certificates the clients of an Ingress must have: its annotation, which is never taken for absent.

use super::super::annotations::{self, Annotations};
use crate::status::Problem;
use config::ObjectName;
use std::sync::Arc;

/// The annotation `tidegate.dev/client-ca-secret`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientCa {
    /// A Secret of the Ingress's own namespace.
    Secret(ObjectName),
    /// It names no Secret that could be; no client is accepted.
    Unusable,
}

/// Reads the annotation; one that cannot be used is reported, and is not `None`.
pub(super) fn read(
    annotations: &Annotations<'_>,
    namespace: &Arc<str>,
    problems: &mut Vec<Problem>,
) -> Option<ClientCa> {
    annotations.text(annotations::CLIENT_CA)?;
    let secret = |name: &str| Ok(ObjectName { namespace: Arc::clone(namespace), name: secret_name(name)?.into() });
    let secret = annotations.value(annotations::CLIENT_CA, secret, problems);
    Some(secret.map_or(ClientCa::Unusable, ClientCa::Secret))
}

/// A name alone: a reference into another namespace would let whoever writes an Ingress here use what is kept there.
fn secret_name(text: &str) -> Result<&str, String> {
    const EFFECT: &str = "no client can be verified: requests over TLS are answered with 503";
    if text.is_empty() {
        return Err(format!("it names no Secret, and {EFFECT}"));
    }
    if text.contains('/') {
        return Err(format!("{text:?}: a Secret of this namespace is meant, by its name alone, and {EFFECT}"));
    }
    // RFC 1123 subdomain, as the API server wants it.
    let is_letter = |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit() || b"-.".contains(&letter);
    if text.len() > 253 || !text.bytes().all(is_letter) {
        return Err(format!("{text:?} is no name that a Secret can have, and {EFFECT}"));
    }
    Ok(text)
}
