//! TLS towards clients: one server configuration a process, whose certificates follow the snapshot, and one for each
//! policy about client certificates.
//! Towards endpoints: [`upstream`].

mod accept;
mod client_auth;
mod keys;
mod self_made;
#[cfg(test)]
mod tests;
pub mod upstream;

pub use client_auth::{RefusedPolicy, Verification};
pub use keys::{CertifiedKeys, RefusedKey};

use arc_swap::{ArcSwap, ArcSwapOption};
use client_auth::ClientAuth;
use config::{CertificateTable, RoutingTable};
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    ClientHello, ResolvesServerCert, ServerConnection, ServerSessionMemoryCache, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::{HandshakeKind, ProtocolVersion, ServerConfig};
use std::io;
use std::sync::Arc;

const H2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// Sessions kept for TLS 1.2 clients that take no tickets; some 300 bytes each.
const SESSIONS_WITHOUT_TICKET: usize = 1024;

/// Why no TLS could be set up at start.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// rustls refused its own settings, or the system gave no random bytes.
    #[error("TLS cannot be set up: {0}")]
    Rustls(#[from] rustls::Error),
    /// The certificate of the run could not be made.
    #[error("the self-made certificate cannot be made: {0}")]
    SelfMade(#[from] rcgen::Error),
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// The TLS side of all listeners of the process: TLS 1.2 and 1.3, h2 and http/1.1, resumption by tickets whose keys
/// rotate every six hours, no early data. The client's order of cipher suites counts, since it knows its hardware.
#[derive(Debug)]
pub struct ServerTls {
    config: Arc<ServerConfig>,
    certificates: Arc<Certificates>,
    /// `None`: no host asks for client certificates.
    client_auth: ArcSwapOption<ClientAuth>,
}

impl ServerTls {
    /// Makes the ticket keys and the self-made certificate, which is served until [`ServerTls::update`].
    ///
    /// # Errors
    /// [`TlsError`]: out of random bytes.
    pub fn new() -> Result<Self, TlsError> {
        let self_made = Arc::new(self_made::certified_key(&provider())?);
        let certificates = Arc::new(Certificates { current: ArcSwap::default(), self_made });
        let mut config = server_config(WebPkiClientVerifier::no_client_auth(), &resolver(&certificates))?;
        config.ticketer = ring::Ticketer::new()?;
        config.send_tls13_tickets = 1;
        config.session_storage = ServerSessionMemoryCache::new(SESSIONS_WITHOUT_TICKET);
        Ok(Self { config: Arc::new(config), certificates, client_auth: ArcSwapOption::empty() })
    }

    /// Serves new handshakes from `table`; open connections and tickets stay good. Free where the table is the one
    /// served already, else O(certificates), parsing those that are new. One task calls this, with ever newer tables.
    ///
    /// Returns the certificates whose key cannot be used and that were not returned before.
    #[must_use = "each refused key is returned once, to be reported"]
    pub fn update(&self, table: &Arc<CertificateTable>) -> Vec<RefusedKey> {
        let current = self.certificates.current.load();
        if current.is_of(table) {
            return Vec::new();
        }
        let (keys, refused) = CertifiedKeys::of(table, Some(&current));
        self.certificates.current.store(Arc::new(keys));
        refused
    }

    /// Asks clients of new handshakes for certificates as the hosts of `routing` want it. Free where no host does, else
    /// O(policies) where they changed. One task calls this, with ever newer tables.
    ///
    /// Returns the policies that cannot be used and that were not returned before.
    #[must_use = "each refused policy is returned once, to be reported"]
    pub fn ask_clients(&self, routing: &Arc<RoutingTable>) -> Vec<RefusedPolicy> {
        let current = self.client_auth.load_full();
        if current.as_ref().is_some_and(|current| current.is_of(routing)) {
            return Vec::new();
        }
        let (next, refused) = ClientAuth::of(routing, current.as_deref(), &resolver(&self.certificates));
        self.client_auth.store(next.map(Arc::new));
        refused
    }
}

/// What all handshakes have in common.
fn server_config(
    verifier: Arc<dyn ClientCertVerifier>,
    certificates: &Arc<dyn ResolvesServerCert>,
) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::clone(certificates));
    config.alpn_protocols = vec![H2.to_vec(), HTTP1.to_vec()];
    Ok(config)
}

fn resolver(certificates: &Arc<Certificates>) -> Arc<dyn ResolvesServerCert> {
    Arc::clone(certificates) as Arc<dyn ResolvesServerCert>
}

#[derive(Debug)]
struct Certificates {
    current: ArcSwap<CertifiedKeys>,
    self_made: Arc<CertifiedKey>,
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self.current.load();
        let key = current.choose(hello.server_name(), hello.signature_schemes());
        Some(Arc::clone(key.unwrap_or(&self.self_made)))
    }
}

/// What is known of a connection once its handshake is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFacts {
    /// `TLSv1.3` or `TLSv1.2`.
    pub version: &'static str,
    /// The server name that the client sent, in canonical form.
    pub server_name: Option<Arc<str>>,
    /// Whether HTTP/2 was agreed on.
    pub is_h2: bool,
    /// Whether an earlier session was resumed.
    pub is_resumed: bool,
    /// What was asked of the client's certificate.
    pub client: Verification,
}

impl TlsFacts {
    /// Reads them from a connection whose handshake is done and whose client was asked for no certificate.
    #[must_use]
    pub fn of(connection: &ServerConnection) -> Self {
        Self {
            version: match connection.protocol_version() {
                Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
                _ => "TLSv1.2",
            },
            server_name: connection.server_name().map(|name| canonical(name).into()),
            is_h2: connection.alpn_protocol() == Some(H2),
            is_resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
            client: Verification::default(),
        }
    }
}

/// A server name as the certificate table spells it; rustls has lower-cased it already.
fn canonical(server_name: &str) -> &str {
    server_name.strip_suffix('.').unwrap_or(server_name)
}

/// Why a handshake with a client failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HandshakeFailure {
    /// It took too long.
    Timeout,
    /// The client went away.
    Closed,
    /// What came is not TLS.
    NotTls,
    /// No version, cipher suite, signature scheme or application protocol in common.
    Incompatible,
    /// The client refused, mostly our certificate.
    Alert,
    /// The client broke the protocol.
    Protocol,
}

impl From<&io::Error> for HandshakeFailure {
    fn from(error: &io::Error) -> Self {
        use rustls::Error as E;
        match error.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(E::InvalidMessage(_)) => Self::NotTls,
            Some(E::PeerIncompatible(_) | E::NoApplicationProtocol) => Self::Incompatible,
            Some(E::AlertReceived(_)) => Self::Alert,
            Some(_) => Self::Protocol,
            None if error.kind() == io::ErrorKind::TimedOut => Self::Timeout,
            None => Self::Closed,
        }
    }
}
