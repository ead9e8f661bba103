//! One list and watch without an end: what there is, then what changes, through every fault that there may be.
//! A relist is told as such, from its beginning to its end; what becomes of that is for `known.rs`.

mod pages;
#[cfg(test)]
mod tests;

use super::backoff::Backoff;
use super::clients::WatchClient;
use super::fault::Fault;
use super::received::Received;
use super::resource::Resource;
use super::scope::Scope;
use futures_util::{Stream, StreamExt};
use kube::core::WatchEvent;
use pages::Pages;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// The annotation of the bookmark that ends a streamed list (KEP-3157).
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";
/// A watch is asked to live between these, in seconds, so that many do not end at once.
const LIFE: (u32, u32) = (230, 290);
/// Nothing at all for this long, not even the end that was asked for: the watch is dead.
const SILENCE: Duration = Duration::from_secs(300);
/// The same while a list is sent.
const SILENCE_OF_LIST: Duration = Duration::from_secs(60);
/// A watch that lived this long was one.
const SHORT: Duration = Duration::from_secs(1);
/// After this long things go well.
const LONG: Duration = Duration::from_secs(10);

/// What is seen.
#[derive(Clone)]
pub(crate) enum Event {
    /// A list begins; one that had begun before has come to nothing.
    Begin,
    /// An object of the list.
    Listed(Received),
    /// The list was whole, as of that version: what was not in it is gone.
    End(Arc<str>),
    /// An object is new or changed.
    Applied(Received),
    /// An object is gone.
    Deleted(Received),
    /// All up to that version has been told.
    Reached(Arc<str>),
    /// The watch goes on.
    Heard,
    /// It does not, and is tried again.
    Fault(Fault),
    /// The server does not have the resource, which is looked for again.
    Absent(Fault),
}

/// Lists and watches a scope.
pub(crate) struct Reflector {
    client: WatchClient,
    scope: Scope,
    /// The resource in its newest version.
    newest: &'static Resource,
    /// Since which version of the resource none is there.
    missing: Option<&'static Resource>,
    phase: Phase,
    backoff: Backoff,
    wait: Option<Duration>,
    /// The server does not stream lists.
    by_pages: bool,
    /// A list was needed, and the watch after it has not shown to work yet.
    is_relisted: bool,
}

type Events = Pin<Box<dyn Stream<Item = kube::Result<WatchEvent<Received>>> + Send>>;

#[derive(Default)]
enum Phase {
    /// A list is next.
    #[default]
    Unlisted,
    Listing(Events),
    Paging(Pages),
    /// All is known up to a version; a watch from there is next.
    Listed(Arc<str>),
    Watching(Watch),
}

struct Watch {
    events: Events,
    version: Arc<str>,
    since: Instant,
    is_fruitful: bool,
}

/// What comes next, and what is told of it.
type Step = (Phase, Option<Event>);

impl Reflector {
    pub(crate) fn new(client: WatchClient, scope: Scope) -> Self {
        let (newest, missing) = (scope.resource, None);
        let (phase, backoff) = (Phase::default(), Backoff::default());
        Self { client, scope, newest, missing, phase, backoff, wait: None, by_pages: false, is_relisted: false }
    }

    /// The next that is seen. Dropped before its end, a list is next.
    pub(crate) async fn next(&mut self) -> Event {
        loop {
            if let Some(wait) = self.wait.take() {
                sleep(wait).await;
            }
            let (phase, event) = match mem::take(&mut self.phase) {
                Phase::Unlisted => self.list().await,
                Phase::Listing(events) => self.listing(events).await,
                Phase::Paging(pages) => self.paging(pages).await,
                Phase::Listed(version) => self.watch(version).await,
                Phase::Watching(watch) => self.watching(watch).await,
            };
            self.phase = phase;
            if let Some(event) = event {
                return event;
            }
        }
    }

    /// Lists once more, after a while: what the last list said cannot be.
    pub(crate) fn distrust(&mut self, fault: &Fault) {
        self.phase = Phase::Unlisted;
        self.wait = Some(self.backoff.after(fault, rand::random()));
    }

    async fn list(&mut self) -> Step {
        if self.by_pages {
            return (Phase::Paging(Pages::default()), Some(Event::Begin));
        }
        // Without a version the list is as new as the store itself: one of a server's cache may be older than what is
        // known here.
        match open(&self.client, &self.scope, "", true).await {
            Ok(events) => (Phase::Listing(events), Some(Event::Begin)),
            Err(fault) => self.failed_to_stream(fault),
        }
    }

    async fn listing(&mut self, mut events: Events) -> Step {
        match timeout(SILENCE_OF_LIST, events.next()).await {
            Ok(Some(Ok(WatchEvent::Added(object) | WatchEvent::Modified(object)))) => {
                (Phase::Listing(events), Some(Event::Listed(object)))
            }
            Ok(Some(Ok(WatchEvent::Deleted(object)))) => (Phase::Listing(events), Some(Event::Deleted(object))),
            Ok(Some(Ok(WatchEvent::Bookmark(bookmark)))) => {
                if !bookmark.metadata.annotations.contains_key(INITIAL_EVENTS_END) {
                    return self.failed_to_stream(Fault::Invalid("the list has no end".into()));
                }
                self.missing = None;
                let version = Arc::from(bookmark.metadata.resource_version);
                (Phase::Watching(Watch::new(events, Arc::clone(&version))), Some(Event::End(version)))
            }
            Ok(Some(Ok(WatchEvent::Error(status)))) => self.failed_to_stream(Fault::from(&*status)),
            Ok(Some(Err(error))) => self.failed(Phase::Unlisted, Fault::from(&error)),
            Ok(None) => self.failed(Phase::Unlisted, Fault::other("the connection ended within the list")),
            Err(_) => self.failed(Phase::Unlisted, Fault::other("nothing more came of the list")),
        }
    }

