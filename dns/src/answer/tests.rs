mod reasons;
mod replies;

use super::*;
use crate::message::Says;
use crate::question::{CLASS_IN, Head, Question};
use config::{DnsCompatibility, EndpointGroup, EndpointName, NameChange, PortName, ServiceNames, Transport};
use hickory_proto::op::Message;
use hickory_proto::rr::{Name, RData};
use proptest::prelude::*;
use std::sync::Arc;

fn table() -> NameTable {
    let port = |name: Option<&str>| PortName { name: name.map(Arc::from), transport: Transport::Tcp, number: 80 };
    let endpoint = |name: &str, address: &str, port: PortName| EndpointName {
        address: address.parse().unwrap(),
        name: name.into(),
        group: EndpointGroup::with_ports([port]),
        pod: None,
    };
    let services = [
        (
            "web",
            ServiceNames::cluster_ip(
                vec!["10.0.0.1".parse().unwrap()],
                vec![port(Some("http"))],
                vec![endpoint("host", "10::2", port(None))],
            ),
        ),
        (
            "head",
            ServiceNames::headless(vec![
                endpoint("host", "10.0.0.3", port(Some("http"))),
                // An endpoint with the name of a transport: it is one, not the parent of ports.
                endpoint("tcp", "10::4", port(Some("http"))),
            ]),
        ),
        ("none", ServiceNames::headless(Vec::new())),
        ("ext", ServiceNames::External { target: "example.org".parse().unwrap() }),
    ];
    let changes = services.map(|(service, names)| NameChange::Service {
        namespace: "shop".into(),
        service: service.into(),
        names: Some(Arc::new(names)),
    });
    NameTable::default().patched(changes, 1)
}

/// A test that takes hours where each endpoint is compared with all before it.
#[test]
fn endpoints_that_share_a_name_have_one_target_a_port_however_many_they_are() {
    let ports = (1..=3).map(|number| PortName { name: None, transport: Transport::Tcp, number });
    let groups: Vec<_> = ports.map(|port| EndpointGroup::with_ports([port])).collect();
    let endpoint = |index: u32| EndpointName {
        address: std::net::Ipv4Addr::from_bits(index).into(),
        name: "db".into(),
        group: groups[index as usize % 3].clone(),
        pod: None,
    };
    let names = Some(Arc::new(ServiceNames::headless((0..300_000).map(endpoint).collect())));
    let change = NameChange::Service { namespace: "shop".into(), service: "many".into(), names };
    let sections = ask(&NameTable::default().patched([change], 1), &["many", "shop", "svc"], RecordType::SRV);
    let told: Vec<_> = sections.answers.iter().map(|record| record.data.to_string()).collect();
    assert_eq!(told, ["1", "2", "3"].map(|port| format!("0 1 {port} db.many.shop.svc.cluster.local.")));
}

fn below_the_zone() -> impl Strategy<Value = Vec<&'static str>> {
    let words = vec![
        "svc",
        "pod",
        "dns",
        "ns",
        "dns-version",
        "shop",
        "gone",
        "web",
        "head",
        "none",
        "ext",
        "_tcp",
        "tcp",
        "_http",
        "http",
        "host",
        "10-0-0-9",
        "_udp",
        "_",
    ];
    let word = || prop::sample::select(words.clone());
    prop_oneof![
        prop::collection::vec(word(), 0..6),
        prop::collection::vec(word(), 0..4).prop_map(|labels| [labels, vec!["shop", "svc"]].concat()),
    ]
}

fn ask(table: &NameTable, labels: &[&str], record_type: RecordType) -> Sections {
    let labels = labels.iter().copied().chain(["cluster", "local"]);
    let question = Question { name: Name::from_labels(labels.map(str::as_bytes)).unwrap(), record_type };
    match answer(table, &question, &ZoneSettings::default(), None) {
        Answer::Zone(sections) | Answer::Alias { sections, .. } => sections,
        Answer::Outside => panic!("{question:?} is in the zone"),
    }
}

