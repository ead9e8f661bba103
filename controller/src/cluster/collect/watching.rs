//! One watch as a task: its events made into changes, and sent on.

use crate::Change;
use crate::cluster::clients::Clients;
use crate::cluster::fault::Fault;
use crate::cluster::known::Known;
use crate::cluster::received::{Received, Undecodable};
use crate::cluster::reflector::{Event, Reflector};
use crate::cluster::resource::INGRESSES;
use crate::cluster::scope::Scope;
use crate::cluster::status::{Seen, seen};
use crate::objects::secret_ref;
use config::Kind;
use tokio::sync::mpsc;

/// What a watch says.
pub(super) struct Said {
    /// The number of the task.
    pub(super) number: u64,
    pub(super) what: What,
}

pub(super) enum What {
    /// A list was whole, and this is other than before.
    Listed(Vec<Change>),
    Changed(Change),
    /// It goes on.
    Heard,
    /// It does not, and is tried again.
    Fault(Fault),
}

/// Watches a scope for ever, or until nobody listens.
pub(super) async fn watch(clients: Clients, scope: Scope, number: u64, outlets: Outlets) {
    let Outlets { said, seen } = outlets;
    let client = match clients.watch() {
        Ok(client) => client,
        Err(reason) => {
            let what = What::Fault(Fault::other(reason));
            return drop(said.send(Said { number, what }).await);
        }
    };
    let mut reflector = Reflector::new(client, scope.clone());
    let known = Known::new(scope.resource);
    let mut watching = Watching { known, scope, seen, has_failed: false, is_refused: false };
    loop {
        let mut event = reflector.next().await;
        if watching.doubts(&event) {
            let fault = Fault::other("the list is empty, which no cluster's is");
            reflector.distrust(&fault);
            event = Event::Fault(fault);
        }
        if let Some(what) = watching.take(event)
            && said.send(Said { number, what }).await.is_err()
        {
            return;
        }
    }
}

/// Where a watch says things.
#[derive(Clone)]
pub(super) struct Outlets {
    pub(super) said: mpsc::Sender<Said>,
    /// What Ingresses say of where they are served, for who writes that; nobody may listen.
    pub(super) seen: mpsc::UnboundedSender<Seen>,
}

struct Watching {
    scope: Scope,
    known: Known,
    seen: mpsc::UnboundedSender<Seen>,
    /// Whether the last thing that was said is a fault.
    has_failed: bool,
    is_refused: bool,
}

impl Watching {
    /// Whether a list cannot be believed: it would take away what every cluster has. A store that is being restored, or
    /// the server of another cluster, is no reason to end all traffic.
    fn doubts(&self, event: &Event) -> bool {
        matches!(event, Event::End(_)) && self.scope.is_never_empty() && self.known.would_lose_all()
    }

    fn take(&mut self, event: Event) -> Option<What> {
        match event {
            Event::Begin => {
                self.known.begin();
                return None;
            }
            Event::Listed(received) => {
                match self.known.listed(&received) {
                    Ok(true) => self.show(&received),
                    Ok(false) => {}
                    Err(undecodable) => self.report(&undecodable),
                }
                return None;
            }
            Event::End(version) => {
                self.has_failed = false;
                let changes = self.known.end(&version);
                self.show_ends(&changes);
                return Some(What::Listed(self.readable(changes)));
            }
            Event::Applied(received) => match self.known.applied(&received) {
                Ok(Some(change)) => {
                    self.show(&received);
                    return Some(What::Changed(change));
                }
                Ok(None) => {}
                Err(undecodable) => self.report(&undecodable),
            },
            Event::Deleted(received) => {
                if let Some(change) = self.known.deleted(&received) {
                    self.show_ends([&change]);
                    return Some(What::Changed(change));
                }
            }
            Event::Reached(version) => self.known.reach(&version),
            Event::Heard => {}
            Event::Fault(fault) => {
                self.has_failed = true;
                self.is_refused |= matches!(fault, Fault::Forbidden(_));
                return Some(What::Fault(fault));
            }
        }
        self.heard()
    }

    /// Tells what an Ingress says of where it is served, which nothing keeps. Nobody listens where nothing is written.
    fn show(&self, received: &Received) {
        if self.scope.resource == INGRESSES
            && !self.seen.is_closed()
            && let Ok(ingress) = received.read()
        {
            let _ = self.seen.send(Seen::Ingress(seen(&ingress)));
        }
    }

    fn show_ends<'c>(&self, changes: impl IntoIterator<Item = &'c Change>) {
        for change in changes {
            if let Change::Delete(object) = change
                && object.kind == Kind::Ingress
            {
                // A watch of what has certain labels says that an object is deleted when it has them no more.
                let seen = if self.scope.labels.is_some() { Seen::Left } else { Seen::Gone };
                let _ = self.seen.send(seen(object.clone()));
            }
        }
    }

    /// That it goes on, where that is news.
    fn heard(&mut self) -> Option<What> {
        std::mem::take(&mut self.has_failed).then_some(What::Heard)
    }

    /// A Secret that could not be read, and now turns out not to exist, is no longer one that may not be read.
    fn readable(&mut self, mut changes: Vec<Change>) -> Vec<Change> {
        if std::mem::take(&mut self.is_refused)
            && changes.is_empty()
            && let Some(secret) = self.scope.as_secret()
        {
            changes.push(Change::Delete(secret_ref(&secret)));
        }
        changes
    }

    fn report(&self, Undecodable { object, message }: &Undecodable) {
        tracing::warn!(%object, message, "cannot be read, and stays as it was");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn received(version: u64) -> Received {
        let text = format!(
            r#"{{"metadata":{{"name":"web","namespace":"shop","uid":"u","resourceVersion":"{version}"}},"spec":{{}}}}"#
        );
        serde_json::from_str(&text).expect("an Ingress")
    }

    /// What is seen of an Ingress that the watch no longer has, by an event and by a list.
    fn ends(labels: Option<&str>) -> Vec<Seen> {
        let (sender, mut seen) = mpsc::unbounded_channel();
        let scope = Scope { labels: labels.map(Arc::from), ..Scope::of(INGRESSES) };
        let known = Known::new(scope.resource);
        let mut watching = Watching { known, scope, seen: sender, has_failed: false, is_refused: false };
        watching.take(Event::Applied(received(1)));
        watching.take(Event::Deleted(received(2)));
        watching.take(Event::Applied(received(3)));
        watching.take(Event::Begin);
        watching.take(Event::End("4".into()));
        std::iter::from_fn(|| seen.try_recv().ok()).filter(|seen| !matches!(seen, Seen::Ingress(_))).collect()
    }

    #[test]
    fn what_a_selector_leaves_out_may_still_be_there() {
        let object = config::ObjectRef::new(Kind::Ingress, "shop", "web");
        assert_eq!(ends(None), [Seen::Gone(object.clone()), Seen::Gone(object.clone())]);
        assert_eq!(ends(Some("team=a")), [Seen::Left(object.clone()), Seen::Left(object)]);
    }
}
