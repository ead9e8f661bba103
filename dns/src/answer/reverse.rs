//! Names of addresses: `1.0.0.10.in-addr.arpa` and its IPv6 counterpart.
//! Where nobody tells which ranges are the cluster's, a range is ours as far as a Service's own address shows it.

mod spelled;

use super::records::present;
use super::{Reason, ReverseZones, Said, Subject, Zone};
use crate::name::LowerName;
use crate::reply::{Pointer, Reply, Section, Start, is_name};
use config::{AddressOwner, ObjectRef};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use ipnet::IpNet;
use spelled::{Place, block};
use std::iter::Peekable;
use std::net::IpAddr;

/// Bits of the range around a Service's own address that are Services' too: Service ranges are a /24 at least, and a /112.
const OURS_V4: u32 = 24;
const OURS_V6: u32 = 112;

/// PTR records of one answer at most: a message of 65,535 bytes holds no more.
const MOST_NAMES: usize = 4096;

/// Answers for a name outside the cluster's zone: an address that is ours, or nothing.
pub(super) fn answer<'t>(zone: &Zone<'t>, name: &LowerName, asked: RecordType, reply: &mut Reply<'_>) -> Said<'t> {
    let Some(place) = Place::read(name) else { return Said::Outside };
    // Addresses outside the cluster have names too, and others know them.
    let Some((own, depth)) = place.zone(zone) else { return Said::Outside };
    let start = name.count().saturating_sub(depth);
    let apex = Pointer::to_question(name.start(start));
    let is_address = place.bits == place.width();
    let holders = if is_address { holders(zone, &place) } else { None };
    let is_left = || place.zones(zone).all(|zone| zone.fallthrough().takes(name));
    let exists = place.is_whole_name
        && match is_address {
            true => holders.is_some(),
            // Others may know about a range what is not known here.
            false => !is_left() && place.has_owner(zone),
        };
    if exists {
        match (asked, holders) {
            (RecordType::PTR, Some((zone, owners))) => pointers(&zone, owners, reply),
            (RecordType::SOA, _) if start == 0 => own.soa_of((Section::Answer, apex), reply),
            (RecordType::NS, _) if start == 0 => own.name_servers(reply),
            (RecordType::ANY, _) if !zone.is_coredns() => own.minimal_any(Pointer::QUESTION, reply),
            _ => {}
        }
    } else if is_left() {
        return Said::Outside;
    } else {
        reply.code = ResponseCode::NXDomain;
    }
    if reply.answers() == 0 {
        own.soa_of((Section::Authority, apex), reply);
    }
    Said::All
}

/// The one address that a name spells.
pub(crate) fn spelled_address(name: &LowerName) -> Option<IpAddr> {
    let place = Place::read(name)?;
    (place.is_whole_name && place.bits == place.width()).then_some(place.first)
}

/// How many labels a name has below the apex of the cluster's zone of addresses that it is in; `None`: it is in none.
pub(super) fn depth(zone: &Zone<'_>, name: &LowerName) -> Option<usize> {
    let place = Place::read(name)?;
    let bits = place.cluster_bits(zone)?;
    name.count().checked_sub(place.labels(bits))
}

/// Whether the cluster may have the address, or one of the addresses, that a name spells. Public addresses are others' as
/// long as nothing says that they are the cluster's.
pub(super) fn may_be_ours(zone: &Zone<'_>, name: &LowerName) -> bool {
    Place::read(name).is_some_and(|place| match &zone.settings.reverse {
        ReverseZones::Shown if place.bits >= place.ours() && !place.is_public() => true,
        ReverseZones::Shown => place.zone(zone).is_some(),
        ReverseZones::Ranges(ranges) => {
            let is_named = || ranges.iter().any(|range| range.prefix_len() > 0 && range.contains(&place.first));
            // External addresses are mostly public.
            let is_others = || place.is_public() && place.external_bits(zone).is_none() && !is_named();
            let is_left = || zone.settings.fallthrough.takes(name) && is_others();
            place.zone(zone).is_some() && !is_left()
        }
    })
}

