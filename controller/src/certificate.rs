//! The certificate of a Secret: PEM to the model's [`Certificate`], with everything checked that a handshake relies on.
//! Done once, when the Secret arrives.

pub mod authorities;
#[cfg(test)]
mod tests;

use crate::object::object_ref;
use config::{Certificate, KeyKind, Kind, PrivateKey};
use k8s_openapi::api::core::v1::Secret;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::sync::Arc;
use x509_parser::certificate::X509Certificate;
use x509_parser::error::X509Error;
use x509_parser::extensions::GeneralName;
use x509_parser::oid_registry::OID_SIG_ED25519;
use x509_parser::public_key::PublicKey;

const CHAIN: &str = "tls.crt";
const KEY: &str = "tls.key";

/// Why a Secret has no certificate that can be served. The messages begin with the key of the Secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateProblem {
    /// A key of the Secret is absent or empty.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// PEM armour or base64 is broken.
    #[error("{key} is no PEM: {message}")]
    BadPem {
        /// The key of the Secret.
        key: &'static str,
        /// What the parser says.
        message: &'static str,
    },
    /// PEM without a section of the right kind.
    #[error("{0} holds no certificate")]
    NoCertificate(&'static str),
    /// A first certificate that is no X.509.
    #[error("{CHAIN}: the certificate is malformed: {0}")]
    Malformed(String),
    /// A certificate that nothing can be verified with.
    #[error("{key}: certificate {place} cannot be an authority's: {message}")]
    NoAuthority {
        /// The key of the Secret.
        key: &'static str,
        /// Its place, counted from 1.
        place: usize,
        /// What the parser says.
        message: String,
    },
    /// PEM without a private key.
    #[error("{KEY} holds no private key in PKCS#8, PKCS#1 or SEC1")]
    NoKey,
    /// A key that needs a passphrase.
    #[error("{KEY} is encrypted, and there is no passphrase")]
    EncryptedKey,
    /// A key that cannot sign a handshake.
    #[error("{KEY} cannot be used: {0}")]
    BadKey(String),
    /// A key that belongs to another certificate of the chain.
    #[error("{KEY} belongs to certificate {0} of {CHAIN}, but the first must be the server's own")]
    LeafNotFirst(usize),
    /// A key that belongs to another certificate.
    #[error("{KEY} does not belong to the certificate in {CHAIN}")]
    KeyMismatch,
    /// An algorithm that no handshake here can use.
    #[error("{CHAIN}: the certificate's key is none of ECDSA, Ed25519, RSA")]
    UnknownAlgorithm,
}

/// Reads the certificate of a Secret of type `kubernetes.io/tls`, or of any other with its keys `tls.crt` and `tls.key`.
/// A certificate whose validity is over is read all the same.
///
/// # Errors
/// [`CertificateProblem`] where a handshake could not be made with it.
pub fn parse(secret: &Secret) -> Result<Arc<Certificate>, CertificateProblem> {
    let chain = read_chain(CHAIN, value(secret, CHAIN)?)?;
    let key = read_key(value(secret, KEY)?)?;
    let leaf = chain.first().ok_or(CertificateProblem::NoCertificate(CHAIN))?;
    let Leaf { names, key_kind, not_before, not_after } = read_leaf(leaf)?;
    let signer = any_supported_type(&key).map_err(|error| CertificateProblem::BadKey(error.to_string()))?;
    let place = chain.iter().position(|certificate| {
        let pair = CertifiedKey::new(vec![certificate.clone()], Arc::clone(&signer));
        pair.keys_match().is_ok()
    });
    match place {
        Some(0) => {}
        Some(place) => return Err(CertificateProblem::LeafNotFirst(place + 1)),
        None => return Err(CertificateProblem::KeyMismatch),
    }
    Ok(Arc::new(Certificate {
        source: object_ref(Kind::Secret, &secret.metadata),
        chain: chain.iter().map(|certificate| Arc::from(certificate.as_ref())).collect(),
        key: PrivateKey(Arc::from(key.secret_der())),
        key_kind,
        names,
        not_before,
        not_after,
    }))
}

