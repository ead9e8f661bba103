//! The objects as they are kept between changes: read once into the model's types, indexed, with what has changed.
//! Sources write here, translation reads; what was last good of a Secret is all that it remembers of the past.

pub(crate) mod annotations;
mod changes;
mod class;
mod external;
mod import;
mod ingress;
mod interner;
mod kept;
mod pods;
mod secrets;
mod service;
mod slice;
mod slices;
#[cfg(test)]
mod tests;

pub(crate) use changes::Changes;
pub use class::IngressClass;
pub use external::ExternalAddresses;
pub use import::{Import, ImportKind};
pub use ingress::{ClientCa, Ingress, IngressBackend, IngressPath, IngressRule, IngressTls};
pub(crate) use kept::{Kept, Replaced};
pub use secrets::{KeptSecret, Validity};
pub use service::{ExternalTarget, Service, ServiceKind, ServicePort};
pub use slice::{Readiness, Slice, SliceEndpoint, SliceImport, SlicePort};
pub(crate) use slice::{SERVICE_NAME, SOURCE_CLUSTER, is_label};

use crate::Object;
use crate::status::Problem;
use config::{Kind, ObjectName, ObjectRef};
use interner::Interner;
pub(crate) use interner::Shared;
use jiff::Timestamp;
use pods::Pods;
use rustc_hash::{FxHashMap, FxHashSet};
use secrets::Secrets;
use slices::SlicesByName;
use std::net::IpAddr;
use std::sync::Arc;

/// All objects, as of now.
#[derive(Debug)]
pub struct Objects {
    names: Interner,
    ingresses: Kept<Ingress>,
    classes: Kept<IngressClass>,
    services: Kept<Service>,
    imports: Kept<Import>,
    slices: Kept<Slice>,
    slices_by_service: SlicesByName,
    slices_by_import: SlicesByName,
    endpoints: FxHashMap<ObjectName, Vec<Arc<Slice>>>,
    namespaces: FxHashSet<Arc<str>>,
    pods: Pods,
    secrets: Secrets,
    changes: Changes,
    version: u64,
    /// Whether they are a cluster's, which knows its endpoints.
    is_cluster: bool,
}

impl Objects {
    /// No objects yet. The last good certificate of `default_tls_secret` is kept even if no Ingress names it; `now`
    /// is what validities are compared with until [`Objects::advance`].
    #[must_use]
    pub fn new(default_tls_secret: Option<&ObjectName>, now: Timestamp) -> Self {
        let mut secrets = Secrets::new(now);
        if let Some(name) = default_tls_secret {
            secrets.refer(name);
        }
        Self {
            names: Interner::default(),
            ingresses: Kept::default(),
            classes: Kept::default(),
            services: Kept::default(),
            imports: Kept::default(),
            slices: Kept::default(),
            slices_by_service: SlicesByName::new(|slice| slice.service.as_ref()),
            slices_by_import: SlicesByName::new(|slice| slice.import.as_ref().map(|import| &import.service)),
            endpoints: FxHashMap::default(),
            namespaces: FxHashSet::default(),
            pods: Pods::default(),
            secrets,
            changes: Changes::default(),
            version: 0,
            is_cluster: false,
        }
    }

    /// The same for the objects of a cluster, where annotations name no endpoints.
    #[must_use]
    pub fn of_cluster(self) -> Self {
        Self { is_cluster: true, ..self }
    }

    /// Takes an object as it is now, new or changed; whether that changes anything that is kept. ConfigMaps are not
    /// kept: nothing refers to one.
    pub fn apply(&mut self, object: Object) -> bool {
        let name = self.shared_name(&object.object_ref());
        self.apply_as(name, object)
    }

