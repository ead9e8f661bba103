//! One allocation for a text that many objects repeat: namespaces, Service names, field paths.

use config::PathMatch;
use rustc_hash::FxHashSet;
use std::sync::Arc;

/// Texts in use, each kept once.
#[derive(Debug, Default)]
pub(crate) struct Interner {
    texts: FxHashSet<Arc<str>>,
    /// How many texts the last sweep left.
    swept: usize,
}

impl Interner {
    /// The shared form of `text`. Amortised O(length).
    pub(crate) fn intern(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.texts.get(text) {
            return Arc::clone(known);
        }
        if self.texts.len() > 2 * self.swept + 1024 {
            self.texts.retain(|text| Arc::strong_count(text) > 1);
            self.swept = self.texts.len();
        }
        let text: Arc<str> = text.into();
        self.texts.insert(Arc::clone(&text));
        text
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
        assert!(interner.texts.len() < 2_000, "{} texts", interner.texts.len());
        assert!(Arc::ptr_eq(&kept, &interner.intern("kept")));
    }
}
