//! A ServiceImport (KEP-1645): a Service of several clusters, as `multicluster.x-k8s.io` has it in v1alpha1 and v1beta1,
//! which differ in nothing that is read here.

use k8s_openapi::api::core::v1::ServicePort;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// A ServiceImport.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(from = "Whole")]
pub struct ServiceImport {
    /// Its name, version and labels.
    pub metadata: ObjectMeta,
    /// What it is.
    pub spec: ServiceImportSpec,
}

/// `spec`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ServiceImportSpec {
    /// `type`: `ClusterSetIP` or `Headless`.
    pub type_: Option<String>,
    /// `ips`, where it has addresses of its own.
    pub ips: Vec<String>,
    /// `ports`.
    pub ports: Vec<ServicePort>,
}

/// With the fields that are known and of no use: a manifest is warned of all others.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Whole {
    #[serde(rename = "apiVersion")]
    _api_version: Option<IgnoredAny>,
    #[serde(rename = "kind")]
    _kind: Option<IgnoredAny>,
    #[serde(default)]
    metadata: ObjectMeta,
    spec: Option<WholeSpec>,
    #[serde(rename = "status")]
    _status: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WholeSpec {
    r#type: Option<String>,
    ips: Option<Vec<String>>,
    ports: Option<Vec<ServicePort>>,
    #[serde(rename = "ipFamilies")]
    _ip_families: Option<IgnoredAny>,
    #[serde(rename = "sessionAffinity")]
    _session_affinity: Option<IgnoredAny>,
    #[serde(rename = "sessionAffinityConfig")]
    _session_affinity_config: Option<IgnoredAny>,
    #[serde(rename = "internalTrafficPolicy")]
    _internal_traffic_policy: Option<IgnoredAny>,
    #[serde(rename = "trafficDistribution")]
    _traffic_distribution: Option<IgnoredAny>,
}

impl From<Whole> for ServiceImport {
    fn from(whole: Whole) -> Self {
        let spec = whole.spec.map(|spec| ServiceImportSpec {
            type_: spec.r#type,
            ips: spec.ips.unwrap_or_default(),
            ports: spec.ports.unwrap_or_default(),
        });
        Self { metadata: whole.metadata, spec: spec.unwrap_or_default() }
    }
}

#[cfg(test)]
mod tests {
    use crate::Object;
    use serde_json::{Value, json};

    fn read(version: &str, spec: &Value) -> Option<Object> {
        let value = json!({"apiVersion": version, "kind": "ServiceImport", "metadata": {"name": "web"}, "spec": spec,
            "status": {"clusters": [{"cluster": "east"}]}});
        Some(Object::read(version, "ServiceImport", value)?.expect("a ServiceImport"))
    }

    #[test]
    fn both_versions_are_read_alike() {
        let spec = json!({"type": "ClusterSetIP", "ips": ["10.9.0.1"], "sessionAffinity": "None",
            "ports": [{"name": "http", "port": 80, "protocol": "TCP", "appProtocol": "http"}]});
        let [newer, older] =
            ["v1beta1", "v1alpha1"].map(|version| read(&format!("multicluster.x-k8s.io/{version}"), &spec));
        assert!(newer.is_some() && newer == older);
        let Some(Object::ServiceImport(import)) = newer else { panic!("a ServiceImport") };
        assert_eq!(
            (import.spec.type_.as_deref(), import.spec.ips.len(), import.spec.ports[0].port),
            (Some("ClusterSetIP"), 1, 80)
        );
        assert_eq!(read("multicluster.x-k8s.io/v1", &spec), None);
    }
}
