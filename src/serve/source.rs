//! Where the objects of a run come from.

use super::writing::{Writers, Writing};
use controller::cluster::{self, Access, Clients, Following, Progress, RequestObserver, WantedSecrets, Watched};
use controller::source;
use controller::{Follower, NameObjects, Selection};
use dns::PlannedObjects;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::watch;

/// Where the objects come from.
#[derive(Debug)]
pub(crate) enum Source {
    /// Files and directories.
    Manifests {
        paths: Vec<PathBuf>,
        /// What of them is of use.
        selection: Selection,
    },
    /// Nothing: names of no cluster are served.
    Nothing,
    /// An API server.
    Cluster {
        access: Access,
        watched: Watched,
        /// What is written back to it; `None`: nothing.
        writing: Option<Writing>,
    },
}

/// A source that is followed.
#[derive(Debug)]
pub(super) struct Followed {
    pub(super) follower: Follower,
    /// `None`: there is nothing to wait for but the first snapshot.
    pub(super) progress: Option<watch::Receiver<Progress>>,
    /// `None`: there is nothing to write to.
    pub(super) writers: Option<Writers>,
}

impl Source {
    /// The objects that names are made of, as far as they are read; `None`: none are.
    pub(super) fn objects(&self) -> Option<PlannedObjects> {
        let selection = match self {
            Self::Nothing => return None,
            Self::Manifests { selection, .. } | Self::Cluster { watched: Watched { selection, .. }, .. } => selection,
        };
        Some(match selection.clone() {
            Selection::Everything { pods, imports, externals } => {
                PlannedObjects { pods, imports, externals, ..PlannedObjects::default() }
            }
            Selection::Names(NameObjects { pods, imports, externals, labels, namespace_labels }) => {
                PlannedObjects { pods, imports, externals, labels, namespace_labels }
            }
        })
    }

    /// Begins to follow it; an API server need not answer yet, and `observer` is told of each request to it.
    ///
    /// # Errors
    /// Where it cannot be followed at all; the message names what is wrong.
    pub(super) async fn follow(
        self,
        wanted: watch::Receiver<WantedSecrets>,
        observer: Arc<dyn RequestObserver>,
    ) -> anyhow::Result<Followed> {
        match self {
            Self::Manifests { paths, selection } => {
                let follower = source::follow(paths)?.selecting(selection);
                Ok(Followed { follower, progress: None, writers: None })
            }
            Self::Nothing => {
                tracing::info!("no block of the Corefile has `kubernetes`: no cluster is followed");
                Ok(Followed { follower: source::nothing(), progress: None, writers: None })
            }
            Self::Cluster { access, watched, writing } => {
                let clients = Clients::new(&access, observer).await?;
                tracing::info!(server = clients.server(), "following a cluster");
                let Following { source, progress, seen } = cluster::follow(clients.clone(), watched, wanted);
                let writers = writing.map(|writing| Writers { clients, seen, writing });
                Ok(Followed { follower: source, progress: Some(progress), writers })
            }
        }
    }
}
