//! `tidegate dns` in the place of CoreDNS: the overlays and components, and the chart's switch for the same.

use crate::agreement::without_labels;
use crate::arguments::tried;
use crate::manifests::{Manifests, at, text};
use crate::rights::rights_of;
use crate::tools::{kustomize, repository, template};
use serde_json::{Value, json};
use std::fs;
use std::process::Command;

pub(crate) const ACCOUNT: (&str, &str) = ("kube-system", "tidegate-dns");
/// All that names are made of.
const RIGHTS: [&str; 3] =
    ["* core/namespaces list,watch", "* core/services list,watch", "* discovery.k8s.io/endpointslices list,watch"];
const PODS: &str = "* core/pods list,watch";
const BUDGET: &str = "kube-dns-disruption-budget";
const IMPORTS: &str = "* multicluster.x-k8s.io/serviceimports list,watch";

/// An overlay with components, as somebody's own kustomization has them.
pub(crate) fn with_components(overlay: &str, components: &[&str]) -> Manifests {
    let own = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary folder");
    let up = "../".repeat(own.path().strip_prefix(repository("")).expect("is below the repository").iter().count());
    let place = |kind: &str, name: &str| format!("{up}deploy/kustomize/{kind}/{name}");
    let components: Vec<_> = components.iter().map(|name| place("components", name)).collect();
    let text = json!({"resources": [place("overlays", overlay)], "components": components}).to_string();
    fs::write(own.path().join("kustomization.yaml"), text).expect("a file can be written");
    Manifests::parse(&kustomize(own.path()))
}

/// The chart with its switch, and nothing but names.
fn switched(values: &[&str]) -> Manifests {
    names_alone(&[&["kubeDns.enabled=true"], values].concat())
}

/// The chart without the ingress controller.
pub(crate) fn names_alone(values: &[&str]) -> Manifests {
    Manifests::chart(&[&["controller.enabled=false"], values].concat())
}

#[test]
fn the_overlay_leaves_alone_what_the_cluster_has() {
    let expected = [
        "ClusterRole tidegate-dns",
        "ClusterRoleBinding tidegate-dns",
        "Deployment kube-system/tidegate-dns",
        "ServiceAccount kube-system/tidegate-dns",
    ];
    assert_eq!(Manifests::overlay("kube-dns").names(), expected);
    let with_service = with_components("kube-dns", &["kube-dns-service"]);
    let own: Vec<_> = with_service.names().into_iter().filter(|name| !expected.contains(&name.as_str())).collect();
    assert_eq!(own, ["ConfigMap kube-system/coredns", "Service kube-system/kube-dns"]);
}

#[test]
fn no_secret_can_be_read_and_other_kinds_only_where_that_is_asked_for() {
    let granted = |manifests: &Manifests| rights_of(manifests, ACCOUNT).into_iter().collect::<Vec<_>>();
    let with_pods = [RIGHTS[0], PODS, RIGHTS[1], RIGHTS[2]];
    let with_imports = [&RIGHTS[..], &[IMPORTS]].concat();
    for overlay in ["kube-dns", "node-local-dns"] {
        assert_eq!(granted(&Manifests::overlay(overlay)), RIGHTS, "{overlay}");
        assert_eq!(granted(&with_components(overlay, &["verified-pods"])), with_pods, "{overlay}");
        assert_eq!(granted(&with_components(overlay, &["multicluster"])), with_imports, "{overlay}");
    }
    assert_eq!(granted(&switched(&[])), RIGHTS);
    assert_eq!(granted(&switched(&["kubeDns.verifiedPods=true"])), with_pods);
    assert_eq!(granted(&switched(&["kubeDns.multicluster=true"])), with_imports);
    assert!(granted(&switched(&["rbac.create=false"])).is_empty());
}

