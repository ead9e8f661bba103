//! An API server for tests: it keeps objects, lists and watches them over a real socket, and fails as it is told.
//! What the real one answers was measured; only what clients of this crate ask for is here.

mod log;
mod path;
mod query;
mod read;
mod rules;
mod serve;
mod store;
#[cfg(test)]
mod tests;
mod watching;
mod write;

pub(crate) use log::Logged;
pub(crate) use path::Verb;
pub(crate) use rules::{Answer, Cut, Rule};
pub(crate) use store::Store;

use super::access::Access;
use super::clients::Clients;
use log::Log;
use rules::Rules;
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A claim that has not come true by then never will: the test fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running server; dropping it closes every connection.
pub(crate) struct ApiServer {
    shared: Arc<Shared>,
    address: SocketAddr,
    accepting: Mutex<Option<JoinHandle<()>>>,
    folder: tempfile::TempDir,
}

/// What all connections share.
struct Shared {
    store: watch::Sender<Store>,
    log: watch::Sender<Log>,
    rules: Mutex<Rules>,
    is_stopped: watch::Sender<bool>,
}

impl ApiServer {
    /// Starts an empty one on a free port of this machine.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let shared = Arc::new(Shared {
            store: watch::Sender::new(Store::default()),
            log: watch::Sender::new(Log::default()),
            rules: Mutex::default(),
            is_stopped: watch::Sender::new(false),
        });
        let accepting = Mutex::new(Some(tokio::spawn(serve::accept(listener, Arc::clone(&shared)))));
        Self { shared, address, accepting, folder: tempfile::tempdir().expect("a folder") }
    }

    /// How to reach it: a kubeconfig that lives as long as the server.
    pub(crate) fn access(&self) -> Access {
        self.access_as(&serde_json::json!({}))
    }

    /// The same for a user with such credentials.
    pub(crate) fn access_as(&self, user: &Value) -> Access {
        let path = self.folder.path().join("kubeconfig");
        let text = serde_json::json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": {"server": format!("http://{}", self.address)}}],
            "users": [{"name": "test", "user": user}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": "tidegate"}}],
            "current-context": "test",
        });
        std::fs::write(&path, text.to_string()).expect("writable");
        Access::Kubeconfig { paths: vec![path], context: None }
    }

    /// Clients of it, on connections of their own.
    pub(crate) async fn clients(&self) -> Clients {
        Clients::new(&self.access(), Arc::new(())).await.expect("a valid kubeconfig")
    }

    /// Creates or replaces an object as somebody else would; its resource version. The same again changes nothing.
    pub(crate) fn put(&self, object: Value) -> u64 {
        self.change(|store| store.put(object))
    }

    /// Deletes an object, if it is there; the namespace is empty for kinds that have none.
    pub(crate) fn delete(&self, kind: &str, namespace: &str, name: &str) {
        self.change(|store| drop(store.delete(kind, namespace, name)));
    }

    /// Forgets what was before now: who resumes from there is told that it is gone, and so are lists half read.
    pub(crate) fn compact(&self) {
        self.change(Store::compact);
    }

    /// Tells each watch that asked for bookmarks how far it is.
    pub(crate) fn bookmark(&self) {
        self.change(Store::bookmark);
    }

    /// The object as it is now.
    pub(crate) fn find(&self, kind: &str, namespace: &str, name: &str) -> Option<Value> {
        self.shared.store.borrow().find(kind, namespace, name).cloned()
    }

    /// The version of the last change.
    pub(crate) fn version(&self) -> u64 {
        self.shared.store.borrow().version()
    }

    /// From now on `rule` holds, until it is used up or `forgive` is called.
    pub(crate) fn rule(&self, rule: Rule) {
        self.shared.rules().push(rule);
    }

    /// Drops all rules.
    pub(crate) fn forgive(&self) {
        self.shared.rules().clear();
    }

    /// Accepts connections and says nothing more on any, as a process that was sent SIGSTOP.
    pub(crate) fn stop(&self) {
        self.shared.is_stopped.send_replace(true);
    }

    /// Goes on where [`Self::stop`] left off.
    pub(crate) fn resume(&self) {
        self.shared.is_stopped.send_replace(false);
    }

    /// Closes the listener and every connection: who connects is refused.
    pub(crate) async fn down(&self) {
        let accepting = self.accepting.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(accepting) = accepting {
            accepting.abort();
            // Ended means closed. It was cancelled, so there is no result.
            let _ = accepting.await;
        }
    }

    /// Listens again where it did before.
    pub(crate) async fn up(&self) {
        let listener = TcpListener::bind(self.address).await.expect("its own port");
        let accepting = tokio::spawn(serve::accept(listener, Arc::clone(&self.shared)));
        *self.accepting.lock().unwrap_or_else(PoisonError::into_inner) = Some(accepting);
    }

    /// Every request so far, as it came in.
    pub(crate) fn log(&self) -> Vec<Logged> {
        self.shared.log.borrow().requests.clone()
    }

    /// Forgets the requests so far.
    pub(crate) fn clear_log(&self) {
        self.shared.log.send_modify(|log| log.requests.clear());
    }

    /// Waits until the requests so far are as claimed.
    pub(crate) async fn until_log(&self, mut claim: impl FnMut(&[Logged]) -> bool) {
        until(self.shared.log.subscribe(), |log| claim(&log.requests)).await;
    }

    /// Waits until what is kept is as claimed.
    pub(crate) async fn until(&self, claim: impl FnMut(&Store) -> bool) {
        until(self.shared.store.subscribe(), claim).await;
    }

    fn change<T>(&self, change: impl FnOnce(&mut Store) -> T) -> T {
        self.shared.change(change)
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        if let Some(accepting) = self.accepting.get_mut().unwrap_or_else(PoisonError::into_inner) {
            accepting.abort();
        }
    }
}

impl Shared {
    fn change<T>(&self, change: impl FnOnce(&mut Store) -> T) -> T {
        let mut change = Some(change);
        let mut result = None;
        self.store.send_modify(|store| result = change.take().map(|change| change(store)));
        result.expect("called once")
    }

    fn rules(&self) -> std::sync::MutexGuard<'_, Rules> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits until what `receiver` has is as claimed; fails the test where it never is.
pub(crate) async fn until<T>(mut receiver: watch::Receiver<T>, claim: impl FnMut(&T) -> bool) {
    let is_true = tokio::time::timeout(PATIENCE, receiver.wait_for(claim)).await;
    assert!(is_true.is_ok(), "what the test waits for has not come within {PATIENCE:?}");
}
