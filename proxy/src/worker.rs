//! What one worker thread has to itself: pool, view, random numbers, budgets, its shard of the metrics.
//! Nothing here is shared with other workers but the snapshot, endpoint counters and the access log's queue.

use crate::ProxySettings;
use crate::access_log::AccessLog;
use crate::balance::Random;
use crate::budget::Budgets;
use crate::drain::WorkerDrain;
use crate::live::{Upstream, ViewCache};
use crate::metrics::{InFlight, WorkerMetrics};
use crate::pace::Pace;
use crate::pool::{ConnectError, Pool};
use crate::record::Record;
use crate::tls::HandshakeFailure;
use config::Target;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// Where a worker's random numbers begin and its counts and records go.
pub(crate) struct Observed {
    pub(crate) seed: u64,
    pub(crate) metrics: WorkerMetrics,
    pub(crate) access_log: AccessLog,
}

/// The state of a worker.
pub(crate) struct Worker {
    pub(crate) settings: Arc<ProxySettings>,
    pub(crate) views: ViewCache,
    pub(crate) pool: Rc<Pool>,
    pub(crate) random: Random,
    pub(crate) budgets: Budgets,
    pub(crate) drain: Rc<WorkerDrain>,
    pub(crate) metrics: WorkerMetrics,
    access_log: AccessLog,
    date: RefCell<(u64, Rc<str>)>,
    /// Lines about connections that failed by an endpoint's fault, and by our own.
    failures: [Pace; 2],
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").finish_non_exhaustive()
    }
}

impl Worker {
    /// `pool` counts with the same `metrics`.
    pub(crate) fn new(
        settings: Arc<ProxySettings>,
        views: ViewCache,
        pool: Pool,
        drain: Rc<WorkerDrain>,
        observed: Observed,
    ) -> Rc<Self> {
        Rc::new(Self {
            settings,
            views,
            pool: Rc::new(pool),
            random: Random::seeded(observed.seed),
            budgets: Budgets::default(),
            drain,
            metrics: observed.metrics,
            access_log: observed.access_log,
            date: RefCell::new((0, "".into())),
            failures: Default::default(),
        })
    }

    /// Whether records become log lines, which is all that their texts are for.
    pub(crate) fn is_logged(&self) -> bool {
        self.access_log.is_on()
    }

    /// The Date field of now, formatted once a second.
    pub(crate) fn date(&self) -> Rc<str> {
        let now = SystemTime::now();
        let second = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let mut date = self.date.borrow_mut();
        if date.0 != second {
            *date = (second, httpdate::fmt_http_date(now).into());
        }
        Rc::clone(&date.1)
    }

    /// A fresh request id: 16 random bytes in hexadecimal, as ingress-nginx makes them.
    pub(crate) fn request_id(&self) -> String {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let number = u128::from(self.random.number()) << 64 | u128::from(self.random.number());
        let mut id = String::with_capacity(32);
        let digits = number.to_be_bytes().into_iter().flat_map(|byte| [byte >> 4, byte & 15]);
        id.extend(digits.filter_map(|digit| HEX.get(usize::from(digit))).map(|&digit| char::from(digit)));
        id
    }

    /// When a client's connection that begins now is to take no more requests.
    pub(crate) fn old_at(&self) -> Instant {
        let age = self.settings.limits.connection_age;
        Instant::now() + age * 9 / 10 + self.random.time_below(age / 5)
    }

    /// One of several targets by weight; `None` where all weigh nothing.
    pub(crate) fn weighted<'t>(&self, targets: &'t [Target]) -> Option<&'t Target> {
        let total: u64 = targets.iter().map(|target| u64::from(target.weight)).sum();
        let mut drawn = self.random.below(usize::try_from(total).ok()?) as u64;
        targets.iter().filter(|target| target.weight > 0).find(|target| {
            let weight = u64::from(target.weight);
            let is_drawn = drawn < weight;
            drawn = drawn.saturating_sub(weight);
            is_drawn
        })
    }

    /// Counts and logs an exchange at its end.
    /// `running`: what counted the request while it ran, which knows its series.
    pub(crate) fn observe(&self, mut record: Box<Record>, running: Option<InFlight>) {
        match running {
            Some(running) => running.observe(&record),
            None => self.metrics.observe(&record),
        }
        if self.access_log.is_on() {
            record.time = SystemTime::now() - record.total;
            self.access_log.log(record);
        }
    }

    pub(crate) fn connect_failed(&self, upstream: &Upstream, error: &ConnectError) {
        let [theirs, ours] = &self.failures;
        let (endpoint, reason) = (upstream.address(), error as &dyn std::error::Error);
        let is_ours = error.failure.is_ours();
        match (is_ours, if is_ours { ours.line() } else { theirs.line() }) {
            (true, Some(left_out)) => {
                tracing::warn!(%endpoint, error = reason, left_out, "no connection can be made: short of resources");
            }
            (false, Some(left_out)) => tracing::warn!(%endpoint, error = reason, left_out, "connection failed"),
            (_, None) => tracing::debug!(%endpoint, error = reason, "connection failed"),
        }
    }

    pub(crate) fn handshake_failed(&self, peer: SocketAddr, failure: HandshakeFailure) {
        self.metrics.handshake_failed(failure);
        tracing::debug!(%peer, ?failure, "TLS handshake failed");
    }
}
