//! What a container sees and may do.

use crate::harness::{Cluster, SOON, address, is_ready, main, restarts, waits_for};
use anyhow::ensure;
use std::fs;
use std::process::Command;
use tidegate_ground::until;

#[test]
fn the_environment_comes_from_everywhere() -> anyhow::Result<()> {
    let cluster = Cluster::up()?;
    cluster.ground.apply(
        "{apiVersion: v1, kind: Secret, metadata: {name: key}, stringData: {word: open}}\n---\n\
         {apiVersion: v1, kind: ConfigMap, metadata: {name: map}, data: {COLOUR: green, size: large}}",
    )?;
    let container = "envFrom: [{prefix: ALL_, configMapRef: {name: map}}], env: [\
         {name: PLAIN, value: one}, {name: JOINED, value: $(PLAIN)-$(ALL_COLOUR)-$(NONE)}, \
         {name: WORD, valueFrom: {secretKeyRef: {name: key, key: word}}}, \
         {name: SIZE, valueFrom: {configMapKeyRef: {name: map, key: size}}}, \
         {name: OPTIONAL, valueFrom: {secretKeyRef: {name: none, key: word, optional: true}}}, \
         {name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}, \
         {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}, \
         {name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}]";
    cluster.run_with("env", "env; hostname", container, "restartPolicy: Never,")?;
    let words = cluster.words("env")?;
    let pod = cluster.pod("env")?.map(|pod| address(&pod)).unwrap_or_default();
    let lines: Vec<&str> = words.lines().collect();
    for expected in [
        "PLAIN=one",
        "JOINED=one-green-$(NONE)",
        "WORD=open",
        "SIZE=large",
        "POD=env",
        "NODE=node-1",
        &format!("IP={pod}"),
        "KUBERNETES_SERVICE_HOST=10.0.0.1",
        "env",
    ] {
        ensure!(lines.contains(&expected), "{expected} is not in\n{words}");
    }
    ensure!(!words.contains("OPTIONAL") && !words.contains("CARGO"), "{words}");
    Ok(())
}

#[test]
fn the_token_of_the_service_account_is_good() -> anyhow::Result<()> {
    let cluster = Cluster::up()?;
    let script = "cd /var/run/secrets/kubernetes.io/serviceaccount && cat namespace && curl --silent --cacert ca.crt \
         --header \"Authorization: Bearer $(cat token)\" \
         https://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT/api/v1/namespaces/default/pods";
    cluster.run_with("token", script, "", "restartPolicy: Never,")?;
    let words = cluster.words("token")?;
    ensure!(words.starts_with("default"), "{words}");
    // It is let in as what it is, which may not read Pods.
    ensure!(words.contains("system:serviceaccount:default:default") && words.contains("Forbidden"), "{words}");
    Ok(())
}

#[test]
fn what_a_container_writes_nobody_else_sees() -> anyhow::Result<()> {
    let cluster = Cluster::up()?;
    let name = format!("/etc/{}", cluster.ground.namespace_name());
    for pod in ["first", "second"] {
        cluster.run_with(pod, &format!("ls {name}; echo {pod} > {name} && cat {name}"), "", "restartPolicy: Never,")?;
    }
    for pod in ["first", "second"] {
        let words = cluster.words(pod)?;
        ensure!(words.contains("No such file") && words.ends_with(&format!("{pod}\n")), "{words}");
    }
    ensure!(fs::metadata(&name).is_err(), "{name} is on this machine");
    Ok(())
}