proptest! {
    #[test]
    fn a_name_exists_for_all_types_or_none_and_never_without_its_parents(labels in below_the_zone()) {
        let table = table();
        let code = ask(&table, &labels, RecordType::A).code;
        for record_type in [
            RecordType::AAAA, RecordType::SRV, RecordType::TXT, RecordType::CNAME, RecordType::PTR, RecordType::NS,
            RecordType::SOA, RecordType::ANY, RecordType::Unknown(999),
        ] {
            let sections = ask(&table, &labels, record_type);
            prop_assert_eq!(sections.code, code, "{}", record_type);
            // An answer or an SOA, never both, never neither.
            prop_assert_eq!(sections.answers.is_empty(), !sections.authorities.is_empty(), "{}", record_type);
            prop_assert!(code == ResponseCode::NoError || sections.answers.is_empty());
        }
        if code == ResponseCode::NoError && !labels.is_empty() {
            prop_assert_eq!(ask(&table, &labels[1..], RecordType::A).code, ResponseCode::NoError, "the parent");
        }
    }
}

proptest! {
    /// In a zone of several clusters too.
    #[test]
    fn an_import_exists_for_all_types_or_none_and_never_without_its_parents(
        labels in prop::collection::vec(prop::sample::select(vec!["a", "b", "east", "_tcp", "_http", "x.y"]), 0..4),
        service in prop::sample::select(vec!["web", "head", "gone"]),
    ) {
        let port = PortName { name: Some("http".into()), transport: Transport::Tcp, number: 80 };
        let endpoint = |name: &str, last| EndpointName {
            address: [172, 0, 0, last].into(), name: name.into(), group: EndpointGroup::with_ports([port.clone()]), pod: None,
        };
        let address: IpAddr = [10, 0, 0, 1].into();
        let changes = [
            ("web", ServiceNames::cluster_ip([address], vec![port.clone()], Vec::new())),
            ("head", ServiceNames::headless(vec![endpoint("a.east", 1), endpoint("b.east", 2)])),
        ].map(|(service, names)| NameChange::Import {
            namespace: "shop".into(), service: service.into(), names: Some(Arc::new(names)),
        });
        let table = NameTable::default().patched(changes, 1);
        let zone: DomainName = "clusterset.local".parse().unwrap();
        let settings = ZoneSettings { zones: vec![zone.clone()], multicluster: vec![zone], ..ZoneSettings::default() };
        let labels = [labels, vec![service, "shop", "svc", "clusterset", "local"]].concat();
        let ask = |labels: &[&str], record_type| {
            let name = Name::from_labels(labels.iter().map(|label| label.as_bytes())).unwrap();
            match answer(&table, &Question { name, record_type }, &settings, None) {
                Answer::Zone(sections) => sections,
                other => panic!("{other:?}"),
            }
        };
        let code = ask(&labels, RecordType::A).code;
        for record_type in [RecordType::AAAA, RecordType::SRV, RecordType::TXT, RecordType::ANY] {
            let sections = ask(&labels, record_type);
            prop_assert_eq!(sections.code, code, "{}", record_type);
            prop_assert_eq!(sections.answers.is_empty(), !sections.authorities.is_empty(), "{}", record_type);
        }
        if code == ResponseCode::NoError {
            prop_assert_eq!(ask(&labels[1..], RecordType::A).code, ResponseCode::NoError, "the parent");
            prop_assert!(!labels.contains(&"x.y"));
        }
    }
}

