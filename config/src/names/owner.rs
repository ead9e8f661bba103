//! Who has an address: found by the reverse table, with an endpoint's own names from its Service.

use super::reverse::Reverse;
use super::{EndpointName, NameTable, ServiceNames};
use std::net::IpAddr;
use std::sync::Arc;

/// What the reverse name of an address leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressOwner<'t> {
    /// Namespace of the Service.
    pub namespace: &'t str,
    /// Name of the Service.
    pub service: &'t str,
    /// The endpoint that has the address; `None`: the address is the Service's own.
    pub endpoint: Option<&'t EndpointName>,
}

/// A Service, once for all its addresses. Sorts by namespace and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ServiceOwner {
    pub(super) namespace: Arc<str>,
    pub(super) service: Arc<str>,
}

/// Owners by address.
pub(super) type Owned = Reverse<Arc<ServiceOwner>>;

/// Who has an address: Services by their own address first, then endpoints, each group sorted by namespace, Service and
/// endpoint.
#[derive(Debug, Clone, Copy)]
pub struct Owners<'t> {
    pub(super) table: &'t NameTable,
    pub(super) address: IpAddr,
}

impl<'t> Owners<'t> {
    /// Each in turn; O(log n) for the first one, and O(log its Service's endpoints) for each endpoint. Endpoints of a
    /// Service that share a name are one.
    pub fn iter(self) -> impl Iterator<Item = AddressOwner<'t>> {
        let Self { table, address } = self;
        let of_service = |owner: &'t Arc<ServiceOwner>, endpoint: Option<&'t EndpointName>| {
            let ServiceOwner { namespace, service } = &**owner;
            AddressOwner { namespace, service, endpoint }
        };
        let of_endpoints = move |owner: &'t Arc<ServiceOwner>| {
            let names = table.find(&owner.namespace, &owner.service).map(Arc::as_ref);
            let endpoints = names.map_or(&[][..], |names: &ServiceNames| names.endpoints_at(address));
            let named = endpoints.chunk_by(|one, other| one.name == other.name).filter_map(<[_]>::first);
            named.map(move |endpoint| of_service(owner, Some(endpoint)))
        };
        let services = table.services.owners(address).map(move |owner| of_service(owner, None));
        services.chain(table.endpoints.owners(address).flat_map(of_endpoints))
    }

    /// Whether nobody has it; O(log n).
    #[must_use]
    pub fn is_empty(self) -> bool {
        [&self.table.services, &self.table.endpoints].iter().all(|owned| owned.owners(self.address).next().is_none())
    }

    /// How many have it; O(as many).
    #[must_use]
    pub fn len(self) -> usize {
        self.iter().count()
    }
}
