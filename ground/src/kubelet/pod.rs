//! The life of one Pod: bound, prepared, run, ended, removed.

pub(super) mod container_set;
mod end;

pub(super) use end::end_container;

use super::environment::{Environment, Place};
use super::network::PodNetwork;
use super::root::Mount;
use super::status::Status;
use super::volumes::Volumes;
use super::watch::Seen;
use super::{Shared, bind, container};
use crate::namespace::NetworkNamespace;
use anyhow::Context as _;
use container_set::{ContainerSet, Kind};
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};
use kube::api::{DeleteParams, Preconditions};
use kube::{Api, ResourceExt as _};
use std::cell::{OnceCell, RefCell};
use std::fs;
use std::net::Ipv4Addr;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::sleep;

/// Before something is tried again that is missing.
const RETRY: Duration = Duration::from_millis(250);

/// A Pod that is bound to one of our nodes.
pub(super) struct Work {
    pub(super) shared: Rc<Shared>,
    /// As it was when it was bound.
    pub(super) pod: Rc<Pod>,
    pub(super) seen: Seen,
    pub(super) set: Rc<ContainerSet>,
    pub(super) status: Status,
    node: Ipv4Addr,
    address: OnceCell<Ipv4Addr>,
    network: RefCell<Option<PodNetwork>>,
    volumes: OnceCell<Volumes>,
}

/// Why a Pod is no longer run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reason {
    /// All of its containers have ended for good.
    Finished,
    /// Somebody deletes it.
    Deleted,
    /// It is gone already.
    Gone,
}

/// Runs a Pod from its binding to its removal; returns at once if it is not ours.
pub(super) async fn run(shared: Rc<Shared>, seen: Seen) {
    let Some(pod) = bound(&shared, seen.clone()).await else { return };
    let Some(work) = Work::new(shared, pod, seen) else { return };
    let work = Rc::new(work);
    let key = (work.pod.namespace().unwrap_or_default(), work.pod.name_any());
    work.shared.running.borrow_mut().insert(key.clone(), Rc::clone(&work.set));
    let mut writer = JoinSet::new();
    let of_writer = Rc::clone(&work);
    writer.spawn_local(async move { of_writer.status.keep(&of_writer).await });
    work.until_removed().await;
    drop(writer);
    let mut running = work.shared.running.borrow_mut();
    // Another Pod of the same name may be there already.
    if running.get(&key).is_some_and(|set| Rc::ptr_eq(set, &work.set)) {
        running.remove(&key);
    }
    // What cannot be removed goes with the ground.
    drop(fs::remove_dir_all(&work.set.directory));
}

/// Waits until the Pod has a node, and gives it one where it has none; `None`: it is gone, or it has ended before.
async fn bound(shared: &Shared, mut seen: Seen) -> Option<Rc<Pod>> {
    loop {
        let pod = seen.borrow_and_update().clone()?;
        let spec = pod.spec.as_ref()?;
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        let is_over = matches!(phase, Some("Succeeded" | "Failed"));
        if spec.node_name.is_some() {
            return (!is_over).then_some(pod);
        }
        let is_gated = spec.scheduling_gates.as_ref().is_some_and(|gates| !gates.is_empty());
        let is_ours = spec.scheduler_name.as_deref().is_none_or(|name| name == "default-scheduler");
        let is_bound = if is_ours && !is_gated { bind::bind(shared, &pod).await } else { Ok(()) };
        if let Err(error) = is_bound {
            shared.journal.write(&format!("{} is not bound: {error:#}", pod.name_any()));
            tokio::select! {
                () = sleep(RETRY) => {}
                changed = seen.changed() => changed.ok()?,
            }
        } else {
            seen.changed().await.ok()?;
        }
    }
}

impl Work {
    fn new(shared: Rc<Shared>, pod: Rc<Pod>, seen: Seen) -> Option<Self> {
        let name = pod.spec.as_ref()?.node_name.clone()?;
        let node = shared.nodes.iter().find(|node| node.name == name)?.address;
        let set = Rc::new(ContainerSet::of(&pod, name, shared.directory.join(pod.uid()?)));
        let status = Status::default();
        Some(Self {
            shared,
            pod,
            seen,
            set,
            status,
            node,
            address: OnceCell::new(),
            network: RefCell::default(),
            volumes: OnceCell::new(),
        })
    }

    pub(super) fn spec(&self) -> &PodSpec {
        static NONE: std::sync::LazyLock<PodSpec> = std::sync::LazyLock::new(PodSpec::default);
        self.pod.spec.as_ref().unwrap_or(&NONE)
    }

    /// The address of the Pod; `None` before it has one.
    pub(super) fn address(&self) -> Option<Ipv4Addr> {
        self.address.get().copied()
    }

    pub(super) fn place(&self) -> Place {
        Place { pod: self.address().unwrap_or(self.node), node: self.node }
    }

    /// Where its containers run.
    pub(super) fn network(&self) -> NetworkNamespace {
        let network = self.network.borrow();
        network.as_ref().map_or_else(|| self.shared.network.clone(), |own| own.namespace.clone())
    }

    pub(super) fn mounts(&self, container: &Container, environment: &Environment) -> anyhow::Result<Vec<Mount>> {
        self.volumes.get().context("the volumes are not there")?.mounts(container, environment)
    }

