//! What a source says at once: changes of objects, and what is newly wrong with the source itself.
//! Past it nothing tells a cluster from a directory.

use crate::Object;
use crate::source::Notice;
use config::{Kind, ObjectName, ObjectRef};
use jiff::Timestamp;
use std::sync::Arc;

/// A change of one object.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// It is new, or other than before.
    Apply(Object),
    /// It is gone.
    Delete(ObjectRef),
    /// It may not be read, for a reason that is told; what is known of it stays.
    Refuse(ObjectRef, Arc<str>),
}

impl Change {
    /// The kind of the object.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Apply(object) => object.kind(),
            Self::Delete(object) | Self::Refuse(object, _) => object.kind,
        }
    }
}

/// Changes that belong together: nothing is to be served with some of them and not the others.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    /// In the order in which they are to be applied.
    pub changes: Vec<Change>,
    /// What is newly wrong with the source, or no longer.
    pub notices: Vec<Notice>,
    /// Whether more belongs to it, which depends on what these changes name: nothing is to be served yet.
    pub is_partial: bool,
    /// What triggered changes of endpoints in it, where the source says so.
    pub triggers: Vec<Trigger>,
    /// The newest `resourceVersion` of what names are made of that it tells of, ends of objects and whole lists included;
    /// 0: the source says none but those of objects.
    pub reached: u64,
}

/// What triggered a change of endpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trigger {
    /// The Service of the endpoints.
    pub service: ObjectName,
    /// When it happened, by the clock of the cluster's controllers.
    pub at: Timestamp,
}

impl Batch {
    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.notices.is_empty()
    }

    /// Drops external addresses of Services, where nobody wants to know them.
    pub(crate) fn drop_externals(&mut self) {
        for change in &mut self.changes {
            if let Change::Apply(object) = change {
                object.drop_externals();
            }
        }
    }

    pub(crate) fn extend(&mut self, later: Self) {
        self.changes.extend(later.changes);
        self.notices.extend(later.notices);
        self.is_partial = later.is_partial;
        self.triggers.extend(later.triggers);
        self.reached = self.reached.max(later.reached);
    }
}
