//! Slices by what they are for.

use super::slice::Slice;
use config::ObjectName;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use rustc_hash::FxBuildHasher;
use smallvec::{SmallVec, smallvec};
use std::hash::BuildHasher;
use std::sync::Arc;

/// The slices of one name, sorted by their own; there is one at least, and of most names no more.
type Group = SmallVec<[Arc<Slice>; 1]>;

/// Slices by the name of what they are for. A group has its name in its slices, and so none of its own.
#[derive(Debug)]
pub(super) struct SlicesByName {
    /// What a slice is for, in its own namespace.
    target: fn(&Slice) -> Option<&Arc<str>>,
    groups: HashTable<Group>,
}

impl SlicesByName {
    /// None yet; `target`: what a slice is for, in its own namespace.
    pub(super) fn new(target: fn(&Slice) -> Option<&Arc<str>>) -> Self {
        Self { target, groups: HashTable::new() }
    }

    /// Those for what has this name; `None`: there are none.
    pub(super) fn find(&self, name: &ObjectName) -> Option<&[Arc<Slice>]> {
        let wanted = (&*name.namespace, &*name.name);
        let group = self.groups.find(hash(wanted), |group| name_of(self.target, group) == Some(wanted));
        group.map(SmallVec::as_slice)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = ObjectName> {
        self.groups.iter().filter_map(|group| self.target_of(group.first()?))
    }

    /// What a slice is for.
    fn target_of(&self, slice: &Slice) -> Option<ObjectName> {
        let name = (self.target)(slice)?;
        Some(ObjectName { namespace: Arc::clone(&slice.object.namespace), name: Arc::clone(name) })
    }

    /// Takes a slice in; what it is for.
    pub(super) fn insert(&mut self, slice: &Arc<Slice>) -> Option<ObjectName> {
        let name = self.target_of(slice)?;
        let wanted = (&*name.namespace, &*name.name);
        let target = self.target;
        let is_it = |group: &Group| name_of(target, group) == Some(wanted);
        match self.groups.entry(hash(wanted), is_it, |group| name_of(target, group).map_or(0, hash)) {
            Entry::Occupied(mut group) => {
                let slices = group.get_mut();
                let place = slices.partition_point(|known| known.object < slice.object);
                slices.insert(place, Arc::clone(slice));
            }
            Entry::Vacant(place) => drop(place.insert(smallvec![Arc::clone(slice)])),
        }
        Some(name)
    }

    /// Lets a slice go; what it was for.
    pub(super) fn remove(&mut self, slice: &Slice) -> Option<ObjectName> {
        let name = self.target_of(slice)?;
        let wanted = (&*name.namespace, &*name.name);
        let target = self.target;
        let group = self.groups.find_entry(hash(wanted), |group| name_of(target, group) == Some(wanted));
        if let Ok(mut group) = group {
            let is_other = |known: &Arc<Slice>| known.object != slice.object;
            // A group without slices would have no name.
            if group.get().iter().any(is_other) {
                group.get_mut().retain(|known| is_other(known));
            } else {
                group.remove();
            }
        }
        Some(name)
    }
}

/// The namespace and the name that a group is for.
fn name_of(target: fn(&Slice) -> Option<&Arc<str>>, group: &Group) -> Option<(&str, &str)> {
    let slice = group.first()?;
    Some((&slice.object.namespace, target(slice)?))
}

fn hash(name: (&str, &str)) -> u64 {
    FxBuildHasher.hash_one(name)
}
