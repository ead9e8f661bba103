//! A Pod's status, written whenever it has changed.

use super::pod::container_set::{Kind, Member, Now};
use super::pod::{Work, is_settled};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Map, Value, json};
use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::sleep;

const RETRY: Duration = Duration::from_millis(200);

/// What is known of a Pod beside the state of its containers, and what was written of it.
pub(super) struct Status {
    /// All of the containers that come first have done their part.
    pub(super) is_initialized: Cell<bool>,
    /// No container will be started any more.
    pub(super) is_finished: Cell<bool>,
    since: Timestamp,
    written: Mutex<Written>,
}

#[derive(Default)]
struct Written {
    status: Value,
    conditions: HashMap<&'static str, (bool, Timestamp)>,
}

impl Default for Status {
    fn default() -> Self {
        Self {
            is_initialized: Cell::default(),
            is_finished: Cell::default(),
            since: Timestamp::now(),
            written: Mutex::default(),
        }
    }
}

impl Status {
    /// Writes each change, for ever.
    pub(super) async fn keep(&self, work: &Work) {
        let (mut changes, mut seen) = (work.set.changes(), work.seen.clone());
        loop {
            changes.mark_unchanged();
            seen.mark_unchanged();
            if !self.write(work).await {
                sleep(RETRY).await;
                continue;
            }
            // A readiness gate is a change of the Pod itself. Neither fails before this task is dropped.
            tokio::select! {
                _ = changes.changed() => {}
                _ = seen.changed() => {}
            }
        }
    }

    /// Returns when all is written, or the Pod is gone.
    pub(super) async fn flush(&self, work: &Work) {
        while !self.write(work).await && work.seen.borrow().is_some() {
            sleep(RETRY).await;
        }
    }

    /// Whether that need not be tried again.
    async fn write(&self, work: &Work) -> bool {
        let mut written = self.written.lock().await;
        let status = self.status(work, &mut written.conditions);
        if written.status == status {
            return true;
        }
        let pods = Api::<Pod>::namespaced(work.shared.client.clone(), &work.pod.namespace().unwrap_or_default());
        // The uid: another Pod of the same name is not ours to write to.
        let patch = json!({"metadata": {"uid": work.pod.uid()}, "status": status});
        let name = work.pod.name_any();
        let outcome = pods.patch_status(&name, &PatchParams::default(), &Patch::Strategic(patch)).await;
        if let Err(error) = &outcome {
            work.shared.journal.write(&format!("the status of {name} cannot be written: {error}"));
        }
        let is_written = is_settled(outcome);
        if is_written {
            written.status = status;
        }
        is_written
    }

    fn status(&self, work: &Work, conditions: &mut HashMap<&'static str, (bool, Timestamp)>) -> Value {
        let set = &work.set;
        let mut status = Map::new();
        let mut put = |key: &str, value: Value| drop(status.insert(key.to_owned(), value));
        put("phase", json!(self.phase(work)));
        put("startTime", json!(self.since));
        put("hostIP", json!(work.place().node));
        put("hostIPs", json!([{"ip": work.place().node}]));
        if let Some(address) = work.address() {
            put("podIP", json!(address));
            // Instead of the one that an earlier kubelet has given it.
            put("podIPs", json!([{"$patch": "replace"}, {"ip": address}]));
        }
        let statuses = |is_main: bool| {
            let members = set.members.iter().filter(|member| (member.kind == Kind::Main) == is_main);
            members.map(|member| container_status(member)).collect::<Vec<_>>()
        };
        if set.members.iter().any(|member| member.kind != Kind::Main) {
            put("initContainerStatuses", json!(statuses(false)));
        }
        put("containerStatuses", json!(statuses(true)));
        let now = Timestamp::now();
        let list = self.conditions(work).into_iter().map(|(kind, is_true, reason)| {
            let entry = conditions.entry(kind).or_insert((is_true, now));
            if entry.0 != is_true {
                *entry = (is_true, now);
            }
            let word = if is_true { "True" } else { "False" };
            let reason = (!is_true).then_some(reason);
            json!({"type": kind, "status": word, "lastTransitionTime": entry.1, "reason": reason})
        });
        put("conditions", json!(list.collect::<Vec<_>>()));
        Value::Object(status)
    }

