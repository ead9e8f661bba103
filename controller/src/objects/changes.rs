//! What has changed since the last translation.

use config::{ObjectName, ObjectRef};
use rustc_hash::FxHashSet;
use std::sync::Arc;

/// Objects that came, changed or went.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// The objects themselves.
    pub(crate) objects: FxHashSet<Arc<ObjectRef>>,
    /// Services that changed themselves or in their endpoints.
    pub(crate) services: FxHashSet<ObjectName>,
}

impl Changes {
    pub(crate) fn is_empty(&self) -> bool {
        self.objects.is_empty() && self.services.is_empty()
    }
}
