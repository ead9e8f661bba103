//! The series that a worker has met: found by their names, faster by where the names lie in memory, and guessed by the
//! host before the route is known.

#[cfg(test)]
mod tests;

use super::series::RouteSeries;
use config::{BackendKey, ObjectRef};
use foldhash::fast::RandomState;
use rustc_hash::{FxBuildHasher, FxHashMap};
use std::hash::BuildHasher;
use std::hint::black_box;
use std::sync::Arc;

/// Which series a request to a host is likely to count in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Guess(u64);

/// Each translation may bring new copies of names: where they lie is only tried first.
#[derive(Debug, Default)]
pub(super) struct KnownSeries {
    by_address: FxHashMap<u64, Arc<RouteSeries>>,
    by_name: FxHashMap<u64, Vec<Arc<RouteSeries>>>,
    /// What the last request to a host counted in, by a hash of the host that clients cannot foresee; two hosts that
    /// collide cost each other a wrong guess.
    by_host: FxHashMap<u64, Arc<RouteSeries>>,
    hosts: RandomState,
}

impl KnownSeries {
    /// Has the memory of what a request to `host` will likely count in fetched, without waiting for it. With many hosts
    /// all of it is a miss of the caches, and so are the host's rules: looked for right after this, they come meanwhile.
    pub(super) fn fetch(&self, host: &str) -> Guess {
        let guess = Guess(self.hosts.hash_one(host));
        if let Some(series) = self.by_host.get(&guess.0) {
            black_box(series.touch());
        }
        guess
    }

    /// With the room for them: where few are left, to empty what once was large would cost more than it is worth.
    pub(super) fn forget_dropped(&mut self) {
        (self.by_address, self.by_host) = (FxHashMap::default(), FxHashMap::default());
        self.by_name.retain(|_, series| {
            series.retain(|series| !series.is_dropped());
            !series.is_empty()
        });
        self.by_name.shrink_to_fit();
    }

    /// The series that was guessed right, or is found; else what `make` gives. O(1).
    pub(super) fn guess_or_find(
        &mut self,
        guess: Guess,
        route: Option<&Arc<ObjectRef>>,
        backend: Option<&Arc<BackendKey>>,
        make: impl FnOnce() -> Arc<RouteSeries>,
    ) -> Arc<RouteSeries> {
        if let Some(series) = self.by_host.get(&guess.0)
            && series.is_of(route, backend)
        {
            return Arc::clone(series);
        }
        let series = self.find(route, backend, make);
        // A wildcard has more hosts than anyone counts.
        if self.by_host.len() > 2 * self.by_name.len() {
            self.by_host.clear();
        }
        self.by_host.insert(guess.0, Arc::clone(&series));
        series
    }

    /// The series of that route and backend; else what `make` gives. O(1).
    pub(super) fn find(
        &mut self,
        route: Option<&Arc<ObjectRef>>,
        backend: Option<&Arc<BackendKey>>,
        make: impl FnOnce() -> Arc<RouteSeries>,
    ) -> Arc<RouteSeries> {
        let address = FxBuildHasher.hash_one(address(route, backend));
        if let Some(series) = self.by_address.get(&address)
            && series.is_of(route, backend)
        {
            return Arc::clone(series);
        }
        let same_hash = self.by_name.entry(FxBuildHasher.hash_one((route, backend))).or_default();
        let series = match same_hash.iter().find(|series| series.is_of(route, backend)) {
            Some(known) => Arc::clone(known),
            None => Arc::clone(same_hash.push_mut(make())),
        };
        // Addresses of names that are gone are not told apart from those in use.
        if self.by_address.len() > 2 * self.by_name.len() {
            self.by_address.clear();
        }
        self.by_address.insert(address, Arc::clone(&series));
        series
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.by_name.values().map(Vec::len).sum()
    }
}

/// Where the names lie.
fn address(route: Option<&Arc<ObjectRef>>, backend: Option<&Arc<BackendKey>>) -> [usize; 2] {
    [route.map_or(0, |route| Arc::as_ptr(route).addr()), backend.map_or(0, |backend| Arc::as_ptr(backend).addr())]
}
