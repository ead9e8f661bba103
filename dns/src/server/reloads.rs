//! Another plan for a server that serves: what listens and is still wanted goes on, with the questions in it.

use super::Sockets;
use super::bind::bind_beside;
use super::places::Places;
use crate::metrics::Metrics;
use crate::plan::Plan;
use crate::serving::{At, Forwarders, Serving};
use config::DnsCompatibility;
use std::io;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Changes what a server serves.
#[derive(Debug, Clone)]
pub struct Reloads {
    metrics: Arc<Metrics>,
    forwarders: Arc<Forwarders>,
    pub(super) places: Places,
    changes: mpsc::Sender<Change>,
}

/// What is to be served, with all that it names at hand.
#[derive(Debug)]
pub struct Prepared {
    serving: Arc<Serving>,
}

/// Something else to serve.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) serving: Arc<Serving>,
    /// For what was not served before.
    pub(super) sockets: Vec<Sockets>,
    pub(super) done: oneshot::Sender<io::Result<()>>,
}

impl Reloads {
    pub(super) fn new(metrics: Arc<Metrics>) -> (Self, mpsc::Receiver<Change>) {
        let (changes, receiver) = mpsc::channel(1);
        let (forwarders, places) = Default::default();
        (Self { metrics, forwarders, places, changes }, receiver)
    }

    /// Makes ready what a plan says; nothing changes yet.
    ///
    /// # Errors
    /// Something that the plan names cannot be had, such as a file.
    pub fn prepare(&self, plan: &Plan, compatibility: DnsCompatibility) -> io::Result<Prepared> {
        let shared = (&*self.forwarders, &*self.metrics);
        Ok(Prepared { serving: Arc::new(Serving::of(plan, compatibility, shared)?) })
    }

    /// Counts a plan that could not be taken.
    pub fn refused(&self) {
        self.metrics.reloads_refused.inc();
    }

    /// Binds those of `wanted` that are not in `served`, as [`bind_all`](super::bind_all) does.
    ///
    /// # Errors
    /// One of them is in use or not ours; the message names it, and none is bound.
    pub fn bind(&self, wanted: &[At], served: &[At], count: usize) -> io::Result<Vec<Sockets>> {
        bind_beside(wanted.iter().copied(), (served, &self.places.addresses()), count)
    }

    /// Serves that from now on: `sockets` are those of addresses that were not served before; those that are not served
    /// any more are closed once what came to them is answered. Ends when all of that is so; where the server has ended,
    /// nothing happens.
    ///
    /// # Errors
    /// A socket cannot be used, or there is no thread for it; the message names its address, and nothing has changed.
    pub async fn replace(&self, prepared: Prepared, sockets: Vec<Sockets>) -> io::Result<()> {
        let (done, is_done) = oneshot::channel();
        let change = Change { serving: prepared.serving, sockets, done };
        if self.changes.send(change).await.is_err() {
            return Ok(());
        }
        // Nothing comes where the server ends meanwhile.
        is_done.await.unwrap_or(Ok(()))
    }
}

impl Prepared {
    pub(super) fn into_serving(self) -> Arc<Serving> {
        self.serving
    }

    /// Every address that it listens at.
    pub fn addresses(&self) -> impl Iterator<Item = At> {
        self.serving.addresses()
    }
}
