//! Names of addresses: `1.0.0.10.in-addr.arpa` and its IPv6 counterpart.
//! Where nobody tells which ranges are the cluster's, a range is ours as far as a Service's own address shows it.

use super::records::present;
use super::{Reason, ReverseZones, Said, Subject, Zone};
use crate::name::LowerName;
use crate::reply::{Pointer, Reply, Section, Start, is_name};
use config::{AddressOwner, ObjectRef};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use ipnet::IpNet;
use std::iter::Peekable;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bits of the range around a Service's own address that are Services' too: Service ranges are a /24 at least, and a /112.
const OURS_V4: u32 = 24;
const OURS_V6: u32 = 112;

/// What is not of the public Internet (the IANA special-purpose registries, RFC 6890, multicast and what is reserved), and
/// where clusters have their addresses by convention: an address and how many of its bits count.
const NOT_PUBLIC: [(IpAddr, u32); 18] = [
    v4([0, 0, 0, 0], 8),
    v4([10, 0, 0, 0], 8),
    v4([100, 64, 0, 0], 10),
    v4([127, 0, 0, 0], 8),
    v4([169, 254, 0, 0], 16),
    v4([172, 16, 0, 0], 12),
    v4([192, 0, 0, 0], 24),
    v4([192, 0, 2, 0], 24),
    v4([192, 88, 99, 0], 24),
    v4([192, 168, 0, 0], 16),
    v4([198, 18, 0, 0], 15),
    v4([198, 51, 100, 0], 24),
    v4([203, 0, 113, 0], 24),
    v4([224, 0, 0, 0], 3),
    // All but 2000::/3, and a range of that.
    v6([0, 0], 3),
    v6([0x2001, 0xDB8], 32),
    v6([0x4000, 0], 2),
    v6([0x8000, 0], 1),
];

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
    // What addresses lead to are names of all tables.
    let serial = zone.table.newest_serial();
    if exists {
        match (asked, holders) {
            (RecordType::PTR, Some((zone, owners))) => pointers(&zone, owners, reply),
            (RecordType::SOA, _) if start == 0 => own.soa_of((Section::Answer, apex), serial, reply),
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
        own.soa_of((Section::Authority, apex), serial, reply);
    }
    Said::All
}

/// The one address that a name spells.
pub(crate) fn spelled_address(name: &LowerName) -> Option<IpAddr> {
    let place = Place::read(name)?;
    (place.is_whole_name && place.bits == place.width()).then_some(place.first)
}