#[test]
fn volumes_are_where_they_are_mounted() -> anyhow::Result<()> {
    let cluster = Cluster::up()?;
    cluster.ground.apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: map}, data: {a: first, b: other}}")?;
    let mounts = "volumeMounts: [{name: room, mountPath: /deep/in/room}, {name: map, mountPath: /map, readOnly: true}, \
         {name: map, mountPath: /etc/single, subPath: b}, {name: fields, mountPath: /fields}, \
         {name: fields, mountPath: /map/below, readOnly: true}]";
    let spec = format!(
        "restartPolicy: Never, volumes: [{{name: room, emptyDir: {{}}}}, {{name: map, configMap: {{name: map}}}}, \
         {{name: fields, downwardAPI: {{items: [{{path: labels, fieldRef: {{fieldPath: metadata.labels}}}}]}}}}], \
         initContainers: [{{name: init, image: host, command: [sh, -c, 'echo filled > /deep/in/room/x'], {mounts}}}],"
    );
    let script =
        "cat /deep/in/room/x /map/a /etc/single /fields/labels /map/below/labels; touch /map/c || echo refused";
    cluster.run_with("volumes", script, mounts, &spec)?;
    let words = cluster.words("volumes")?;
    ensure!(words.starts_with("filled\nfirstotherapp=\"volumes\""), "{words}");
    ensure!(words.matches("app=\"volumes\"").count() == 2, "{words}");
    ensure!(words.contains("Read-only file system") && words.ends_with("refused\n"), "{words}");
    Ok(())
}

#[test]
fn a_volume_follows_its_config_map() -> anyhow::Result<()> {
    let cluster = Cluster::up()?;
    let map = |text: &str| format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: map}}, data: {{a: {text}}}}}");
    cluster.ground.apply(&map("old"))?;
    let spec = "restartPolicy: Never, volumes: [{name: map, configMap: {name: map}}],";
    let script = "cat /map/a; until grep -q new /map/a; do sleep 0.1; done; cat /map/a";
    cluster.run_with("reader", script, "volumeMounts: [{name: map, mountPath: /map}]", spec)?;
    cluster.until_running("reader")?;
    until("it has read", SOON, || Ok((cluster.ground.kubectl(&["logs", "reader"])? == "old").then_some(())))?;
    cluster.ground.apply(&map("new"))?;
    assert_eq!(cluster.words("reader")?, "oldnew");
    Ok(())
}

#[test]
fn a_container_is_who_its_security_context_says() -> anyhow::Result<()> {
    let cluster = Cluster::up()?;
    let context = "securityContext: {runAsUser: 65532, runAsGroup: 65531, runAsNonRoot: true, \
         readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, \
         capabilities: {drop: [ALL], add: [NET_BIND_SERVICE]}}";
    let script =
        "id -u; id -g; id -G; grep -E 'Cap(Eff|Bnd)|NoNewPrivs' /proc/self/status; touch /tmp/x || echo refused";
    cluster.run_with("careful", script, context, "restartPolicy: Never, securityContext: {fsGroup: 7},")?;
    let words = cluster.words("careful")?;
    let squeezed = words.split_whitespace().collect::<Vec<_>>().join(" ");
    for expected in [
        "65532 65531 65531 7",
        "CapEff: 0000000000000400",
        "CapBnd: 0000000000000400",
        "NoNewPrivs: 1",
        "Read-only file system",
        "refused",
    ] {
        ensure!(squeezed.contains(expected), "{expected} is not in\n{words}");
    }
    Ok(())
}

#[test]
fn what_cannot_run_says_why() -> anyhow::Result<()> {
    let cluster = Cluster::up()?;
    cluster.run_with("root", "true", "securityContext: {runAsNonRoot: true}", "")?;
    cluster.run_with("secret", "true", "env: [{name: A, valueFrom: {secretKeyRef: {name: none, key: a}}}]", "")?;
    cluster.ground.apply(
        "{apiVersion: v1, kind: Pod, metadata: {name: image}, spec: {containers: [{name: main, image: nobody/knows}]}}",
    )?;
    cluster.run_with("volume", "true", "", "volumes: [{name: a, secret: {secretName: none}}],")?;
    for (pod, reason, word) in [
        ("root", "CreateContainerConfigError", "runAsNonRoot"),
        ("secret", "CreateContainerConfigError", "default/none has no a"),
        ("image", "ErrImagePull", "nobody/knows"),
        ("volume", "ContainerCreating", "Secret default/none is not there"),
    ] {
        let says = |pod: &k8s_openapi::api::core::v1::Pod| {
            let message = main(pod).and_then(|status| status.state.clone()?.waiting?.message).unwrap_or_default();
            waits_for(pod) == Some(reason) && message.contains(word)
        };
        cluster.until_pod(pod, &format!("waits: {reason} {word}"), says)?;
    }
    // It runs as soon as what is missing is there.
    cluster.ground.kubectl(&["create", "secret", "generic", "none", "--from-literal=a=b"])?;
    cluster.until_pod("secret", "has run", |pod| restarts(pod) > 0)?;
    Ok(())
}

