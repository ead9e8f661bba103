//! Secrets as they are kept: the last good certificate of each, and what is wrong with the present one.
//! A key is parsed once, when its Secret arrives; its bytes are kept nowhere else.

use crate::certificate::{self, CertificateProblem};
use config::{Certificate, ObjectName};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// What is known of one Secret.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptSecret {
    /// Whether it exists now; if not, only its last good certificate is left.
    pub exists: bool,
    /// Whether it is meant to hold a certificate.
    pub is_tls: bool,
    /// The last good certificate.
    pub certificate: Option<Arc<Certificate>>,
    /// What is wrong with the Secret as it is now.
    pub problem: Option<CertificateProblem>,
    /// Whether the certificate's validity has begun and is not over.
    pub validity: Validity,
}

/// Where a moment lies from a certificate's validity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// Before it.
    NotYet,
    /// Within it, or there is no certificate.
    Valid,
    /// After it.
    Expired,
}

impl Validity {
    fn at(certificate: Option<&Arc<Certificate>>, now: Timestamp) -> Self {
        match certificate {
            Some(certificate) if now.as_second() < certificate.not_before => Self::NotYet,
            Some(certificate) if now.as_second() > certificate.not_after => Self::Expired,
            _ => Self::Valid,
        }
    }
}

/// All Secrets, and how often each is referred to.
#[derive(Debug)]
pub(crate) struct Secrets {
    kept: FxHashMap<ObjectName, KeptSecret>,
    references: FxHashMap<ObjectName, usize>,
    now: Timestamp,
}

impl Secrets {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self { kept: FxHashMap::default(), references: FxHashMap::default(), now }
    }

    pub(crate) fn find(&self, name: &ObjectName) -> Option<&KeptSecret> {
        self.kept.get(name)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &ObjectName> {
        self.kept.keys()
    }

    /// Takes a Secret as it is now; whether that is a change.
    pub(crate) fn apply(&mut self, name: &ObjectName, secret: &Secret) -> bool {
        let before = self.kept.get(name);
        let last_good = before.and_then(|kept| kept.certificate.clone());
        let (certificate, problem) = match certificate::parse(secret) {
            // The same certificate once more stays the same allocation, so that nothing after it changes.
            Ok(certificate) => (last_good.filter(|known| *known == certificate).or(Some(certificate)), None),
            Err(problem) => (last_good.filter(|_| self.references.contains_key(name)), Some(problem)),
        };
        let validity = Validity::at(certificate.as_ref(), self.now);
        let kept = KeptSecret { exists: true, is_tls: certificate::is_tls(secret), certificate, problem, validity };
        let changed = before != Some(&kept);
        if changed {
            self.kept.insert(name.clone(), kept);
        }
        changed
    }

    /// Takes the end of a Secret; whether that is a change.
    pub(crate) fn delete(&mut self, name: &ObjectName) -> bool {
        let Some(kept) = self.kept.get_mut(name) else { return false };
        if kept.certificate.is_some() && self.references.contains_key(name) {
            kept.problem = None;
            return std::mem::replace(&mut kept.exists, false);
        }
        self.kept.remove(name).is_some()
    }

    /// Counts one more reference: as long as there is one, a last good certificate is kept.
    pub(crate) fn refer(&mut self, name: &ObjectName) {
        *self.references.entry(name.clone()).or_default() += 1;
    }

    /// Counts one reference less; with the last one goes a certificate that is only kept for it. Whether that is a
    /// change.
    pub(crate) fn release(&mut self, name: &ObjectName) -> bool {
        let Some(count) = self.references.get_mut(name) else { return false };
        *count -= 1;
        if *count > 0 {
            return false;
        }
        self.references.remove(name);
        match self.kept.get_mut(name) {
            Some(kept) if !kept.exists => self.kept.remove(name).is_some(),
            Some(kept) if kept.problem.is_some() => {
                kept.validity = Validity::Valid;
                kept.certificate.take().is_some()
            }
            _ => false,
        }
    }

    /// Sets the time; the Secrets whose certificate begins or ends to be valid by it.
    pub(crate) fn advance(&mut self, now: Timestamp) -> Vec<ObjectName> {
        self.now = now;
        let mut changed = Vec::new();
        for (name, kept) in &mut self.kept {
            let validity = Validity::at(kept.certificate.as_ref(), now);
            if std::mem::replace(&mut kept.validity, validity) != validity {
                changed.push(name.clone());
            }
        }
        changed
    }
}
