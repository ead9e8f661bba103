//! Objects of one kind by name; the name is kept once, in the object.

use config::{Kind, ObjectName, ObjectRef};
use rustc_hash::FxHashSet;
use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// What knows its name.
pub(crate) trait Named {
    /// Its kind.
    const KIND: Kind;

    /// Its name.
    fn object(&self) -> &Arc<ObjectRef>;
}

/// Objects of one kind.
#[derive(Debug)]
pub(crate) struct Kept<T>(FxHashSet<ByName<T>>);

#[derive(Debug)]
struct ByName<T>(Arc<T>);

impl<T: Named> Borrow<ObjectRef> for ByName<T> {
    fn borrow(&self) -> &ObjectRef {
        self.0.object()
    }
}

impl<T: Named> Hash for ByName<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.object().hash(state);
    }
}

impl<T: Named> PartialEq for ByName<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0.object() == other.0.object()
    }
}

impl<T: Named> Eq for ByName<T> {}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(FxHashSet::default())
    }
}

impl<T: Named> Kept<T> {
    pub(crate) fn find(&self, name: &ObjectName) -> Option<&Arc<T>> {
        let object = ObjectRef::new(T::KIND, Arc::clone(&name.namespace), Arc::clone(&name.name));
        self.0.get(&object).map(|kept| &kept.0)
    }

    /// The name of an object as it is kept.
    pub(crate) fn name(&self, name: &ObjectRef) -> Option<&Arc<ObjectRef>> {
        self.0.get(name).map(|kept| kept.0.object())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<T>> {
        self.0.iter().map(|kept| &kept.0)
    }

    /// Sets an object; what was there before.
    pub(crate) fn insert(&mut self, object: Arc<T>) -> Option<Arc<T>> {
        self.0.replace(ByName(object)).map(|kept| kept.0)
    }

    /// Removes an object; what was there before.
    pub(crate) fn remove(&mut self, name: &ObjectRef) -> Option<Arc<T>> {
        self.0.take(name).map(|kept| kept.0)
    }

    /// Sets an object, or removes it; `None` where that is no change.
    pub(crate) fn put(&mut self, name: &ObjectRef, object: Option<T>) -> Option<Replaced<T>>
    where
        T: PartialEq,
    {
        if self.0.get(name).map(|kept| &*kept.0) == object.as_ref() {
            return None;
        }
        let after = object.map(Arc::new);
        let before = match &after {
            Some(object) => self.insert(Arc::clone(object)),
            None => self.remove(name),
        };
        Some(Replaced { before, after })
    }
}

/// An object that came (no `before`), changed or went (no `after`).
#[derive(Debug)]
pub(crate) struct Replaced<T> {
    pub(crate) before: Option<Arc<T>>,
    pub(crate) after: Option<Arc<T>>,
}
