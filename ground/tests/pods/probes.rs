//! Probes.

use crate::harness::{Cluster, is_ready, main, restarts};
use std::fs;

/// A directory that containers see as `/told`.
const TOLD: &str = "volumeMounts: [{name: told, mountPath: /told}]";

fn told(cluster: &Cluster) -> anyhow::Result<(std::path::PathBuf, String)> {
    let folder = cluster.ground.directory().join("told");
    fs::create_dir(&folder)?;
    let volume = format!("volumes: [{{name: told, hostPath: {{path: {}}}}}],", folder.display());
    Ok((folder, volume))
}

#[test]
fn readiness_comes_and_goes() -> anyhow::Result<()> {
    let cluster = Cluster::up()?;
    let (folder, volume) = told(&cluster)?;
    let probe = "readinessProbe: {exec: {command: [test, -e, /told/ready]}, periodSeconds: 1, failureThreshold: 1}";
    cluster.run_with("web", "sleep 1000", &format!("{TOLD}, {probe}"), &volume)?;
    cluster.ground.apply(
        "{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {selector: {app: web}, ports: [{port: 80}]}}",
    )?;
    let pod = cluster.until_running("web")?;
    assert!(!is_ready(&pod), "a probe has to say so first");
    fs::write(folder.join("ready"), "")?;
    cluster.until_pod("web", "is ready", is_ready)?;
    fs::remove_file(folder.join("ready"))?;
    let pod = cluster.until_pod("web", "is not ready", |pod| !is_ready(pod))?;
    assert_eq!(restarts(&pod), 0);
    Ok(())
}

#[test]
fn a_dead_container_is_started_again() -> anyhow::Result<()> {
    let cluster = Cluster::up()?;
    let probe = "startupProbe: {exec: {command: [test, -e, /alive]}, periodSeconds: 1, failureThreshold: 60}, \
         livenessProbe: {exec: {command: [test, -e, /alive]}, periodSeconds: 1, failureThreshold: 1}";
    let script = "trap 'exit 9' TERM; touch /alive; sleep 2 & wait; rm /alive; while true; do sleep 0.1; done";
    cluster.run_with("dies", script, probe, "")?;
    let pod = cluster.until_pod("dies", "has restarted", |pod| restarts(pod) > 0)?;
    let last = main(&pod).and_then(|status| status.last_state.clone()?.terminated);
    assert_eq!(last.map(|last| last.exit_code), Some(9), "it was asked to end first");
    Ok(())
}

#[test]
fn nothing_else_is_probed_before_the_start_is_over() -> anyhow::Result<()> {
    let cluster = Cluster::up()?;
    let (folder, volume) = told(&cluster)?;
    let probes = "startupProbe: {exec: {command: [test, -e, /told/started]}, periodSeconds: 1, failureThreshold: 100}, \
         livenessProbe: {exec: {command: [test, -e, /told/started]}, periodSeconds: 1, failureThreshold: 1}";
    cluster.run_with("slow", "sleep 1000", &format!("{TOLD}, {probes}"), &volume)?;
    let pod = cluster.until_running("slow")?;
    assert!(!is_ready(&pod));
    assert_eq!(main(&pod).and_then(|status| status.started), Some(false));
    fs::write(folder.join("started"), "")?;
    let pod = cluster.until_pod("slow", "is ready", is_ready)?;
    assert_eq!(restarts(&pod), 0);
    Ok(())
}

#[test]
fn a_start_that_does_not_come_ends_the_container() -> anyhow::Result<()> {
    let cluster = Cluster::up()?;
    let probe = "startupProbe: {exec: {command: ['false']}, periodSeconds: 1, failureThreshold: 2}";
    cluster.run_with("never", "trap 'exit 0' TERM; while true; do sleep 0.1; done", probe, "")?;
    cluster.until_pod("never", "has restarted", |pod| restarts(pod) > 0)?;
    Ok(())
}

#[test]
fn tcp_and_http_probes_ask_the_port_they_name() -> anyhow::Result<()> {
    let cluster = Cluster::up()?;
    for (name, probe) in [
        ("tcp", "tcpSocket: {port: 3000}"),
        ("http", "httpGet: {port: web, path: status, httpHeaders: [{name: Host, value: shop.test}]}"),
        ("wrong-port", "tcpSocket: {port: 3999}"),
        ("wrong-scheme", "httpGet: {port: 3000, scheme: HTTPS}"),
    ] {
        cluster.ground.apply(&format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}}}, spec: {{securityContext: {{runAsUser: 65532}}, containers: [{{name: main, image: echo-basic, \
             ports: [{{name: web, containerPort: 3000}}], readinessProbe: {{periodSeconds: 1, {probe}}}}}]}}}}"
        ))?;
    }
    cluster.until_pod("tcp", "is ready", is_ready)?;
    cluster.until_pod("http", "is ready", is_ready)?;
    for name in ["wrong-port", "wrong-scheme"] {
        assert!(!is_ready(&cluster.until_running(name)?), "{name}");
    }
    Ok(())
}
