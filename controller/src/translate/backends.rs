//! Service ports and their endpoints: one backend for each port that a route names.
//! A change of a Service or of its slices rebuilds the backends of that Service, and no other.

use super::{Stale, Transition};
use crate::objects::{ExternalTarget, Objects, Readiness, Service, ServiceKind, ServicePort, Slice, SlicePort};
use crate::status::{Problem, Reason};
use config::{
    Backend, BackendKey, BackendPort, BackendProtocol, BackendTable, Endpoint, EndpointAddress, EndpointState,
    ObjectName, ObjectRef, Transport, Trust, UpstreamTls,
};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

/// The backend table and who names its backends.
#[derive(Debug)]
pub(super) struct Backends {
    /// By Service and port, the Ingresses that name it, each as often as it does.
    named_by: FxHashMap<ObjectName, FxHashMap<BackendPort, Vec<Arc<ObjectRef>>>>,
    /// Named by a setting.
    default: Option<BackendKey>,
    pub(super) table: Arc<BackendTable>,
}

impl Backends {
    pub(super) fn new(default: Option<BackendKey>) -> Self {
        let mut named_by: FxHashMap<_, FxHashMap<_, _>> = FxHashMap::default();
        if let Some(key) = &default {
            named_by.entry(service_name(key)).or_default().insert(key.port.clone(), Vec::new());
        }
        Self { named_by, default, table: Arc::default() }
    }

    /// Rebuilds the backends that Ingresses begin or cease to name, and those of the Services that changed.
    pub(super) fn update(
        &mut self,
        transitions: &[Transition],
        services: &FxHashSet<ObjectName>,
        objects: &Objects,
        stale: &mut Stale,
    ) {
        let mut keys: FxHashSet<BackendKey> = FxHashSet::default();
        for Transition { before, after } in transitions {
            for (ingress, (key, _)) in
                before.iter().flat_map(|ingress| ingress.backends().map(move |key| (ingress, key)))
            {
                if self.release(key, &ingress.object) {
                    keys.insert(BackendKey::clone(key));
                }
            }
            for (ingress, (key, _)) in
                after.iter().flat_map(|ingress| ingress.backends().map(move |key| (ingress, key)))
            {
                let ports = self.named_by.entry(service_name(key)).or_default();
                let named_by = ports.entry(key.port.clone()).or_insert_with(|| {
                    keys.insert(BackendKey::clone(key));
                    Vec::new()
                });
                named_by.push(Arc::clone(&ingress.object));
            }
        }
        for service in services {
            let ports = self.named_by.get(service).into_iter().flat_map(FxHashMap::keys);
            keys.extend(ports.map(|port| BackendKey {
                namespace: Arc::clone(&service.namespace),
                service: Arc::clone(&service.name),
                port: port.clone(),
            }));
        }
        keys.iter().for_each(|key| self.rebuild(key, objects));
        stale.extend(keys.iter().map(|key| Arc::new(key.service_ref())));
    }

    /// Takes back one naming; whether it was the last.
    fn release(&mut self, key: &BackendKey, ingress: &Arc<ObjectRef>) -> bool {
        let service = service_name(key);
        let Some(ports) = self.named_by.get_mut(&service) else { return false };
        let Some(named_by) = ports.get_mut(&key.port) else { return false };
        if let Some(place) = named_by.iter().position(|named| Arc::ptr_eq(named, ingress)) {
            named_by.swap_remove(place);
        }
        if !named_by.is_empty() || self.default.as_ref() == Some(key) {
            return false;
        }
        ports.remove(&key.port);
        if ports.is_empty() {
            self.named_by.remove(&service);
        }
        true
    }

    /// Puts the backend of a key into the table, if it is not there. The first change copies the table.
    fn rebuild(&mut self, key: &BackendKey, objects: &Objects) {
        let is_named = self.named_by.get(&service_name(key)).is_some_and(|ports| ports.contains_key(&key.port));
        let backend = if is_named { backend(key, objects) } else { None };
        if self.table.find(key).map(Arc::as_ref) != backend.as_ref() {
            Arc::make_mut(&mut self.table).put(key, backend.map(Arc::new));
        }
    }