    fn phase(&self, work: &Work) -> &'static str {
        let set = &work.set;
        let is_over = self.is_finished.get() || set.is_stopping();
        let codes: Vec<_> =
            set.of_kind(Kind::Init).chain(set.of_kind(Kind::Main)).map(|member| member.code()).collect();
        let runs = set.members.iter().any(|member| member.running().is_some());
        if is_over && !runs && codes.iter().any(Option::is_some) {
            let is_good = codes.iter().all(|code| *code == Some(0));
            return if is_good { "Succeeded" } else { "Failed" };
        }
        let has_run =
            |member: &Rc<Member>| member.running().is_some() || member.code().is_some() || member.restarts.get() > 0;
        if set.of_kind(Kind::Main).any(has_run) { "Running" } else { "Pending" }
    }

    fn conditions(&self, work: &Work) -> [(&'static str, bool, &'static str); 5] {
        let not_ready = if self.phase(work) == "Succeeded" { "PodCompleted" } else { "ContainersNotReady" };
        let are_ready = work.set.of_kind(Kind::Main).all(|member| member.is_ready.get());
        let are_open = gates_are_open(work);
        let reason = if are_ready { "ReadinessGatesNotReady" } else { not_ready };
        [
            ("PodScheduled", true, ""),
            ("PodReadyToStartContainers", work.address().is_some(), "NoNetwork"),
            ("Initialized", self.is_initialized.get(), "ContainersNotInitialized"),
            ("ContainersReady", are_ready, not_ready),
            ("Ready", are_ready && are_open, reason),
        ]
    }
}

/// Whether all conditions hold that others set and this Pod waits for.
fn gates_are_open(work: &Work) -> bool {
    let pod = work.seen.borrow().clone();
    let conditions = pod.as_ref().and_then(|pod| pod.status.as_ref()?.conditions.as_deref()).unwrap_or_default();
    work.spec().readiness_gates.iter().flatten().all(|gate| {
        conditions.iter().any(|condition| condition.type_ == gate.condition_type && condition.status == "True")
    })
}

fn container_status(member: &Member) -> Value {
    let image = member.spec.image.as_deref().unwrap_or_default();
    let now = member.now.borrow();
    let has_run = !matches!(*now, Now::Waiting { .. });
    let last = member.last.borrow().clone().filter(|_| !matches!(*now, Now::Ended(_)));
    json!({
        "name": member.spec.name,
        "image": image,
        "imageID": if has_run { format!("process://{image}") } else { String::new() },
        "containerID": has_run.then(|| container_id(member.process.get())),
        "restartCount": member.restarts.get(),
        "ready": is_ready(member),
        "started": member.is_started.get(),
        "state": state(&now),
        "lastState": last.map_or(json!({}), |last| state(&Now::Ended(last))),
    })
}

/// What comes first is ready when it has ended well.
fn is_ready(member: &Member) -> bool {
    if member.kind == Kind::Init { member.code() == Some(0) } else { member.is_ready.get() }
}

/// It tells the id of its first process.
fn container_id(process: u32) -> String {
    format!("process://{process}")
}

fn state(now: &Now) -> Value {
    match now {
        Now::Waiting { reason, message } => json!({"waiting": {"reason": reason, "message": message}}),
        Now::Running { since } => json!({"running": {"startedAt": since}}),
        Now::Ended(ended) => json!({"terminated": {
            "exitCode": ended.code, "reason": ended.reason, "message": ended.message,
            "startedAt": ended.since, "finishedAt": ended.until, "containerID": container_id(ended.process),
        }}),
    }
}
