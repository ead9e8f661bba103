//! The nodes that a kubelet plays. All of them are the ground itself; each has an address of its own there.

use crate::namespace::ip;
use anyhow::Context as _;
use k8s_openapi::api::core::v1;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;
use std::net::Ipv4Addr;

/// Where the API server fetches logs.
pub(super) const PORT: u16 = 10250;

/// A name that Pods are bound to, and its address.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) address: Ipv4Addr,
}

/// Registers `node-1` to `node-COUNT`, all ready.
///
/// # Errors
/// Where the API server refuses one.
pub(super) async fn register(client: &Client, count: u8) -> anyhow::Result<Vec<Node>> {
    let mut nodes = Vec::new();
    for number in 1..=count {
        let node = Node { name: format!("node-{number}"), address: Ipv4Addr::new(10, 0, 0, number) };
        ip(&format!("addr replace {}/32 dev lo", node.address))?;
        announce(client, &node).await.with_context(|| node.name.clone())?;
        nodes.push(node);
    }
    Ok(nodes)
}

async fn announce(client: &Client, Node { name, address }: &Node) -> anyhow::Result<()> {
    let nodes = Api::<v1::Node>::all(client.clone());
    let node = json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {
            "kubernetes.io/hostname": name,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": arch(),
            "topology.kubernetes.io/zone": format!("zone-{}", name.trim_start_matches("node-")),
        }},
    });
    let params = PatchParams::apply("kubelet").force();
    nodes.patch(name, &params, &Patch::Apply(node)).await?;
    let now = Timestamp::now();
    let conditions = [
        ("Ready", "True", "KubeletReady"),
        ("MemoryPressure", "False", "KubeletHasSufficientMemory"),
        ("DiskPressure", "False", "KubeletHasNoDiskPressure"),
        ("PIDPressure", "False", "KubeletHasSufficientPID"),
    ]
    .map(|(kind, status, reason)| {
        json!({"type": kind, "status": status, "reason": reason, "lastHeartbeatTime": now, "lastTransitionTime": now})
    });
    let room = json!({"cpu": "64", "memory": "64Gi", "pods": "10000", "ephemeral-storage": "64Gi"});
    let status = json!({"status": {
        "capacity": room,
        "allocatable": room,
        "conditions": conditions,
        "addresses": [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": name}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": PORT}},
        "nodeInfo": {
            "architecture": arch(), "operatingSystem": "linux", "kubeletVersion": "v1.37.2",
            "kubeProxyVersion": "", "containerRuntimeVersion": "process://1", "kernelVersion": "", "osImage": "",
            "bootID": "", "machineID": "", "systemUUID": "",
        },
    }});
    nodes.patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await?;
    // A new node is not to be scheduled on until a controller has seen it; that controller is not here.
    nodes.patch(name, &PatchParams::default(), &Patch::Merge(json!({"spec": {"taints": null}}))).await?;
    Ok(())
}

fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