    async fn paging(&mut self, mut pages: Pages) -> Step {
        match pages.next(&self.client, &self.scope).await {
            Ok(Some(object)) => (Phase::Paging(pages), Some(Event::Listed(object))),
            Ok(None) => {
                self.missing = None;
                let version = pages.version();
                (Phase::Listed(Arc::clone(&version)), Some(Event::End(version)))
            }
            Err(fault) => self.failed(Phase::Unlisted, fault),
        }
    }

    async fn watch(&mut self, version: Arc<str>) -> Step {
        match open(&self.client, &self.scope, &version, false).await {
            Ok(events) => (Phase::Watching(Watch::new(events, version)), Some(Event::Heard)),
            Err(fault) => self.failed_to_watch(version, fault),
        }
    }

    async fn watching(&mut self, mut watch: Watch) -> Step {
        let next = timeout(SILENCE, watch.events.next()).await;
        if matches!(next, Ok(Some(Ok(ref event))) if !matches!(event, WatchEvent::Error(_))) {
            watch.is_fruitful = true;
        }
        let lived = watch.since.elapsed();
        if watch.is_fruitful || lived >= LONG {
            self.is_relisted = false;
            self.backoff.reset();
        }
        match next {
            Ok(Some(Ok(WatchEvent::Added(object) | WatchEvent::Modified(object)))) => {
                watch.version = Arc::clone(&object.version);
                (Phase::Watching(watch), Some(Event::Applied(object)))
            }
            Ok(Some(Ok(WatchEvent::Deleted(object)))) => {
                watch.version = Arc::clone(&object.version);
                (Phase::Watching(watch), Some(Event::Deleted(object)))
            }
            Ok(Some(Ok(WatchEvent::Bookmark(bookmark)))) => {
                watch.version = Arc::from(bookmark.metadata.resource_version);
                let reached = Event::Reached(Arc::clone(&watch.version));
                (Phase::Watching(watch), Some(reached))
            }
            Ok(Some(Ok(WatchEvent::Error(status)))) => self.failed_to_watch(watch.version, Fault::from(&*status)),
            Ok(Some(Err(error))) => self.failed_to_watch(watch.version, Fault::from(&error)),
            // The time that was asked for is over, or the server has let go.
            Ok(None) if watch.is_fruitful || lived >= SHORT => (Phase::Listed(watch.version), None),
            Ok(None) => self.failed_to_watch(watch.version, Fault::other("the watch ended as soon as it had begun")),
            Err(_) => self.failed_to_watch(watch.version, Fault::other("the watch said nothing any more")),
        }
    }

    /// A server that does not know streamed lists says so in several ways.
    fn failed_to_stream(&mut self, fault: Fault) -> Step {
        if let Fault::Invalid(reason) = &fault {
            tracing::debug!(scope = %self.scope, %reason, "lists are read by pages");
            self.by_pages = true;
            return (Phase::Unlisted, None);
        }
        self.failed(Phase::Unlisted, fault)
    }

    /// The version is too old after every restart of the server: a list is what helps, and at once.
    fn failed_to_watch(&mut self, version: Arc<str>, fault: Fault) -> Step {
        if !matches!(fault, Fault::Gone(_)) {
            return self.failed(Phase::Listed(version), fault);
        }
        if mem::replace(&mut self.is_relisted, true) {
            return self.failed(Phase::Unlisted, fault);
        }
        tracing::debug!(scope = %self.scope, reason = %fault, "listed again");
        (Phase::Unlisted, None)
    }

    fn failed(&mut self, phase: Phase, fault: Fault) -> Step {
        if matches!(fault, Fault::NotFound(_)) && self.scope.resource.is_custom {
            return self.not_there(fault);
        }
        self.wait = Some(self.backoff.after(&fault, rand::random()));
        (phase, Some(Event::Fault(fault)))
    }

    /// The server lacks this version of the resource: another one is next, and at once, until none is left.
    fn not_there(&mut self, fault: Fault) -> Step {
        let first = *self.missing.get_or_insert(self.scope.resource);
        self.scope.resource = self.scope.resource.older.unwrap_or(self.newest);
        if self.scope.resource != first {
            return (Phase::Unlisted, None);
        }
        self.missing = None;
        self.wait = Some(self.backoff.after_absence(rand::random()));
        (Phase::Unlisted, Some(Event::Absent(fault)))
    }
}

/// Begins a watch after `version`, or with what there is.
async fn open(client: &WatchClient, scope: &Scope, version: &str, lists: bool) -> Result<Events, Fault> {
    let timeout = rand::random_range(LIFE.0..=LIFE.1);
    let request = scope.request().watch(&scope.watch_params(timeout, lists), version);
    let request = request.map_err(|error| Fault::other(error.to_string()))?;
    let events = client.request_events::<Received>(request).await.map_err(|error| Fault::from(&error))?;
    Ok(Box::pin(events))
}

impl Watch {
    fn new(events: Events, version: Arc<str>) -> Self {
        Self { events, version, since: Instant::now(), is_fruitful: false }
    }
}
