//! Every controller that makes Pods: what it makes is found by name and is served, and what ends is not.

use crate::harness::{Cluster, SOON, Tidegate};
use crate::names::ask;
use anyhow::ensure;
use ground::until;
use std::time::Duration;

const HEADLESS: &str = "clusterIP: None,";
/// A CronJob of every minute has a Pod within this.
const MINUTE: Duration = Duration::from_secs(90);

/// What the Pods of `NAME` are, with more fields of their spec.
fn template(name: &str, more: &str) -> String {
    format!(
        "{{metadata: {{labels: {{app: {name}}}}}, spec: {{{more} containers: [{{name: echo, image: echo-basic, env: [\
         {{name: POD_NAME, valueFrom: {{fieldRef: {{fieldPath: metadata.name}}}}}}, \
         {{name: NAMESPACE, valueFrom: {{fieldRef: {{fieldPath: metadata.namespace}}}}}}], \
         readinessProbe: {{httpGet: {{path: /health, port: 3000}}, periodSeconds: 1}}}}]}}}}"
    )
}

/// A controller of Pods, a Service of them with more fields, and an Ingress for `NAME.example`.
fn apply(
    cluster: &Cluster,
    (version, kind): (&str, &str),
    name: &str,
    spec: &str,
    service: &str,
) -> anyhow::Result<()> {
    let controller = format!("{{apiVersion: {version}, kind: {kind}, metadata: {{name: {name}}}, spec: {{{spec}}}}}");
    let ports = "ports: [{name: http, port: 80, targetPort: 3000}]";
    let service = format!(
        "{{apiVersion: v1, kind: Service, metadata: {{name: {name}}}, spec: {{{service} selector: {{app: {name}}}, {ports}}}}}"
    );
    cluster.ground.apply(&[controller, service, ingress(name)].join("\n---\n")).map(drop)
}

fn ingress(name: &str) -> String {
    format!(
        "
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: {name}}}
spec:
  ingressClassName: tidegate
  rules: [{{host: {name}.example, http: {{paths: [{{path: /, pathType: Prefix, backend: {{service: {{name: {name}, port: {{number: 80}}}}}}}}]}}}}]
"
    )
}

/// Waits until as many different Pods answer for `NAME.example`; their names, sorted.
fn until_pods_answer(cluster: &Cluster, name: &str, count: usize) -> anyhow::Result<Vec<String>> {
    let mut pods = Vec::new();
    until(&format!("{count} Pods of {name} answer"), SOON, || {
        let (status, body) = cluster.get("10.0.0.1:8080", &format!("{name}.example"), "/")?;
        ensure!(status == 200, "{status} {body}");
        let body: serde_json::Value = serde_json::from_str(&body)?;
        pods.extend(body["pod"].as_str().map(str::to_owned));
        pods.sort();
        pods.dedup();
        Ok((pods.len() >= count).then_some(()))
    })?;
    Ok(pods)
}

fn until_status(cluster: &Cluster, host: &str, status: u16) -> anyhow::Result<()> {
    until(&format!("{host} is answered with {status}"), SOON, || {
        Ok((cluster.get("10.0.0.1:8080", host, "/")?.0 == status).then_some(()))
    })
}

/// Waits until a name has as many addresses, none: until it does not exist.
fn until_addresses(cluster: &Cluster, name: &str, count: usize) -> anyhow::Result<Vec<String>> {
    until(&format!("{name} has {count} addresses"), SOON, || {
        let answer = ask(&cluster.ground, name, "A")?;
        let code = if count == 0 { "NXDOMAIN" } else { "NOERROR" };
        ensure!(answer.code == code && answer.records.len() == count, "{answer:?}");
        Ok(Some(answer.records))
    })
}

fn up() -> anyhow::Result<(Tidegate, Cluster)> {
    let cluster = Cluster::up()?;
    let tidegate = cluster.tidegate(&[])?;
    cluster.until_ready(&tidegate)?;
    Ok((tidegate, cluster))
}

