//! A Kubernetes API server as a source: the same batches as from manifests, and what is written back to it.
//! Only this module knows `kube`; it uses its configuration, credentials and requests, not its watcher.

mod access;
#[cfg(test)]
mod api_server;
mod backoff;
mod clients;
mod collect;
mod events;
mod fault;
mod known;
mod lease;
mod moment;
mod outage;
mod progress;
mod received;
mod reflector;
mod requests;
mod resource;
mod scope;
mod status;
mod token;

pub use access::{Access, AccessError};
pub use clients::Clients;
pub use collect::{Following, WantedSecrets, follow};
pub use events::{EventInputs, write_events};
pub use lease::{Election, Leadership, lead};
pub use progress::{Counts, Progress};
pub use requests::RequestObserver;
pub use scope::Watched;
pub use status::{
    Address, AddressError, PublishedAddresses, Seen, SeenIngress, StatusInputs, follow_addresses, seen, write_statuses,
};