proptest! {
    /// In a zone of external addresses too, where a CNAME is the answer for all types but that which has its own records.
    #[test]
    fn an_external_name_exists_for_all_types_or_none_and_never_without_its_parents(
        labels in prop::collection::vec(
            prop::sample::select(vec!["host", "tcp", "_tcp", "_http", "dns", "ns1", "web", "head", "far", "api", "shop"]),
            0..5,
        ),
        has_endpoints: bool,
        coredns: bool,
    ) {
        let port = PortName { name: Some("http".into()), transport: Transport::Tcp, number: 80 };
        let address: IpAddr = [192, 0, 2, 1].into();
        let targets = Box::new(["lb.example.net".parse().unwrap()]);
        let changes = [
            ("api", ServiceNames::cluster_ip([address], vec![port.clone()], Vec::new())),
            ("far", ServiceNames::Hosts { targets, ports: Arc::new([port]) }),
        ].map(|(service, names)| NameChange::External {
            namespace: "shop".into(), service: service.into(), names: Some(Arc::new(names)),
        });
        let table = table().patched(changes, 1);
        let external = ExternalZones {
            zones: vec!["example.org".parse().unwrap()],
            reverse: Vec::new(),
            apex: "dns".into(),
            ttl: 5,
            has_endpoints,
            fallthrough: Fallthrough::Nothing,
        };
        let compatibility = if coredns { DnsCompatibility::CoreDns } else { DnsCompatibility::Standard };
        let settings = ZoneSettings { external: Some(Box::new(external)), compatibility, ..ZoneSettings::default() };
        let labels = [labels, vec!["shop", "example", "org"]].concat();
        let ask = |labels: &[&str], record_type| {
            let name = Name::from_labels(labels.iter().map(|label| label.as_bytes())).unwrap();
            match answer(&table, &Question { name, record_type }, &settings, None) {
                Answer::Zone(sections) | Answer::Alias { sections, .. } => sections,
                Answer::Outside => panic!("it is in the zone"),
            }
        };
        let code = ask(&labels, RecordType::A).code;
        for record_type in [
            RecordType::AAAA, RecordType::SRV, RecordType::TXT, RecordType::CNAME, RecordType::NS, RecordType::ANY,
        ] {
            let sections = ask(&labels, record_type);
            prop_assert_eq!(sections.code, code, "{}", record_type);
            prop_assert_eq!(sections.answers.is_empty(), !sections.authorities.is_empty(), "{}", record_type);
        }
        if code == ResponseCode::NoError && !coredns {
            prop_assert_eq!(ask(&labels[1..], RecordType::A).code, ResponseCode::NoError, "the parent");
        }
    }
}

/// The addresses that a reply of this many bytes has, the one of this turn first.
fn addresses(table: &NameTable, name: &str, turn: usize, room: usize) -> (Vec<String>, bool) {
    let question = Question { name: Name::from_ascii(name).unwrap(), record_type: RecordType::A };
    let (wire, mut message) = (question.to_wire(), Vec::new());
    let mut reply = Reply::new(&mut message, &wire, room);
    let name = LowerName::read(&wire[..wire.len() - 4]).unwrap();
    let settings = ZoneSettings::default();
    Zone::new(table, &settings, None).turned(turn).answer(&name, question.record_type, &mut reply);
    reply.finish(&Head { id: 0, flags: 0, class: CLASS_IN, edns: None }, Says::default());
    let message = Message::from_vec(&message).unwrap();
    (message.answers.iter().map(|record| record.data.to_string()).collect(), message.metadata.truncation)
}

#[test]
fn a_turn_moves_addresses_and_nothing_else() {
    let endpoint = |last: u8| EndpointName {
        address: [172, 0, 0, last].into(),
        name: format!("e{last}").into(),
        group: EndpointGroup::with_ports([]),
        pod: None,
    };
    let services = [
        ("three", ServiceNames::headless((1..=3).map(endpoint).collect())),
        ("many", ServiceNames::headless((1..=200).map(endpoint).collect())),
        ("alias", ServiceNames::External { target: "three.shop.svc.cluster.local".parse().unwrap() }),
    ];
    let changes = services.map(|(service, names)| NameChange::Service {
        namespace: "shop".into(),
        service: service.into(),
        names: Some(Arc::new(names)),
    });
    let table = NameTable::default().patched(changes, 1);
    let (found, is_cut) = addresses(&table, "three.shop.svc.cluster.local.", 7, 512);
    assert_eq!((found, is_cut), (["172.0.0.2", "172.0.0.3", "172.0.0.1"].map(str::to_owned).to_vec(), false));
    let (found, _) = addresses(&table, "alias.shop.svc.cluster.local.", 2, 512);
    assert_eq!(found, ["three.shop.svc.cluster.local.", "172.0.0.3", "172.0.0.1", "172.0.0.2"]);
    // Where not all fit, it is others each time.
    let (found, is_cut) = addresses(&table, "many.shop.svc.cluster.local.", 190, 512);
    assert!(is_cut && found.len() < 30 && found.len() > 20, "{found:?}");
    assert_eq!((&*found[0], &*found[10]), ("172.0.0.191", "172.0.0.1"));
}

