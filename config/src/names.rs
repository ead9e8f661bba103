//! The cluster's DNS zone as a table: by (namespace, Service) and, in reverse, by address.
//! Records are shared: a new table after one EndpointSlice event differs from the one before in one Service.

mod domain_name;
mod reverse;
mod service;
#[cfg(test)]
mod tests;

pub use domain_name::{DomainName, DomainNameError};
pub use reverse::{AddressOwner, Owners};
pub use service::{EndpointName, PortName, ServiceNames, Transport};

use foldhash::quality::RandomState;
use reverse::Reverse;
use serde::ser::{Serialize, SerializeStruct, Serializer};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

/// The names of the cluster zone; cloning costs O(namespaces) and shares all records.
#[derive(Debug, Clone)]
pub struct NameTable {
    zone: DomainName,
    version: u64,
    namespaces: HashMap<Arc<str>, Arc<NamespaceNames>, RandomState>,
    /// Addresses that Services have of their own.
    services: Reverse,
    endpoints: Reverse,
    /// Addresses of Pods, each owner's `service` being the Pod.
    pods: Reverse,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct NamespaceNames {
    is_declared: bool,
    services: HashMap<Arc<str>, Arc<ServiceNames>, RandomState>,
}

/// One difference between two tables.
#[derive(Debug, Clone)]
pub enum NameChange {
    /// A Service has these names now; `None`: it has none any more.
    Service {
        /// Namespace of the Service.
        namespace: Arc<str>,
        /// Name of the Service.
        service: Arc<str>,
        /// Its names.
        names: Option<Arc<ServiceNames>>,
    },
    /// A Namespace object came or went. A namespace without an object exists as long as it has a Service.
    Namespace {
        /// Its name.
        name: Arc<str>,
        /// Whether there is such an object now.
        exists: bool,
    },
    /// A Pod got an address or lost it. Pods of a node's network share its address.
    Pod {
        /// Namespace of the Pod.
        namespace: Arc<str>,
        /// Name of the Pod.
        pod: Arc<str>,
        /// One of `status.podIPs`.
        address: IpAddr,
        /// Whether the Pod has the address now: it is not terminating, nor has it ended.
        exists: bool,
    },
}

impl NameTable {
    /// A zone without any Service.
    #[must_use]
    pub fn new(zone: DomainName) -> Self {
        Self {
            zone,
            version: 0,
            namespaces: HashMap::default(),
            services: Reverse::default(),
            endpoints: Reverse::default(),
            pods: Reverse::default(),
        }
    }

    /// This table with `changes` made in order; `version` is above that of this table.
    /// Costs O(Services of the namespaces touched + addresses changed · log of all), and a list of one pointer for some
    /// hundred addresses of the cluster; how many share an address does not matter.
    #[must_use]
    pub fn patched(&self, changes: impl IntoIterator<Item = NameChange>, version: u64) -> Self {
        let mut table = Self { version, ..self.clone() };
        for change in changes {
            match change {
                NameChange::Service { namespace, service, names } => table.put(&namespace, &service, names),
                NameChange::Namespace { name, exists } => {
                    let namespace = table.namespaces.entry(Arc::clone(&name)).or_default();
                    Arc::make_mut(namespace).is_declared = exists;
                    table.forget_if_empty(&name);
                }
                NameChange::Pod { namespace, pod, address, exists } => {
                    let owned = (address, AddressOwner { endpoint: None, namespace, service: pod });
                    if exists { table.pods.insert(owned) } else { table.pods.remove(&owned) }
                }
            }
        }
        table
    }

    fn put(&mut self, namespace: &Arc<str>, service: &Arc<str>, names: Option<Arc<ServiceNames>>) {
        let before = self.find(namespace, service).cloned();
        if before == names {
            return;
        }
        let owners = |names: &Option<Arc<ServiceNames>>| -> BTreeSet<(IpAddr, AddressOwner)> {
            let addresses = names.iter().flat_map(|names| names.owned_addresses());
            let owner = |endpoint: Option<&Arc<str>>| AddressOwner {
                endpoint: endpoint.cloned(),
                namespace: Arc::clone(namespace),
                service: Arc::clone(service),
            };
            addresses.map(|(address, endpoint)| (address, owner(endpoint))).collect()
        };
        let (old, new) = (owners(&before), owners(&names));
        for owned in old.difference(&new) {
            self.reverse_of(&owned.1).remove(owned);
        }
        for owned in new.difference(&old) {
            self.reverse_of(&owned.1).insert(owned.clone());
        }
        let services = &mut Arc::make_mut(self.namespaces.entry(Arc::clone(namespace)).or_default()).services;
        match names {
            Some(names) => drop(services.insert(Arc::clone(service), names)),
            None => drop(services.remove(service)),
        }
        self.forget_if_empty(namespace);
    }