    async fn until_removed(self: &Rc<Self>) {
        let mut live = pin!(self.live());
        let mut reason = tokio::select! {
            () = &mut live => Reason::Finished,
            reason = self.unwanted() => reason,
        };
        if reason == Reason::Finished {
            self.leave_network().await;
            reason = self.unwanted().await;
        } else if reason == Reason::Deleted {
            tokio::select! {
                ((), ()) = async { tokio::join!(self.end_all(), live) } => {}
                () = self.gone() => reason = Reason::Gone,
            }
        }
        // A Pod that is gone already has no more time.
        self.kill_all().await;
        self.leave_network().await;
        if reason == Reason::Deleted {
            self.status.flush(self).await;
            self.remove().await;
        }
    }

    /// From its network to the end of its last container.
    async fn live(self: &Rc<Self>) {
        self.prepare().await;
        let Some(volumes) = self.volumes.get() else { return };
        tokio::select! {
            () = self.run_containers() => {}
            () = volumes.refresh(&self.shared, &self.pod) => {}
        }
    }

    async fn run_containers(self: &Rc<Self>) {
        let mut sidecars = JoinSet::new();
        let mut mains = JoinSet::new();
        let mut has_failed = false;
        for member in self.set.members.iter().filter(|member| member.kind != Kind::Main) {
            let task = container::run(Rc::clone(self), Rc::clone(member));
            if member.kind == Kind::Sidecar {
                sidecars.spawn_local(task);
                self.set.until(|| member.is_started.get() || member.is_done.get()).await;
            } else {
                task.await;
                has_failed = member.code() != Some(0);
            }
            if has_failed || self.set.is_stopping() {
                break;
            }
        }
        if !has_failed && !self.set.is_stopping() {
            self.status.is_initialized.set(true);
            for member in self.set.of_kind(Kind::Main) {
                mains.spawn_local(container::run(Rc::clone(self), Rc::clone(member)));
            }
        }
        while mains.join_next().await.is_some() {}
        for member in self.set.of_kind(Kind::Sidecar) {
            member.is_stopping.set(true);
            end_container(self, member, None).await;
        }
        self.set.tell();
        while sidecars.join_next().await.is_some() {}
        self.status.is_finished.set(true);
        self.set.tell();
    }

    /// Tries until everything is there that its containers need.
    async fn prepare(&self) {
        while !self.set.is_stopping() {
            let Err(error) = self.try_prepare().await else { return };
            for member in self.set.of_kind(Kind::Main) {
                member.wait_for("ContainerCreating", format!("{error:#}"));
            }
            tokio::select! {
                () = sleep(RETRY) => {}
                () = self.set.until(|| self.set.is_stopping()) => {}
            }
        }
    }

    async fn try_prepare(&self) -> anyhow::Result<()> {
        if self.address.get().is_none() {
            let address = if self.spec().host_network == Some(true) {
                self.node
            } else {
                let (ground, number) = (self.shared.network.clone(), self.shared.addresses.next());
                let network = spawn_blocking(move || PodNetwork::create(ground, number)).await??;
                let address = network.address;
                self.network.replace(Some(network));
                address
            };
            self.address.get_or_init(|| address);
            self.set.tell();
        }
        if self.volumes.get().is_none() {
            let volumes = Volumes::create(&self.shared, &self.pod, &self.set.directory.join("volumes")).await?;
            self.volumes.get_or_init(|| volumes);
        }
        Ok(())
    }

    async fn leave_network(&self) {
        let network = self.network.take();
        // It waits for another program; nobody else is to wait for that.
        drop(spawn_blocking(move || drop(network)).await);
    }

    /// Waits until somebody deletes it or it is gone.
    async fn unwanted(&self) -> Reason {
        let mut seen = self.seen.clone();
        let unwanted = |pod: &Option<Rc<Pod>>| pod.as_ref().is_none_or(|pod| pod.metadata.deletion_timestamp.is_some());
        // An error is the end of the kubelet.
        let pod = seen.wait_for(unwanted).await.ok().and_then(|pod| pod.clone());
        if pod.is_some() { Reason::Deleted } else { Reason::Gone }
    }

    async fn gone(&self) {
        drop(self.seen.clone().wait_for(Option::is_none).await);
    }

    /// Removes the object from the API server, as only the kubelet of a deleted Pod does.
    async fn remove(&self) {
        let pods = Api::<Pod>::namespaced(self.shared.client.clone(), &self.pod.namespace().unwrap_or_default());
        let uid = Some(Preconditions { uid: self.pod.uid(), resource_version: None });
        let params = DeleteParams { grace_period_seconds: Some(0), preconditions: uid, ..DeleteParams::default() };
        let deleted = async {
            // Whether it was this that removed it, or somebody else.
            while !is_settled(pods.delete(&self.pod.name_any(), &params).await) {
                sleep(RETRY).await;
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = deleted => {}
            () = self.gone() => {}
        }
    }
}

/// Whether asking again would be in vain: it was done, or there is no such object any more.
pub(super) fn is_settled<T>(outcome: kube::Result<T>) -> bool {
    match outcome {
        Ok(_) => true,
        Err(kube::Error::Api(status)) => status.code == 404 || status.code == 409,
        Err(_) => false,
    }
}
