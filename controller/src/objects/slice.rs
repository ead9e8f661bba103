//! Addresses behind a Service, as an EndpointSlice or a subset of an Endpoints object lists them.

use super::interner::Interner;
use super::kept::Named;
use super::service::{port_number, transport};
use crate::status::{Problem, Reason};
use config::{Kind, ObjectRef, Transport};
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1 as k8s;
use std::net::IpAddr;
use std::sync::Arc;

/// The label of an EndpointSlice that names its Service.
pub(crate) const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// The same for its ServiceImport (KEP-1645),
const IMPORT_NAME: &str = "multicluster.kubernetes.io/service-name";
/// and that for the cluster that its endpoints are in.
pub(crate) const SOURCE_CLUSTER: &str = "multicluster.kubernetes.io/source-cluster";
/// Bytes of a label of a name (RFC 1035 §2.3.4).
const LABEL: usize = 63;

/// Addresses that share their ports.
#[derive(Debug, PartialEq)]
pub struct Slice {
    /// The EndpointSlice or Endpoints object.
    pub object: Arc<ObjectRef>,
    /// The Service that it is for; `None`: it is for none.
    pub service: Option<Arc<str>>,
    /// The Service of several clusters that it is for; `None`: it is for none. One may be for both, where a ServiceImport
    /// has a Service of its own that takes what is sent to its address.
    pub import: Option<Box<SliceImport>>,
    /// The addresses.
    pub endpoints: Box<[SliceEndpoint]>,
    /// The ports of every address, without those that are refused; `None`: it defines none.
    pub ports: Option<Arc<[SlicePort]>>,
    /// What is wrong with it.
    pub problems: Box<[Problem]>,
}

/// What a slice is to a Service of several clusters.
#[derive(Debug, PartialEq)]
pub struct SliceImport {
    /// The ServiceImport.
    pub service: Arc<str>,
    /// The cluster that the endpoints are in, in lower case; `None` where no label of a name is given.
    pub cluster: Option<Arc<str>>,
}

/// One address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SliceEndpoint {
    /// Where it is.
    pub address: IpAddr,
    /// Whether it takes requests.
    pub readiness: Readiness,
    /// Its label below the Service's name, or else the Pod that it is; `None`: it has neither.
    pub name: Option<Arc<str>>,
    /// Whether `name` is that of a Pod.
    pub is_pod: bool,
    /// The topology zone of its node, in lower case; `None`: unknown.
    pub topology: Option<Arc<str>>,
}

/// Whether an address takes requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// `ready` is true or absent.
    Ready,
    /// Not ready, but `serving`: it is terminating (KEP-1672).
    Draining,
    /// Neither.
    NotReady,
}

/// A port of every address of a slice.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SlicePort {
    /// The name of the Service port that it is for; `None` where it has no name.
    pub name: Option<Arc<str>>,
    /// Its transport.
    pub transport: Transport,
    /// Its number; `None`: that of the Service port.
    pub number: Option<u16>,
}

impl Named for Slice {
    const KIND: Kind = Kind::EndpointSlice;

    fn object(&self) -> &Arc<ObjectRef> {
        &self.object
    }
}

impl Slice {
    pub(crate) fn read(slice: k8s::EndpointSlice, object: &Arc<ObjectRef>, names: &mut Interner) -> Self {
        let k8s::EndpointSlice { address_type: _, endpoints, metadata, ports } = slice;
        let mut problems = Vec::new();
        let label = |name: &str| {
            let value = metadata.labels.as_ref().and_then(|labels| labels.get(name));
            value.filter(|value| !value.is_empty())
        };
        let service = label(SERVICE_NAME).map(|service| names.intern(service));
        let import = label(IMPORT_NAME).map(|service| {
            let cluster = label(SOURCE_CLUSTER).filter(|cluster| is_host_label(cluster));
            let cluster = cluster.map(|cluster| names.intern(&cluster.to_ascii_lowercase()));
            Box::new(SliceImport { service: names.intern(service), cluster })
        });
        let mut addresses = Vec::new();
        for (place, endpoint) in endpoints.unwrap_or_default().into_iter().enumerate() {
            read_endpoint((place, endpoint), names, &mut addresses, &mut problems);
        }
        let ports = read_ports(ports, |(place, port)| {
            let k8s::EndpointPort { app_protocol: _, name, port, protocol } = port;
            let field = format!("ports[{place}]");
            read_port(field, (name, port, protocol), names, &mut problems)
        });
        Self {
            object: Arc::clone(object),
            service,
            import,
            endpoints: addresses.into(),
            ports: ports.map(|ports| names.intern_slice_ports(&ports)),
            problems: problems.into(),
        }
    }

    /// The subsets of an Endpoints object, each as a slice of the Service of the same name.
    pub(crate) fn read_endpoints(
        endpoints: core::Endpoints,
        object: &Arc<ObjectRef>,
        names: &mut Interner,
    ) -> Vec<Arc<Self>> {
        let core::Endpoints { metadata: _, subsets } = endpoints;
        let subsets = subsets.unwrap_or_default().into_iter().enumerate();
        let slices = subsets.map(|(place, subset)| Arc::new(Self::read_subset(subset, place, object, names)));
        slices.collect()
    }