    /// What is told of a Service that has no endpoint for ports that are named. What an `ExternalName` is told in itself
    /// says so already. O(ports that are named + addresses of the Service).
    pub(super) fn silence(&self, service: &Service, objects: &Objects) -> Option<Problem> {
        let ObjectRef { namespace, name, .. } = &*service.object;
        let service_name = ObjectName { namespace: Arc::clone(namespace), name: Arc::clone(name) };
        let named = self.named_by.get(&service_name)?;
        let is_silent = |port: &&BackendPort| {
            let (namespace, service) = (Arc::clone(namespace), Arc::clone(name));
            let key = BackendKey { namespace, service, port: (*port).clone() };
            self.table.find(&key).is_some_and(|backend| backend.endpoints.is_empty())
        };
        let mut ports: Vec<_> = named.keys().filter(is_silent).map(ToString::to_string).collect();
        if ports.is_empty() || matches!(service.kind, ServiceKind::External(_)) {
            return None;
        }
        ports.sort_unstable();
        let ports = if ports.len() == named.len() { String::new() } else { format!(" for port {}", ports.join(", ")) };
        let slices = objects.slices(&service_name);
        let mut endpoints = slices.iter().flat_map(|slice| &slice.endpoints).peekable();
        let cause = match () {
            () if slices.is_empty() => "no EndpointSlice is for it",
            () if endpoints.peek().is_none() => "no address is listed for it",
            () if endpoints.all(|endpoint| endpoint.readiness == Readiness::NotReady) => {
                "none of its addresses is ready"
            }
            () => "none of its ready addresses has the port",
        };
        let message = format!("{} has no ready endpoint{ports}, its requests get 503: {cause}", service.object);
        Some(Problem::whole(Reason::NoEndpoint, message))
    }

    /// The Ingresses that name any port of a Service.
    pub(super) fn named_by(&self, service: &ObjectName) -> impl Iterator<Item = &Arc<ObjectRef>> {
        self.named_by.get(service).into_iter().flat_map(|ports| ports.values().flatten())
    }
}

pub(super) fn service_name(key: &BackendKey) -> ObjectName {
    ObjectName { namespace: Arc::clone(&key.namespace), name: Arc::clone(&key.service) }
}

/// Why a backend is not in the table; `None`: it is. O(ports of the Service).
pub(super) fn missing(key: &BackendKey, objects: &Objects) -> Option<(Reason, String)> {
    let Some(service) = objects.service(&service_name(key)) else {
        let message = format!("{} does not exist: requests get 503", key.service_ref());
        return Some((Reason::ServiceNotFound, message));
    };
    if port(service, &key.port).is_some() {
        return None;
    }
    let ports: Vec<_> = service.ports.iter().map(describe).collect();
    let known = if ports.is_empty() { "no ports".to_owned() } else { format!("only {}", ports.join(", ")) };
    let message = format!("{} has no TCP port {}, it has {known}: requests get 503", service.object, key.port);
    Some((Reason::PortNotFound, message))
}

fn describe(port: &ServicePort) -> String {
    let transport = if port.transport == Transport::Tcp { "" } else { port.transport.as_str() };
    let name = port.name.as_deref().map(|name| format!(" ({name})")).unwrap_or_default();
    format!("{transport}{}{}{name}", if transport.is_empty() { "" } else { " " }, port.number)
}

/// The port that a route names. A Service whose addresses are not Pods needs no ports: a number stands for itself.
fn port(service: &Service, port: &BackendPort) -> Option<ServicePort> {
    let stands_for_itself =
        service.ports.is_empty() && (service.endpoints.is_some() || matches!(service.kind, ServiceKind::External(_)));
    match (service.port(port), port) {
        (Some(port), _) => Some(port.clone()),
        (None, BackendPort::Number(number)) if stands_for_itself => Some(ServicePort {
            name: None,
            transport: Transport::Tcp,
            number: *number,
            target: None,
            protocol: BackendProtocol::Http1,
        }),
        (None, _) => None,
    }
}

