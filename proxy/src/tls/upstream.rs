//! TLS towards endpoints: one policy for each way in which a backend wants it, sessions kept by endpoint.
//! Belongs to a worker.

mod any_certificate;
#[cfg(test)]
mod tests;

use super::{H2, HTTP1, TlsError, provider};
use any_certificate::AnyCertificate;
use config::{EndpointAddress, Trust, UpstreamTls};
use rustc_hash::FxHashMap;
use rustls::client::{ClientConnection, Resumption, WebPkiServerVerifier};
use rustls::pki_types::{InvalidDnsNameError, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::collections::VecDeque;
use std::sync::Arc;
use tokio_rustls::TlsConnector;

/// Endpoints whose sessions a worker keeps; with eight tickets some 10 KiB each.
const ENDPOINTS: usize = 256;
/// What rustls keeps of one server name, the only one that a connector meets.
const TICKETS: usize = 8;

/// What is offered by ALPN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UpstreamAlpn {
    /// HTTP/2, else HTTP/1.1.
    H2OrHttp1,
    /// HTTP/1.1 alone: for upgrades and for endpoints that answered `HTTP_1_1_REQUIRED`.
    Http1,
}

/// A way of speaking TLS; connections may be shared only where it is the same. Meaningful within one worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TlsPolicyId(u32);

/// A policy's or an endpoint's name that is neither a DNS name nor an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no server name")]
pub struct BadServerName(pub String);

/// The policies and sessions of a worker.
#[derive(Debug)]
pub struct UpstreamTlsConfigs {
    any: ClientConfig,
    public_roots: ClientConfig,
    policies: FxHashMap<(UpstreamTls, UpstreamAlpn), TlsPolicyId>,
    configs: FxHashMap<(TlsPolicyId, EndpointAddress), Arc<ClientConfig>>,
    oldest: VecDeque<(TlsPolicyId, EndpointAddress)>,
}

impl UpstreamTlsConfigs {
    /// Makes an empty set that trusts the public roots.
    ///
    /// # Errors
    /// [`TlsError::Rustls`], which the built-in roots do not cause.
    pub fn new() -> Result<Self, TlsError> {
        Self::with_roots(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() })
    }

    /// Makes an empty set with other roots for [`Trust::PublicRoots`].
    ///
    /// # Errors
    /// [`TlsError::Rustls`] where there is no root.
    pub fn with_roots(roots: RootCertStore) -> Result<Self, TlsError> {
        let provider = provider();
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))?;
        let any = AnyCertificate { algorithms: provider.signature_verification_algorithms };
        let versions = [&rustls::version::TLS13, &rustls::version::TLS12];
        let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(&versions)?;
        Ok(Self {
            any: config.clone().dangerous().with_custom_certificate_verifier(Arc::new(any)).with_no_client_auth(),
            public_roots: config.with_webpki_verifier(verifier).with_no_client_auth(),
            policies: FxHashMap::default(),
            configs: FxHashMap::default(),
            oldest: VecDeque::new(),
        })
    }

    /// The number of a policy, the same for equal ones: part of a pool's key. O(1), to be kept with the backend.
    pub fn policy(&mut self, tls: &UpstreamTls, alpn: UpstreamAlpn) -> TlsPolicyId {
        let next = TlsPolicyId(u32::try_from(self.policies.len()).unwrap_or(u32::MAX));
        *self.policies.entry((tls.clone(), alpn)).or_insert(next)
    }

    /// What connects to an endpoint, and the name to connect with: the policy's, else the endpoint's name or address;
    /// an address is not sent (RFC 6066 §3). Sessions are kept by endpoint, since no two Pods know each other's.
    ///
    /// # Errors
    /// [`BadServerName`].
    pub fn connector(
        &mut self,
        tls: &UpstreamTls,
        alpn: UpstreamAlpn,
        endpoint: &EndpointAddress,
    ) -> Result<(TlsConnector, ServerName<'static>), BadServerName> {
        let name = server_name(tls, endpoint)?;
        let key = (self.policy(tls, alpn), endpoint.clone());
        if let Some(config) = self.configs.get(&key) {
            return Ok((Arc::clone(config).into(), name));
        }
        let config = Arc::new(self.client_config(tls.trust, alpn));
        if self.oldest.len() >= ENDPOINTS
            && let Some(oldest) = self.oldest.pop_front()
        {
            self.configs.remove(&oldest);
        }
        self.oldest.push_back(key.clone());
        self.configs.insert(key, Arc::clone(&config));
        Ok((config.into(), name))
    }

    fn client_config(&self, trust: Trust, alpn: UpstreamAlpn) -> ClientConfig {
        let mut config = match trust {
            Trust::Any => self.any.clone(),
            Trust::PublicRoots => self.public_roots.clone(),
        };
        config.alpn_protocols = match alpn {
            UpstreamAlpn::H2OrHttp1 => vec![H2.to_vec(), HTTP1.to_vec()],
            UpstreamAlpn::Http1 => vec![HTTP1.to_vec()],
        };
        config.resumption = Resumption::in_memory_sessions(TICKETS);
        config
    }
}

fn server_name(tls: &UpstreamTls, endpoint: &EndpointAddress) -> Result<ServerName<'static>, BadServerName> {
    let name = match (&tls.server_name, endpoint) {
        (Some(name), _) | (None, EndpointAddress::Name(name, _)) => name,
        (None, EndpointAddress::Socket(address)) => {
            return Ok(ServerName::IpAddress(address.ip().to_canonical().into()));
        }
    };
    let parsed = ServerName::try_from(&**name).map_err(|_: InvalidDnsNameError| BadServerName(name.to_string()))?;
    Ok(parsed.to_owned())
}

/// Whether HTTP/2 was agreed on; an endpoint that knows no ALPN speaks HTTP/1.1.
#[must_use]
pub fn is_h2(connection: &ClientConnection) -> bool {
    connection.alpn_protocol() == Some(H2)
}
