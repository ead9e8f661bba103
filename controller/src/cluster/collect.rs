//! All watches of a cluster made into one stream of batches: the first one when everything has been listed, Secrets
//! as objects come to name them, and what keeps any of it from going on.

#[cfg(test)]
mod tests;
mod told;
mod watching;

use super::clients::Clients;
use super::fault::Fault;
use super::progress::{Progress, State};
use super::scope::{Scope, Watched};
use super::status::Seen;
use crate::batch::Trigger;
use crate::objects::{SERVICE_NAME, makes_names, secret_ref};
use crate::{Batch, Change, Follower, Object};
use config::ObjectName;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, timeout_at};
use told::Told;
use watching::{Outlets, Said, What};

/// What watches have said and nobody has taken.
const QUEUE: usize = 64;
/// Changes in a batch, about.
const BATCH: usize = 1024;
/// How long the next of the first Secrets is waited for before everything else is served without those that are missing.
const SECRETS: Duration = Duration::from_secs(5);
/// The same for all of them: a server that lets one through now and then does not keep every host waiting for the last.
const ALL_SECRETS: Duration = Duration::from_secs(60);
/// Of an EndpointSlice: when what it is about happened (RFC 3339).
const TRIGGERED: &str = "endpoints.kubernetes.io/last-change-trigger-time";

/// The Secrets that are to be read; `None` as long as no object is known.
pub type WantedSecrets = Option<Arc<BTreeSet<ObjectName>>>;

/// A cluster that is followed.
#[derive(Debug)]
pub struct Following {
    /// Its objects. The first batch comes when all kinds have been listed.
    pub source: Follower,
    /// How far the watches are.
    pub progress: watch::Receiver<Progress>,
    /// What each Ingress says of where it is served; to be dropped where nobody writes that.
    pub seen: mpsc::UnboundedReceiver<Seen>,
}

/// Follows a cluster; `wanted` names the Secrets to be read. An API server that does not answer is tried again for ever.
#[must_use]
pub fn follow(clients: Clients, watched: Watched, wanted: watch::Receiver<WantedSecrets>) -> Following {
    let (batches, receiver) = mpsc::channel(1);
    let server = Arc::from(clients.server());
    let (progress, shown) = watch::channel(Progress { server, ..Progress::default() });
    let (sender, said) = mpsc::channel(QUEUE);
    let (seen_sender, seen) = mpsc::unbounded_channel();
    let outlets = Outlets { said: sender, seen: seen_sender };
    let (scopes, secrets, refused, told) = Default::default();
    let has_externals = watched.selection.has_externals();
    let collector = Collector {
        clients,
        watched,
        tasks: JoinSet::new(),
        outlets,
        said,
        scopes,
        secrets,
        refused,
        last: 0,
        wanted,
        progress,
        told,
        batches,
    };
    let mut tasks = JoinSet::new();
    tasks.spawn(collector.run());
    Following { source: Follower::of_cluster(receiver, tasks, has_externals), progress: shown, seen }
}

struct Collector {
    clients: Clients,
    watched: Watched,
    tasks: JoinSet<()>,
    outlets: Outlets,
    said: mpsc::Receiver<Said>,
    /// The scopes that are watched, by the number of their task.
    scopes: FxHashMap<u64, Scope>,
    secrets: FxHashMap<ObjectName, (u64, AbortHandle)>,
    /// Those that are wanted and may not be asked for.
    refused: BTreeSet<ObjectName>,
    last: u64,
    wanted: watch::Receiver<WantedSecrets>,
    progress: watch::Sender<Progress>,
    told: Told,
    batches: mpsc::Sender<Batch>,
}

impl Collector {
    async fn run(mut self) {
        for scope in self.watched.scopes() {
            self.begin(scope);
        }
        let mut first = Batch { is_partial: true, ..Batch::default() };
        while self.progress.borrow().is_waiting() {
            let Some(said) = hear(&mut self.said, &mut self.tasks).await else { return };
            self.take(said, &mut first);
        }
        // It is about what was there before.
        first.triggers.clear();
        if self.batches.send(first).await.is_err() || self.first_secrets().await.is_none() {
            return;
        }
        while let Some(batch) = self.next().await {
            if !batch.is_empty() && self.batches.send(batch).await.is_err() {
                return;
            }
        }
    }

    /// Ends the first batch with the Secrets that its objects name; `None`: nobody wants it.
    async fn first_secrets(&mut self) -> Option<()> {
        let mut batch = Batch::default();
        let wanted = self.wanted.wait_for(Option::is_some).await.ok()?.clone();
        self.want(wanted, &mut batch);
        let last = Instant::now() + ALL_SECRETS;
        let mut end = Instant::now() + SECRETS;
        while self.progress.borrow().is_waiting() {
            match timeout_at(end, hear(&mut self.said, &mut self.tasks)).await {
                Ok(said) => {
                    if self.take(said?, &mut batch) {
                        end = last.min(Instant::now() + SECRETS);
                    }
                }
                Err(_) => {
                    let waits = self.progress.borrow().waits().unwrap_or_default();
                    tracing::warn!(waits, "serving begins without some Secrets");
                    break;
                }
            }
        }
        batch.triggers.clear();
        self.batches.send(batch).await.ok()
    }

