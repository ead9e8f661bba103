//! What a host asks of its clients' certificates, and which requests it refuses whoever sends them.

use super::ReportedOutcome;
use config::{ClientPolicy, is_acme_token};
use std::sync::Arc;

/// The policy in a row of the report.
pub(super) fn row(policy: &ClientPolicy) -> String {
    if policy.trust_anchors.is_empty() {
        return format!("required, but {} has no authorities", policy.source);
    }
    let subjects: Vec<_> = policy.trust_anchors.iter().map(|anchor| &*anchor.subject).collect();
    format!("required, by an authority of {}: {}", policy.source, subjects.join(", "))
}

/// What becomes of such a request without regard to its client, in place of the outcome of its rule; `handshake`: the
/// policy of the server name, on TLS.
pub(super) fn refusal<'w>(
    policy: &Arc<ClientPolicy>,
    handshake: Option<Option<&Arc<ClientPolicy>>>,
    path: &str,
    outcome: &ReportedOutcome<'w>,
) -> Option<ReportedOutcome<'w>> {
    let refused = |status, reason, why: &str| ReportedOutcome::Forbidden { status, reason, why: why.to_owned() };
    match handshake {
        Some(_) if policy.trust_anchors.is_empty() => {
            Some(refused(503, "no_client_ca", "no authority is known whose certificates could be accepted"))
        }
        Some(handshake) if handshake != Some(policy) => {
            Some(refused(421, "misdirected", "the server name does not ask for the same client certificates"))
        }
        None if !is_acme_token(path) && !matches!(outcome, ReportedOutcome::Redirect { .. }) => {
            Some(refused(403, "client_certificate", "plain HTTP shows no certificate"))
        }
        Some(_) | None => None,
    }
}
