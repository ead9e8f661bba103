//! What a Service, and each name below it, stands for.

use super::place::bare;
use super::records;
use config::{NameTable, PortName, ServiceNames};
use hickory_proto::rr::Name;
use std::net::IpAddr;

/// An address under a name, with one of its ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Served<'a> {
    pub(super) address: IpAddr,
    /// `None`: it has no port, and no SRV record.
    pub(super) port: Option<u16>,
    /// The endpoint's label; `None`: the address is the Service's own.
    pub(super) label: Option<&'a str>,
}

/// Where an ExternalName Service leads.
pub(super) fn alias(table: &NameTable, namespace: &str, service: &str) -> Option<Name> {
    match &**table.find(namespace, service)? {
        ServiceNames::External { target } => records::name(target.labels()),
        ServiceNames::ClusterIp { .. } | ServiceNames::Headless { .. } => None,
    }
}

/// What the Service's own name stands for, with all ports; empty: there is no such name.
pub(super) fn all<'a>(table: &'a NameTable, namespace: &str, service: &str) -> Vec<Served<'a>> {
    select(table, namespace, service, None)
}

/// What a port's name stands for: only ports with names have one.
pub(super) fn port<'a>(
    table: &'a NameTable,
    namespace: &str,
    service: &str,
    transport: &str,
    port: &str,
) -> Vec<Served<'a>> {
    let is_asked = |other: &PortName| other.name.as_deref() == Some(port) && other.transport.as_str() == transport;
    select(table, namespace, service, Some(&is_asked))
}

/// What an endpoint's name stands for; several addresses may share one.
pub(super) fn endpoint<'a>(table: &'a NameTable, namespace: &str, service: &str, label: &str) -> Vec<Served<'a>> {
    let endpoints = table.find(namespace, service).map_or(&[][..], |names| names.endpoints());
    endpoints
        .iter()
        .filter(|endpoint| &*endpoint.name == label)
        .flat_map(|endpoint| on_ports(endpoint.address, Some(&endpoint.name), &endpoint.ports, None))
        .collect()
}

/// Whether `_TRANSPORT` exists below the Service, being the parent of a port's name.
pub(super) fn has_transport(table: &NameTable, namespace: &str, service: &str, label: &str) -> bool {
    let is_asked = |port: &PortName| port.name.is_some() && port.transport.as_str() == bare(label);
    !select(table, namespace, service, Some(&is_asked)).is_empty()
}

type PortFilter<'f> = Option<&'f dyn Fn(&PortName) -> bool>;

/// The Service's addresses on its ports, or for a headless Service its endpoints' on theirs.
fn select<'a>(table: &'a NameTable, namespace: &str, service: &str, asked: PortFilter<'_>) -> Vec<Served<'a>> {
    match table.find(namespace, service).map(|names| &**names) {
        Some(ServiceNames::ClusterIp { addresses, ports, .. }) => {
            addresses.iter().flat_map(|address| on_ports(*address, None, ports, asked)).collect()
        }
        Some(ServiceNames::Headless { endpoints }) => {
            let on_ports = |endpoint: &'a config::EndpointName| {
                on_ports(endpoint.address, Some(&endpoint.name), &endpoint.ports, asked)
            };
            endpoints.iter().flat_map(on_ports).collect()
        }
        Some(ServiceNames::External { .. }) | None => Vec::new(),
    }
}

/// One address on each of the ports asked for; once without a port where it has none and none was asked for.
fn on_ports<'a>(
    address: IpAddr,
    label: Option<&'a str>,
    ports: &'a [PortName],
    asked: PortFilter<'_>,
) -> impl Iterator<Item = Served<'a>> {
    let portless = (ports.is_empty() && asked.is_none()).then_some(Served { address, port: None, label });
    let ports = ports.iter().filter(move |port| asked.is_none_or(|is_asked| is_asked(port)));
    ports.map(move |port| Served { address, port: Some(port.number), label }).chain(portless)
}
