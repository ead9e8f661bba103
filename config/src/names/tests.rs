use super::*;
use proptest::prelude::*;

fn names(addresses: &[&str], endpoints: &[(&str, &str)]) -> Arc<ServiceNames> {
    let endpoint = |(name, address): &(&str, &str)| EndpointName {
        address: address.parse().unwrap(),
        name: (*name).into(),
        group: EndpointGroup::with_ports([]),
        pod: None,
    };
    Arc::new(ServiceNames::cluster_ip(
        addresses.iter().map(|address| address.parse::<IpAddr>().unwrap()),
        [PortName { name: Some("http".into()), transport: Transport::Tcp, number: 80 }],
        endpoints.iter().map(endpoint).collect(),
    ))
}

/// The version that a serial is of.
fn version(serial: u32) -> u32 {
    serial.wrapping_sub(FIRST_SERIAL)
}

fn service(namespace: &str, service: &str, names: Option<Arc<ServiceNames>>) -> NameChange {
    NameChange::Service { namespace: namespace.into(), service: service.into(), names }
}

fn owners(table: &NameTable, address: &str) -> Vec<String> {
    let name = |owner: AddressOwner<'_>| {
        let endpoint = owner.endpoint.map(|endpoint| format!("{}.", endpoint.name)).unwrap_or_default();
        format!("{endpoint}{}.{}", owner.service, owner.namespace)
    };
    table.owners(address.parse().unwrap()).iter().map(name).collect()
}

#[test]
fn a_patch_shares_what_it_does_not_touch() {
    let before = NameTable::default().patched(
        [
            service("shop", "web", Some(names(&["10.0.0.1"], &[("a", "172.0.0.1")]))),
            service("shop", "api", Some(names(&["10.0.0.2"], &[]))),
            service("blog", "web", Some(names(&["10.0.0.3"], &[]))),
        ],
        7,
    );
    let after = before.patched([service("shop", "web", Some(names(&["10.0.0.1"], &[("b", "172.0.0.2")])))], 8);
    assert!(Arc::ptr_eq(before.find("shop", "api").unwrap(), after.find("shop", "api").unwrap()));
    assert!(Arc::ptr_eq(&before.namespaces["blog"], &after.namespaces["blog"]));
    assert_ne!(before, after);
    assert_eq!((version(before.serial()), version(after.serial())), (7, 8));
    assert_eq!(owners(&before, "172.0.0.1"), ["a.web.shop"]);
    assert_eq!(owners(&after, "172.0.0.1"), [""; 0]);
    assert_eq!(owners(&after, "172.0.0.2"), ["b.web.shop"]);
    assert_eq!(owners(&after, "10.0.0.1"), ["web.shop"]);
}

#[test]
fn services_own_an_address_before_endpoints() {
    let table = NameTable::default().patched(
        [
            service("b", "one", Some(names(&["10.0.0.1"], &[("host", "10.0.0.9"), ("host", "10.0.0.9")]))),
            service("a", "two", Some(names(&["10.0.0.9"], &[]))),
            service("a", "one", Some(names(&[], &[("host", "10.0.0.9")]))),
        ],
        1,
    );
    assert_eq!(owners(&table, "10.0.0.9"), ["two.a", "host.one.a", "host.one.b"]);
}

#[test]
fn a_namespace_exists_by_its_object_or_by_a_service() {
    let declared = NameTable::default().patched([NameChange::Namespace { name: "empty".into(), exists: true }], 1);
    assert!(declared.has_namespace("empty"));
    let implied = declared.patched([service("shop", "web", Some(names(&["10.0.0.1"], &[])))], 2);
    assert!(implied.has_namespace("shop"));
    let gone = implied
        .patched([service("shop", "web", None), NameChange::Namespace { name: "empty".into(), exists: false }], 3);
    assert!(!gone.has_namespace("shop") && !gone.has_namespace("empty"));
    assert_eq!(gone, NameTable::default());
}

#[test]
fn pods_that_share_an_address_have_it_until_the_last_one_goes() {
    let pod = |namespace: &str, pod: &str, exists| NameChange::Pod {
        namespace: namespace.into(),
        pod: pod.into(),
        address: "192.0.2.1".parse().unwrap(),
        has_own_search: false,
        exists,
    };
    let address = "192.0.2.1".parse().unwrap();
    let before = NameTable::default().patched([pod("a", "one", true), pod("a", "two", true), pod("b", "one", true)], 1);
    let fewer = before.patched([pod("a", "one", false), pod("b", "one", false)], 2);
    assert_eq!([before.has_pod("a", address), before.has_pod("b", address)], [true, true]);
    assert_eq!([fewer.has_pod("a", address), fewer.has_pod("b", address)], [true, false]);
    assert_ne!(before, fewer);
    assert_eq!(fewer.patched([pod("a", "two", false)], 3), NameTable::default());
    // A Pod is neither a Service nor a namespace.
    assert!(before.owners(address).is_empty() && !before.has_namespace("a"));
}

