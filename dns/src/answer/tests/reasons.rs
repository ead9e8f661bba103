//! Why names are answered as they are, and that this is never another story than the answer's.

use super::{below_the_zone, table};
use crate::answer::*;
use crate::question::Question;
use config::{DnsCompatibility, NameChange};
use hickory_proto::rr::Name;
use proptest::prelude::*;

fn table_with_namespaces() -> NameTable {
    let declared = |name: &str| NameChange::Namespace { name: name.into(), exists: true };
    let alias = |service: &str, target: &str| NameChange::Service {
        namespace: "shop".into(),
        service: service.into(),
        names: Some(Arc::new(ServiceNames::External { target: target.parse().unwrap() })),
    };
    let web = "web.shop.svc.cluster.local";
    let changes = [declared("empty"), alias("near", web), alias("loop", "loop.shop.svc.cluster.local")];
    table().patched(changes, 2)
}

/// The reasons for a name below `cluster.local`, joined by `; `.
fn said(name: &str, record_type: RecordType, settings: &ZoneSettings) -> String {
    said_of(&table_with_namespaces(), name, record_type, settings)
}

/// The same of another table and zone.
fn said_of(table: &NameTable, name: &str, record_type: RecordType, settings: &ZoneSettings) -> String {
    let question = Question { name: Name::from_ascii(name).unwrap(), record_type };
    let reasons = explain(table, &question, settings, None).reasons;
    reasons.iter().map(Reason::to_string).collect::<Vec<_>>().join("; ")
}

#[test]
fn every_name_says_why() {
    let settings = ZoneSettings::default();
    for (name, record_type, expected) in [
        ("web.shop.svc", RecordType::A, "Service shop/web has addresses of its own"),
        (
            "web.shop.svc",
            RecordType::AAAA,
            "Service shop/web has addresses of its own; the name exists, and has no AAAA record",
        ),
        ("WEB.shop.svc", RecordType::SRV, "Service shop/web has addresses of its own"),
        ("head.shop.svc", RecordType::A, "Service shop/head is headless and stands for its ready endpoints"),
        ("none.shop.svc", RecordType::A, "the headless Service shop/none has no ready endpoint"),
        ("gone.shop.svc", RecordType::A, "there is no Service shop/gone"),
        ("web.gone.svc", RecordType::A, "there is no namespace gone"),
        ("web.empty.svc", RecordType::A, "there is no Service empty/web"),
        ("host.head.shop.svc", RecordType::A, "host is a ready endpoint of Service shop/head"),
        ("b.head.shop.svc", RecordType::A, "no ready endpoint of Service shop/head is called b"),
        ("_http._tcp.web.shop.svc", RecordType::SRV, "Service shop/web has the port _http._tcp"),
        ("_dns._udp.web.shop.svc", RecordType::SRV, "Service shop/web has no port _dns._udp"),
        ("_tcp.web.shop.svc", RecordType::A, "only the parent of other names; the name exists, and has no A record"),
        ("shop.svc", RecordType::A, "only the parent of other names; the name exists, and has no A record"),
        ("x.svc.svc.svc.svc.svc", RecordType::A, "no name of the zone has this form"),
        ("10-0-0-1.shop.pod", RecordType::A, "the address that 10-0-0-1 spells"),
        ("web.shop.pod", RecordType::A, "web spells no address"),
        (
            "ext.shop.svc",
            RecordType::A,
            "Service shop/ext is an ExternalName that leads to example.org; outside of the cluster's zone",
        ),
        ("ext.shop.svc", RecordType::SRV, "Service shop/ext is an ExternalName that leads to example.org"),
        (
            "near.shop.svc",
            RecordType::A,
            "Service shop/near is an ExternalName that leads to web.shop.svc.cluster.local; \
             Service shop/web has addresses of its own",
        ),
        (
            "loop.shop.svc",
            RecordType::A,
            "Service shop/loop is an ExternalName that leads to loop.shop.svc.cluster.local; \
             the aliases lead in a circle, or are too many",
        ),
        ("dns-version", RecordType::TXT, "a name that the zone has of its own"),
        ("ns.dns", RecordType::AAAA, "its address is the one that is asked (--at)"),
    ] {
        assert_eq!(said(&format!("{name}.cluster.local."), record_type, &settings), expected, "{name} {record_type}");
    }
    for (name, expected) in [
        ("example.org.", "outside of the cluster's zone"),
        ("1.0.0.10.in-addr.arpa.", "an address of Service shop/web"),
        ("9.0.0.10.in-addr.arpa.", "nobody has the address, which only the cluster could tell of"),
        ("1.0.0.11.in-addr.arpa.", "outside of the cluster's zone"),
    ] {
        assert_eq!(said(name, RecordType::PTR, &settings), expected, "{name}");
    }
}

