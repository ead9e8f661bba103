//! Client certificates: which server names ask for one, and whether the one that was shown is accepted (RFC 8446 §4.3.2).
//! A handshake needs proof of the key alone; that a certificate is missing or not accepted is told by HTTP.

use super::{canonical, provider, server_config};
use config::{ClientPolicy, ListenerName, ObjectRef, RoutingTable, TrustAnchor};
use rustc_hash::FxHashMap;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, ResolvesServerCert, ServerConnection, WebPkiClientVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig, SignatureScheme};
use std::sync::Arc;

/// Names of authorities in a request for a certificate, in bytes; none are sent where they would be more, since 64 KiB
/// is all that the message has room for, and some clients take less.
const NAMES: usize = 16 * 1024;

/// A policy that no handshake can be made with; its host refuses every client.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("no client can be verified with {source_object}: {error}")]
pub struct RefusedPolicy {
    /// The object it came from.
    pub source_object: ObjectRef,
    /// What is wrong with it.
    pub error: Error,
}

/// The policy under which a connection was made, and whether its client meets it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verification {
    /// That of the server name, or of a client that sent none; `None`: no certificate was asked for.
    pub policy: Option<Arc<ClientPolicy>>,
    /// Whether a certificate was shown that the policy accepts.
    pub is_met: bool,
}

/// The policies of a routing table as rustls asks for certificates with them.
#[derive(Debug)]
pub(super) struct ClientAuth {
    routing: Arc<RoutingTable>,
    /// By the address of the policy, which the entry keeps alive.
    verifiers: Arc<FxHashMap<usize, Verifier>>,
}

/// How clients are asked under one policy.
#[derive(Debug, Clone)]
pub(super) struct Verifier {
    policy: Arc<ClientPolicy>,
    /// `None`: there is nothing to verify with, and nothing is asked for.
    asking: Option<Asking>,
}

#[derive(Debug, Clone)]
struct Asking {
    config: Arc<ServerConfig>,
    /// Knows every anchor, also those whose validity is over.
    verifier: Arc<dyn ClientCertVerifier>,
    /// When the first of them ends to be valid, in seconds since the epoch.
    valid_until: i64,
}

impl ClientAuth {
    /// Reads the policies of `routing`, taking over those of `previous` that are the same `Arc`. `None` where there are
    /// none. Returns the newly refused ones beside.
    pub(super) fn of(
        routing: &Arc<RoutingTable>,
        previous: Option<&Self>,
        certificates: &Arc<dyn ResolvesServerCert>,
    ) -> (Option<Self>, Vec<RefusedPolicy>) {
        let mut refused = Vec::new();
        let Some(policies) = &routing.client_policies else { return (None, refused) };
        let known = previous.filter(|previous| {
            previous.routing.client_policies.as_ref().is_some_and(|before| Arc::ptr_eq(before, policies))
        });
        if let Some(known) = known {
            let verifiers = Arc::clone(&known.verifiers);
            return (Some(Self { routing: Arc::clone(routing), verifiers }), refused);
        }
        let mut verifiers = FxHashMap::default();
        for (_, policy) in policies.iter() {
            verifiers.entry(address(policy)).or_insert_with(|| {
                let known = previous.and_then(|previous| previous.verifiers.get(&address(policy)));
                known.cloned().unwrap_or_else(|| {
                    let asking = asking(policy, certificates).unwrap_or_else(|error| {
                        refused.push(RefusedPolicy { source_object: policy.source.clone(), error });
                        None
                    });
                    Verifier { policy: Arc::clone(policy), asking }
                })
            });
        }
        (Some(Self { routing: Arc::clone(routing), verifiers: Arc::new(verifiers) }), refused)
    }

    /// Whether this is read from that very table.
    pub(super) fn is_of(&self, routing: &Arc<RoutingTable>) -> bool {
        Arc::ptr_eq(&self.routing, routing)
    }

    /// What to ask of a client that wants that server name; `None`: nothing.
    pub(super) fn find(&self, server_name: Option<&str>) -> Option<&Verifier> {
        let host = server_name.map_or("", canonical);
        let policy = self.routing.client_policy(ListenerName::Https, host)?;
        self.verifiers.get(&address(policy))
    }
}

fn address(policy: &Arc<ClientPolicy>) -> usize {
    Arc::as_ptr(policy).addr()
}

impl Verifier {
    /// The configuration of the handshake; `None`: that of any other host.
    pub(super) fn config(&self) -> Option<&Arc<ServerConfig>> {
        self.asking.as_ref().map(|asking| &asking.config)
    }

    /// Judges what the client of a finished handshake has shown.
    pub(super) fn judge(&self, connection: &ServerConnection) -> Verification {
        let shown = connection.peer_certificates().unwrap_or_default();
        Verification { policy: Some(Arc::clone(&self.policy)), is_met: self.accepts(shown, UnixTime::now()) }
    }

    fn accepts(&self, shown: &[CertificateDer<'_>], now: UnixTime) -> bool {
        let (Some(asking), Some((leaf, chain))) = (&self.asking, shown.split_first()) else { return false };
        let verified = asking.verifier.verify_client_cert(leaf, chain, now).and_then(|accepted| {
            if is_valid(asking.valid_until, now) {
                return Ok(accepted);
            }
            // webpki asks for no validity of an anchor; what it signed should not outlive it all the same. To read the
            // anchors again costs more than a handshake, so strangers are turned away before.
            let valid = self.policy.trust_anchors.iter().filter(|anchor| is_valid(anchor.not_after, now));
            verifier(valid).and_then(|verifier| verifier.verify_client_cert(leaf, chain, now))
        });
        if let Err(error) = &verified {
            tracing::debug!(policy = %self.policy.source, %error, "client certificate is not accepted");
        }
        verified.is_ok()
    }
}

fn is_valid(not_after: i64, now: UnixTime) -> bool {
    u64::try_from(not_after).is_ok_and(|not_after| now.as_secs() <= not_after)
}

/// `None` where the policy has no anchors.
fn asking(policy: &ClientPolicy, certificates: &Arc<dyn ResolvesServerCert>) -> Result<Option<Asking>, Error> {
    let Some(valid_until) = policy.trust_anchors.iter().map(|anchor| anchor.not_after).min() else { return Ok(None) };
    let verifier = verifier(&policy.trust_anchors)?;
    let mut config = server_config(Arc::new(ProofOfKey(Arc::clone(&verifier))), certificates)?;
    // rustls takes the certificate of a resumed session for granted: it may be of another policy, or of an older one.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Some(Asking { config: Arc::new(config), verifier, valid_until }))
}

fn verifier<'a>(anchors: impl IntoIterator<Item = &'a TrustAnchor>) -> Result<Arc<dyn ClientCertVerifier>, Error> {
    let mut roots = RootCertStore::empty();
    for anchor in anchors {
        roots.add(CertificateDer::from(&*anchor.der).into_owned())?;
    }
    let names: usize = roots.subjects().iter().map(|name| name.as_ref().len()).sum();
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).allow_unauthenticated();
    let builder = if names > NAMES { builder.clear_root_hint_subjects() } else { builder };
    builder.build().map_err(|error| Error::General(error.to_string()))
}

/// Asks for a certificate and takes any, or none; who shows one must have its key. Who it is, is judged afterwards.
#[derive(Debug)]
struct ProofOfKey(Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for ProofOfKey {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
