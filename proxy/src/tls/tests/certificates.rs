//! Certificates and clients for tests.

use super::super::provider;
use config::{Certificate, KeyKind, Kind, ObjectRef, PrivateKey};
use rcgen::{CertificateParams, KeyPair};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore, SignatureScheme, SupportedCipherSuite,
    SupportedProtocolVersion, version,
};
use std::sync::Arc;

pub(crate) const RSA_SCHEMES: &[SignatureScheme] =
    &[SignatureScheme::RSA_PSS_SHA256, SignatureScheme::RSA_PSS_SHA384, SignatureScheme::RSA_PKCS1_SHA256];

/// A self-signed ECDSA certificate of `Secret test/NAME`.
pub(crate) fn certificate(name: &str, names: &[&str]) -> Arc<Certificate> {
    made(name, names, &KeyPair::generate().expect("key"), KeyKind::Ecdsa)
}

/// The same with an RSA key.
pub(crate) fn rsa_certificate(name: &str, names: &[&str]) -> Arc<Certificate> {
    made(name, names, &KeyPair::from_pem(include_str!("rsa.key.pem")).expect("key"), KeyKind::Rsa)
}

fn made(name: &str, names: &[&str], key: &KeyPair, key_kind: KeyKind) -> Arc<Certificate> {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let certificate = CertificateParams::new(names.clone()).and_then(|params| params.self_signed(key));
    Arc::new(Certificate {
        source: ObjectRef::new(Kind::Secret, "test", name),
        chain: vec![certificate.expect("certificate").der().as_ref().into()],
        key: PrivateKey(key.serialize_der().into()),
        key_kind,
        names,
        not_before: 0,
        not_after: 0,
    })
}

/// What the peer showed.
pub(crate) fn leaf(connection: &ClientConnection) -> Vec<u8> {
    connection.peer_certificates().and_then(|chain| chain.first()).expect("a certificate").to_vec()
}

/// A client that trusts any certificate, speaking these versions (none: both) and protocols.
pub(crate) fn client(versions: &[&'static SupportedProtocolVersion], alpn: &[&[u8]]) -> Arc<ClientConfig> {
    let versions = if versions.is_empty() { &[&version::TLS13, &version::TLS12] } else { versions };
    let mut config = config_of(provider(), versions, None);
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    Arc::new(config)
}

/// A client that verifies these signatures alone.
pub(crate) fn client_of_schemes(schemes: &'static [SignatureScheme]) -> Arc<ClientConfig> {
    Arc::new(config_of(provider(), &[&version::TLS13], Some(schemes)))
}

/// A TLS 1.2 client that offers these suites alone.
pub(crate) fn client_of_suites(suites: &[SupportedCipherSuite]) -> Arc<ClientConfig> {
    let provider = CryptoProvider { cipher_suites: suites.to_vec(), ..(*provider()).clone() };
    Arc::new(config_of(Arc::new(provider), &[&version::TLS12], None))
}

/// A client that trusts the public roots alone.
pub(crate) fn distrusting_client() -> Arc<ClientConfig> {
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let config = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    Arc::new(config.expect("versions").with_root_certificates(roots).with_no_client_auth())
}

fn config_of(
    provider: Arc<CryptoProvider>,
    versions: &[&'static SupportedProtocolVersion],
    schemes: Option<&'static [SignatureScheme]>,
) -> ClientConfig {
    let verifier = Trusting { provider: Arc::clone(&provider), schemes };
    ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth()
}

#[derive(Debug)]
struct Trusting {
    provider: Arc<CryptoProvider>,
    schemes: Option<&'static [SignatureScheme]>,
}

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let all = || self.provider.signature_verification_algorithms.supported_schemes();
        self.schemes.map_or_else(all, <[_]>::to_vec)
    }
}
