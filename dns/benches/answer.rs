//! What a question costs, and what a change of the table costs, with 10,000 Services of 10 endpoints each.

use config::{EndpointName, NameChange, NameTable, PortName, ServiceNames, Transport};
use divan::{Bencher, black_box};
use hickory_proto::rr::{Name, RecordType};
use std::net::Ipv4Addr;
use std::sync::Arc;
use tidegate_dns::{Question, ZoneSettings, answer};

const SERVICES: u32 = 10_000;
const ENDPOINTS: u32 = 10;

fn main() {
    divan::main();
}

fn service(index: u32, namespaces: u32, is_headless: bool) -> NameChange {
    let ports: Arc<[PortName]> = [PortName { name: Some("http".into()), transport: Transport::Tcp, number: 80 }].into();
    let endpoint = |number: u32| {
        let address = Ipv4Addr::from_bits(0xAC00_0000 + index * ENDPOINTS + number).into();
        EndpointName { address, name: EndpointName::dashed(address).into(), ports: Arc::clone(&ports) }
    };
    let endpoints = (0..ENDPOINTS).map(endpoint).collect();
    let names = if is_headless {
        ServiceNames::headless(endpoints)
    } else {
        let address = Ipv4Addr::from_bits(0x0A00_0000 + index).into();
        ServiceNames::cluster_ip(vec![address], ports.to_vec(), endpoints)
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

#[divan::bench(args = [
    ("cluster_ip_a", "svc4242.ns42.svc.cluster.local.", RecordType::A),
    ("cluster_ip_aaaa", "svc4242.ns42.svc.cluster.local.", RecordType::AAAA),
    ("cluster_ip_srv", "_http._tcp.svc4242.ns42.svc.cluster.local.", RecordType::SRV),
    ("headless_10_a", "svc4243.ns43.svc.cluster.local.", RecordType::A),
    ("headless_10_srv", "_http._tcp.svc4243.ns43.svc.cluster.local.", RecordType::SRV),
    ("search_list_miss", "example.com.ns42.svc.cluster.local.", RecordType::A),
    ("ptr", "146.16.0.10.in-addr.arpa.", RecordType::PTR),
    ("outside", "example.com.", RecordType::A),
])]
fn question(bencher: Bencher<'_, '_>, (_, name, record_type): &(&str, &str, RecordType)) {
    let table = table(100);
    let question = Question { name: Name::from_ascii(name).unwrap_or_default(), record_type: *record_type };
    let settings = ZoneSettings::default();
    bencher.bench_local(|| answer(black_box(&table), black_box(&question), &settings));
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
