//! The names of Services and endpoints in the cluster's DNS zone (Kubernetes DNS-Based Service Discovery 1.1.0).
//! A change of a Service or of its slices rebuilds the names of that Service, and no other; of Pods addresses change.

mod imports;
mod repeated;

use crate::objects::{
    Changes, ExternalAddresses, ExternalTarget, Objects, Readiness, Service, ServiceKind, ServicePort, Slice,
    SliceEndpoint, is_label,
};
use config::{DomainName, EndpointName, Kind, NameChange, NameTable, ObjectName, PortName, ServiceNames};
use imports::import_names;
use repeated::Repeated;
use std::net::SocketAddr;
use std::sync::Arc;

/// The names and when they changed last.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) table: Arc<NameTable>,
    /// Of the table.
    version: u64,
    repeated: Repeated,
}

impl Names {
    pub(super) fn new(zone: DomainName) -> Self {
        Self { table: Arc::new(NameTable::new(zone)), version: 0, repeated: Repeated::default() }
    }

    /// Makes `changes`; the table stays the same where they change no name, and else gets a higher version, even if they
    /// are deletions, which have none, or come later than others that have a higher one.
    pub(super) fn update(&mut self, changes: &Changes, objects: &Objects) {
        let mut patches = self.changed_services(changes, objects);
        patches.extend(self.changed_externals(changes, objects));
        patches.extend(self.changed_imports(changes, objects));
        let namespaces = changes.objects.iter().filter(|object| object.kind == Kind::Namespace);
        patches.extend(namespaces.map(|namespace| NameChange::Namespace {
            name: Arc::clone(&namespace.name),
            exists: objects.has_namespace(&namespace.name),
        }));
        let pods =
            changes.pods.iter().flat_map(|(pod, addresses)| addresses.iter().map(move |address| (pod, *address)));
        patches.extend(pods.map(|(pod, address)| NameChange::Pod {
            namespace: Arc::clone(&pod.namespace),
            pod: Arc::clone(&pod.name),
            address,
            has_own_search: objects.pod_has_own_search(pod),
            exists: objects.pod_has(pod, address),
        }));
        if !patches.is_empty() {
            self.version = objects.version().max(self.version + 1);
            self.table = Arc::new(self.table.patched(patches, self.version));
        }
    }

    fn changed_services(&mut self, changes: &Changes, objects: &Objects) -> Vec<NameChange> {
        let Self { table, repeated, .. } = self;
        let changed = changes.services.iter().filter_map(|name| {
            let service = objects.service(name);
            let names = service.and_then(|service| service_names(service, objects.slices(name), repeated));
            let is_known = table.find(&name.namespace, &name.name).map(Arc::as_ref) == names.as_ref();
            let ObjectName { namespace, name: service } = name.clone();
            (!is_known).then(|| NameChange::Service { namespace, service, names: names.map(Arc::new) })
        });
        changed.collect()
    }

    fn changed_externals(&mut self, changes: &Changes, objects: &Objects) -> Vec<NameChange> {
        let Self { table, repeated, .. } = self;
        let changed = changes.services.iter().filter_map(|name| {
            let service = objects.service(name);
            let names = service.and_then(|service| external_names(service, repeated));
            let is_known = table.externals().find(&name.namespace, &name.name).map(Arc::as_ref) == names.as_ref();
            let ObjectName { namespace, name: service } = name.clone();
            (!is_known).then(|| NameChange::External { namespace, service, names: names.map(Arc::new) })
        });
        changed.collect()
    }

    fn changed_imports(&mut self, changes: &Changes, objects: &Objects) -> Vec<NameChange> {
        let Self { table, repeated, .. } = self;
        let changed = changes.imports.iter().filter_map(|name| {
            let import = objects.import(name);
            let names = import.and_then(|import| import_names(import, objects.slices_of_import(name), repeated));
            let is_known = table.imports().find(&name.namespace, &name.name).map(Arc::as_ref) == names.as_ref();
            let ObjectName { namespace, name: service } = name.clone();
            (!is_known).then(|| NameChange::Import { namespace, service, names: names.map(Arc::new) })
        });
        changed.collect()
    }
}

