//! What the API server has that is watched: how it is called in paths and in objects.

use config::Kind;

/// A kind of object and its place in the API.
#[derive(Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Resource {
    /// Group and version, such as `networking.k8s.io/v1`; the core group has none: `v1`.
    pub(crate) api_version: &'static str,
    /// As objects name it.
    pub(crate) kind: &'static str,
    /// As paths name it.
    pub(crate) plural: &'static str,
}

pub(crate) const INGRESSES: &Resource =
    &Resource { api_version: "networking.k8s.io/v1", kind: "Ingress", plural: "ingresses" };
pub(crate) const INGRESS_CLASSES: &Resource =
    &Resource { api_version: "networking.k8s.io/v1", kind: "IngressClass", plural: "ingressclasses" };
pub(crate) const SERVICES: &Resource = &Resource { api_version: "v1", kind: "Service", plural: "services" };
pub(crate) const ENDPOINT_SLICES: &Resource =
    &Resource { api_version: "discovery.k8s.io/v1", kind: "EndpointSlice", plural: "endpointslices" };
pub(crate) const NAMESPACES: &Resource = &Resource { api_version: "v1", kind: "Namespace", plural: "namespaces" };
pub(crate) const PODS: &Resource = &Resource { api_version: "v1", kind: "Pod", plural: "pods" };
pub(crate) const NODES: &Resource = &Resource { api_version: "v1", kind: "Node", plural: "nodes" };
pub(crate) const SECRETS: &Resource = &Resource { api_version: "v1", kind: "Secret", plural: "secrets" };

impl Resource {
    /// The path of all its objects, or of those in a namespace.
    pub(crate) fn path(&self, namespace: Option<&str>) -> String {
        let prefix = if self.api_version.contains('/') { "/apis" } else { "/api" };
        let namespace = namespace.map(|namespace| format!("/namespaces/{namespace}")).unwrap_or_default();
        format!("{prefix}/{}{namespace}/{}", self.api_version, self.plural)
    }

    /// The model's kind; `None` where the model has none.
    pub(crate) fn model(&self) -> Option<Kind> {
        let kinds = [
            Kind::Ingress,
            Kind::IngressClass,
            Kind::Service,
            Kind::EndpointSlice,
            Kind::Namespace,
            Kind::Pod,
            Kind::Secret,
        ];
        kinds.into_iter().find(|kind| kind.as_str() == self.kind)
    }
}
