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

/// `NAME=VERSION` of each Ingress.
fn versions(cluster: &Cluster) -> anyhow::Result<String> {
    const VERSIONS: &str = "jsonpath={range .items[*]}{.metadata.name}={.metadata.resourceVersion} {end}";
    cluster.ground.kubectl(&["get", "ingress", "--output", VERSIONS])
}

/// Kinds of Events by who told them, as `NAME=INSTANCE`.
fn tellers(cluster: &Cluster) -> anyhow::Result<Vec<String>> {
    const TELLERS: &str = "jsonpath={range .items[*]}{.regarding.kind}/{.regarding.name}={.reportingInstance} {end}";
    let told = cluster.ground.kubectl(&["get", "events.events.k8s.io", "--output", TELLERS])?;
    let told = told.split_whitespace().filter(|told| told.starts_with("Ingress/"));
    // An instance is the name of the machine, or of the Pod, and something random.
    Ok(told.map(str::to_owned).collect())
}

#[test]
fn installations_with_classes_of_their_own_leave_each_other_alone() -> anyhow::Result<()> {
    let cluster = Cluster::up()?;
    cluster.ground.apply("{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {name: edge}, spec: {controller: example.com/edge}}")?;
    let first = cluster.tidegate(&["--publish-address", "192.0.2.1"])?;
    let flags = ["--controller-class", "example.com/edge", "--publish-address", "192.0.2.2"];
    let second = cluster.tidegate_at("127.0.0.1:9902", &flags)?;
    for tidegate in [&first, &second] {
        cluster.until_ready(tidegate)?;
        until("each leads", SOON, || {
            Ok(cluster.admin(tidegate, "/metrics")?.contains("\ntidegate_leading 1").then_some(()))
        })?;
    }
    cluster.ground.apply(&[ingress("a", "tidegate"), ingress("b", "edge"), ingress("c", "nobodys")].concat())?;
    until("each has its address", SOON, || Ok((addresses(&cluster)? == "a=192.0.2.1 b=192.0.2.2 c=").then_some(())))?;
    until("each has its Event", SOON, || Ok((tellers(&cluster)?.len() == 2).then_some(())))?;
    let before = versions(&cluster)?;
    // Once these are written all that came before has been.
    cluster.ground.apply(&[ingress("d", "tidegate"), ingress("e", "edge")].concat())?;
    until("each has its second address", SOON, || {
        Ok(addresses(&cluster)?.ends_with("d=192.0.2.1 e=192.0.2.2").then_some(()))
    })?;
    until("each has its second Event", SOON, || Ok((tellers(&cluster)?.len() >= 4).then_some(())))?;
    let after = versions(&cluster)?;
    assert!(after.starts_with(before.trim_end()), "{before} became {after}");
    assert_eq!(writes(&cluster)?, 4);
    let told = tellers(&cluster)?;
    let by = |name: &str| told.iter().find_map(|told| told.strip_prefix(&format!("Ingress/{name}=")));
    assert_eq!(told.len(), 4, "{told:?}");
    assert!(by("a").is_some() && by("a") == by("d"), "{told:?}");
    assert!(by("b").is_some() && by("b") == by("e") && by("a") != by("b"), "{told:?}");

    let patch = r#"{"spec":{"ingressClassName":"edge"}}"#;
    cluster.ground.kubectl(&["patch", "ingress", "a", "--type=merge", "--patch", patch])?;
    until("it has the address of its new class", SOON, || {
        Ok(addresses(&cluster)?.starts_with("a=192.0.2.2 b=192.0.2.2 ").then_some(()))
    })?;
    Ok(())
}

#[test]
fn labels_that_are_no_longer_watched_take_the_address_away() -> anyhow::Result<()> {
    let cluster = Cluster::up()?;
    let tidegate = cluster.tidegate(&["--publish-address", "192.0.2.1", "--watch-selector", "team=a"])?;
    cluster.until_ready(&tidegate)?;
    cluster.ground.apply(&[ingress("left", "tidegate"), ingress("stays", "tidegate")].concat())?;
    cluster.ground.kubectl(&["label", "ingress", "left", "stays", "team=a"])?;
    until("both have the address", SOON, || {
        Ok((addresses(&cluster)? == "left=192.0.2.1 stays=192.0.2.1").then_some(()))
    })?;
    cluster.ground.kubectl(&["label", "ingress", "left", "team-"])?;
    until("one has it no more", SOON, || Ok((addresses(&cluster)? == "left= stays=192.0.2.1").then_some(())))?;
    cluster.ground.kubectl(&["label", "ingress", "left", "team=a"])?;
    until("it has it again", SOON, || Ok((addresses(&cluster)? == "left=192.0.2.1 stays=192.0.2.1").then_some(())))
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
