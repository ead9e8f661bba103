//! Which objects of a source are of use: all that Tidegate reads, or those alone that names are made of.

use crate::{Batch, Change};
use config::Kind;

/// Which objects are of use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Selection {
    /// All kinds that Tidegate reads.
    #[default]
    Everything,
    /// Those that names are made of: where nothing but names is served, nothing else is asked for, and no Secret is read.
    Names,
}

impl Selection {
    /// Whether objects of the kind are of use.
    #[must_use]
    pub fn has(&self, kind: Kind) -> bool {
        match self {
            Self::Everything => true,
            Self::Names => {
                matches!(kind, Kind::Service | Kind::EndpointSlice | Kind::Endpoints | Kind::Namespace)
            }
        }
    }

    /// Leaves in a batch what is of use.
    pub(crate) fn select(&self, batch: &mut Batch) {
        batch.changes.retain(|change| match change {
            Change::Apply(object) => self.has(object.kind()),
            Change::Delete(object) | Change::Refuse(object, _) => self.has(object.kind),
        });
    }
}
