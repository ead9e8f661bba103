//! The cluster's DNS zone as a table: by (namespace, Service) and, in reverse, by address.
//! Records are shared: a new table after one EndpointSlice event differs from the one before in one Service.

mod domain_name;
mod endpoint;
mod owner;
mod pieces;
mod reverse;
mod service;
#[cfg(test)]
mod tests;

pub use domain_name::{DomainName, DomainNameError};
pub use endpoint::{EndpointGroup, EndpointName, Labelled};
pub use owner::{AddressOwner, Owners};
pub use service::{PortName, ServiceNames, Transport};

use foldhash::quality::RandomState;
use owner::{Owned, ServiceOwner};
use reverse::Reverse;
use serde::ser::{Serialize, SerializeStruct, Serializer};
use smol_str::SmolStr;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

/// The names of the cluster zone; cloning costs O(namespaces) and shares all records.
#[derive(Debug, Clone)]
pub struct NameTable {
    zone: DomainName,
    version: u64,
    namespaces: HashMap<Arc<str>, Arc<NamespaceNames>, RandomState>,
    /// Addresses that Services have of their own.
    services: Owned,
    endpoints: Owned,
    /// Addresses of Pods, by namespace and name.
    pods: Reverse<(Arc<str>, Arc<str>, bool)>,
    /// Services of several clusters, as a table without others; `None`: there was never one.
    imports: Option<Arc<NameTable>>,
    /// The cluster's Services by their external addresses, as a table without others; `None`: there was never one.
    externals: Option<Arc<NameTable>>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct NamespaceNames {
    is_declared: bool,
    /// By names that mostly lie in the table itself: what is asked for is compared without another look at memory.
    services: HashMap<SmolStr, Entry, RandomState>,
}

/// A Service of a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    /// Itself, as its addresses know it.
    owner: Arc<ServiceOwner>,
    names: Arc<ServiceNames>,
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
    /// A Service of several clusters (a ServiceImport) has these names now; `None`: it has none any more.
    Import {
        /// Namespace of the Service.
        namespace: Arc<str>,
        /// Name of the Service.
        service: Arc<str>,
        /// Its names.
        names: Option<Arc<ServiceNames>>,
    },
    /// A Service has these names for those outside of the cluster now; `None`: it has none any more.
    External {
        /// Namespace of the Service.
        namespace: Arc<str>,
        /// Name of the Service.
        service: Arc<str>,
        /// Its external addresses.
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
        /// Whether its search list may be another than that of its namespace.
        has_own_search: bool,
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
            imports: None,
            externals: None,
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
                NameChange::Import { namespace, service, names } => {
                    of(&mut table.imports, &table.zone).put(&namespace, &service, names);
                }
                NameChange::External { namespace, service, names } => {
                    of(&mut table.externals, &table.zone).put(&namespace, &service, names);
                }
                NameChange::Namespace { name, exists } => {
                    let namespace = table.namespaces.entry(Arc::clone(&name)).or_default();
                    Arc::make_mut(namespace).is_declared = exists;
                    table.forget_if_empty(&name);
                }
                NameChange::Pod { namespace, pod, address, has_own_search, exists } => {
                    // Whichever it was.
                    for has_own_search in [false, true] {
                        table.pods.remove(address, (Arc::clone(&namespace), Arc::clone(&pod), has_own_search));
                    }
                    if exists {
                        table.pods.insert(address, (namespace, pod, has_own_search));
                    }
                }
            }
        }
        table
    }

    fn put(&mut self, namespace: &Arc<str>, service: &Arc<str>, names: Option<Arc<ServiceNames>>) {
        let before = self.namespaces.get(namespace).and_then(|names| names.services.get(&**service)).cloned();
        if before.as_ref().map(|entry| &entry.names) == names.as_ref() {
            return;
        }
        let owner = before.as_ref().map(|entry| Arc::clone(&entry.owner));
        let owner = owner.unwrap_or_else(|| {
            Arc::new(ServiceOwner { namespace: Arc::clone(namespace), service: Arc::clone(service) })
        });
        let (old, new) = (before.as_ref().map(|entry| &*entry.names), names.as_deref());
        let own =
            |names: Option<&ServiceNames>| sorted(names.map_or(&[][..], ServiceNames::own_addresses).iter().copied());
        let of_endpoints = |names: Option<&ServiceNames>| {
            sorted(names.map_or(&[][..], ServiceNames::endpoints).iter().map(|endpoint| endpoint.address))
        };
        replace(&mut self.services, &owner, [own(old), own(new)]);
        replace(&mut self.endpoints, &owner, [of_endpoints(old), of_endpoints(new)]);
        let services = &mut Arc::make_mut(self.namespaces.entry(Arc::clone(namespace)).or_default()).services;
        match names {
            Some(names) => drop(services.insert(Arc::clone(service).into(), Entry { owner, names })),
            None => drop(services.remove(&**service)),
        }
        self.forget_if_empty(namespace);
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

    /// The serial of all zones that are made of it (RFC 1035 §3.3.13), since each depends on more than one of its parts:
    /// 2³¹ and the low 32 bits of its version, so that RFC 1982 orders them; 1 in the place of 0. The version is at least
    /// the newest `resourceVersion` that the table is made of, and rises whenever it changes.
    #[must_use]
    pub fn serial(&self) -> u32 {
        let [_, _, _, _, version @ ..] = self.version.to_be_bytes();
        u32::from_be_bytes(version).wrapping_add(FIRST_SERIAL).max(1)
    }

    /// The Services of several clusters; empty where there are none.
    #[must_use]
    pub fn imports(&self) -> &Self {
        self.imports.as_deref().unwrap_or(&NONE)
    }

    /// The cluster's Services by their external addresses; empty where there are none, or nobody wants to know.
    #[must_use]
    pub fn externals(&self) -> &Self {
        self.externals.as_deref().unwrap_or(&NONE)
    }

    /// Whether the namespace exists; its name in lower case.
    #[must_use]
    pub fn has_namespace(&self, namespace: &str) -> bool {
        self.namespaces.contains_key(namespace)
    }

    /// The names of a Service, both words in lower case; O(1).
    #[must_use]
    pub fn find(&self, namespace: &str, service: &str) -> Option<&Arc<ServiceNames>> {
        self.namespaces.get(namespace)?.services.get(service).map(|entry| &entry.names)
    }

    /// All Services with names, as their namespaces and names, in no order.
    pub fn services(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<str>)> {
        let entries = self.namespaces.values().flat_map(|names| names.services.values());
        entries.map(|entry| (&entry.owner.namespace, &entry.owner.service))
    }

    /// Who has this address.
    #[must_use]
    pub fn owners(&self, address: IpAddr) -> Owners<'_> {
        Owners { table: self, address }
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
        self.pods.owners(address).any(|(of_pod, ..)| &**of_pod == namespace)
    }

    /// The namespace of the Pod that has the address, and whether its search list may be another than that of the
    /// namespace; `None`: there is none, or the Pods of several namespaces share it, as those in a node's network do.
    /// O(log n + Pods with the address).
    #[must_use]
    pub fn pod_namespace(&self, address: IpAddr) -> Option<(&Arc<str>, bool)> {
        let mut owners = self.pods.owners(address);
        let (first, _, has_own) = owners.next()?;
        let mut has_own_search = *has_own;
        for (namespace, _, has_own) in owners {
            if namespace != first {
                return None;
            }
            has_own_search |= *has_own;
        }
        Some((first, has_own_search))
    }

    /// The name of the only Pod that has the address; `None`: there is none, or several share it. O(log n).
    #[must_use]
    pub fn only_pod(&self, address: IpAddr) -> Option<&Arc<str>> {
        let mut owners = self.pods.owners(address);
        let (_, pod, _) = owners.next()?;
        owners.next().is_none().then_some(pod)
    }

    /// Whether there is a Namespace object of that name, in lower case.
    #[must_use]
    pub fn declares(&self, namespace: &str) -> bool {
        self.namespaces.get(namespace).is_some_and(|names| names.is_declared)
    }

    /// How many Services have names.
    #[must_use]
    pub fn service_count(&self) -> usize {
        self.namespaces.values().map(|namespace| namespace.services.len()).sum()
    }
}