#[test]
fn domain_names_have_one_form() {
    let parse = |text: &str| text.parse::<DomainName>();
    assert_eq!(parse("Ext.Interwebs.Test.").unwrap().as_str(), "ext.interwebs.test");
    assert_eq!(parse("_dmarc.x-1").unwrap().labels().collect::<Vec<_>>(), ["_dmarc", "x-1"]);
    assert_eq!(parse("."), Err(DomainNameError::Empty));
    assert_eq!(parse("10.0.0.1"), Err(DomainNameError::Address));
    assert_eq!(parse("10::1"), Err(DomainNameError::Address));
    assert_eq!(parse("a..b"), Err(DomainNameError::BadLabel));
    assert_eq!(parse("a b"), Err(DomainNameError::BadLabel));
    assert_eq!(parse(&"a".repeat(64)), Err(DomainNameError::BadLabel));
    assert_eq!(parse(&format!("{}a", "a.".repeat(126))).unwrap().as_str().len(), 253);
    assert_eq!(parse(&format!("{}a", "a.".repeat(127))), Err(DomainNameError::TooLong));
}

fn change() -> impl Strategy<Value = NameChange> {
    let word = || prop::sample::select(vec!["a", "b", "c"]);
    let address = || prop::sample::select(vec!["10.0.0.1", "10.0.0.2", "10::3", "172.0.0.4"]);
    let records = (prop::collection::vec(address(), 0..2), prop::collection::vec((word(), address()), 0..3))
        .prop_map(|(addresses, endpoints)| names(&addresses, &endpoints));
    prop_oneof![
        4 => (word(), word(), prop::option::weighted(0.7, records)).prop_map(|(n, s, names)| service(n, s, names)),
        1 => (word(), any::<bool>()).prop_map(|(n, exists)| NameChange::Namespace { name: n.into(), exists }),
        2 => (word(), word(), address(), any::<bool>()).prop_map(|(n, pod, address, exists)| NameChange::Pod {
            namespace: n.into(),
            pod: pod.into(),
            address: address.parse().unwrap(),
            has_own_search: false, exists,
        }),
    ]
}

proptest! {
    #[test]
    fn patching_equals_building_from_nothing(changes in prop::collection::vec(change(), 0..40)) {
        let patched = changes.iter().fold(NameTable::default(), |table, change| table.patched([change.clone()], 9));
        let mut last = BTreeMap::new();
        for change in &changes {
            let key = match change {
                NameChange::Service { namespace, service, .. } => (namespace.clone(), Some(service.clone())),
                NameChange::Namespace { name, .. } => (name.clone(), None),
                // No Service is called so.
                NameChange::External { namespace, service, .. } => {
                    (namespace.clone(), Some(format!("{service} from outside").into()))
                }
                NameChange::Import { namespace, service, .. } => {
                    (namespace.clone(), Some(format!("{service} of several").into()))
                }
                NameChange::Pod { namespace, pod, address, .. } => {
                    (namespace.clone(), Some(format!("{pod} {address}").into()))
                }
            };
            last.insert(key, change.clone());
        }
        let built = NameTable::default().patched(last.into_values(), 9);
        prop_assert_eq!(&patched, &built);
        for address in ["10.0.0.1", "10.0.0.2", "10::3", "172.0.0.4"] {
            prop_assert_eq!(owners(&patched, address), owners(&built, address));
        }
    }
}

