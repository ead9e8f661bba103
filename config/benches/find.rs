//! `RoutingTable::find` by the number of rules and hosts: its cost must not depend on either.

#![expect(clippy::expect_used, reason = "benchmarks")]

use config::{
    Action, BackendKey, BackendPort, Found, HostPattern, HostRules, HostTable, Kind, Listener, ListenerName, ObjectRef,
    PathMatch, PlainHttp, Protocol, RoutingTable, Rule, RuleOrigin, Split, Target,
};
use divan::{Bencher, black_box};
use std::sync::Arc;
use tidegate_config as config;

fn main() {
    divan::main();
}

fn rule(path: PathMatch) -> Rule {
    let backend = BackendKey { namespace: "shop".into(), service: "web".into(), port: BackendPort::Number(80) };
    let object = Arc::new(ObjectRef::new(Kind::Ingress, "shop", "web"));
    Rule {
        origin: RuleOrigin { object, field: "spec".into() },
        path,
        plain_http: PlainHttp::Serve,
        action: Action::Forward(Split { targets: [Target { weight: 1, backend: backend.into() }].into() }),
        policy: None,
    }
}

/// A table with that many hosts, among which the rules are dealt out.
fn table(hosts: usize, rules: usize) -> RoutingTable {
    let per_host = (rules / hosts).max(1);
    let paths = |number| match number {
        0 => PathMatch::prefix("/"),
        number if number % 2 == 0 => PathMatch::prefix(&format!("/app/{number}")),
        number => PathMatch::Exact(format!("/app/{number}/exact").into()),
    };
    let rules: Vec<_> = (0..per_host).map(|number| rule(paths(number))).collect();
    let host = |number| HostPattern::parse(Some(&format!("host-{number}.example.com"))).expect("a good name");
    let hosts: HostTable = (0..hosts).map(|number| Arc::new(HostRules::new(host(number), rules.clone()))).collect();
    let certificates = Arc::default();
    let listener =
        Listener { name: ListenerName::Http, protocol: Protocol::Http, certificates, hosts: Arc::new(hosts) };
    RoutingTable { listeners: vec![listener], client_policies: None }
}

#[divan::bench(args = [(1, 10), (1, 1_000), (1, 100_000), (10_000, 10_000), (10_000, 100_000)], sample_count = 50, sample_size = 4_096)]
fn find(bencher: Bencher<'_, '_>, (hosts, rules): (usize, usize)) {
    let table = table(hosts, rules);
    let per_host = (rules / hosts).max(1);
    let request = |number: usize| {
        // A stride that is prime, so that requests meet the table all over.
        let (host, rule) = (number * 7_919 % hosts, number * 7_919 % per_host);
        (format!("host-{host}.example.com"), format!("/app/{rule}/deep/down/below"))
    };
    let requests: Vec<_> = (0..4_096).map(request).collect();
    let mut next = requests.iter().cycle();
    bencher.bench_local(|| {
        let (host, path) = next.next().expect("endless");
        match black_box(&table).find(ListenerName::Http, black_box(host), black_box(path)) {
            Found::Rule(rule) => black_box(std::ptr::from_ref(rule)),
            Found::Miss(miss) => unreachable!("{miss:?}"),
        };
    });
}

/// What a scanner sends: a path without end, under which no prefix is as long.
#[divan::bench(sample_count = 50, sample_size = 4_096)]
fn find_under_a_long_path(bencher: Bencher<'_, '_>) {
    let table = table(1, 100_000);
    let path = "/a".repeat(4_000);
    bencher.bench_local(|| match table.find(ListenerName::Http, "host-0.example.com", black_box(&path)) {
        Found::Rule(rule) => black_box(std::ptr::from_ref(rule)),
        Found::Miss(miss) => unreachable!("{miss:?}"),
    });
}
