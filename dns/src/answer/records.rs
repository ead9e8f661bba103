//! Records of the zone, with the zone's name in the case of the question.

use super::service::Selection;
use super::targets::Targets;
use super::{Subject, Zone};
use crate::reply::{Pointer, Reply, Section, Start, is_name};
use config::{AddressOwner, EndpointName, PortName, ServiceNames};
use hickory_proto::rr::RecordType;
use std::net::{IpAddr, SocketAddr};

/// Owners of the address asked at that are looked through for name servers: a loopback address may have thousands.
const MOST_HOLDERS: usize = 256;
/// Name servers that a zone tells of at most, as there are thirteen of the root.
pub(super) const MOST_SERVERS: usize = 13;
/// The specifications that a zone follows: that of a cluster, and that of several clusters (KEP-1645 §2.1).
const VERSIONS: [&str; 2] = ["1.1.0", "1.0.0"];
/// How long that is true; seconds.
const VERSION_TTL: u32 = 28_800;

/// A Service that leads to this server, and where the reply has its name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct NameServer<'t> {
    pub(super) namespace: &'t str,
    pub(super) service: &'t str,
    /// Of a headless Service.
    endpoint: Option<&'t str>,
    names: &'t ServiceNames,
}

impl<'t> NameServer<'t> {
    /// Its name below the zone.
    fn labels(&self) -> [&'t str; 5] {
        ["", self.endpoint.unwrap_or_default(), self.service, self.namespace, "svc"]
    }
}

/// Without the labels of the endpoint and of its cluster where there are none.
pub(crate) fn present<'l, 's>(labels: &'l [&'s str; 5]) -> &'l [&'s str] {
    match labels {
        ["", "", "", rest @ ..] => rest,
        ["", "", rest @ ..] => rest,
        ["", rest @ ..] => rest,
        labels => labels,
    }
}

/// The labels before the last `count`.
fn without_last<'l, 's>(labels: &'l [&'s str], count: usize) -> &'l [&'s str] {
    labels.get(..labels.len().saturating_sub(count)).unwrap_or_default()
}

