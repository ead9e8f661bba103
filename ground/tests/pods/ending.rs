//! How Pods end.

use crate::harness::{Cluster, SOON, address, is_ready, restarts};
use anyhow::ensure;
use std::fs;
use std::time::{Duration, Instant};
use tidegate_ground::until;

const STUBBORN: &str = "trap '' TERM; echo ready; while true; do sleep 0.1; done";

/// Ids of processes that have `text` in their command line.
fn processes(text: &str) -> usize {
    let ids = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path().join("cmdline"));
    ids.filter(|path| fs::read(path).is_ok_and(|line| String::from_utf8_lossy(&line).contains(text))).count()
}

fn until_trapped(cluster: &Cluster, pod: &str) -> anyhow::Result<()> {
    cluster.until_running(pod)?;
    until("its trap is set", SOON, || Ok(cluster.ground.kubectl(&["logs", pod])?.contains("ready").then_some(())))
}

#[test]
fn a_pod_that_obeys_is_gone_at_once() -> anyhow::Result<()> {
    let cluster = Cluster::up()?;
    cluster.run("obeys", "trap 'exit 0' TERM; echo ready; while true; do sleep 0.1; done")?;
    until_trapped(&cluster, "obeys")?;
    let since = Instant::now();
    cluster.ground.kubectl(&["delete", "pod", "obeys", "--wait=false"])?;
    cluster.until_gone("obeys")?;
    ensure!(since.elapsed() < Duration::from_secs(15), "it took its whole grace period");
    Ok(())
}

#[test]
fn a_pod_that_does_not_has_its_grace_period() -> anyhow::Result<()> {
    let cluster = Cluster::up()?;
    cluster.run_with("stubborn", STUBBORN, "", "terminationGracePeriodSeconds: 3,")?;
    until_trapped(&cluster, "stubborn")?;
    let since = Instant::now();
    cluster.ground.kubectl(&["delete", "pod", "stubborn", "--wait=false"])?;
    let pod = cluster.until_pod("stubborn", "is ending", |pod| pod.metadata.deletion_timestamp.is_some())?;
    ensure!(is_ready(&pod), "it is ready until its process ends, as with a real kubelet");
    cluster.until_gone("stubborn")?;
    ensure!(since.elapsed() >= Duration::from_secs(3), "it was killed after {:?}", since.elapsed());
    Ok(())
}

#[test]
fn a_forced_deletion_kills_at_once() -> anyhow::Result<()> {
    let cluster = Cluster::up()?;
    let mark = format!("{}-forced", cluster.ground.namespace_name());
    cluster.run("stubborn", &format!(": {mark}; {STUBBORN}"))?;
    until_trapped(&cluster, "stubborn")?;
    ensure!(processes(&mark) > 0, "no process");
    let since = Instant::now();
    cluster.ground.kubectl(&["delete", "pod", "stubborn", "--grace-period=0", "--force"])?;
    until("its processes are gone", SOON, || Ok((processes(&mark) == 0).then_some(())))?;
    ensure!(since.elapsed() < Duration::from_secs(20), "it had its grace period");
    Ok(())
}

#[test]
fn a_shorter_second_deletion_counts() -> anyhow::Result<()> {
    let cluster = Cluster::up()?;
    cluster.run_with("stubborn", STUBBORN, "", "terminationGracePeriodSeconds: 600,")?;
    until_trapped(&cluster, "stubborn")?;
    cluster.ground.kubectl(&["delete", "pod", "stubborn", "--wait=false"])?;
    cluster.ground.kubectl(&["delete", "pod", "stubborn", "--wait=false", "--grace-period=1"])?;
    cluster.until_gone("stubborn")
}

#[test]
fn the_hook_runs_before_the_signal() -> anyhow::Result<()> {
    let cluster = Cluster::up()?;
    let folder = cluster.ground.directory().join("order");
    fs::create_dir(&folder)?;
    let container = "volumeMounts: [{name: order, mountPath: /order}], \
         lifecycle: {preStop: {exec: {command: [sh, -c, 'echo hook >> /order/x; sleep 1; echo end >> /order/x']}}}";
    let spec = format!("volumes: [{{name: order, hostPath: {{path: {}}}}}],", folder.display());
    let script = "trap 'echo signal >> /order/x; exit' TERM; echo ready; while true; do sleep 0.1; done";
    cluster.run_with("hooked", script, container, &spec)?;
    until_trapped(&cluster, "hooked")?;
    cluster.ground.kubectl(&["delete", "pod", "hooked", "--wait=false"])?;
    cluster.until_gone("hooked")?;
    assert_eq!(fs::read_to_string(folder.join("x"))?, "hook\nend\nsignal\n");
    Ok(())
}

#[test]
fn pods_outlive_the_api_server() -> anyhow::Result<()> {
    let cluster = Cluster::up()?;
    cluster.ground.apply(
        "{apiVersion: v1, kind: Pod, metadata: {name: echo}, spec: {containers: [{name: main, image: echo-basic, \
         readinessProbe: {httpGet: {port: 3000}, periodSeconds: 1}}]}}",
    )?;
    let pod = cluster.until_pod("echo", "is ready", is_ready)?;
    cluster.ground.api_server().kill();
    cluster.get(&format!("{}:3000", address(&pod)))?;
    cluster.ground.api_server().start()?;
    cluster.run("later", "sleep 1000")?;
    cluster.until_running("later")?;
    let pod = cluster.until_pod("echo", "is ready", is_ready)?;
    assert_eq!(restarts(&pod), 0);
    Ok(())
}

#[test]
fn no_process_outlives_the_kubelet() -> anyhow::Result<()> {
    let Cluster { kubelet, ground } = Cluster::up()?;
    let mark = format!("{}-outlives", ground.namespace_name());
    let cluster = Cluster { kubelet, ground };
    cluster.run("stays", &format!(": {mark}; {STUBBORN}"))?;
    until_trapped(&cluster, "stays")?;
    ensure!(processes(&mark) > 0, "no process");
    drop(cluster.kubelet);
    assert_eq!(processes(&mark), 0);
    Ok(())
}

#[test]
fn a_new_kubelet_takes_over_the_pods_of_the_old_one() -> anyhow::Result<()> {
    let Cluster { kubelet, ground } = Cluster::up()?;
    ground.apply(
        "{apiVersion: v1, kind: Pod, metadata: {name: echo}, spec: {containers: [{name: main, image: echo-basic}]}}",
    )?;
    let cluster = Cluster { kubelet, ground };
    let before = address(&cluster.until_pod("echo", "is ready", is_ready)?);
    drop(cluster.kubelet);
    let images = tidegate_ground::kubelet::Images::usual()?;
    let kubelet = cluster.ground.kubelet(tidegate_ground::kubelet::Options { images, nodes: 1 })?;
    let cluster = Cluster { kubelet, ground: cluster.ground };
    let pod = cluster.until_pod("echo", "has another address", |pod| is_ready(pod) && address(pod) != before)?;
    until("it answers", SOON, || cluster.get(&format!("{}:3000", address(&pod))).map(Some)).map(drop)
}
