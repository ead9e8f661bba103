//! What is written back to a cluster, by the one replica that holds the Lease: addresses of Ingresses, and Events.

use super::control::Control;
use controller::cluster::{
    Clients, Election, EventInputs, Leadership, PublishedAddresses, Seen, StatusInputs, follow_addresses, lead,
    write_events, write_statuses,
};
use std::convert::Infallible;
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
        // Whoever writes has a clone: leadership is given up when all are gone.
        let (pen, pens) = mpsc::channel(1);
        let stopped = laid_down(control.writing_stopped(), pens);
        control
            .spawn_writing("leader election", lead_once_ready(control, clients.clone(), (election, sender), stopped));
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
            let following = follow_addresses(clients.clone(), published, sender, control.writing_stopped());
            control.spawn_writing("following addresses", following);
            let writing = write_statuses(clients.clone(), inputs, control.writing_stopped());
            control.spawn_writing("writing statuses", with_pen(pen.clone(), writing));
        }
        let inputs = EventInputs { manager, statuses: control.statuses(), leadership: leadership.clone() };
        let writing = write_events(clients, identity, inputs, control.writing_stopped());
        control.spawn_writing("writing Events", with_pen(pen, writing));
        leadership
    }
}

/// Does `work` with the pen in hand.
async fn with_pen(pen: mpsc::Sender<Infallible>, work: impl Future<Output = ()>) {
    work.await;
    drop(pen);
}

/// Ends after `stopped`, once nobody has a pen any more: until then another replica must not begin.
async fn laid_down(stopped: impl Future<Output = ()>, mut pens: mpsc::Receiver<Infallible>) {
    stopped.await;
    while pens.recv().await.is_some() {}
}

/// Stands for election once there is something to write about: a process that cannot begin would keep the Lease from
/// those that serve.
fn lead_once_ready(
    control: &Control,
    clients: Clients,
    (election, leadership): (Election, watch::Sender<Leadership>),
    stopped: impl Future<Output = ()> + Send + 'static,
) -> impl Future<Output = ()> + Send + 'static {
    let (ready, stopped_before) = (control.snapshots.clone().ready(), control.writing_stopped());
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

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn leadership_is_given_up_after_the_last_write() {
        let (pen, pens) = mpsc::channel(1);
        let (write_ends, writes) = oneshot::channel::<()>();
        let write = tokio::spawn(with_pen(pen, async { drop(writes.await) }));
        let (stop, stopped) = oneshot::channel::<()>();
        let mut given_up = tokio::spawn(laid_down(async { drop(stopped.await) }, pens));
        stop.send(()).expect("waited for");
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert!(!given_up.is_finished(), "a write is under way");
        write_ends.send(()).expect("waited for");
        (&mut given_up).await.expect("ended");
        write.await.expect("ended");
    }
}
