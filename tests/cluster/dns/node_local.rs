//! `tidegate dns` on a node, at an address that its own init container gives the node.

use super::client::{Client, says};
use crate::harness::{Cluster, SOON};
use crate::tools::repository;
use ground::{Options, until};

/// The nodes of a ground share one network, so that one Pod has to do; its kubelet gives it no resolver of the node.
const ONE_NODE: &str = r#"{"spec":{"template":{"spec":{"nodeSelector":{"kubernetes.io/hostname":"node-1"},"dnsConfig":{"nameservers":["127.0.0.1"]}}}}}"#;

const CLIENT: &str = "
apiVersion: v1
kind: Pod
metadata: {name: client}
spec:
  terminationGracePeriodSeconds: 0
  dnsPolicy: None
  dnsConfig:
    nameservers: [169.254.20.10]
    searches: [default.svc.cluster.local, svc.cluster.local, cluster.local]
    options: [{name: ndots, value: '5'}]
  containers:
  - {name: client, image: host, command: [sleep, infinity]}
";

#[test]
fn a_node_has_a_name_server_of_its_own() -> anyhow::Result<()> {
    let cluster = Cluster::bare(&Options::default())?;
    let ground = &cluster.ground;
    let overlay = repository("deploy/kustomize/overlays/node-local-dns").display().to_string();
    ground.kubectl(&["apply", "-k", &overlay])?;
    let system = |arguments: &[&str]| ground.kubectl(&[arguments, &["--namespace=kube-system"]].concat());
    system(&["patch", "daemonset", "tidegate-node-dns", "--patch", ONE_NODE])?;
    system(&["rollout", "status", "daemonset", "tidegate-node-dns", "--timeout=60s"])?;
    ground.apply(CLIENT)?;
    let client = Client::new(until("the client runs", SOON, || ground.process_of("default", "client").map(Some))?);
    says(&client, &["getent", "ahostsv4", "kubernetes.default"], &["10.96.0.1"])?;
    says(&client, &["dig", "+tcp", "+short", "kubernetes.default.svc.cluster.local"], &["10.96.0.1"])?;
    // A second Pod finds the address there.
    system(&["rollout", "restart", "daemonset", "tidegate-node-dns"])?;
    system(&["rollout", "status", "daemonset", "tidegate-node-dns", "--timeout=60s"])?;
    says(&client, &["getent", "hosts", "10.96.0.1"], &["kubernetes.default.svc.cluster.local"])
}
