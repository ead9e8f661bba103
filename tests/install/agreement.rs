//! The overlays and the chart are the same installations: that of its default values is the overlay `deployment`.

use crate::manifests::{Manifests, at, text};
use crate::rights::rights;
use serde_json::Value;

/// Without the labels by which objects are found, of which helm has more.
pub(crate) fn without_labels(mut value: Value) -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                for field in ["labels", "matchLabels", "selector"] {
                    fields.shift_remove(field);
                }
                // Where labels were all there was, and where helm spells out what is the default.
                fields.retain(|name, value| !(name == "minReadySeconds" && *value == 0));
                fields.values_mut().for_each(strip);
                fields.retain(|_, value| value.as_object().is_none_or(|fields| !fields.is_empty()));
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }
    strip(&mut value);
    value
}

fn are_the_same(overlay: &Manifests, chart: &Manifests) {
    // Helm leaves the namespace to `--create-namespace`.
    let expected: Vec<String> = overlay.names().into_iter().filter(|name| name != "Namespace tidegate").collect();
    assert_eq!(chart.names(), expected);
    assert_eq!(rights(chart, "tidegate"), rights(overlay, "tidegate"));
    for object in &overlay.0 {
        let (kind, name) = (text(object, "/kind"), text(object, "/metadata/name"));
        // Of roles it is what they grant that counts.
        if !["Namespace", "ClusterRole", "Role"].contains(&kind) {
            let same = chart.find(kind, name);
            assert_eq!(without_labels(same.clone()), without_labels(object.clone()), "{kind} {name}");
        }
    }
}

#[test]
fn both_make_the_same_objects() {
    are_the_same(&Manifests::overlay("deployment"), &Manifests::chart(&[]));
    are_the_same(&Manifests::overlay("dns"), &Manifests::chart(&["dns.service.enabled=true"]));
}

#[test]
fn both_daemonsets_run_the_same_way() {
    let overlay = Manifests::overlay("daemonset");
    let chart = Manifests::chart(&[
        "controller.kind=DaemonSet",
        "controller.hostNetwork=true",
        "controller.service.enabled=false",
        "controller.publishNodeAddresses=true",
    ]);
    let pod = |manifests: &Manifests| without_labels(at(manifests.workload(), "/spec/template/spec").clone());
    assert_eq!(pod(&chart), pod(&overlay));
    assert_eq!(rights(&chart, "tidegate"), rights(&overlay, "tidegate"));
}

#[test]
fn selectors_find_the_pods() {
    for manifests in [
        Manifests::overlay("deployment"),
        Manifests::overlay("dns"),
        Manifests::chart(&["dns.service.enabled=true", "controller.metrics.enabled=true"]),
    ] {
        let labels = at(manifests.workload(), "/spec/template/metadata/labels");
        let services = manifests.of_kind("Service").map(|service| at(service, "/spec/selector"));
        let others = ["Deployment", "PodDisruptionBudget"].into_iter().flat_map(|kind| manifests.of_kind(kind));
        for selector in services.chain(others.map(|object| at(object, "/spec/selector/matchLabels"))) {
            let selector = selector.as_object().expect("a selector");
            assert!(!selector.is_empty());
            assert!(selector.iter().all(|(key, value)| labels.get(key) == Some(value)), "{selector:?} in {labels}");
        }
    }
}
