//! Binds Pods to nodes, as a scheduler does: by node selector and required node affinity, the emptiest node first.

use super::Shared;
use k8s_openapi::api::core::v1::{
    Binding, Node, NodeSelectorRequirement, NodeSelectorTerm, ObjectReference, Pod, PodSpec,
};
use k8s_openapi::jiff::Timestamp;
use kube::api::{ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;
use std::collections::BTreeMap;

/// Binds `pod` to a node that fits.
///
/// # Errors
/// Where none fits, and where the API server refuses it.
pub(super) async fn bind(shared: &Shared, pod: &Pod) -> anyhow::Result<()> {
    let nodes = Api::<Node>::all(shared.client.clone()).list(&ListParams::default()).await?;
    let ours = nodes.items.iter().filter(|node| shared.nodes.iter().any(|ours| ours.name == node.name_any()));
    let spec = pod.spec.as_ref();
    let fitting = ours.filter(|node| spec.is_none_or(|spec| fits(spec, node)));
    let node = fitting.map(kube::ResourceExt::name_any).min_by_key(|name| load(shared, name));
    let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
    let pods = Api::<Pod>::namespaced(shared.client.clone(), &namespace);
    let Some(node) = node else {
        say_unschedulable(&pods, pod).await?;
        anyhow::bail!("no node fits");
    };
    let binding = Binding {
        metadata: ObjectMeta { name: Some(name.clone()), uid: pod.uid(), ..ObjectMeta::default() },
        target: ObjectReference { kind: Some("Node".to_owned()), name: Some(node), ..ObjectReference::default() },
    };
    let _: serde_json::Value = pods.create_subresource("binding", &name, &PostParams::default(), &binding).await?;
    Ok(())
}

/// As a scheduler tells it, once.
async fn say_unschedulable(pods: &Api<Pod>, pod: &Pod) -> kube::Result<()> {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    if conditions.iter().any(|condition| condition.reason.as_deref() == Some("Unschedulable")) {
        return Ok(());
    }
    let condition = json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "message": "no node fits", "lastTransitionTime": Timestamp::now()});
    let patch = Patch::Strategic(json!({"status": {"conditions": [condition]}}));
    pods.patch_status(&pod.name_any(), &PatchParams::default(), &patch).await.map(drop)
}

/// How many Pods run on a node.
fn load(shared: &Shared, node: &str) -> usize {
    shared.running.borrow().values().filter(|containers| containers.node == node).count()
}

fn fits(spec: &PodSpec, node: &Node) -> bool {
    let labels = node.labels();
    let selected = spec.node_selector.iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    let affinity = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
    let required = affinity.and_then(|node| node.required_during_scheduling_ignored_during_execution.as_ref());
    let terms = required.map(|required| required.node_selector_terms.as_slice());
    let is_closed = node.spec.as_ref().and_then(|spec| spec.unschedulable) == Some(true);
    let is_allowed = terms.is_none_or(|terms| terms.iter().any(|term| matches(term, &node.name_any(), labels)));
    // Pods of a DaemonSet tolerate a node that is closed to others.
    let tolerates = spec
        .tolerations
        .iter()
        .flatten()
        .any(|toleration| toleration.key.as_deref().is_none_or(|key| key == "node.kubernetes.io/unschedulable"));
    selected && is_allowed && (!is_closed || tolerates)
}

fn matches(term: &NodeSelectorTerm, name: &str, labels: &BTreeMap<String, String>) -> bool {
    let by_field = term.match_fields.iter().flatten();
    let by_label = term.match_expressions.iter().flatten();
    by_field.clone().all(|rule| rule.key == "metadata.name" && holds(rule, Some(name)))
        && by_label.clone().all(|rule| holds(rule, labels.get(&rule.key).map(String::as_str)))
        && by_field.count() + by_label.count() > 0
}

fn holds(rule: &NodeSelectorRequirement, value: Option<&str>) -> bool {
    let values = rule.values.as_deref().unwrap_or_default();
    let is_in = value.is_some_and(|value| values.iter().any(|one| one == value));
    match rule.operator.as_str() {
        "In" => is_in,
        "NotIn" => !is_in,
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn fits_node(spec: Value) -> bool {
        let mut spec = spec;
        spec["containers"] = json!([]);
        let node = json!({"metadata": {"name": "node-1", "labels": {"zone": "a"}}, "spec": {"unschedulable": true}});
        let mut node: Node = serde_json::from_value(node).unwrap();
        let spec: PodSpec = serde_json::from_value(spec).unwrap();
        let closed = fits(&spec, &node);
        node.spec = None;
        let open = fits(&spec, &node);
        assert!(open || !closed);
        open
    }

    fn affinity(term: &Value) -> Value {
        json!({"affinity": {"nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]},
        }}})
    }

    #[test]
    fn the_pod_of_a_daemon_set_goes_to_its_node_only() {
        let field =
            |name| affinity(&json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": [name]}]}));
        assert!(fits_node(field("node-1")));
        assert!(!fits_node(field("node-2")));
    }

    #[test]
    fn labels_select() {
        assert!(fits_node(json!({"nodeSelector": {"zone": "a"}})));
        assert!(!fits_node(json!({"nodeSelector": {"zone": "b"}})));
        let label = |operator, values: &[&str]| {
            affinity(&json!({"matchExpressions": [{"key": "zone", "operator": operator, "values": values}]}))
        };
        assert!(fits_node(label("In", &["a", "b"])) && fits_node(label("Exists", &[])));
        assert!(!fits_node(label("NotIn", &["a"])) && !fits_node(label("DoesNotExist", &[])));
        assert!(!fits_node(affinity(&json!({}))), "an empty term matches nothing");
    }
}