/// Whether the cluster may have the address, or one of the addresses, that a name spells. Public addresses are others' as
/// long as nothing says that they are the cluster's.
pub(super) fn may_be_ours(zone: &Zone<'_>, name: &LowerName) -> bool {
    Place::read(name).is_some_and(|place| match &zone.settings.reverse {
        ReverseZones::Shown if place.bits >= place.ours() && !place.is_public() => true,
        ReverseZones::Shown => place.zone(zone).is_some(),
        ReverseZones::Ranges(ranges) => {
            let external = zone.settings.external.iter().flat_map(|external| &external.reverse);
            let mut named = ranges.iter().chain(external).filter(|range| range.prefix_len() > 0);
            let mut is_left = || {
                let is_others = zone.settings.fallthrough.takes(name) && place.is_public();
                is_others && !named.any(|range| range.contains(&place.first))
            };
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

/// What a name below `in-addr.arpa` or `ip6.arpa` spells (RFC 1035 §3.5, RFC 3596 §2.5).
#[derive(Debug, PartialEq, Eq)]
struct Place {
    /// The first address of the range.
    first: IpAddr,
    /// How many bits of it were spelled; all of them: the range is one address.
    bits: u32,
    /// Whether that was the whole name; else it goes on below, where nothing is.
    is_whole_name: bool,
}

impl Place {
    fn read(name: &LowerName) -> Option<Self> {
        let mut labels = (0..name.count()).rev().map(|index| name.label(index));
        if labels.next() != Some(b"arpa") {
            return None;
        }
        match labels.next()? {
            b"in-addr" => Some(Self::spelled(labels, 4, 8, octet, |bits| Ipv4Addr::from_bits(bits as u32).into())),
            b"ip6" => Some(Self::spelled(labels, 32, 4, nibble, |bits| Ipv6Addr::from_bits(bits).into())),
            _ => None,
        }
    }

    /// Reads `most` labels of `width` bits each, or as many as can be read.
    fn spelled<'l>(
        mut labels: impl Iterator<Item = &'l [u8]>,
        most: u32,
        width: u32,
        digit: impl Fn(&str) -> Option<u8>,
        address: impl Fn(u128) -> IpAddr,
    ) -> Self {
        let (mut value, mut count) = (0u128, 0);
        let is_whole_name = loop {
            match labels.next() {
                None => break true,
                Some(label) => match str::from_utf8(label).ok().and_then(&digit).filter(|_| count < most) {
                    Some(digit) => (value, count) = (value << width | u128::from(digit), count + 1),
                    None => break false,
                },
            }
        };
        // By no more than 124 bits, or there is nothing to move.
        let first = address(value.checked_shl(width * (most - count)).unwrap_or(0));
        Self { first, bits: width * count, is_whole_name }
    }

    fn width(&self) -> u32 {
        if self.first.is_ipv4() { Ipv4Addr::BITS } else { Ipv6Addr::BITS }
    }

    fn ours(&self) -> u32 {
        if self.first.is_ipv4() { OURS_V4 } else { OURS_V6 }
    }

    fn range(&self) -> (IpAddr, IpAddr) {
        block(self.first, self.bits)
    }

    /// Whether all its addresses are of the public Internet.
    fn is_public(&self) -> bool {
        let (first, last) = self.range();
        let mut others = NOT_PUBLIC.iter().map(|(address, bits)| block(*address, *bits));
        !others.any(|(from, to)| from <= last && first <= to)
    }

    /// The zone that this is in, and how many labels its name has: the longest; of two that are the same that of external
    /// addresses, as CoreDNS asks its plugins.
    fn zone<'t>(&self, zone: &Zone<'t>) -> Option<(Zone<'t>, usize)> {
        let width = if self.first.is_ipv4() { 8 } else { 4 };
        let (external, cluster) = (self.external_bits(zone), self.cluster_bits(zone));
        let (zone, bits) = match external {
            Some(bits) if cluster.is_none_or(|other| other <= bits) => (zone.external()?, bits),
            _ => (*zone, cluster?),
        };
        Some((zone, 2 + (bits / width) as usize))
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

/// The first and the last address that share the leading bits with this one.
fn block(address: IpAddr, bits: u32) -> (IpAddr, IpAddr) {
    match address {
        IpAddr::V4(address) => {
            let low = u32::MAX.checked_shr(bits).unwrap_or(0);
            let address = address.to_bits();
            (Ipv4Addr::from_bits(address & !low).into(), Ipv4Addr::from_bits(address | low).into())
        }
        IpAddr::V6(address) => {
            let low = u128::MAX.checked_shr(bits).unwrap_or(0);
            let address = address.to_bits();
            (Ipv6Addr::from_bits(address & !low).into(), Ipv6Addr::from_bits(address | low).into())
        }
    }
}

const fn v4([a, b, c, d]: [u8; 4], bits: u32) -> (IpAddr, u32) {
    (IpAddr::V4(Ipv4Addr::new(a, b, c, d)), bits)
}

const fn v6([a, b]: [u16; 2], bits: u32) -> (IpAddr, u32) {
    (IpAddr::V6(Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0)), bits)
}

/// As addresses are spelled: without leading zeros.
fn octet(label: &str) -> Option<u8> {
    let is_plain = label.bytes().all(|byte| byte.is_ascii_digit()) && (label.len() == 1 || !label.starts_with('0'));
    label.parse().ok().filter(|_| is_plain)
}

fn nibble(label: &str) -> Option<u8> {
    match label.as_bytes() {
        [digit] => char::from(*digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::{Fallthrough, ZoneSettings};
    use config::NameTable;

    fn name(text: &str) -> LowerName {
        let wire: Vec<u8> =
            text.split('.').flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat()).collect();
        LowerName::read(&wire).unwrap()
    }

    #[test]
    fn public_addresses_are_others_while_nobody_knows_names() {
        let all = ReverseZones::Ranges(vec!["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()]);
        let some = ReverseZones::Ranges(vec!["0.0.0.0/0".parse().unwrap(), "8.8.0.0/16".parse().unwrap()]);
        let reverse = || Fallthrough::Zones(["in-addr.arpa", "ip6.arpa"].map(|zone| zone.parse().unwrap()).into());
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
    fn a_name_is_read_as_far_as_it_spells_an_address() {
        let zeros = |nibbles: &str| format!("{nibbles}{}ip6.arpa.", "0.".repeat(26));
        for (name, expected) in [
            ("1.0.0.10.in-addr.arpa.".to_owned(), Some(("10.0.0.1", "10.0.0.1", true))),
            ("1.0.0.10.IN-ADDR.Arpa.".to_owned(), Some(("10.0.0.1", "10.0.0.1", true))),
            ("0.0.10.in-addr.arpa.".to_owned(), Some(("10.0.0.0", "10.0.0.255", true))),
            ("in-addr.arpa.".to_owned(), Some(("0.0.0.0", "255.255.255.255", true))),
            ("x.1.0.0.10.in-addr.arpa.".to_owned(), Some(("10.0.0.1", "10.0.0.1", false))),
            ("7.1.0.0.10.in-addr.arpa.".to_owned(), Some(("10.0.0.1", "10.0.0.1", false))),
            ("256.0.0.10.in-addr.arpa.".to_owned(), Some(("10.0.0.0", "10.0.0.255", false))),
            ("01.0.0.10.in-addr.arpa.".to_owned(), Some(("10.0.0.0", "10.0.0.255", false))),
            ("+1.0.0.10.in-addr.arpa.".to_owned(), Some(("10.0.0.0", "10.0.0.255", false))),
            ("svc.0.10.in-addr.arpa.".to_owned(), Some(("10.0.0.0", "10.0.255.255", false))),
            (zeros("1.0.0.0.0.0."), Some(("::1", "::1", true))),
            (zeros("F.e.0.0.0.0."), Some(("::ef", "::ef", true))),
            (zeros("e.0.0.0.0."), Some(("::e0", "::ef", true))),
            (zeros("10.0.0.0.0."), Some(("::", "::ff", false))),
            (zeros("g.0.0.0.0.0."), Some(("::", "::f", false))),
            ("ip6.arpa.".to_owned(), Some(("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true))),
            ("arpa.".to_owned(), None),
            ("1.0.0.10.in-addr.example.".to_owned(), None),
        ] {
            let place = Place::read(&self::name(&name));
            let found = place.map(|place| (place.range(), place.is_whole_name));
            let expected = expected
                .map(|(first, last, is_whole_name)| ((first.parse().unwrap(), last.parse().unwrap()), is_whole_name));
            assert_eq!(found, expected, "{name}");
        }
    }
}