/// The names of a Service; `None`: it has none.
fn service_names(service: &Service, slices: &[Arc<Slice>], repeated: &mut Repeated) -> Option<ServiceNames> {
    match &service.kind {
        ServiceKind::External(Some(ExternalTarget::Name(target))) => {
            Some(ServiceNames::External { target: target.clone() })
        }
        // An alias cannot lead to an address.
        ServiceKind::External(_) => None,
        // Where nobody has assigned addresses, the endpoints are what can be reached.
        ServiceKind::ClusterIp(addresses) if !addresses.is_empty() => {
            let ports = own_ports(&service.ports, repeated);
            Some(ServiceNames::cluster_ip(addresses.iter().copied(), ports, endpoints(service, slices, repeated)))
        }
        ServiceKind::ClusterIp(_) | ServiceKind::Headless => {
            Some(ServiceNames::headless(endpoints(service, slices, repeated)))
        }
    }
}

/// The names of a Service for those outside of the cluster; `None`: it has none. Where it has an address, names of load
/// balancers do not count: there is no record beside a CNAME (RFC 1034 §3.6.2).
fn external_names(service: &Service, repeated: &mut Repeated) -> Option<ServiceNames> {
    let ExternalAddresses { ips, hosts } = service.external.as_deref()?;
    let ports = own_ports(&service.ports, repeated);
    Some(match &ips[..] {
        [] => ServiceNames::Hosts { targets: hosts.as_slice().into(), ports },
        ips => ServiceNames::cluster_ip(ips.iter().copied(), ports, Vec::new()),
    })
}

/// The ports of a Service itself.
fn own_ports(ports: &[ServicePort], repeated: &mut Repeated) -> Arc<[PortName]> {
    repeated.ports(ports.iter().map(|port| PortName {
        name: port.name.as_ref().map(lower),
        transport: port.transport,
        number: port.number,
    }))
}

fn endpoints(service: &Service, slices: &[Arc<Slice>], repeated: &mut Repeated) -> Vec<EndpointName> {
    if let Some(addresses) = &service.endpoints {
        return addresses.iter().map(|address| written_endpoint(service, *address, repeated)).collect();
    }
    let of_slice = |slice: &Arc<Slice>| {
        let ports = slice_ports(&service.ports, slice, repeated);
        // Where a Service publishes those that are not ready, its slices say that they are.
        let endpoints = slice.endpoints.iter().filter(|endpoint| endpoint.readiness == Readiness::Ready);
        endpoints.map(|endpoint| slice_endpoint(endpoint, &ports, repeated)).collect::<Vec<_>>()
    };
    slices.iter().flat_map(of_slice).collect()
}

fn slice_endpoint(endpoint: &SliceEndpoint, ports: &Arc<[PortName]>, repeated: &mut Repeated) -> EndpointName {
    let address = endpoint.address.to_canonical();
    let (hostname, pod) = match &endpoint.name {
        Some(pod) if endpoint.is_pod => (None, Some(pod)),
        hostname => (hostname.as_ref(), None),
    };
    let name =
        hostname.map_or_else(|| EndpointName::dashed(address).into(), |hostname| hostname.to_ascii_lowercase().into());
    // A Pod's name may be longer than a label, and be several.
    let pod = pod.filter(|pod| is_label(pod)).map(lower);
    EndpointName { address, name, group: repeated.group(ports, endpoint.topology.as_ref()), pod }
}

/// An address of `tidegate.dev/endpoints`, which stands behind every port of the Service.
fn written_endpoint(service: &Service, address: SocketAddr, repeated: &mut Repeated) -> EndpointName {
    let ip = address.ip().to_canonical();
    let ports = service.ports.iter().map(|port| PortName {
        name: port.name.as_ref().map(lower),
        transport: port.transport,
        number: address.port(),
    });
    let ports = repeated.ports(ports);
    let group = repeated.group(&ports, None);
    EndpointName { address: ip, name: EndpointName::dashed(ip).into(), group, pod: None }
}

/// The ports of a slice's endpoints. One without a number has the Service port's.
fn slice_ports(service_ports: &[ServicePort], slice: &Slice, repeated: &mut Repeated) -> Arc<[PortName]> {
    let ports = slice.ports.iter().flat_map(|ports| &**ports).filter_map(|port| {
        let of_service = || {
            let same = service_ports.iter().find(|other| other.name == port.name && other.transport == port.transport);
            same.map(|port| port.target.unwrap_or(port.number))
        };
        let number = port.number.or_else(of_service)?;
        Some(PortName { name: port.name.as_ref().map(lower), transport: port.transport, number })
    });
    repeated.ports(ports)
}

/// Names in DNS are compared in lower case, which nearly all are.
fn lower(name: &Arc<str>) -> Arc<str> {
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) { name.to_ascii_lowercase().into() } else { Arc::clone(name) }
}

#[cfg(test)]
mod tests;
