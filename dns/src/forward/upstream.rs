//! One of those who are asked: where it is, how it is doing.

use super::chain::on_chain;
use super::circle::Circle;
use super::connections::Kept;
use super::exchange::{Fault, Trip};
use super::health::Checked;
use super::sound::is_sound;
use super::tls::Secure;
use super::{Ask, Outbound, health, is_unhelpful, relay};
use crate::metrics::UpstreamMetrics;
use crate::plan::forward::Forward;
use crate::wire::HEADER;
use hickory_proto::op::ResponseCode;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use tokio::runtime::Handle;
use tokio::time::Instant;
use tracing::{info, warn};

/// One address.
#[derive(Debug)]
pub(super) struct Upstream {
    pub(super) address: SocketAddr,
    /// How the route that it belongs to is configured.
    pub(super) forward: Arc<Forward>,
    /// `None`: it is asked without TLS.
    pub(super) secure: Option<Secure>,
    pub(super) kept: Arc<Kept>,
    pub(super) circle: Circle,
    /// Checks in a row that failed.
    failed_checks: AtomicU32,
    /// Whether a task looks whether it is well again.
    is_checked: AtomicBool,
    pub(super) metrics: UpstreamMetrics,
}

impl Upstream {
    /// `label`: what it is called in metrics.
    pub(super) fn new(
        (address, label): (SocketAddr, &str),
        secure: Option<Secure>,
        forward: &Arc<Forward>,
        outbound: &Outbound,
    ) -> Self {
        Self {
            address,
            forward: Arc::clone(forward),
            secure,
            kept: Kept::new(forward.connections),
            circle: Circle::default(),
            failed_checks: AtomicU32::new(0),
            is_checked: AtomicBool::new(false),
            metrics: outbound.metrics.of_upstream(label),
        }
    }

    /// Whether so many checks have failed that it is passed over.
    pub(super) fn is_down(&self) -> bool {
        let most = self.forward.max_fails;
        most > 0 && self.failed_checks.load(Ordering::Relaxed) >= most
    }

    /// Its answer, whole if it can be had, about nothing but the question.
    pub(super) async fn ask(&self, ask: &Ask, trip: &Trip<'_>) -> Result<Arc<[u8]>, Fault> {
        let since = Instant::now();
        let mut message = self.exchange(ask, trip).await?;
        if !is_sound(&message) {
            return Err(Fault::Malformed);
        }
        if let Some(question) = message.get_mut(HEADER..HEADER + ask.question().len()) {
            // However it was spelled on the way: records point at it.
            question.copy_from_slice(ask.question());
        }
        if !is_unhelpful(&message) {
            self.circle.answered();
        }
        self.metrics.answered(relay::code(&message).unwrap_or(ResponseCode::FormErr), since.elapsed());
        Ok(on_chain(message).ok_or(Fault::Malformed)?.into())
    }

    /// Begins to look whether it is well, if nobody does.
    pub(super) fn suspect(self: &Arc<Self>, outbound: &Arc<Outbound>) {
        if self.forward.max_fails == 0 || self.is_checked.swap(true, Ordering::Relaxed) {
            return;
        }
        let check = health::check(Checked::new(self), Arc::clone(outbound));
        outbound.checks.spawn(check, &Handle::current());
    }

    /// A check failed.
    pub(super) fn check_failed(&self, fault: &Fault) {
        self.metrics.failed_checks.inc();
        let failed = self.failed_checks.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if failed == self.forward.max_fails {
            warn!(upstream = %self.address, failed, error = %fault, "an upstream is down");
        }
    }

    /// It has answered a check, the last one.
    pub(super) fn recovered(&self) {
        if self.is_down() {
            info!(upstream = %self.address, "an upstream is well again");
        }
    }

    /// Nobody checks it any more.
    pub(super) fn end_checks(&self) {
        self.failed_checks.store(0, Ordering::Relaxed);
        self.is_checked.store(false, Ordering::Relaxed);
    }
}
