//! Follows all Pods and gives each one a task of its own, which hears of every change.

use super::{Shared, pod};
use futures_util::TryStreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::{Api, ResourceExt as _};
use std::collections::{HashMap, HashSet};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::spawn_local;
use tokio::time::sleep;

/// After a failure of the API server.
const PAUSE: Duration = Duration::from_millis(200);
const WATCH_SECONDS: u32 = 290;

/// What a Pod's task sees of it; `None`: it is gone.
pub(super) type Seen = watch::Receiver<Option<Rc<Pod>>>;

type Tasks = HashMap<String, watch::Sender<Option<Rc<Pod>>>>;

/// Runs for ever; while the API server is away, Pods go on as they are.
pub(super) async fn follow_pods(shared: &Rc<Shared>) {
    let mut tasks = Tasks::new();
    loop {
        // A list is asked for again after any failure, so which one it was does not matter.
        if let Err(error) = follow(shared, &mut tasks).await {
            shared.journal.write(&format!("the Pods cannot be followed: {error}"));
            sleep(PAUSE).await;
        }
    }
}

async fn follow(shared: &Rc<Shared>, tasks: &mut Tasks) -> kube::Result<()> {
    let pods = Api::<Pod>::all(shared.client.clone());
    let list = pods.list(&ListParams::default()).await?;
    let mut version = list.metadata.resource_version.unwrap_or_default();
    let there: HashSet<String> = list.items.iter().filter_map(kube::ResourceExt::uid).collect();
    for pod in list.items {
        see(shared, tasks, pod);
    }
    tasks.retain(|uid, task| there.contains(uid) || gone(task));
    loop {
        let stream = pods.watch(&WatchParams::default().timeout(WATCH_SECONDS), &version).await?;
        let mut stream = pin!(stream);
        while let Some(event) = stream.try_next().await? {
            match event {
                WatchEvent::Added(pod) | WatchEvent::Modified(pod) => {
                    pod.resource_version().unwrap_or_default().clone_into(&mut version);
                    see(shared, tasks, pod);
                }
                WatchEvent::Deleted(pod) => {
                    pod.resource_version().unwrap_or_default().clone_into(&mut version);
                    if let Some(task) = pod.uid().and_then(|uid| tasks.remove(&uid)) {
                        gone(&task);
                    }
                }
                WatchEvent::Bookmark(mark) => version = mark.metadata.resource_version,
                // The version is too old, say: a list tells what has happened.
                WatchEvent::Error(_) => return Ok(()),
            }
        }
    }
}

fn see(shared: &Rc<Shared>, tasks: &mut Tasks, pod: Pod) {
    let Some(uid) = pod.uid() else { return };
    let pod = Some(Rc::new(pod));
    if let Some(task) = tasks.get(&uid) {
        task.send_replace(pod);
    } else {
        let (task, seen) = watch::channel(pod);
        tasks.insert(uid, task);
        spawn_local(pod::run(Rc::clone(shared), seen));
    }
}

/// Tells a task that its Pod is gone; always false, so that it is forgotten.
fn gone(task: &watch::Sender<Option<Rc<Pod>>>) -> bool {
    task.send_replace(None);
    false
}