/// Half of all serials before the first version: by RFC 1982 that is newer than any time of this half century in seconds, which
/// CoreDNS has for its serial, and secondaries go on where this server takes its place.
const FIRST_SERIAL: u32 = 1 << 31;

/// What stands in for a table that there never was.
static NONE: LazyLock<NameTable> = LazyLock::new(NameTable::default);

/// A table in that of a zone, to be changed.
fn of<'t>(table: &'t mut Option<Arc<NameTable>>, zone: &DomainName) -> &'t mut NameTable {
    Arc::make_mut(table.get_or_insert_with(|| Arc::new(NameTable::new(zone.clone()))))
}

/// Without duplicates.
fn sorted(addresses: impl Iterator<Item = IpAddr>) -> Vec<IpAddr> {
    let mut addresses: Vec<_> = addresses.collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

/// Takes addresses from an owner that it has no longer, and gives it new ones; both are sorted.
fn replace(reverse: &mut Owned, owner: &Arc<ServiceOwner>, [old, new]: [Vec<IpAddr>; 2]) {
    for address in old.iter().filter(|address| new.binary_search(address).is_err()) {
        reverse.remove(*address, Arc::clone(owner));
    }
    for address in new.iter().filter(|address| old.binary_search(address).is_err()) {
        reverse.insert(*address, Arc::clone(owner));
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
        let is_empty = |table: &Option<Arc<Self>>| table.as_ref().is_none_or(|table| table.namespaces.is_empty());
        let is_same = |own: &Option<Arc<Self>>, other| own == other || is_empty(own) && is_empty(other);
        let has_same_pods = self.pods.iter().eq(other.pods.iter());
        self.zone == other.zone
            && self.namespaces == other.namespaces
            && has_same_pods
            && is_same(&self.imports, &other.imports)
            && is_same(&self.externals, &other.externals)
    }
}

impl Eq for NameTable {}

/// Sorted by namespace and Service, so that equal tables read the same; the reverse index follows from it. Pods are
/// counted only.
impl Serialize for NameTable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        fn services(names: &NamespaceNames) -> BTreeMap<&str, &Arc<ServiceNames>> {
            names.services.iter().map(|(name, entry)| (name.as_str(), &entry.names)).collect()
        }
        fn namespaces(table: &NameTable) -> BTreeMap<&Arc<str>, BTreeMap<&str, &Arc<ServiceNames>>> {
            table.namespaces.iter().map(|(name, names)| (name, services(names))).collect()
        }
        let mut table = serializer.serialize_struct("NameTable", 5)?;
        table.serialize_field("zone", &self.zone)?;
        table.serialize_field("namespaces", &namespaces(self))?;
        match self.pods.iter().count() {
            0 => table.skip_field("pod_addresses")?,
            count => table.serialize_field("pod_addresses", &count)?,
        }
        for (key, others) in [("imports", self.imports()), ("externals", self.externals())] {
            match others.namespaces.is_empty() {
                true => table.skip_field(key)?,
                false => table.serialize_field(key, &namespaces(others))?,
            }
        }
        table.end()
    }
}
