//! Problems told where their owner looks: as Events on the object, which `kubectl describe` shows.
//! The replica that leads tells them; what the one before it has told already is not told again.

mod agenda;
mod bucket;
mod report;
#[cfg(test)]
mod tests;

use super::clients::Clients;
use super::fault::Fault;
use super::lease::Leadership;
use super::moment::at;
use super::outage::Outage;
use crate::Statuses;
use agenda::{Agenda, Outcome, Timing};
use bucket::Buckets;
use report::Reporter;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

/// For all requests of one Event.
const CALL: Duration = Duration::from_secs(15);
/// Statuses are compared no more often than this: that costs O(objects).
const STATUSES: Duration = Duration::from_millis(250);

const TIMING: Timing = Timing {
    lasting: Duration::from_secs(1),
    heartbeat: Duration::from_secs(30 * 60),
    repeat: Duration::from_secs(60),
    memory: Duration::from_secs(60 * 60),
    retry: Duration::from_secs(5),
};

/// What the writer of Events is told.
#[derive(Debug)]
pub struct EventInputs {
    /// The name of the installation, the same for all its replicas: each tells problems by itself, and leaves the Events
    /// of others alone. See [`super::Election::field_manager`].
    pub manager: Arc<str>,
    /// What became of each object.
    pub statuses: watch::Receiver<Arc<Statuses>>,
    /// Nothing is written by who does not lead.
    pub leadership: watch::Receiver<Leadership>,
}

/// Writes an Event for each problem that has lasted a second, but for notices, until `shutdown`. A problem that lasts,
/// or comes back, makes a series of its Event. In each namespace at most one a second and 25 at once, in all 5 a second
/// and 50 at once; those that wait are kept, up to 4,096 problems, and beyond that those of namespaces with fewer. `identity` is the name of this process, as in [`super::Election`].
pub async fn write_events(
    clients: Clients,
    identity: Arc<str>,
    inputs: EventInputs,
    shutdown: impl Future<Output = ()>,
) {
    let events = Events {
        agenda: Agenda::new(TIMING),
        buckets: Buckets::new(Instant::now()),
        reporter: Reporter::new(&clients, &identity, &inputs.manager),
        outage: Outage::new("write an Event"),
        rest_until: Instant::now(),
    };
    events.until(inputs, shutdown).await;
}

struct Events {
    agenda: Agenda,
    buckets: Buckets,
    reporter: Reporter,
    outage: Outage,
    /// The server asks to be left alone until then.
    rest_until: Instant,
}

impl Events {
    async fn until(self, inputs: EventInputs, shutdown: impl Future<Output = ()>) {
        tokio::select! {
            biased;
            () = shutdown => {}
            () = self.run(inputs) => {}
        }
    }

    async fn run(mut self, mut inputs: EventInputs) {
        let mut compare_at = Some(Instant::now());
        loop {
            let is_leading = *inputs.leadership.borrow_and_update() == Leadership::Leading;
            let tell_at = is_leading.then(|| self.agenda.next_at(&self.buckets)).flatten();
            let tell_at = tell_at.map(|due| due.max(self.rest_until));
            tokio::select! {
                changed = inputs.statuses.changed(), if compare_at.is_none() => match changed {
                    Ok(()) => compare_at = Some(Instant::now() + STATUSES),
                    Err(_) => return,
                },
                () = at(compare_at) => {
                    compare_at = None;
                    let statuses = inputs.statuses.borrow_and_update().clone();
                    self.agenda.translated(&statuses, Instant::now());
                }
                Ok(()) = inputs.leadership.changed() => {}
                () = at(tell_at) => self.tell().await,
            }
        }
    }

    /// Tells what is due first.
    async fn tell(&mut self) {
        let Some(report) = self.agenda.next(Instant::now(), &self.buckets) else { return };
        self.buckets.take(&report.object.namespace, Instant::now());
        let told = timeout(CALL, self.reporter.tell(&report)).await;
        let told = told.unwrap_or_else(|_| Err(Fault::other(format!("no answer within {CALL:?}"))));
        let object = &report.object;
        let outcome = match told {
            Ok(()) => Outcome::Told,
            // Soon its problems will be gone too; or it is its namespace that is.
            Err(Fault::NotFound(reason)) => {
                tracing::debug!(%object, %reason, "no Event");
                Outcome::NoObject
            }
            Err(fault @ Fault::Forbidden(_)) => {
                let reason = format_args!("{object}: {fault} (grant create and patch on events of events.k8s.io)");
                self.outage.failed(fault.sort(), &reason);
                Outcome::Failed(Duration::ZERO)
            }
            Err(fault) => {
                self.outage.failed(fault.sort(), &format_args!("{object}: {fault}"));
                self.rest_until = Instant::now() + fault.wait();
                Outcome::Failed(fault.wait())
            }
        };
        self.agenda.done(report.id, outcome, Instant::now());
        if !self.agenda.has_failures() {
            self.outage.over();
        }
    }
}
