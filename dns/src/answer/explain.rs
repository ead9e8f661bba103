//! Why a question gets its answer: what the answer was made from, looked at once more and told.
//! What exists is decided where answers are made; here it only gets a name.

use super::alias::MAX_ALIASES;
use super::{Answer, Node, Place, PodNames, Sections, Subject, Zone, ZoneSettings, answer, pods, reverse};
use crate::name::LowerName;
use crate::question::{Question, TypeName, refusal};
use config::{DomainName, Kind, NameTable, ObjectRef, ServiceNames};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use std::fmt;
use std::net::SocketAddr;

/// An answer with its reasons.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// What is said.
    pub answer: Answer,
    /// Why: one reason for the name, others for what an alias leads to, and last what of the type asked for.
    pub reasons: Vec<Reason>,
}

/// Why a name is answered as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each says itself in words")]
pub enum Reason {
    /// In no zone of the cluster, and no address of it.
    Outside,
    /// It does not exist here, and settings leave such names to others.
    LeftToOthers,
    /// The zone itself, or a name that every zone has.
    Fixed,
    /// This server itself, where it is not said at which of its addresses it is asked.
    AskedAddress,
    /// The servers of the zone, where that is not said.
    AskedServers,
    /// Nothing but the parent of other names.
    Parent,
    /// No name of the zone looks so.
    NoSuchForm,
    NoNamespace(String),
    HiddenNamespace(String),
    NoService(ObjectRef),
    /// A headless Service without a ready endpoint.
    NoEndpoint(ObjectRef),
    /// A Service without a ready endpoint, where such are hidden.
    HiddenService(ObjectRef),
    /// It stands for endpoints, or is one, where endpoints have no names.
    HiddenEndpoints(ObjectRef),
    NoSuchEndpoint(ObjectRef, String),
    NoPort(ObjectRef, String),
    NoTopology(ObjectRef),
    PodsDisabled,
    NoAddress(String),
    NoPod(String, String),
    /// The Service's own addresses.
    OwnAddresses(ObjectRef),
    /// Those of its ready endpoints.
    Endpoints(ObjectRef),
    Endpoint(ObjectRef, String),
    Port(ObjectRef, String),
    Topology(ObjectRef),
    Pod(String),
    Alias(ObjectRef, DomainName),
    /// Its external addresses.
    ExternalAddresses(ObjectRef),
    /// A load balancer's name that it is reached by.
    Balancer(ObjectRef, DomainName),
    /// It has no external address.
    NotExternal(ObjectRef),
    /// Its external addresses stand for its endpoints.
    ExternalAlone(ObjectRef),
    /// The aliases lead in a circle, or there are too many.
    EndlessAlias,
    /// Who has the address that the name spells.
    AddressOf(ObjectRef),
    /// A range of addresses of which some are the cluster's.
    Range,
    NobodysAddress,
    /// The same, where others may know.
    NobodysHere,
    /// The name exists, and has no record of this type.
    NoRecord(RecordType),
    /// The name exists, and is denied as CoreDNS does.
    Denied,
    /// No name has records of this type.
    NoQuestion(RecordType),
}

/// Answers a question that came to `asked_at` as [`answer`] does, and says why; one that never comes to it, as a server
/// does that gives its zone to nobody.
#[must_use]
pub fn explain(
    table: &NameTable,
    question: &Question,
    settings: &ZoneSettings,
    asked_at: Option<SocketAddr>,
) -> Explanation {
    if let Some(code) = refusal(question.record_type) {
        let answer = Answer::Zone(Sections { code, ..Sections::default() });
        return Explanation { answer, reasons: vec![Reason::NoQuestion(question.record_type)] };
    }
    let answer = answer(table, question, settings, asked_at);
    let (wire, zone) = (question.to_wire(), Zone::new(table, settings, asked_at));
    let name = wire.split_last_chunk::<4>().and_then(|(name, _)| LowerName::read(name));
    let mut reasons = name.map(|name| zone.reasons(name, question.record_type)).unwrap_or_default();
    match &answer {
        Answer::Outside if reasons.last() != Some(&Reason::Outside) => {
            if let Some(reason) = reasons.last_mut().filter(|reason| **reason == Reason::NobodysAddress) {
                *reason = Reason::NobodysHere;
            }
            reasons.push(Reason::LeftToOthers);
        }
        Answer::Zone(sections) => {
            let asked = |record_type: RecordType| [question.record_type, RecordType::HINFO].contains(&record_type);
            let has_records = sections.answers.iter().any(|record| asked(record.record_type()));
            let is_absent = reasons.last().is_some_and(Reason::is_absence);
            let leads_on = match reasons.last() {
                Some(Reason::Alias(..) | Reason::EndlessAlias) => true,
                Some(Reason::AskedAddress) => matches!(question.record_type, RecordType::A | RecordType::AAAA),
                // To CoreDNS it leads on for addresses alone.
                Some(Reason::Balancer(..)) => !sections.answers.is_empty(),
                _ => false,
            };
            match sections.code {
                ResponseCode::NXDomain if !is_absent => reasons.push(Reason::Denied),
                ResponseCode::NoError if !has_records && !leads_on => {
                    reasons.push(Reason::NoRecord(question.record_type));
                }
                _ => {}
            }
        }
        _ => {}
    }
    Explanation { answer, reasons }
}

