//! What a packet costs from its bytes to the reply's, and what a change of the table costs, with 10,000 Services.

use config::{EndpointGroup, EndpointName, NameChange, NameTable, PortName, ServiceNames, Transport};
use divan::{AllocProfiler, Bencher, black_box};
use hickory_proto::rr::RecordType;
use std::net::Ipv4Addr;
use std::sync::Arc;
use tidegate_dns::{ZoneSettings, answer_packet};

const SERVICES: u32 = 10_000;
const ENDPOINTS: u32 = 4;

/// A question that allocates shows it.
#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

fn service(index: u32, namespaces: u32, is_headless: bool) -> NameChange {
    let ports = [PortName { name: Some("http".into()), transport: Transport::Tcp, number: 80 }];
    let group = EndpointGroup::with_ports(ports.clone());
    let endpoint = |number: u32| {
        let address = Ipv4Addr::from_bits(0xAC00_0000 + index * ENDPOINTS + number).into();
        EndpointName { address, name: EndpointName::dashed(address).into(), group: Arc::clone(&group), pod: None }
    };
    let endpoints = (0..ENDPOINTS).map(endpoint).collect();
    let names = if is_headless {
        ServiceNames::headless(endpoints)
    } else {
        let address = Ipv4Addr::from_bits(0x0A00_0000 + index).into();
        ServiceNames::cluster_ip(vec![address], ports, endpoints)
    };
    NameChange::Service {
        namespace: format!("ns{}", index % namespaces).into(),
        service: format!("svc{index}").into(),
        names: Some(Arc::new(names)),
    }
}

fn table(namespaces: u32) -> NameTable {
    NameTable::default().patched((0..SERVICES).map(|index| service(index, namespaces, index % 2 == 1)), 1)
}

/// A query with EDNS, as resolvers send it.
fn packet(name: &str, record_type: RecordType) -> Vec<u8> {
    let mut packet = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    for label in name.split('.') {
        packet.push(u8::try_from(label.len()).unwrap_or_default());
        packet.extend(label.as_bytes());
    }
    packet.extend(u16::from(record_type).to_be_bytes());
    packet.extend([0, 1, 0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
    packet
}

/// Every other Service is headless. Questions come about 1,000 Services in turn, so that the table is not in the cache of
/// the processor as the one question's Service would be.
#[divan::bench(args = [
    ("a_cluster_ip", "svc{even}.ns{even_ns}.svc.cluster.local.", RecordType::A),
    ("aaaa_nodata", "svc{even}.ns{even_ns}.svc.cluster.local.", RecordType::AAAA),
    ("srv_cluster_ip", "_http._tcp.svc{even}.ns{even_ns}.svc.cluster.local.", RecordType::SRV),
    ("a_headless_4", "svc{odd}.ns{odd_ns}.svc.cluster.local.", RecordType::A),
    ("srv_headless_4", "_http._tcp.svc{odd}.ns{odd_ns}.svc.cluster.local.", RecordType::SRV),
    ("nxdomain_search_list", "example.com.ns{even_ns}.svc.cluster.local.", RecordType::A),
    ("ptr", "{low}.{high}.0.10.in-addr.arpa.", RecordType::PTR),
    ("outside", "example.com.", RecordType::A),
], sample_count = 200, sample_size = 100)]
fn question(bencher: Bencher<'_, '_>, (_, pattern, record_type): &(&str, &str, RecordType)) {
    let table = table(100);
    let packets: Vec<_> = (0..1_000u32)
        .map(|index| {
            let even = index * 7 % SERVICES / 2 * 2;
            let name = pattern
                .replace("{even}", &even.to_string())
                .replace("{even_ns}", &(even % 100).to_string())
                .replace("{odd}", &(even + 1).to_string())
                .replace("{odd_ns}", &((even + 1) % 100).to_string())
                .replace("{low}", &(even % 256).to_string())
                .replace("{high}", &(even / 256).to_string());
            packet(&name, *record_type)
        })
        .collect();
    let (settings, mut out) = (ZoneSettings::default(), Vec::with_capacity(4096));
    let mut turn = packets.iter().cycle();
    bencher.bench_local(|| {
        let packet = turn.next().map_or(&[][..], Vec::as_slice);
        answer_packet(black_box(&table), &settings, black_box(packet), &mut out)
    });
}

/// One endpoint of one Service is replaced.
#[divan::bench(args = [1, 100, 10_000])]
fn one_change(bencher: Bencher<'_, '_>, namespaces: u32) {
    let table = table(namespaces);
    let NameChange::Service { namespace, service, names: Some(names) } = service(4243, namespaces, true) else {
        return;
    };
    let mut endpoints = names.endpoints().to_vec();
    if let Some(first) = endpoints.first_mut() {
        first.address = Ipv4Addr::new(192, 0, 2, 1).into();
    }
    let names = Some(Arc::new(ServiceNames::headless(endpoints)));
    let change = NameChange::Service { namespace, service, names };
    bencher.with_inputs(|| change.clone()).bench_local_values(|change| black_box(&table).patched([change], 2));
}

#[divan::bench]
fn from_nothing(bencher: Bencher<'_, '_>) {
    let changes: Vec<_> = (0..SERVICES).map(|index| service(index, 100, index % 2 == 1)).collect();
    bencher.with_inputs(|| changes.clone()).bench_local_values(|changes| NameTable::default().patched(changes, 1));
}
