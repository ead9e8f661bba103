//! Secrets as they are kept: the last good certificate and authorities of each, and what is wrong with the present ones.
//! A key is parsed once, when its Secret arrives; its bytes are kept nowhere else.

use crate::certificate::{self, CertificateProblem, authorities};
use config::{Certificate, ClientPolicy, ObjectName};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// What is known of one Secret.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptSecret {
    /// Whether it exists now; if not, only what was last good of it is left.
    pub exists: bool,
    /// Whether it is meant to hold a certificate.
    pub is_tls: bool,
    /// The last good certificate.
    pub certificate: Option<Arc<Certificate>>,
    /// What is wrong with the Secret as it is now.
    pub problem: Option<CertificateProblem>,
    /// Whether the certificate's validity has begun and is not over.
    pub validity: Validity,
    /// The last good authorities that clients' certificates may be of.
    pub authorities: Option<Arc<ClientPolicy>>,
    /// What is wrong with its authorities as they are now; most Secrets have none.
    pub authorities_problem: Option<CertificateProblem>,
}

impl KeptSecret {
    /// Keeps what is good now alone; whether that is a change.
    fn forget_last_good(&mut self) -> bool {
        let mut is_change = false;
        if self.problem.is_some() {
            self.validity = Validity::Valid;
            is_change |= self.certificate.take().is_some();
        }
        if self.authorities_problem.is_some() {
            is_change |= self.authorities.take().is_some();
        }
        is_change
    }
}

/// What was read, else what was last good, if anybody names it, with the problem. The same once more stays the same
/// allocation, so that nothing after it changes.
fn good_or_last<T: PartialEq>(
    read: Result<Arc<T>, CertificateProblem>,
    last_good: Option<Arc<T>>,
    is_named: bool,
) -> (Option<Arc<T>>, Option<CertificateProblem>) {
    match read {
        Ok(good) => (last_good.filter(|known| *known == good).or(Some(good)), None),
        Err(problem) => (last_good.filter(|_| is_named), Some(problem)),
    }
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
    /// Those that may not be read, with the reason.
    refusals: FxHashMap<ObjectName, Arc<str>>,
    now: Timestamp,
}

impl Secrets {
    pub(crate) fn new(now: Timestamp) -> Self {
        let (kept, references, refusals) = Default::default();
        Self { kept, references, refusals, now }
    }

    pub(crate) fn find(&self, name: &ObjectName) -> Option<&KeptSecret> {
        self.kept.get(name)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &ObjectName> {
        self.kept.keys()
    }

    /// Why a Secret may not be read; `None`: it may.
    pub(crate) fn refusal(&self, name: &ObjectName) -> Option<&Arc<str>> {
        self.refusals.get(name)
    }

    /// Takes that a Secret may not be read: what was last good of it stays. Whether that is a change. It holds until the
    /// source says that it exists or does not, also while nobody refers to the Secret: an Ingress that is replaced names it
    /// again, and the source need not have noticed.
    pub(crate) fn refuse(&mut self, name: &ObjectName, reason: &Arc<str>) -> bool {
        self.refusals.insert(name.clone(), Arc::clone(reason)).as_ref() != Some(reason)
    }

    /// Takes a Secret as it is now; whether that is a change.
    pub(crate) fn apply(&mut self, name: &ObjectName, secret: &Secret) -> bool {
        let was_refused = self.refusals.remove(name).is_some();
        let before = self.kept.get(name);
        let is_named = self.references.contains_key(name);
        let last_good = before.and_then(|kept| kept.certificate.clone());
        let (certificate, problem) = good_or_last(certificate::parse(secret), last_good, is_named);
        let last_good = before.and_then(|kept| kept.authorities.clone());
        let (authorities, authorities_problem) = good_or_last(authorities::parse(secret), last_good, is_named);
        let kept = KeptSecret {
            exists: true,
            is_tls: certificate::is_tls(secret),
            validity: Validity::at(certificate.as_ref(), self.now),
            certificate,
            problem,
            authorities,
            authorities_problem,
        };
        let changed = before != Some(&kept) || was_refused;
        if changed {
            self.kept.insert(name.clone(), kept);
        }
        changed
    }

    /// Takes the end of a Secret; whether that is a change.
    pub(crate) fn delete(&mut self, name: &ObjectName) -> bool {
        let was_refused = self.refusals.remove(name).is_some();
        let Some(kept) = self.kept.get_mut(name) else { return was_refused };
        let is_of_use = kept.certificate.is_some() || kept.authorities.is_some();
        if is_of_use && self.references.contains_key(name) {
            (kept.problem, kept.authorities_problem) = (None, None);
            return std::mem::replace(&mut kept.exists, false) || was_refused;
        }
        self.kept.remove(name).is_some() || was_refused
    }

    /// Counts one more reference: as long as there is one, what was last good is kept.
    pub(crate) fn refer(&mut self, name: &ObjectName) {
        *self.references.entry(name.clone()).or_default() += 1;
    }

    /// Counts one reference less; with the last one goes what is only kept for it. Whether that is a change.
    pub(crate) fn release(&mut self, name: &ObjectName) -> bool {
        let Some(count) = self.references.get_mut(name) else { return false };
        *count -= 1;
        if *count > 0 {
            return false;
        }
        self.references.remove(name);
        match self.kept.get_mut(name) {
            Some(kept) if !kept.exists => self.kept.remove(name).is_some(),
            Some(kept) => kept.forget_last_good(),
            None => false,
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