impl<'t> Zone<'t> {
    pub(super) fn start(&self, section: Section, owner: Pointer, record_type: RecordType) -> Start<'static> {
        Start { section, labels: &[], owner, record_type, ttl: self.ttl() }
    }

    /// The SOA record, if the reply has the zone's name.
    pub(super) fn soa(&self, section: Section, reply: &mut Reply<'_>) {
        if let Some(owner) = reply.zone() {
            self.soa_of((section, owner), reply);
        }
    }

    /// The SOA record of this zone or of a reverse one, with the TTL of negative answers (RFC 2308 §3); none if the
    /// zone's name is so long that its name server has no name.
    pub(super) fn soa_of(&self, (section, owner): (Section, Pointer), reply: &mut Reply<'_>) {
        let (zone, ttl) = (self.origin, self.ttl());
        let of_external;
        let (server, mailbox): (_, &[&str]) = match self.subject {
            Subject::External(external) => {
                of_external = ["hostmaster", &external.apex];
                (["ns1", &external.apex], &of_external)
            }
            Subject::Cluster | Subject::Clusters => (["ns", "dns"], &["hostmaster"]),
        };
        if !is_name(mailbox, zone) {
            return;
        }
        let start = Start { ttl: ttl.min(300), ..self.start(section, owner, RecordType::SOA) };
        reply.record(start, |reply| {
            reply.below_zone(&server, zone);
            reply.below_zone(mailbox, zone);
            let numbers = [self.serial(), 7_200, 1_800, 86_400, ttl].map(u32::to_be_bytes);
            reply.bytes(numbers.as_flattened());
        });
    }

    /// What ANY gets instead of all records (RFC 8482 §4.2).
    pub(super) fn minimal_any(&self, owner: Pointer, reply: &mut Reply<'_>) {
        reply.record(self.start(Section::Answer, owner, RecordType::HINFO), |reply| {
            reply.label(b"RFC8482");
            reply.label(b"");
        });
    }

    /// The specification's version.
    pub(super) fn version(&self, owner: Pointer, reply: &mut Reply<'_>) {
        let [of_cluster, of_clusters] = VERSIONS;
        let version = if self.is_multicluster() { of_clusters } else { of_cluster };
        let start = Start { ttl: VERSION_TTL, ..self.start(Section::Answer, owner, RecordType::TXT) };
        reply.record(start, |reply| reply.label(version.as_bytes()));
    }

    /// A record for each of the addresses, another one first each time.
    pub(super) fn addresses(
        &self,
        owner: Pointer,
        addresses: impl Iterator<Item = IpAddr> + Clone,
        reply: &mut Reply<'_>,
    ) {
        let turn = self.turn.checked_rem(addresses.clone().count()).unwrap_or(0);
        for address in addresses.clone().skip(turn).chain(addresses.take(turn)) {
            if !reply.address(self.start(Section::Answer, owner, address_type(address)), address) {
                break;
            }
        }
    }

    /// An SRV record at the question's name for each port of each target, and the targets' addresses.
    pub(super) fn services(&self, service: (&str, &str), selection: Selection<'_>, reply: &mut Reply<'_>) {
        let candidates = selection.candidates();
        // As CoreDNS weighs: 100 shared by all candidates, whether or not two of them make one record.
        let weight = u16::try_from(100 / candidates.max(1)).unwrap_or(1).max(1);
        let mut targets = Targets::new(candidates);
        // Where the Service's own name stands, as the end of the first target.
        let mut own = None;
        for holder in selection.holders() {
            let labels = self.labels(service, holder.label);
            let labels = present(&labels);
            for port in selection.ports(holder).filter(|_| is_name(labels, self.origin)) {
                if targets.contains((holder.label, port.number)) {
                    continue;
                }
                let mut at = 0;
                let start = self.start(Section::Answer, Pointer::QUESTION, RecordType::SRV);
                let is_written = reply.record(start, |reply| {
                    [0, weight, port.number].into_iter().for_each(|number| reply.u16(number));
                    at = reply.place();
                    reply.whole_below_zone(labels, self.origin);
                });
                if !is_written {
                    return;
                }
                own = own.or_else(|| Pointer::to(at + holder.label.map_or(0, |label| label.len() + 1)));
                targets.insert((holder.label, port.number), Pointer::to(at));
            }
        }
        if let Some(own) = own {
            self.target_addresses((service, own), selection, &targets, reply);
        }
    }

    /// `own`: where the Service's name stands.
    fn target_addresses(
        &self,
        (service, own): ((&str, &str), Pointer),
        selection: Selection<'_>,
        targets: &Targets<'_>,
        reply: &mut Reply<'_>,
    ) {
        let (mut last, own_labels) = (None, present(&self.labels(service, None)).len());
        for holder in selection.holders().filter(|holder| selection.ports(*holder).next().is_some()) {
            // One with other ports is next to it; one whose label is too long has no record.
            let labels = self.labels(service, holder.label);
            let is_new = last.replace((holder.address, holder.label)) != Some((holder.address, holder.label));
            if !is_new || !is_name(present(&labels), self.origin) {
                continue;
            }
            let (labels, owner) = match targets.name(holder.label) {
                None => (without_last(present(&labels), own_labels), own),
                Some(name) => (&[][..], name),
            };
            let start = self.start(Section::Additional, owner, address_type(holder.address));
            if !reply.address(Start { labels, ..start }, holder.address) {
                return;
            }
        }
    }

    /// The labels of a Service or of an endpoint of it, as [`present`] takes them: those of the endpoint's cluster and of
    /// the endpoint may be empty.
    pub(crate) fn labels<'s>(
        &self,
        (namespace, service): (&'s str, &'s str),
        endpoint: Option<&'s str>,
    ) -> [&'s str; 5] {
        let label = endpoint.unwrap_or_default();
        match self.subject {
            Subject::External(_) => ["", "", label, service, namespace],
            Subject::Cluster => ["", label, service, namespace, "svc"],
            Subject::Clusters => {
                let (host, cluster) = label.split_once('.').unwrap_or(("", label));
                [host, cluster, service, namespace, "svc"]
            }
        }
    }

    /// The zone's name servers, at the question's name: the Services that lead to where this question came to, else
    /// `ns.dns`.
    pub(super) fn name_servers(&self, reply: &mut Reply<'_>) {
        if let Subject::External(external) = self.subject {
            return self.external_name_server(external, reply);
        }
        let zone = self.origin;
        let start = self.start(Section::Answer, Pointer::QUESTION, RecordType::NS);
        let mut servers: [Option<(NameServer<'_>, Pointer)>; MOST_SERVERS] = [None; MOST_SERVERS];
        let mut places = servers.iter_mut();
        let mut known: [Option<NameServer<'_>>; MOST_SERVERS] = [None; MOST_SERVERS];
        // No Service of several clusters is this very server.
        let asked_at = self.asked_at.filter(|_| !self.is_multicluster());
        for server in asked_at.into_iter().flat_map(|own| self.leading_to(own)) {
            let labels = server.labels();
            if known.contains(&Some(server)) || !is_name(present(&labels), zone) {
                continue;
            }
            let (Some(place), Some(slot)) = (places.next(), known.iter_mut().find(|slot| slot.is_none())) else {
                break;
            };
            *slot = Some(server);
            let at = reply.place() + 12;
            if !reply.record(start, |reply| reply.below_zone(present(&labels), zone)) {
                return;
            }
            *place = Pointer::to(at).map(|name| (server, name));
        }
        let glue = |reply: &mut Reply<'_>, owner: Pointer, address: IpAddr| {
            reply.address(self.start(Section::Additional, owner, address_type(address)), address)
        };
        let own = self.asked_at.map(|asked_at| asked_at.ip());
        if known == [None; MOST_SERVERS] {
            if !is_name(&["ns", "dns"], zone) {
                return;
            }
            let at = reply.place() + 12;
            if reply.record(start, |reply| reply.below_zone(&["ns", "dns"], zone))
                && let Some(owner) = Pointer::to(at)
            {
                self.own().all(|address| glue(reply, owner, address));
            }
        }
        for (server, owner) in servers.into_iter().flatten() {
            let addresses = match (server.endpoint, server.names) {
                (None, ServiceNames::ClusterIp { addresses, .. }) => addresses.as_slice(),
                _ => own.as_slice(),
            };
            addresses.iter().all(|address| glue(reply, owner, *address));
        }
    }

    /// The Services that have this very port of this address, or an endpoint that has: others at the address of a node,
    /// or at a loopback address, are no name servers.
    pub(super) fn leading_to(&self, own: SocketAddr) -> impl Iterator<Item = NameServer<'t>> {
        let zone = *self;
        self.table.owners(own.ip()).iter().take(MOST_HOLDERS).filter_map(move |holder| {
            let AddressOwner { namespace, service, .. } = holder;
            let names = zone.find_in(zone.table, namespace, service)?;
            let endpoint = match (holder.endpoint, names) {
                (None, ServiceNames::ClusterIp { ports, .. }) if has_port(ports, own) => None,
                (Some(endpoint), _) if leads_to(names, endpoint, own) => match names {
                    ServiceNames::ClusterIp { .. } => None,
                    _ => zone.label_of(holder),
                },
                _ => return None,
            };
            Some(NameServer { namespace, service, endpoint, names })
        })
    }
}

fn has_port(ports: &[PortName], own: SocketAddr) -> bool {
    ports.iter().any(|port| port.number == own.port())
}

/// Several endpoints may share a name and an address.
fn leads_to(names: &ServiceNames, endpoint: &EndpointName, own: SocketAddr) -> bool {
    let mut same = names.endpoints_at(own.ip()).iter().filter(|other| other.name == endpoint.name);
    same.any(|endpoint| has_port(&endpoint.group.ports, own))
}

pub(super) fn address_type(address: IpAddr) -> RecordType {
    if address.is_ipv4() { RecordType::A } else { RecordType::AAAA }
}
