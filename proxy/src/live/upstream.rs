//! The live state of one endpoint address: its load and its health, the same for every backend and route that names it.

use crate::health::{FailureKind, Health, Moment, Origin, Standing};
use config::EndpointAddress;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::time::Instant;

/// How long from a wait in vain for the news that an endpoint has left nobody waits for it again.
const STAYS: Duration = Duration::from_secs(10);

/// One endpoint address; lives as long as a view, an exchange or a kept connection names it.
#[derive(Debug)]
pub struct Upstream {
    id: u32,
    address: EndpointAddress,
    origin: Origin,
    /// Backends of the newest view that name the address.
    named: AtomicU32,
    health: Health,
    in_flight: AtomicU32,
    last_pick: AtomicU64,
    /// Until when it is believed to stay.
    stays_until: AtomicU64,
}

impl Upstream {
    pub(super) fn new(id: u32, address: EndpointAddress, origin: Origin) -> Self {
        Self {
            id,
            address,
            origin,
            named: AtomicU32::new(0),
            health: Health::default(),
            in_flight: AtomicU32::new(0),
            last_pick: AtomicU64::new(0),
            stays_until: AtomicU64::new(0),
        }
    }

    /// A number that no other living one has.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> &EndpointAddress {
        &self.address
    }

    /// Whether the newest view names it; if not, no kept connection to it is used again.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.named.load(Relaxed) > 0
    }

    /// Exchanges that use it now, of all workers.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// Whether its own failures keep new exchanges away from it.
    #[must_use]
    pub fn is_ejected(&self, now: Instant) -> bool {
        !self.health.admits(self.origin.at(now))
    }

    /// Since when it fails, and where it takes no connections since when it does not; `None` if its last answer is newer
    /// than its last failure.
    #[must_use]
    pub fn failing_since(&self) -> Option<Instant> {
        self.health.failing_since().map(|moment| self.origin.instant(moment))
    }

    /// Whether it may leave soon, for all that is known: it is there, and nobody has just waited for its end in vain.
    pub(crate) fn may_leave(&self) -> bool {
        self.is_current() && self.stays_until.load(Relaxed) <= self.origin.at(Instant::now()).as_micros()
    }

    /// Notes that it has not left, though the news of it was waited for.
    pub(crate) fn note_stay(&self) {
        self.stays_until.store(self.origin.at(Instant::now() + STAYS).as_micros(), Relaxed);
    }

    pub(super) fn named_by_one_more(&self) {
        self.named.fetch_add(1, Relaxed);
    }

    pub(super) fn named_by_one_less(&self) {
        self.named.fetch_sub(1, Relaxed);
    }

    pub(crate) fn health(&self) -> &Health {
        &self.health
    }

    /// When it was picked last; 0: never.
    pub(crate) fn last_pick(&self) -> u64 {
        self.last_pick.load(Relaxed)
    }
}

/// The right to send one exchange to an endpoint; counts as load until it is dropped.
#[derive(Debug)]
pub struct Picked {
    upstream: Arc<Upstream>,
    /// `None` once a verdict was given.
    standing: Option<Standing>,
}

impl Picked {
    pub(crate) fn new(upstream: &Arc<Upstream>, standing: Standing, now: Moment) -> Self {
        upstream.in_flight.fetch_add(1, Relaxed);
        upstream.last_pick.store(now.as_micros(), Relaxed);
        Self { upstream: Arc::clone(upstream), standing: Some(standing) }
    }

    /// The endpoint.
    #[must_use]
    pub fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    /// The answer's head is here; only the first verdict counts.
    pub fn succeeded(&mut self) {
        let Some(standing) = self.standing.take() else { return };
        let upstream = &self.upstream;
        if upstream.health.succeeded(standing, || upstream.origin.at(Instant::now())) {
            tracing::info!(endpoint = %upstream.address, "endpoint answers again");
        }
    }

    /// The attempt failed and the endpoint is to blame; only the first verdict counts. `true` if that ejected it.
    pub fn failed(&mut self, kind: FailureKind) -> bool {
        let Some(standing) = self.standing.take() else { return false };
        let upstream = &self.upstream;
        let period = upstream.health.failed(kind, standing, upstream.origin.at(Instant::now()));
        if let Some(period) = period {
            tracing::warn!(endpoint = %upstream.address, last_failure = ?kind, ?period, "endpoint ejected");
        }
        period.is_some()
    }
}

impl Drop for Picked {
    fn drop(&mut self) {
        self.upstream.in_flight.fetch_sub(1, Relaxed);
        if let Some(standing) = self.standing {
            self.upstream.health.released(standing);
        }
    }
}
