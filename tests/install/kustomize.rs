//! What each overlay consists of.

use crate::manifests::{Manifests, at, text};
use crate::tools::{kustomize, read, repository};
use serde_json::{Value, json};
use std::fs;

const BASE: [&str; 9] = [
    "ClusterRole tidegate",
    "ClusterRole tidegate-secrets",
    "ClusterRoleBinding tidegate",
    "IngressClass tidegate",
    "Namespace tidegate",
    "Role tidegate/tidegate",
    "RoleBinding tidegate/tidegate",
    "RoleBinding tidegate/tidegate-secrets",
    "ServiceAccount tidegate/tidegate",
];

fn consists_of(overlay: &str, own: &[&str]) {
    let mut expected: Vec<&str> = BASE.into_iter().chain(own.iter().copied()).collect();
    expected.sort_unstable();
    assert_eq!(Manifests::overlay(overlay).names(), expected, "{overlay}");
}

#[test]
fn overlays_consist_of_these_objects() {
    let deployment =
        ["Deployment tidegate/tidegate", "PodDisruptionBudget tidegate/tidegate", "Service tidegate/tidegate"];
    consists_of("deployment", &deployment);
    consists_of("dns", &[deployment.as_slice(), &["Service tidegate/tidegate-dns"]].concat());
    consists_of(
        "daemonset",
        &["ClusterRole tidegate-nodes", "ClusterRoleBinding tidegate-nodes", "DaemonSet tidegate/tidegate"],
    );
}

#[test]
fn every_overlay_is_known_to_these_tests() {
    let entries = fs::read_dir(repository("deploy/kustomize/overlays")).expect("the overlays");
    let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
    names.sort();
    assert_eq!(names, ["daemonset", "deployment", "dns", "kube-dns", "node-local-dns"]);
}

#[test]
fn dns_is_on_port_53_over_both_protocols_and_leads_to_the_container() {
    let manifests = Manifests::overlay("dns");
    let service = manifests.find("Service", "tidegate-dns");
    let expected = json!([
        {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": "dns"},
        {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": "dns-tcp"},
    ]);
    assert_eq!(at(service, "/spec/ports"), &expected);
    let ports = at(manifests.container(), "/ports").as_array().expect("ports");
    for (name, protocol) in [("dns", "UDP"), ("dns-tcp", "TCP")] {
        assert!(ports.contains(&json!({"name": name, "containerPort": 5353, "protocol": protocol})), "{ports:?}");
    }
}

#[test]
fn daemonset_takes_the_ports_of_the_node_for_traffic_and_loopback_for_the_rest() {
    let manifests = Manifests::overlay("daemonset");
    let pod = at(manifests.workload(), "/spec/template/spec");
    assert_eq!(at(pod, "/hostNetwork"), true);
    assert_eq!(at(pod, "/dnsPolicy"), "ClusterFirstWithHostNet");
    assert_eq!(at(manifests.workload(), "/spec/updateStrategy/rollingUpdate"), &json!({"maxUnavailable": 1}));
    let arguments = manifests.arguments();
    for expected in ["--http-bind=0.0.0.0:80", "--https-bind=0.0.0.0:443", "--publish-node-addresses"] {
        assert!(arguments.contains(&expected), "{expected} in {arguments:?}");
    }
    for flag in ["--dns-bind=", "--admin-bind="] {
        let address = arguments.iter().find_map(|argument| argument.strip_prefix(flag)).expect("is bound");
        assert!(address.starts_with("127.0.0.1:"), "{flag}{address}");
    }
    for probe in ["/livenessProbe", "/readinessProbe"] {
        assert_eq!(text(at(manifests.container(), probe), "/httpGet/host"), "127.0.0.1");
    }
}

/// Taken as they are, but for where the repository lies: an image of no registry is one that no node has.
#[test]
fn kustomizations_in_the_docs_take_every_image_from_where_it_is() {
    let docs = read("docs/dns.md");
    let blocks = docs.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    // Those of a list are indented.
    let blocks = blocks.map(|block| (block.len() - block.trim_start().len(), block));
    let blocks = blocks.map(|(depth, block)| {
        block.lines().map(|line| line.get(depth..).unwrap_or_default()).collect::<Vec<_>>().join("\n")
    });
    let whole: Vec<_> = blocks.filter(|block| block.starts_with("resources:\n- ../tidegate/")).collect();
    assert_eq!(whole.len(), 3, "{whole:#?}");
    for text in whole {
        let own = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary folder");
        let up = "../".repeat(own.path().strip_prefix(repository("")).expect("is below the repository").iter().count());
        fs::write(own.path().join("kustomization.yaml"), text.replace("../tidegate/", &up))
            .expect("a file can be written");
        let manifests = Manifests::parse(&kustomize(own.path()));
        let pod = at(manifests.workload(), "/spec/template/spec");
        let containers =
            ["containers", "initContainers"].map(|list| pod[list].as_array().map_or(&[][..], Vec::as_slice));
        let images: Vec<_> =
            containers.concat().iter().map(|container: &Value| container["image"].to_string()).collect();
        let is_there =
            |image: &String| ["\"registry.example/tidegate", "\"busybox:"].iter().any(|known| image.starts_with(known));
        assert!(images.iter().all(is_there), "{images:?}\n{text}");
    }
}

/// Another namespace, another image and a component, as somebody's own kustomization has them.
#[test]
fn an_own_kustomization_can_rename_reimage_and_extend() {
    let own = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary folder");
    let up = "../".repeat(own.path().strip_prefix(repository("")).expect("is below the repository").iter().count());
    let text = format!(
        "namespace: edge\nresources: [{up}deploy/kustomize/overlays/deployment]\ncomponents: [{up}deploy/kustomize/\
         components/all-secrets]\nimages: [{{name: tidegate, newName: registry.example/tidegate, newTag: '7'}}]\n"
    );
    fs::write(own.path().join("kustomization.yaml"), text).expect("a file can be written");
    let manifests = Manifests::parse(&kustomize(own.path()));
    assert_eq!(at(manifests.container(), "/image"), "registry.example/tidegate:7");
    assert!(manifests.arguments().contains(&"--publish-service=$(POD_NAMESPACE)/tidegate"));
    for binding in manifests.of_kind("RoleBinding").chain(manifests.of_kind("ClusterRoleBinding")) {
        assert_eq!(at(binding, "/subjects/0/namespace"), "edge", "{binding}");
    }
    assert_eq!(manifests.of_kind("ClusterRoleBinding").count(), 2);
    manifests.find("Namespace", "edge");
}
