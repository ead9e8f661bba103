//! Pods by name, with nothing but their addresses.

use config::ObjectRef;
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

/// The Pods that have an address.
#[derive(Debug, Default)]
pub(super) struct Pods(FxHashMap<Arc<ObjectRef>, Box<[IpAddr]>>);

/// Addresses that Pods have got or lost.
pub(crate) type PodChanges = FxHashMap<Arc<ObjectRef>, BTreeSet<IpAddr>>;

impl Pods {
    /// Takes the addresses that a Pod has now, and tells which of them are new and which gone.
    pub(super) fn put(&mut self, pod: &Arc<ObjectRef>, addresses: Vec<IpAddr>, changes: &mut PodChanges) -> bool {
        let before = self.0.get(pod).map_or(&[][..], |addresses| addresses);
        let (old, new): (FxHashSet<_>, FxHashSet<_>) = (before.iter().collect(), addresses.iter().collect());
        let differing: BTreeSet<_> = old.symmetric_difference(&new).map(|address| **address).collect();
        if differing.is_empty() {
            return false;
        }
        changes.entry(Arc::clone(pod)).or_default().extend(differing);
        if addresses.is_empty() {
            self.0.remove(pod);
        } else {
            self.0.insert(Arc::clone(pod), addresses.into());
        }
        true
    }

    /// Whether a Pod has the address now.
    pub(super) fn has(&self, pod: &ObjectRef, address: IpAddr) -> bool {
        self.0.get(pod).is_some_and(|addresses| addresses.contains(&address))
    }

    /// All of them, as if they had just come.
    pub(super) fn everything(&self) -> PodChanges {
        self.0.iter().map(|(pod, addresses)| (Arc::clone(pod), addresses.iter().copied().collect())).collect()
    }
}
