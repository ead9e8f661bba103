//! A node whose own server has taken over the addresses of the Service kube-dns, one of each family: the overlay with its
//! component, beside a server in a Pod, which is all that is behind the Service, and the rules of kube-proxy that lead there.

use super::asker::Asking;
use crate::harness::{Cluster, SOON};
use crate::tools::repository;
use anyhow::{Context as _, ensure};
use ground::{Ground, Options, until};
use rustix::process::Pid;
use serde_json::json;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

pub(super) const SERVICE: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(10, 96, 0, 10)),
    // As kubeadm chooses ranges: of the site, and so nearer to Pods than the node's own address, were it to choose.
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x10, 0x96, 0, 0, 0, 0, 10)),
];
/// The ground's own address, and one of the other family that it gets.
pub(super) const NODE: [IpAddr; 2] =
    [IpAddr::V4(ground::ADDRESS), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))];
/// The grounds of these tests have two nodes in one network.
const SECOND_NODE: &str = "10.0.0.2";
const DAEMON_SET: &str = "--selector=app.kubernetes.io/name=tidegate-node-dns";

/// What the kubelet of the ground does not do: a resolver of the node.
const RESOLVER: &str = r#"{"spec":{"replicas":1,"template":{"spec":{"dnsConfig":{"nameservers":["10.0.0.1"]}}}}}"#;
const CLIENT: &str = "
apiVersion: v1
kind: Pod
metadata: {name: client}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {name: client, image: host, command: [sleep, infinity]}
";

pub(super) struct Node {
    kustomization: TempDir,
    /// The programs of the image that the component's Dockerfile makes: those of busybox, and nft.
    _programs: TempDir,
    pub(super) client: Pod,
    /// Where the Service leads.
    pub(super) endpoint: Pod,
    pub(super) cluster: Cluster,
}

/// A Pod with an address of each family.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pod {
    pub(super) process: u32,
    pub(super) addresses: [IpAddr; 2],
}

impl Node {
    /// Without a server of the node's own yet.
    pub(super) fn up() -> anyhow::Result<Self> {
        let cluster = Cluster::bare(&Options::default())?;
        let ground = &cluster.ground;
        let folder = |path: &str| repository(&format!("deploy/kustomize/{path}")).display().to_string();
        for file in ["service.yaml", "corefile.yaml"] {
            ground.kubectl(&["apply", "--filename", &folder(&format!("components/kube-dns-service/{file}"))])?;
        }
        ground.kubectl(&["apply", "-k", &folder("overlays/kube-dns")])?;
        system(ground, &["patch", "deployment", "tidegate-dns", "--patch", RESOLVER])?;
        system(ground, &["rollout", "status", "deployment", "tidegate-dns", "--timeout=60s"])?;
        ground.apply(CLIENT)?;
        ground.enter(|| std::fs::write("/proc/sys/net/ipv6/conf/all/forwarding", "1"))??;
        // The addresses of a node are those of a device. One of `lo` would come before that of the Service anyhow.
        ip(ground, "link add eth0 type veth peer name world")?;
        ip(ground, "link set eth0 up")?;
        for address in [NODE[0].to_string(), SECOND_NODE.to_owned()] {
            ip(ground, &format!("address add {address}/32 dev eth0"))?;
            ip(ground, &format!("address del {address}/32 dev lo"))?;
        }
        ip(ground, &format!("-6 address add {}/128 dev eth0 nodad", NODE[1]))?;
        let client = Pod::found(ground, "default", "client")?;
        let endpoint = until("one Pod is behind the Service", SOON, || {
            let selector = ["get", "pods", "--selector=app.kubernetes.io/name=tidegate-dns"];
            let names = system(ground, &[&selector[..], &["--output=jsonpath={.items[*].metadata.name}"]].concat())?;
            ensure!(!names.contains(' '), "{names}");
            Ok(Some(names))
        })?;
        let endpoint = Pod::found(ground, "kube-system", &endpoint)?;
        let programs = programs()?;
        let kustomization = kustomization(programs.path())?;
        let node = Self { kustomization, _programs: programs, client, endpoint, cluster };
        node.lead_to_endpoint()?;
        Ok(node)
    }

