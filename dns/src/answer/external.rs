//! Zones with external addresses (CoreDNS's `k8s_external`): their name server, and load balancers that have a name.

use super::records::{MOST_SERVERS, address_type};
use super::service::{Selection, Wanted};
use super::{ExternalZones, Subject, Zone, reverse};
use crate::name::LowerName;
use crate::reply::{Pointer, Reply, Section, is_name};
use config::{DomainName, ServiceNames};
use hickory_proto::rr::RecordType;
use std::net::IpAddr;

impl<'t> Zone<'t> {
    /// The first zone of external addresses; `None`: there is none.
    pub(super) fn external(&self) -> Option<Self> {
        let external = self.settings.external.as_deref()?;
        Some(self.of_external(external, external.zones.first()?))
    }

    /// The longest one that the name is in, and how many labels are below that.
    pub(super) fn of_external_name(&self, external: &'t ExternalZones, name: &LowerName) -> Option<(Self, usize)> {
        let depths = external.zones.iter().filter_map(|origin| Some((name.depth_below(origin)?, origin)));
        depths.min_by_key(|(depth, _)| *depth).map(|(depth, origin)| (self.of_external(external, origin), depth))
    }

    fn of_external(&self, external: &'t ExternalZones, origin: &'t DomainName) -> Self {
        Self { origin, subject: Subject::External(external), services: self.table.externals(), ..*self }
    }

    /// Whether the name is answered by one of them.
    pub(crate) fn has_external(&self, name: &LowerName) -> bool {
        let zone = self.of(name).map(|(zone, _)| zone).or_else(|| reverse::answering(self, name));
        zone.is_some_and(|zone| matches!(zone.subject, Subject::External(_)))
    }

    /// Whether the Service's endpoints have names here, and itself has none.
    pub(super) fn has_endpoints_alone(&self, namespace: &str, service: &str) -> bool {
        let is_external = matches!(self.subject, Subject::External(_));
        let names = is_external.then(|| self.with_endpoints(None, (namespace, service))).flatten();
        names.is_some_and(|names| !names.is_headless() && !names.endpoints().is_empty())
    }

    /// Whether CoreDNS gives the addresses of such a Service to all names one label below it too.
    pub(super) fn is_below_coredns(&self, names: &ServiceNames) -> bool {
        self.is_coredns() && matches!(self.subject, Subject::External(_)) && !names.is_headless()
    }

    /// The zone's name server, `ns1` below its apex label, at the question's name.
    pub(super) fn external_name_server(&self, external: &ExternalZones, reply: &mut Reply<'_>) {
        let labels = ["ns1", &external.apex];
        let at = reply.place() + 12;
        let start = self.start(Section::Answer, Pointer::QUESTION, RecordType::NS);
        if is_name(&labels, self.origin)
            && reply.record(start, |reply| reply.below_zone(&labels, self.origin))
            && let Some(owner) = Pointer::to(at)
        {
            self.external_servers()
                .all(|address| reply.address(self.start(Section::Additional, owner, address_type(address)), address));
        }
    }

    /// Where that is found: at the addresses in this zone of the Services that lead to where the question came to; where
    /// there are none, right there.
    pub(super) fn external_servers(&self) -> impl Iterator<Item = IpAddr> + Clone + use<> {
        let mut found = [None; MOST_SERVERS];
        let leading = self.asked_at.into_iter().flat_map(|own| self.leading_to(own));
        let addresses = leading.filter_map(|server| self.find(server.namespace, server.service)).flat_map(|names| {
            let all = Selection { names, wanted: Wanted::All, is_by_pod: self.settings.names_pods };
            all.holders().map(|holder| holder.address)
        });
        keep(addresses, &mut found);
        if found == [None; MOST_SERVERS] {
            keep(self.own(), &mut found);
        }
        found.into_iter().flatten()
    }

    /// An SRV record at the question's name for each port at each name of a load balancer. Whoever wants its addresses
    /// asks for them: they are not ours to tell.
    pub(super) fn host_services(&self, targets: &[DomainName], selection: Selection<'_>, reply: &mut Reply<'_>) {
        let Some(ports) = selection.ports_of_hosts() else { return };
        let candidates = targets.len().saturating_mul(ports.clone().count());
        let weight = u16::try_from(100 / candidates.max(1)).unwrap_or(1).max(1);
        for target in targets {
            for (index, port) in ports.clone().enumerate() {
                if ports.clone().take(index).any(|before| before.number == port.number) {
                    continue;
                }
                let start = self.start(Section::Answer, Pointer::QUESTION, RecordType::SRV);
                let is_written = reply.record(start, |reply| {
                    [0, weight, port.number].into_iter().for_each(|number| reply.u16(number));
                    // Whole: RFC 2782.
                    target.labels().for_each(|label| reply.label(label.as_bytes()));
                    reply.bytes(&[0]);
                });
                if !is_written {
                    return;
                }
            }
        }
    }
}

/// Takes each address once, as long as there is room.
fn keep(addresses: impl Iterator<Item = IpAddr>, found: &mut [Option<IpAddr>]) {
    for address in addresses {
        match found.iter_mut().find(|place| place.is_none_or(|known| known == address)) {
            Some(place) => *place = Some(address),
            None => return,
        }
    }
}
