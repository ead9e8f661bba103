//! Which hosts ask their clients for a certificate, and whose certificates they trust (RFC 8446 §4.3.2).
//! A policy belongs to a host: the handshake finds it by server name, each request by its Host.

#[cfg(test)]
mod tests;

use crate::{HostPattern, ObjectRef, host::wildcard_suffix};
use foldhash::fast::RandomState;
use serde::{Serialize, Serializer};
use smol_str::SmolStr;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Whose certificates a host accepts; two that are equal accept the same for the same reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClientPolicy {
    /// The Secret of the trust anchors, or the Ingress where it names no Secret that could be.
    pub source: ObjectRef,
    /// The authorities; empty where none is known, so that no client can be accepted.
    pub trust_anchors: Vec<TrustAnchor>,
}

/// The certificate of an authority (RFC 5280 §6.1.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TrustAnchor {
    /// Its subject, as text.
    pub subject: Box<str>,
    /// End of its validity in seconds since the epoch.
    pub not_after: i64,
    /// All of it in DER.
    #[serde(skip)]
    pub der: Arc<[u8]>,
}

impl ClientPolicy {
    /// A policy that no client can meet.
    #[must_use]
    pub fn without_anchors(source: ObjectRef) -> Self {
        Self { source, trust_anchors: Vec::new() }
    }
}

/// Policies by host; a host without one takes no room here.
#[derive(Debug, Clone, Default)]
pub struct ClientPolicyTable {
    exact: HashMap<SmolStr, Arc<ClientPolicy>, RandomState>,
    wildcard: HashMap<SmolStr, Arc<ClientPolicy>, RandomState>,
    any: Option<Arc<ClientPolicy>>,
}

impl ClientPolicyTable {
    /// Whether no host has a policy.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.wildcard.is_empty() && self.any.is_none()
    }

    /// The policy of exactly that host.
    #[must_use]
    pub fn of(&self, host: &HostPattern) -> Option<&Arc<ClientPolicy>> {
        match host {
            HostPattern::Exact(name) => self.exact.get(name),
            HostPattern::Wildcard(suffix) => self.wildcard.get(suffix),
            HostPattern::Any => self.any.as_ref(),
        }
    }

    /// The policy for a name in canonical form whose requests go to the rules of `owner`: that of the owner, since it
    /// is what is protected, and nobody may replace it by naming a narrower host; else that of a host which is narrower
    /// than the owner and has no rules of its own. O(1).
    #[must_use]
    pub fn find(&self, owner: Option<&HostPattern>, name: &str) -> Option<&Arc<ClientPolicy>> {
        if let Some(policy) = owner.and_then(|owner| self.of(owner)) {
            return Some(policy);
        }
        let exact = || self.exact.get(name);
        let wildcard = || self.wildcard.get(wildcard_suffix(name)?);
        match owner {
            Some(HostPattern::Exact(_)) => None,
            Some(HostPattern::Wildcard(_)) => exact(),
            Some(HostPattern::Any) => exact().or_else(wildcard),
            None => exact().or_else(wildcard).or(self.any.as_ref()),
        }
    }

    /// Sets the policy of a host, or removes it; for a table that is being built.
    pub fn put(&mut self, host: &HostPattern, policy: Option<Arc<ClientPolicy>>) {
        match (host, policy) {
            (HostPattern::Exact(name), Some(policy)) => drop(self.exact.insert(name.clone(), policy)),
            (HostPattern::Wildcard(suffix), Some(policy)) => drop(self.wildcard.insert(suffix.clone(), policy)),
            (HostPattern::Exact(name), None) => drop(self.exact.remove(name)),
            (HostPattern::Wildcard(suffix), None) => drop(self.wildcard.remove(suffix)),
            (HostPattern::Any, policy) => self.any = policy,
        }
    }

    /// Every host with its policy, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (HostPattern, &Arc<ClientPolicy>)> {
        let exact = self.exact.iter().map(|(name, policy)| (HostPattern::Exact(name.clone()), policy));
        let wildcard = self.wildcard.iter().map(|(suffix, policy)| (HostPattern::Wildcard(suffix.clone()), policy));
        exact.chain(wildcard).chain(self.any.iter().map(|policy| (HostPattern::Any, policy)))
    }
}

/// Sorted by host, so that two equal tables read the same.
impl Serialize for ClientPolicyTable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter().collect::<BTreeMap<_, _>>())
    }
}
