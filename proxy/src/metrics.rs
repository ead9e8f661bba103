//! What the proxy counts. Each worker adds to tallies of its own, without contention; a scrape sums them.
//! Series of a route begin with its first request and end with the route.

mod collect;
mod family;
mod known;
mod label;
mod process;
mod series;
#[cfg(test)]
mod tests;
mod worker;

pub(crate) use known::Guess;
pub(crate) use label::LabelValue;
#[cfg(test)]
pub(crate) use label::label_words;
pub use label::{ConnectionKind, RefusedFor, UpstreamProtocol, UpstreamState};
pub use process::ProcessCollector;
pub use worker::{Held, InFlight, Level, WorkerMetrics};

use config::{Action, BackendKey, ObjectRef, RoutingTable};
use family::Family;
use prometheus::Registry;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use rustc_hash::FxHashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use worker::Shard;

/// All that is counted, over all workers; cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    descriptions: Vec<Desc>,
    shards: Mutex<Vec<Arc<Shard>>>,
    access_log: Arc<AccessLogCounts>,
    is_draining: AtomicBool,
}

/// What became of the access log's lines; counted by every worker and the log's thread.
#[derive(Debug, Default)]
pub struct AccessLogCounts {
    /// Lines written.
    pub written: AtomicU64,
    /// Lines dropped since the queue was full or closed.
    pub queue_full: AtomicU64,
    /// Lines dropped since writing failed.
    pub write_failed: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Metrics {
    /// Registers every family of the proxy.
    ///
    /// # Errors
    /// [`prometheus::Error`] where one of the names is registered already.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let inner = Inner {
            descriptions: family::of_proxy().map(Family::description).collect::<Result<_, _>>()?,
            shards: Mutex::default(),
            access_log: Arc::default(),
            is_draining: AtomicBool::new(false),
        };
        let metrics = Self(Arc::new(inner));
        registry.register(Box::new(metrics.clone()))?;
        Ok(metrics)
    }

    /// The tallies of a new worker; to be called on its thread.
    #[must_use]
    pub fn worker(&self) -> WorkerMetrics {
        let shard = Arc::new(Shard::default());
        lock(&self.0.shards).push(Arc::clone(&shard));
        WorkerMetrics::new(shard)
    }

    /// Connections to endpoints at present, those in the making included; O(workers).
    #[must_use]
    pub fn upstream_connections(&self) -> u64 {
        let of_shard = |shard: &Arc<Shard>| -> u64 {
            UpstreamState::ALL.iter().map(|state| shard.upstream_connections.value(*state)).sum()
        };
        lock(&self.0.shards).iter().map(of_shard).sum()
    }

    /// What the access log counts into.
    #[must_use]
    pub fn access_log(&self) -> Arc<AccessLogCounts> {
        Arc::clone(&self.0.access_log)
    }

    /// Says whether the process is draining.
    pub fn set_draining(&self, is_draining: bool) {
        self.0.is_draining.store(is_draining, Relaxed);
    }

    /// Drops the series of routes and backends that the routing table lacks; O(rules) unless nothing was requested yet.
    pub fn retain_routed(&self, table: &RoutingTable) {
        if lock(&self.0.shards).iter().all(|shard| shard.is_without_routes()) {
            return;
        }
        let mut routed = FxHashSet::default();
        let hosts = table.listeners.iter().flat_map(|listener| listener.hosts.iter());
        for rule in hosts.flat_map(|host| host.rules()) {
            routed.insert((&*rule.origin.object, None));
            if let Action::Forward(split) = &rule.action {
                routed.extend(split.targets.iter().map(|target| (&*rule.origin.object, Some(&*target.backend))));
            }
        }
        self.retain(|route, backend| routed.contains(&(route, backend)));
    }

    /// Drops the series of routes and backends (`None`: answered without one) that `is_kept` refuses. A series that
    /// comes back starts at zero.
    pub fn retain(&self, is_kept: impl Fn(&ObjectRef, Option<&BackendKey>) -> bool) {
        for shard in lock(&self.0.shards).iter() {
            shard.retain(&is_kept);
        }
    }
}

impl Collector for Metrics {
    fn desc(&self) -> Vec<&Desc> {
        self.0.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let shards = lock(&self.0.shards).clone();
        collect::families(&shards, &self.0.access_log, self.0.is_draining.load(Relaxed))
    }
}
