//! From where a Corefile says that it listens to addresses that can be bound.

use super::At;
use crate::corefile::PlanError;
use crate::plan::address::taking;
use crate::plan::{BindTo, Block, Listener, Plan, Transport, Zone};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// A zone at an address.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'p> {
    pub(super) at: At,
    pub(super) zone: &'p Zone,
    /// Which of the plan's blocks answers.
    pub(super) index: usize,
    pub(super) block: &'p Block,
}

/// Every zone of a plan at every address where it is served; those of interfaces are looked up now.
///
/// # Errors
/// An interface does not exist, a block is left without an address, one is asked for a zone in two ways, or a TCP port is for two
/// transports.
pub(super) fn places(plan: &Plan) -> io::Result<Vec<Place<'_>>> {
    let (mut all, mut none) = (Vec::new(), BTreeMap::new());
    for (listener, zones) in plan.listening() {
        for (zone, index) in zones {
            let Some(block) = plan.blocks().get(*index) else { continue };
            // What a line leaves out another one may have.
            let (nth, except) = block.bind_of(listener).map_or((0, &[][..]), |(nth, bind)| (nth, &bind.except));
            let place = |at| Place { at, zone, index: *index, block };
            let found = addresses(listener, except).map_err(|error| block.not_had("bind", nth, error))?;
            if found.is_empty() {
                none.entry(*index).or_insert((block, listener, nth));
            }
            all.extend(found.into_iter().map(place));
        }
    }
    let mut none = none.into_iter().filter(|(index, _)| all.iter().all(|place: &Place<'_>| place.index != *index));
    if let Some((_, (block, listener, nth))) = none.next() {
        let message = format!("{listener}: no address is left to listen at");
        return Err(block.not_had("bind", nth, io::Error::new(io::ErrorKind::AddrNotAvailable, message)));
    }
    ports(&all)?;
    match served_already(&all) {
        Some(error) => Err(io::Error::other(error)),
        None => Ok(all),
    }
}

/// The first block in the file with a zone that is served at one of its addresses already: in a Corefile an address and an
/// interface that has it are two.
fn served_already(places: &[Place<'_>]) -> Option<PlanError> {
    let mut in_order: Vec<_> = places.iter().collect();
    in_order.sort_by_key(|place| place.index);
    let mut seen = HashMap::new();
    in_order.into_iter().find_map(|Place { at, zone, block, .. }| {
        let other: &Block = seen.insert((at, zone), *block)?;
        let ip = Some(at.address.ip()).filter(|ip| !ip.is_unspecified());
        let address = ip.map(BindTo::Address);
        let listener = Listener { transport: at.transport, address, port: at.address.port() };
        Some(block.served_already(other, zone, &listener))
    })
}

/// Checks that each TCP port is for one transport.
///
/// # Errors
/// One is for two.
fn ports(all: &[Place<'_>]) -> io::Result<()> {
    let mut first = BTreeMap::new();
    for place in all {
        let first = first.entry(place.at).or_insert(place);
        if place.index < first.index {
            *first = place;
        }
    }
    for place in first.values() {
        let At { transport, address } = place.at;
        let others = Transport::ALL.into_iter().filter(|other| *other != transport);
        let mut others = others.flat_map(|transport| {
            taking(address.ip()).map(move |ip| At { transport, address: SocketAddr::new(ip, address.port()) })
        });
        if let Some(other) = others.find_map(|other| first.get(&other)) {
            let is_later = (place.index, transport) > (other.index, other.at.transport);
            let (before, later) = if is_later { (other, place) } else { (place, other) };
            return Err(io::Error::other(later.block.shares_port(before.block, later.at, before.at)));
        }
    }
    Ok(())
}

/// The addresses of a listener, but for `except`: those of an interface are looked up now.
///
/// # Errors
/// The interface does not exist.
fn addresses(listener: &Listener, except: &[BindTo]) -> io::Result<Vec<At>> {
    let ips = match &listener.address {
        None => vec![Ipv6Addr::UNSPECIFIED.into()],
        Some(address) => resolved(address)?,
    };
    let excepted = except.iter().map(resolved).collect::<io::Result<Vec<_>>>()?.concat();
    let at = |ip| At { transport: listener.transport, address: SocketAddr::new(ip, listener.port) };
    Ok(ips.into_iter().filter(|ip| !excepted.contains(ip)).map(at).collect())
}

fn resolved(address: &BindTo) -> io::Result<Vec<IpAddr>> {
    let name = match address {
        BindTo::Address(address) => return Ok(vec![*address]),
        BindTo::Interface(name) => name,
    };
    let interfaces = if_addrs::get_if_addrs()?;
    let own = interfaces.iter().filter(|interface| interface.name == *name).map(if_addrs::Interface::ip);
    // Link-local ones of IPv6 are none without the interface's number, and nobody has them in a resolv.conf.
    let ips: Vec<_> = own.filter(|ip| !matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local())).collect();
    if ips.is_empty() {
        let message = format!("bind: there is no interface {name} with an address");
        return Err(io::Error::new(io::ErrorKind::AddrNotAvailable, message));
    }
    Ok(ips)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corefile::System;

    fn of(address: Option<BindTo>, except: &[BindTo]) -> io::Result<Vec<String>> {
        let listener = Listener { transport: Transport::Dns, address, port: 53 };
        Ok(addresses(&listener, except)?.iter().map(|at| at.address.to_string()).collect())
    }

    #[test]
    fn an_interface_is_its_addresses() {
        let interface = |name: &str| Some(BindTo::Interface(name.to_owned()));
        let local = BindTo::Address("127.0.0.1".parse().unwrap());
        assert_eq!(of(None, &[]).unwrap(), ["[::]:53"]);
        assert_eq!(of(Some(local.clone()), &[]).unwrap(), ["127.0.0.1:53"]);
        assert!(of(interface("lo"), &[]).unwrap().contains(&"127.0.0.1:53".to_owned()));
        assert!(
            !of(interface("lo"), std::slice::from_ref(&local)).unwrap_or_default().contains(&"127.0.0.1:53".to_owned())
        );
        assert!(of(interface("nosuch"), &[]).unwrap_err().to_string().contains("nosuch"));
        assert!(of(Some(local.clone()), &[local]).unwrap().is_empty());
    }

    #[test]
    fn a_port_of_tcp_is_for_one_transport() {
        let start = |plain: &str, secured: &str| {
            let text = format!("tls://.:53 {{\n tls c k\n {secured}\n}}\n. {{\n {plain}\n}}\n");
            let (plan, _) = Plan::from_corefile(&text, "Corefile", &System).expect("a good Corefile");
            places(&plan).map(drop).map_err(|error| error.to_string())
        };
        let all = "bind 0.0.0.0";
        for (plain, secured, at, other) in [
            ("bind lo", "bind 127.0.0.1", "dns://127.0.0.1:53", "tls://127.0.0.1:53"),
            ("bind 127.0.0.1", "bind lo", "dns://127.0.0.1:53", "tls://127.0.0.1:53"),
            ("bind lo", "bind lo {\n except 127.0.0.9\n }", "dns://127.0.0.1:53", "tls://127.0.0.1:53"),
            ("bind lo", all, "dns://127.0.0.1:53", "tls://:53"),
            (all, "bind lo", "dns://:53", "tls://127.0.0.1:53"),
        ] {
            let expected = format!(
                "Corefile:{}: {at} shares its TCP port with {other} of the block in Corefile:1: nobody could tell which \
                 of them a connection is for",
                secured.lines().count() + 4
            );
            assert_eq!(start(plain, secured), Err(expected), "{plain}, {secured}");
        }
        for (plain, secured) in [
            ("bind lo {\n except 127.0.0.1\n }\n bind 127.0.0.2", "bind 127.0.0.1"),
            (all, "bind ::1"),
            ("bind 127.0.0.1", "bind 127.0.0.2"),
        ] {
            assert_eq!(start(plain, secured), Ok(()), "{plain}, {secured}");
        }
    }

    #[test]
    fn all_lines_count_and_leave_out_addresses_of_their_own() {
        let at = |plugins: &str| {
            let text = format!(".:53 {{\n {plugins}\n}}\n");
            let (plan, _) = Plan::from_corefile(&text, "Corefile", &System).expect("a good Corefile");
            let places = places(&plan).map_err(|error| error.to_string())?;
            Ok(places.iter().map(|place| place.at.address.to_string()).collect::<Vec<_>>())
        };
        let both = Ok(["127.0.0.1:53", "127.0.0.2:53"].map(str::to_owned).to_vec());
        assert_eq!(at("bind 127.0.0.1\n bind 127.0.0.2"), both);
        assert_eq!(at("bind 127.0.0.1\n bind 127.0.0.2 {\n except 127.0.0.1\n }"), both);
        let second = Ok(vec!["127.0.0.2:53".to_owned()]);
        for left_out in ["127.0.0.1", "lo"] {
            assert_eq!(at(&format!("bind 127.0.0.1 {{\n except {left_out}\n }}\n bind 127.0.0.2")), second);
            assert_eq!(at(&format!("bind 127.0.0.2 127.0.0.1 {{\n except {left_out}\n }}")), second);
        }
        let none: Result<_, String> = at("bind 127.0.0.2 {\n except 127.0.0.2\n }\n bind 127.0.0.1 {\n except lo\n }");
        assert_eq!(none, Err("Corefile:5: 127.0.0.1:53: no address is left to listen at".to_owned()));
    }
}