    /// Installs the overlay with its component, and waits until its Pod is ready.
    pub(super) fn install(&self) -> anyhow::Result<()> {
        let path = self.kustomization.path().display().to_string();
        self.cluster.ground.kubectl(&["apply", "-k", &path])?;
        self.system(&["rollout", "status", "daemonset", "tidegate-node-dns", "--timeout=60s"]).map(drop)
    }

    /// Removes all that [`Self::install`] has made but for the account, which the server in the Pod has too, and waits for
    /// the end of the Pod.
    pub(super) fn remove(&self) -> anyhow::Result<()> {
        self.system(&["delete", "daemonset", "tidegate-node-dns"])?;
        self.system(&["wait", "--for=delete", "pod", DAEMON_SET, "--timeout=60s"]).map(drop)
    }

    /// The processes of the Pod's two containers.
    pub(super) fn processes(&self) -> anyhow::Result<Vec<Pid>> {
        let ids = "--output=jsonpath={.items[*].status.containerStatuses[*].containerID}";
        let ids = self.system(&["get", "pods", DAEMON_SET, ids])?;
        let processes = ids.split(' ').filter_map(|id| Pid::from_raw(id.strip_prefix("process://")?.parse().ok()?));
        let processes: Vec<_> = processes.collect();
        ensure!(processes.len() == 2, "{ids}");
        Ok(processes)
    }

    /// Tells the node's Pod to end, which is replaced when it has ended.
    pub(super) fn end_pod(&self) -> anyhow::Result<()> {
        self.system(&["delete", "pod", DAEMON_SET, "--wait=false"]).map(drop)
    }

    /// What the container with the rules has said before it ended.
    pub(super) fn last_words_of_rules(&self) -> anyhow::Result<String> {
        self.system(&["logs", "daemonset/tidegate-node-dns", "--container=rules", "--previous"])
    }

    pub(super) fn system(&self, arguments: &[&str]) -> anyhow::Result<String> {
        system(&self.cluster.ground, arguments)
    }

    /// What a program says on the node.
    pub(super) fn run(&self, command: &str) -> anyhow::Result<String> {
        run(&self.cluster.ground, command)
    }

    /// The node's rules as nft shows them; empty: there are none.
    pub(super) fn rules(&self) -> anyhow::Result<String> {
        if self.run("nft list tables")?.contains("tidegate_node_dns") {
            self.run("nft list table inet tidegate_node_dns")
        } else {
            Ok(String::new())
        }
    }

    /// The addresses of the node's loopback device, one a line.
    pub(super) fn addresses(&self) -> anyhow::Result<String> {
        self.run("ip -oneline address show dev lo")
    }

    /// Who answers a Pod at each address of the Service, over UDP.
    pub(super) fn who(&self) -> anyhow::Result<[IpAddr; 2]> {
        Ground::enter_network_of(self.client.process, || {
            let [four, six] = SERVICE.map(|server| Asking::of(server)?.who());
            Ok([four?, six?])
        })?
    }

    /// Waits until these answer a Pod.
    pub(super) fn until_answered_by(&self, who: [IpAddr; 2]) -> anyhow::Result<()> {
        until(&format!("{who:?} answer"), SOON, || {
            let found = self.who()?;
            ensure!(found == who, "{found:?} answer");
            Ok(Some(()))
        })
    }

    /// The connections to and from the Service that connection tracking knows.
    pub(super) fn tracked(&self) -> anyhow::Result<Vec<String>> {
        let all = [self.run("conntrack -L -f ipv4")?, self.run("conntrack -L -f ipv6")?].concat();
        let is_of_service = |line: &&str| {
            line.split(' ')
                .filter_map(|word| word.split_once('='))
                .any(|(_, value)| value.parse().is_ok_and(|address: IpAddr| SERVICE.contains(&address)))
        };
        Ok(all.lines().filter(is_of_service).map(str::to_owned).collect())
    }

    fn lead_to_endpoint(&self) -> anyhow::Result<()> {
        let [four, six] = self.endpoint.addresses;
        let families = [("ip", four.to_string(), "10.244.0.0/16"), ("ip6", format!("[{six}]"), "fd00:10:244::/48")];
        for ((family, endpoint, pods), service) in families.into_iter().zip(SERVICE) {
            let rules = include_str!("kube-proxy.nft").replace("FAMILY", family).replace("ENDPOINT", &endpoint);
            let rules = rules.replace("SERVICE", &service.to_string()).replace("PODS", pods);
            let path = self.kustomization.path().join(format!("kube-proxy.{family}"));
            std::fs::write(&path, rules)?;
            self.run(&format!("nft -f {}", path.display()))?;
        }
        Ok(())
    }
}

