//! DNS over TLS (RFC 7858): whose certificates are good, and which one is ours. Names are always verified.

use crate::plan::tls::ClientTls;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
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
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(match &tls.authorities {
            Some(path) => authorities_in(path)?,
            None => system_authorities()?,
        });
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

fn certificates(path: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let wrong = |error| format!("{path}: {error}");
    let found: Vec<_> = CertificateDer::pem_file_iter(path).map_err(wrong)?.collect::<Result<_, _>>().map_err(wrong)?;
    if found.is_empty() { Err(format!("{path}: it holds no certificate")) } else { Ok(found) }
}

fn authorities_in(path: &str) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| format!("{path}: {error}"))?;
    }
    Ok(roots)
}

/// What of the system's store can be read; others than those that are of use are no error.
fn system_authorities() -> Result<RootCertStore, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let why = found.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
        return Err(format!("the system has no certificate authorities, and tls names no file of them{why}"));
    }
    Ok(roots)
}
