//! Workloads of all kinds, made by the real controllers.

use crate::harness::{Cluster, SOON, address, is_ready, names, phase};
use anyhow::{Context as _, ensure};
use kube::ResourceExt as _;
use std::collections::BTreeSet;
use std::time::Duration;
use tidegate_ground::until;

const ECHO: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: echo}
spec:
  replicas: 2
  selector: {matchLabels: {app: echo}}
  template:
    metadata: {labels: {app: echo}}
    spec:
      containers:
        - name: echo
          image: echo-basic:v1
          env:
            - {name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
          ports: [{name: http, containerPort: 3000}]
          readinessProbe: {httpGet: {path: /, port: http}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: echo}
spec: {selector: {app: echo}, ports: [{port: 80, targetPort: http}]}
";

const TEMPLATE: &str = "{metadata: {labels: {app: web}}, spec: {containers: [{name: main, image: echo-basic}]}}";

fn rolled_out(cluster: &Cluster) -> anyhow::Result<()> {
    cluster.ground.kubectl(&["rollout", "status", "deployment/echo", "--timeout=60s"]).map(drop)
}

fn endpoints(cluster: &Cluster) -> anyhow::Result<BTreeSet<String>> {
    let path = "--output=jsonpath={.items[*].endpoints[?(@.conditions.ready==true)].addresses[0]}";
    let slices = ["get", "endpointslices", "--selector=kubernetes.io/service-name=echo", path];
    Ok(cluster.ground.kubectl(&slices)?.split_whitespace().map(str::to_owned).collect())
}

#[test]
fn a_deployment_is_available_and_its_endpoints_answer() -> anyhow::Result<()> {
    let cluster = Cluster::up()?;
    cluster.ground.apply(ECHO)?;
    rolled_out(&cluster)?;
    let pods = cluster.pods("app=echo")?;
    ensure!(pods.len() == 2 && pods.iter().all(is_ready), "{pods:?}");
    let addresses: BTreeSet<String> = pods.iter().map(address).collect();
    ensure!(addresses.len() == 2 && addresses.iter().all(|address| address.starts_with("10.244.")), "{addresses:?}");
    until("endpoints are the Pods", SOON, || Ok((endpoints(&cluster)? == addresses).then_some(())))?;
    for pod in &pods {
        let answer = cluster.get(&format!("{}:3000", address(pod)))?;
        ensure!(answer.contains(&pod.name_any()), "{answer}");
    }
    Ok(())
}

#[test]
fn a_rollout_replaces_all_pods() -> anyhow::Result<()> {
    let cluster = Cluster::up()?;
    cluster.ground.apply(ECHO)?;
    rolled_out(&cluster)?;
    let before: BTreeSet<String> = names(&cluster.pods("app=echo")?).into_iter().collect();
    cluster.ground.kubectl(&["set", "image", "deployment/echo", "echo=echo-basic:v2"])?;
    rolled_out(&cluster)?;
    let after = until("the old Pods are gone", SOON, || {
        let after = names(&cluster.pods("app=echo")?);
        Ok(after.iter().all(|name| !before.contains(name)).then_some(after))
    })?;
    ensure!(after.len() == 2, "{after:?}");
    cluster.ground.kubectl(&["scale", "deployment/echo", "--replicas=5"])?;
    rolled_out(&cluster)?;
    until("five endpoints", SOON, || Ok((endpoints(&cluster)?.len() == 5).then_some(())))
}

#[test]
fn a_stateful_set_keeps_names() -> anyhow::Result<()> {
    let cluster = Cluster::up()?;
    cluster.ground.apply(&format!(
        "{{apiVersion: apps/v1, kind: StatefulSet, metadata: {{name: web}}, spec: {{replicas: 2, serviceName: web, \
         selector: {{matchLabels: {{app: web}}}}, template: {TEMPLATE}}}}}"
    ))?;
    cluster.until_pod("web-1", "is ready", is_ready)?;
    let first = cluster.until_pod("web-0", "is ready", is_ready)?;
    cluster.ground.kubectl(&["delete", "pod", "web-0", "--wait=false"])?;
    let second = cluster.until_pod("web-0", "is another one", |pod| is_ready(pod) && pod.uid() != first.uid())?;
    assert_ne!(address(&first), address(&second));
    Ok(())
}

#[test]
fn a_daemon_set_runs_on_each_node() -> anyhow::Result<()> {
    let cluster = Cluster::with_nodes(3)?;
    cluster.ground.apply(&format!(
        "{{apiVersion: apps/v1, kind: DaemonSet, metadata: {{name: web}}, spec: {{\
         selector: {{matchLabels: {{app: web}}}}, template: {TEMPLATE}}}}}"
    ))?;
    let nodes = until("three Pods are ready", SOON, || {
        let pods = cluster.pods("app=web")?;
        let nodes: BTreeSet<_> =
            pods.iter().filter(|pod| is_ready(pod)).map(|pod| pod.spec.clone()?.node_name).collect();
        Ok((nodes.len() == 3).then_some(nodes))
    })?;
    assert_eq!(nodes, ["node-1", "node-2", "node-3"].map(|name| Some(name.to_owned())).into());
    Ok(())
}

#[test]
fn a_replication_controller_replaces_what_is_deleted() -> anyhow::Result<()> {
    let cluster = Cluster::up()?;
    cluster.ground.apply(&format!(
        "{{apiVersion: v1, kind: ReplicationController, metadata: {{name: web}}, \
         spec: {{replicas: 1, selector: {{app: web}}, template: {TEMPLATE}}}}}"
    ))?;
    let ready = || Ok(cluster.pods("app=web")?.into_iter().find(is_ready));
    let first = until("a Pod is ready", SOON, ready)?.name_any();
    cluster.ground.kubectl(&["delete", "pod", &first])?;
    let second = until("another Pod is ready", SOON, ready)?.name_any();
    assert_ne!(first, second);
    Ok(())
}

#[test]
fn jobs_complete_and_fail() -> anyhow::Result<()> {
    let cluster = Cluster::up()?;
    for (name, script) in [("good", "exit 0"), ("bad", "exit 7")] {
        cluster.ground.apply(&format!(
            "{{apiVersion: batch/v1, kind: Job, metadata: {{name: {name}}}, spec: {{backoffLimit: 0, template: {{spec: {{\
             restartPolicy: Never, containers: [{{name: main, image: host, command: [sh, -c, {script:?}]}}]}}}}}}}}"
        ))?;
    }
    cluster.ground.kubectl(&["wait", "job/good", "--for=condition=Complete", "--timeout=60s"])?;
    cluster.ground.kubectl(&["wait", "job/bad", "--for=condition=Failed", "--timeout=60s"])?;
    let pods = cluster.pods("job-name=good")?;
    assert_eq!(pods.iter().map(phase).collect::<Vec<_>>(), ["Succeeded"]);
    let pods = cluster.pods("job-name=bad")?;
    let bad = pods.first().and_then(crate::harness::main).context("a Pod")?;
    let code = bad.state.as_ref().and_then(|state| Some(state.terminated.as_ref()?.exit_code));
    assert_eq!(code, Some(7));
    Ok(())
}

#[test]
fn a_cron_job_makes_jobs() -> anyhow::Result<()> {
    let cluster = Cluster::up()?;
    cluster.ground.apply(
        "{apiVersion: batch/v1, kind: CronJob, metadata: {name: tick}, spec: {schedule: '* * * * *', jobTemplate: {spec: {\
         template: {metadata: {labels: {app: tick}}, spec: {restartPolicy: Never, containers: [\
         {name: main, image: host, command: [echo, tick]}]}}}}}}",
    )?;
    let pod = until("a Pod has succeeded", Duration::from_secs(100), || {
        Ok(cluster.pods("app=tick")?.into_iter().find(|pod| phase(pod) == "Succeeded"))
    })?;
    assert_eq!(cluster.ground.kubectl(&["logs", &pod.name_any()])?, "tick\n");
    Ok(())
}

#[test]
fn a_node_that_is_closed_gets_no_pods_and_a_pod_that_fits_nowhere_says_so() -> anyhow::Result<()> {
    let cluster = Cluster::with_nodes(2)?;
    cluster.ground.kubectl(&["cordon", "node-1"])?;
    for name in ["first", "second"] {
        cluster.run(name, "sleep 1000")?;
        let pod = cluster.until_running(name)?;
        assert_eq!(pod.spec.and_then(|spec| spec.node_name).as_deref(), Some("node-2"));
    }
    cluster.run_with("nowhere", "true", "", "nodeSelector: {moon: dark},")?;
    cluster.ground.kubectl(&["wait", "pod/nowhere", "--for=condition=PodScheduled=False", "--timeout=60s"])?;
    cluster.ground.kubectl(&["label", "node", "node-2", "moon=dark"])?;
    cluster.until_running("nowhere").map(drop)
}

#[test]
fn a_namespace_goes_with_its_pods() -> anyhow::Result<()> {
    let cluster = Cluster::up()?;
    cluster.ground.kubectl(&["create", "namespace", "shop"])?;
    cluster.ground.kubectl(&[
        "create",
        "deployment",
        "web",
        "--image=echo-basic",
        "--replicas=3",
        "--namespace=shop",
    ])?;
    cluster.ground.kubectl(&["rollout", "status", "deployment/web", "--namespace=shop", "--timeout=60s"])?;
    cluster.ground.kubectl(&["delete", "namespace", "shop", "--timeout=60s"])?;
    Ok(())
}

#[test]
fn many_pods_start_at_once() -> anyhow::Result<()> {
    let cluster = Cluster::up()?;
    cluster.ground.apply(ECHO)?;
    cluster.ground.kubectl(&["scale", "deployment/echo", "--replicas=40"])?;
    rolled_out(&cluster)?;
    until("forty endpoints", SOON, || Ok((endpoints(&cluster)?.len() == 40).then_some(())))?;
    cluster.ground.kubectl(&["scale", "deployment/echo", "--replicas=0"])?;
    until("all are gone", SOON, || Ok(cluster.pods("app=echo")?.is_empty().then_some(())))
}
