//! Whether a request's client may ask its host: by the policy of the host now and by the one of the handshake.
//! A connection is no proof for another host than that of its server name (RFC 9110 §15.5.20).

use super::{Exchange, Finish};
use crate::record::Reason;
use config::is_acme_token;

/// Why a client may not ask a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ClientRefusal {
    status: u16,
    reason: Reason,
    /// Whether a new connection to the same server name would be made under another policy.
    is_stale: bool,
}

impl ClientRefusal {
    fn new(status: u16, reason: Reason) -> Self {
        Self { status, reason, is_stale: false }
    }
}

impl Exchange<'_> {
    /// Why the client may not have what its request met; `None`: it may. One branch where no host asks for certificates.
    /// A redirect to HTTPS tells nothing.
    pub(super) fn client_refusal(&self, is_redirected: bool) -> Option<ClientRefusal> {
        let routing = &self.view.snapshot.routing;
        let policy = routing.client_policy(self.downstream.listener, self.request.host_name())?;
        let Some(tls) = &self.downstream.tls else {
            let path = self.request.target.path();
            let is_open = is_redirected || is_acme_token(path);
            return (!is_open).then(|| ClientRefusal::new(403, Reason::ClientCertificate));
        };
        if policy.trust_anchors.is_empty() {
            return Some(ClientRefusal::new(503, Reason::NoClientCa));
        }
        if tls.client.policy.as_ref() != Some(policy) {
            let name = tls.server_name.as_deref().unwrap_or_default();
            let is_stale = routing.client_policy(self.downstream.listener, name) != tls.client.policy.as_ref();
            return Some(ClientRefusal { is_stale, ..ClientRefusal::new(421, Reason::Misdirected) });
        }
        (!tls.client.is_met).then(|| ClientRefusal::new(400, Reason::ClientCertificate))
    }

    /// Answers such a request. A client of HTTP/1 comes again on a new connection, with a certificate or for its host.
    pub(super) async fn refuse_client(&mut self, refusal: ClientRefusal) -> Finish {
        let ClientRefusal { status, reason, is_stale } = refusal;
        self.may_keep &= status == 503;
        match self.refuse(status, reason).await {
            Finish::Linger if is_stale => Finish::Retire,
            finish => finish,
        }
    }
}
