//! What an Ingress says now of where it is served, and who said so.

use super::Address;
use crate::object::object_ref;
use config::{Kind, ObjectRef};
use k8s_openapi::api::networking::v1::{Ingress, IngressLoadBalancerIngress};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use std::sync::Arc;

/// What is seen of an Ingress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// It is there.
    Ingress(SeenIngress),
    /// It is gone, or its labels are no longer those that are watched.
    Left(ObjectRef),
    /// It is gone.
    Gone(ObjectRef),
}

/// An Ingress, as far as its status is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenIngress {
    pub(super) object: ObjectRef,
    pub(super) uid: Box<str>,
    pub(super) version: Box<str>,
    /// Sorted, each as text.
    pub(super) addresses: Vec<Box<str>>,
    /// The field managers that have written what is there.
    pub(super) owners: Box<[Box<str>]>,
}

/// What is seen of an Ingress that still has its `status` and `metadata.managedFields`.
#[must_use]
pub fn seen(ingress: &Ingress) -> SeenIngress {
    let metadata = &ingress.metadata;
    let text = |text: &Option<String>| text.as_deref().unwrap_or_default().into();
    let balancer = ingress.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let entries = balancer.and_then(|balancer| balancer.ingress.as_deref()).unwrap_or_default();
    SeenIngress {
        object: object_ref(Kind::Ingress, metadata),
        uid: text(&metadata.uid),
        version: text(&metadata.resource_version),
        addresses: sorted(entries.iter().map(address)),
        owners: metadata.managed_fields.iter().flatten().filter_map(owner).collect(),
    }
}

/// Addresses in the form in which they are compared.
pub(super) fn texts(addresses: &[Address]) -> Vec<Box<str>> {
    sorted(addresses.iter().map(|address| address.to_string().into()))
}

fn sorted(texts: impl Iterator<Item = Box<str>>) -> Vec<Box<str>> {
    let mut texts: Vec<_> = texts.collect();
    texts.sort_unstable();
    texts
}

/// An entry as text, equal to that of an [`Address`] if it says the same and nothing more.
fn address(IngressLoadBalancerIngress { hostname, ip, ports }: &IngressLoadBalancerIngress) -> Box<str> {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    match (given(ip), given(hostname), ports.as_deref().unwrap_or_default()) {
        (Some(address), None, []) | (None, Some(address), []) => address.into(),
        (ip, hostname, ports) => format!("{ip:?} {hostname:?} {ports:?}").into(),
    }
}

/// Whom an entry makes an owner of the addresses: whoever changes them takes that over.
fn owner(entry: &ManagedFieldsEntry) -> Option<Box<str>> {
    entry.fields_v1.as_ref()?.0.get("f:status")?.get("f:loadBalancer")?;
    entry.manager.as_deref().filter(|_| entry.subresource.as_deref() == Some("status")).map(Box::from)
}

impl SeenIngress {
    /// Whether this field manager has written what is there.
    fn is_by(&self, manager: &str) -> bool {
        self.owners.iter().any(|owner| **owner == *manager)
    }

    /// Whether there are addresses, and this field manager has written them.
    pub(super) fn has_addresses_of(&self, manager: &str) -> bool {
        !self.addresses.is_empty() && self.is_by(manager)
    }

    /// Whether it is older than `other`, of the same object. Versions are numbers that grow (KEP-5504); of others
    /// nothing is known.
    pub(super) fn is_before(&self, other: &Self) -> bool {
        let number = |version: &str| version.parse::<u64>().ok();
        let numbers = number(&self.version).zip(number(&other.version));
        self.uid == other.uid && numbers.is_some_and(|(own, other)| own < other)
    }

    /// Its name, shared.
    pub(super) fn name(&self) -> Arc<ObjectRef> {
        Arc::new(self.object.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(status: &Value, managed_fields: &Value) -> SeenIngress {
        let object = json!({"metadata": {"name": "web", "namespace": "shop", "uid": "u", "resourceVersion": "7",
                                         "managedFields": managed_fields}, "status": status});
        seen(&serde_json::from_value(object).expect("an Ingress"))
    }

    #[test]
    fn addresses_are_compared_without_their_order() {
        let addresses: Vec<Address> = ["b.example", "10.0.0.1"].map(|text| text.parse().expect("an address")).into();
        let entries = json!([{"ip": "10.0.0.1"}, {"hostname": "b.example"}]);
        assert_eq!(read(&json!({"loadBalancer": {"ingress": entries}}), &json!([])).addresses, texts(&addresses));
        for entries in [
            json!([{"ip": "10.0.0.1"}]),
            json!([{"ip": "10.0.0.1", "hostname": "b.example"}]),
            json!([{"ip": "10.0.0.1", "ports": [{"port": 80, "protocol": "TCP"}]}, {"hostname": "b.example"}]),
        ] {
            assert_ne!(read(&json!({"loadBalancer": {"ingress": entries}}), &json!([])).addresses, texts(&addresses));
        }
        for status in [json!(null), json!({}), json!({"loadBalancer": {}})] {
            assert!(read(&status, &json!(null)).addresses.is_empty());
        }
    }

    #[test]
    fn only_who_owns_the_addresses_has_written_them() {
        let entry = |manager: &str, subresource: &str, fields: Value| {
            json!([{"manager": "kubectl", "operation": "Update"},
                   {"manager": manager, "subresource": subresource, "fieldsV1": fields}])
        };
        let balancer = || json!({"f:status": {"f:loadBalancer": {"f:ingress": {}}}});
        for (managed_fields, expected) in [
            (entry("tidegate", "status", balancer()), true),
            (entry("nginx-ingress-controller", "status", balancer()), false),
            (entry("tidegate", "", balancer()), false),
            (entry("tidegate", "status", json!({"f:metadata": {}})), false),
            (json!([]), false),
        ] {
            assert_eq!(read(&json!({}), &managed_fields).is_by("tidegate"), expected, "{managed_fields}");
        }
    }

    #[test]
    fn versions_of_one_object_have_an_order() {
        let with = |uid: &str, version: &str| SeenIngress {
            uid: uid.into(),
            version: version.into(),
            ..read(&json!({}), &json!([]))
        };
        assert!(with("u", "9").is_before(&with("u", "10")));
        assert!(!with("u", "10").is_before(&with("u", "10")));
        assert!(!with("u", "9").is_before(&with("v", "10")) && !with("u", "a").is_before(&with("u", "b")));
    }
}
