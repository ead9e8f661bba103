//! Authorities, certificates of clients that they sign, and clients that show them.

use super::trusting::Trusting;
use crate::harness::h2::H2Client;
use crate::harness::{Client, PATIENCE, Running};
use config::{ClientPolicy, Kind, ObjectRef, TrustAnchor};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, SupportedProtocolVersion, version};
use std::io;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Long after every test.
pub(super) const FUTURE: i64 = 64_000_000_000;

/// Signs certificates.
pub(super) struct Authority {
    name: &'static str,
    der: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate with its chain, and a key.
pub(super) struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
}

impl Authority {
    pub(super) fn new(name: &'static str) -> Self {
        let (params, key) = (authority_params(name), KeyPair::generate().expect("key"));
        let der = params.self_signed(&key).expect("signed").der().clone();
        Self { name, der, issuer: Issuer::new(params, key) }
    }

    /// The policy of hosts that trust it.
    pub(super) fn policy(&self) -> Arc<ClientPolicy> {
        self.policy_until(FUTURE)
    }

    /// The same with an authority whose validity ends then.
    pub(super) fn policy_until(&self, not_after: i64) -> Arc<ClientPolicy> {
        let anchor = TrustAnchor { subject: self.name.into(), not_after, der: Arc::from(&*self.der) };
        policy(self.name, vec![anchor])
    }

    /// A client's certificate as it should be.
    pub(super) fn client(&self) -> Identity {
        self.client_with(|_| {})
    }

    pub(super) fn client_with(&self, change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "client");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let key = KeyPair::generate().expect("key");
        let leaf = params.signed_by(&key, &self.issuer).expect("signed").der().clone();
        Identity { chain: vec![leaf], key }
    }

    /// A certificate of an authority that this one has signed, with the chain.
    pub(super) fn client_of_intermediate(&self) -> Identity {
        let (params, key) = (authority_params("intermediate"), KeyPair::generate().expect("key"));
        let der = params.signed_by(&key, &self.issuer).expect("signed").der().clone();
        let intermediate = Self { name: "intermediate", der, issuer: Issuer::new(params, key) };
        let mut identity = intermediate.client();
        identity.chain.push(intermediate.der);
        identity
    }
}

impl Identity {
    /// The certificate in the hands of somebody who has another key.
    pub(super) fn stolen(mut self) -> Self {
        self.key = KeyPair::generate().expect("key");
        self
    }
}

/// Validity that is over.
pub(super) fn expired(params: &mut CertificateParams) {
    (params.not_before, params.not_after) = (date_time_ymd(2001, 1, 1), date_time_ymd(2002, 1, 1));
}

/// Validity that has not begun.
pub(super) fn early(params: &mut CertificateParams) {
    (params.not_before, params.not_after) = (date_time_ymd(3001, 1, 1), date_time_ymd(3002, 1, 1));
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// The policy of that Secret.
pub(super) fn policy(secret: &str, trust_anchors: Vec<TrustAnchor>) -> Arc<ClientPolicy> {
    Arc::new(ClientPolicy { source: ObjectRef::new(Kind::Secret, "test", secret), trust_anchors })
}

/// Many authorities, whose names are more than fits into a request for a certificate.
pub(super) fn crowd() -> Vec<TrustAnchor> {
    let key = KeyPair::generate().expect("key");
    let anchor = |number| {
        let name = format!("{number}{}", "x".repeat(200));
        let der = authority_params(&name).self_signed(&key).expect("signed").der().clone();
        TrustAnchor { subject: name.into(), not_after: FUTURE, der: Arc::from(&*der) }
    };
    (0..400).map(anchor).collect()
}

/// A client with the sessions that it remembers.
pub(super) struct Visitor(ClientConfig);

impl Visitor {
    /// Shows this certificate wherever one is asked for.
    pub(super) fn new(identity: Option<&Identity>) -> Self {
        Self::of_version(&version::TLS13, identity)
    }

    /// The same that speaks that version of TLS alone.
    pub(super) fn of_version(version: &'static SupportedProtocolVersion, identity: Option<&Identity>) -> Self {
        let provider = rustls::crypto::ring::default_provider();
        let verifier = Arc::new(Trusting(provider.signature_verification_algorithms));
        let config = ClientConfig::builder_with_provider(Arc::new(provider)).with_protocol_versions(&[version]);
        let config = config.expect("version").dangerous().with_custom_certificate_verifier(verifier);
        let mut config = config.with_no_client_auth();
        if let Some(Identity { chain, key }) = identity {
            let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
            let key = rustls::crypto::ring::sign::any_supported_type(&key).expect("key");
            config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(CertifiedKey::new(chain.clone(), key)));
        }
        Self(config)
    }

    /// The same with another configuration.
    pub(super) fn changed(mut self, change: impl FnOnce(&mut ClientConfig)) -> Self {
        change(&mut self.0);
        self
    }

    /// Connects for that server name; for an address none is sent.
    pub(super) async fn connect(&self, proxy: &Running, name: &str, alpn: &[u8]) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(name.to_owned()).expect("name");
        let socket = TcpStream::connect(proxy.https).await.expect("connect");
        socket.set_nodelay(true).expect("nodelay");
        let connector = TlsConnector::from(Arc::new(self.0.clone()));
        let connecting = connector.with_alpn(vec![alpn.to_vec()]).connect(name, socket);
        timeout(PATIENCE, connecting).await.expect("no handshake")
    }

    /// The same for HTTP/1.
    pub(super) async fn visit(&self, proxy: &Running, name: &str) -> Client<TlsStream<TcpStream>> {
        Client::over(self.connect(proxy, name, b"http/1.1").await.expect("handshake"))
    }

    /// The same for HTTP/2.
    pub(super) async fn visit_h2(&self, proxy: &Running, name: &str) -> H2Client {
        H2Client::over(self.connect(proxy, name, b"h2").await.expect("handshake")).await
    }
}
