//! What the names of many Services cost where all have the same address, and where each has its own.

use config::{EndpointGroup, EndpointName, NameChange, NameTable, PortName, ServiceNames, Transport};
use divan::{AllocProfiler, Bencher, black_box};
use std::net::Ipv4Addr;
use std::sync::Arc;
use tidegate_config as config;

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

fn service(index: u32, address: Ipv4Addr) -> NameChange {
    let ports = [PortName { name: Some("http".into()), transport: Transport::Tcp, number: 3000 }];
    let name = EndpointName::dashed(address.into()).into();
    let endpoint = EndpointName { address: address.into(), name, group: EndpointGroup::with_ports(ports), pod: None };
    NameChange::Service {
        namespace: format!("ns{}", index % 100).into(),
        service: format!("svc{index}").into(),
        names: Some(Arc::new(ServiceNames::headless(vec![endpoint]))),
    }
}

fn services(count: u32, address: impl Fn(u32) -> Ipv4Addr) -> Vec<NameChange> {
    (0..count).map(|index| service(index, address(index))).collect()
}

fn loopback(_: u32) -> Ipv4Addr {
    Ipv4Addr::LOCALHOST
}

fn own(index: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(0x0A00_0000 + index)
}

#[divan::bench(args = [5_000, 10_000, 20_000], sample_count = 3)]
fn all_at_one_address(bencher: Bencher<'_, '_>, count: u32) {
    bencher
        .with_inputs(|| services(count, loopback))
        .bench_local_values(|changes| NameTable::default().patched(changes, 1));
}

#[divan::bench(args = [20_000, 100_000], sample_count = 3)]
fn each_at_its_own(bencher: Bencher<'_, '_>, count: u32) {
    bencher.with_inputs(|| services(count, own)).bench_local_values(|changes| NameTable::default().patched(changes, 1));
}

/// What a table takes: 100,000 Services with an address, a port and two endpoints each. The bytes allocated and never
/// freed, as the profiler shows them, less the changes that it is made from one by one.
#[divan::bench(sample_count = 1, sample_size = 1)]
fn memory_of_100_000(bencher: Bencher<'_, '_>) {
    bencher.bench_local(|| NameTable::default().patched((0..100_000).map(with_two_endpoints), 1));
}

fn with_two_endpoints(index: u32) -> NameChange {
    let port = |number| PortName { name: Some("http".into()), transport: Transport::Tcp, number };
    let group = EndpointGroup::with_ports([port(8080)]);
    let endpoint = |number: u32| {
        let address = Ipv4Addr::from_bits(0xAC00_0000 + index * 2 + number).into();
        let name = EndpointName::dashed(address).into();
        EndpointName { address, name, group: Arc::clone(&group), pod: None }
    };
    let endpoints = vec![endpoint(0), endpoint(1)];
    NameChange::Service {
        namespace: format!("ns{}", index % 100).into(),
        service: format!("service-{index}").into(),
        names: Some(Arc::new(ServiceNames::cluster_ip([own(index).into()], [port(80)], endpoints))),
    }
}

/// One Service more joins those that share an address.
#[divan::bench(args = [5_000, 20_000])]
fn one_more_at_one_address(bencher: Bencher<'_, '_>, count: u32) {
    let table = NameTable::default().patched(services(count, loopback), 1);
    let change = service(count, Ipv4Addr::LOCALHOST);
    bencher.with_inputs(|| change.clone()).bench_local_values(|change| black_box(&table).patched([change], 2));
}

/// One Service more, at an address of its own.
#[divan::bench(args = [20_000, 100_000])]
fn one_more_at_its_own(bencher: Bencher<'_, '_>, count: u32) {
    let table = NameTable::default().patched(services(count, own), 1);
    let change = service(count, own(count));
    bencher.with_inputs(|| change.clone()).bench_local_values(|change| black_box(&table).patched([change], 2));
}