    /// The same for an object whose name is shared already.
    pub(crate) fn apply_as(&mut self, name: Arc<ObjectRef>, object: Object) -> bool {
        let version = object.metadata().resource_version.as_deref().and_then(|version| version.parse().ok());
        let changed = match object {
            Object::Ingress(ingress) => {
                let ingress = Ingress::read(*ingress, &name, &mut self.names);
                self.put_ingress(&name, Some(ingress))
            }
            Object::IngressClass(class) => self.classes.put(&name, Some(IngressClass::read(*class, &name))).is_some(),
            Object::Service(service) => {
                let service = Service::read(*service, &name, &mut self.names);
                let service = if self.is_cluster { service.without_endpoints() } else { service };
                self.services.put(&name, Some(service)).is_some()
            }
            Object::EndpointSlice(slice) => {
                let slice = Slice::read(*slice, &name, &mut self.names);
                self.put_slice(&name, Some(slice))
            }
            Object::Endpoints(endpoints) => {
                let slices = Slice::read_endpoints(*endpoints, &name, &mut self.names);
                self.put_endpoints(&name, Some(slices))
            }
            Object::ServiceImport(import) => {
                let import = Import::read(*import, &name, &mut self.names);
                self.imports.put(&name, Some(import)).is_some()
            }
            Object::Namespace(_) => self.namespaces.insert(Arc::clone(&name.name)),
            Object::Pod(pod) => self.pods.put(&name, (pod.addresses, pod.has_own_search), &mut self.changes.pods),
            Object::Secret(secret) => self.secrets.apply(&ObjectName::from(&*name), &secret),
            Object::ConfigMap(_) => false,
        };
        self.note(name, changed, version)
    }

    /// Takes the end of an object; whether that changes anything that is kept.
    pub fn delete(&mut self, object: &ObjectRef) -> bool {
        let changed = match object.kind {
            Kind::Ingress => self.put_ingress(object, None),
            Kind::IngressClass => self.classes.put(object, None).is_some(),
            Kind::Service => self.services.put(object, None).is_some(),
            Kind::EndpointSlice => self.put_slice(object, None),
            Kind::Endpoints => self.put_endpoints(object, None),
            Kind::ServiceImport => self.imports.put(object, None).is_some(),
            Kind::Namespace => self.namespaces.remove(&object.name),
            Kind::Pod => self.pods.put(&Arc::new(object.clone()), (Vec::new(), false), &mut self.changes.pods),
            Kind::Secret => self.secrets.delete(&ObjectName::from(object)),
            Kind::ConfigMap => false,
        };
        self.note(Arc::new(object.clone()), changed, None)
    }

    /// Takes that an object may not be read, with the reason; whether that changes anything that is kept. Only of
    /// Secrets anything is kept.
    pub fn refuse(&mut self, object: &ObjectRef, reason: &Arc<str>) -> bool {
        let changed = object.kind == Kind::Secret && self.secrets.refuse(&ObjectName::from(object), reason);
        self.note(Arc::new(object.clone()), changed, None)
    }

    /// The same name with texts that are shared where others are likely to repeat them.
    pub(crate) fn shared_name(&mut self, object: &ObjectRef) -> Arc<ObjectRef> {
        let namespace = self.names.intern(&object.namespace);
        let name = match object.kind {
            Kind::Service | Kind::Endpoints | Kind::ServiceImport | Kind::Secret => self.names.intern(&object.name),
            _ => Arc::clone(&object.name),
        };
        Arc::new(ObjectRef::new(object.kind, namespace, name))
    }

    /// The name of an object as it is kept; `None`: there is none, or all that is kept of its kind is something else.
    pub(crate) fn kept_name(&self, object: &ObjectRef) -> Option<&Arc<ObjectRef>> {
        match object.kind {
            Kind::Ingress => self.ingresses.name(object),
            Kind::IngressClass => self.classes.name(object),
            Kind::Service => self.services.name(object),
            Kind::EndpointSlice => self.slices.name(object),
            Kind::ServiceImport => self.imports.name(object),
            Kind::Endpoints | Kind::Namespace | Kind::Pod | Kind::Secret | Kind::ConfigMap => None,
        }
    }

    /// Sets the time that the validity of certificates is compared with; whether one has begun or ended.
    pub fn advance(&mut self, now: Timestamp) -> bool {
        let secrets = self.secrets.advance(now);
        let changed = !secrets.is_empty();
        self.changes.objects.extend(secrets.iter().map(|name| Arc::new(secret_ref(name))));
        changed
    }

    /// Whether anything has changed since the last translation.
    #[must_use]
    pub fn has_changes(&self) -> bool {
        !self.changes.is_empty()
    }

