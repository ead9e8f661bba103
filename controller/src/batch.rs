//! What a source says at once: changes of objects, and what is newly wrong with the source itself.
//! Past it nothing tells a cluster from a directory.

use crate::Object;
use crate::source::Notice;
use config::ObjectRef;

/// A change of one object.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// It is new, or other than before.
    Apply(Object),
    /// It is gone.
    Delete(ObjectRef),
}

/// Changes that belong together: nothing is to be served with some of them and not the others.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    /// In the order in which they are to be applied.
    pub changes: Vec<Change>,
    /// What is newly wrong with the source, or no longer.
    pub notices: Vec<Notice>,
}

impl Batch {
    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.notices.is_empty()
    }

    pub(crate) fn extend(&mut self, later: Self) {
        self.changes.extend(later.changes);
        self.notices.extend(later.notices);
    }
}
