//! What is known of a scope, and what of that an event changes. Nothing of a list is told before its end, and then all
//! of it at once: a path that moved from one object to another is never nowhere.

#[cfg(test)]
mod tests;

use super::received::{Received, Undecodable};
use super::resource::Resource;
use crate::Change;
use config::ObjectRef;
use rustc_hash::FxHashMap;
use std::hash::RandomState;
use std::sync::Arc;

/// The objects of a scope, by what tells each version of them.
pub(crate) struct Known {
    resource: &'static Resource,
    hasher: RandomState,
    objects: FxHashMap<Arc<ObjectRef>, Version>,
    /// Of objects that are gone, until all that was older has been told.
    gone: FxHashMap<Arc<ObjectRef>, Version>,
    /// All up to here has been told; what comes of it later is old.
    reached: u64,
    list: Option<List>,
}

/// A list that has not ended.
#[derive(Default)]
struct List {
    seen: FxHashMap<Arc<ObjectRef>, Version>,
    changes: FxHashMap<Arc<ObjectRef>, Change>,
}

/// A version of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Version {
    /// Equal for equal ones, and as good as never for others.
    fingerprint: u64,
    /// Its `resourceVersion`, which grows (KEP-5504); 0 where that is no number, and then nothing is older.
    order: u64,
}

impl Version {
    /// Whether what comes as `self` is older than `known`, or the same.
    fn is_old(self, known: Option<&Self>) -> bool {
        known.is_some_and(|known| self == *known || (self.order != 0 && self.order < known.order))
    }
}

fn order(version: &str) -> u64 {
    version.parse().unwrap_or_default()
}

impl Known {
    pub(crate) fn new(resource: &'static Resource) -> Self {
        let (objects, gone) = Default::default();
        Self { resource, hasher: RandomState::new(), objects, gone, reached: 0, list: None }
    }

    /// A list begins, and one that had not ended is forgotten.
    pub(crate) fn begin(&mut self) {
        self.list = Some(List::default());
    }

    /// An object of the list; whether it is other than what is known.
    ///
    /// # Errors
    /// Where the object cannot be read: it stays as it was.
    pub(crate) fn listed(&mut self, received: &Received) -> Result<bool, Undecodable> {
        let Some(name) = self.name(received) else { return Ok(false) };
        let version = self.version(received);
        let is_same = self.objects.get(&name) == Some(&version);
        let Some(list) = &mut self.list else { return Ok(false) };
        list.seen.insert(Arc::clone(&name), version);
        list.changes.remove(&name);
        if !is_same {
            let object = received.object(self.resource, &name)?;
            list.changes.insert(name, Change::Apply(object));
        }
        Ok(!is_same)
    }

    /// Whether the list that has come so far would take away all that is known.
    pub(crate) fn would_lose_all(&self) -> bool {
        !self.objects.is_empty() && self.list.as_ref().is_some_and(|list| list.seen.is_empty())
    }

    /// The list was whole, as of `version`: its changes, and the ends of what was not in it.
    pub(crate) fn end(&mut self, version: &str) -> Vec<Change> {
        let Some(List { seen, changes }) = self.list.take() else { return Vec::new() };
        let gone = self.objects.keys().filter(|name| !seen.contains_key(*name));
        let deletions: Vec<_> = gone.map(|name| Change::Delete((**name).clone())).collect();
        self.objects = seen;
        self.gone.clear();
        // Not the greater one: a store that was restored begins at a lower one.
        self.reached = order(version);
        changes.into_values().chain(deletions).collect()
    }

    /// All up to `version` has been told.
    pub(crate) fn reach(&mut self, version: &str) {
        self.reached = order(version);
        self.gone.retain(|_, gone| gone.order > self.reached);
    }

    /// An object is new or changed; `None`: that is no news.
    ///
    /// # Errors
    /// Where the object cannot be read: it stays as it was.
    pub(crate) fn applied(&mut self, received: &Received) -> Result<Option<Change>, Undecodable> {
        let Some(name) = self.name(received) else { return Ok(None) };
        let version = self.version(received);
        if self.is_old(&name, version) {
            return Ok(None);
        }
        self.gone.remove(&name);
        self.objects.insert(Arc::clone(&name), version);
        Ok(Some(Change::Apply(received.object(self.resource, &name)?)))
    }

    /// An object is gone; `None`: that is no news.
    pub(crate) fn deleted(&mut self, received: &Received) -> Option<Change> {
        let name = self.name(received)?;
        if let Some(list) = &mut self.list {
            // One that was known before the list is missing at its end.
            list.seen.remove(&name);
            list.changes.remove(&name);
            return None;
        }
        let version = self.version(received);
        // An object ends with a version of its own, but not in every server of the past.
        let is_last = self.objects.get(&name) == Some(&version);
        if !is_last && self.is_old(&name, version) {
            return None;
        }
        self.gone.insert(Arc::clone(&name), version);
        self.objects.remove(&name)?;
        Some(Change::Delete((*name).clone()))
    }

    fn is_old(&self, name: &ObjectRef, version: Version) -> bool {
        let is_passed = version.order != 0 && version.order <= self.reached;
        is_passed || version.is_old(self.objects.get(name)) || version.is_old(self.gone.get(name))
    }

    fn version(&self, received: &Received) -> Version {
        Version { fingerprint: received.fingerprint(&self.hasher), order: order(&received.version) }
    }

    /// The object's name, shared with what is known already.
    fn name(&self, received: &Received) -> Option<Arc<ObjectRef>> {
        let name = received.object_ref(self.resource)?;
        let known = self.objects.get_key_value(&name).map(|(known, _)| Arc::clone(known));
        Some(known.unwrap_or_else(|| Arc::new(name)))
    }
}