impl Zone<'_> {
    fn reasons(&self, mut name: LowerName, asked: RecordType) -> Vec<Reason> {
        let mut reasons = Vec::new();
        let mut known = vec![name.clone()];
        loop {
            let Some((zone, depth)) = self.of(&name) else {
                reasons.push(reverse::reason(self, &name));
                return reasons;
            };
            let mut label = String::new();
            let reason = zone.reason(&zone.place(&name, depth, &mut label));
            let target = match &reason {
                Reason::Alias(_, target) | Reason::Balancer(_, target) => LowerName::of(target),
                _ => None,
            };
            reasons.push(reason);
            // Others than addresses are told where to ask.
            let Some(target) = target.filter(|_| matches!(asked, RecordType::A | RecordType::AAAA)) else {
                let is_cluster = matches!(zone.subject, Subject::Cluster);
                if is_cluster && depth == 0 && asked == RecordType::NS && self.asked_at.is_none() {
                    reasons.push(Reason::AskedServers);
                }
                return reasons;
            };
            if known.contains(&target) || known.len() > MAX_ALIASES {
                reasons.push(Reason::EndlessAlias);
                return reasons;
            }
            known.push(target.clone());
            name = target;
        }
    }

    fn reason(&self, place: &Place<'_>) -> Reason {
        let exists = !matches!(self.node(place), Node::Absent);
        let service = place.service().map(|(namespace, service)| ObjectRef::new(self.kind(), namespace, service));
        if let Some(service) = service {
            return if exists { self.served(place, service) } else { self.unserved(place, service) };
        }
        match *place {
            Place::NameServer if self.asked_at.is_none() => Reason::AskedAddress,
            Place::Apex | Place::Version | Place::NameServer => Reason::Fixed,
            Place::Namespace(namespace) | Place::Pods(namespace) | Place::Pod { namespace, .. }
                if !self.has_namespace(namespace) =>
            {
                self.no_namespace(namespace)
            }
            Place::Pod { namespace, label } => match pods::address(self.settings.pods, label) {
                _ if exists => Reason::Pod(label.to_owned()),
                _ if self.settings.pods == PodNames::Disabled => Reason::PodsDisabled,
                Some(_) => Reason::NoPod(namespace.to_owned(), label.to_owned()),
                None => Reason::NoAddress(label.to_owned()),
            },
            _ if exists => Reason::Parent,
            _ => Reason::NoSuchForm,
        }
    }

    /// What the zone's Services are.
    pub(super) fn kind(&self) -> Kind {
        if self.is_multicluster() { Kind::ServiceImport } else { Kind::Service }
    }

    fn served(&self, place: &Place<'_>, service: ObjectRef) -> Reason {
        let names = self.find(&service.namespace, &service.name);
        match (place, names) {
            (Place::Service { .. }, Some(ServiceNames::External { target })) => Reason::Alias(service, target.clone()),
            (Place::Service { .. }, Some(ServiceNames::Headless { .. })) => Reason::Endpoints(service),
            (Place::Topology { .. }, _) => Reason::Topology(service),
            (_, _) if matches!(self.node(place), Node::Parent) => Reason::Parent,
            (_, Some(ServiceNames::Hosts { targets, .. })) => match targets.first() {
                Some(target) => Reason::Balancer(service, target.clone()),
                None => Reason::NotExternal(service),
            },
            // To CoreDNS any label is one below a Service with external addresses.
            (Place::Endpoint { .. }, Some(names)) if self.is_below_coredns(names) => Reason::ExternalAddresses(service),
            (Place::Endpoint { label, .. }, _) => Reason::Endpoint(service, (*label).to_owned()),
            (Place::Port { port, transport, .. }, _) => Reason::Port(service, port_name(port, transport)),
            _ if matches!(self.subject, Subject::External(_)) => Reason::ExternalAddresses(service),
            _ => Reason::OwnAddresses(service),
        }
    }

    fn unserved(&self, place: &Place<'_>, service: ObjectRef) -> Reason {
        if !self.has_namespace(&service.namespace) {
            return self.no_namespace(&service.namespace);
        }
        let Some(names) = self.find(&service.namespace, &service.name) else {
            let is_hidden = self.services.find(&service.namespace, &service.name).is_some();
            let is_internal = || self.table.find(&service.namespace, &service.name).is_some();
            return match self.subject {
                _ if is_hidden => Reason::HiddenEndpoints(service),
                Subject::External(_) if is_internal() => Reason::NotExternal(service),
                _ => Reason::NoService(service),
            };
        };
        if names.endpoints().is_empty() && !matches!(names, ServiceNames::External { .. }) {
            if self.settings.hides_empty && matches!(self.subject, Subject::Cluster) {
                return Reason::HiddenService(service);
            } else if matches!(names, ServiceNames::Headless { .. }) {
                return Reason::NoEndpoint(service);
            }
        }
        match *place {
            Place::Endpoint { .. } if self.settings.hides_endpoints => Reason::HiddenEndpoints(service),
            Place::Endpoint { .. } if matches!(self.subject, Subject::External(_)) && !names.is_headless() => {
                Reason::ExternalAlone(service)
            }
            Place::Endpoint { label, .. } => Reason::NoSuchEndpoint(service, label.to_owned()),
            Place::Port { port, transport, .. } => Reason::NoPort(service, port_name(port, transport)),
            _ => Reason::NoTopology(service),
        }
    }

    fn no_namespace(&self, namespace: &str) -> Reason {
        if self.table.has_namespace(namespace) || self.services.has_namespace(namespace) {
            Reason::HiddenNamespace(namespace.to_owned())
        } else {
            Reason::NoNamespace(namespace.to_owned())
        }
    }
}

