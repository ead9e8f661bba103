//! The names of Services and endpoints in the cluster's DNS zone (Kubernetes DNS-Based Service Discovery 1.1.0).
//! A change of a Service or of its slices rebuilds the names of that Service, and no other.

use crate::objects::{Changes, ExternalTarget, Objects, Readiness, Service, ServiceKind, Slice};
use config::{DomainName, EndpointName, Kind, NameChange, NameTable, ObjectName, PortName, ServiceNames};
use std::net::SocketAddr;
use std::sync::Arc;

/// The names and when they changed last.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) table: Arc<NameTable>,
    /// Of the table.
    version: u64,
}

impl Names {
    pub(super) fn new(zone: DomainName) -> Self {
        Self { table: Arc::new(NameTable::new(zone)), version: 0 }
    }

    /// Makes `changes`; the table stays the same where they change no name, and else gets a higher version, even if they
    /// are deletions, which have none, or come later than others that have a higher one.
    pub(super) fn update(&mut self, changes: &Changes, objects: &Objects) {
        let services = changes.services.iter().filter_map(|name| {
            let names = objects.service(name).and_then(|service| service_names(service, objects.slices(name)));
            let is_known = self.table.find(&name.namespace, &name.name).map(Arc::as_ref) == names.as_ref();
            let ObjectName { namespace, name: service } = name.clone();
            (!is_known).then(|| NameChange::Service { namespace, service, names: names.map(Arc::new) })
        });
        let namespaces = changes.objects.iter().filter(|object| object.kind == Kind::Namespace);
        let namespaces = namespaces.map(|namespace| NameChange::Namespace {
            name: Arc::clone(&namespace.name),
            exists: objects.has_namespace(&namespace.name),
        });
        let patches: Vec<_> = services.chain(namespaces).collect();
        if !patches.is_empty() {
            self.version = objects.version().max(self.version + 1);
            self.table = Arc::new(self.table.patched(patches, self.version));
        }
    }
}

/// The names of a Service; `None`: it has none.
fn service_names(service: &Service, slices: &[Arc<Slice>]) -> Option<ServiceNames> {
    match &service.kind {
        ServiceKind::External(Some(ExternalTarget::Name(target))) => {
            Some(ServiceNames::External { target: target.clone() })
        }
        // An alias cannot lead to an address.
        ServiceKind::External(_) => None,
        // Where nobody has assigned addresses, the endpoints are what can be reached.
        ServiceKind::ClusterIp(addresses) if !addresses.is_empty() => {
            let ports = service.ports.iter().map(|port| PortName {
                name: port.name.as_deref().map(lower),
                transport: port.transport,
                number: port.number,
            });
            Some(ServiceNames::cluster_ip(addresses.to_vec(), ports.collect(), endpoints(service, slices)))
        }
        ServiceKind::ClusterIp(_) | ServiceKind::Headless => Some(ServiceNames::headless(endpoints(service, slices))),
    }
}

fn endpoints(service: &Service, slices: &[Arc<Slice>]) -> Vec<EndpointName> {
    if let Some(addresses) = &service.endpoints {
        return addresses.iter().map(|address| written_endpoint(service, *address)).collect();
    }
    let of_slice = |slice: &Arc<Slice>| {
        let ports = slice_ports(service, slice);
        let is_named = |readiness: Readiness| readiness == Readiness::Ready || service.publishes_not_ready;
        let endpoints = slice.endpoints.iter().filter(move |endpoint| is_named(endpoint.readiness));
        let names = endpoints.map(move |endpoint| {
            let address = endpoint.address.to_canonical();
            let name = endpoint.hostname.as_deref().map_or_else(|| EndpointName::dashed(address).into(), lower);
            // A Pod's name may be longer than a label, and be several.
            let pod = endpoint.pod.as_deref().filter(|pod| pod.len() < 64 && !pod.contains('.')).map(lower);
            EndpointName { address, name, ports: Arc::clone(&ports), pod, topology: endpoint.topology.clone() }
        });
        names.collect::<Vec<_>>()
    };
    slices.iter().flat_map(of_slice).collect()
}

/// An address of `tidegate.dev/endpoints`, which stands behind every port of the Service.
fn written_endpoint(service: &Service, address: SocketAddr) -> EndpointName {
    let ip = address.ip().to_canonical();
    let ports = service.ports.iter().map(|port| PortName {
        name: port.name.as_deref().map(lower),
        transport: port.transport,
        number: address.port(),
    });
    EndpointName {
        address: ip,
        name: EndpointName::dashed(ip).into(),
        ports: ports.collect(),
        pod: None,
        topology: None,
    }
}

/// The ports of a slice's endpoints. One without a number has the Service port's.
fn slice_ports(service: &Service, slice: &Slice) -> Arc<[PortName]> {
    let ports = slice.ports.iter().flatten().filter_map(|port| {
        let of_service = || {
            let same = service.ports.iter().find(|other| other.name == port.name && other.transport == port.transport);
            same.map(|port| port.target.unwrap_or(port.number))
        };
        let number = port.number.or_else(of_service)?;
        Some(PortName { name: port.name.as_deref().map(lower), transport: port.transport, number })
    });
    ports.collect()
}

/// Names in DNS are compared in lower case.
fn lower(name: &str) -> Arc<str> {
    name.to_ascii_lowercase().into()
}

#[cfg(test)]
mod tests;
