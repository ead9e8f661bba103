//! Table and question in, reply out: what the zone says, pure and total, written straight into the message.
//! The contract is Kubernetes DNS-Based Service Discovery 1.1.0 and, beyond it, what CoreDNS answers.

mod alias;
mod decoded;
mod packet;
mod place;
mod pods;
mod records;
mod reverse;
mod service;
mod targets;

use crate::name::LowerName;
use crate::reply::{Pointer, Reply, Section};
use config::{DomainName, NameTable};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use place::Place;
use service::{Selection, Wanted};
use std::net::{IpAddr, SocketAddr};

pub use decoded::{Answer, Sections, answer};
pub use packet::answer_packet;
pub use pods::PodNames;
pub(crate) use reverse::may_be_ours as is_reverse;

/// What the answers hold besides the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ZoneSettings {
    /// How long a client may keep a record; seconds.
    pub ttl: u32,
    /// Which Pods have names.
    pub pods: PodNames,
}

/// CoreDNS's own TTL of 5 s, and Pod names as kubeadm sets them.
impl Default for ZoneSettings {
    fn default() -> Self {
        Self { ttl: 5, pods: PodNames::Insecure }
    }
}

/// The zone as one question sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Zone<'t> {
    pub(crate) table: &'t NameTable,
    pub(crate) settings: &'t ZoneSettings,
    /// Where the question came to, and so an address at which the zone's name server is found; `None`: it has none.
    pub(crate) asked_at: Option<SocketAddr>,
    /// Which of several addresses comes first, so that clients that take the first one spread over all.
    pub(crate) turn: usize,
}

/// What was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said<'t> {
    /// All there is to say.
    All,
    /// CNAMEs that lead out of the zone to this name; the addresses behind them are to be asked upstream, and where
    /// nobody there knows, the CNAMEs are the answer.
    Alias(&'t DomainName),
    /// Nothing: the name is none of ours.
    Outside,
}

impl<'t> Zone<'t> {
    /// Writes the answer, unless the name is none of ours. Costs O(endpoints of the Service asked for).
    pub(crate) fn answer(&self, name: &LowerName, asked: RecordType, reply: &mut Reply<'_>) -> Said<'t> {
        let Some(depth) = name.depth_below(self.table.zone()) else { return reverse::answer(self, name, asked, reply) };
        reply.zone_is_in_question(name.start(depth));
        let place = Place::read(name, depth);
        match alias::target(self.table, &place) {
            Some(target) => alias::follow(self, target, (name, asked), reply),
            None => {
                self.answer_at(&place, Pointer::QUESTION, asked, reply);
                Said::All
            }
        }
    }

    /// Answers for a name that is no alias, and that the reply has at `owner`.
    fn answer_at(&self, place: &Place<'_>, owner: Pointer, asked: RecordType, reply: &mut Reply<'_>) {
        let before = reply.answers();
        match (self.node(place), asked) {
            (Node::Absent, _) => reply.code = ResponseCode::NXDomain,
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
            (Node::Apex, RecordType::SOA) => self.soa(Section::Answer, reply),
            (Node::Apex, RecordType::NS) => self.name_servers(reply),
            (Node::Version, RecordType::TXT) => self.version(owner, reply),
            (Node::Empty | Node::Apex | Node::Version | Node::Served(_) | Node::Address(_), _) => {}
        }
        // A CNAME may lead here; then the SOA tells that its target has no such record (RFC 2308 §2).
        if reply.answers() == before {
            self.soa(Section::Authority, reply);
        }
    }

    fn node<'s>(&self, place: &Place<'s>) -> Node<'s>
    where
        't: 's,
    {
        let existing = |exists: bool| if exists { Node::Empty } else { Node::Absent };
        let served = |(namespace, service): (&str, &str), wanted: Wanted<'s>| {
            let names = self.table.find(namespace, service)?;
            Some(Selection { names, wanted }).filter(Selection::is_any).map(Node::Served)
        };
        let found = match *place {
            Place::Apex => Some(Node::Apex),
            Place::Version => Some(Node::Version),
            Place::NameServer => Some(Node::Address(self.asked_at.map(|asked_at| asked_at.ip()))),
            Place::Empty => Some(Node::Empty),
            Place::Nowhere => None,
            Place::Namespace(namespace) => Some(existing(self.table.has_namespace(namespace))),
            Place::Pod { namespace, label } => pods::address(self.settings.pods, label)
                .filter(|_| self.table.has_namespace(namespace))
                .map(|address| Node::Address(Some(address))),
            Place::Service { namespace, service } => served((namespace, service), Wanted::All),
            Place::Endpoint { namespace, service, label } => served((namespace, service), Wanted::Endpoint(label))
                .or_else(|| {
                    let parent = served((namespace, service), Wanted::Transport(place::bare(label)));
                    parent.map(|_| Node::Empty)
                }),
            Place::Port { namespace, service, transport, port } => {
                served((namespace, service), Wanted::Port { transport, port })
            }
        };
        found.unwrap_or(Node::Absent)
    }
}

/// What is at a place.
#[derive(Debug, Clone, Copy)]
enum Node<'s> {
    /// No such name, nor any below it.
    Absent,
    /// A name without records of its own (an empty non-terminal, RFC 8020).
    Empty,
    Apex,
    /// `dns-version`.
    Version,
    /// One address, or a name that could have one: a Pod, or `ns.dns`, the name server that the SOA names.
    Address(Option<IpAddr>),
    /// Addresses, and ports where there are any.
    Served(Selection<'s>),
}

#[cfg(test)]
mod tests;