/// The zone that the name of an address leads into, or where it leads nowhere is denied by.
pub(super) fn answering<'t>(zone: &Zone<'t>, name: &LowerName) -> Option<Zone<'t>> {
    let place = Place::read(name)?;
    let (own, _) = place.zone(zone)?;
    let holders = if place.bits == place.width() { holders(zone, &place) } else { None };
    Some(holders.map_or(own, |(zone, _)| zone))
}

/// Why the name of an address is answered as it is.
pub(super) fn reason(zone: &Zone<'_>, name: &LowerName) -> Reason {
    let Some(place) = Place::read(name).filter(|place| place.zone(zone).is_some()) else {
        return Reason::Outside;
    };
    let holders = if place.bits == place.width() { holders(zone, &place) } else { None };
    let owner = holders.and_then(|(zone, mut owners)| Some((zone.kind(), owners.next()?)));
    match owner {
        _ if !place.is_whole_name => Reason::NoSuchForm,
        Some((kind, AddressOwner { namespace, service, .. })) => {
            Reason::AddressOf(ObjectRef::new(kind, namespace, service))
        }
        None if place.bits < place.width() && place.has_owner(zone) => Reason::Range,
        None => Reason::NobodysAddress,
    }
}

/// The zones that addresses of the cluster lead into, its own first.
fn cluster_zones<'t>(zone: Zone<'t>) -> impl Iterator<Item = Zone<'t>> {
    let several = &zone.settings.multicluster;
    let own = Some(zone).filter(|zone| !several.contains(zone.origin));
    own.into_iter().chain(several.first().map(|origin| zone.of_several(origin)))
}

/// Who has the address, and the zone that their names are in: an address that has a name in the cluster's own needs none
/// in that of several clusters (KEP-1645 specification §2.3.3, §2.4.3).
fn holders<'t>(
    zone: &Zone<'t>,
    place: &Place,
) -> Option<(Zone<'t>, Peekable<impl Iterator<Item = AddressOwner<'t>> + use<'t>>)> {
    place.zones(zone).find_map(|zone| {
        let mut owners = owners(zone, place.first).peekable();
        owners.peek()?;
        Some((zone, owners))
    })
}

/// Who has the address in the zone, but for those whose names are not told.
fn owners<'t>(zone: Zone<'t>, address: IpAddr) -> impl Iterator<Item = AddressOwner<'t>> {
    let (settings, table) = (zone.settings, zone.table);
    let owners = zone.services.owners(address).iter();
    let owners = owners.filter(|owner| owner.endpoint.is_none() || !settings.hides_endpoints);
    owners.filter(|owner| settings.exposes(owner.namespace, table))
}

/// A Service's own address has one name; an endpoint's has one in each Service that selects it, or of several clusters one
/// in all, as the specification there has it. Services may share an external address.
fn pointers<'t>(zone: &Zone<'t>, mut owners: Peekable<impl Iterator<Item = AddressOwner<'t>>>, reply: &mut Reply<'_>) {
    let is_service = owners.peek().is_some_and(|owner| owner.endpoint.is_none());
    let most = match zone.subject {
        Subject::Cluster if is_service => 1,
        Subject::Clusters => 1,
        Subject::Cluster | Subject::External(_) => MOST_NAMES,
    };
    let names = owners.map(|owner| zone.labels((owner.namespace, owner.service), zone.label_of(owner)));
    for labels in names.filter(|labels| is_name(present(labels), zone.origin)).take(most) {
        let start = Start {
            section: Section::Answer,
            labels: &[],
            owner: Pointer::QUESTION,
            record_type: RecordType::PTR,
            ttl: zone.ttl(),
        };
        if !reply.record(start, |reply| reply.below_zone(present(&labels), zone.origin)) {
            return;
        }
    }
}

impl Place {
    fn ours(&self) -> u32 {
        if self.first.is_ipv4() { OURS_V4 } else { OURS_V6 }
    }