#[test]
fn a_container_that_fails_is_started_again() -> anyhow::Result<()> {
    let cluster = Cluster::up()?;
    cluster.run("fails", "echo $$$$ says its last word; exit 3")?;
    let pod = cluster.until_pod("fails", "has restarted", |pod| restarts(pod) >= 2)?;
    let last = main(&pod).and_then(|status| status.last_state.clone()?.terminated);
    assert_eq!(last.map(|last| last.exit_code), Some(3));
    let words = cluster.ground.kubectl(&["logs", "fails", "--previous"])?;
    assert_eq!(words, "1 says its last word\n", "it is the first process of its namespace");
    cluster.run_with("never", "exit 3", "", "restartPolicy: Never,")?;
    cluster.words("never")?;
    assert_eq!(cluster.pod("never")?.as_ref().map(restarts), Some(0));
    Ok(())
}

#[test]
fn a_killed_process_is_started_again() -> anyhow::Result<()> {
    let cluster = Cluster::up()?;
    cluster.run("killed", "while true; do sleep 1; done")?;
    cluster.until_running("killed")?;
    let process = cluster.ground.process_of("default", "killed")?;
    ensure!(
        fs::read_to_string(format!("/proc/{process}/cmdline"))?.contains("sleep 1"),
        "{process} is another process"
    );
    ensure!(Command::new("kill").args(["-KILL", &process.to_string()]).status()?.success(), "no kill");
    let pod = cluster.until_pod("killed", "runs again", |pod| restarts(pod) > 0 && is_ready(pod))?;
    let last = main(&pod).and_then(|status| status.last_state.clone()?.terminated);
    assert_eq!(last.map(|last| last.exit_code), Some(137));
    assert_ne!(cluster.ground.process_of("default", "killed")?, process);
    Ok(())
}

#[test]
fn pods_reach_each_other_and_the_ground() -> anyhow::Result<()> {
    let cluster = Cluster::up()?;
    cluster.ground.apply(
        "{apiVersion: v1, kind: Pod, metadata: {name: own}, spec: {containers: [{name: main, image: echo-basic}]}}\n---\n\
         {apiVersion: v1, kind: Pod, metadata: {name: shared}, spec: {hostNetwork: true, \
         containers: [{name: main, image: echo-basic}]}}",
    )?;
    let own = address(&cluster.until_running("own")?);
    let shared = address(&cluster.until_running("shared")?);
    assert_eq!(shared, "10.0.0.1");
    let script = format!(
        "for address in {own} {shared}; do curl --silent --retry 20 --retry-delay 1 --retry-connrefused \
         --output /dev/null --write-out '%{{http_code}} ' http://$address:3000; done"
    );
    cluster.run_with("client", &script, "", "restartPolicy: Never,")?;
    assert_eq!(cluster.words("client")?, "200 200 ");
    // Nothing of it is to be reached from the machine itself.
    let outside = Command::new("ip").args(["route", "get", &own]).output()?;
    ensure!(!String::from_utf8_lossy(&outside.stdout).contains("pod"), "{outside:?}");
    Ok(())
}

#[test]
fn logs_are_followed_to_the_end() -> anyhow::Result<()> {
    let cluster = Cluster::up()?;
    cluster.run_with("speaks", "for i in 1 2 3; do echo $i; sleep 0.3; done", "", "restartPolicy: Never,")?;
    cluster.until_pod("speaks", "is not pending", |pod| crate::harness::phase(pod) != "Pending")?;
    assert_eq!(cluster.ground.kubectl(&["logs", "speaks", "--follow"])?, "1\n2\n3\n");
    assert_eq!(cluster.ground.kubectl(&["logs", "speaks", "--tail=1"])?, "3\n");
    Ok(())
}
