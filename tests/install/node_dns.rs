//! `tidegate dns` on every node: the overlay with its component, and the chart's values for the same.

use crate::agreement::without_labels;
use crate::kube_dns::{ACCOUNT, names_alone, with_components};
use crate::manifests::{Manifests, at, text};
use crate::rights::rights_of;
use crate::tools::read;
use serde_json::Value;
use std::collections::BTreeSet;

const ENABLED: &str = "dns.nodeLocal.enabled=true";
const SERVICE: &str = "dns.nodeLocal.serviceAddresses={10.96.0.10}";
const NAME: &str = "tidegate-node-dns";
const CHECKSUM: &str = "/spec/template/metadata/annotations/checksum~1rules";

/// Without labels, and without what tells the ConfigMap's content: in its name, as kustomize has it, or in an annotation.
fn plain(object: &Value) -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::String(text) if text.starts_with(NAME) => NAME.clone_into(text),
            Value::Array(items) => items.iter_mut().for_each(strip),
            Value::Object(fields) => fields.values_mut().for_each(strip),
            _ => {}
        }
    }
    let mut value = object.clone();
    if let Some(Value::Object(pod)) = value.pointer_mut("/spec/template/metadata") {
        pod.remove("annotations");
    }
    let mut value = without_labels(value);
    strip(&mut value);
    value
}

fn arguments(manifests: &Manifests) -> Vec<&str> {
    let arguments = at(manifests.workload(), "/spec/template/spec/containers/0/args").as_array().expect("arguments");
    arguments.iter().map(|argument| argument.as_str().expect("arguments are texts")).collect()
}

fn rights(manifests: &Manifests) -> Vec<String> {
    rights_of(manifests, ACCOUNT).into_iter().collect()
}

#[test]
fn the_chart_makes_the_same_as_the_overlay_and_its_component() {
    let without = (Manifests::overlay("node-local-dns"), names_alone(&[ENABLED]));
    let with = (with_components("node-local-dns", &["node-local-service-address"]), names_alone(&[ENABLED, SERVICE]));
    for (overlay, chart) in [without, with] {
        assert_eq!(chart.0.len(), overlay.0.len(), "{:?}", chart.names());
        assert_eq!(rights(&chart), rights(&overlay));
        for object in overlay.0.iter().filter(|object| text(object, "/kind") != "ClusterRole") {
            let expected = plain(object);
            let same =
                chart.of_kind(text(object, "/kind")).map(plain).find(|one| one["metadata"] == expected["metadata"]);
            assert_eq!(same.as_ref(), Some(&expected), "{:?}", chart.names());
        }
    }
}

/// The account is the same, which kustomize does not take twice.
#[test]
fn both_servers_are_in_one_kustomization() {
    let central = Manifests::overlay("kube-dns");
    for components in [&["node-local-dns"][..], &["node-local-dns", "node-local-service-address"]] {
        let on_nodes = with_components("node-local-dns", components.get(1..).unwrap_or_default());
        let both = with_components("kube-dns", components);
        let expected: BTreeSet<_> = central.names().into_iter().chain(on_nodes.names()).collect();
        assert_eq!(both.names(), expected.into_iter().collect::<Vec<_>>());
        assert!(both.0.iter().all(|object| central.0.contains(object) || on_nodes.0.contains(object)));
    }
}

#[test]
fn no_values_for_the_nodes_are_none_that_add_anything() {
    assert_eq!(Manifests::chart(&["dns.nodeLocal=null"]).0, Manifests::chart(&[]).0);
    let central = ["kubeDns.enabled=true", "dns.nodeLocal=null"];
    assert_eq!(names_alone(&central).0, names_alone(&central[..1]).0);
}

/// With --reuse-values an older chart's values are all that there is.
#[test]
fn where_nothing_is_said_of_the_controller_it_is_installed() {
    for values in [&[][..], &["kubeDns.enabled=true"]] {
        let silent = [&["controller.enabled=null"], values].concat();
        assert_eq!(Manifests::chart(&silent).0, Manifests::chart(values).0);
    }
}

