//! An authority that all TLS clients of the tests trust, and nothing else.

use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Issues certificates, and connects to who shows one of them.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    h1: TlsConnector,
    h2: TlsConnector,
}

/// What a Secret holds, and what a client then sees.
pub(crate) struct Issued {
    pub(crate) chain: String,
    pub(crate) key: String,
    pub(crate) der: CertificateDer<'static>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec![]).expect("no names");
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, key).expect("an authority");
        let mut roots = RootCertStore::empty();
        roots.add(issuer.der().clone()).expect("a root");
        let connector = |alpn: &[&str]| {
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
            let mut config = builder.expect("versions").with_root_certificates(roots.clone()).with_no_client_auth();
            config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
            TlsConnector::from(Arc::new(config))
        };
        Self { h1: connector(&["http/1.1"]), h2: connector(&["h2"]), issuer }
    }

    /// A new certificate with a new key.
    pub(crate) fn issue(&self, name: &str) -> Issued {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        Issued { chain: certificate.pem(), key: key.serialize_pem(), der: certificate.der().clone() }
    }

    /// A TLS connection over `socket` that agrees on HTTP/2 or on HTTP/1.1.
    pub(crate) async fn connect(&self, socket: TcpStream, host: &str, is_h2: bool) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let stream = if is_h2 { &self.h2 } else { &self.h1 }.connect(name, socket).await?;
        let expected: &[u8] = if is_h2 { b"h2" } else { b"http/1.1" };
        if stream.get_ref().1.alpn_protocol() != Some(expected) {
            return Err(io::Error::other("another protocol was agreed on"));
        }
        Ok(stream)
    }

    /// The certificate that a client without a session to resume is shown.
    pub(crate) async fn shown(&self, address: SocketAddr, host: &str) -> io::Result<CertificateDer<'static>> {
        let mut config = ClientConfig::clone(self.h1.config());
        config.resumption = rustls::client::Resumption::disabled();
        let connector = TlsConnector::from(Arc::new(config));
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let stream = connector.connect(name, TcpStream::connect(address).await?).await?;
        let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
        certificates.first().cloned().map(CertificateDer::into_owned).ok_or_else(|| io::Error::other("no certificate"))
    }
}
