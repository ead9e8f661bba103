//! A Pod as far as DNS needs it: its name, its addresses and how it looks names up. The rest, which is most of any
//! cluster's bytes, is dropped as soon as it has been read.

mod resolver;

pub use resolver::{PodDnsPolicy, PodResolver};

use k8s_openapi::api::core::v1::{Pod as Whole, PodSpec, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;
use std::net::IpAddr;

/// A Pod.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(from = "Whole")]
pub struct Pod {
    /// Its name, version and labels.
    pub metadata: ObjectMeta,
    /// `status.podIPs`, those of a node where it is in the node's network; empty where the Pod terminates, has ended or is
    /// lost, since its addresses may be another's.
    pub addresses: Vec<IpAddr>,
    /// Whether its search list may be another than that of its namespace (`dnsConfig`, `dnsPolicy`).
    pub has_own_search: bool,
    /// How it looks names up, where that is another way than that of all Pods that say nothing of it.
    pub resolver: Option<Box<PodResolver>>,
}

impl From<Whole> for Pod {
    fn from(pod: Whole) -> Self {
        let Whole { metadata, spec, status } = pod;
        let is_terminating = metadata.deletion_timestamp.is_some();
        let ObjectMeta { name, namespace, labels, resource_version, .. } = metadata;
        Self {
            metadata: ObjectMeta { name, namespace, labels, resource_version, ..ObjectMeta::default() },
            has_own_search: spec.as_ref().is_some_and(has_own_search),
            resolver: spec.map(PodResolver::from).filter(|own| *own != PodResolver::default()).map(Box::new),
            addresses: status.filter(|_| !is_terminating).map(addresses).unwrap_or_default(),
        }
    }
}

fn has_own_search(spec: &PodSpec) -> bool {
    let policy = spec.dns_policy.as_deref().unwrap_or(CLUSTER_FIRST);
    let domains = spec.dns_config.as_ref().and_then(|config| config.searches.as_ref());
    !matches!(policy, CLUSTER_FIRST | "ClusterFirstWithHostNet") || domains.is_some_and(|domains| !domains.is_empty())
}

/// What Pods have that say nothing else.
const CLUSTER_FIRST: &str = "ClusterFirst";

fn addresses(status: PodStatus) -> Vec<IpAddr> {
    if matches!(status.phase.as_deref(), Some("Succeeded" | "Failed" | "Unknown")) {
        return Vec::new();
    }
    let all = status.pod_ips.unwrap_or_default().into_iter().map(|address| address.ip);
    let mut addresses: Vec<IpAddr> = all
        // Servers and manifests of the past may have this one alone.
        .chain(status.pod_ip)
        .filter_map(|address| address.parse().ok())
        .map(|address: IpAddr| address.to_canonical())
        .collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pod_has_all_its_addresses_as_long_as_they_are_its_own() {
        let status =
            |phase| json!({"phase": phase, "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]});
        for (metadata, status, expected) in [
            (json!({}), status("Running"), vec!["10.0.0.1", "fd00::1"]),
            (json!({}), status("Pending"), vec!["10.0.0.1", "fd00::1"]),
            (json!({}), json!({"podIP": "10.0.0.2"}), vec!["10.0.0.2"]),
            (json!({}), json!({"podIPs": [{"ip": "none"}, {}]}), vec![]),
            (json!({}), json!({}), vec![]),
            (json!({}), status("Succeeded"), vec![]),
            (json!({}), status("Failed"), vec![]),
            (json!({}), status("Unknown"), vec![]),
            (json!({"deletionTimestamp": "2026-01-01T00:00:00Z"}), status("Running"), vec![]),
        ] {
            let whole =
                json!({"metadata": metadata, "status": status, "spec": {"hostNetwork": true, "containers": []}});
            let pod: Pod = serde_json::from_value(whole.clone()).expect("a Pod");
            let addresses: Vec<_> = pod.addresses.iter().map(ToString::to_string).collect();
            assert_eq!(addresses, expected, "{whole}");
        }
    }

    #[test]
    fn a_search_list_is_the_namespaces_unless_the_pod_says_otherwise() {
        for (spec, has_own) in [
            (json!({}), false),
            (json!({"dnsPolicy": "ClusterFirst"}), false),
            (json!({"dnsPolicy": "ClusterFirstWithHostNet", "dnsConfig": {"options": [{"name": "ndots"}]}}), false),
            (json!({"dnsConfig": {"searches": []}}), false),
            (json!({"dnsConfig": {"searches": ["corp.example"]}}), true),
            (json!({"dnsPolicy": "None"}), true),
            (json!({"dnsPolicy": "Default"}), true),
        ] {
            let mut whole = json!({"metadata": {}, "spec": {"containers": []}});
            whole["spec"].as_object_mut().expect("a spec").extend(spec.as_object().expect("fields").clone());
            let pod: Pod = serde_json::from_value(whole).expect("a Pod");
            assert_eq!(pod.has_own_search, has_own, "{spec}");
        }
    }

    #[test]
    fn what_is_not_needed_is_dropped() {
        let metadata = json!({"name": "a", "namespace": "b", "resourceVersion": "7", "labels": {"a": "b"}, "uid": "u",
            "annotations": {"a": "b"}, "ownerReferences": [], "generateName": "a-"});
        let pod: Pod = serde_json::from_value(json!({"metadata": metadata})).expect("a Pod");
        let ObjectMeta { name, namespace, labels, resource_version, .. } = pod.metadata.clone();
        assert_eq!(pod.metadata, ObjectMeta { name, namespace, labels, resource_version, ..ObjectMeta::default() });
        assert_eq!(pod.metadata.labels.map(|labels| labels.len()), Some(1));
    }
}
