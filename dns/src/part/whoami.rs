//! `whoami`: every question gets the address, port and transport that it came from.

use crate::message::Transport;
use crate::name::{LONGEST, LowerName};
use crate::reply::{Pointer, Reply, Section, Start};
use hickory_proto::rr::RecordType;
use std::net::SocketAddr;

/// Writes the client's address, and its port as that of a service without a target, as additional records.
pub(crate) fn answer(name: &LowerName, client: SocketAddr, transport: Transport, reply: &mut Reply<'_>) {
    let address = client.ip().to_canonical();
    let start = Start {
        section: Section::Additional,
        labels: &[],
        owner: Pointer::QUESTION,
        record_type: RecordType::SRV,
        ttl: 0,
    };
    let record_type = if address.is_ipv4() { RecordType::A } else { RecordType::AAAA };
    reply.address(Start { record_type, ..start }, address);
    let label = match transport {
        Transport::Udp => "_udp",
        Transport::Tcp => "_tcp",
    };
    if name.suffix(0).len() + 1 + label.len() > LONGEST {
        return;
    }
    reply.record(Start { labels: &[label], ..start }, |reply| {
        [0, 0, client.port()].into_iter().for_each(|number| reply.u16(number));
        reply.bytes(&[0]);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::part::harness::client;

    #[test]
    fn a_client_is_told_where_it_asks_from() {
        for (name, address, transport, expected) in [
            (
                "Example.org.",
                "10.0.0.1:40000",
                Transport::Udp,
                "additional Example.org. 0 A 10.0.0.1\nadditional _udp.Example.org. 0 SRV 0 0 40000 .",
            ),
            (".", "[2001:db8::1]:1", Transport::Tcp, "additional . 0 AAAA 2001:db8::1\nadditional _tcp. 0 SRV 0 0 1 ."),
            (
                "a.",
                "[::ffff:10.0.0.1]:1",
                Transport::Tcp,
                "additional a. 0 A 10.0.0.1\nadditional _tcp.a. 0 SRV 0 0 1 .",
            ),
        ] {
            let client = client(name, "MX");
            let ((), text) = client.told(|reply| answer(&client.name, address.parse().unwrap(), transport, reply));
            assert_eq!(text, format!("No Error\n{expected}"));
        }
    }

    #[test]
    fn a_name_without_room_for_a_label_gets_the_address_alone() {
        let label = "a".repeat(61);
        let client = client(&format!("{label}.{label}.{label}.{label}.abc."), "A");
        let ((), text) =
            client.told(|reply| answer(&client.name, "10.0.0.1:53".parse().unwrap(), Transport::Udp, reply));
        assert!(text.ends_with("0 A 10.0.0.1"), "{text}");
    }
}
