//! A Service as it is kept: its kind, its ports and what its annotations say.

use super::annotations::{self, Annotations, choice, did_you_mean};
use super::external::ExternalAddresses;
use super::interner::Interner;
use super::kept::Named;
use crate::status::{Problem, Reason};
use config::{BackendPort, BackendProtocol, Balancing, DomainName, DomainNameError, Kind, ObjectRef, Transport};
use k8s_openapi::api::core::v1 as k8s;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// A Service.
#[derive(Debug, PartialEq)]
pub struct Service {
    /// Its name.
    pub object: Arc<ObjectRef>,
    /// What kind of Service it is.
    pub kind: ServiceKind,
    /// `spec.ports`, without those whose number is out of range.
    pub ports: Arc<[ServicePort]>,
    /// Where it is reached from outside of the cluster; `None`: nowhere, or nobody wants to know.
    pub external: Option<Box<ExternalAddresses>>,
    /// The addresses of `tidegate.dev/endpoints`, which count instead of any slice.
    pub endpoints: Option<Box<[SocketAddr]>>,
    /// `tidegate.dev/load-balance`.
    pub balancing: Balancing,
    /// Whether `spec.selector` selects Pods.
    pub has_selector: bool,
    /// What is wrong with it.
    pub problems: Box<[Problem]>,
}

/// What kind of Service it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceKind {
    /// `spec.clusterIPs`; empty where nobody has assigned one, as in a manifest.
    ClusterIp(Box<[IpAddr]>),
    /// `spec.clusterIP: None`.
    Headless,
    /// `spec.type: ExternalName`; `None` where the name cannot be used.
    External(Option<ExternalTarget>),
}

/// `spec.externalName`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExternalTarget {
    /// A name, to be resolved when a connection is made.
    Name(DomainName),
    /// An address, which DNS cannot alias but the proxy can reach.
    Address(IpAddr),
}

/// A port of a Service.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ServicePort {
    /// `None` where it has no name.
    pub name: Option<Arc<str>>,
    /// Its transport.
    pub transport: Transport,
    /// Its number.
    pub number: u16,
    /// `targetPort`, where it is a number.
    pub target: Option<u16>,
    /// From `appProtocol`.
    pub protocol: BackendProtocol,
}

impl Named for Service {
    const KIND: Kind = Kind::Service;

    fn object(&self) -> &Arc<ObjectRef> {
        &self.object
    }
}

impl Service {
    pub(crate) fn read(service: k8s::Service, object: &Arc<ObjectRef>, names: &mut Interner) -> Self {
        let mut problems = Vec::new();
        let external = ExternalAddresses::read(&service, &mut problems);
        let k8s::Service { metadata, spec, status: _ } = service;
        let spec = spec.unwrap_or_default();
        let annotations = Annotations::new(Kind::Service, metadata.annotations.as_ref(), &mut problems);
        let endpoints = annotations.value(annotations::ENDPOINTS, read_endpoints, &mut problems);
        let balancing = annotations.value(annotations::LOAD_BALANCE, read_balancing, &mut problems);
        let kind = read_kind(&spec, &mut problems);
        let ports = spec.ports.unwrap_or_default().into_iter().enumerate();
        let ports = ports.filter_map(|(place, port)| read_port(port, place, names, &mut problems)).collect::<Vec<_>>();
        Self {
            object: Arc::clone(object),
            kind,
            ports: names.intern_service_ports(&ports),
            external: external.map(Box::new),
            endpoints,
            balancing: balancing.unwrap_or_default(),
            has_selector: spec.selector.is_some_and(|selector| !selector.is_empty()),
            problems: problems.into(),
        }
    }

    /// Leaves endpoints to the cluster: whoever may write a Service could send requests to any address otherwise, that of
    /// this program's own admin endpoint too.
    pub(crate) fn without_endpoints(self) -> Self {
        if self.endpoints.is_none() {
            return self;
        }
        let message = "in a cluster endpoints come from EndpointSlices alone";
        let problem = Problem::at(annotations::field(annotations::ENDPOINTS), Reason::NoEffect, message);
        let problems = self.problems.iter().cloned().chain([problem]).collect();
        Self { endpoints: None, problems, ..self }
    }

    /// The port that a route names, if it carries TCP.
    #[must_use]
    pub fn port(&self, port: &BackendPort) -> Option<&ServicePort> {
        let is_named = |candidate: &&ServicePort| match port {
            BackendPort::Number(number) => candidate.number == *number,
            BackendPort::Name(name) => candidate.name.as_ref() == Some(name),
        };
        self.ports.iter().filter(|port| port.transport == Transport::Tcp).find(is_named)
    }
}

impl ExternalTarget {
    /// Whether it is this machine itself, which nobody outside may reach through an alias.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Name(name) => name.labels().next_back() == Some("localhost"),
            Self::Address(address) => {
                let address = address.to_canonical();
                address.is_loopback() || address.is_unspecified()
            }
        }
    }
}

fn read_kind(spec: &k8s::ServiceSpec, problems: &mut Vec<Problem>) -> ServiceKind {
    if spec.type_.as_deref() == Some("ExternalName") {
        let text = spec.external_name.as_deref().unwrap_or_default();
        let target = match (text.parse::<IpAddr>(), text.parse::<DomainName>()) {
            (Ok(address), _) => Ok(ExternalTarget::Address(address)),
            (_, Ok(name)) => Ok(ExternalTarget::Name(name)),
            (_, Err(error)) => Err(error),
        };
        problems.extend(external_problem(text, &target));
        return ServiceKind::External(target.ok());
    }
    let addresses = spec.cluster_ips.iter().flatten().chain(&spec.cluster_ip).map(String::as_str);
    let mut cluster_ips: Vec<IpAddr> = Vec::new();
    for text in addresses.filter(|text| !text.is_empty()) {
        if text == "None" {
            return ServiceKind::Headless;
        }
        match text.parse() {
            Ok(address) if !cluster_ips.contains(&address) => cluster_ips.push(address),
            Ok(_) => {}
            Err(_) => {
                let message = format!("{text:?} is no address");
                problems.push(Problem::at("spec.clusterIPs", Reason::BadAddress, message));
            }
        }
    }
    ServiceKind::ClusterIp(cluster_ips.into())
}

