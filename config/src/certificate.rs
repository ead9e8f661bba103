//! Certificates and the choice among them by server name (RFC 6066 §3).

#[cfg(test)]
mod tests;

use crate::{HostPattern, ObjectRef, host::wildcard_suffix};
use foldhash::fast::RandomState;
use rustc_hash::FxHashSet;
use serde::Serialize;
use serde::ser::SerializeStruct;
use std::borrow::Borrow;
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// A private key in DER, of the kind that its first bytes say (PKCS#8, SEC1 or PKCS#1); never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct PrivateKey(pub Arc<[u8]>);

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Serialize for PrivateKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("[redacted]")
    }
}

/// The algorithm of a certificate's key; a host may have one of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub enum KeyKind {
    Ecdsa,
    Ed25519,
    Rsa,
}

/// A certificate chain with its key, known to fit each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Certificate {
    /// The Secret it came from.
    pub source: ObjectRef,
    /// The chain in DER, leaf first.
    #[serde(skip)]
    pub chain: Vec<Arc<[u8]>>,
    /// The leaf's key.
    pub key: PrivateKey,
    /// The key's algorithm.
    pub key_kind: KeyKind,
    /// The leaf's DNS names (subjectAltName), in lower case.
    pub names: Vec<String>,
    /// Begin of validity in seconds since the epoch.
    pub not_before: i64,
    /// End of validity in seconds since the epoch.
    pub not_after: i64,
}

impl Certificate {
    /// Whether one of the certificate's names covers `host`, in canonical form.
    #[must_use]
    pub fn covers(&self, host: &str) -> bool {
        self.names.iter().any(|name| match name.strip_prefix("*.") {
            Some(suffix) => wildcard_suffix(host) == Some(suffix),
            None => name == host,
        })
    }

    /// The names as patterns, without those that no server name can match.
    pub fn patterns(&self) -> impl Iterator<Item = HostPattern> {
        self.names
            .iter()
            .filter_map(|name| HostPattern::parse(Some(name)).ok())
            .filter(|name| *name != HostPattern::Any)
    }
}

type Certificates = Vec<Arc<Certificate>>;

/// Certificates by server name; cloning costs O(names), one reference count each.
#[derive(Debug, Clone, Default)]
pub struct CertificateTable {
    declared: Names,
    covered: Names,
    default: Certificates,
}

#[derive(Debug, Clone, Default)]
struct Names {
    exact: HashSet<ByName, RandomState>,
    wildcard: HashSet<ByName, RandomState>,
}

/// The certificates of one name, found by it.
#[derive(Debug, Clone)]
struct ByName(Arc<(HostPattern, Certificates)>);

impl Borrow<str> for ByName {
    fn borrow(&self) -> &str {
        self.0.0.text()
    }
}

impl Hash for ByName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.0.text().hash(state);
    }
}

impl PartialEq for ByName {
    fn eq(&self, other: &Self) -> bool {
        self.0.0.text() == other.0.0.text()
    }
}

impl Eq for ByName {}

impl Names {
    fn put(&mut self, name: HostPattern, certificates: Certificates) {
        let names = match name {
            HostPattern::Exact(_) => &mut self.exact,
            HostPattern::Wildcard(_) => &mut self.wildcard,
            HostPattern::Any => return,
        };
        if certificates.is_empty() {
            names.remove(name.text());
        } else {
            names.replace(ByName(Arc::new((name, certificates))));
        }
    }

    /// Those of the patches that would change something.
    fn differences(
        &self,
        patches: impl IntoIterator<Item = (HostPattern, Certificates)>,
    ) -> Vec<(HostPattern, Certificates)> {
        let patches = patches.into_iter().map(|(name, certificates)| (name, one_of_a_kind(certificates)));
        patches.filter(|(name, certificates)| self.of(name) != certificates.as_slice()).collect()
    }

    fn of(&self, name: &HostPattern) -> &[Arc<Certificate>] {
        let entry = match name {
            HostPattern::Exact(name) => self.exact.get(name.as_str()),
            HostPattern::Wildcard(suffix) => self.wildcard.get(suffix.as_str()),
            HostPattern::Any => None,
        };
        entry.map_or(&[], |entry| &entry.0.1)
    }