    fn reverse_of(&mut self, owner: &AddressOwner) -> &mut Reverse {
        if owner.endpoint.is_some() { &mut self.endpoints } else { &mut self.services }
    }

    fn forget_if_empty(&mut self, namespace: &str) {
        if self.namespaces.get(namespace).is_some_and(|names| !names.is_declared && names.services.is_empty()) {
            self.namespaces.remove(namespace);
        }
    }

    /// The zone that the names are in, `cluster.local` by default.
    #[must_use]
    pub fn zone(&self) -> &DomainName {
        &self.zone
    }

    /// The zone's serial (RFC 1035 §3.3.13): the low 32 bits of its version, so that RFC 1982 orders them; never 0. The
    /// version is at least the newest `resourceVersion` that the zone is made of, and rises whenever the zone changes.
    #[must_use]
    pub fn serial(&self) -> u32 {
        let [_, _, _, _, serial @ ..] = self.version.to_be_bytes();
        u32::from_be_bytes(serial).max(1)
    }

    /// Whether the namespace exists; its name in lower case.
    #[must_use]
    pub fn has_namespace(&self, namespace: &str) -> bool {
        self.namespaces.contains_key(namespace)
    }

    /// The names of a Service, both words in lower case; O(1).
    #[must_use]
    pub fn find(&self, namespace: &str, service: &str) -> Option<&Arc<ServiceNames>> {
        self.namespaces.get(namespace)?.services.get(service)
    }

    /// Who has this address.
    #[must_use]
    pub fn owners(&self, address: IpAddr) -> Owners<'_> {
        Owners { services: &self.services, endpoints: &self.endpoints, address }
    }

    /// Whether a Service has an address of its own from `first` to `last`, both of one family; O(log n).
    #[must_use]
    pub fn has_service_between(&self, first: IpAddr, last: IpAddr) -> bool {
        self.services.has_any(first, last)
    }

    /// Whether a Service or an endpoint has an address from `first` to `last`, both of one family; O(log n).
    #[must_use]
    pub fn has_owner_between(&self, first: IpAddr, last: IpAddr) -> bool {
        self.has_service_between(first, last) || self.endpoints.has_any(first, last)
    }

    /// Whether a Pod of the namespace, in lower case, has the address; O(log n + Pods with the address).
    #[must_use]
    pub fn has_pod(&self, namespace: &str, address: IpAddr) -> bool {
        self.pods.owners(address).any(|owner| &*owner.namespace == namespace)
    }

    /// How many Services have names.
    #[must_use]
    pub fn service_count(&self) -> usize {
        self.namespaces.values().map(|namespace| namespace.services.len()).sum()
    }
}

/// An empty `cluster.local`.
impl Default for NameTable {
    fn default() -> Self {
        Self::new(DomainName::cluster_local())
    }
}

/// Equal tables hold the same names; the serial says when, not what.
impl PartialEq for NameTable {
    fn eq(&self, other: &Self) -> bool {
        self.zone == other.zone && self.namespaces == other.namespaces && self.pods.iter().eq(other.pods.iter())
    }
}

impl Eq for NameTable {}

/// Sorted by namespace and Service, so that equal tables read the same; the reverse index follows from it. Pods are
/// counted only.
impl Serialize for NameTable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let namespaces: BTreeMap<_, BTreeMap<_, _>> =
            self.namespaces.iter().map(|(name, names)| (name, names.services.iter().collect())).collect();
        let mut table = serializer.serialize_struct("NameTable", 3)?;
        table.serialize_field("zone", &self.zone)?;
        table.serialize_field("namespaces", &namespaces)?;
        match self.pods.iter().count() {
            0 => table.skip_field("pod_addresses")?,
            count => table.serialize_field("pod_addresses", &count)?,
        }
        table.end()
    }
}
