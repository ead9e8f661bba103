//! The containers of a Pod and the state of each, as its status tells it.

use crate::exec::Identity;
use crate::kubelet::environment::Environment;
use crate::process::Process;
use k8s_openapi::api::core::v1::{Container, Pod};
use k8s_openapi::jiff::Timestamp;
use std::cell::{Cell, RefCell};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;

/// All containers of a Pod.
pub(in crate::kubelet) struct ContainerSet {
    /// The node that the Pod is bound to.
    pub(in crate::kubelet) node: String,
    /// Where its volumes, roots and logs lie.
    pub(in crate::kubelet) directory: PathBuf,
    pub(in crate::kubelet) members: Vec<Rc<Member>>,
    /// Told of each change that the status shows.
    changed: Rc<watch::Sender<()>>,
}

/// One container.
pub(in crate::kubelet) struct Member {
    pub(in crate::kubelet) spec: Container,
    pub(in crate::kubelet) kind: Kind,
    pub(in crate::kubelet) now: RefCell<Now>,
    pub(in crate::kubelet) last: RefCell<Option<Ended>>,
    pub(in crate::kubelet) restarts: Cell<u32>,
    /// Of the first process, now or last; 0: it has never run.
    pub(in crate::kubelet) process: Cell<u32>,
    pub(in crate::kubelet) is_ready: Cell<bool>,
    pub(in crate::kubelet) is_started: Cell<bool>,
    /// It is to end and not to be started again.
    pub(in crate::kubelet) is_stopping: Cell<bool>,
    /// It has ended and will not be started again.
    pub(in crate::kubelet) is_done: Cell<bool>,
    pub(in crate::kubelet) running: RefCell<Option<Rc<Running>>>,
    changed: Rc<watch::Sender<()>>,
}

/// When a container runs and what for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::kubelet) enum Kind {
    /// To its end before the next one starts.
    Init,
    /// From its turn among the former until the main ones have ended.
    Sidecar,
    Main,
}

#[derive(Debug, Clone)]
pub(in crate::kubelet) enum Now {
    Waiting { reason: &'static str, message: String },
    Running { since: Timestamp },
    Ended(Ended),
}

#[derive(Debug, Clone)]
pub(in crate::kubelet) struct Ended {
    /// As a shell tells it: 128 and the signal where one killed it.
    pub(in crate::kubelet) code: i32,
    pub(in crate::kubelet) reason: &'static str,
    pub(in crate::kubelet) message: String,
    pub(in crate::kubelet) since: Timestamp,
    pub(in crate::kubelet) until: Timestamp,
    pub(in crate::kubelet) process: u32,
}

/// The first process of a container, and what others that join it need.
pub(in crate::kubelet) struct Running {
    pub(in crate::kubelet) process: Process,
    pub(in crate::kubelet) environment: Environment,
    pub(in crate::kubelet) identity: Identity,
}

impl ContainerSet {
    pub(in crate::kubelet) fn of(pod: &Pod, node: String, directory: PathBuf) -> Self {
        let changed = Rc::new(watch::Sender::default());
        let spec = pod.spec.as_ref();
        let first = spec.iter().flat_map(|spec| spec.init_containers.iter().flatten()).map(|container| {
            let stays = container.restart_policy.as_deref() == Some("Always");
            (container, if stays { Kind::Sidecar } else { Kind::Init })
        });
        let main = spec.iter().flat_map(|spec| &spec.containers).map(|container| (container, Kind::Main));
        let member = |(spec, kind): (&Container, Kind)| {
            Rc::new(Member {
                spec: spec.clone(),
                kind,
                now: RefCell::new(Now::Waiting { reason: "ContainerCreating", message: String::new() }),
                last: RefCell::default(),
                restarts: Cell::default(),
                process: Cell::default(),
                is_ready: Cell::default(),
                is_started: Cell::default(),
                is_stopping: Cell::default(),
                is_done: Cell::default(),
                running: RefCell::default(),
                changed: Rc::clone(&changed),
            })
        };
        Self { node, directory, members: first.chain(main).map(member).collect(), changed }
    }

    pub(in crate::kubelet) fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Rc<Member>> {
        self.members.iter().filter(move |member| member.kind == kind)
    }

    /// Nothing is to be started any more.
    pub(in crate::kubelet) fn stop(&self) {
        for member in &self.members {
            member.is_stopping.set(true);
        }
        self.tell();
    }

    pub(in crate::kubelet) fn tell(&self) {
        self.changed.send_replace(());
    }

    pub(in crate::kubelet) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Waits for a claim about the containers.
    pub(in crate::kubelet) async fn until(&self, claim: impl Fn() -> bool) {
        // The sender lives as long as this.
        drop(self.changes().wait_for(|()| claim()).await);
    }

    pub(in crate::kubelet) fn is_stopping(&self) -> bool {
        self.members.iter().all(|member| member.is_stopping.get())
    }
}

impl Member {
    /// The running process; `None` while there is none.
    pub(in crate::kubelet) fn running(&self) -> Option<Rc<Running>> {
        self.running.borrow().clone()
    }

    pub(in crate::kubelet) fn wait_for(&self, reason: &'static str, message: String) {
        self.now.replace(Now::Waiting { reason, message });
        self.tell();
    }

    pub(in crate::kubelet) fn start(&self, running: Rc<Running>) {
        self.process.set(running.process.id());
        self.running.replace(Some(running));
        self.now.replace(Now::Running { since: Timestamp::now() });
        self.tell();
    }

    pub(in crate::kubelet) fn end(&self, code: i32, reason: &'static str, message: String) {
        let until = Timestamp::now();
        let since = if let Now::Running { since } = *self.now.borrow() { since } else { until };
        let ended = Ended { code, reason, message, since, until, process: self.process.get() };
        self.running.replace(None);
        self.is_ready.set(false);
        self.is_started.set(false);
        self.last.replace(Some(ended.clone()));
        self.now.replace(Now::Ended(ended));
        self.tell();
    }

    pub(in crate::kubelet) fn set_ready(&self, is_ready: bool) {
        if self.is_ready.replace(is_ready) != is_ready {
            self.tell();
        }
    }

    pub(in crate::kubelet) fn tell(&self) {
        self.changed.send_replace(());
    }

    /// Sleeps, less long if it is to end.
    pub(in crate::kubelet) async fn pause(&self, time: Duration) {
        let mut changes = self.changed.subscribe();
        // Late or not, what follows is the same.
        drop(timeout(time, changes.wait_for(|()| self.is_stopping.get())).await);
    }

    /// How the last run ended; `None` while it runs or has never run.
    pub(in crate::kubelet) fn code(&self) -> Option<i32> {
        if let Now::Ended(ended) = &*self.now.borrow() { Some(ended.code) } else { None }
    }
}

/// As a shell tells it.
pub(in crate::kubelet) fn exit_code(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(255)
}
