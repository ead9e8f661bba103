//! What a Service, and each name below it, stands for.

use super::place::Topology;
use config::{EndpointName, Labelled, PortName, ServiceNames};
use std::net::IpAddr;

/// Which part of a Service is meant.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wanted<'s> {
    /// All ports, under the Service's own name.
    All,
    /// The ports of this name; only ports with names have one.
    Port { transport: &'s str, port: &'s str },
    /// All ports with names of this transport.
    Transport(&'s str),
    /// The endpoints with this label; several addresses may share one.
    Endpoint(&'s str),
    /// The endpoints in this cluster, which their labels end with.
    Cluster(&'s str),
    /// The endpoints in this topology zone.
    Topology(Topology<'s>),
}

/// What a name stands for: the Service's addresses on its ports, or for a headless Service its endpoints' on theirs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Selection<'s> {
    pub(super) names: &'s ServiceNames,
    pub(super) wanted: Wanted<'s>,
    /// Whether endpoints are known by their Pods.
    pub(super) is_by_pod: bool,
}

/// An address under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Holder<'s> {
    pub(super) address: IpAddr,
    /// The endpoint's label; `None`: the address is the Service's own.
    pub(super) label: Option<&'s str>,
    endpoint: Option<&'s EndpointName>,
    /// All of its ports; empty: it has no SRV record.
    ports: &'s [PortName],
}

impl<'s> Selection<'s> {
    /// The addresses, sorted if they are endpoints'; one comes twice where it has two names.
    pub(super) fn holders(self) -> impl Iterator<Item = Holder<'s>> + Clone {
        let (addresses, ports, endpoints): (&[IpAddr], &[PortName], &[EndpointName]) = match (self.names, self.wanted) {
            (_, Wanted::Endpoint(_)) => (&[], &[], &[]),
            (ServiceNames::ClusterIp { addresses, ports, .. }, _) => (addresses, ports, &[]),
            (ServiceNames::Headless { endpoints }, _) => (&[], &[], endpoints),
            (ServiceNames::Hosts { .. } | ServiceNames::External { .. }, _) => (&[], &[], &[]),
        };
        let own = addresses.iter().map(move |address| Holder { address: *address, label: None, endpoint: None, ports });
        let endpoint = move |endpoint: &'s EndpointName| Holder {
            address: endpoint.address,
            label: Some(endpoint.label(self.is_by_pod)),
            endpoint: Some(endpoint),
            ports: &endpoint.group.ports,
        };
        let labelled = match self.wanted {
            Wanted::Endpoint(label) => self.names.labelled(label, self.is_by_pod),
            _ => Labelled::default(),
        };
        own.chain(endpoints.iter().chain(labelled).map(endpoint)).filter(move |holder| self.has(holder))
    }

    fn has(self, holder: &Holder<'_>) -> bool {
        match self.wanted {
            Wanted::All | Wanted::Endpoint(_) => true,
            Wanted::Cluster(cluster) => {
                let label = holder.label.and_then(|label| label.split_once('.'));
                label.is_some_and(|(_, of_endpoint)| of_endpoint == cluster)
            }
            Wanted::Topology(topology) => holder.endpoint.is_some_and(|endpoint| is_in(endpoint, topology)),
            Wanted::Port { .. } | Wanted::Transport(_) => holder.ports.iter().any(|port| self.has_port(port)),
        }
    }

    fn has_port(self, other: &PortName) -> bool {
        match self.wanted {
            Wanted::All | Wanted::Endpoint(_) | Wanted::Cluster(_) | Wanted::Topology(_) => true,
            Wanted::Port { transport, port } => {
                other.name.as_deref() == Some(port) && other.transport.as_str() == transport
            }
            Wanted::Transport(transport) => other.name.is_some() && other.transport.as_str() == transport,
        }
    }

    /// Whether it stands for anything; if not there is no such name.
    pub(super) fn is_any(&self) -> bool {
        self.holders().next().is_some()
    }

    /// The ports that names of others are reached at; `None`: it is reached at no such name.
    pub(super) fn ports_of_hosts(self) -> Option<impl Iterator<Item = &'s PortName> + Clone> {
        let ServiceNames::Hosts { ports, .. } = self.names else { return None };
        let ports = ports.iter().filter(move |port| self.has_port(port));
        let is_any = match self.wanted {
            Wanted::All => true,
            Wanted::Port { .. } | Wanted::Transport(_) => ports.clone().next().is_some(),
            Wanted::Endpoint(_) | Wanted::Cluster(_) | Wanted::Topology(_) => false,
        };
        is_any.then_some(ports)
    }

    /// The addresses of one family, each once.
    pub(super) fn addresses(self, is_v4: bool) -> impl Iterator<Item = IpAddr> + Clone {
        let addresses = self.holders().map(|holder| holder.address).filter(move |address| address.is_ipv4() == is_v4);
        let mut last = None;
        addresses.filter(move |address| last.replace(*address) != Some(*address))
    }

    /// The ports of one of its addresses.
    pub(super) fn ports(self, holder: Holder<'s>) -> impl Iterator<Item = &'s PortName> {
        holder.ports.iter().filter(move |port| self.has_port(port))
    }

    /// How many pairs of an address and a port there are; an address without ports counts too.
    pub(super) fn candidates(self) -> usize {
        self.holders().map(|holder| if holder.ports.is_empty() { 1 } else { self.ports(holder).count() }).sum()
    }
}

fn is_in(endpoint: &EndpointName, topology: Topology<'_>) -> bool {
    endpoint.group.topology.as_deref().is_some_and(|zone| topology.is(zone))
}
