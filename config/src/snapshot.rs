//! Everything that a request or a question is answered from, at one moment.

use crate::{BackendTable, NameTable, RoutingTable};
use serde::Serialize;
use std::sync::Arc;

/// One consistent state of the world; parts whose inputs did not change are the same `Arc` as in the one before.
#[derive(Debug, Clone, Serialize)]
pub struct Snapshot {
    /// Rises by one at each publication; the first is 1.
    pub generation: u64,
    /// Listeners, hosts, rules and certificates.
    pub routing: Arc<RoutingTable>,
    /// Service ports and their endpoints.
    pub backends: Arc<BackendTable>,
    /// The cluster's DNS zone.
    pub names: Arc<NameTable>,
}