#[test]
fn the_chart_makes_the_same_as_the_overlay() {
    let with_budget = (with_components("kube-dns", &[BUDGET]), switched(&["kubeDns.podDisruptionBudget=true"]));
    for (overlay, chart) in [(Manifests::overlay("kube-dns"), switched(&[])), with_budget] {
        assert_eq!(chart.names(), overlay.names());
        for object in overlay.0.iter().filter(|object| text(object, "/kind") != "ClusterRole") {
            let same = chart.find(text(object, "/kind"), text(object, "/metadata/name"));
            assert_eq!(without_labels(same.clone()), without_labels(object.clone()));
        }
    }
    let one = switched(&["kubeDns.replicaCount=1", "kubeDns.configMap=mine", "kubeDns.podDisruptionBudget=true"]);
    assert_eq!(one.of_kind("PodDisruptionBudget").count(), 0, "no node could be drained");
    assert_eq!(at(one.workload(), "/spec/template/spec/volumes/0/configMap/name"), "mine");
}

/// Whatever is set of the controller, and with it beside, which changes nothing of this.
#[test]
fn the_charts_two_halves_are_each_for_itself() {
    let of_controller = [
        "controller.metrics.enabled=true",
        "controller.metrics.serviceMonitor.enabled=true",
        "controller.networkPolicy.enabled=true",
        "controller.autoscaling.enabled=true",
        "controller.publishNodeAddresses=true",
        "controller.scope.enabled=true",
        "controller.defaultBackendService=web/fallback:80",
        "controller.defaultTLSSecret=certs/default",
        "controller.ingressClassResource.aliases={nginx}",
    ];
    let (alone, controller) = (switched(&[]), Manifests::chart(&of_controller));
    assert_eq!(switched(&of_controller).0, alone.0);
    let both = Manifests::chart(&[&of_controller[..], &["kubeDns.enabled=true"]].concat());
    assert_eq!(both.names().len(), alone.0.len() + controller.0.len(), "{:?}", both.names());
    for object in alone.0.iter().chain(&controller.0) {
        assert!(both.0.contains(object), "{object}");
    }
}

/// The Service finds these Pods beside those of CoreDNS; each Deployment finds its own alone.
#[test]
fn pods_are_behind_the_service_kube_dns_and_of_their_own_deployment() {
    let service = with_components("kube-dns", &["kube-dns-service"]);
    let service = at(service.find("Service", "kube-dns"), "/spec/selector").clone();
    assert_eq!(service, json!({"k8s-app": "kube-dns"}));
    for manifests in [with_components("kube-dns", &[BUDGET]), switched(&["kubeDns.podDisruptionBudget=true"])] {
        let labels = at(manifests.workload(), "/spec/template/metadata/labels");
        assert_eq!(labels["k8s-app"], "kube-dns");
        for kind in ["Deployment", "PodDisruptionBudget"] {
            let object = manifests.of_kind(kind).next().expect("there is one");
            let selector = at(object, "/spec/selector/matchLabels").as_object().expect("labels");
            assert!(selector.iter().all(|(key, value)| labels.get(key) == Some(value)), "{selector:?} in {labels}");
            let of_coredns = json!({"k8s-app": "kube-dns", "pod-template-hash": "1"});
            assert!(selector.iter().any(|(key, value)| of_coredns.get(key) != Some(value)), "{kind}: {selector:?}");
        }
    }
}

/// A Pod that two PodDisruptionBudgets select is never evicted, and platforms have one for `k8s-app: kube-dns`.
#[test]
fn a_budget_of_the_cluster_is_the_only_one_unless_ours_is_asked_for() {
    let budgets = |manifests: &Manifests| manifests.of_kind("PodDisruptionBudget").count();
    assert_eq!([budgets(&Manifests::overlay("kube-dns")), budgets(&switched(&[]))], [0, 0]);
    let asked_for = [with_components("kube-dns", &[BUDGET]), switched(&["kubeDns.podDisruptionBudget=true"])];
    assert_eq!(asked_for.each_ref().map(budgets), [1, 1]);
}