    /// The zone that this is in, and how many labels its name has: the longest; of two that are the same that of external
    /// addresses, as CoreDNS asks its plugins.
    fn zone<'t>(&self, zone: &Zone<'t>) -> Option<(Zone<'t>, usize)> {
        let (external, cluster) = (self.external_bits(zone), self.cluster_bits(zone));
        let (zone, bits) = match external {
            Some(bits) if cluster.is_none_or(|other| other <= bits) => (zone.external()?, bits),
            _ => (*zone, cluster?),
        };
        Some((zone, self.labels(bits)))
    }

    /// How many labels the name of a zone has with so many leading bits.
    fn labels(&self, bits: u32) -> usize {
        let width = if self.first.is_ipv4() { 8 } else { 4 };
        2 + (bits / width) as usize
    }

    /// All zones that an address which is in one may lead into, in this order.
    fn zones<'t>(&self, zone: &Zone<'t>) -> impl Iterator<Item = Zone<'t>> + use<'t> {
        let external = zone.external().filter(|_| self.external_bits(zone).is_some());
        let is_clusters = zone.settings.external.is_none() || self.cluster_bits(zone).is_some();
        let cluster = is_clusters.then(|| cluster_zones(*zone));
        external.into_iter().chain(cluster.into_iter().flatten())
    }

    /// Leading bits of the cluster's zone that this is in.
    fn cluster_bits(&self, zone: &Zone<'_>) -> Option<u32> {
        match &zone.settings.reverse {
            ReverseZones::Shown => self.shown_zone(zone).filter(|bits| self.bits >= *bits),
            ReverseZones::Ranges(ranges) => self.bits_in(ranges),
        }
    }

    /// The same of external addresses.
    fn external_bits(&self, zone: &Zone<'_>) -> Option<u32> {
        zone.settings.external.as_ref().and_then(|external| self.bits_in(&external.reverse))
    }

    /// Leading bits of the smallest range that this is in.
    fn bits_in(&self, ranges: &[IpNet]) -> Option<u32> {
        let width = if self.first.is_ipv4() { 8 } else { 4 };
        let around = ranges.iter().filter(|range| range.contains(&self.first));
        let bits = around.map(|range| u32::from(range.prefix_len()).next_multiple_of(width)).max();
        bits.filter(|bits| self.bits >= *bits)
    }

    /// Leading bits of the zone as far as the table shows one: a range with a Service in it, or else the address alone of
    /// an endpoint, or of a Service of several clusters, whose range nobody knows.
    fn shown_zone(&self, zone: &Zone<'_>) -> Option<u32> {
        let (first, last) = block(self.first, self.ours());
        if self.bits >= self.ours() && zone.table.has_service_between(first, last) {
            Some(self.ours())
        } else {
            let is_alone = self.bits == self.width() && self.has_owner_in(cluster_zones(*zone));
            is_alone.then_some(self.bits)
        }
    }

    /// Whether anybody whose names are told has an address of the range.
    fn has_owner(&self, zone: &Zone<'_>) -> bool {
        self.has_owner_in(self.zones(zone))
    }

    fn has_owner_in<'t>(&self, mut zones: impl Iterator<Item = Zone<'t>>) -> bool {
        let (first, last) = self.range();
        zones.any(|zone| match zone.settings.hides_endpoints {
            true => zone.services.has_service_between(first, last),
            false => zone.services.has_owner_between(first, last),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::spelled::tests::name;
    use super::*;
    use crate::answer::{ExternalZones, Fallthrough, ZoneSettings};
    use crate::plan;
    use config::NameTable;

    #[test]
    fn public_addresses_are_others_while_nobody_knows_names() {
        let all = ReverseZones::Ranges(vec!["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()]);
        let some = ReverseZones::Ranges(vec!["0.0.0.0/0".parse().unwrap(), "8.8.0.0/16".parse().unwrap()]);
        let reverse =
            || Fallthrough::Zones(["in-addr.arpa", "ip6.arpa"].map(|zone| plan::Zone::parse(zone).unwrap()).into());
        let settings = [
            (ReverseZones::Shown, Fallthrough::Nothing),
            (all.clone(), reverse()),
            (all, Fallthrough::Nothing),
            (some, reverse()),
        ];
        let settings =
            settings.map(|(reverse, fallthrough)| ZoneSettings { reverse, fallthrough, ..ZoneSettings::default() });
        let table = NameTable::default();
        let ip6 = |nibbles: &str| format!("{}{nibbles}.ip6.arpa.", "1.".repeat(32 - nibbles.len().div_ceil(2)));
        for (text, expected) in [
            // With flags, with kubeadm's Corefile, without `fallthrough` there, and with a zone for 8.8.0.0/16 beside it.
            ("1.1.1.1.in-addr.arpa.".to_owned(), [false, false, true, false]),
            ("8.8.8.8.in-addr.arpa.".to_owned(), [false, false, true, true]),
            ("8.8.8.in-addr.arpa.".to_owned(), [false, false, true, true]),
            ("255.31.172.in-addr.arpa.".to_owned(), [true; 4]),
            ("1.0.32.172.in-addr.arpa.".to_owned(), [false, false, true, false]),
            ("1.0.0.10.in-addr.arpa.".to_owned(), [true; 4]),
            ("x.1.0.0.10.in-addr.arpa.".to_owned(), [true; 4]),
            ("1.1.168.192.in-addr.arpa.".to_owned(), [true; 4]),
            ("1.1.127.100.in-addr.arpa.".to_owned(), [true; 4]),
            ("1.1.254.169.in-addr.arpa.".to_owned(), [true; 4]),
            ("1.1.1.240.in-addr.arpa.".to_owned(), [true; 4]),
            ("1.0.0.127.in-addr.arpa.".to_owned(), [true; 4]),
            // Above one that may be.
            ("192.in-addr.arpa.".to_owned(), [false, true, true, true]),
            ("193.in-addr.arpa.".to_owned(), [false, false, true, false]),
            ("in-addr.arpa.".to_owned(), [false, true, true, true]),
            (ip6("8.8.8.8.0.6.8.4.1.0.0.2"), [false, false, true, false]),
            (ip6("8.b.d.0.1.0.0.2"), [true, true, true, false]),
            (ip6("0.0.d.f"), [true, true, true, false]),
            (ip6("0.1.0.0.1.0.0.2"), [true, true, true, false]),
            (ip6("f.f.0.f.f.f.3"), [true, true, true, false]),
            (ip6("0.0.1.f.f.f.3"), [false, false, true, false]),
            (ip6("0.8.e.f"), [true, true, true, false]),
            ("ip6.arpa.".to_owned(), [false, true, true, false]),
            ("example.org.".to_owned(), [false; 4]),
        ] {
            let found =
                settings.each_ref().map(|settings| may_be_ours(&Zone::new(&table, settings, None), &name(&text)));
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn external_addresses_are_nobody_elses_although_they_are_public() {
        let reverse: Vec<IpNet> = vec!["0.0.0.0/0".parse().unwrap()];
        let external = ExternalZones {
            zones: vec!["example.org".parse().unwrap()],
            reverse: reverse.clone(),
            apex: "dns".into(),
            ttl: 5,
            has_endpoints: false,
            fallthrough: Fallthrough::Nothing,
        };
        let settings = |external| ZoneSettings {
            reverse: ReverseZones::Ranges(reverse.clone()),
            fallthrough: Fallthrough::Zones(vec![plan::Zone::parse("in-addr.arpa").unwrap()]),
            external,
            ..ZoneSettings::default()
        };
        let table = NameTable::default();
        for (external, expected) in [(None, false), (Some(Box::new(external)), true)] {
            let settings = settings(external);
            let zone = Zone::new(&table, &settings, None);
            assert_eq!(may_be_ours(&zone, &name("8.8.8.8.in-addr.arpa.")), expected);
        }
    }
}
