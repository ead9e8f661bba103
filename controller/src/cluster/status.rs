//! What Ingresses say of where they are served: `status.loadBalancer.ingress`, written by the replica that leads.
//! What is there comes from the watch that reads Ingresses anyway; what should be there, from their statuses.

mod address;
mod addresses;
mod book;
mod seen;
#[cfg(test)]
mod tests;

pub use address::{Address, AddressError};
pub use addresses::{PublishedAddresses, follow_addresses};
pub use seen::{Seen, SeenIngress, seen};

use super::clients::Clients;
use super::fault::Fault;
use super::lease::Leadership;
use super::moment::at;
use super::outage::Outage;
use crate::Statuses;
use book::{Book, Write};
use config::ObjectRef;
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::{Api, Patch, PatchParams};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

/// For one write.
const CALL: Duration = Duration::from_secs(15);
/// How many writes are under way at most.
const WRITES: usize = 8;
/// Statuses are compared no more often than this: that costs O(objects).
const STATUSES: Duration = Duration::from_millis(50);

/// What the writer of statuses is told.
#[derive(Debug)]
pub struct StatusInputs {
    /// The owner of what is written, in `metadata.managedFields`: the same for all replicas, and another for each
    /// installation, which remove only their own addresses. See [`super::Election::field_manager`].
    pub manager: Arc<str>,
    /// Each Ingress as it comes to be seen, and those that are gone.
    pub seen: mpsc::UnboundedReceiver<Seen>,
    /// What became of each object. An Ingress without an entry is left alone: nothing is known of it yet.
    pub statuses: watch::Receiver<Arc<Statuses>>,
    /// Where Ingresses are served; `None`: not known yet, and nothing is written. Never empty.
    pub addresses: watch::Receiver<Option<Arc<[Address]>>>,
    /// Nothing is written by who does not lead.
    pub leadership: watch::Receiver<Leadership>,
}

/// Writes statuses until `shutdown`, or until nobody tells what is seen any more. At most one request for each Ingress
/// whose addresses are not what they should be; a write that fails is tried again after 1 s, doubling to 30 s.
pub async fn write_statuses(clients: Clients, inputs: StatusInputs, shutdown: impl Future<Output = ()>) {
    let writer = Writer {
        book: Book::new(Arc::clone(&inputs.manager)),
        clients,
        writes: JoinSet::new(),
        outage: Outage::new("write the status of an Ingress"),
        rest_until: Instant::now(),
    };
    tokio::select! {
        biased;
        () = pin!(shutdown) => {}
        () = writer.run(inputs) => {}
    }
}

struct Writer {
    book: Book,
    clients: Clients,
    writes: JoinSet<(Arc<ObjectRef>, Result<SeenIngress, Fault>)>,
    outage: Outage,
    /// The server asks to be left alone until then.
    rest_until: Instant,
}

impl Writer {
    async fn run(mut self, mut inputs: StatusInputs) {
        let mut statuses_at = Some(Instant::now());
        self.book.publish(inputs.addresses.borrow_and_update().clone(), Instant::now());
        loop {
            // All that is known comes before anything is written.
            while let Ok(seen) = inputs.seen.try_recv() {
                self.book.see(seen, Instant::now());
            }
            let is_leading = *inputs.leadership.borrow_and_update() == Leadership::Leading;
            let write_at = if is_leading { self.begin_writes(&inputs.manager) } else { None };
            tokio::select! {
                seen = inputs.seen.recv() => match seen {
                    Some(seen) => self.book.see(seen, Instant::now()),
                    None => return,
                },
                Ok(()) = inputs.statuses.changed(), if statuses_at.is_none() => {
                    statuses_at = Some(Instant::now() + STATUSES);
                }
                () = at(statuses_at) => {
                    statuses_at = None;
                    let statuses = inputs.statuses.borrow_and_update().clone();
                    self.book.translated(statuses, Instant::now());
                }
                Ok(()) = inputs.addresses.changed() => {
                    self.book.publish(inputs.addresses.borrow_and_update().clone(), Instant::now());
                }
                Ok(()) = inputs.leadership.changed() => {}
                Some(Ok((object, result))) = self.writes.join_next() => self.done(&object, result),
                () = at(write_at) => {}
            }
        }
    }

    /// Begins what is due; when the next is, as far as there is room for it.
    fn begin_writes(&mut self, manager: &Arc<str>) -> Option<Instant> {
        if self.rest_until > Instant::now() {
            return Some(self.rest_until);
        }
        while self.writes.len() < WRITES {
            let Some(write) = self.book.next(Instant::now()) else { return self.book.next_at() };
            let (client, manager) = (self.clients.calls(), Arc::clone(manager));
            self.writes.spawn(async move {
                let object = Arc::clone(&write.object);
                let result = timeout(CALL, send(client, &manager, write)).await;
                (object, result.unwrap_or_else(|_| Err(Fault::other(format!("no answer within {CALL:?}")))))
            });
        }
        None
    }

    fn done(&mut self, object: &Arc<ObjectRef>, result: Result<SeenIngress, Fault>) {
        let wait = result.as_ref().err().map_or(Duration::ZERO, Fault::wait);
        self.rest_until = self.rest_until.max(Instant::now() + wait);
        match &result {
            Ok(_) => tracing::debug!(%object, "status written"),
            Err(Fault::NotFound(_)) => tracing::debug!(%object, "gone before its status was written"),
            Err(Fault::Conflict(_)) => tracing::debug!(%object, "changed before its status was written"),
            Err(fault) => {
                let grant = match fault {
                    Fault::Forbidden(_) => {
                        " (grant patch on ingresses/status and get on ingresses of networking.k8s.io)"
                    }
                    _ => "",
                };
                self.outage.failed(fault.sort(), &format_args!("{object}: {fault}{grant}"));
            }
        }
        self.book.done(object, result, Instant::now());
        if !self.book.has_failures() {
            self.outage.over();
        }
    }
}

/// Writes; what is there then.
async fn send(client: kube::Client, manager: &str, write: Write) -> Result<SeenIngress, Fault> {
    let api: Api<Ingress> = Api::namespaced(client, &write.object.namespace);
    let version = match &write.version {
        Some(version) => version.clone(),
        None => {
            let found = seen(&api.get(&write.object.name).await.map_err(|error| Fault::from(&error))?);
            if !found.has_addresses_of(manager) {
                return Ok(found);
            }
            found.version
        }
    };
    let parameters = PatchParams { field_manager: Some(manager.to_owned()), ..PatchParams::default() };
    let written = api.patch_status(&write.object.name, &parameters, &Patch::Merge(write.patch(&version))).await;
    written.map(|ingress| seen(&ingress)).map_err(|error| Fault::from(&error))
}