#[test]
fn services_of_several_clusters_are_told_apart_from_the_clusters_own() {
    let zone: DomainName = "clusterset.local".parse().unwrap();
    let (zones, multicluster) = (vec![zone.clone()], vec![zone]);
    let settings = ZoneSettings { zones, multicluster, hides_empty: true, ..ZoneSettings::default() };
    let import = |service: &str, names: ServiceNames| NameChange::Import {
        namespace: "shop".into(),
        service: service.into(),
        names: Some(Arc::new(names)),
    };
    let address = IpAddr::from([10, 9, 0, 1]);
    let changes = [
        import("api", ServiceNames::cluster_ip([address], [], Vec::new())),
        import("db", ServiceNames::headless(Vec::new())),
    ];
    let table = table_with_namespaces().patched(changes, 3);
    for (name, expected) in [
        ("api.shop.svc", "ServiceImport shop/api has addresses of its own"),
        ("_http._tcp.api.shop.svc", "ServiceImport shop/api has no port _http._tcp"),
        ("east.api.shop.svc", "no ready endpoint of ServiceImport shop/api is called east"),
        ("db.shop.svc", "the headless ServiceImport shop/db has no ready endpoint"),
        ("web.shop.svc", "there is no ServiceImport shop/web"),
    ] {
        let name = Name::from_ascii(format!("{name}.clusterset.local.")).unwrap();
        let question = Question { name: name.clone(), record_type: RecordType::A };
        let reasons = explain(&table, &question, &settings, None).reasons;
        assert_eq!(reasons.first().map(Reason::to_string).as_deref(), Some(expected), "{name}");
    }
}

/// A table with external addresses, and a zone for them.
fn with_externals() -> (NameTable, ZoneSettings) {
    let external = ExternalZones {
        zones: vec!["example.org".parse().unwrap()],
        reverse: vec!["192.0.2.0/24".parse().unwrap()],
        apex: "dns".into(),
        ttl: 5,
        has_endpoints: true,
        fallthrough: Fallthrough::Nothing,
    };
    let change = |service: &str, names: ServiceNames| NameChange::External {
        namespace: "shop".into(),
        service: service.into(),
        names: Some(Arc::new(names)),
    };
    let http = config::PortName { name: Some("http".into()), transport: config::Transport::Tcp, number: 80 };
    let targets = |name: &str| Box::new([name.parse().unwrap()]);
    let changes = [
        change("api", ServiceNames::cluster_ip([IpAddr::from([192, 0, 2, 1])], [http.clone()], Vec::new())),
        change("far", ServiceNames::Hosts { targets: targets("lb.example.net"), ports: Arc::new([http.clone()]) }),
        change("near", ServiceNames::Hosts { targets: targets("api.shop.example.org"), ports: Arc::new([http]) }),
    ];
    let settings = ZoneSettings { external: Some(Box::new(external)), hides_empty: true, ..ZoneSettings::default() };
    (table_with_namespaces().patched(changes, 3), settings)
}

#[test]
fn external_addresses_are_told_as_such() {
    let (table, settings) = with_externals();
    let coredns = ZoneSettings { compatibility: DnsCompatibility::CoreDns, ..settings.clone() };
    for (name, record_type, settings, expected) in [
        ("example.org.", RecordType::SOA, &settings, "a name that the zone has of its own"),
        (
            "ns1.dns.example.org.",
            RecordType::MX,
            &settings,
            "its address is the one that is asked (--at); the name exists, and has no MX record",
        ),
        (
            "shop.example.org.",
            RecordType::SOA,
            &settings,
            "only the parent of other names; the name exists, and has no SOA record",
        ),
        ("api.shop.example.org.", RecordType::A, &settings, "Service shop/api has external addresses"),
        ("_http._tcp.api.shop.example.org.", RecordType::SRV, &settings, "Service shop/api has the port _http._tcp"),
        ("www.api.shop.example.org.", RecordType::A, &settings, "Service shop/api has external addresses alone"),
        ("www.api.shop.example.org.", RecordType::A, &coredns, "Service shop/api has external addresses"),
        (
            "far.shop.example.org.",
            RecordType::A,
            &settings,
            "Service shop/far is reached by the load balancer lb.example.net; outside of the cluster's zone",
        ),
        (
            "far.shop.example.org.",
            RecordType::SRV,
            &settings,
            "Service shop/far is reached by the load balancer lb.example.net",
        ),
        (
            "far.shop.example.org.",
            RecordType::TXT,
            &settings,
            "Service shop/far is reached by the load balancer lb.example.net",
        ),
        (
            "far.shop.example.org.",
            RecordType::TXT,
            &coredns,
            "Service shop/far is reached by the load balancer lb.example.net; the name exists, and has no TXT record",
        ),
        (
            "near.shop.example.org.",
            RecordType::A,
            &settings,
            "Service shop/near is reached by the load balancer api.shop.example.org; \
             Service shop/api has external addresses",
        ),
        (
            "head.shop.example.org.",
            RecordType::A,
            &settings,
            "Service shop/head is headless and stands for its ready endpoints",
        ),
        ("host.head.shop.example.org.", RecordType::A, &settings, "host is a ready endpoint of Service shop/head"),
        ("none.shop.example.org.", RecordType::A, &settings, "the headless Service shop/none has no ready endpoint"),
        ("host.web.shop.example.org.", RecordType::AAAA, &settings, "host is a ready endpoint of Service shop/web"),
        (
            "web.shop.example.org.",
            RecordType::A,
            &settings,
            "only the parent of other names; the name exists, and has no A record",
        ),
        ("ext.shop.example.org.", RecordType::A, &settings, "Service shop/ext has no external address"),
        ("gone.shop.example.org.", RecordType::A, &settings, "there is no Service shop/gone"),
        ("web.gone.example.org.", RecordType::A, &settings, "there is no namespace gone"),
        ("1.2.0.192.in-addr.arpa.", RecordType::PTR, &settings, "an address of Service shop/api"),
        (
            "9.2.0.192.in-addr.arpa.",
            RecordType::PTR,
            &settings,
            "nobody has the address, which only the cluster could tell of",
        ),
    ] {
        assert_eq!(said_of(&table, name, record_type, settings), expected, "{name} {record_type}");
    }
}

