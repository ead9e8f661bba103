//! Table and question in, reply out: what the zone says, pure and total, written straight into the message.
//! The contract is Kubernetes DNS-Based Service Discovery 1.1.0 and, beyond it, what CoreDNS answers.

mod alias;
mod decoded;
mod explain;
mod packet;
mod place;
mod pods;
mod records;
mod reverse;
mod service;
mod settings;
mod targets;

use crate::name::LowerName;
use crate::reply::{Pointer, Reply, Section};
use config::{AddressOwner, DnsCompatibility, DomainName, NameTable, ServiceNames};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use place::Place;
use service::{Selection, Wanted};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

pub(crate) use alias::MAX_ALIASES;
pub use decoded::{Answer, Sections, answer};
pub use explain::{Explanation, Reason, explain};
pub use packet::answer_packet;
pub use pods::PodNames;
pub(crate) use pods::is_address_label;
pub use settings::{Fallthrough, ReverseZones, ZoneSettings};

pub(crate) use reverse::spelled_address;

/// The zone as one question sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Zone<'t> {
    table: &'t NameTable,
    /// The Services of the zone: those of the table, or its imports.
    services: &'t NameTable,
    /// Whether these are Services of several clusters.
    is_multicluster: bool,
    /// The zone that the name asked for is in; for the names of addresses the first one.
    origin: &'t DomainName,
    settings: &'t ZoneSettings,
    /// Where the question came to, and so an address at which the zone's name server is found; `None`: it has none.
    asked_at: Option<SocketAddr>,
    /// Which of several addresses comes first, so that clients that take the first one spread over all.
    turn: usize,
    /// Whether nobody else has a say where an alias leads to another name of the zone.
    is_alone: bool,
}

/// What was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said<'t> {
    /// All there is to say.
    All,
    /// CNAMEs that lead to this name, of which others may have more to say; where nobody knows, the CNAMEs are the answer.
    Alias(&'t DomainName),
    /// Nothing: the name is none of ours.
    Outside,
}

impl<'t> Zone<'t> {
    /// As a question sees it that came to `asked_at`, if that is known.
    pub(crate) fn new(table: &'t NameTable, settings: &'t ZoneSettings, asked_at: Option<SocketAddr>) -> Self {
        let origin = settings.primary.as_ref().unwrap_or(table.zone());
        Self { table, services: table, is_multicluster: false, origin, settings, asked_at, turn: 0, is_alone: true }
    }

    /// With another of several addresses first.
    pub(crate) fn turned(self, turn: usize) -> Self {
        Self { turn, ..self }
    }

    /// Whether aliases are followed within the zone, or the first one left to others.
    pub(crate) fn alone(self, is_alone: bool) -> Self {
        Self { is_alone, ..self }
    }

    /// Writes the answer, unless the name is none of ours. Costs O(endpoints of the Service asked for).
    pub(crate) fn answer(&self, name: &LowerName, asked: RecordType, reply: &mut Reply<'_>) -> Said<'t> {
        let said = match self.of(name) {
            None => reverse::answer(self, name, asked, reply),
            Some((zone, depth)) => {
                reply.zone_is_in_question(name.start(depth));
                let mut label = String::new();
                let place = zone.place(name, depth, &mut label);
                match zone.node(&place) {
                    Node::Alias(target) => alias::follow(zone, target, (name, asked), reply),
                    node => {
                        zone.answer_at((&place, node), Pointer::QUESTION, asked, reply);
                        Said::All
                    }
                }
            }
        };
        let is_absent = reply.code == ResponseCode::NXDomain && reply.answers() == 0;
        if is_absent && self.settings.fallthrough.takes(name) { Said::Outside } else { said }
    }

    /// Answers where nobody knows yet what is there: "no such name" would be believed, and kept.
    pub(crate) fn answer_unknown(&self, name: &LowerName, reply: &mut Reply<'_>) -> Said<'t> {
        match self.of(name) {
            Some((zone, depth)) => {
                reply.zone_is_in_question(name.start(depth));
                zone.soa(Section::Authority, reply);
            }
            None if reverse::may_be_ours(self, name) => {}
            None => return Said::Outside,
        }
        reply.code = ResponseCode::ServFail;
        Said::All
    }

    /// The longest zone that the name is in, and how many labels are below that.
    fn of(&self, name: &LowerName) -> Option<(Self, usize)> {
        let primary = self.settings.primary.as_ref().unwrap_or(self.table.zone());
        let zones = std::iter::once(primary).chain(&self.settings.zones);
        let found =
            zones.filter_map(|origin| Some((name.depth_below(origin)?, origin))).min_by_key(|(depth, _)| *depth);
        found.map(|(depth, origin)| {
            let is_multicluster = self.settings.multicluster.contains(origin);
            let zone = Self { origin, is_multicluster: false, services: self.table, ..*self };
            (if is_multicluster { self.of_several(origin) } else { zone }, depth)
        })
    }

    /// The zone at `origin` of the Services of several clusters.
    fn of_several(&self, origin: &'t DomainName) -> Self {
        Self { origin, is_multicluster: true, services: self.table.imports(), ..*self }
    }

    /// Reads a name with `depth` labels below the zone; `label` is room for that of an endpoint with its cluster.
    fn place<'n>(&self, name: &'n LowerName, depth: usize, label: &'n mut String) -> Place<'n> {
        if self.is_multicluster { Place::read_multicluster(name, depth, label) } else { Place::read(name, depth) }
    }

    /// Where this server is found: where it was asked first.
    fn own(&self) -> impl Iterator<Item = IpAddr> + Clone + use<'t> {
        let asked_at = self.asked_at.map(|asked_at| asked_at.ip());
        let others = self.settings.bound.iter().copied().filter(move |address| Some(*address) != asked_at);
        asked_at.into_iter().chain(others)
    }

    /// The names of a Service, unless its namespace is hidden, or it stands for endpoints and these are.
    fn find(&self, namespace: &str, service: &str) -> Option<&'t ServiceNames> {
        let names = self.services.find(namespace, service).filter(|_| self.settings.exposes(namespace, self.table));
        names.map(Arc::as_ref).filter(|names| !self.settings.hides_endpoints || !names.is_headless())
    }

