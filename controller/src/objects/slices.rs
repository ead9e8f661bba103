//! Slices by what they are for.

use super::slice::Slice;
use config::ObjectName;
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Slices by the name of what they are for, sorted by their own names.
#[derive(Debug, Default)]
pub(super) struct SlicesByName(FxHashMap<ObjectName, Vec<Arc<Slice>>>);

impl SlicesByName {
    pub(super) fn find(&self, name: &ObjectName) -> Option<&[Arc<Slice>]> {
        self.0.get(name).map(Vec::as_slice)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &ObjectName> {
        self.0.keys()
    }

    pub(super) fn insert(&mut self, name: &ObjectName, slice: &Arc<Slice>) {
        let slices = self.0.entry(name.clone()).or_default();
        let place = slices.partition_point(|known| known.object < slice.object);
        // Most have one slice for good.
        if slices.is_empty() {
            slices.reserve_exact(1);
        }
        slices.insert(place, Arc::clone(slice));
    }

    pub(super) fn remove(&mut self, name: &ObjectName, slice: &Slice) {
        let Some(slices) = self.0.get_mut(name) else { return };
        slices.retain(|known| known.object != slice.object);
        if slices.is_empty() {
            self.0.remove(name);
        }
    }
}