#[test]
fn settings_are_told_as_reasons() {
    let usual = ZoneSettings::default();
    let only_empty = ZoneSettings { namespaces: Some([Arc::from("empty")].into()), ..usual.clone() };
    let verified = ZoneSettings { pods: PodNames::Verified, ..usual.clone() };
    let disabled = ZoneSettings { pods: PodNames::Disabled, ..usual.clone() };
    let hiding = ZoneSettings { hides_empty: true, ..usual.clone() };
    let nameless = ZoneSettings { hides_endpoints: true, ..usual.clone() };
    let leaving = ZoneSettings { fallthrough: Fallthrough::Everything, ..usual.clone() };
    let coredns = ZoneSettings { compatibility: DnsCompatibility::CoreDns, ..usual };
    for (name, settings, expected) in [
        ("web.shop.svc", &only_empty, "names of the namespace shop are not told here"),
        ("10-9-9-9.shop.pod", &verified, "no Pod of the namespace shop has the address 10-9-9-9"),
        ("10-9-9-9.shop.pod", &disabled, "Pods have no names here (pods disabled)"),
        (
            "none.shop.svc",
            &hiding,
            "Service shop/none has no ready endpoint, and such are hidden (ignore empty_service)",
        ),
        ("head.shop.svc", &nameless, "endpoints, as those of Service shop/head, have no names here (noendpoints)"),
        ("host.web.shop.svc", &nameless, "endpoints, as those of Service shop/web, have no names here (noendpoints)"),
        ("gone.shop.svc", &nameless, "there is no Service shop/gone"),
        ("gone.shop.svc", &leaving, "there is no Service shop/gone; such names are left to others (fallthrough)"),
        (
            "_tcp.web.shop.svc",
            &coredns,
            "only the parent of other names; the name exists, and is denied as CoreDNS does (--dns-compat coredns)",
        ),
    ] {
        assert_eq!(said(&format!("{name}.cluster.local."), RecordType::A, settings), expected, "{name}");
    }
}

proptest! {
    /// A denial always has an absence for its reason, and nothing else has.
    #[test]
    fn reasons_and_answers_agree(
        labels in below_the_zone(),
        record_type in prop::sample::select(vec![RecordType::A, RecordType::AAAA, RecordType::SRV, RecordType::TXT]),
        hides_empty: bool,
        is_zonal: bool,
    ) {
        let settings = ZoneSettings { hides_empty, is_zonal, ..ZoneSettings::default() };
        let name = Name::from_ascii(labels.iter().map(|label| format!("{label}.")).collect::<String>() + "cluster.local.");
        let question = Question { name: name.unwrap(), record_type };
        let Explanation { answer, reasons } = explain(&table_with_namespaces(), &question, &settings, None);
        let is_absent = reasons.last().unwrap().is_absence();
        match answer {
            Answer::Zone(sections) => {
                prop_assert_eq!(sections.code == ResponseCode::NXDomain, is_absent, "{:?}", reasons);
                let has_none = matches!(reasons.last(), Some(Reason::NoRecord(_)));
                prop_assert!(!has_none || sections.answers.iter().all(|one| one.record_type() == RecordType::CNAME));
            }
            Answer::Alias { .. } => prop_assert_eq!(reasons.last(), Some(&Reason::Outside)),
            Answer::Outside => prop_assert!(false, "{:?}", reasons),
        }
    }
}
