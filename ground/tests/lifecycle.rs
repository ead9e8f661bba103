//! A ground leaves nothing behind, however it ends; several stand at once; its servers can be killed and stopped.

#![expect(clippy::expect_used, reason = "a machine without /proc fails the test")]

use anyhow::{Context as _, ensure};
use rustix::process::Signal;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tidegate_ground::{Ground, Options, sweep, until};

const SOON: Duration = Duration::from_secs(30);

/// Ids of processes that have `text` in their command line.
fn processes(text: &str) -> Vec<String> {
    let ids = fs::read_dir("/proc").expect("/proc").flatten().map(|entry| entry.path());
    let holds =
        |path: &PathBuf| fs::read(path.join("cmdline")).is_ok_and(|line| String::from_utf8_lossy(&line).contains(text));
    ids.filter(holds).map(|path| path.display().to_string()).collect()
}

fn is_mounted(name: &str) -> bool {
    fs::read_to_string("/proc/mounts").expect("/proc/mounts").contains(name)
}

fn named(name: &str) -> PathBuf {
    Path::new("/run/netns").join(name)
}

#[test]
fn down_leaves_nothing() -> anyhow::Result<()> {
    let ground = Ground::up(&Options::default())?;
    let (name, directory) = (ground.namespace_name().to_owned(), ground.directory().to_owned());
    ensure!(processes(&name).len() == 3, "{:?}", processes(&name));
    assert!(directory.is_dir() && named(&name).is_file() && is_mounted(&name));
    drop(ground);
    assert_eq!(processes(&name), [""; 0]);
    assert!(!directory.exists() && !named(&name).exists() && !is_mounted(&name));
    Ok(())
}

/// Starts a Pod whose command line holds the name of the ground, and tells the kubeconfig when it runs.
const SCRIPT: &str = "kubectl run marked --image=host --command -- sh -c \": $KUBECONFIG; sleep 1000\" >&2
kubectl wait pod/marked --for=condition=Ready --timeout=60s >&2
echo $KUBECONFIG
sleep 1000 & wait";

#[test]
fn what_a_killed_owner_leaves_is_swept() -> anyhow::Result<()> {
    let mut owner = Command::new(env!("CARGO_BIN_EXE_tidegate-ground"))
        .args(["run", "--new", "sh", "-c", SCRIPT])
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    BufReader::new(owner.stdout.take().context("a pipe")?).read_line(&mut line)?;
    let directory = Path::new(line.trim()).ancestors().nth(2).context("a directory")?.to_owned();
    let name = directory.file_name().and_then(|name| name.to_str()).context("a name")?.to_owned();
    ensure!(processes(&name).len() == 4, "three servers and a Pod: {:?}", processes(&name));
    assert!(!sweep()?.contains(&name), "an owner that lives loses nothing");
    owner.kill()?;
    owner.wait()?;
    until("the servers and the Pod have ended", SOON, || Ok(processes(&name).is_empty().then_some(())))?;
    sweep()?;
    assert!(!directory.exists() && !named(&name).exists() && !is_mounted(&name));
    Ok(())
}

#[test]
fn two_grounds_know_nothing_of_each_other() -> anyhow::Result<()> {
    let first = Ground::up(&Options::default())?;
    let second = Ground::up(&Options::default())?;
    first.kubectl(&["create", "namespace", "only-in-the-first"])?;
    let in_first = first.kubectl(&["get", "namespaces", "--output=name"])?;
    let in_second = second.kubectl(&["get", "namespaces", "--output=name"])?;
    assert!(in_first.contains("only-in-the-first"), "{in_first}");
    assert!(in_second.contains("default") && !in_second.contains("only-in-the-first"), "{in_second}");
    Ok(())
}

#[test]
fn servers_come_back_with_their_data() -> anyhow::Result<()> {
    let ground = Ground::up(&Options::default())?;
    ground.apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: kept}, data: {a: b}}")?;
    ground.api_server().kill();
    assert_eq!(ground.api_server().id(), None);
    assert!(ground.kubectl(&["get", "configmap", "kept"]).is_err());
    ground.etcd().kill();
    ground.etcd().start()?;
    ground.api_server().start()?;
    assert_eq!(ground.kubectl(&["get", "configmap", "kept", "--output=jsonpath={.data.a}"])?, "b");
    Ok(())
}

#[test]
fn a_paused_server_does_not_answer_until_it_is_resumed() -> anyhow::Result<()> {
    let ground = Ground::up(&Options::default())?;
    ground.api_server().pause();
    let error = ground.kubectl(&["get", "--raw=/readyz", "--request-timeout=1s"]).expect_err("no answer");
    assert!(format!("{error}").contains("imeout") || format!("{error}").contains("deadline"), "{error}");
    ground.api_server().resume();
    assert_eq!(ground.kubectl(&["get", "--raw=/readyz"])?, "ok");
    Ok(())
}

#[test]
fn a_spawned_process_is_inside_and_ends_with_what_it_started() -> anyhow::Result<()> {
    let ground = Ground::up(&Options::default())?;
    let mut command = Command::new("sh");
    command.args(["-c", "ip -brief address show lo; cat /proc/$$/comm; sleep 1000 & wait"]).stdout(Stdio::piped());
    let mut process = ground.spawn(command)?;
    let mut lines = BufReader::new(process.stdout.take().context("a pipe")?).lines();
    let address = lines.next().context("a line")??;
    assert!(address.contains("10.0.0.1/32"), "{address}");
    assert_eq!(lines.next().context("a line")??, "sh", "its /proc is that of its namespace");
    process.signal(Signal::KILL);
    process.wait()?;
    // The pipe is closed only when the child of the child is gone too.
    assert!(lines.next().is_none());
    Ok(())
}

#[test]
fn a_service_account_has_its_own_rights() -> anyhow::Result<()> {
    let ground = Ground::up(&Options::default())?;
    ground.kubectl(&["create", "serviceaccount", "reader"])?;
    ground.kubectl(&["create", "role", "reads", "--verb=get,list", "--resource=configmaps"])?;
    ground.kubectl(&["create", "rolebinding", "reads", "--role=reads", "--serviceaccount=default:reader"])?;
    let kubeconfig = ground.kubeconfig_of("default", "reader")?;
    let flag = format!("--kubeconfig={}", kubeconfig.display());
    ground.kubectl(&["get", "configmaps", &flag])?;
    let error = ground.kubectl(&["get", "secrets", &flag]).expect_err("refused").to_string();
    assert!(error.contains("system:serviceaccount:default:reader") && error.contains("forbidden"), "{error}");
    Ok(())
}

#[test]
fn more_input_than_a_pipe_holds_is_applied() -> anyhow::Result<()> {
    let ground = Ground::up(&Options::default())?;
    let object = |number: u32| {
        let text = "x".repeat(2000);
        format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: map-{number}}}, data: {{a: {text}}}}}\n---\n")
    };
    let said = ground.apply(&(0..100).map(object).collect::<String>())?;
    assert_eq!(said.lines().count(), 100);
    Ok(())
}

#[test]
fn without_root_it_says_so() -> anyhow::Result<()> {
    // Where nobody but root may be in the folder of the repository, others may be here.
    let program = std::env::temp_dir().join(format!("tidegate-ground-{}", std::process::id()));
    fs::copy(env!("CARGO_BIN_EXE_tidegate-ground"), &program)?;
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&program)
        .args(["run", "--new", "true"])
        .current_dir("/")
        .output();
    fs::remove_file(&program)?;
    let output = output?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(!output.status.success() && said.contains("a ground needs root"), "{output:?}");
    Ok(())
}