fn backend(key: &BackendKey, objects: &Objects) -> Option<Backend> {
    let name = service_name(key);
    let service = objects.service(&name)?;
    let port = port(service, &key.port)?;
    let mut tls = UpstreamTls { server_name: None, trust: Trust::Any };
    let endpoints = match (&service.endpoints, &service.kind) {
        (Some(addresses), _) => {
            let serving = addresses.iter().map(|address| (EndpointAddress::Socket(*address), EndpointState::Serving));
            sorted(serving)
        }
        (None, ServiceKind::External(target)) => {
            let target = target.as_ref().filter(|target| !target.is_local());
            tls.trust = Trust::PublicRoots;
            let number = port.target.unwrap_or(port.number);
            let address = target.map(|target| match target {
                ExternalTarget::Address(address) => EndpointAddress::Socket(SocketAddr::new(*address, number)),
                ExternalTarget::Name(name) => {
                    let name: Arc<str> = name.as_str().into();
                    tls.server_name = Some(Arc::clone(&name));
                    EndpointAddress::Name(name, number)
                }
            });
            sorted(address.into_iter().map(|address| (address, EndpointState::Serving)))
        }
        (None, ServiceKind::ClusterIp(_) | ServiceKind::Headless) => {
            sorted(objects.slices(&name).iter().flat_map(|slice| addresses(slice, service, &port)))
        }
    };
    Some(Backend {
        key: key.clone(),
        protocol: port.protocol,
        tls: (port.protocol == BackendProtocol::Https).then_some(tls),
        balancing: service.balancing,
        endpoints,
    })
}

/// Endpoints by address; one that several slices list serves if any of them says so.
fn sorted(addresses: impl Iterator<Item = (EndpointAddress, EndpointState)>) -> Vec<Endpoint> {
    let mut states: BTreeMap<EndpointAddress, EndpointState> = BTreeMap::new();
    for (address, state) in addresses {
        states.entry(address).and_modify(|known| *known = state.min(*known)).or_insert(state);
    }
    states.into_iter().map(|(address, state)| Endpoint { address, state }).collect()
}

/// The addresses of a slice with the number that the Service port has there.
fn addresses<'o>(
    slice: &'o Slice,
    service: &Service,
    port: &ServicePort,
) -> impl Iterator<Item = (EndpointAddress, EndpointState)> + 'o {
    let number = port_number(slice.ports.as_deref(), service, port);
    let serving = slice.endpoints.iter().filter_map(|endpoint| match endpoint.readiness {
        Readiness::Ready => Some((endpoint.address, EndpointState::Serving)),
        Readiness::Draining => Some((endpoint.address, EndpointState::Draining)),
        Readiness::NotReady => None,
    });
    number.into_iter().flat_map(move |number| {
        serving.clone().map(move |(address, state)| (EndpointAddress::Socket(SocketAddr::new(address, number)), state))
    })
}

/// The number of a Service port in a slice: that of the slice's port of the same name. Where one side has no name, two
/// ports that are the only ones belong together. A slice without ports, or with a port without a number, leaves it to
/// `targetPort`.
fn port_number(ports: Option<&[SlicePort]>, service: &Service, port: &ServicePort) -> Option<u16> {
    let own = Some(port.target.unwrap_or(port.number));
    let Some(ports) = ports else { return own };
    let mut of_transport = ports.iter().filter(|candidate| candidate.transport == port.transport);
    let same_name = of_transport.clone().find(|candidate| candidate.name == port.name);
    let found = same_name.or_else(|| match (of_transport.next(), of_transport.next()) {
        (Some(only), None) if service.ports.len() == 1 && (only.name.is_none() || port.name.is_none()) => Some(only),
        _ => None,
    });
    found.and_then(|found| found.number.or(own))
}
