//! One Kubernetes object of a kind that Tidegate reads, as its source delivers it.
//! What nothing here reads, and is often most of an object, is dropped by [`Object::trim`].

mod pod;
mod service_import;

pub use pod::{Pod, PodDnsPolicy, PodResolver};
pub use service_import::{ServiceImport, ServiceImportSpec};

use config::{Kind, ObjectRef};
use k8s_openapi::api::core::v1::{ConfigMap, Endpoints, Namespace, Secret, Service, ServiceStatus};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Deserializer};

/// The annotation in which `kubectl apply` keeps a second copy of the object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The namespace of a namespaced object that names none.
const DEFAULT_NAMESPACE: &str = "default";

macro_rules! kinds {
    ($($kind:ident: $($api_version:literal)|+),* $(,)?) => {
        /// Each kind that is read, and in which versions; the newest is the first.
        pub(crate) const READ: &[(Kind, &[&str])] = &[$((Kind::$kind, &[$($api_version),+])),*];

        /// An object of one of the kinds that Tidegate reads.
        #[derive(Debug, Clone, PartialEq)]
        #[expect(missing_docs, reason = "each variant is the Kubernetes kind of the same name")]
        pub enum Object {
            $($kind(Box<$kind>)),*
        }

        impl Object {
            /// Reads an object of that `apiVersion` and `kind`; `None` where Tidegate does not read the kind.
            ///
            /// # Errors
            /// What the deserializer says, where the object does not have the shape of its kind.
            pub fn read<'de, D: Deserializer<'de>>(
                api_version: &str,
                kind: &str,
                deserializer: D,
            ) -> Option<Result<Self, D::Error>> {
                match (api_version, kind) {
                    $(($($api_version)|+, stringify!($kind)) => {
                        Some(Box::<$kind>::deserialize(deserializer).map(Self::$kind))
                    })*
                    _ => None,
                }
            }

            /// Its kind.
            #[must_use]
            pub fn kind(&self) -> Kind {
                match self {
                    $(Self::$kind(_) => Kind::$kind),*
                }
            }

            /// Its metadata.
            #[must_use]
            pub fn metadata(&self) -> &ObjectMeta {
                match self {
                    $(Self::$kind(object) => &object.metadata),*
                }
            }

            /// Its metadata, to be changed by its source.
            pub fn metadata_mut(&mut self) -> &mut ObjectMeta {
                match self {
                    $(Self::$kind(object) => &mut object.metadata),*
                }
            }
        }

        $(impl From<$kind> for Object {
            fn from(object: $kind) -> Self {
                Self::$kind(Box::new(object))
            }
        })*
    };
}

kinds! {
    Ingress: "networking.k8s.io/v1",
    IngressClass: "networking.k8s.io/v1",
    Service: "v1",
    EndpointSlice: "discovery.k8s.io/v1",
    Endpoints: "v1",
    ServiceImport: "multicluster.x-k8s.io/v1beta1" | "multicluster.x-k8s.io/v1alpha1",
    Namespace: "v1",
    Pod: "v1",
    Secret: "v1",
    ConfigMap: "v1",
}

impl Object {
    /// Drops external addresses, where nobody wants to know them.
    pub(crate) fn drop_externals(&mut self) {
        if let Self::Service(service) = self {
            service.status = None;
            service.spec.iter_mut().for_each(|spec| spec.external_ips = None);
        }
    }

    /// Its name; a namespaced object without a namespace is in `default`, as with `kubectl apply`.
    #[must_use]
    pub fn object_ref(&self) -> ObjectRef {
        object_ref(self.kind(), self.metadata())
    }