/// A chart takes no file from outside of its folder, and neither does a component.
#[test]
fn the_charts_rules_are_those_of_the_component() {
    let component = read("deploy/kustomize/components/node-local-service-address/rules.sh");
    assert_eq!(read("deploy/helm/tidegate/files/node-dns-rules.sh"), component, "copy the component's");
}

/// Pods are replaced when what they read at their start changes, and it is there until they are.
#[test]
fn another_config_map_of_the_chart_has_the_same_name_and_replaces_pods() {
    let found = |values: &[&str]| {
        let manifests = names_alone(&[&[ENABLED], values].concat());
        let map = manifests.of_kind("ConfigMap").next().expect("a ConfigMap");
        let [mounted, read] = ["volumes/0/configMap/name", "containers/1/env/0/valueFrom/configMapKeyRef/name"]
            .map(|place| text(manifests.workload(), &format!("/spec/template/spec/{place}")));
        assert_eq!([text(map, "/metadata/name"), mounted, read], [NAME; 3]);
        text(manifests.workload(), CHECKSUM).to_owned()
    };
    assert_eq!(found(&[SERVICE]), found(&[SERVICE]));
    assert_ne!(found(&[SERVICE]), found(&["dns.nodeLocal.serviceAddresses={10.96.0.11}"]));
}

#[test]
fn the_charts_pods_are_as_values_say() {
    let both = "dns.nodeLocal.serviceAddresses={10.96.0.10,fd00:10:96::a}";
    let manifests = names_alone(&[
        ENABLED,
        both,
        "dns.nodeLocal.address=169.254.20.11",
        "dns.nodeLocal.extraArgs={\"cluster-domain\":\"example.internal\",\"dns-upstream\":[\"192.0.2.53\",\"192.0.2.54\"]}",
        "dns.nodeLocal.rulesImage=rules:7",
        "global.imageRegistry=registry.example",
    ]);
    let map = manifests.of_kind("ConfigMap").next().expect("a ConfigMap");
    assert_eq!(text(map, "/data/service"), "10.96.0.10,fd00:10:96::a");
    let pod = at(manifests.workload(), "/spec/template/spec");
    assert!(!pod.to_string().contains("169.254.20.10"), "{pod}");
    let images = ["/initContainers/0", "/initContainers/1", "/containers/0", "/containers/1"];
    let expected = ["rules:7", "busybox:1.37", concat!("tidegate:", env!("CARGO_PKG_VERSION")), "rules:7"];
    for (container, image) in images.into_iter().zip(expected) {
        assert_eq!(text(at(pod, container), "/image"), format!("registry.example/{image}"));
    }
    let arguments = arguments(&manifests);
    for argument in ["--cluster-domain=example.internal", "--dns-upstream=192.0.2.53", "--dns-upstream=192.0.2.54"] {
        assert!(arguments.contains(&argument), "{arguments:?}");
    }
}

/// One account has all of it, be it of the server behind the Service, of those on the nodes or of both.
#[test]
fn the_chart_grants_what_the_flags_need() {
    let plain = rights(&names_alone(&[ENABLED]));
    let more = |values: &[&str]| {
        let granted = rights(&names_alone(&[&[ENABLED], values].concat()));
        assert!(plain.iter().all(|right| granted.contains(right)), "{granted:?}");
        granted.into_iter().filter(|right| !plain.contains(right)).collect::<Vec<_>>()
    };
    let (pods, imports) = ("* core/pods list,watch", "* multicluster.x-k8s.io/serviceimports list,watch");
    assert_eq!(more(&["dns.nodeLocal.extraArgs.dns-pods=verified"]), [pods]);
    assert_eq!(more(&["dns.nodeLocal.extraArgs.dns-pods=disabled"]), [""; 0]);
    assert_eq!(more(&["dns.nodeLocal.extraArgs=null", "dns.nodeLocal.serviceAddresses=null"]), [""; 0]);
    assert_eq!(more(&["dns.clustersetDomain=clusterset.local"]), [imports]);
    assert_eq!(more(&["kubeDns.enabled=true", "kubeDns.multicluster=true"]), [imports]);
    let both = names_alone(&[ENABLED, "kubeDns.enabled=true"]);
    assert_eq!(both.of_kind("ServiceAccount").count(), 1, "{:?}", both.names());
}
