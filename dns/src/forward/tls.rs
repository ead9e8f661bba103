//! DNS over TLS (RFC 7858): whose certificates are good, and which one is ours. Names are always verified.

use super::trust::Trust;
use crate::certificates::certificates;
use crate::plan::tls::ClientTls;
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use std::net::IpAddr;
use std::sync::Arc;
use tokio_rustls::TlsConnector;

/// How an upstream is spoken to over TLS.
#[derive(Clone)]
pub(super) struct Secure {
    pub(super) connector: TlsConnector,
    /// Whom its certificate must be for.
    pub(super) name: ServerName<'static>,
}

impl std::fmt::Debug for Secure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secure").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Secure {
    /// `name`: as the upstream has it; else the one for all of them, or the address.
    pub(super) fn new(connector: &TlsConnector, name: Option<&str>, address: IpAddr) -> Result<Self, String> {
        let name = match name {
            Some(name) => ServerName::try_from(name.to_owned()).map_err(|error| format!("{name}: {error}"))?,
            None => ServerName::from(address),
        };
        Ok(Self { connector: connector.clone(), name })
    }
}

/// How a route speaks TLS, once one of its upstreams does.
#[derive(Default)]
pub(super) struct Tls(Option<TlsConnector>);

impl Tls {
    /// Reads the files when it is needed first.
    pub(super) fn connector(&mut self, tls: &ClientTls) -> Result<&TlsConnector, String> {
        let connector = match self.0.take() {
            Some(connector) => connector,
            None => connector(tls)?,
        };
        Ok(self.0.insert(connector))
    }
}

/// Reads the files that are named; the message of an error names the one that it is about.
fn connector(tls: &ClientTls) -> Result<TlsConnector, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let trust = Trust::new(tls.authorities.as_deref(), Arc::clone(&provider))?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(trust));
    let config = match &tls.own {
        Some((certificate, key)) => {
            let chain = certificates(certificate)?;
            let key_der = PrivateKeyDer::from_pem_file(key).map_err(|error| format!("{key}: {error}"))?;
            let config = config.with_client_auth_cert(chain, key_der);
            config.map_err(|error| format!("{certificate}, {key}: {error}"))?
        }
        None => config.with_no_client_auth(),
    };
    Ok(TlsConnector::from(Arc::new(config)))
}
