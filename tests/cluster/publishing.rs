//! What is written back: addresses of Ingresses and Events, by one replica at a time and no more than is needed.

use crate::harness::{Cluster, SOON};
use ground::until;
use rustix::process::Signal;
use std::fmt::Write as _;
use std::time::Instant;

const ADDRESSES: &str = "jsonpath={range .items[*]}{.metadata.name}={.status.loadBalancer.ingress[*].ip} {end}";

fn ingress(name: &str, class: &str) -> String {
    format!(
        "---\n{{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {{name: {name}}}, spec: {{ingressClassName: {class}, \
         rules: [{{host: {name}.example, http: {{paths: [{{path: /, pathType: Prefix, backend: {{service: {{name: nothing, \
         port: {{number: 80}}}}}}}}]}}}}]}}}}\n"
    )
}

fn addresses(cluster: &Cluster) -> anyhow::Result<String> {
    Ok(cluster.ground.kubectl(&["get", "ingress", "--output", ADDRESSES])?.trim().to_owned())
}

/// Status writes that the API server has taken.
fn writes(cluster: &Cluster) -> anyhow::Result<u64> {
    let metrics = cluster.ground.kubectl(&["get", "--raw", "/metrics"])?;
    let is_write = |line: &&str| {
        line.starts_with("apiserver_request_total{")
            && ["resource=\"ingresses\"", "subresource=\"status\"", "verb=\"PATCH\""]
                .iter()
                .all(|part| line.contains(part))
    };
    Ok(metrics.lines().filter(is_write).filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum())
}

#[test]
fn addresses_and_problems_are_told_and_another_replica_goes_on() -> anyhow::Result<()> {
    let cluster = Cluster::up()?;
    let flags = ["--publish-address", "192.0.2.1"];
    let first = cluster.tidegate(&flags)?;
    cluster.until_ready(&first)?;
    until("the first one leads", SOON, || {
        Ok(cluster.admin(&first, "/metrics")?.contains("\ntidegate_leading 1").then_some(()))
    })?;
    let second = cluster.tidegate_at("127.0.0.1:9902", &flags)?;
    cluster.until_ready(&second)?;
    cluster.ground.apply(&[ingress("ours", "tidegate"), ingress("theirs", "other")].concat())?;
    until("ours has the address", SOON, || Ok((addresses(&cluster)? == "ours=192.0.2.1 theirs=").then_some(())))?;
    until("an Event tells of the missing Service", SOON, || {
        let events = cluster.ground.kubectl(&["describe", "ingress", "ours"])?;
        Ok(events.contains("Service default/nothing does not exist").then_some(()))
    })?;

    cluster.ground.kubectl(&[
        "patch",
        "ingress",
        "ours",
        "--type=merge",
        "--patch",
        r#"{"spec":{"ingressClassName":"other"}}"#,
    ])?;
    until("ours is no longer ours", SOON, || Ok((addresses(&cluster)? == "ours= theirs=").then_some(())))?;

    let killed = Instant::now();
    first.process.signal(Signal::KILL);
    cluster.ground.kubectl(&[
        "patch",
        "ingress",
        "theirs",
        "--type=merge",
        "--patch",
        r#"{"spec":{"ingressClassName":"tidegate"}}"#,
    ])?;
    until("the second one goes on", SOON, || Ok((addresses(&cluster)? == "ours= theirs=192.0.2.1").then_some(())))?;
    println!("taken over {:.1} s after a SIGKILL", killed.elapsed().as_secs_f64());
    assert!(cluster.admin(&second, "/metrics")?.contains("\ntidegate_leading 1"));
    assert_eq!(writes(&cluster)?, 3, "set, removed, set");
    Ok(())
}

#[test]
fn who_cannot_begin_does_not_lead() -> anyhow::Result<()> {
    let cluster = Cluster::up()?;
    let broken = cluster.tidegate_at("127.0.0.1:9902", &["--watch-selector", "team in shop"])?;
    until("it says why", SOON, || {
        let waits = cluster.get("127.0.0.1:9902", "localhost", "/readyz").ok();
        Ok(waits.filter(|(_, text)| text.contains("unable to parse requirement")).map(drop))
    })?;
    let serving = cluster.tidegate(&[])?;
    cluster.until_ready(&serving)?;
    until("the one that serves leads", SOON, || {
        Ok(cluster.admin(&serving, "/metrics")?.contains("\ntidegate_leading 1").then_some(()))
    })?;
    drop(broken);
    Ok(())
}

#[test]
fn a_thousand_ingresses_cost_a_thousand_writes() -> anyhow::Result<()> {
    const COUNT: usize = 1_000;
    let cluster = Cluster::up()?;
    let tidegate = cluster.tidegate(&["--publish-address", "192.0.2.1"])?;
    cluster.until_ready(&tidegate)?;
    let mut yaml = String::new();
    for index in 0..COUNT {
        write!(yaml, "{}", ingress(&format!("i{index}"), "tidegate"))?;
    }
    cluster.ground.kubectl_with(&["create", "--filename", "-"], &yaml)?;
    let created = Instant::now();
    until("all have the address", SOON, || {
        Ok((addresses(&cluster)?.matches("=192.0.2.1").count() == COUNT).then_some(()))
    })?;
    println!("all published {:.1} s after the last was created", created.elapsed().as_secs_f64());
    assert_eq!(writes(&cluster)?, COUNT as u64);
    Ok(())
}