    fn note(&mut self, object: Arc<ObjectRef>, changed: bool, version: Option<u64>) -> bool {
        let kind = object.kind;
        if changed && kind != Kind::Pod {
            match kind {
                Kind::Service => drop(self.changes.services.insert(ObjectName::from(&*object))),
                Kind::ServiceImport => drop(self.changes.imports.insert(ObjectName::from(&*object))),
                _ => {}
            }
            self.changes.objects.insert(object);
        }
        if makes_names(kind) {
            self.reach(version.unwrap_or_default());
        }
        changed
    }

    fn put_ingress(&mut self, name: &ObjectRef, ingress: Option<Ingress>) -> bool {
        let Some(Replaced { before, after }) = self.ingresses.put(name, ingress) else { return false };
        // What it still names is not let go in between.
        let named =
            |ingress: &Arc<Ingress>| -> Vec<_> { ingress.secrets().chain(ingress.client_ca()).cloned().collect() };
        after.iter().flat_map(named).for_each(|secret| self.secrets.refer(&secret));
        for secret in &before.iter().flat_map(named).collect::<Vec<_>>() {
            if self.secrets.release(secret) {
                self.changes.objects.insert(Arc::new(secret_ref(secret)));
            }
        }
        true
    }

    fn put_slice(&mut self, name: &ObjectRef, slice: Option<Slice>) -> bool {
        let Some(Replaced { before, after }) = self.slices.put(name, slice) else { return false };
        let Changes { services, imports, .. } = &mut self.changes;
        if let Some(before) = before {
            services.extend(self.slices_by_service.remove(&before));
            imports.extend(self.slices_by_import.remove(&before));
        }
        if let Some(after) = after {
            services.extend(self.slices_by_service.insert(&after));
            imports.extend(self.slices_by_import.insert(&after));
        }
        true
    }

    fn put_endpoints(&mut self, name: &ObjectRef, slices: Option<Vec<Arc<Slice>>>) -> bool {
        let name = ObjectName::from(name);
        let changed = self.endpoints.get(&name) != slices.as_ref();
        if changed {
            match slices {
                Some(slices) => drop(self.endpoints.insert(name.clone(), slices)),
                None => drop(self.endpoints.remove(&name)),
            }
            self.changes.services.insert(name);
        }
        changed
    }
}

impl Objects {
    /// An Ingress.
    #[must_use]
    pub fn ingress(&self, name: &ObjectName) -> Option<&Arc<Ingress>> {
        self.ingresses.find(name)
    }

    /// All Ingresses, in no order.
    pub fn ingresses(&self) -> impl Iterator<Item = &Arc<Ingress>> {
        self.ingresses.iter()
    }

    /// An IngressClass.
    #[must_use]
    pub fn class(&self, name: &Arc<str>) -> Option<&Arc<IngressClass>> {
        self.classes.find(&ObjectName { namespace: Arc::from(""), name: Arc::clone(name) })
    }

    /// A Service.
    #[must_use]
    pub fn service(&self, name: &ObjectName) -> Option<&Arc<Service>> {
        self.services.find(name)
    }

    /// The addresses behind a Service: its EndpointSlices, sorted by name, or what its Endpoints object says where no
    /// slice is for it.
    #[must_use]
    pub fn slices(&self, service: &ObjectName) -> &[Arc<Slice>] {
        let of_object = || self.endpoints.get(service).map(Vec::as_slice);
        self.slices_by_service.find(service).or_else(of_object).unwrap_or_default()
    }

    /// A ServiceImport.
    #[must_use]
    pub fn import(&self, name: &ObjectName) -> Option<&Arc<Import>> {
        self.imports.find(name)
    }

    /// The addresses behind a ServiceImport: its EndpointSlices, those of all clusters, sorted by name.
    #[must_use]
    pub fn slices_of_import(&self, import: &ObjectName) -> &[Arc<Slice>] {
        self.slices_by_import.find(import).unwrap_or_default()
    }

    /// Whether there is a Namespace object of that name.
    #[must_use]
    pub fn has_namespace(&self, name: &str) -> bool {
        self.namespaces.contains(name)
    }

