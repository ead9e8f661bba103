//! The one Lease in the API server: read, watched, written.

use super::super::clients::{Clients, WatchClient};
use super::super::fault::Fault;
use super::Election;
use futures_util::{Stream, StreamExt};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::{PostParams, WatchEvent, WatchParams};
use kube::core::Request;
use std::pin::Pin;

/// A watch is asked to end after this, in seconds.
const WATCH_LIFE: u32 = 290;

/// Where the Lease is.
pub(super) struct LeaseStore {
    clients: Clients,
    api: Api<Lease>,
    election: Election,
}

/// What the Lease is now.
pub(super) enum Seen {
    There(Box<Lease>),
    Gone,
}

/// What it becomes.
pub(super) struct LeaseWatch {
    events: Pin<Box<dyn Stream<Item = kube::Result<WatchEvent<Lease>>> + Send>>,
    _client: WatchClient,
}

impl LeaseStore {
    pub(super) fn new(clients: Clients, election: Election) -> Self {
        let api = Api::namespaced(clients.calls(), &election.namespace);
        Self { clients, api, election }
    }

    pub(super) async fn get(&self) -> Result<Option<Lease>, Fault> {
        self.api.get_opt(&self.election.name).await.map_err(|error| Fault::from(&error))
    }

    /// Watches it from now on. Beginning without a version the first event is what is there, so nothing is missed
    /// between [`Self::get`] and this.
    pub(super) async fn watch(&self) -> Result<LeaseWatch, Fault> {
        let client = self.clients.watch().map_err(Fault::other)?;
        let selector = format!("metadata.name={}", self.election.name);
        let parameters = WatchParams::default().fields(&selector).timeout(WATCH_LIFE);
        let path = format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases", self.election.namespace);
        let request = Request::new(path).watch(&parameters, "").map_err(|error| Fault::other(error.to_string()))?;
        let events = client.request_events(request).await.map_err(|error| Fault::from(&error))?;
        Ok(LeaseWatch { events: Box::pin(events), _client: client })
    }

    /// Creates it where it has no version, else replaces just that version; how it is then.
    pub(super) async fn write(&self, lease: Lease) -> Result<Lease, Fault> {
        let parameters = PostParams::default();
        let written = match lease.metadata.resource_version {
            None => self.api.create(&parameters, &lease).await,
            Some(_) => self.api.replace(&self.election.name, &parameters, &lease).await,
        };
        written.map_err(|error| Fault::from(&error))
    }
}

impl LeaseWatch {
    /// What is seen next; `None` once the watch has ended.
    pub(super) async fn next(&mut self) -> Result<Option<Seen>, Fault> {
        loop {
            return match self.events.next().await {
                Some(Ok(WatchEvent::Added(lease) | WatchEvent::Modified(lease))) => {
                    Ok(Some(Seen::There(Box::new(lease))))
                }
                Some(Ok(WatchEvent::Deleted(_))) => Ok(Some(Seen::Gone)),
                Some(Ok(WatchEvent::Bookmark(_))) => continue,
                Some(Ok(WatchEvent::Error(status))) => Err(Fault::from(&*status)),
                Some(Err(error)) => Err(Fault::from(&error)),
                None => Ok(None),
            };
        }
    }
}

impl From<Option<Lease>> for Seen {
    fn from(lease: Option<Lease>) -> Self {
        lease.map_or(Self::Gone, |lease| Self::There(Box::new(lease)))
    }
}

impl From<Seen> for Option<Lease> {
    fn from(seen: Seen) -> Self {
        match seen {
            Seen::There(lease) => Some(*lease),
            Seen::Gone => None,
        }
    }
}
