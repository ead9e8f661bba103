//! What one host says about some of its Ingresses; most hosts say nothing, and take no room for it.

use super::Stale;
use config::ObjectRef;
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Values by object.
#[derive(Debug)]
pub(super) struct ByObject<V>(Option<Box<FxHashMap<Arc<ObjectRef>, V>>>);

impl<V> Default for ByObject<V> {
    fn default() -> Self {
        Self(None)
    }
}

impl<V: Default> ByObject<V> {
    pub(super) fn entry(&mut self, object: &Arc<ObjectRef>) -> &mut V {
        self.0.get_or_insert_default().entry(Arc::clone(object)).or_default()
    }

    pub(super) fn find(&self, object: &ObjectRef) -> Option<&V> {
        self.0.as_ref()?.get(object)
    }

    fn iter(&self) -> impl Iterator<Item = (&Arc<ObjectRef>, &V)> {
        self.0.iter().flat_map(|values| values.iter())
    }
}

/// The objects about which something else is said now.
pub(super) fn note_differences<V: Default + PartialEq>(before: &ByObject<V>, after: &ByObject<V>, stale: &mut Stale) {
    for (one, other) in [(before, after), (after, before)] {
        let differing = one.iter().filter(|(object, value)| other.find(object) != Some(value));
        stale.extend(differing.map(|(object, _)| Arc::clone(object)));
    }
}
