//! What is written back to a cluster, by the one replica that holds the Lease: addresses of Ingresses, and Events.

use super::control::Control;
use controller::cluster::{
    Clients, Election, EventInputs, Leadership, PublishedAddresses, Seen, StatusInputs, follow_addresses, lead,
    write_events, write_statuses,
};
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// What is written.
#[derive(Debug)]
pub(crate) struct Writing {
    /// The addresses of Ingresses; `None`: their status is left alone.
    pub(crate) published: Option<PublishedAddresses>,
    /// The name of the Lease.
    pub(crate) election_id: Arc<str>,
    /// The namespace of the Lease; `None`: the Pod's, or the kubeconfig's.
    pub(crate) election_namespace: Option<Arc<str>>,
}

/// What writing needs.
#[derive(Debug)]
pub(super) struct Writers {
    pub(super) clients: Clients,
    pub(super) seen: mpsc::UnboundedReceiver<Seen>,
    pub(super) writing: Writing,
}

impl Writers {
    /// Begins the tasks of it; whether this process leads.
    pub(super) fn begin(self, control: &mut Control) -> watch::Receiver<Leadership> {
        let Self { clients, seen, writing } = self;
        let Writing { published, election_id: name, election_namespace } = writing;
        let namespace = election_namespace.unwrap_or_else(|| clients.namespace().into());
        let identity = Election::identity(&pod());
        let election = Election { namespace, name, identity: Arc::clone(&identity) };
        let manager = election.field_manager();
        let (sender, leadership) = watch::channel(Leadership::Following);
        control.spawn("leader election", lead_once_ready(control, clients.clone(), election, sender));
        if let Some(published) = published {
            let (sender, addresses) = watch::channel(None);
            let statuses = control.statuses();
            let inputs = StatusInputs {
                manager: Arc::clone(&manager),
                seen,
                statuses,
                addresses,
                leadership: leadership.clone(),
            };
            control
                .spawn("following addresses", follow_addresses(clients.clone(), published, sender, control.stopped()));
            control.spawn("writing statuses", write_statuses(clients.clone(), inputs, control.stopped()));
        }
        let inputs = EventInputs { manager, statuses: control.statuses(), leadership: leadership.clone() };
        control.spawn("writing Events", write_events(clients, identity, inputs, control.stopped()));
        leadership
    }
}

/// Stands for election once there is something to write about: a process that cannot begin would keep the Lease from
/// those that serve.
fn lead_once_ready(
    control: &Control,
    clients: Clients,
    election: Election,
    leadership: watch::Sender<Leadership>,
) -> impl Future<Output = ()> + Send + 'static {
    let (ready, stopped, stopped_before) = (control.snapshots.clone().ready(), control.stopped(), control.stopped());
    async move {
        tokio::select! {
            biased;
            () = stopped_before => return,
            ready = ready => if ready.is_none() { return },
        }
        lead(clients, election, leadership, stopped).await;
    }
}

/// The name of the Pod, or of the machine.
fn pod() -> String {
    let variable = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
    variable("POD_NAME").or_else(|| variable("HOSTNAME")).unwrap_or_else(|| "tidegate".to_owned())
}
