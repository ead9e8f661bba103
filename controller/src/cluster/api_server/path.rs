//! Which resource, which objects and which verb a request means.

use axum::http::Method;

/// A kind of object that the server keeps.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Resource {
    /// As in `apiVersion`.
    pub(crate) api_version: &'static str,
    pub(crate) kind: &'static str,
    /// As in a path.
    pub(crate) plural: &'static str,
    /// Whether `/status` is written apart.
    pub(crate) has_status: bool,
}

const fn resource(api_version: &'static str, kind: &'static str, plural: &'static str, has_status: bool) -> Resource {
    Resource { api_version, kind, plural, has_status }
}

static RESOURCES: [Resource; 12] = [
    resource("v1", "Namespace", "namespaces", true),
    resource("v1", "Node", "nodes", true),
    resource("v1", "Pod", "pods", true),
    resource("v1", "Secret", "secrets", false),
    resource("v1", "Service", "services", true),
    resource("coordination.k8s.io/v1", "Lease", "leases", false),
    resource("discovery.k8s.io/v1", "EndpointSlice", "endpointslices", false),
    resource("events.k8s.io/v1", "Event", "events", false),
    resource("multicluster.x-k8s.io/v1beta1", "ServiceImport", "serviceimports", true),
    resource("multicluster.x-k8s.io/v1alpha1", "ServiceImport", "serviceimports", true),
    resource("networking.k8s.io/v1", "Ingress", "ingresses", true),
    resource("networking.k8s.io/v1", "IngressClass", "ingressclasses", false),
];

impl Resource {
    /// The resource of a kind.
    pub(crate) fn of_kind(kind: &str) -> Option<&'static Self> {
        RESOURCES.iter().find(|resource| resource.kind == kind)
    }

    fn of_path(api_version: &str, plural: &str) -> Option<&'static Self> {
        RESOURCES.iter().find(|resource| resource.api_version == api_version && resource.plural == plural)
    }

    /// Whether objects live in a namespace.
    pub(crate) fn is_namespaced(&self) -> bool {
        !matches!(self.kind, "Namespace" | "Node" | "IngressClass")
    }
}

/// What a request asks for, as RBAC has it; writes of `/status` are apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    List,
    Watch,
    Create,
    /// PUT.
    Update,
    Patch,
    PatchStatus,
    Delete,
}

/// What a path names.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) resource: &'static Resource,
    /// Empty: all.
    pub(crate) namespace: String,
    pub(crate) name: Option<String>,
    pub(crate) is_status: bool,
}

impl Target {
    /// Reads `/api/v1/…` and `/apis/GROUP/VERSION/…`.
    pub(crate) fn read(path: &str) -> Option<Self> {
        let mut parts = path.split('/').filter(|part| !part.is_empty());
        let api_version = match parts.next()? {
            "api" => parts.next()?.to_owned(),
            "apis" => format!("{}/{}", parts.next()?, parts.next()?),
            _ => return None,
        };
        let rest: Vec<&str> = parts.collect();
        let (namespace, rest) = match rest.as_slice() {
            ["namespaces", namespace, rest @ ..] if Resource::of_path(&api_version, rest.first()?).is_some() => {
                ((*namespace).to_owned(), rest)
            }
            rest => (String::new(), rest),
        };
        let resource = Resource::of_path(&api_version, rest.first()?)?;
        let name = rest.get(1).map(|name| (*name).to_owned());
        Some(Self { resource, namespace, name, is_status: rest.get(2) == Some(&"status") })
    }

    /// What `method` means for it.
    pub(crate) fn verb(&self, method: &Method, is_watch: bool) -> Option<Verb> {
        match (method.as_str(), &self.name) {
            ("GET", None) if is_watch => Some(Verb::Watch),
            ("GET", None) => Some(Verb::List),
            ("GET", Some(_)) => Some(Verb::Get),
            ("POST", None) => Some(Verb::Create),
            ("PUT", Some(_)) => Some(Verb::Update),
            ("PATCH", Some(_)) if self.is_status => Some(Verb::PatchStatus),
            ("PATCH", Some(_)) => Some(Verb::Patch),
            ("DELETE", Some(_)) => Some(Verb::Delete),
            _ => None,
        }
    }
}