    fn find(&self, name: &str) -> Option<&[Arc<Certificate>]> {
        let entry = self.exact.get(name).or_else(|| self.wildcard.get(wildcard_suffix(name)?));
        entry.map(|entry| entry.0.1.as_slice())
    }

    fn iter(&self) -> impl Iterator<Item = &(HostPattern, Certificates)> {
        self.exact.iter().chain(&self.wildcard).map(|entry| &*entry.0)
    }
}

/// The first of each kind of key: one serves clients that cannot use the others.
fn one_of_a_kind(certificates: Certificates) -> Certificates {
    let mut chosen: Certificates = Vec::new();
    for certificate in certificates {
        if chosen.iter().all(|known| known.key_kind != certificate.key_kind) {
            chosen.push(certificate);
        }
    }
    chosen.sort_by_key(|certificate| certificate.key_kind);
    chosen
}

impl CertificateTable {
    /// Builds the table. `declared` are the hosts of `spec.tls` with their Secrets' certificates, most important
    /// first; [`HostPattern::Any`] declares a certificate for the names that it covers alone. `default` is for names
    /// that none covers.
    #[must_use]
    pub fn new(
        declared: impl IntoIterator<Item = (HostPattern, Arc<Certificate>)>,
        default: Vec<Arc<Certificate>>,
    ) -> Self {
        let [mut by_host, mut by_san]: [BTreeMap<HostPattern, Certificates>; 2] = Default::default();
        for (host, certificate) in declared {
            for name in certificate.patterns() {
                by_san.entry(name).or_default().push(Arc::clone(&certificate));
            }
            by_host.entry(host).or_default().push(certificate);
        }
        by_host.remove(&HostPattern::Any);
        Self::default().patched(by_host, by_san, default).unwrap_or_default()
    }

    /// This table with the certificates of some names replaced, most important first; a name without any is removed.
    /// `declared` are hosts of `spec.tls`, `covered` are subjectAltNames. `None`: it would be the same. Costs O(names)
    /// where it is not.
    #[must_use]
    pub fn patched(
        &self,
        declared: impl IntoIterator<Item = (HostPattern, Vec<Arc<Certificate>>)>,
        covered: impl IntoIterator<Item = (HostPattern, Vec<Arc<Certificate>>)>,
        default: Vec<Arc<Certificate>>,
    ) -> Option<Self> {
        let declared = self.declared.differences(declared);
        let covered = self.covered.differences(covered);
        let default = one_of_a_kind(default);
        if declared.is_empty() && covered.is_empty() && default == self.default {
            return None;
        }
        let mut table = Self { default, ..self.clone() };
        declared.into_iter().for_each(|(name, certificates)| table.declared.put(name, certificates));
        covered.into_iter().for_each(|(name, certificates)| table.covered.put(name, certificates));
        Some(table)
    }

    /// The certificates for a server name in canonical form: declared exactly, declared by wildcard, covered by a
    /// subjectAltName, then the default ones; empty where the self-made certificate of the run is to be used. O(1).
    #[must_use]
    pub fn find(&self, server_name: Option<&str>) -> &[Arc<Certificate>] {
        server_name
            .and_then(|name| self.declared.find(name).or_else(|| self.covered.find(name)))
            .unwrap_or(&self.default)
    }

    /// Every certificate of the table once, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Certificate>> {
        let mut seen: FxHashSet<*const Certificate> = FxHashSet::default();
        let lists = self.declared.iter().chain(self.covered.iter()).map(|(_, list)| list).chain([&self.default]);
        lists.flatten().filter(move |certificate| seen.insert(Arc::as_ptr(certificate)))
    }
}

/// Sorted by name, so that two equal tables read the same: `declared`, `covered` (the Secrets alone) and `default`.
impl Serialize for CertificateTable {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let declared: BTreeMap<_, _> = self.declared.iter().map(|(name, list)| (name, list)).collect();
        let sources =
            |list: &Certificates| list.iter().map(|certificate| certificate.source.clone()).collect::<Vec<_>>();
        let covered: BTreeMap<_, _> = self.covered.iter().map(|(name, list)| (name, sources(list))).collect();
        let mut table = serializer.serialize_struct("CertificateTable", 3)?;
        table.serialize_field("declared", &declared)?;
        table.serialize_field("covered", &covered)?;
        table.serialize_field("default", &self.default)?;
        table.end()
    }
}