#[test]
fn an_address_that_thousands_share_has_as_many_names_as_a_message_could_hold() {
    let changes = (0..5_000).map(|index| {
        let address = "127.0.0.1".parse().unwrap();
        let endpoint =
            EndpointName { address, name: "127-0-0-1".into(), group: EndpointGroup::with_ports([]), pod: None };
        let names = Some(Arc::new(ServiceNames::headless(vec![endpoint])));
        NameChange::Service { namespace: "shop".into(), service: format!("s{index:04}").into(), names }
    });
    let table = NameTable::default().patched(changes, 1);
    let name = Name::from_ascii("1.0.0.127.in-addr.arpa.").unwrap();
    let question = Question { name, record_type: RecordType::PTR };
    let Answer::Zone(sections) = answer(&table, &question, &ZoneSettings::default(), None) else {
        panic!("it is ours")
    };
    assert_eq!(sections.answers.len(), 4096);
    // Nothing that would fit is left out, so a cut is always told: owner, type, class, TTL, length, and a short name.
    assert!(sections.answers.len() * (2 + 2 + 2 + 4 + 2 + 4) > usize::from(u16::MAX));
}

#[test]
fn many_targets_in_clusters_have_their_addresses() {
    let port = PortName { name: None, transport: Transport::Tcp, number: 80 };
    let endpoint = |last: u8| EndpointName {
        address: [172, 0, 0, last].into(),
        name: format!("e{last}.east").into(),
        group: EndpointGroup::with_ports([port.clone()]),
        pod: None,
    };
    let names = Some(Arc::new(ServiceNames::headless((1..=60).map(endpoint).collect())));
    let import = NameChange::Import { namespace: "shop".into(), service: "many".into(), names };
    let zone: DomainName = "clusterset.local".parse().unwrap();
    let settings = ZoneSettings { zones: vec![zone.clone()], multicluster: vec![zone], ..ZoneSettings::default() };
    let name = Name::from_ascii("many.shop.svc.clusterset.local.").unwrap();
    let question = Question { name, record_type: RecordType::SRV };
    let Answer::Zone(sections) = answer(&NameTable::default().patched([import], 1), &question, &settings, None) else {
        panic!("it is ours")
    };
    let words = |text: String| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let targets: Vec<_> = sections.answers.iter().map(|record| words(record.data.to_string())[3].clone()).collect();
    let owners: Vec<_> = sections.additionals.iter().map(|record| record.name.to_string()).collect();
    assert_eq!((targets.len(), &*targets[59]), (60, "e60.east.many.shop.svc.clusterset.local."));
    assert_eq!(targets, owners);
}

#[test]
fn the_serial_of_addresses_is_that_of_the_newer_names() {
    let names = |address: &str| Some(Arc::new(ServiceNames::cluster_ip([address.parse().unwrap()], [], Vec::new())));
    let (namespace, service) = (Arc::<str>::from("shop"), Arc::<str>::from("web"));
    let own = |address| NameChange::Service {
        namespace: Arc::clone(&namespace),
        service: Arc::clone(&service),
        names: names(address),
    };
    let import = NameChange::Import {
        namespace: Arc::clone(&namespace),
        service: Arc::clone(&service),
        names: names("10.9.0.1"),
    };
    let settings = ZoneSettings { multicluster: vec!["clusterset.local".parse().unwrap()], ..ZoneSettings::default() };
    let serial = |table: &NameTable| {
        let name = Name::from_ascii("2.0.0.10.in-addr.arpa.").unwrap();
        let question = Question { name, record_type: RecordType::PTR };
        let Answer::Zone(sections) = answer(table, &question, &settings, None) else { panic!("it is ours") };
        assert_eq!(sections.code, ResponseCode::NXDomain);
        let RData::SOA(soa) = &sections.authorities[0].data else { panic!("{sections:?}") };
        soa.serial
    };
    let table = NameTable::default().patched([own("10.0.0.1")], 7);
    let newer = table.patched([import], 8);
    let newest = newer.patched([own("10.0.0.3")], 9);
    assert_eq!([&table, &newer, &newest].map(serial), [7, 8, 9].map(|version| (1 << 31) + version));
}
