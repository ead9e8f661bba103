//! The certificates of a table as rustls signs with them: parsed when a snapshot is built, not at each handshake.

use config::{Certificate, CertificateTable, ObjectRef};
use rustc_hash::FxHashMap;
use rustls::SignatureScheme;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::sync::Arc;

/// A certificate that cannot be served; its host falls back to the default certificate.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("certificate of {source_object} cannot be served: {error}")]
pub struct RefusedKey {
    /// The object it came from.
    pub source_object: ObjectRef,
    /// What is wrong with it.
    pub error: rustls::Error,
}

/// A certificate table and the parsed form of each of its certificates, which hosts share.
#[derive(Debug, Default)]
pub struct CertifiedKeys {
    table: Arc<CertificateTable>,
    /// By the address of the certificate, which the entry keeps alive.
    keys: FxHashMap<usize, Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    certificate: Arc<Certificate>,
    /// `None`: refused.
    key: Option<Arc<CertifiedKey>>,
}

fn address(certificate: &Arc<Certificate>) -> usize {
    Arc::as_ptr(certificate).addr()
}

impl CertifiedKeys {
    /// Parses the certificates of `table`, taking over those of `previous` that are the same `Arc`.
    /// Returns the newly refused ones beside.
    #[must_use]
    pub fn of(table: &Arc<CertificateTable>, previous: Option<&Self>) -> (Self, Vec<RefusedKey>) {
        let mut keys = FxHashMap::default();
        let mut refused = Vec::new();
        for certificate in table.iter() {
            keys.entry(address(certificate)).or_insert_with(|| {
                let known = previous.and_then(|previous| previous.keys.get(&address(certificate)));
                known.filter(|known| Arc::ptr_eq(&known.certificate, certificate)).cloned().unwrap_or_else(|| {
                    let key = certified_key(certificate).map(Arc::new);
                    let key = key.map_err(|error| {
                        refused.push(RefusedKey { source_object: certificate.source.clone(), error });
                    });
                    Entry { certificate: Arc::clone(certificate), key: key.ok() }
                })
            });
        }
        keys.shrink_to_fit();
        (Self { table: Arc::clone(table), keys }, refused)
    }

    /// How many certificates there are, refused ones among them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether these are the keys of that very table.
    #[must_use]
    pub fn is_of(&self, table: &Arc<CertificateTable>) -> bool {
        Arc::ptr_eq(&self.table, table)
    }

    /// The key for a server name and what the client can verify: of the name's own certificates the first that fits,
    /// or the first at all, with which the handshake then fails in the regular way; the default ones where none can
    /// be used. `None`: the self-made certificate of the run.
    #[must_use]
    pub fn choose(&self, server_name: Option<&str>, schemes: &[SignatureScheme]) -> Option<&Arc<CertifiedKey>> {
        let own = self.table.find(server_name.map(super::canonical));
        self.fitting(own, schemes).or_else(|| self.fitting(self.table.find(None), schemes))
    }

    fn fitting(&self, certificates: &[Arc<Certificate>], schemes: &[SignatureScheme]) -> Option<&Arc<CertifiedKey>> {
        let usable = || certificates.iter().filter_map(|c| self.keys.get(&address(c))?.key.as_ref());
        usable().find(|key| key.key.choose_scheme(schemes).is_some()).or_else(|| usable().next())
    }
}

fn certified_key(certificate: &Certificate) -> Result<CertifiedKey, rustls::Error> {
    let key = PrivateKeyDer::try_from(&*certificate.key.0).map_err(|error| rustls::Error::General(error.to_owned()))?;
    let key = ring::sign::any_supported_type(&key)?;
    let chain = certificate.chain.iter().map(|der| CertificateDer::from(der.to_vec())).collect();
    let certified = CertifiedKey::new(chain, key);
    certified.keys_match()?;
    Ok(certified)
}