/// What becomes of an `externalName` that does not lead everywhere, told for those too who serve DNS alone or none.
fn external_problem(text: &str, target: &Result<ExternalTarget, DomainNameError>) -> Option<Problem> {
    let (reason, message) = match target {
        Err(error) => (
            Reason::BadAddress,
            format!("{text:?}: {error}: it has no names in DNS, and requests of Ingresses get 503"),
        ),
        Ok(target) => match (target, target.is_local()) {
            (ExternalTarget::Name(_), false) => return None,
            (ExternalTarget::Name(_), true) => {
                (Reason::BadAddress, format!("{text:?} is this machine itself: requests of Ingresses get 503"))
            }
            (ExternalTarget::Address(_), false) => (
                Reason::NoName,
                format!("{text:?} is an address, and no CNAME can lead to one: it has no names in DNS"),
            ),
            (ExternalTarget::Address(_), true) => {
                let nowhere = "it has no names in DNS, and requests of Ingresses get 503";
                (Reason::BadAddress, format!("{text:?} is this machine itself: {nowhere}"))
            }
        },
    };
    Some(Problem::at("spec.externalName", reason, message))
}

pub(super) fn read_port(
    port: k8s::ServicePort,
    place: usize,
    names: &mut Interner,
    problems: &mut Vec<Problem>,
) -> Option<ServicePort> {
    let k8s::ServicePort { app_protocol, name, node_port: _, port: number, protocol, target_port } = port;
    let mut report = |what: &str, reason: Reason, message: String| {
        problems.push(Problem::at(format!("spec.ports[{place}].{what}"), reason, message));
    };
    let Some(number) = port_number(number) else {
        report("port", Reason::BadPort, format!("{number} is not from 1 to 65535"));
        return None;
    };
    let Some(transport) = transport(protocol.as_deref()) else {
        report("protocol", Reason::BadPort, format!("{:?} is none of TCP, UDP, SCTP", protocol.unwrap_or_default()));
        return None;
    };
    let target = match target_port {
        Some(IntOrString::Int(number)) => port_number(number),
        Some(IntOrString::String(_)) | None => None,
    };
    let app_protocol = app_protocol.unwrap_or_default();
    let protocol = backend_protocol(&app_protocol).unwrap_or_else(|suggestion| {
        if let Some(suggestion) = suggestion {
            report("appProtocol", Reason::UnknownProtocol, format!("{app_protocol:?} is taken for http{suggestion}"));
        }
        BackendProtocol::Http1
    });
    let name = name.filter(|name| !name.is_empty()).map(|name| names.intern(&name));
    Some(ServicePort { name, transport, number, target, protocol })
}

/// A port number that can be connected to.
pub(crate) fn port_number(number: i32) -> Option<u16> {
    u16::try_from(number).ok().filter(|number| *number != 0)
}

/// The transport of that name; TCP where none is given.
pub(crate) fn transport(protocol: Option<&str>) -> Option<Transport> {
    match protocol {
        None | Some("" | "TCP") => Some(Transport::Tcp),
        Some("UDP") => Some(Transport::Udp),
        Some("SCTP") => Some(Transport::Sctp),
        Some(_) => None,
    }
}

/// What `appProtocol` asks for (KEP-3726). Of unknown names only those below `kubernetes.io/` are errors: the others may
/// belong to ports that no route names. `Err` brings a suggestion where it is an error.
fn backend_protocol(app_protocol: &str) -> Result<BackendProtocol, Option<String>> {
    const NAMES: [&str; 3] = ["kubernetes.io/h2c", "kubernetes.io/ws", "kubernetes.io/wss"];
    match app_protocol {
        "" | "kubernetes.io/ws" => Ok(BackendProtocol::Http1),
        "kubernetes.io/h2c" => Ok(BackendProtocol::H2c),
        "kubernetes.io/wss" => Ok(BackendProtocol::Https),
        name if name.eq_ignore_ascii_case("http") => Ok(BackendProtocol::Http1),
        name if name.eq_ignore_ascii_case("https") => Ok(BackendProtocol::Https),
        name if name.starts_with("kubernetes.io/") => Err(Some(did_you_mean(name, &NAMES))),
        _ => Err(None),
    }
}

fn read_endpoints(text: &str) -> Result<Box<[SocketAddr]>, String> {
    let addresses: Result<Vec<SocketAddr>, String> = text
        .split(',')
        .map(str::trim)
        .filter(|address| !address.is_empty())
        .map(|address| match address.parse::<SocketAddr>() {
            Ok(address) if address.port() != 0 => Ok(address),
            _ => Err(format!("{address:?} is no ADDRESS:PORT, such as 127.0.0.1:3000 or [::1]:3000")),
        })
        .collect();
    match addresses?.into_boxed_slice() {
        addresses if addresses.is_empty() => Err("no ADDRESS:PORT is given".to_owned()),
        addresses => Ok(addresses),
    }
}

fn read_balancing(text: &str) -> Result<Balancing, String> {
    choice(text, &[("round_robin", Balancing::RoundRobin), ("least_requests", Balancing::LeastRequests)])
}