/// What kubeadm's own manifest of CoreDNS has.
#[test]
fn pods_run_as_those_of_coredns_do() {
    for manifests in [Manifests::overlay("kube-dns"), switched(&[])] {
        let pod = at(manifests.workload(), "/spec/template/spec");
        assert_eq!(at(manifests.workload(), "/spec/replicas"), 2);
        assert_eq!(text(pod, "/priorityClassName"), "system-cluster-critical");
        assert_eq!(text(pod, "/dnsPolicy"), "Default");
        let tolerations = json!([
            {"key": "CriticalAddonsOnly", "operator": "Exists"},
            {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"},
        ]);
        assert_eq!(at(pod, "/tolerations"), &tolerations);
        let container = manifests.container();
        let resources = json!({"requests": {"cpu": "100m", "memory": "70Mi"}, "limits": {"memory": "170Mi"}});
        assert_eq!(at(container, "/resources"), &resources);
        let port =
            |name: &str, port: u16, protocol: &str| json!({"name": name, "containerPort": port, "protocol": protocol});
        let ports = json!([port("dns", 53, "UDP"), port("dns-tcp", 53, "TCP"), port("metrics", 9153, "TCP")]);
        assert_eq!(at(container, "/ports"), &ports);
        for (probe, name, port) in [("livenessProbe", "health", 8080), ("readinessProbe", "ready", 8181)] {
            let asked = at(container, &format!("/{probe}/httpGet"));
            assert_eq!((text(asked, "/path"), at(asked, "/port")), (&*format!("/{name}"), &json!(port)));
            // A Corefile without `ready`, as CoreDNS takes it too, would leave Pods that never are.
            let bound = format!("--{name}-bind=[::]:{port}");
            assert!(manifests.arguments().contains(&&*bound), "{bound}");
        }
        let alive = at(container, "/livenessProbe");
        let numbers = ["initialDelaySeconds", "timeoutSeconds", "failureThreshold"].map(|number| &alive[number]);
        assert_eq!(numbers, [&json!(60), &json!(5), &json!(5)]);
        assert_eq!(text(pod, "/volumes/0/configMap/name"), "coredns");
    }
}

#[test]
fn the_service_is_that_of_kubeadm() {
    let manifests = with_components("kube-dns", &["kube-dns-service"]);
    let port = |name: &str, port: u16, protocol: &str| json!({"name": name, "port": port, "protocol": protocol, "targetPort": port});
    let expected = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "kube-dns",
            "namespace": "kube-system",
            "labels": {
                "k8s-app": "kube-dns",
                "kubernetes.io/cluster-service": "true",
                "kubernetes.io/name": "CoreDNS",
            },
            "annotations": {"prometheus.io/port": "9153", "prometheus.io/scrape": "true"},
        },
        "spec": {
            // The tenth address of kubeadm's usual range.
            "clusterIP": "10.96.0.10",
            "ports": [port("dns", 53, "UDP"), port("dns-tcp", 53, "TCP"), port("metrics", 9153, "TCP")],
            "selector": {"k8s-app": "kube-dns"},
        },
    });
    assert_eq!(manifests.find("Service", "kube-dns"), &expected);
}

