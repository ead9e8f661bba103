//! What has changed since the last translation.

use super::pods::PodChanges;
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
    /// ServiceImports that changed themselves or in their endpoints.
    pub(crate) imports: FxHashSet<ObjectName>,
    /// Addresses that Pods have got or lost. Nothing else is said of Pods.
    pub(crate) pods: PodChanges,
}

impl Changes {
    pub(crate) fn is_empty(&self) -> bool {
        self.objects.is_empty() && self.services.is_empty() && self.imports.is_empty() && self.pods.is_empty()
    }
}
