//! When no more is read from a connection: once its address is given up, or the server ends. Who had connected before and
//! shakes hands meanwhile has asked nothing yet, and may.

use super::MOMENT;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout_at};

/// How long after the handshake the first question is waited for: it comes with the handshake's last flight, or is one
/// round trip behind, and may be lost once.
const FIRST: Duration = Duration::from_secs(1);

/// Says when that is.
#[derive(Debug, Clone)]
pub(in crate::server) struct Stop {
    /// Closes when nothing else is waited for.
    stopped: watch::Receiver<()>,
    /// `None`: the connection is not secured.
    first: Option<First>,
}

/// The first question of a connection.
#[derive(Debug, Clone)]
struct First {
    until: Instant,
    has_come: Arc<Notify>,
}

impl Stop {
    pub(super) fn new(stopped: watch::Receiver<()>) -> Self {
        Self { stopped, first: None }
    }

    /// The same of a connection whose handshake is done now.
    pub(super) fn secured(self) -> Self {
        let first = First { until: Instant::now() + FIRST, has_come: Arc::default() };
        Self { first: Some(first), ..self }
    }

    /// The client has asked something. To be told once, before or after the end of all.
    pub(in crate::server) fn asked(&self) {
        if let Some(first) = &self.first {
            first.has_come.notify_one();
        }
    }

    /// Waits until no more is to be read.
    pub(in crate::server) async fn comes(&mut self) {
        // Nothing is ever sent.
        let _ = self.stopped.changed().await;
        if let Some(first) = &self.first {
            // Only now, so that connections have no place for it.
            Box::pin(first.comes()).await;
        }
    }

    /// Whether the address is given up already.
    pub(super) fn is_near(&self) -> bool {
        self.stopped.has_changed().is_err()
    }
}

impl First {
    /// Waits for it, and for what comes with it.
    async fn comes(&self) {
        if timeout_at(self.until, self.has_come.notified()).await.is_ok() {
            sleep(MOMENT).await;
        }
    }
}