#[test]
fn an_address_tells_the_namespace_of_its_pod_unless_several_share_it() {
    let pod = |namespace: &str, pod: &str, address: &str, exists| NameChange::Pod {
        namespace: namespace.into(),
        pod: pod.into(),
        address: address.parse().unwrap(),
        has_own_search: false,
        exists,
    };
    let before = NameTable::default().patched(
        [
            pod("shop", "web", "10.0.0.1", true),
            pod("shop", "web", "fd00::1", true),
            pod("shop", "host-a", "192.0.2.1", true),
            pod("shop", "host-b", "192.0.2.1", true),
            pod("blog", "host", "192.0.2.2", true),
            pod("shop", "host", "192.0.2.2", true),
        ],
        1,
    );
    let namespace = |table: &NameTable, address: &str| {
        table.pod_namespace(address.parse().unwrap()).map(|(namespace, _)| namespace.to_string())
    };
    for (address, expected) in [
        ("10.0.0.1", Some("shop")),
        ("fd00::1", Some("shop")),
        ("192.0.2.1", Some("shop")),
        ("192.0.2.2", None),
        ("10.0.0.2", None),
    ] {
        assert_eq!(namespace(&before, address).as_deref(), expected, "{address}");
    }
    let after = before.patched([pod("blog", "host", "192.0.2.2", false), pod("shop", "web", "10.0.0.1", false)], 2);
    assert_eq!(namespace(&after, "192.0.2.2").as_deref(), Some("shop"));
    assert_eq!(namespace(&after, "10.0.0.1"), None);
}

#[test]
fn a_namespace_is_declared_by_its_object_alone() {
    let namespace = |exists| NameChange::Namespace { name: "shop".into(), exists };
    let web = || service("shop", "web", Some(names(&["10.0.0.1"], &[])));
    let table = NameTable::default().patched([web()], 1);
    assert!(table.has_namespace("shop") && !table.declares("shop"));
    let table = table.patched([namespace(true)], 2);
    assert!(table.declares("shop") && !table.declares("blog"));
    let table = table.patched([namespace(false)], 3);
    assert!(table.has_namespace("shop") && !table.declares("shop"));
}

#[test]
fn imports_are_a_table_of_their_own() {
    let names = || Some(Arc::new(ServiceNames::cluster_ip([IpAddr::from([10, 0, 0, 1])], Vec::new(), Vec::new())));
    let import = |names| NameChange::Import { namespace: "shop".into(), service: "web".into(), names };
    let empty = NameTable::default();
    let table = empty.patched([import(names())], 5);
    assert!(table.imports().find("shop", "web").is_some() && table.imports().has_namespace("shop"));
    assert!(table.find("shop", "web").is_none() && !table.has_namespace("shop"));
    assert!(table.owners([10, 0, 0, 1].into()).is_empty());
    assert_eq!((version(table.serial()), table.service_count()), (5, 0));
    assert_ne!(table, empty);
    let gone = table.patched([import(None)], 6);
    assert_eq!((version(gone.serial()), gone.imports().service_count()), (6, 0));
    assert!(table.imports().find("shop", "web").is_some(), "that of before is as it was");
    assert_eq!(gone, empty);
}

#[test]
fn serials_are_newer_than_times_and_go_on_past_their_end() {
    let serial_of = |version| NameTable::default().patched([], version).serial();
    let is_newer = |one: u32, other: u32| one != other && one.wrapping_sub(other) < 1 << 31;
    // 2026 and 2036.
    for time in [1_796_000_000, 2_100_000_000] {
        assert!(is_newer(serial_of(1), time) && is_newer(serial_of(1_500_000_000), time), "{time}");
    }
    for version in [1, 1 << 30, (1 << 31) - 1, (1 << 31) + 1, u64::from(u32::MAX), 1 << 40] {
        assert!(is_newer(serial_of(version + 1), serial_of(version)), "{version}");
    }
    // The one that two versions have.
    assert_eq!([serial_of(1 << 31), serial_of((1 << 31) + 1)], [1, 1]);
}

#[test]
fn external_addresses_are_a_table_of_their_own() {
    let names = || Some(Arc::new(ServiceNames::cluster_ip([IpAddr::from([192, 0, 2, 1])], Vec::new(), Vec::new())));
    let external = |names| NameChange::External { namespace: "shop".into(), service: "web".into(), names };
    let empty = NameTable::default();
    let table = empty.patched([external(names())], 5);
    let found = |table: &NameTable| table.externals().find("shop", "web").is_some();
    assert!(found(&table) && table.externals().owners([192, 0, 2, 1].into()).len() == 1);
    assert!(table.find("shop", "web").is_none() && table.owners([192, 0, 2, 1].into()).is_empty());
    assert!(table.imports().services().next().is_none() && table != empty);
    let local = NameChange::Service { namespace: "shop".into(), service: "web".into(), names: names() };
    let import = NameChange::Import { namespace: "shop".into(), service: "web".into(), names: names() };
    let all = table.patched([local], 6).patched([import], 7);
    assert_eq!((version(all.serial()), found(&all)), (7, true));
    let gone = all.patched([external(None)], 8);
    assert_eq!((version(gone.serial()), found(&gone), found(&all)), (8, false, true));
    assert_eq!(table.patched([external(None)], 9), empty);
}
