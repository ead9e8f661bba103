//! Why names are answered as they are, and that this is never another story than the answer's.

use super::{below_the_zone, table};
use crate::answer::*;
use crate::question::Question;
use config::NameChange;
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
    let question = Question { name: Name::from_ascii(name).unwrap(), record_type };
    let reasons = explain(&table_with_namespaces(), &question, settings, None).reasons;
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
