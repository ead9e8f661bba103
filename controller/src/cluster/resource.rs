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
    /// Whether somebody has to bring it (a CustomResourceDefinition): a cluster may not have it, now or ever.
    pub(crate) is_custom: bool,
    /// The same in an older version, of the same shape: what a server has that does not have this one.
    pub(crate) older: Option<&'static Resource>,
}

const fn built_in(api_version: &'static str, kind: &'static str, plural: &'static str) -> Resource {
    Resource { api_version, kind, plural, is_custom: false, older: None }
}

pub(crate) const INGRESSES: &Resource = &built_in("networking.k8s.io/v1", "Ingress", "ingresses");
pub(crate) const INGRESS_CLASSES: &Resource = &built_in("networking.k8s.io/v1", "IngressClass", "ingressclasses");
pub(crate) const SERVICES: &Resource = &built_in("v1", "Service", "services");
pub(crate) const ENDPOINT_SLICES: &Resource = &built_in("discovery.k8s.io/v1", "EndpointSlice", "endpointslices");
pub(crate) const NAMESPACES: &Resource = &built_in("v1", "Namespace", "namespaces");
pub(crate) const PODS: &Resource = &built_in("v1", "Pod", "pods");
pub(crate) const NODES: &Resource = &built_in("v1", "Node", "nodes");
pub(crate) const SECRETS: &Resource = &built_in("v1", "Secret", "secrets");

pub(crate) const SERVICE_IMPORTS: &Resource = &Resource {
    api_version: "multicluster.x-k8s.io/v1beta1",
    older: Some(&Resource { api_version: "multicluster.x-k8s.io/v1alpha1", ..service_imports() }),
    ..service_imports()
};

const fn service_imports() -> Resource {
    Resource { is_custom: true, ..built_in("", "ServiceImport", "serviceimports") }
}

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
            Kind::ServiceImport,
            Kind::Namespace,
            Kind::Pod,
            Kind::Secret,
        ];
        kinds.into_iter().find(|kind| kind.as_str() == self.kind)
    }
}
