//! How a Pod looks names up, as far as it says so itself: `dnsPolicy`, `hostNetwork` and `dnsConfig`. What the kubelet makes
//! of it is in the Pod's resolv.conf.

use k8s_openapi::api::core::v1::{PodDNSConfig, PodDNSConfigOption, PodSpec};

/// What a Pod says of its resolver; as it is without a word, the cluster's DNS with the namespace's search list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PodResolver {
    /// What it begins with.
    pub policy: PodDnsPolicy,
    /// Servers that are asked after those of the policy, as they are written.
    pub nameservers: Vec<String>,
    /// Domains that are searched after those of the policy, as they are written.
    pub searches: Vec<String>,
    /// `options ndots`, as it is written, empty where it has no value; `None`: that of the policy.
    pub ndots: Option<String>,
}

/// Where a Pod's resolv.conf comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PodDnsPolicy {
    /// The cluster's DNS (`ClusterFirst`, `ClusterFirstWithHostNet`).
    #[default]
    Cluster,
    /// Its node's (`Default`).
    Node,
    /// The same, since it is in its node's network (`hostNetwork`) with `ClusterFirst`.
    NodeByNetwork,
    /// Nothing but `dnsConfig` (`None`).
    Own,
}

impl From<PodSpec> for PodResolver {
    fn from(PodSpec { dns_policy, dns_config, host_network, .. }: PodSpec) -> Self {
        let policy = match dns_policy.as_deref() {
            Some("None") => PodDnsPolicy::Own,
            Some("Default") => PodDnsPolicy::Node,
            Some("ClusterFirst") | None if host_network == Some(true) => PodDnsPolicy::NodeByNetwork,
            // The API server takes no word that is not known; the kubelet takes it for `ClusterFirst`.
            _ => PodDnsPolicy::Cluster,
        };
        let PodDNSConfig { nameservers, options, searches } = dns_config.unwrap_or_default();
        let ndots = |PodDNSConfigOption { name, value }| {
            name.is_some_and(|name| name == "ndots").then(|| value.unwrap_or_default())
        };
        Self {
            policy,
            nameservers: nameservers.unwrap_or_default(),
            searches: searches.unwrap_or_default(),
            // The last one counts.
            ndots: options.into_iter().flatten().filter_map(ndots).next_back(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Pod;
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pod_looks_names_up_as_it_says() {
        let plain = PodResolver::default;
        let of = |policy| PodResolver { policy, ..plain() };
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        for (spec, expected) in [
            (json!({}), plain()),
            (json!({"dnsPolicy": "ClusterFirst", "dnsConfig": {}}), plain()),
            (json!({"dnsPolicy": "ClusterFirstWithHostNet", "hostNetwork": true}), plain()),
            (json!({"dnsPolicy": "ClusterFirst", "hostNetwork": true}), of(PodDnsPolicy::NodeByNetwork)),
            (json!({"hostNetwork": true}), of(PodDnsPolicy::NodeByNetwork)),
            (json!({"dnsPolicy": "ClusterFirst", "hostNetwork": false}), plain()),
            (json!({"dnsPolicy": "Default", "hostNetwork": true}), of(PodDnsPolicy::Node)),
            (
                json!({"dnsPolicy": "None", "dnsConfig": {"nameservers": ["1.1.1.1"], "searches": ["x.example"]}}),
                PodResolver {
                    nameservers: words(&["1.1.1.1"]),
                    searches: words(&["x.example"]),
                    ..of(PodDnsPolicy::Own)
                },
            ),
            (
                json!({"dnsConfig": {"options": [
                    {"name": "ndots", "value": "1"}, {"name": "use-vc"}, {"name": "ndots", "value": "2"},
                    {"name": "timeout", "value": "3"}
                ]}}),
                PodResolver { ndots: Some("2".to_owned()), ..plain() },
            ),
            (
                json!({"dnsConfig": {"options": [{"name": "ndots"}]}}),
                PodResolver { ndots: Some(String::new()), ..plain() },
            ),
        ] {
            let mut whole = json!({"metadata": {}, "spec": {"containers": []}});
            whole["spec"].as_object_mut().expect("a spec").extend(spec.as_object().expect("fields").clone());
            let pod: Pod = serde_json::from_value(whole).expect("a Pod");
            assert_eq!(pod.resolver.map(|own| *own).unwrap_or_default(), expected, "{spec}");
        }
    }
}
