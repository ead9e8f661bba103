use super::*;
use config::{EndpointName, NameChange, PortName, ServiceNames, Transport};
use proptest::prelude::*;
use std::sync::Arc;

fn table() -> NameTable {
    let port = |name: Option<&str>| PortName { name: name.map(Arc::from), transport: Transport::Tcp, number: 80 };
    let endpoint = |name: &str, address: &str, port: PortName| EndpointName {
        address: address.parse().unwrap(),
        name: name.into(),
        ports: [port].into(),
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
    let question = Question { name: records::name(labels).unwrap(), record_type };
    match answer(table, &question, &ZoneSettings::default()) {
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

#[test]
fn a_turn_moves_addresses_and_nothing_else() {
    let name = |text: &str| Name::from_ascii(text).unwrap();
    let address = |last| Record::from_rdata(name("b."), 5, RData::A(rdata::A::new(10, 0, 0, last)));
    let cname = Record::from_rdata(name("a."), 5, RData::CNAME(rdata::CNAME(name("b."))));
    let mut sections =
        Sections { answers: vec![cname.clone(), address(1), address(2), address(3)], ..Sections::default() };
    sections.rotate(7);
    assert_eq!(sections.answers, [cname.clone(), address(2), address(3), address(1)]);
    let mut alone = Sections { answers: vec![cname.clone()], ..Sections::default() };
    alone.rotate(1);
    assert_eq!(alone.answers, [cname]);
}

#[test]
fn an_address_that_thousands_share_has_as_many_names_as_a_message_could_hold() {
    let changes = (0..5_000).map(|index| {
        let address = "127.0.0.1".parse().unwrap();
        let endpoint = EndpointName { address, name: "127-0-0-1".into(), ports: [].into() };
        let names = Some(Arc::new(ServiceNames::headless(vec![endpoint])));
        NameChange::Service { namespace: "shop".into(), service: format!("s{index:04}").into(), names }
    });
    let table = NameTable::default().patched(changes, 1);
    let name = Name::from_ascii("1.0.0.127.in-addr.arpa.").unwrap();
    let question = Question { name, record_type: RecordType::PTR };
    let Answer::Zone(sections) = answer(&table, &question, &ZoneSettings::default()) else { panic!("it is ours") };
    assert_eq!(sections.answers.len(), 4096);
    // Nothing that would fit is left out, so a cut is always told: owner, type, class, TTL, length, and a short name.
    assert!(sections.answers.len() * (2 + 2 + 2 + 4 + 2 + 4) > usize::from(u16::MAX));
}
