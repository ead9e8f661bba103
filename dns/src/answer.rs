//! Table and question in, records out: what the zone says, pure and total.
//! The contract is Kubernetes DNS-Based Service Discovery 1.1.0 and, beyond it, what CoreDNS answers.

mod place;
mod pods;
mod records;
mod reverse;
mod service;

use crate::question::Question;
use config::NameTable;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{Name, RData, Record, RecordType, rdata};
use place::Place;
use records::Zone;
use service::Served;
use std::net::SocketAddr;

pub use pods::PodNames;
pub(crate) use reverse::may_be_ours as is_reverse;

/// CNAMEs that are followed for one question.
const MAX_ALIASES: usize = 10;

/// What the answers hold besides the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ZoneSettings {
    /// How long a client may keep a record; seconds.
    pub ttl: u32,
    /// Which Pods have names.
    pub pods: PodNames,
    /// Where the question came to, and so an address at which the zone's name server is found; `None`: it has none.
    pub asked_at: Option<SocketAddr>,
}

/// CoreDNS's own TTL of 5 s, and Pod names as kubeadm sets them.
impl Default for ZoneSettings {
    fn default() -> Self {
        Self { ttl: 5, pods: PodNames::Insecure, asked_at: None }
    }
}

/// The sections of an answer.
#[derive(Debug, Clone, Default, PartialEq)]
#[expect(missing_docs, reason = "the sections of RFC 1035 §4.1")]
pub struct Sections {
    pub code: ResponseCode,
    pub answers: Vec<Record>,
    pub authorities: Vec<Record>,
    pub additionals: Vec<Record>,
}

impl Sections {
    /// Puts another of the addresses first, so that clients that take the first one spread over all.
    pub fn rotate(&mut self, turn: usize) {
        let is_address = |record: &Record| matches!(record.data, RData::A(_) | RData::AAAA(_));
        let first = self.answers.iter().position(is_address).unwrap_or(self.answers.len());
        let (_, addresses) = self.answers.split_at_mut(first);
        if addresses.len() > 1 && addresses.iter().all(is_address) {
            addresses.rotate_left(turn % addresses.len());
        }
    }
}

/// What the zone says.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// All there is to say.
    Zone(Sections),
    /// CNAMEs that lead out of the zone; the addresses behind them are to be asked upstream, and where nobody there
    /// knows, the CNAMEs are the answer.
    Alias {
        /// The CNAMEs.
        sections: Sections,
        /// The name that they lead to.
        target: Name,
    },
    /// Nothing: the name is none of ours.
    Outside,
}

/// Answers a question from the table. Costs O(endpoints of the Service asked for).
#[must_use]
pub fn answer(table: &NameTable, question: &Question, settings: &ZoneSettings) -> Answer {
    let mut sections = Sections::default();
    let mut name = question.name.clone();
    loop {
        let Some(zone) = Zone::of(&name, table, settings) else {
            return match sections.answers.is_empty() {
                true => reverse::answer(table, question, settings),
                false => Answer::Alias { sections, target: name },
            };
        };
        let lower = name.to_lowercase();
        let place = Place::read(&lower, table.zone());
        if let Place::Service { namespace, service } = &place
            && let Some(target) = service::alias(table, namespace, service)
        {
            let is_known = target == name || sections.answers.iter().any(|record| record.name == target);
            if !is_known && sections.answers.len() < MAX_ALIASES {
                let cname = RData::CNAME(rdata::CNAME(target.clone()));
                sections.answers.push(Record::from_rdata(name, settings.ttl, cname));
                // CoreDNS looks up addresses alone: an ExternalName has no SRV records, nor any others. Who wants them
                // is told where to ask.
                if !matches!(question.record_type, RecordType::A | RecordType::AAAA) {
                    return Answer::Zone(sections);
                }
                name = target;
                continue;
            }
            // Aliases in a circle: what was said stands, and nothing more can be.
            if sections.answers.is_empty() {
                sections.authorities.extend(zone.soa());
            }
            return Answer::Zone(sections);
        }
        answer_in_zone(&zone, &place, &name, question.record_type, &mut sections);
        return Answer::Zone(sections);
    }
}