    fn has_pod(&self, namespace: &str, address: IpAddr) -> bool {
        self.settings.pods != PodNames::Verified || self.table.has_pod(namespace, address)
    }

    /// The endpoint's label that this owner of an address is known by; `None`: the Service itself is the owner.
    fn label_of(&self, owner: AddressOwner<'t>) -> Option<&'t str> {
        owner.endpoint.map(|endpoint| endpoint.label(self.settings.names_pods))
    }

    /// Whether there are names by topology: those of any headless Service, be it that it has no endpoint at the moment. Who
    /// was told that there is no such name would believe it for a while.
    fn has_topologies(&self, namespace: &str, service: &str) -> bool {
        let names = self.find(namespace, service).filter(|_| self.settings.is_zonal && !self.is_multicluster);
        names.is_some_and(ServiceNames::is_headless)
    }

    fn has_namespace(&self, namespace: &str) -> bool {
        let exists = self.services.has_namespace(namespace)
            // A namespace is the same one in all clusters.
            || self.is_multicluster && self.table.has_namespace(namespace);
        exists && self.settings.exposes(namespace, self.table)
    }

    /// Answers for a name that is no alias, and that the reply has at `owner`.
    fn answer_at(
        &self,
        (place, node): (&Place<'_>, Node<'_, '_>),
        owner: Pointer,
        asked: RecordType,
        reply: &mut Reply<'_>,
    ) {
        let (before, is_coredns) = (reply.answers(), self.settings.compatibility == DnsCompatibility::CoreDns);
        match (node, asked) {
            (Node::Absent, _) => reply.code = ResponseCode::NXDomain,
            (node, _) if is_coredns && is_denied(node, asked) => reply.code = ResponseCode::NXDomain,
            (_, RecordType::ANY) if is_coredns => {}
            (_, RecordType::ANY) => self.minimal_any(owner, reply),
            (Node::Served(selection), RecordType::A | RecordType::AAAA) => {
                self.addresses(owner, selection.addresses(asked == RecordType::A), reply);
            }
            (Node::Served(selection), RecordType::SRV) => {
                if let Some(service) = place.service() {
                    self.services(service, selection, reply);
                }
            }
            (Node::Address(address), RecordType::A | RecordType::AAAA) => {
                let asked = address.into_iter().filter(|address| address.is_ipv4() == (asked == RecordType::A));
                self.addresses(owner, asked, reply);
            }
            (Node::NameServer, RecordType::A | RecordType::AAAA) => {
                let asked = self.own().filter(|address| address.is_ipv4() == (asked == RecordType::A));
                self.addresses(owner, asked, reply);
            }
            (Node::Apex, RecordType::SOA) => self.soa(Section::Answer, reply),
            (Node::Apex, RecordType::NS) => self.name_servers(reply),
            (Node::Version, RecordType::TXT) => self.version(owner, reply),
            _ => {}
        }
        // A CNAME may lead here; then the SOA tells that its target has no such record (RFC 2308 §2).
        if reply.answers() == before {
            self.soa(Section::Authority, reply);
        }
    }

    fn node<'s>(&self, place: &Place<'s>) -> Node<'t, 's>
    where
        't: 's,
    {
        let served = |names: Option<&'t ServiceNames>, wanted: Wanted<'s>| {
            let names = names?;
            // What has an address for several clusters has its endpoints anywhere.
            let is_hidden = self.settings.hides_empty && !self.is_multicluster && names.endpoints().is_empty();
            let selection = Selection { names, wanted, is_by_pod: self.settings.names_pods };
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
            Place::Pod { namespace, label } => pods::address(self.settings.pods, label)
                .filter(|address| self.has_namespace(namespace) && self.has_pod(namespace, *address))
                .map(|address| Node::Address(Some(address))),
            Place::Service { namespace, service } => match self.find(namespace, service) {
                Some(ServiceNames::External { target }) => Some(Node::Alias(target)),
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
                let cluster = || served(names.filter(|_| self.is_multicluster), Wanted::Cluster(label));
                let parent = || transport().or_else(cluster).map(|_| Node::Parent);
                let endpoint = names.filter(|_| !self.settings.hides_endpoints);
                served(endpoint, Wanted::Endpoint(label)).or_else(parent)
            }
            Place::Port { namespace, service, transport, port } => {
                served(self.find(namespace, service), Wanted::Port { transport, port })
            }
        };
        found.unwrap_or(Node::Absent)
    }
}

/// Whether CoreDNS says that there is no such name, although there is.
fn is_denied(node: Node<'_, '_>, asked: RecordType) -> bool {
    match node {
        Node::Parent => true,
        Node::Apex | Node::Empty => asked == RecordType::TXT,
        Node::Version => asked != RecordType::TXT,
        Node::Absent | Node::Alias(_) | Node::Address(_) | Node::NameServer | Node::Served(_) => false,
    }
}

/// What is at a place.
#[derive(Debug, Clone, Copy)]
enum Node<'t, 's> {
    /// No such name, nor any below it.
    Absent,
    /// A name without records of its own (an empty non-terminal, RFC 8020): `svc`, `pod` or a namespace.
    Empty,
    /// Another one: `dns`, or the parent of ports' names.
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
}

#[cfg(test)]
mod tests;