    /// Drops what nothing here reads, such as `managedFields`, most of statuses and the copy that `kubectl apply` leaves: before a
    /// list of many thousands is whole, all of them lie side by side. Of a [`Pod`] it is gone already.
    pub fn trim(&mut self) {
        let metadata = self.metadata_mut();
        metadata.managed_fields = None;
        metadata.owner_references = None;
        metadata.finalizers = None;
        if let Some(annotations) = &mut metadata.annotations {
            annotations.remove(LAST_APPLIED);
        }
        match self {
            Self::Service(service) => {
                let balancers = service.status.take().and_then(|status| status.load_balancer);
                service.status = balancers
                    .filter(|balancers| balancers.ingress.is_some())
                    .map(|balancers| ServiceStatus { load_balancer: Some(balancers), conditions: None });
                if let Some(spec) = &mut service.spec {
                    spec.selector = None;
                    spec.ip_families = None;
                    spec.ip_family_policy = None;
                    spec.internal_traffic_policy = None;
                    spec.session_affinity = None;
                }
            }
            Self::EndpointSlice(slice) => {
                for endpoint in &mut slice.endpoints.iter_mut().flatten() {
                    endpoint.node_name = None;
                    endpoint.hints = None;
                    if let Some(pod) = &mut endpoint.target_ref {
                        (pod.namespace, pod.uid) = (None, None);
                    }
                }
            }
            _ => {}
        }
    }
}

/// The name of an object of that kind.
pub(crate) fn object_ref(kind: Kind, metadata: &ObjectMeta) -> ObjectRef {
    let namespace = if kind.is_namespaced() { namespace(metadata) } else { "" };
    ObjectRef::new(kind, namespace, metadata.name.as_deref().unwrap_or_default())
}

fn namespace(metadata: &ObjectMeta) -> &str {
    metadata.namespace.as_deref().filter(|namespace| !namespace.is_empty()).unwrap_or(DEFAULT_NAMESPACE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: serde_json::Value) -> Object {
        let text = |field: &str| value.get(field).and_then(|field| field.as_str()).expect("given").to_owned();
        Object::read(&text("apiVersion"), &text("kind"), value).expect("a known kind").expect("valid")
    }

    #[test]
    fn an_object_knows_its_name() {
        for (kind, api_version, metadata, expected) in [
            ("Service", "v1", json!({"name": "web", "namespace": "shop"}), "Service shop/web"),
            ("Secret", "v1", json!({"name": "web"}), "Secret default/web"),
            ("Namespace", "v1", json!({"name": "shop", "namespace": "odd"}), "Namespace shop"),
            ("IngressClass", "networking.k8s.io/v1", json!({"name": "tidegate"}), "IngressClass tidegate"),
        ] {
            let object = read(json!({"apiVersion": api_version, "kind": kind, "metadata": metadata}));
            assert_eq!(object.object_ref().to_string(), expected);
        }
    }

    #[test]
    fn other_kinds_and_versions_are_not_read() {
        for (api_version, kind) in [("v1", "Node"), ("networking.k8s.io/v1beta1", "Ingress"), ("v1", "Ingress")] {
            assert!(Object::read(api_version, kind, json!({})).is_none(), "{api_version} {kind}");
        }
    }

    #[test]
    fn trimming_keeps_what_is_read() {
        let mut object = read(json!({"apiVersion": "v1", "kind": "Service", "metadata": {
            "name": "web",
            "annotations": {LAST_APPLIED: "{}", "tidegate.dev/load-balance": "round_robin"},
            "managedFields": [{"manager": "kubectl"}],
        }, "spec": {"clusterIP": "10.0.0.1", "selector": {"app": "web"}}, "status": {"loadBalancer": {}, "conditions": []}}));
        object.trim();
        assert_eq!(object.metadata().managed_fields, None);
        let annotations = object.metadata().annotations.as_ref().expect("kept");
        assert_eq!(annotations.keys().collect::<Vec<_>>(), ["tidegate.dev/load-balance"]);
        let Object::Service(service) = object else { panic!("a Service") };
        assert_eq!(service.status, None);
        let spec = service.spec.expect("kept");
        assert_eq!((spec.cluster_ip.as_deref(), spec.selector), (Some("10.0.0.1"), None));
        let balancer = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}});
        let mut object =
            read(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "status": balancer}));
        object.trim();
        let Object::Service(service) = object else { panic!("a Service") };
        assert_eq!(serde_json::to_value(service.status).expect("a value"), balancer);
    }
}
