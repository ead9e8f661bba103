//! Pods by name, with nothing but their addresses and whether they look names up as others do.

use config::ObjectRef;
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

/// The Pods that have an address.
#[derive(Debug, Default)]
pub(super) struct Pods(FxHashMap<Arc<ObjectRef>, KeptPod>);

#[derive(Debug)]
struct KeptPod {
    addresses: Box<[IpAddr]>,
    has_own_search: bool,
}

/// Addresses that Pods have got or lost.
pub(crate) type PodChanges = FxHashMap<Arc<ObjectRef>, BTreeSet<IpAddr>>;

impl Pods {
    /// Takes the addresses that a Pod has now, and tells which of them are new and which gone; all where it looks names up
    /// otherwise than before.
    pub(super) fn put(
        &mut self,
        pod: &Arc<ObjectRef>,
        (addresses, has_own_search): (Vec<IpAddr>, bool),
        changes: &mut PodChanges,
    ) -> bool {
        let known = self.0.get(pod);
        let before = known.map_or(&[][..], |known| &known.addresses);
        let (old, new): (FxHashSet<_>, FxHashSet<_>) = (before.iter().collect(), addresses.iter().collect());
        let differing: BTreeSet<_> = match known.is_some_and(|known| known.has_own_search != has_own_search) {
            true => old.union(&new).map(|address| **address).collect(),
            false => old.symmetric_difference(&new).map(|address| **address).collect(),
        };
        if differing.is_empty() {
            return false;
        }
        changes.entry(Arc::clone(pod)).or_default().extend(differing);
        if addresses.is_empty() {
            self.0.remove(pod);
        } else {
            self.0.insert(Arc::clone(pod), KeptPod { addresses: addresses.into(), has_own_search });
        }
        true
    }

    /// Whether a Pod has the address now.
    pub(super) fn has(&self, pod: &ObjectRef, address: IpAddr) -> bool {
        self.0.get(pod).is_some_and(|known| known.addresses.contains(&address))
    }

    /// Whether a Pod's search list may be another than that of its namespace.
    pub(super) fn has_own_search(&self, pod: &ObjectRef) -> bool {
        self.0.get(pod).is_some_and(|known| known.has_own_search)
    }

    /// All of them, as if they had just come.
    pub(super) fn everything(&self) -> PodChanges {
        self.0.iter().map(|(pod, known)| (Arc::clone(pod), known.addresses.iter().copied().collect())).collect()
    }
}