#[test]
fn pods_of_a_stateful_set_have_stable_names() -> anyhow::Result<()> {
    let (_tidegate, cluster) = up()?;
    let pods = template("db", "");
    let spec = format!("serviceName: db, replicas: 2, selector: {{matchLabels: {{app: db}}}}, template: {pods}");
    apply(&cluster, ("apps/v1", "StatefulSet"), "db", &spec, HEADLESS)?;
    let all = until_addresses(&cluster, "db.default.svc", 2)?;
    let mut each = Vec::new();
    for pod in ["db-0", "db-1"] {
        let addresses = until_addresses(&cluster, &format!("{pod}.db.default.svc"), 1)?;
        let (status, body) = cluster.get(&format!("{}:3000", addresses[0]), "db", "/")?;
        ensure!(status == 200 && body.contains(&format!("\"{pod}\"")), "{pod} is not at {addresses:?}: {body}");
        each.extend(addresses);
    }
    each.sort();
    ensure!(each == all, "the Service has {all:?}, its Pods {each:?}");
    let services = ask(&cluster.ground, "_http._tcp.db.default.svc", "SRV")?;
    for pod in ["db-0", "db-1"] {
        let target = format!("3000 {pod}.db.default.svc.cluster.local.");
        ensure!(services.records.iter().any(|record| record.ends_with(&target)), "no {target} in {services:?}");
    }
    ensure!(until_pods_answer(&cluster, "db", 2)? == ["db-0", "db-1"]);

    let before = ask(&cluster.ground, "db-1.db.default.svc", "A")?;
    cluster.ground.kubectl(&["delete", "pod", "db-1", "--grace-period=0", "--force"])?;
    // The same name, for another Pod at another address.
    until("the name leads to the new Pod", SOON, || {
        let now = ask(&cluster.ground, "db-1.db.default.svc", "A")?;
        Ok((now.code == "NOERROR" && now != before).then_some(()))
    })?;
    cluster.ground.kubectl(&["scale", "statefulset", "db", "--replicas=1"])?;
    until_addresses(&cluster, "db-1.db.default.svc", 0)?;
    until_addresses(&cluster, "db-0.db.default.svc", 1).map(drop)
}

#[test]
fn pods_of_jobs_come_and_go() -> anyhow::Result<()> {
    let (_tidegate, cluster) = up()?;
    apply(
        &cluster,
        ("batch/v1", "Job"),
        "once",
        &format!("template: {}", template("once", "restartPolicy: Never,")),
        HEADLESS,
    )?;
    until_pods_answer(&cluster, "once", 1)?;
    until_addresses(&cluster, "once.default.svc", 1)?;
    // Its time is over.
    cluster.ground.kubectl(&[
        "patch",
        "job",
        "once",
        "--type=merge",
        "-p",
        "{\"spec\":{\"activeDeadlineSeconds\":1}}",
    ])?;
    until_status(&cluster, "once.example", 503)?;
    until_addresses(&cluster, "once.default.svc", 0)?;
    until("the Job says so", SOON, || {
        let conditions = ["get", "job", "once", "-o", "jsonpath={.status.conditions[*].reason}"];
        Ok(cluster.ground.kubectl(&conditions)?.contains("DeadlineExceeded").then_some(()))
    })
}

#[test]
fn pods_of_cron_jobs_come_and_go() -> anyhow::Result<()> {
    let (_tidegate, cluster) = up()?;
    let job =
        format!("{{spec: {{activeDeadlineSeconds: 20, template: {}}}}}", template("tick", "restartPolicy: Never,"));
    apply(&cluster, ("batch/v1", "CronJob"), "tick", &format!("schedule: '* * * * *', jobTemplate: {job}"), HEADLESS)?;
    until("the CronJob has begun a Job, and that is served", MINUTE, || {
        Ok((cluster.get("10.0.0.1:8080", "tick.example", "/")?.0 == 200).then_some(()))
    })?;
    until_addresses(&cluster, "tick.default.svc", 1)?;
    cluster.ground.kubectl(&["patch", "cronjob", "tick", "--type=merge", "-p", "{\"spec\":{\"suspend\":true}}"])?;
    until_status(&cluster, "tick.example", 503)?;
    until_addresses(&cluster, "tick.default.svc", 0).map(drop)
}

#[test]
fn replication_controllers_and_daemon_sets_are_backends() -> anyhow::Result<()> {
    let (_tidegate, cluster) = up()?;
    let spec = format!("replicas: 3, selector: {{app: old}}, template: {}", template("old", ""));
    apply(&cluster, ("v1", "ReplicationController"), "old", &spec, "")?;
    let spec = format!("selector: {{matchLabels: {{app: each}}}}, template: {}", template("each", ""));
    apply(&cluster, ("apps/v1", "DaemonSet"), "each", &spec, "")?;
    for (name, count) in [("old", 3), ("each", 2)] {
        until_status(&cluster, &format!("{name}.example"), 200)?;
        let pods = until_pods_answer(&cluster, name, count)?;
        ensure!(pods.len() == count && pods.iter().all(|pod| pod.starts_with(&format!("{name}-"))), "{pods:?}");
        cluster.ground.kubectl(&["delete", &format!("svc/{name}")])?;
        until_status(&cluster, &format!("{name}.example"), 503)?;
        // The slices of a Service that is gone go too; that it is itself shows in its name alone.
        until_addresses(&cluster, &format!("{name}.default.svc"), 0)?;
    }
    Ok(())
}
