//! Table and question in, reply out: what the zone says, pure and total, written straight into the message.
//! The contract is Kubernetes DNS-Based Service Discovery 1.1.0 and, beyond it, what CoreDNS answers.

mod alias;
mod decoded;
mod explain;
mod external;
mod metadata;
mod node;
mod packet;
mod place;
mod pods;
mod records;
mod reverse;
mod service;
mod settings;
mod targets;
mod text;

use crate::name::LowerName;
use crate::reply::{Pointer, Reply, Section};
use config::{AddressOwner, DomainName, NameTable, ServiceNames};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use node::Node;
use place::Place;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

pub(crate) use alias::MAX_ALIASES;
pub use decoded::{Answer, Sections, answer};
pub use explain::{Explanation, Reason, explain};
#[cfg(test)]
pub(crate) use metadata::NameParts;
pub(crate) use metadata::{Metadata, NameForm};
pub use packet::answer_packet;
pub use pods::PodNames;
pub(crate) use pods::is_address_label;
pub(crate) use records::present;
pub(crate) use settings::Subject;
pub use settings::{ExternalZones, Fallthrough, ReverseZones, ZoneSettings};
pub use text::RecordText;

pub(crate) use reverse::spelled_address;

/// The zone as one question sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Zone<'t> {
    table: &'t NameTable,
    /// The Services of the zone: those of the table, its imports, or its external addresses.
    services: &'t NameTable,
    /// What these are.
    subject: Subject<'t>,
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
        let subject = Subject::Cluster;
        Self { table, services: table, subject, origin, settings, asked_at, turn: 0, is_alone: true }
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
        let Some((zone, depth)) = self.of(name) else { return reverse::answer(self, name, asked, reply) };
        reply.zone_is_in_question(name.start(depth));
        let mut label = String::new();
        let place = zone.place(name, depth, &mut label);
        let node = zone.node(&place);
        let said = match zone.alias(node, asked) {
            Some(target) => alias::follow(zone, target, (name, asked), reply),
            None => {
                zone.answer_at((&place, node), Pointer::QUESTION, asked, reply);
                Said::All
            }
        };
        let is_absent = reply.code == ResponseCode::NXDomain && reply.answers() == 0;
        if is_absent && zone.fallthrough().takes(name) { Said::Outside } else { said }
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

    /// The zone of this name; `None`: there is none.
    pub(crate) fn at(&self, name: &LowerName) -> Option<Self> {
        self.of(name).filter(|(_, depth)| *depth == 0).map(|(zone, _)| zone)
    }

    /// All Services that may have names, as their namespaces and names, in no order, and some twice.
    pub(crate) fn all_services(&self) -> impl Iterator<Item = (&'t Arc<str>, &'t Arc<str>)> {
        let has_endpoints = matches!(self.subject, Subject::External(external) if external.has_endpoints);
        self.services.services().chain(has_endpoints.then(|| self.table.services()).into_iter().flatten())
    }

    /// The longest zone that the name is in, and how many labels are below that.
    fn of(&self, name: &LowerName) -> Option<(Self, usize)> {
        let primary = self.settings.primary.as_ref().unwrap_or(self.table.zone());
        let zones = std::iter::once(primary).chain(&self.settings.zones);
        let found =
            zones.filter_map(|origin| Some((name.depth_below(origin)?, origin))).min_by_key(|(depth, _)| *depth);
        if let Some(external) = &self.settings.external
            && let Some((zone, depth)) = self.of_external_name(external, name)
            && found.is_none_or(|(other, _)| depth < other)
        {
            return Some((zone, depth));
        }
        found.map(|(depth, origin)| {
            let is_multicluster = self.settings.multicluster.contains(origin);
            let zone = Self { origin, subject: Subject::Cluster, services: self.table, ..*self };
            (if is_multicluster { self.of_several(origin) } else { zone }, depth)
        })
    }

    /// The zone at `origin` of the Services of several clusters.
    fn of_several(&self, origin: &'t DomainName) -> Self {
        Self { origin, subject: Subject::Clusters, services: self.table.imports(), ..*self }
    }

    fn is_multicluster(&self) -> bool {
        matches!(self.subject, Subject::Clusters)
    }

    /// Reads a name with `depth` labels below the zone; `label` is room for that of an endpoint with its cluster.
    fn place<'n>(&self, name: &'n LowerName, depth: usize, label: &'n mut String) -> Place<'n> {
        match self.subject {
            Subject::Cluster => Place::read(name, depth),
            Subject::Clusters => Place::read_multicluster(name, depth, label),
            Subject::External(external) => Place::read_external(name, depth, &external.apex),
        }
    }

    /// How long a client may keep a record; seconds.
    pub(crate) fn ttl(&self) -> u32 {
        match self.subject {
            Subject::External(external) => external.ttl,
            Subject::Cluster | Subject::Clusters => self.settings.ttl,
        }
    }

    /// The zone's serial.
    pub(crate) fn serial(&self) -> u32 {
        self.table.serial()
    }

    /// Which of its names are left to others where they do not exist.
    fn fallthrough(&self) -> &'t Fallthrough {
        match self.subject {
            Subject::External(external) => &external.fallthrough,
            Subject::Cluster | Subject::Clusters => &self.settings.fallthrough,
        }
    }

    /// Where this server is found: where it was asked first.
    fn own(&self) -> impl Iterator<Item = IpAddr> + Clone + use<'t> {
        let asked_at = self.asked_at.map(|asked_at| asked_at.ip());
        let others = self.settings.bound.iter().copied().filter(move |address| Some(*address) != asked_at);
        asked_at.into_iter().chain(others)
    }

    /// The names of a Service, unless its namespace is hidden, or it stands for endpoints and these are.
    pub(crate) fn find(&self, namespace: &str, service: &str) -> Option<&'t ServiceNames> {
        let found = self.find_in(self.services, namespace, service);
        match self.subject {
            Subject::External(external) if found.is_none() && external.has_endpoints => {
                self.find_in(self.table, namespace, service).filter(|names| names.is_headless())
            }
            _ => found,
        }
    }

    fn find_in(&self, table: &'t NameTable, namespace: &str, service: &str) -> Option<&'t ServiceNames> {
        let names = table.find(namespace, service).filter(|_| self.settings.exposes(namespace, self.table));
        names.map(Arc::as_ref).filter(|names| !self.settings.hides_endpoints || !names.is_headless())
    }

    /// The names of a Service whose endpoints have names here; `names`: those that are found.
    pub(crate) fn with_endpoints(
        &self,
        names: Option<&'t ServiceNames>,
        (namespace, service): (&str, &str),
    ) -> Option<&'t ServiceNames> {
        let names = match (self.subject, names) {
            // Where it has external addresses these stand for them.
            (Subject::External(external), None) if external.has_endpoints => {
                self.find_in(self.table, namespace, service)
            }
            (Subject::External(_), names) => names.filter(|names| names.is_headless()),
            (Subject::Cluster | Subject::Clusters, names) => names,
        };
        names.filter(|_| !self.settings.hides_endpoints)
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
        let is_zonal = self.settings.is_zonal && matches!(self.subject, Subject::Cluster);
        self.find(namespace, service).filter(|_| is_zonal).is_some_and(ServiceNames::is_headless)
    }

    fn has_namespace(&self, namespace: &str) -> bool {
        let exists = self.services.has_namespace(namespace)
            // A namespace is the same one in all clusters.
            || !matches!(self.subject, Subject::Cluster) && self.table.has_namespace(namespace);
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
        let (before, is_coredns) = (reply.answers(), self.is_coredns());
        match (node, asked) {
            (Node::Absent, _) => reply.code = ResponseCode::NXDomain,
            (node, _) if is_coredns && self.is_denied(node, asked) => reply.code = ResponseCode::NXDomain,
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
            (Node::Balanced(targets, selection), RecordType::SRV) => self.host_services(targets, selection, reply),
            (Node::NameServer, RecordType::A | RecordType::AAAA) => {
                let is_asked = |address: &IpAddr| address.is_ipv4() == (asked == RecordType::A);
                match self.subject {
                    Subject::External(_) => self.addresses(owner, self.external_servers().filter(is_asked), reply),
                    _ => self.addresses(owner, self.own().filter(is_asked), reply),
                }
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
}

#[cfg(test)]
mod tests;
