//! Where the objects of a run come from.

use super::writing::{Writers, Writing};
use controller::cluster::{self, Access, Clients, Following, Progress, RequestObserver, WantedSecrets, Watched};
use controller::source;
use controller::{Follower, Selection};
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