    /// What is said next, as one batch; `None`: nobody will say anything any more.
    async fn next(&mut self) -> Option<Batch> {
        let mut batch = Batch::default();
        tokio::select! {
            said = hear(&mut self.said, &mut self.tasks) => {
                self.take(said?, &mut batch);
                while batch.changes.len() < BATCH && let Ok(said) = self.said.try_recv() {
                    self.take(said, &mut batch);
                }
            }
            changed = self.wanted.changed() => {
                changed.ok()?;
                let wanted = self.wanted.borrow_and_update().clone();
                self.want(wanted, &mut batch);
            }
        }
        Some(batch)
    }

    /// Watches a scope from now on; the number of its task.
    fn begin(&mut self, scope: Scope) -> (u64, AbortHandle) {
        self.last += 1;
        self.scopes.insert(self.last, scope.clone());
        self.progress.send_modify(|progress| drop(progress.scopes.insert(scope.clone(), State::default())));
        let task = watching::watch(self.clients.clone(), scope, self.last, self.outlets.clone());
        (self.last, self.tasks.spawn(task))
    }

    /// Watches the Secrets that are wanted, and no other.
    fn want(&mut self, wanted: WantedSecrets, batch: &mut Batch) {
        let wanted = wanted.unwrap_or_default();
        let unwanted: Vec<_> = self.secrets.extract_if(|name, _| !wanted.contains(name)).collect();
        for (name, (number, task)) in unwanted {
            task.abort();
            if let Some(scope) = self.scopes.remove(&number) {
                self.progress.send_modify(|progress| drop(progress.scopes.remove(&scope)));
            }
            batch.changes.push(Change::Delete(secret_ref(&name)));
        }
        for name in self.refused.extract_if(.., |name| !wanted.contains(name)) {
            batch.changes.push(Change::Delete(secret_ref(&name)));
        }
        for name in wanted.iter() {
            if let Some(reason) = self.watched.secret_refusal(name) {
                if self.refused.insert(name.clone()) {
                    batch.changes.push(Change::Refuse(secret_ref(name), reason.into()));
                }
            } else if !self.secrets.contains_key(name) {
                let task = self.begin(Scope::secret(name));
                self.secrets.insert(name.clone(), task);
            }
        }
    }

    /// Takes what was said; whether something is no longer waited for.
    fn take(&mut self, Said { number, what }: Said, batch: &mut Batch) -> bool {
        // What a task said that was ended since is of no interest.
        let Some(scope) = self.scopes.get(&number) else { return false };
        let was_waited_for = self.progress.borrow().is_waiting_for(scope);
        match what {
            What::Listed(changes, version) => {
                if !changes.is_empty() {
                    reach(scope, &version, batch);
                }
                batch.changes.extend(changes);
                self.told.note(&self.progress, scope, |state| *state = State::listed());
                self.progress.send_modify(|progress| progress.count(scope).lists += 1);
            }
            What::Absent(changes) => {
                batch.changes.extend(changes);
                self.told.note(&self.progress, scope, |state| *state = State::listed());
            }
            What::Changed(change, version) => {
                reach(scope, &version, batch);
                batch.triggers.extend(trigger(&change));
                batch.changes.push(change);
            }
            What::Heard => self.told.note(&self.progress, scope, State::heard),
            What::Fault(fault) => {
                self.progress.send_modify(|progress| progress.count(scope).faults += 1);
                batch.changes.extend(refusal(scope, &fault));
                self.told.note(&self.progress, scope, |state| state.failed(scope, fault));
            }
        }
        was_waited_for && !self.progress.borrow().is_waiting_for(scope)
    }
}

/// Tells those that name a Secret that it may not be read, and what to grant.
fn refusal(scope: &Scope, fault: &Fault) -> Option<Change> {
    let Fault::Forbidden(reason) = fault else { return None };
    let secret = scope.as_secret()?;
    let reason = format!("grant get, list and watch on Secrets in {} ({reason})", secret.namespace);
    Some(Change::Refuse(secret_ref(&secret), reason.into()))
}

/// What a watch says next; `None`: one has ended by itself, and what it knew would never change again.
async fn hear(said: &mut mpsc::Receiver<Said>, tasks: &mut JoinSet<()>) -> Option<Said> {
    loop {
        tokio::select! {
            // Why it ended comes before its end.
            biased;
            said = said.recv() => return said,
            Some(ended) = tasks.join_next() => match ended {
                Err(error) if error.is_cancelled() => {}
                Err(error) => {
                    tracing::error!(%error, "a watch of the API server failed");
                    return None;
                }
                Ok(()) => return None,
            },
        }
    }
}

/// Notes a version of what names are made of. A list is as of a version that is newer than all ends before it, of which
/// its objects say nothing.
fn reach(scope: &Scope, version: &str, batch: &mut Batch) {
    if scope.resource.model().is_some_and(makes_names) {
        batch.reached = batch.reached.max(version.parse().unwrap_or_default());
    }
}

/// When what a change is about happened; `None`: it is not of endpoints, of no Service's, or does not say.
fn trigger(change: &Change) -> Option<Trigger> {
    let Change::Apply(Object::EndpointSlice(slice)) = change else { return None };
    let ObjectMeta { annotations, labels, namespace, .. } = &slice.metadata;
    let at = annotations.as_ref()?.get(TRIGGERED)?.parse().ok()?;
    let service = labels.as_ref()?.get(SERVICE_NAME)?;
    let service = ObjectName { namespace: namespace.as_deref()?.into(), name: service.as_str().into() };
    Some(Trigger { service, at })
}
