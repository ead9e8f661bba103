//! What is served at one moment. Questions that came together are answered from one state, which is looked up once.

use super::respond::Shared;
use crate::serving::Serving;
use arc_swap::Guard;
use config::Snapshot;
use std::sync::Arc;

/// The server as it is now. To be held for a moment: what is replaced meanwhile is kept as long.
#[derive(Debug)]
pub(super) struct Now {
    pub(super) serving: Guard<Arc<Serving>>,
    /// `None`: the names of the cluster are not known yet.
    pub(super) names: Option<Guard<Arc<Snapshot>>>,
}

impl Now {
    pub(super) fn of(shared: &Shared) -> Self {
        Self { serving: shared.serving.load(), names: shared.names.load() }
    }

    /// With what was served when a question came, and the names as they are now.
    pub(super) fn continued(shared: &Shared, serving: &Arc<Serving>) -> Self {
        Self { serving: Guard::from_inner(Arc::clone(serving)), names: shared.names.load() }
    }
}