#[test]
fn pods_have_no_capability_but_for_port_53() {
    let all = ["kube-dns", "node-local-dns"].map(|overlay| (overlay, Manifests::overlay(overlay)));
    for (name, manifests) in all.into_iter().chain([("chart", switched(&[]))]) {
        let capabilities = json!({"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]});
        let pod = at(manifests.workload(), "/spec/template/spec");
        let security = at(manifests.container(), "/securityContext");
        assert_eq!(at(security, "/capabilities"), &capabilities, "{name}");
        assert_eq!(at(security, "/allowPrivilegeEscalation"), false, "{name}");
        assert_eq!(at(security, "/readOnlyRootFilesystem"), true, "{name}");
        let of_pod = pod.pointer("/securityContext/runAsNonRoot").or_else(|| security.pointer("/runAsNonRoot"));
        assert_eq!(of_pod, Some(&Value::Bool(true)), "{name}");
        assert_eq!(at(pod, "/automountServiceAccountToken"), true, "{name}");
        assert_eq!(at(manifests.find("ServiceAccount", "tidegate-dns"), "/automountServiceAccountToken"), false);
        assert_eq!(at(pod, "/enableServiceLinks"), false, "{name}");
        let is_node_local = name == "node-local-dns";
        assert_eq!(pod.pointer("/hostNetwork").is_some(), is_node_local, "{name}");
        // Only what gives the node its address may change the network.
        let first: Vec<_> = pod.pointer("/initContainers").and_then(Value::as_array).into_iter().flatten().collect();
        assert_eq!(first.len(), usize::from(is_node_local), "{name}");
        for container in first {
            let capabilities = json!({"drop": ["ALL"], "add": ["NET_ADMIN"]});
            assert_eq!(at(container, "/securityContext/capabilities"), &capabilities);
        }
    }
}

/// What the Corefiles of platforms name: `hosts /etc/coredns/NodeHosts` (k3s), `import custom/*.override` (AKS).
#[test]
fn files_beside_the_corefile_are_mounted() {
    for manifests in [Manifests::overlay("kube-dns"), switched(&[])] {
        let mounted = mounted(&manifests);
        let all_keys = json!({"name": "corefile", "configMap": {"name": "coredns"}});
        let custom = json!({"name": "custom", "configMap": {"name": "coredns-custom", "optional": true}});
        let places = [("corefile", "/etc/coredns"), ("custom", "/etc/coredns/custom")]
            .map(|(name, path)| json!({"name": name, "mountPath": path, "readOnly": true}));
        assert_eq!(mounted, [&[all_keys, custom], &places[..]].concat());
    }
    let (volume, mount) = (
        json!({"name": "hosts", "hostPath": {"path": "/etc/hosts", "type": "File"}}),
        json!({"name": "hosts", "mountPath": "/rootfs/etc/hosts", "readOnly": true}),
    );
    let values = [("extraVolumes", &volume), ("extraVolumeMounts", &mount)]
        .map(|(value, one)| format!("kubeDns.{value}={}", json!([one])));
    let with = mounted(&switched(&[&values[0], &values[1], "kubeDns.certificateSecret=dns-tls"]));
    assert!(with.contains(&volume) && with.contains(&mount), "{with:?}");
    assert_eq!(with.len(), 8, "{with:?}");
}

/// The volumes of the Pods with what is mounted of them.
fn mounted(manifests: &Manifests) -> Vec<Value> {
    let list = |value: &Value, pointer: &str| at(value, pointer).as_array().expect("a list").clone();
    let pod = at(manifests.workload(), "/spec/template/spec");
    [list(pod, "/volumes"), list(manifests.container(), "/volumeMounts")].concat()
}

#[test]
fn a_certificate_is_mounted_as_a_folder_and_only_where_there_is_one() {
    let with = mounted(&switched(&["kubeDns.certificateSecret=dns-tls"]));
    let without = mounted(&switched(&[]));
    let own: Vec<_> = with.iter().filter(|one| !without.contains(one)).cloned().collect();
    let volume = json!({"name": "certificate", "secret": {"secretName": "dns-tls"}});
    let mount = json!({"name": "certificate", "mountPath": "/etc/tidegate/tls", "readOnly": true});
    assert_eq!(own, [volume, mount]);
    assert_eq!(with.len(), without.len() + 2);
    assert_eq!(
        rights_of(&switched(&["kubeDns.certificateSecret=dns-tls"]), ACCOUNT).into_iter().collect::<Vec<_>>(),
        RIGHTS
    );
}

/// What a Corefile has no word for: how a server is protected, what is logged, and the rest.
#[test]
fn further_flags_of_the_chart_come_after_its_own() {
    let own: Vec<_> = switched(&[]).arguments().into_iter().map(str::to_owned).collect();
    let values = "kubeDns.extraArgs={\"dns-compat\":\"none\",\"dns-client-limit\":1000,\"dns-rate-limit\":200,\
                  \"dns-rate-limit-exempt\":[\"10.0.0.0/8\",\"fd00::/8\"],\"dns-rate-limit-report-only\":null,\
                  \"dns-cookie-secret\":\"/etc/tidegate/cookies/secret\",\"log-level\":\"debug\"}";
    let manifests = switched(&[values]);
    let further = [
        "--dns-client-limit=1000",
        "--dns-compat=none",
        "--dns-cookie-secret=/etc/tidegate/cookies/secret",
        "--dns-rate-limit=200",
        "--dns-rate-limit-exempt=10.0.0.0/8",
        "--dns-rate-limit-exempt=fd00::/8",
        "--dns-rate-limit-report-only",
        "--log-level=debug",
    ];
    assert_eq!(manifests.arguments(), own.iter().map(String::as_str).chain(further).collect::<Vec<_>>());
    assert_eq!(tried(&manifests.arguments()), Ok(()));
    // With --reuse-values an older chart's values are all that there is.
    assert_eq!(switched(&["kubeDns.extraArgs=null"]).0, switched(&[]).0);
}

/// Each that the program refuses beside a Corefile, which its Pods would do for ever.
#[test]
fn the_chart_takes_no_flag_that_a_corefile_takes_the_place_of() {
    for (flag, value) in [
        ("dns-bind", "10.96.0.10"),
        ("dns-upstream", "192.0.2.53"),
        ("dns-ttl", "30"),
        ("dns-cache-ttl", "30s"),
        ("dns-pods", "verified"),
        ("dns-clusterset-domain", "clusterset.local"),
        ("cluster-domain", "example.internal"),
        ("watch-selector", "team=shop"),
        ("namespace-selector", "team=shop"),
    ] {
        let output = tidegate(&["dns", "--corefile=/etc/coredns/Corefile", &format!("--{flag}={value}")]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("cannot be used with") && said.contains("--corefile"), "{flag}: {said}");
        let values = ["kubeDns.enabled=true", &format!("kubeDns.extraArgs={{\"{flag}\":\"{value}\"}}")];
        let error = template("tidegate", &values).expect_err(flag);
        assert!(error.contains(&format!("kubeDns.extraArgs.{flag}: the Corefile says this")), "{error}");
    }
}

#[test]
fn on_a_node_everything_is_at_the_link_local_address_alone() {
    let manifests = Manifests::overlay("node-local-dns");
    let arguments = manifests.arguments();
    let binds: Vec<_> = arguments.iter().filter_map(|argument| argument.split_once("-bind=")).collect();
    assert_eq!(binds.len(), 4, "{arguments:?}");
    assert!(binds.iter().all(|(_, address)| address.starts_with("169.254.20.10:")), "{binds:?}");
    let command = at(at(manifests.workload(), "/spec/template/spec"), "/initContainers/0/command/2");
    assert!(
        command.as_str().is_some_and(|command| command.ends_with("ip address add 169.254.20.10/32 dev lo scope host"))
    );
}

#[test]
fn on_a_node_the_service_address_takes_a_container_of_its_own_that_may_change_the_network() {
    let manifests = with_components("node-local-dns", &["node-local-service-address"]);
    let pod = at(manifests.workload(), "/spec/template/spec");
    let arguments: Vec<_> = at(pod, "/containers/0/args").as_array().expect("arguments").iter().collect();
    assert!(arguments.contains(&&json!("--dns-bind=$(SERVICE)")), "{arguments:?}");
    // While /ready fails and the rules are taken back.
    assert!(arguments.contains(&&json!("--lameduck=5s")), "{arguments:?}");
    let list = |pointer: &str| at(pod, pointer).as_array().expect("containers").clone();
    let may_change = |container: &Value| at(container, "/securityContext/capabilities/add") == &json!(["NET_ADMIN"]);
    let containers = [list("/containers"), list("/initContainers")].concat();
    let changing =
        containers.iter().filter(|container| may_change(container)).map(|container| text(container, "/name"));
    let mut changing: Vec<_> = changing.collect();
    changing.sort_unstable();
    assert_eq!(changing, ["address", "begin", "rules"]);
    let serving = at(&containers[0], "/securityContext/capabilities");
    assert_eq!(
        (text(&containers[0], "/name"), serving),
        ("tidegate", &json!({"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}))
    );
    let address = at(&containers[0], "/env/0/valueFrom/configMapKeyRef/name").as_str().expect("a ConfigMap");
    assert_eq!(text(manifests.find("ConfigMap", address), "/data/service"), "10.96.0.10");
}

#[test]
fn the_program_takes_every_argument_and_the_corefile() {
    for manifests in [Manifests::overlay("kube-dns"), Manifests::overlay("node-local-dns"), switched(&[])] {
        let arguments = manifests.arguments();
        assert_eq!(tried(&arguments), Ok(()), "{arguments:?}");
    }
    let manifests = with_components("kube-dns", &["kube-dns-service"]);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("Corefile");
    let corefile = text(manifests.find("ConfigMap", "coredns"), "/data/Corefile");
    fs::write(&path, corefile).expect("a file can be written");
    let output = tidegate(&["check", path.to_str().expect("UTF-8")]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
}

fn tidegate(arguments: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_tidegate")).args(arguments).output().expect("it starts")
}