/// Whether a name is in the cluster's zone, so that nobody else is ever asked about it.
pub(crate) fn is_in_zone(name: &Name, zone: &config::DomainName) -> bool {
    let mut labels = name.iter().rev();
    zone.labels().rev().all(|ours| labels.next().is_some_and(|label| label.eq_ignore_ascii_case(ours.as_bytes())))
}

/// Answers for a name that is no alias.
fn answer_in_zone(zone: &Zone<'_>, place: &Place<'_>, name: &Name, asked: RecordType, sections: &mut Sections) {
    let node = node(zone, place);
    match (&node, asked) {
        (Node::Absent, _) => sections.code = ResponseCode::NXDomain,
        (_, RecordType::ANY) => sections.answers.push(minimal_any(name, zone.settings)),
        (Node::Served(served), RecordType::A | RecordType::AAAA) => {
            sections.answers.extend(zone.addresses(name, served.iter().map(|one| one.address), Some(asked)));
        }
        (Node::Served(served), RecordType::SRV) => {
            if let Some(service) = place.service() {
                zone.services(name, service, served, sections);
            }
        }
        (Node::Apex, RecordType::SOA) => sections.answers.extend(zone.soa()),
        (Node::Apex, RecordType::NS) => zone.name_servers(name, sections),
        (Node::Version, RecordType::TXT) => {
            let version = RData::TXT(rdata::TXT::new(vec!["1.1.0".to_owned()]));
            sections.answers.push(Record::from_rdata(name.clone(), 28_800, version));
        }
        (Node::NameServer, RecordType::A | RecordType::AAAA) => {
            let address = zone.settings.asked_at.map(|asked_at| asked_at.ip());
            sections.answers.extend(zone.addresses(name, address.into_iter(), Some(asked)));
        }
        (Node::Empty | Node::Apex | Node::Version | Node::NameServer | Node::Served(_), _) => {}
    }
    // The answer may be a CNAME that leads here; then the SOA tells that its target has no such record (RFC 2308 §2).
    if sections.answers.last().is_none_or(|record| record.record_type() == RecordType::CNAME) {
        sections.authorities.extend(zone.soa());
    }
}

/// What is at a place.
enum Node<'a> {
    /// No such name, nor any below it.
    Absent,
    /// A name without records of its own (an empty non-terminal, RFC 8020).
    Empty,
    Apex,
    /// `dns-version`.
    Version,
    /// `ns.dns`, the name server that the SOA names.
    NameServer,
    /// Addresses, and ports where there are any.
    Served(Vec<Served<'a>>),
}

/// What ANY gets instead of all records (RFC 8482 §4.2).
fn minimal_any(name: &Name, settings: &ZoneSettings) -> Record {
    let hinfo = rdata::HINFO::new("RFC8482".to_owned(), String::new());
    Record::from_rdata(name.clone(), settings.ttl, RData::HINFO(hinfo))
}

fn node<'a>(zone: &Zone<'a>, place: &Place<'_>) -> Node<'a> {
    let table = zone.table;
    let existing = |exists: bool| if exists { Node::Empty } else { Node::Absent };
    match place {
        Place::Apex => Node::Apex,
        Place::Version => Node::Version,
        Place::NameServer => Node::NameServer,
        Place::Empty => Node::Empty,
        Place::Nowhere => Node::Absent,
        Place::Namespace(namespace) => existing(table.has_namespace(namespace)),
        Place::Pod { namespace, label } => match pods::address(zone.settings.pods, label) {
            Some(address) if table.has_namespace(namespace) => {
                Node::Served(vec![Served { address, port: None, label: None }])
            }
            _ => Node::Absent,
        },
        Place::Service { namespace, service } => served(service::all(table, namespace, service)),
        Place::Endpoint { namespace, service, label } => {
            match served(service::endpoint(table, namespace, service, label)) {
                Node::Absent => existing(service::has_transport(table, namespace, service, label)),
                endpoint => endpoint,
            }
        }
        Place::Port { namespace, service, transport, port } => {
            served(service::port(table, namespace, service, transport, port))
        }
    }
}

fn served(served: Vec<Served<'_>>) -> Node<'_> {
    if served.is_empty() { Node::Absent } else { Node::Served(served) }
}

#[cfg(test)]
mod tests;
