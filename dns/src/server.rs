//! The server: sockets in, answers out. What is said is decided in `answer` and `forward`; this only carries it.

mod after;
mod bind;
mod clients;
mod datagrams;
mod errand;
mod every_address;
mod explainer;
mod guards;
mod https;
mod led;
mod listeners;
mod now;
mod padding;
mod places;
mod rate_limit;
mod reloads;
mod resolve;
mod respond;
mod settings;
mod tcp;
mod through;
mod trace;
mod transfer;
mod udp;
mod untaken;

use crate::metrics::Metrics;
use crate::plan::Plan;
use crate::serving::{Clocks, Serving};
use config::{DnsCompatibility, Subscriber};
use guards::Guards;
use listeners::Listeners;
use prometheus::Registry;
use reloads::Change;
use respond::Shared;
use std::future::Future;
use std::io;
use std::sync::Arc;
use tokio::sync::mpsc;

pub use bind::{Sockets, bind, bind_all};
pub use every_address::of_host;
pub use explainer::{Explained, Explainer, Found, Outcome, Step};
pub use guards::Protection;
pub use rate_limit::RateLimit;
pub use reloads::{Prepared, Reloads};
pub use settings::{Bounds, Settings};

/// What it begins with.
#[derive(Debug)]
enum What {
    /// One block at whatever address is given.
    Settings(Box<Settings>),
    Plan(Arc<Serving>),
}

/// A DNS server that is ready to serve.
#[derive(Debug)]
pub struct Server {
    names: Subscriber,
    what: What,
    metrics: Arc<Metrics>,
    bounds: Bounds,
    guards: Guards,
    reloads: Reloads,
    changes: mpsc::Receiver<Change>,
}

impl Server {
    /// Answers from what `names` has; until it has anything, names in the zone get SERVFAIL.
    ///
    /// # Errors
    /// The metrics are registered already.
    pub fn new(names: Subscriber, settings: Settings, registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Arc::new(Metrics::new(registry)?);
        let guards = Guards::of(settings.records.compatibility);
        let (reloads, changes) = Reloads::new(Arc::clone(&metrics));
        let (what, bounds) = (What::Settings(Box::new(settings)), Bounds::default());
        Ok(Self { names, what, metrics, bounds, guards, reloads, changes })
    }

    /// The same as a plan has it.
    ///
    /// # Errors
    /// Something that the plan names cannot be had, such as a file; or the metrics are registered already.
    pub fn with_plan(
        names: Subscriber,
        (plan, compatibility): (&Plan, DnsCompatibility),
        registry: &Registry,
    ) -> io::Result<Self> {
        let metrics = Arc::new(Metrics::new(registry).map_err(io::Error::other)?);
        let (reloads, changes) = Reloads::new(Arc::clone(&metrics));
        let what = What::Plan(reloads.prepare(plan, compatibility)?.into_serving());
        let (bounds, guards) = (Bounds::default(), Guards::of(compatibility));
        Ok(Self { names, what, metrics, bounds, guards, reloads, changes })
    }

    /// The same with other bounds than the usual ones.
    #[must_use]
    pub fn bounded(self, bounds: Bounds) -> Self {
        Self { bounds, ..self }
    }

    /// The same with this protection. Without it cookies are answered with a secret of this process alone; where CoreDNS's
    /// mistakes are kept, none are.
    ///
    /// # Errors
    /// A file cannot be read, or holds something else; the message names it.
    pub fn protected(mut self, protection: Protection) -> io::Result<Self> {
        self.guards.protect(protection, &self.metrics)?;
        Ok(self)
    }

    /// What changes it later.
    #[must_use]
    pub fn reloads(&self) -> Reloads {
        self.reloads.clone()
    }

    /// Serves until `shutdown` ends, then answers what was asked before that.
    ///
    /// # Errors
    /// A socket cannot be used by the runtime, or a listening task died.
    pub async fn serve(self, sockets: Vec<Sockets>, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let Self { names, what, metrics, bounds, guards, reloads, mut changes } = self;
        let serving = match what {
            What::Settings(settings) => {
                let at = sockets.iter().map(|sockets| sockets.at);
                let clocks = Clocks { idle: settings.tcp_idle, ..Clocks::default() };
                Arc::new(Serving::everywhere(settings.block(&metrics), at, (clocks, &metrics)))
            }
            What::Plan(serving) => serving,
        };
        let shared = Arc::new(Shared { guards, ..Shared::new(names, serving, metrics, bounds) });
        shared.serving.load().begin(&shared.names, &shared.runtime, &shared.metrics);
        let _watches = shared.guards.watch(&shared.runtime);
        let limits = tcp::Limits::new(bounds.connections);
        let mut listeners = Listeners::new(Arc::clone(&shared), limits, reloads.places.clone());
        for sockets in sockets {
            let ready = listeners.prepare(sockets)?;
            listeners.begin(ready);
        }
        tokio::pin!(shutdown);
        let ended = loop {
            tokio::select! {
                () = &mut shutdown => break Ok(()),
                Some(Change { serving, sockets, done }) = changes.recv() => {
                    // Whoever asked for it may have gone.
                    let _ = done.send(change(&shared, &mut listeners, &serving, sockets));
                }
                ended = listeners.ended() => break ended,
            }
        };
        listeners.stop().await?;
        shared.serving.load_full().abort().await;
        ended
    }
}

/// Serves `serving` from now on; where it is an error nothing has changed.
fn change(
    shared: &Arc<Shared>,
    listeners: &mut Listeners,
    serving: &Arc<Serving>,
    sockets: Vec<Sockets>,
) -> io::Result<()> {
    let ready: Vec<_> = sockets.into_iter().map(|sockets| listeners.prepare(sockets)).collect::<io::Result<_>>()?;
    // Who is asked at a new address must find it there.
    serving.begin(&shared.names, &shared.runtime, &shared.metrics);
    listeners.leave(&shared.serving.load_full(), serving);
    let before = shared.serving.swap(Arc::clone(serving));
    let next = Arc::clone(serving);
    shared.runtime.spawn(async move { before.stop(&next).await });
    ready.into_iter().for_each(|ready| listeners.begin(ready));
    listeners.places.hand_over(serving);
    listeners.keep(serving);
    Ok(())
}