fn port_name(port: &str, transport: &str) -> String {
    format!("_{port}._{transport}")
}

impl Reason {
    /// The Service or ServiceImport that it is about; `None`: it is about none.
    #[must_use]
    pub fn service(&self) -> Option<&ObjectRef> {
        match self {
            Self::NoService(service)
            | Self::NoEndpoint(service)
            | Self::HiddenService(service)
            | Self::HiddenEndpoints(service)
            | Self::NoSuchEndpoint(service, _)
            | Self::NoPort(service, _)
            | Self::NoTopology(service)
            | Self::OwnAddresses(service)
            | Self::Endpoints(service)
            | Self::Endpoint(service, _)
            | Self::Port(service, _)
            | Self::Topology(service)
            | Self::Alias(service, _)
            | Self::ExternalAddresses(service)
            | Self::Balancer(service, _)
            | Self::NotExternal(service)
            | Self::ExternalAlone(service)
            | Self::AddressOf(service) => Some(service),
            _ => None,
        }
    }

    /// Whether it is why there is no such name.
    pub(super) fn is_absence(&self) -> bool {
        match self {
            Self::NoSuchForm
            | Self::NoNamespace(_)
            | Self::HiddenNamespace(_)
            | Self::NoService(_)
            | Self::NoEndpoint(_)
            | Self::HiddenService(_)
            | Self::HiddenEndpoints(_)
            | Self::NoSuchEndpoint(..)
            | Self::NoPort(..)
            | Self::NoTopology(_)
            | Self::NotExternal(_)
            | Self::ExternalAlone(_)
            | Self::PodsDisabled
            | Self::NoAddress(_)
            | Self::NoPod(..)
            | Self::NobodysAddress
            | Self::NobodysHere => true,
            Self::Outside
            | Self::LeftToOthers
            | Self::Fixed
            | Self::AskedAddress
            | Self::AskedServers
            | Self::Parent
            | Self::OwnAddresses(_)
            | Self::Endpoints(_)
            | Self::Endpoint(..)
            | Self::Port(..)
            | Self::Topology(_)
            | Self::Pod(_)
            | Self::Alias(..)
            | Self::ExternalAddresses(_)
            | Self::Balancer(..)
            | Self::EndlessAlias
            | Self::AddressOf(_)
            | Self::Range
            | Self::NoRecord(_)
            | Self::Denied
            | Self::NoQuestion(_) => false,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Outside => f.write_str("outside of the cluster's zone"),
            Self::LeftToOthers => f.write_str("such names are left to others (fallthrough)"),
            Self::Fixed => f.write_str("a name that the zone has of its own"),
            Self::AskedAddress => f.write_str("its address is the one that is asked (--at)"),
            Self::AskedServers => f.write_str(
                "where Services lead to the address that is asked (--at), they are the name servers, else ns.dns is",
            ),
            Self::Parent => f.write_str("only the parent of other names"),
            Self::NoSuchForm => f.write_str("no name of the zone has this form"),
            Self::NoNamespace(namespace) => write!(f, "there is no namespace {namespace}"),
            Self::HiddenNamespace(namespace) => write!(f, "names of the namespace {namespace} are not told here"),
            Self::NoService(service) => write!(f, "there is no {service}"),
            Self::NoEndpoint(service) => write!(f, "the headless {service} has no ready endpoint"),
            Self::HiddenService(service) => {
                write!(f, "{service} has no ready endpoint, and such are hidden (ignore empty_service)")
            }
            Self::HiddenEndpoints(service) => {
                write!(f, "endpoints, as those of {service}, have no names here (noendpoints)")
            }
            Self::NoSuchEndpoint(service, label) => {
                write!(f, "no ready endpoint of {service} is called {label}")
            }
            Self::NoPort(service, port) => write!(f, "{service} has no port {port}"),
            Self::NoTopology(service) => write!(f, "{service} has no names by topology"),
            Self::PodsDisabled => f.write_str("Pods have no names here (pods disabled)"),
            Self::NoAddress(label) => write!(f, "{label} spells no address"),
            Self::NoPod(namespace, label) => write!(f, "no Pod of the namespace {namespace} has the address {label}"),
            Self::OwnAddresses(service) => write!(f, "{service} has addresses of its own"),
            Self::Endpoints(service) => write!(f, "{service} is headless and stands for its ready endpoints"),
            Self::Endpoint(service, label) => write!(f, "{label} is a ready endpoint of {service}"),
            Self::Port(service, port) => write!(f, "{service} has the port {port}"),
            Self::Topology(service) => write!(f, "the endpoints of {service} in a topology zone"),
            Self::Pod(label) => write!(f, "the address that {label} spells"),
            Self::Alias(service, target) => write!(f, "{service} is an ExternalName that leads to {target}"),
            Self::ExternalAddresses(service) => write!(f, "{service} has external addresses"),
            Self::Balancer(service, target) => write!(f, "{service} is reached by the load balancer {target}"),
            Self::NotExternal(service) => write!(f, "{service} has no external address"),
            Self::ExternalAlone(service) => write!(f, "{service} has external addresses alone"),
            Self::EndlessAlias => f.write_str("the aliases lead in a circle, or are too many"),
            Self::AddressOf(service) => write!(f, "an address of {service}"),
            Self::Range => f.write_str("a range of addresses, of which some are the cluster's"),
            Self::NobodysAddress => f.write_str("nobody has the address, which only the cluster could tell of"),
            Self::NobodysHere => f.write_str("nobody here has the address"),
            Self::NoRecord(record_type) => write!(f, "the name exists, and has no {} record", TypeName(*record_type)),
            Self::NoQuestion(asked @ (RecordType::AXFR | RecordType::IXFR)) => {
                write!(f, "{asked} is for whole zones, which those get whom a transfer names, and is not explained")
            }
            Self::NoQuestion(asked) => write!(f, "no name has records of the type {}", TypeName(*asked)),
            Self::Denied => f.write_str("the name exists, and is denied as CoreDNS does (--dns-compat coredns)"),
        }
    }
}
