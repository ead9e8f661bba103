//! What the Pods may do to their node: the restricted Pod Security Standard, and less than it where that is possible.

use crate::manifests::{Manifests, at};
use serde_json::{Value, json};

fn check(manifests: &Manifests, has_low_ports: bool, what: &str) {
    let pod = at(manifests.workload(), "/spec/template/spec");
    let expected = json!({
        "runAsNonRoot": true,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    });
    assert_eq!(at(pod, "/securityContext"), &expected, "{what}");
    let mut capabilities = json!({"drop": ["ALL"]});
    if has_low_ports {
        capabilities["add"] = json!(["NET_BIND_SERVICE"]);
    }
    let expected =
        json!({"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": capabilities});
    assert_eq!(at(manifests.container(), "/securityContext"), &expected, "{what}");
    for absent in ["/initContainers", "/ephemeralContainers", "/volumes", "/hostPID", "/hostIPC"] {
        assert_eq!(pod.pointer(absent), None, "{what}");
    }
    assert_eq!(at(pod, "/automountServiceAccountToken"), true, "{what}");
    assert_eq!(at(pod, "/enableServiceLinks"), false, "{what}");
    for account in manifests.of_kind("ServiceAccount") {
        assert_eq!(at(account, "/automountServiceAccountToken"), false, "{what}");
    }
    fits_the_drain(pod, manifests, what);
}

/// The kubelet must not kill what still drains.
fn fits_the_drain(pod: &Value, manifests: &Manifests, what: &str) {
    let seconds = |flag: &str| {
        let value = manifests.arguments().into_iter().find_map(|argument| argument.strip_prefix(flag)).expect("is set");
        value.strip_suffix('s').and_then(|seconds| seconds.parse::<u64>().ok()).expect("is in seconds")
    };
    let drains = seconds("--drain-delay=") + seconds("--drain-timeout=");
    let grace = at(pod, "/terminationGracePeriodSeconds").as_u64().expect("a number");
    assert!(grace >= drains + 15, "{what}: {grace} s for {drains} s");
}

#[test]
fn overlays_run_without_root_and_with_no_capability_but_for_low_ports() {
    for (overlay, has_low_ports) in [("deployment", false), ("dns", false), ("daemonset", true)] {
        check(&Manifests::overlay(overlay), has_low_ports, overlay);
    }
}

#[test]
fn chart_runs_without_root_and_with_no_capability_but_for_low_ports() {
    let daemonset = ["controller.kind=DaemonSet", "controller.hostNetwork=true"];
    check(&Manifests::chart(&[]), false, "default");
    check(&Manifests::chart(&daemonset), true, "hostNetwork");
    check(&Manifests::chart(&["controller.containerPort.http=80"]), true, "a low port");
    let high = [daemonset.as_slice(), &["controller.containerPort.http=8080", "controller.containerPort.https=8443"]];
    check(&Manifests::chart(&high.concat()), false, "hostNetwork with high ports");
    check(&Manifests::chart(&["controller.drain.delaySeconds=60"]), false, "a long drain");
}

#[test]
fn namespaces_admit_no_more_than_the_pods_need() {
    for (overlay, level) in [("deployment", "restricted"), ("dns", "restricted"), ("daemonset", "privileged")] {
        let manifests = Manifests::overlay(overlay);
        let labels = at(manifests.find("Namespace", "tidegate"), "/metadata/labels");
        assert_eq!(labels["pod-security.kubernetes.io/enforce"], level, "{overlay}");
    }
}