/// Whether a Secret has what a certificate is made of, whatever its type.
pub(crate) fn is_tls(secret: &Secret) -> bool {
    secret.type_.as_deref() == Some("kubernetes.io/tls") || value(secret, CHAIN).is_ok()
}

fn value<'s>(secret: &'s Secret, key: &'static str) -> Result<&'s [u8], CertificateProblem> {
    let text = secret.string_data.as_ref().and_then(|texts| texts.get(key)).map(String::as_bytes);
    let bytes = || secret.data.as_ref()?.get(key).map(|bytes| bytes.0.as_slice());
    text.or_else(bytes).filter(|value| !value.is_empty()).ok_or(CertificateProblem::Missing(key))
}

fn read_chain(key: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, CertificateProblem> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain = chain.map_err(|error| bad_pem(key, &error))?;
    if chain.is_empty() { Err(CertificateProblem::NoCertificate(key)) } else { Ok(chain) }
}

fn read_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, CertificateProblem> {
    match PrivateKeyDer::from_pem_slice(pem) {
        Ok(key) => Ok(key),
        Err(pem::Error::NoItemsFound) if contains(pem, b"ENCRYPTED") => Err(CertificateProblem::EncryptedKey),
        Err(pem::Error::NoItemsFound) => Err(CertificateProblem::NoKey),
        Err(error) => Err(bad_pem(KEY, &error)),
    }
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window == word)
}

/// In our own words: the parser's would repeat bytes of a key.
fn bad_pem(key: &'static str, error: &pem::Error) -> CertificateProblem {
    let message = match error {
        pem::Error::MissingSectionEnd { .. } => "a section has no END line",
        pem::Error::IllegalSectionStart { .. } => "a BEGIN line is malformed",
        pem::Error::Base64Decode(_) => "its base64 is malformed",
        _ => "it cannot be read",
    };
    CertificateProblem::BadPem { key, message }
}

/// What the model keeps of the server's own certificate.
struct Leaf {
    names: Vec<String>,
    key_kind: KeyKind,
    not_before: i64,
    not_after: i64,
}

fn read_leaf(der: &CertificateDer<'_>) -> Result<Leaf, CertificateProblem> {
    let malformed = |error: &dyn std::fmt::Display| CertificateProblem::Malformed(error.to_string());
    let (_, certificate) = x509_parser::parse_x509_certificate(der).map_err(|error| malformed(&error))?;
    let key_kind = match certificate.public_key().parsed() {
        Ok(PublicKey::RSA(_)) => KeyKind::Rsa,
        Ok(PublicKey::EC(_)) => KeyKind::Ecdsa,
        Ok(PublicKey::Unknown(_)) if *certificate.public_key().algorithm.oid() == OID_SIG_ED25519 => KeyKind::Ed25519,
        Ok(_) => return Err(CertificateProblem::UnknownAlgorithm),
        Err(error) => return Err(malformed(&error)),
    };
    let names = read_names(&certificate).map_err(|error| malformed(&error))?;
    let validity = certificate.validity();
    Ok(Leaf { names, key_kind, not_before: validity.not_before.timestamp(), not_after: validity.not_after.timestamp() })
}

/// DNS names of the subjectAltName; the common name counts only where there is no such extension (RFC 9525 §2).
fn read_names(certificate: &X509Certificate<'_>) -> Result<Vec<String>, X509Error> {
    let mut names: Vec<String> = match certificate.subject_alternative_name()? {
        Some(extension) => {
            let names = extension.value.general_names.iter();
            names
                .filter_map(|name| if let GeneralName::DNSName(name) = name { Some(canonical(name)) } else { None })
                .collect()
        }
        None => certificate.subject().iter_common_name().filter_map(|name| name.as_str().ok()).map(canonical).collect(),
    };
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

fn canonical(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}
