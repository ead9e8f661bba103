//! `tidegate dns` in the place of CoreDNS, in a cluster that never had one; beside it a resolver for what is outside.

use super::client::Client;
use super::service_address::ServiceAddress;
use crate::harness::{Cluster, SOON};
use crate::tools::repository;
use anyhow::ensure;
use ground::{Options, Process, until};
use std::process::{Command, Stdio};
use tempfile::TempDir;

pub(crate) const ACCOUNT: &str = "system:serviceaccount:kube-system:tidegate-dns";

/// The one name outside, in a zone of its own.
const OUTSIDE: &str = "{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}, spec: {clusterIP: 192.0.2.80, ports: [{port: 80}]}}";
const UPSTREAM: &str = "10.0.0.1";
/// The kubelet of the ground gives a Pod what its `dnsConfig` says, and nothing of its node's.
const NODE_RESOLVER: &str = r#"{"spec":{"template":{"spec":{"dnsConfig":{"nameservers":["10.0.0.1"]}}}}}"#;

/// A Pod with the resolv.conf that kubelets give to Pods of the namespace `default`, but that glibc asks once.
const CLIENT: &str = "
apiVersion: v1
kind: Pod
metadata: {name: client}
spec:
  terminationGracePeriodSeconds: 0
  dnsPolicy: None
  dnsConfig:
    nameservers: [10.96.0.10]
    searches: [default.svc.cluster.local, svc.cluster.local, cluster.local]
    options: [{name: ndots, value: '5'}, {name: attempts, value: '1'}, {name: timeout, value: '3'}]
  containers:
  - {name: client, image: host, command: [sleep, infinity]}
";

pub(crate) struct Installed {
    service: ServiceAddress,
    _upstream: Process,
    _names: TempDir,
    pub(crate) cluster: Cluster,
}

impl Installed {
    /// With two replicas that are ready.
    pub(crate) fn up(options: &Options) -> anyhow::Result<Self> {
        let cluster = Cluster::bare(options)?;
        let names = tempfile::tempdir()?;
        std::fs::write(names.path().join("names.yaml"), OUTSIDE)?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        command.arg("dns").arg("--manifests").arg(names.path());
        command.args(["--cluster-domain=upstream.example", "--dns-upstream=127.0.0.1:9"]);
        command.arg(format!("--dns-bind={UPSTREAM}:53"));
        command.args(["--health-bind=off", "--ready-bind=off", "--metrics-bind=off"]);
        let upstream = cluster.ground.spawn({
            command.stdout(Stdio::null()).stderr(Stdio::inherit());
            command
        })?;
        let folder = |path: &str| repository(&format!("deploy/kustomize/{path}")).display().to_string();
        let component = folder("components/kube-dns-service");
        for file in ["service.yaml", "corefile.yaml"] {
            cluster.ground.kubectl(&["apply", "--filename", &format!("{component}/{file}")])?;
        }
        cluster.ground.kubectl(&["apply", "-k", &folder("overlays/kube-dns")])?;
        let service = ServiceAddress::up(&cluster.ground)?;
        let installed = Self { service, _upstream: upstream, _names: names, cluster };
        installed.system(&["patch", "deployment", "tidegate-dns", "--patch", NODE_RESOLVER])?;
        installed.system(&["rollout", "status", "deployment", "tidegate-dns", "--timeout=60s"])?;
        Ok(installed)
    }

    fn system(&self, arguments: &[&str]) -> anyhow::Result<String> {
        self.cluster.ground.kubectl(&[arguments, &["--namespace=kube-system"]].concat())
    }

    /// A Pod that asks.
    pub(crate) fn client(&self) -> anyhow::Result<Client> {
        let ground = &self.cluster.ground;
        ground.apply(CLIENT)?;
        let process = until("the client runs", SOON, || ground.process_of("default", "client").map(Some))?;
        Ok(Client::new(process))
    }

    /// The addresses of the Pods `NAME-0` and so on, once all are ready.
    pub(crate) fn addresses_of(&self, set: &str, count: usize) -> anyhow::Result<Vec<String>> {
        let ground = &self.cluster.ground;
        ground.kubectl(&["rollout", "status", "statefulset", set, "--timeout=60s"])?;
        let path = "--output=jsonpath={.status.podIP}";
        let pods = (0..count).map(|number| format!("{set}-{number}"));
        let addresses = pods.map(|pod| ground.kubectl(&["get", "pod", &pod, path]));
        addresses.collect()
    }

    /// Replaces both replicas, and waits until the old ones have ended.
    pub(crate) fn roll_out(&self) -> anyhow::Result<()> {
        let before = self.replicas()?;
        ensure!(before.len() == 2, "{before:?}");
        self.system(&["rollout", "restart", "deployment", "tidegate-dns"])?;
        self.system(&["rollout", "status", "deployment", "tidegate-dns", "--timeout=60s"])?;
        until("the old replicas end", SOON, || {
            let replicas = self.replicas()?;
            Ok((replicas.len() == 2 && replicas.iter().all(|replica| !before.contains(replica))).then_some(()))
        })
    }

    /// What `/ready` of each endpoint of the Service says.
    pub(crate) fn ready(&self) -> anyhow::Result<Vec<u16>> {
        let endpoints = self.service.endpoints().into_iter();
        let statuses = endpoints.map(|ip| Ok(self.cluster.get(&format!("{ip}:8181"), "localhost", "/ready")?.0));
        statuses.collect()
    }

    fn replicas(&self) -> anyhow::Result<Vec<String>> {
        let selector = "--selector=app.kubernetes.io/name=tidegate-dns";
        Ok(self.system(&["get", "pods", selector, "--output=name"])?.lines().map(str::to_owned).collect())
    }
}