    fn read_subset(subset: core::EndpointSubset, place: usize, object: &Arc<ObjectRef>, names: &mut Interner) -> Self {
        let core::EndpointSubset { addresses, not_ready_addresses, ports } = subset;
        let mut problems = Vec::new();
        let mut endpoints = Vec::new();
        for (readiness, list) in [(Readiness::Ready, addresses), (Readiness::NotReady, not_ready_addresses)] {
            for core::EndpointAddress { hostname, ip, node_name: _, target_ref: _ } in list.unwrap_or_default() {
                match read_address(&ip) {
                    Ok(address) => {
                        let name = label(hostname);
                        endpoints.push(SliceEndpoint { address, readiness, name, is_pod: false, topology: None });
                    }
                    Err(message) => {
                        problems.push(Problem::at(format!("subsets[{place}]"), Reason::BadAddress, message));
                    }
                }
            }
        }
        let ports = read_ports(ports, |(port_place, port)| {
            let core::EndpointPort { app_protocol: _, name, port, protocol } = port;
            let field = format!("subsets[{place}].ports[{port_place}]");
            read_port(field, (name, Some(port), protocol), names, &mut problems)
        });
        Self {
            object: Arc::clone(object),
            service: Some(Arc::clone(&object.name)),
            import: None,
            endpoints: endpoints.into(),
            ports: ports.map(|ports| names.intern_slice_ports(&ports)),
            problems: problems.into(),
        }
    }
}

fn read_endpoint(
    (place, endpoint): (usize, k8s::Endpoint),
    names: &mut Interner,
    endpoints: &mut Vec<SliceEndpoint>,
    problems: &mut Vec<Problem>,
) {
    let k8s::Endpoint {
        addresses,
        conditions,
        hostname,
        deprecated_topology: _,
        hints: _,
        node_name: _,
        target_ref,
        zone,
    } = endpoint;
    let k8s::EndpointConditions { ready, serving, terminating: _ } = conditions.unwrap_or_default();
    let readiness = match (ready.unwrap_or(true), serving.unwrap_or(false)) {
        (true, _) => Readiness::Ready,
        (false, true) => Readiness::Draining,
        (false, false) => Readiness::NotReady,
    };
    let hostname = label(hostname);
    let is_pod = hostname.is_none();
    let pod = target_ref.filter(|target| target.kind.as_deref() == Some("Pod")).and_then(|target| target.name);
    let name = hostname.or_else(|| pod.map(Into::into));
    let topology = zone.filter(|zone| !zone.is_empty()).map(|zone| names.intern(&zone.to_ascii_lowercase()));
    for text in addresses {
        match read_address(&text) {
            Ok(address) => {
                let (name, topology) = (name.clone(), topology.clone());
                endpoints.push(SliceEndpoint { address, readiness, name, is_pod, topology });
            }
            Err(message) => {
                problems.push(Problem::at(format!("endpoints[{place}].addresses"), Reason::BadAddress, message));
            }
        }
    }
}

/// Whether a name can be a label of a longer one.
pub(crate) fn is_label(name: &str) -> bool {
    name.len() <= LABEL && !name.contains('.')
}

/// Whether a name can be that of a host below another one (RFC 1123 §2.1).
fn is_host_label(name: &str) -> bool {
    let is_inside = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    is_label(name) && name.bytes().all(is_inside) && !name.starts_with('-') && !name.ends_with('-')
}

fn read_address(text: &str) -> Result<IpAddr, String> {
    let address: Result<IpAddr, _> = text.parse();
    address.map(|address| address.to_canonical()).map_err(|_| format!("{text:?} is no address: it is left out"))
}

fn label(hostname: Option<String>) -> Option<Arc<str>> {
    hostname.filter(|hostname| !hostname.is_empty()).map(Into::into)
}

/// `None` where no port is given, which is other than none that can be used.
fn read_ports<P>(ports: Option<Vec<P>>, read: impl FnMut((usize, P)) -> Option<SlicePort>) -> Option<Vec<SlicePort>> {
    let ports = ports.filter(|ports| !ports.is_empty())?;
    Some(ports.into_iter().enumerate().filter_map(read).collect())
}

fn read_port(
    field: String,
    (name, number, protocol): (Option<String>, Option<i32>, Option<String>),
    names: &mut Interner,
    problems: &mut Vec<Problem>,
) -> Option<SlicePort> {
    let Some(transport) = transport(protocol.as_deref()) else {
        let message = format!("{:?} is none of TCP, UDP, SCTP", protocol.unwrap_or_default());
        problems.push(Problem::at(field, Reason::BadPort, message));
        return None;
    };
    let number = match number {
        None => None,
        Some(number) => match port_number(number) {
            Some(number) => Some(number),
            None => {
                problems.push(Problem::at(
                    field,
                    Reason::BadPort,
                    format!("{number} is not from 1 to 65535: it is left out"),
                ));
                return None;
            }
        },
    };
    let name = name.filter(|name| !name.is_empty()).map(|name| names.intern(&name));
    Some(SlicePort { name, transport, number })
}
