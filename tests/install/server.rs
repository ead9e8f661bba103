//! Rendered manifests against an API server, which knows more than any schema: validation, admission, Pod Security.
//! Everything a cluster's tests need is `accepted`.

use crate::manifests::{Manifests, at};
use crate::tools::tool;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Asks the API server of `kubeconfig` whether it would take `manifests`, and the Pods of their workloads, in namespaces
/// that enforce the Pod Security Standard `level` unless the manifests have their own.
///
/// Namespaces and ServiceAccounts, without which it refuses the rest, are really made; the rest is a dry run.
///
/// # Errors
/// What it refuses, warns of, or why there is no answer.
pub(crate) fn accepted(kubeconfig: &Path, manifests: &Manifests, level: &str) -> Result<(), String> {
    let (made, asked): (Vec<Value>, Vec<Value>) = manifests
        .0
        .iter()
        .cloned()
        .partition(|object| object["kind"] == "Namespace" || object["kind"] == "ServiceAccount");
    let has_own: BTreeSet<&str> =
        manifests.of_kind("Namespace").filter_map(|object| object["metadata"]["name"].as_str()).collect();
    let named: BTreeSet<&str> =
        manifests.0.iter().filter_map(|object| object["metadata"]["namespace"].as_str()).collect();
    let missing = named.difference(&has_own).map(|name| {
        let labels = json!({"pod-security.kubernetes.io/enforce": level});
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    });
    apply(kubeconfig, &missing.chain(made).collect::<Vec<_>>(), &[])?;
    let asked: Vec<Value> = asked.into_iter().chain(pods(manifests)).collect();
    apply(kubeconfig, &asked, &["--dry-run=server", "--validate=strict"])
}

/// A Pod of each workload: Pod Security refuses Pods, and of a workload only warns.
fn pods(manifests: &Manifests) -> impl Iterator<Item = Value> {
    manifests.0.iter().filter(|object| object.pointer("/spec/template").is_some()).map(|workload| {
        let mut metadata = at(workload, "/spec/template/metadata").clone();
        metadata["name"] = json!("asked-for");
        metadata["namespace"] = at(workload, "/metadata/namespace").clone();
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": at(workload, "/spec/template/spec")})
    })
}

fn apply(kubeconfig: &Path, objects: &[Value], flags: &[&str]) -> Result<(), String> {
    let mut command = Command::new(tool("kubectl"));
    command.arg("--kubeconfig").arg(kubeconfig).args(["apply", "--server-side", "--force-conflicts", "--filename=-"]);
    let child = command.args(flags).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.map_err(|error| format!("kubectl: {error}"))?;
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    // Where kubectl has ended already, it says why.
    let _ = child.stdin.take().map(|mut stdin| stdin.write_all(list.to_string().as_bytes()));
    let Output { status, stderr, .. } = child.wait_with_output().map_err(|error| format!("kubectl: {error}"))?;
    let said = String::from_utf8_lossy(&stderr);
    if status.success() && said.trim().is_empty() { Ok(()) } else { Err(said.into_owned()) }
}

/// Nothing passes for want of a server.
#[test]
fn a_server_that_is_away_accepts_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let kubeconfig = folder.path().join("kubeconfig");
    // The discard port of an address that nobody has.
    let text = "{apiVersion: v1, kind: Config, clusters: [{name: a, cluster: {server: 'http://127.0.0.1:9'}}], \
                contexts: [{name: a, context: {cluster: a}}], current-context: a}";
    std::fs::write(&kubeconfig, text).expect("a file can be written");
    let error = accepted(&kubeconfig, &Manifests::overlay("deployment"), "restricted").expect_err("there is no server");
    assert!(error.contains("127.0.0.1:9"), "{error}");
}
