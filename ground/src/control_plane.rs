//! The command lines of etcd, the API server and the controller manager.

use crate::credentials::Credentials;
use crate::{ADDRESS, binaries};
use std::path::Path;
use std::process::Command;

/// The controllers whose work does not need a cloud, a node's life or a volume.
const CONTROLLERS: [&str; 17] = [
    "cronjob-controller",
    "daemonset-controller",
    "deployment-controller",
    "disruption-controller",
    "endpoints-controller",
    "endpointslice-controller",
    "endpointslice-mirroring-controller",
    "garbage-collector-controller",
    "horizontal-pod-autoscaler-controller",
    "job-controller",
    "namespace-controller",
    "replicaset-controller",
    "replicationcontroller-controller",
    "root-ca-certificate-publisher-controller",
    "serviceaccount-controller",
    "statefulset-controller",
    "ttl-after-finished-controller",
];

/// Where etcd answers clients, inside the ground alone.
pub const ETCD: &str = "127.0.0.1:2379";

/// # Errors
/// Where etcd is not built.
pub(crate) fn etcd(directory: &Path) -> anyhow::Result<Command> {
    let (client, peer) = (format!("http://{ETCD}"), "http://127.0.0.1:2380");
    let mut command = Command::new(binaries::find("etcd")?);
    command.arg("--data-dir").arg(directory.join("etcd"));
    command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
    command.args(["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]);
    command.args(["--initial-cluster", &format!("default={peer}"), "--unsafe-no-fsync", "--log-level", "warn"]);
    Ok(command)
}

/// # Errors
/// Where the API server is not built.
pub(crate) fn api_server(credentials: &Credentials, more: &[String]) -> anyhow::Result<Command> {
    let mut command = Command::new(binaries::find("kube-apiserver")?);
    command.args([
        &format!("--etcd-servers=http://{ETCD}"),
        &format!("--bind-address={ADDRESS}"),
        &format!("--advertise-address={ADDRESS}"),
        "--secure-port=6443",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--authorization-mode=RBAC",
        "--allow-privileged",
        "--kubelet-preferred-address-types=InternalIP",
    ]);
    for (flag, file) in [
        ("tls-cert-file", "server.crt"),
        ("tls-private-key-file", "server.key"),
        ("token-auth-file", "tokens.csv"),
        ("service-account-key-file", "sa.pub"),
        ("service-account-signing-key-file", "sa.key"),
        ("kubelet-certificate-authority", "ca.crt"),
    ] {
        command.arg(format!("--{flag}={}", credentials.path(file).display()));
    }
    command.args(more);
    Ok(command)
}

/// # Errors
/// Where the controller manager is not built.
pub(crate) fn controller_manager(credentials: &Credentials) -> anyhow::Result<Command> {
    let mut command = Command::new(binaries::find("kube-controller-manager")?);
    command.args(["--leader-elect=false", "--bind-address=127.0.0.1"]);
    command.arg(format!("--controllers={}", CONTROLLERS.join(",")));
    for (flag, file) in
        [("kubeconfig", "kubeconfig"), ("root-ca-file", "ca.crt"), ("service-account-private-key-file", "sa.key")]
    {
        command.arg(format!("--{flag}={}", credentials.path(file).display()));
    }
    Ok(command)
}