    /// Whether a Pod has an address.
    #[must_use]
    pub fn pod_has(&self, pod: &ObjectRef, address: IpAddr) -> bool {
        self.pods.has(pod, address)
    }

    /// Whether a Pod's search list may be another than that of its namespace.
    #[must_use]
    pub fn pod_has_own_search(&self, pod: &ObjectRef) -> bool {
        self.pods.has_own_search(pod)
    }

    /// What is known of a Secret; `None` where it does not exist and left nothing.
    #[must_use]
    pub fn secret(&self, name: &ObjectName) -> Option<&KeptSecret> {
        self.secrets.find(name)
    }

    /// Why a Secret may not be read; `None`: it may.
    #[must_use]
    pub fn secret_refusal(&self, name: &ObjectName) -> Option<&Arc<str>> {
        self.secrets.refusal(name)
    }

    /// The newest `resourceVersion` seen of the kinds that DNS names are made of; 0 where objects have none.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Takes that all of those kinds is known up to a `resourceVersion`, which may be that of an object's end.
    pub fn reach(&mut self, version: u64) {
        self.version = self.version.max(version);
    }

    /// What is wrong with an object in itself; `None` where it does not exist.
    pub(crate) fn problems(&self, object: &ObjectRef) -> Option<Vec<Problem>> {
        let name = ObjectName::from(object);
        match object.kind {
            Kind::Ingress => self.ingresses.find(&name).map(|ingress| ingress.problems.to_vec()),
            Kind::IngressClass => self.classes.find(&name).map(|class| class.problems.to_vec()),
            Kind::Service => self.services.find(&name).map(|service| service.problems.to_vec()),
            Kind::EndpointSlice => self.slices.find(&name).map(|slice| slice.problems.to_vec()),
            Kind::Endpoints => {
                let problems =
                    |slices: &Vec<Arc<Slice>>| slices.iter().flat_map(|slice| slice.problems.to_vec()).collect();
                self.endpoints.get(&name).map(problems)
            }
            Kind::ServiceImport => self.imports.find(&name).map(|import| import.problems.to_vec()),
            Kind::Secret | Kind::Namespace | Kind::Pod | Kind::ConfigMap => None,
        }
    }

    /// Takes what has changed since the last call.
    pub(crate) fn take_changes(&mut self) -> Changes {
        std::mem::take(&mut self.changes)
    }

    /// Every object, as if it had just come.
    pub(crate) fn everything(&self) -> Changes {
        let mut changes = Changes::default();
        let Changes { objects, services, imports, pods } = &mut changes;
        *pods = self.pods.everything();
        objects.extend(self.ingresses.iter().map(|ingress| Arc::clone(&ingress.object)));
        objects.extend(self.classes.iter().map(|class| Arc::clone(&class.object)));
        objects.extend(self.services.iter().map(|service| Arc::clone(&service.object)));
        objects.extend(self.imports.iter().map(|import| Arc::clone(&import.object)));
        let slices = self.slices.iter().chain(self.endpoints.values().flatten());
        objects.extend(slices.map(|slice| Arc::clone(&slice.object)));
        objects.extend(self.secrets.names().map(|name| Arc::new(secret_ref(name))));
        let namespace = |name| ObjectRef::new(Kind::Namespace, "", Arc::clone(name));
        objects.extend(self.namespaces.iter().map(|name| Arc::new(namespace(name))));
        services.extend(self.services.iter().map(|service| ObjectName::from(&*service.object)));
        services.extend(self.slices_by_service.names().chain(self.endpoints.keys().cloned()));
        imports.extend(self.imports.iter().map(|import| ObjectName::from(&*import.object)));
        imports.extend(self.slices_by_import.names());
        changes
    }
}

/// Whether DNS names are made of objects of a kind.
pub(crate) fn makes_names(kind: Kind) -> bool {
    !matches!(kind, Kind::Ingress | Kind::IngressClass | Kind::Secret | Kind::ConfigMap)
}

pub(crate) fn secret_ref(name: &ObjectName) -> ObjectRef {
    ObjectRef::new(Kind::Secret, Arc::clone(&name.namespace), Arc::clone(&name.name))
}
