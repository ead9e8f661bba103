//! What is known of a scope, and what of that an event changes. Nothing of a list is told before its end, and then all
//! of it at once: a path that moved from one object to another is never nowhere.

#[cfg(test)]
mod tests;

use super::received::{Received, Undecodable};
use super::resource::Resource;
use crate::Change;
use config::ObjectRef;
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::hash::RandomState;

/// The objects of a scope, by what tells each version of them.
pub(crate) struct Known {
    resource: &'static Resource,
    hasher: RandomState,
    /// Sorted, which takes two thirds of the room of a table by hash.
    objects: BTreeMap<Box<Key>, Version>,
    /// Of objects that are gone, until all that was older has been told.
    gone: FxHashMap<Box<Key>, Version>,
    /// All up to here has been told; what comes of it later is old.
    reached: u64,
    list: Option<List>,
}

/// A list that has not ended.
#[derive(Default)]
struct List {
    seen: FxHashMap<Box<Key>, Version>,
    changes: FxHashMap<Box<Key>, Change>,
}

/// `NAMESPACE/NAME`, which is all that a name of one kind needs; neither word has a slash.
type Key = str;

fn key(name: &ObjectRef) -> Box<Key> {
    format!("{}/{}", name.namespace, name.name).into()
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
        let (objects, gone) = (BTreeMap::new(), FxHashMap::default());
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
        let key = key(&name);
        let is_same = self.objects.get(&key) == Some(&version);
        let Some(list) = &mut self.list else { return Ok(false) };
        list.seen.insert(key.clone(), version);
        list.changes.remove(&key);
        if !is_same {
            let object = received.object(self.resource, &name)?;
            list.changes.insert(key, Change::Apply(object));
        }
        Ok(!is_same)
    }

    /// Whether there is no object.
    pub(crate) fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// Whether the list that has come so far would take away all that is known.
    pub(crate) fn would_lose_all(&self) -> bool {
        !self.objects.is_empty() && self.list.as_ref().is_some_and(|list| list.seen.is_empty())
    }

    /// The list was whole, as of `version`: its changes, and the ends of what was not in it.
    pub(crate) fn end(&mut self, version: &str) -> Vec<Change> {
        let Some(List { seen, changes }) = self.list.take() else { return Vec::new() };
        let gone = self.objects.keys().filter(|key| !seen.contains_key(*key));
        let deletions: Vec<_> = gone.filter_map(|key| self.named(key)).map(Change::Delete).collect();
        // Anew, and so side by side: where they were made they lie between the parts of objects that are soon gone, whose
        // memory they would keep.
        self.objects = seen.iter().map(|(key, version)| (key.clone(), *version)).collect();
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
        let (key, version) = (key(&name), self.version(received));
        if self.is_old(&key, version) {
            return Ok(None);
        }
        self.gone.remove(&key);
        self.objects.insert(key, version);
        Ok(Some(Change::Apply(received.object(self.resource, &name)?)))
    }

    /// An object is gone; `None`: that is no news.
    pub(crate) fn deleted(&mut self, received: &Received) -> Option<Change> {
        let name = self.name(received)?;
        let key = key(&name);
        if let Some(list) = &mut self.list {
            // One that was known before the list is missing at its end.
            list.seen.remove(&key);
            list.changes.remove(&key);
            return None;
        }
        let version = self.version(received);
        // An object ends with a version of its own, but not in every server of the past.
        let is_last = self.objects.get(&key) == Some(&version);
        if !is_last && self.is_old(&key, version) {
            return None;
        }
        let was_known = self.objects.remove(&key).is_some();
        self.gone.insert(key, version);
        was_known.then_some(Change::Delete(name))
    }

    fn is_old(&self, key: &Key, version: Version) -> bool {
        let is_passed = version.order != 0 && version.order <= self.reached;
        is_passed || version.is_old(self.objects.get(key)) || version.is_old(self.gone.get(key))
    }

    fn version(&self, received: &Received) -> Version {
        Version { fingerprint: received.fingerprint(&self.hasher), order: order(&received.version) }
    }

    fn name(&self, received: &Received) -> Option<ObjectRef> {
        received.object_ref(self.resource)
    }

    fn named(&self, key: &Key) -> Option<ObjectRef> {
        let (namespace, name) = key.split_once('/')?;
        Some(ObjectRef::new(self.resource.model()?, namespace, name))
    }
}