impl Pod {
    /// Waits until it runs, and gives it an address of the other family, behind the same device as the one that it has.
    fn found(ground: &Ground, namespace: &str, name: &str) -> anyhow::Result<Self> {
        let process = until("the Pod runs", SOON, || ground.process_of(namespace, name).map(Some))?;
        let four = ["get", "pod", name, "--namespace", namespace, "--output=jsonpath={.status.podIP}"];
        let four: Ipv4Addr = ground.kubectl(&four)?.parse()?;
        let [.., high, low] = four.octets();
        let six = Ipv6Addr::new(0xfd00, 0x10, 0x244, 0, 0, 0, 0, u16::from_be_bytes([high, low]));
        let route = run(ground, &format!("ip -oneline route get {four}"))?;
        let device = route.split(" dev ").nth(1).and_then(|rest| rest.split(' ').next()).context("no device")?;
        ip(ground, &format!("-6 address add fe80::1/64 dev {device} nodad"))?;
        ip(ground, &format!("-6 route add {six}/128 dev {device}"))?;
        Ground::enter_network_of(process, || -> anyhow::Result<()> {
            let address = format!("address add {six}/128 dev eth0 nodad");
            for command in [address.as_str(), "route add default via fe80::1 dev eth0"] {
                let output = Command::new("ip").arg("-6").args(command.split(' ')).output()?;
                ensure!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
            }
            Ok(())
        })??;
        Ok(Self { process, addresses: [four.into(), six.into()] })
    }
}

fn system(ground: &Ground, arguments: &[&str]) -> anyhow::Result<String> {
    ground.kubectl(&[arguments, &["--namespace=kube-system"]].concat())
}

fn ip(ground: &Ground, arguments: &str) -> anyhow::Result<()> {
    run(ground, &format!("ip {arguments}")).map(drop)
}

fn run(ground: &Ground, command: &str) -> anyhow::Result<String> {
    let mut words = command.split(' ');
    let mut program = Command::new(words.next().unwrap_or_default());
    program.args(words);
    let output = ground.run(program)?;
    ensure!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

fn programs() -> anyhow::Result<TempDir> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let made = Command::new("busybox").args(["--install", "-s"]).arg(folder.path()).status().context("busybox")?;
    ensure!(made.success(), "busybox --install: {made}");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let nft = std::env::split_paths(&path).map(|folder| folder.join("nft")).find(|nft: &PathBuf| nft.is_file());
    std::os::unix::fs::symlink(nft.context("no nft in PATH")?, folder.path().join("nft"))?;
    Ok(folder)
}

/// As somebody's own. The nodes of a ground share one network, so that one Pod has to do.
fn kustomization(programs: &Path) -> anyhow::Result<TempDir> {
    let own = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let up = "../".repeat(own.path().strip_prefix(repository(""))?.iter().count());
    let path = json!([{"name": "PATH", "value": programs}]);
    let pod = json!({
        "nodeSelector": {"kubernetes.io/hostname": "node-1"},
        "dnsConfig": {"nameservers": ["10.0.0.1"]},
        "initContainers": [{"name": "begin", "env": path}],
        "containers": [{"name": "rules", "env": path}],
    });
    let metadata = json!({"name": "tidegate-node-dns", "namespace": "kube-system"});
    let daemon_set = json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": metadata, "spec": {"template": {"spec": pod}}});
    let service = SERVICE.map(|address| address.to_string()).join(",");
    let service = json!([{"op": "replace", "path": "/data/service", "value": service}]);
    let kustomization = json!({
        "resources": [format!("{up}deploy/kustomize/overlays/node-local-dns")],
        "components": [format!("{up}deploy/kustomize/components/node-local-service-address")],
        "patches": [
            {"patch": daemon_set.to_string()},
            {"target": {"kind": "ConfigMap", "name": "tidegate-node-dns"}, "patch": service.to_string()},
        ],
    });
    std::fs::write(own.path().join("kustomization.yaml"), kustomization.to_string())?;
    Ok(own)
}
