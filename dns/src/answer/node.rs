//! What is at a place of the zone, by what the table has.

use super::place::{self, Place};
use super::pods::{self, PodNames};
use super::service::{Selection, Wanted};
use super::{Subject, Zone};
use config::{DnsCompatibility, DomainName, ServiceNames};
use hickory_proto::rr::RecordType;
use std::net::IpAddr;

/// What is at a place.
#[derive(Debug, Clone, Copy)]
pub(super) enum Node<'t, 's> {
    /// No such name, nor any below it.
    Absent,
    /// A name without records of its own (an empty non-terminal, RFC 8020): `svc`, `pod` or a namespace.
    Empty,
    /// Another one: `dns`, the parent of ports' names, or of Pods' where they have none.
    Parent,
    Apex,
    /// `dns-version`.
    Version,
    /// An ExternalName Service, which leads there.
    Alias(&'t DomainName),
    /// One address, or a name that could have one: a Pod, or a topology zone without endpoints.
    Address(Option<IpAddr>),
    /// `ns.dns`, which is the name server that the SOA names.
    NameServer,
    /// Addresses, and ports where there are any.
    Served(Selection<'s>),
    /// The same at names of load balancers.
    Balanced(&'t [DomainName], Selection<'s>),
}

impl<'t> Zone<'t> {
    pub(super) fn node<'s>(&self, place: &Place<'s>) -> Node<'t, 's>
    where
        't: 's,
    {
        let served = |names: Option<&'t ServiceNames>, wanted: Wanted<'s>| {
            let names = names?;
            // What has an address for several clusters has its endpoints anywhere.
            let hides_empty = self.settings.hides_empty && matches!(self.subject, Subject::Cluster);
            let is_hidden = hides_empty && names.endpoints().is_empty();
            let selection = Selection { names, wanted, is_by_pod: self.settings.names_pods };
            if let ServiceNames::Hosts { targets, .. } = names {
                return selection.ports_of_hosts().map(|_| Node::Balanced(targets, selection));
            }
            (!is_hidden && selection.is_any()).then_some(Node::Served(selection))
        };
        let found = match *place {
            Place::Apex => Some(Node::Apex),
            Place::Version => Some(Node::Version),
            Place::NameServer => Some(Node::NameServer),
            Place::Empty => Some(Node::Empty),
            Place::Dns => Some(Node::Parent),
            Place::Nowhere => None,
            Place::Namespace(namespace) => self.has_namespace(namespace).then_some(Node::Empty),
            // To CoreDNS that is a Pod without a name, and there are none at all.
            Place::Pods(namespace) if self.settings.pods == PodNames::Disabled => {
                self.has_namespace(namespace).then_some(Node::Parent)
            }
            Place::Pods(namespace) => self.has_namespace(namespace).then_some(Node::Empty),
            Place::Pod { namespace, label } => pods::address(self.settings.pods, label)
                .filter(|address| self.has_namespace(namespace) && self.has_pod(namespace, *address))
                .map(|address| Node::Address(Some(address))),
            Place::Service { namespace, service } => match self.find(namespace, service) {
                Some(ServiceNames::External { target }) => Some(Node::Alias(target)),
                None => self.has_endpoints_alone(namespace, service).then_some(Node::Parent),
                names => served(names, Wanted::All),
            },
            // Parents of the names by topology.
            Place::Port { namespace, service, transport: "zone", port: "pin" | "prefer" }
            | Place::Endpoint { namespace, service, label: "_zone" }
                if self.has_topologies(namespace, service) =>
            {
                Some(Node::Parent)
            }
            Place::Topology { namespace, service, topology, prefers } if self.has_topologies(namespace, service) => {
                let names = self.find(namespace, service);
                let all = || served(names, Wanted::All).filter(|_| prefers);
                served(names, Wanted::Topology(topology)).or_else(all).or(Some(Node::Address(None)))
            }
            Place::Topology { .. } => None,
            Place::Endpoint { namespace, service, label } => {
                let names = self.find(namespace, service);
                let transport = || served(names, Wanted::Transport(place::bare(label)));
                // Only the parent of its endpoints: a cluster's part of a Service has no records (KEP-1645 §2.3.4).
                let cluster = || served(names.filter(|_| self.is_multicluster()), Wanted::Cluster(label));
                let parent = || transport().or_else(cluster).map(|_| Node::Parent);
                // To CoreDNS any label is one below a Service with external addresses.
                let any = || served(names.filter(|names| self.is_below_coredns(names)), Wanted::All);
                let endpoint = self.with_endpoints(names, (namespace, service));
                served(endpoint, Wanted::Endpoint(label)).or_else(any).or_else(parent)
            }
            Place::Port { namespace, service, transport, port } => {
                served(self.find(namespace, service), Wanted::Port { transport, port })
            }
        };
        found.unwrap_or(Node::Absent)
    }

    /// Where the name's CNAME leads to, for those who ask for such records; `None`: it has none for them.
    pub(super) fn alias(&self, node: Node<'t, '_>, asked: RecordType) -> Option<&'t DomainName> {
        match (node, asked) {
            (Node::Alias(target), _) => Some(target),
            (Node::Balanced(targets, _), RecordType::A | RecordType::AAAA) => targets.first(),
            (Node::Balanced(..), RecordType::SRV) => None,
            // CoreDNS knows of no CNAME where others than addresses are asked for.
            (Node::Balanced(targets, _), _) => targets.first().filter(|_| !self.is_coredns()),
            _ => None,
        }
    }

    pub(super) fn is_coredns(&self) -> bool {
        self.settings.compatibility == DnsCompatibility::CoreDns
    }

    /// Whether CoreDNS says that there is no such name, although there is.
    pub(super) fn is_denied(&self, node: Node<'_, '_>, asked: RecordType) -> bool {
        match node {
            Node::Parent => true,
            Node::Apex | Node::Empty => asked == RecordType::TXT && !matches!(self.subject, Subject::External(_)),
            Node::Version => asked != RecordType::TXT,
            Node::Absent
            | Node::Alias(_)
            | Node::Address(_)
            | Node::NameServer
            | Node::Served(_)
            | Node::Balanced(..) => false,
        }
    }
}
