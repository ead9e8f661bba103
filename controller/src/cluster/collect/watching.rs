//! One watch as a task: its events made into changes, and sent on.

use crate::cluster::clients::Clients;
use crate::cluster::fault::Fault;
use crate::cluster::known::Known;
use crate::cluster::received::{Received, Undecodable};
use crate::cluster::reflector::{Event, Reflector};
use crate::cluster::resource::INGRESSES;
use crate::cluster::scope::Scope;
use crate::cluster::status::{Seen, seen};
use crate::objects::secret_ref;
use crate::{Change, Printable};
use config::Kind;
use std::sync::Arc;
use tokio::sync::mpsc;

/// What a watch says.
pub(super) struct Said {
    /// The number of the task.
    pub(super) number: u64,
    pub(super) what: What,
}

pub(super) enum What {
    /// A list was whole, as of that `resourceVersion`, and this is other than before.
    Listed(Vec<Change>, Arc<str>),
    /// With the `resourceVersion` of the change, which the end of an object has too.
    Changed(Change, Arc<str>),
    /// It goes on.
    Heard,
    /// It does not, and is tried again.
    Fault(Fault),
    /// The server has no such resource: none of what there was is left.
    Absent(Vec<Change>),
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
    let mut watching = Watching { known, scope, seen, has_failed: false, is_refused: false, is_absent: false };
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
    /// Whether the server did not have the resource when it was last asked for.
    is_absent: bool,
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
                if std::mem::take(&mut self.is_absent) {
                    tracing::info!(scope = %self.scope, "the API server has it now");
                }
                let changes = self.known.end(&version);
                self.show_ends(&changes);
                return Some(What::Listed(self.readable(changes), version));
            }
            Event::Applied(received) => match self.known.applied(&received) {
                Ok(Some(change)) => {
                    self.show(&received);
                    return Some(What::Changed(change, received.version));
                }
                Ok(None) => {}
                Err(undecodable) => self.report(&undecodable),
            },
            Event::Deleted(received) => {
                if let Some(change) = self.known.deleted(&received) {
                    self.show_ends([&change]);
                    return Some(What::Changed(change, received.version));
                }
            }
            Event::Reached(version) => self.known.reach(&version),
            Event::Heard => {}
            Event::Fault(fault) => {
                self.has_failed = true;
                self.is_refused |= matches!(fault, Fault::Forbidden(_));
                return Some(What::Fault(fault));
            }
            Event::Absent(fault) => return Some(self.absent(fault)),
        }
        self.heard()
    }

    /// The server does not have the resource. Where there were objects that is believed the second time: a server that
    /// has just started may not have found its definition yet.
    fn absent(&mut self, fault: Fault) -> What {
        let (is_first, is_empty) = (!std::mem::replace(&mut self.is_absent, true), self.known.is_empty());
        if is_first && !is_empty {
            self.has_failed = true;
            return What::Fault(fault);
        }
        if is_first || !is_empty {
            tracing::info!(scope = %self.scope, "the API server does not have it, and is asked again now and then");
        }
        self.has_failed = false;
        self.known.begin();
        What::Absent(self.known.end(""))
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
        let (object, reason) = (Printable(object), Printable(message));
        tracing::warn!(%object, %reason, "cannot be read, and stays as it was");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::resource::SERVICE_IMPORTS;

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
        let mut watching =
            Watching { known, scope, seen: sender, has_failed: false, is_refused: false, is_absent: false };
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
    #[test]
    fn that_a_resource_is_not_there_is_believed_the_second_time_where_there_were_objects() {
        let (sender, _) = mpsc::unbounded_channel();
        let scope = Scope::of(SERVICE_IMPORTS);
        let known = Known::new(scope.resource);
        let mut watching =
            Watching { known, scope, seen: sender, has_failed: false, is_refused: false, is_absent: false };
        let absent = || Event::Absent(Fault::NotFound("404".into()));
        let deletions = |what: Option<What>| match what {
            Some(What::Absent(changes)) => Some(changes.len()),
            _ => None,
        };
        assert_eq!(deletions(watching.take(absent())), Some(0), "nothing was there");
        let listed = |watching: &mut Watching| {
            watching.take(Event::Begin);
            watching.take(Event::Listed(received(1)));
            let what = watching.take(Event::End("1".into()));
            assert!(matches!(what, Some(What::Listed(changes, _)) if changes.len() == 1));
        };
        listed(&mut watching);
        assert!(matches!(watching.take(absent()), Some(What::Fault(Fault::NotFound(_)))));
        assert_eq!(deletions(watching.take(absent())), Some(1));
        assert_eq!(deletions(watching.take(absent())), Some(0), "it is gone already");
        listed(&mut watching);
    }
}
