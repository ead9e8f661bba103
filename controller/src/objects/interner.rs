//! One allocation for what many objects repeat: namespaces, Service names, ports, field paths, backends.

use super::{ServicePort, SlicePort};
use config::{BackendKey, PathMatch};
use rustc_hash::FxHashSet;
use std::hash::Hash;
use std::sync::Arc;

/// What is in use, each kept once.
#[derive(Debug, Default)]
pub(crate) struct Interner {
    texts: Shared<str>,
    backends: Shared<BackendKey>,
    service_ports: Shared<[ServicePort]>,
    slice_ports: Shared<[SlicePort]>,
}

/// Values of one type.
#[derive(Debug)]
pub(crate) struct Shared<T: ?Sized> {
    all: FxHashSet<Arc<T>>,
    /// How many the last sweep left.
    swept: usize,
}

impl<T: ?Sized> Default for Shared<T> {
    fn default() -> Self {
        Self { all: FxHashSet::default(), swept: 0 }
    }
}

impl<T: ?Sized + Eq + Hash> Shared<T> {
    /// The kept form of `value`, which `make` gives if it is new. Amortised O(its size).
    pub(crate) fn get(&mut self, value: &T, make: impl FnOnce() -> Arc<T>) -> Arc<T> {
        if let Some(known) = self.all.get(value) {
            return Arc::clone(known);
        }
        if self.all.len() > 2 * self.swept + 1024 {
            self.all.retain(|value| Arc::strong_count(value) > 1);
            self.swept = self.all.len();
        }
        let made = make();
        self.all.insert(Arc::clone(&made));
        made
    }
}

impl Interner {
    /// The shared form of `text`. Amortised O(length).
    pub(crate) fn intern(&mut self, text: &str) -> Arc<str> {
        self.texts.get(text, || text.into())
    }

    /// The shared form of a backend's key.
    pub(crate) fn intern_backend(&mut self, key: &BackendKey) -> Arc<BackendKey> {
        self.backends.get(key, || Arc::new(key.clone()))
    }

    /// The shared form of a Service's ports, which are those of many others.
    pub(crate) fn intern_service_ports(&mut self, ports: &[ServicePort]) -> Arc<[ServicePort]> {
        self.service_ports.get(ports, || ports.into())
    }

    /// The same for the ports of a slice.
    pub(crate) fn intern_slice_ports(&mut self, ports: &[SlicePort]) -> Arc<[SlicePort]> {
        self.slice_ports.get(ports, || ports.into())
    }

    /// The shared form of a path.
    pub(crate) fn intern_path(&mut self, path: &PathMatch) -> PathMatch {
        match path {
            PathMatch::Exact(path) => PathMatch::Exact(self.intern(path)),
            PathMatch::Prefix(path) => PathMatch::Prefix(self.intern(path)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_share_one_allocation() {
        let mut interner = Interner::default();
        assert!(Arc::ptr_eq(&interner.intern("shop"), &interner.intern(&String::from("shop"))));
    }

    #[test]
    fn texts_that_nobody_uses_are_forgotten() {
        let mut interner = Interner::default();
        let kept = interner.intern("kept");
        for number in 0..10_000 {
            interner.intern(&number.to_string());
        }
        assert!(interner.texts.all.len() < 2_000, "{} texts", interner.texts.all.len());
        assert!(Arc::ptr_eq(&kept, &interner.intern("kept")));
    }
}
