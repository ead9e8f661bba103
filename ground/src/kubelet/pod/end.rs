//! How containers end: what they asked for before, SIGTERM, the grace period, SIGKILL.

use super::Work;
use super::container_set::{Kind, Member, Running};
use crate::kubelet::watch::Seen;
use crate::kubelet::{container, probe};
use rustix::process::Signal;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};

const USUAL_GRACE: Duration = Duration::from_secs(30);
/// What is left to a container whose hook took all of the time.
const LAST_GRACE: Duration = Duration::from_secs(2);

impl Work {
    /// Ends all containers within the Pod's time, sidecars last.
    pub(super) async fn end_all(self: &Rc<Self>) {
        self.set.stop();
        let mut mains = JoinSet::new();
        for member in self.set.members.iter().filter(|member| member.kind != Kind::Sidecar) {
            let (work, member) = (Rc::clone(self), Rc::clone(member));
            mains.spawn_local(async move { end_container(&work, &member, None).await });
        }
        while mains.join_next().await.is_some() {}
        for member in self.set.of_kind(Kind::Sidecar) {
            end_container(self, member, None).await;
        }
    }

    /// Kills what still runs, and waits for its end.
    pub(super) async fn kill_all(&self) {
        self.set.stop();
        for running in self.set.members.iter().filter_map(|member| member.running()) {
            running.process.signal(Signal::KILL);
            drop(running.process.exit().wait_for(Option::is_some).await);
        }
    }
}

/// Ends one container, within `grace` or else the time that the Pod's deletion leaves.
pub(in crate::kubelet) async fn end_container(work: &Work, member: &Member, grace: Option<Duration>) {
    let Some(running) = member.running() else { return };
    let mut exit = running.process.exit();
    let is_told = Cell::new(false);
    let orderly = async {
        before_stop(work, member, &running).await;
        is_told.set(true);
        running.process.signal(Signal::TERM);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        _ = exit.wait_for(Option::is_some) => return,
        () = orderly => {}
        () = time_is_over(work.seen.clone(), grace) => {}
    }
    if !is_told.get() {
        running.process.signal(Signal::TERM);
        if timeout(LAST_GRACE, exit.wait_for(Option::is_some)).await.is_ok() {
            return;
        }
    }
    running.process.signal(Signal::KILL);
    drop(exit.wait_for(Option::is_some).await);
}

/// A second deletion may shorten the time.
async fn time_is_over(mut seen: Seen, grace: Option<Duration>) {
    let since = Instant::now();
    loop {
        let pod = seen.borrow_and_update().clone();
        let of_deletion = pod.as_ref().and_then(|pod| pod.metadata.deletion_grace_period_seconds);
        let of_spec = pod.as_ref().and_then(|pod| pod.spec.as_ref()?.termination_grace_period_seconds);
        let seconds = of_deletion.or(of_spec).and_then(|seconds| u64::try_from(seconds).ok());
        let time = grace.unwrap_or_else(|| seconds.map_or(USUAL_GRACE, Duration::from_secs));
        match timeout_at(since + time, seen.changed()).await {
            Ok(Ok(())) => {}
            _ => return,
        }
    }
}

async fn before_stop(work: &Work, member: &Member, running: &Running) {
    let hook = member.spec.lifecycle.as_ref().and_then(|lifecycle| lifecycle.pre_stop.as_ref());
    let Some(hook) = hook else { return };
    // A hook that fails does not keep its container from ending.
    if let Some(exec) = &hook.exec {
        let folder = member.spec.working_dir.as_deref();
        drop(container::exec(running, folder, exec.command.as_deref().unwrap_or_default()).await);
    } else if let Some(get) = &hook.http_get {
        drop(probe::get(work, member, get).await);
    } else if let Some(pause) = &hook.sleep {
        sleep(Duration::from_secs(u64::try_from(pause.seconds).unwrap_or(0))).await;
    }
}
