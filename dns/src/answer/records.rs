//! Records of the zone, with the zone's name in the case of the question.

use super::{Sections, ZoneSettings, is_in_zone, service::Served};
use config::{EndpointName, NameTable, PortName, ServiceNames};
use hickory_proto::rr::{Name, RData, Record, RecordType, rdata};
use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Owners of the address asked at that are looked through for name servers: a loopback address may have thousands.
const MOST_HOLDERS: usize = 256;

/// The zone as one question sees it.
pub(super) struct Zone<'a> {
    pub(super) table: &'a NameTable,
    pub(super) settings: &'a ZoneSettings,
    /// The zone's name in the question's case.
    apex: Name,
}

/// The name with these labels; `None` where it is longer than DNS allows, so that nobody can ask for it either.
pub(super) fn name<'l>(labels: impl Iterator<Item = &'l str>) -> Option<Name> {
    Name::from_labels(labels.map(str::as_bytes)).ok()
}

impl<'a> Zone<'a> {
    /// The zone, if the name is in it.
    pub(super) fn of(name: &Name, table: &'a NameTable, settings: &'a ZoneSettings) -> Option<Self> {
        let apex = is_in_zone(name, table.zone()).then(|| name.trim_to(table.zone().labels().count()))?;
        Some(Self { table, settings, apex })
    }

    /// The zone under its own name, for questions about others.
    pub(super) fn itself(table: &'a NameTable, settings: &'a ZoneSettings) -> Option<Self> {
        Some(Self { table, settings, apex: name(table.zone().labels())? })
    }

    /// Labels below the apex.
    fn below<'l>(&self, labels: impl IntoIterator<Item = &'l str>) -> Option<Name> {
        name(labels.into_iter())?.append_domain(&self.apex).ok()
    }

    fn service_name(&self, namespace: &str, service: &str, endpoint: Option<&str>) -> Option<Name> {
        self.below(endpoint.into_iter().chain([service, namespace, "svc"]))
    }

    fn name_server(&self) -> Option<Name> {
        self.below(["ns", "dns"])
    }

    /// The SOA record; none if the zone's name is so long that its name server has no name.
    pub(super) fn soa(&self) -> Option<Record> {
        self.soa_of(&self.apex)
    }

    /// The SOA record of this zone or of a reverse one, with the TTL of negative answers (RFC 2308 §3).
    pub(super) fn soa_of(&self, owner: &Name) -> Option<Record> {
        let (server, hostmaster) = (self.name_server()?, self.below(["hostmaster"])?);
        let ttl = self.settings.ttl;
        let soa = rdata::SOA::new(server, hostmaster, self.table.serial(), 7_200, 1_800, 86_400, ttl);
        Some(Record::from_rdata(owner.clone(), ttl.min(300), RData::SOA(soa)))
    }

    /// A record for each address of the asked family, or of both; each address once.
    pub(super) fn addresses(
        &self,
        owner: &Name,
        addresses: impl Iterator<Item = IpAddr>,
        asked: Option<RecordType>,
    ) -> impl Iterator<Item = Record> {
        let mut seen = HashSet::new();
        addresses.filter_map(move |address| {
            let content = match address {
                IpAddr::V4(address) => RData::A(rdata::A(address)),
                IpAddr::V6(address) => RData::AAAA(rdata::AAAA(address)),
            };
            let is_asked = asked.is_none_or(|asked| content.record_type() == asked);
            (is_asked && seen.insert(address)).then(|| Record::from_rdata(owner.clone(), self.settings.ttl, content))
        })
    }

    /// An SRV record for each port of each target, and the targets' addresses.
    pub(super) fn services(
        &self,
        owner: &Name,
        (namespace, service): (&str, &str),
        served: &[Served<'_>],
        sections: &mut Sections,
    ) {
        // As CoreDNS weighs: 100 shared by all candidates, whether or not two of them make one record.
        let weight = u16::try_from(100 / served.len().max(1)).unwrap_or(1).max(1);
        let (mut records, mut targets) = (HashSet::new(), HashSet::new());
        for one in served {
            let Some(port) = one.port else { continue };
            let Some(target) = self.service_name(namespace, service, one.label) else { continue };
            if targets.insert((one.label, one.address)) {
                sections.additionals.extend(self.addresses(&target, std::iter::once(one.address), None));
            }
            if records.insert((one.label, port)) {
                let srv = RData::SRV(rdata::SRV::new(0, weight, port, target));
                sections.answers.push(Record::from_rdata(owner.clone(), self.settings.ttl, srv));
            }
        }
    }

    /// The zone's name servers: the Services that lead to where this question came to, else `ns.dns`.
    pub(super) fn name_servers(&self, owner: &Name, sections: &mut Sections) {
        let asked_at = self.settings.asked_at;
        let mut servers: Vec<_> = asked_at.into_iter().flat_map(|own| self.leading_to(own)).collect();
        if servers.is_empty() {
            let addresses = asked_at.map(|asked_at| asked_at.ip()).into_iter().collect();
            servers.extend(self.name_server().map(|server| (server, addresses)));
        }
        for (server, addresses) in servers {
            sections.additionals.extend(self.addresses(&server, addresses.into_iter(), None));
            let ns = RData::NS(rdata::NS(server));
            sections.answers.push(Record::from_rdata(owner.clone(), self.settings.ttl, ns));
        }
    }

    /// Names with addresses of the Services that have this very port of this address, each once: others at the address
    /// of a node, or at a loopback address, are no name servers.
    fn leading_to(&self, own: SocketAddr) -> Vec<(Name, Vec<IpAddr>)> {
        let is_ours = |ports: &[PortName]| ports.iter().any(|port| port.number == own.port());
        let is_endpoint = |endpoint: &EndpointName, label: &Arc<str>| {
            endpoint.address == own.ip() && endpoint.name == *label && is_ours(&endpoint.ports)
        };
        let mut servers: Vec<(Name, Vec<IpAddr>)> = Vec::new();
        for holder in self.table.owners(own.ip()).iter().take(MOST_HOLDERS) {
            let Some(names) = self.table.find(&holder.namespace, &holder.service) else { continue };
            let leads_here = |label| names.endpoints().iter().any(|endpoint| is_endpoint(endpoint, label));
            let (label, addresses) = match (&holder.endpoint, &**names) {
                (None, ServiceNames::ClusterIp { addresses, ports, .. }) if is_ours(ports) => (None, addresses.clone()),
                (Some(label), names) if leads_here(label) => match names {
                    ServiceNames::ClusterIp { addresses, .. } => (None, addresses.clone()),
                    _ => (Some(&**label), vec![own.ip()]),
                },
                _ => continue,
            };
            if let Some(server) = self.service_name(&holder.namespace, &holder.service, label)
                && servers.iter().all(|(known, _)| *known != server)
            {
                servers.push((server, addresses));
            }
        }
        servers
    }
}
