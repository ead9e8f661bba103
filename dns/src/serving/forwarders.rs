//! Those who ask others, kept from one plan to the next where both say the same of it, and the files are the same: with
//! their answers, what is known of upstreams, and connections.

use crate::cache::Cache;
use crate::file::Stamp;
use crate::forward::{Forwarder, Route};
use crate::metrics::Metrics;
use crate::plan::{self, Zone};
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Those that there are.
#[derive(Debug, Default)]
pub(crate) struct Forwarders(Mutex<HashMap<Said, Weak<Forwarder>>>);

/// What a block says of one, for which zones, and the states of the files that it names for TLS.
type Said = (String, Vec<Zone>, Vec<Option<Stamp>>);

impl Forwarders {
    /// The one of a block.
    ///
    /// # Errors
    /// Something that it names cannot be had, such as a file.
    pub(super) fn of(&self, block: &plan::Block, metrics: &Metrics) -> io::Result<Arc<Forwarder>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, forwarder| forwarder.strong_count() > 0);
        let files = block.forwards.iter().flat_map(|forward| forward.tls.files());
        let zones: Vec<_> = block.keys.iter().map(|key| key.zone.clone()).collect();
        let said = (block.forwarding(), zones.clone(), files.map(|path| Stamp::of(path).ok()).collect());
        if let Some(forwarder) = known.get(&said).and_then(Weak::upgrade) {
            return Ok(forwarder);
        }
        let route = |(nth, forward)| Route::new(forward, &zones).map_err(|error| block.not_had("forward", nth, error));
        let routes = block.forwards.iter().enumerate().map(route).collect::<io::Result<_>>()?;
        let cache = Cache::new(block.cache.clone(), &metrics.cache);
        let forwarder = Arc::new(Forwarder::new(routes, cache, metrics.forward.clone()));
        known.insert(said, Arc::downgrade(&forwarder));
        Ok(forwarder)
    }
}
