//! What one watch is about: a resource, everywhere or in a namespace, all of it or what a selector names.

use super::resource::{
    ENDPOINT_SLICES, INGRESS_CLASSES, INGRESSES, NAMESPACES, PODS, Resource, SECRETS, SERVICE_IMPORTS, SERVICES,
};
use crate::Selection;
use config::{Kind, ObjectName};
use kube::api::{ListParams, WatchParams};
use kube::core::Request;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The label of an EndpointSlice that names its Service (KEP-752).
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// Pods whose addresses are theirs, as CoreDNS asks for them.
const LIVING_PODS: &str = "status.phase!=Succeeded,status.phase!=Failed,status.phase!=Unknown";

/// A server that has just begun forbids what it does not know the rules of yet, for a few seconds.
const LASTING: Duration = Duration::from_secs(10);

/// What one watch is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Scope {
    pub(crate) resource: &'static Resource,
    /// `None`: everywhere, or the resource has no namespaces.
    pub(crate) namespace: Option<Arc<str>>,
    /// The one object of this name.
    pub(crate) name: Option<Arc<str>>,
    /// A label selector.
    pub(crate) labels: Option<Arc<str>>,
}

/// Which parts of a cluster are watched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watched {
    /// Which kinds; what follows is of no use where requests are not served, but for the namespaces.
    pub selection: Selection,
    /// The namespaces; none: all.
    pub namespaces: Vec<Arc<str>>,
    /// A label selector of Ingresses.
    pub selector: Option<Arc<str>>,
    /// The namespaces in which Secrets are read; none: wherever an Ingress names one.
    pub secret_namespaces: Vec<Arc<str>>,
    /// Services that are read wherever they are, with their endpoints.
    pub services: Vec<ObjectName>,
}

impl Watched {
    /// All that is watched but Secrets.
    pub(crate) fn scopes(&self) -> Vec<Scope> {
        let mut scopes = Vec::new();
        let everywhere = self.namespaces.is_empty().then_some(None);
        for namespace in everywhere.into_iter().chain(self.namespaces.iter().cloned().map(Some)) {
            let of_namespace = [INGRESSES, SERVICES, ENDPOINT_SLICES, SERVICE_IMPORTS, PODS].into_iter();
            let all = of_namespace.map(|resource| (resource, namespace.clone()));
            let all = all.chain([(INGRESS_CLASSES, None), (NAMESPACES, None)]);
            scopes.extend(all.filter_map(|(resource, namespace)| {
                let kind = resource.model().filter(|kind| self.selection.has(*kind))?;
                let labels = self.selection.labels(kind).map(|labels| labels.as_str().into());
                let labels = if kind == Kind::Ingress { self.selector.clone() } else { labels };
                Some(Scope { namespace, labels, ..Scope::of(resource) })
            }));
        }
        for service in self.services.iter().filter(|service| !self.has(&service.namespace)) {
            let labels = Arc::from(format!("{SERVICE_NAME}={}", service.name));
            let namespace = Some(Arc::clone(&service.namespace));
            scopes.push(Scope::one(SERVICES, service));
            scopes.push(Scope { namespace, labels: Some(labels), ..Scope::of(ENDPOINT_SLICES) });
        }
        scopes.sort();
        scopes.dedup();
        scopes
    }

    /// Why a Secret may not be asked for; `None`: it may.
    pub(crate) fn secret_refusal(&self, secret: &ObjectName) -> Option<String> {
        let is_allowed = self.secret_namespaces.is_empty() || self.secret_namespaces.contains(&secret.namespace);
        (!is_allowed)
            .then(|| format!("its namespace is none of --secret-namespace {}", self.secret_namespaces.join(",")))
    }

    fn has(&self, namespace: &Arc<str>) -> bool {
        self.namespaces.is_empty() || self.namespaces.contains(namespace)
    }
}

impl Scope {
    /// All objects of a resource, everywhere.
    pub(crate) fn of(resource: &'static Resource) -> Self {
        Self { resource, namespace: None, name: None, labels: None }
    }

    /// One object.
    pub(crate) fn one(resource: &'static Resource, object: &ObjectName) -> Self {
        let (namespace, name) = (Arc::clone(&object.namespace), Arc::clone(&object.name));
        Self { namespace: Some(namespace), name: Some(name), ..Self::of(resource) }
    }

    /// One Secret.
    pub(crate) fn secret(secret: &ObjectName) -> Self {
        Self::one(SECRETS, secret)
    }

    /// The Secret that it is about, if it is one.
    pub(crate) fn as_secret(&self) -> Option<ObjectName> {
        let (namespace, name) = (self.namespace.clone()?, self.name.clone()?);
        (self.resource == SECRETS).then_some(ObjectName { namespace, name })
    }

    /// Whether the program goes on without it: a Role in a namespace cannot grant what has no namespace.
    fn is_optional(&self) -> bool {
        // Where labels say which namespaces have names, none has without.
        [INGRESS_CLASSES, NAMESPACES].contains(&self.resource) && self.labels.is_none()
    }

    /// For how long it has to be forbidden until the program goes on without it, as if it had been listed; `None`: it
    /// does not.
    pub(crate) fn lasting_refusal(&self) -> Option<Duration> {
        // When Secrets are asked for the server has listed all the rest: it knows its rules.
        let of_secret = self.as_secret().map(|_| Duration::ZERO);
        of_secret.or_else(|| self.is_optional().then_some(LASTING))
    }

    /// Whether every cluster has such objects: those of the Service `kubernetes`, which the API server makes itself.
    pub(crate) fn is_never_empty(&self) -> bool {
        let is_whole = self.namespace.is_none() && self.name.is_none() && self.labels.is_none();
        is_whole && [SERVICES, ENDPOINT_SLICES, NAMESPACES].contains(&self.resource)
    }

    pub(crate) fn request(&self) -> Request {
        Request::new(self.resource.path(self.namespace.as_deref()))
    }

    /// The parameters of a watch that lives for `timeout` seconds; `lists`: it begins with what there is.
    pub(crate) fn watch_params(&self, timeout: u32, lists: bool) -> WatchParams {
        WatchParams {
            label_selector: self.labels.as_deref().map(str::to_owned),
            field_selector: self.field_selector(),
            timeout: Some(timeout),
            bookmarks: true,
            send_initial_events: lists,
        }
    }

    /// The parameters of a page of a list.
    pub(crate) fn list_params(&self, limit: u32, token: Option<String>) -> ListParams {
        ListParams {
            label_selector: self.labels.as_deref().map(str::to_owned),
            field_selector: self.field_selector(),
            limit: Some(limit),
            continue_token: token,
            ..ListParams::default()
        }
    }

    fn field_selector(&self) -> Option<String> {
        let name = self.name.as_ref().map(|name| format!("metadata.name={name}"));
        name.or_else(|| (self.resource == PODS).then(|| LIVING_PODS.to_owned()))
    }
}

/// `Service`, `Ingress in shop`, `Secret shop/tls`, `EndpointSlice in shop with a=b`.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { resource, namespace, name, labels } = self;
        f.write_str(resource.kind)?;
        match (namespace, name) {
            (Some(namespace), Some(name)) => write!(f, " {namespace}/{name}")?,
            (None, Some(name)) => write!(f, " {name}")?,
            (Some(namespace), None) => write!(f, " in {namespace}")?,
            (None, None) => {}
        }
        labels.as_ref().map_or(Ok(()), |labels| write!(f, " with {labels}"))
    }
}
