use super::*;
use crate::answer::answer;
use crate::question::{Asked, ClientEdns, Question};
use config::{DnsCompatibility, EndpointGroup, EndpointName, NameChange, PortName, Transport};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name, Record};
use std::collections::BTreeMap;
use std::net::IpAddr;

fn port(name: &str, transport: Transport, number: u16) -> PortName {
    PortName { name: Some(name.into()), transport, number }
}

fn endpoint(label: &str, address: &str, ports: &[PortName]) -> EndpointName {
    let address: IpAddr = address.parse().unwrap();
    let name = if label.is_empty() { EndpointName::dashed(address) } else { label.to_owned() };
    EndpointName { address, name: name.into(), group: EndpointGroup::with_ports(ports), pod: None }
}

fn put(namespace: &str, service: &str, names: ServiceNames) -> NameChange {
    NameChange::Service { namespace: namespace.into(), service: service.into(), names: Some(Arc::new(names)) }
}

/// What CoreDNS's own test of transfers has (plugin/kubernetes/handler_test.go).
fn fixture() -> Arc<NameTable> {
    let http = port("http", Transport::Tcp, 80);
    let cluster_ip = |addresses: &[&str], ports: &[PortName], endpoints: Vec<EndpointName>| {
        let addresses: Vec<IpAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
        ServiceNames::cluster_ip(addresses, ports.to_vec(), endpoints)
    };
    let web = std::slice::from_ref(&http);
    let dns = [port("dns", Transport::Udp, 53)];
    let headless = [
        ("", "172.0.0.2"),
        ("", "172.0.0.3"),
        ("dup-name", "172.0.0.4"),
        ("dup-name", "172.0.0.5"),
        ("", "5678:abcd::1"),
        ("", "5678:abcd::2"),
    ];
    let headless = headless.map(|(label, address)| endpoint(label, address, web)).to_vec();
    let changes = [
        put("testns", "svc1", cluster_ip(&["10.0.0.1"], web, vec![endpoint("ep1a", "172.0.0.1", web)])),
        put("testns", "svcempty", cluster_ip(&["10.0.0.1"], web, Vec::new())),
        put("testns", "svc6", cluster_ip(&["1234:abcd::1"], web, Vec::new())),
        put("testns", "svc-dual-stack", cluster_ip(&["10.0.0.3", "10::3"], web, Vec::new())),
        put("testns", "hdls1", ServiceNames::headless(headless)),
        put("testns", "hdlsprtls", ServiceNames::headless(vec![endpoint("", "172.0.0.20", &[])])),
        put("testns", "external", ServiceNames::External { target: "ext.interwebs.test".parse().unwrap() }),
        put(
            "testns",
            "external-to-service",
            ServiceNames::External { target: "svc1.testns.svc.cluster.local".parse().unwrap() },
        ),
        put("unexposedns", "svc1", cluster_ip(&["10.0.0.2"], web, Vec::new())),
        put("kube-system", "kubedns", cluster_ip(&["10.0.0.10"], &dns, Vec::new())),
    ];
    Arc::new(NameTable::default().patched(changes, 3))
}

fn settings() -> ZoneSettings {
    let exposed = ["testns", "kube-system"].map(Arc::from);
    ZoneSettings { namespaces: Some(exposed.into()), ..ZoneSettings::default() }
}

/// The messages of a transfer to a client that has a serial already.
fn messages(table: &Arc<NameTable>, zone: &str, has: Option<u32>) -> Option<Vec<Message>> {
    messages_of(&settings(), table, zone, has)
}

fn messages_of(settings: &ZoneSettings, table: &Arc<NameTable>, zone: &str, has: Option<u32>) -> Option<Vec<Message>> {
    let question = Question { name: Name::from_ascii(zone).unwrap(), record_type: RecordType::AXFR };
    let wire = question.to_wire();
    let edns = Some(ClientEdns::of(512));
    let head = Head { id: 7, flags: 0, class: CLASS_IN, edns };
    let query = Query { head, asked: Asked { wire: &wire, record_type: RecordType::AXFR } };
    let asked_at = Some("10.0.0.99:53".parse().unwrap());
    let transfer = Transfer::new((table, settings), asked_at, &query, has)?;
    let read = |message: Vec<u8>| {
        assert!(message.len() <= 16 << 10, "{}", message.len());
        let read = Message::from_vec(&message).unwrap();
        assert_eq!((read.metadata.id, read.metadata.response_code), (7, ResponseCode::NoError));
        assert!(read.metadata.authoritative && !read.metadata.truncation && read.edns.is_some());
        assert!(read.queries[0].name().eq_case(&question.name));
        read
    };
    Some(transfer.map(read).collect())
}

fn records(messages: Vec<Message>) -> Vec<Record> {
    messages.into_iter().flat_map(|message| message.answers).collect()
}

fn text(record: &Record) -> String {
    format!("{} {} {} {}", record.name, record.ttl, record.record_type(), record.data)
}

/// As CoreDNS 1.15 transfers it, below cluster.local, but for the weights of `svc-dual-stack`, which it tells otherwise
/// to those who ask.
const COREDNS: &str = "
@ 5 SOA ns.dns @hostmaster 2147483651 7200 1800 86400 5
@ 5 NS ns.dns
ns.dns 5 A 10.0.0.99
external.testns.svc 5 CNAME ext.interwebs.test.
external-to-service.testns.svc 5 CNAME svc1.testns.svc
hdls1.testns.svc 5 A 172.0.0.2
172-0-0-2.hdls1.testns.svc 5 A 172.0.0.2
_http._tcp.hdls1.testns.svc 5 SRV 0 16 80 172-0-0-2.hdls1.testns.svc
hdls1.testns.svc 5 A 172.0.0.3
172-0-0-3.hdls1.testns.svc 5 A 172.0.0.3
_http._tcp.hdls1.testns.svc 5 SRV 0 16 80 172-0-0-3.hdls1.testns.svc
hdls1.testns.svc 5 A 172.0.0.4
dup-name.hdls1.testns.svc 5 A 172.0.0.4
_http._tcp.hdls1.testns.svc 5 SRV 0 16 80 dup-name.hdls1.testns.svc
hdls1.testns.svc 5 A 172.0.0.5
dup-name.hdls1.testns.svc 5 A 172.0.0.5
hdls1.testns.svc 5 AAAA 5678:abcd::1
5678-abcd--1.hdls1.testns.svc 5 AAAA 5678:abcd::1
_http._tcp.hdls1.testns.svc 5 SRV 0 16 80 5678-abcd--1.hdls1.testns.svc
hdls1.testns.svc 5 AAAA 5678:abcd::2
5678-abcd--2.hdls1.testns.svc 5 AAAA 5678:abcd::2
_http._tcp.hdls1.testns.svc 5 SRV 0 16 80 5678-abcd--2.hdls1.testns.svc
hdlsprtls.testns.svc 5 A 172.0.0.20
172-0-0-20.hdlsprtls.testns.svc 5 A 172.0.0.20
kubedns.kube-system.svc 5 A 10.0.0.10
kubedns.kube-system.svc 5 SRV 0 100 53 kubedns.kube-system.svc
_dns._udp.kubedns.kube-system.svc 5 SRV 0 100 53 kubedns.kube-system.svc
svc-dual-stack.testns.svc 5 A 10.0.0.3
svc-dual-stack.testns.svc 5 AAAA 10::3
svc-dual-stack.testns.svc 5 SRV 0 50 80 svc-dual-stack.testns.svc
_http._tcp.svc-dual-stack.testns.svc 5 SRV 0 50 80 svc-dual-stack.testns.svc
svc1.testns.svc 5 A 10.0.0.1
svc1.testns.svc 5 SRV 0 100 80 svc1.testns.svc
_http._tcp.svc1.testns.svc 5 SRV 0 100 80 svc1.testns.svc
svc6.testns.svc 5 AAAA 1234:abcd::1
svc6.testns.svc 5 SRV 0 100 80 svc6.testns.svc
_http._tcp.svc6.testns.svc 5 SRV 0 100 80 svc6.testns.svc
svcempty.testns.svc 5 A 10.0.0.1
svcempty.testns.svc 5 SRV 0 100 80 svcempty.testns.svc
_http._tcp.svcempty.testns.svc 5 SRV 0 100 80 svcempty.testns.svc
@ 5 SOA ns.dns @hostmaster 2147483651 7200 1800 86400 5
";

/// With names written out.
fn whole(line: &str) -> String {
    let line = line.replace("@hostmaster", "hostmaster");
    let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
    let is_name = |word: &str| word.ends_with("svc") || word.ends_with("dns") || word == "hostmaster";
    for word in words.iter_mut().filter(|word| is_name(word)) {
        word.push_str(".cluster.local.");
    }
    words.join(" ").replace('@', "cluster.local.")
}

#[test]
fn a_server_with_two_addresses_is_one_name_server_with_both() {
    let addresses = ["10.0.0.99", "fd00::99", "127.0.0.1", "::1", "169.254.20.10", "fe80::1", "::"];
    let settings = settings().bound_to(addresses.map(|address| address.parse().unwrap()));
    let records = records(messages_of(&settings, &fixture(), "cluster.local.", None).unwrap());
    let of_server: Vec<_> =
        records.iter().map(text).filter(|line| line.contains(" NS ") || line.starts_with("ns.dns.")).collect();
    assert_eq!(
        of_server,
        [
            "cluster.local. 5 NS ns.dns.cluster.local.",
            "ns.dns.cluster.local. 5 A 10.0.0.99",
            "ns.dns.cluster.local. 5 AAAA fd00::99"
        ]
    );
}

#[test]
fn what_coredns_transfers_is_there() {
    let table = fixture();
    let records = records(messages(&table, "cluster.local.", None).unwrap());
    let ours: Vec<String> = records.iter().map(text).collect();
    let expected: Vec<String> = COREDNS.trim().lines().map(whole).collect();
    for line in &expected {
        assert!(ours.contains(line), "{line} is not among\n{}", ours.join("\n"));
    }
    assert_eq!((ours.first(), ours.last()), (expected.first(), expected.last()));
    assert_eq!(ours.iter().filter(|line| line.contains(" SOA ")).count(), 2);
    assert!(!ours.iter().any(|line| line.contains("unexposedns")));
    // Names that are answered too, which CoreDNS leaves out.
    let more: Vec<_> = ours.iter().filter(|line| !expected.contains(line)).collect();
    for line in [
        "dns-version.cluster.local. 28800 TXT 1.1.0",
        "ep1a.svc1.testns.svc.cluster.local. 5 A 172.0.0.1",
        "dup-name.hdls1.testns.svc.cluster.local. 5 SRV 0 50 80 dup-name.hdls1.testns.svc.cluster.local.",
    ] {
        assert!(more.iter().any(|other| *other == line), "{line} is not among\n{more:?}");
    }
}

#[test]
fn a_secondary_says_what_is_said_here() {
    let table = fixture();
    let mut sets: BTreeMap<(String, RecordType), Vec<String>> = BTreeMap::new();
    for record in records(messages(&table, "cluster.local.", None).unwrap()).into_iter().skip(1) {
        let set = sets.entry((record.name.to_string(), record.record_type())).or_default();
        set.push(text(&record));
    }
    assert!(sets.len() > 40, "{}", sets.len());
    for ((name, record_type), mut set) in sets {
        let question = Question { name: Name::from_ascii(&name).unwrap(), record_type };
        let asked_at = Some("10.0.0.99:53".parse().unwrap());
        let crate::answer::Answer::Zone(sections) = answer(&table, &question, &settings(), asked_at) else {
            // CNAMEs that lead elsewhere.
            assert_eq!(record_type, RecordType::CNAME, "{name}");
            continue;
        };
        let mut said: Vec<_> = sections.answers.iter().map(text).collect();
        said.sort();
        set.sort();
        assert_eq!(set, said, "{name} {record_type}");
    }
}

#[test]
fn a_large_zone_is_many_messages() {
    let web = [port("http", Transport::Tcp, 80)];
    let endpoints = (0..5_000u32).map(|index| {
        let address = std::net::Ipv4Addr::from_bits(0xAC00_0000 + index);
        endpoint("", &address.to_string(), &web)
    });
    let services = (0..300).map(|index| {
        let address: IpAddr = std::net::Ipv4Addr::from_bits(0x0A00_0000 + index).into();
        put("testns", &format!("svc{index}"), ServiceNames::cluster_ip([address], web.to_vec(), Vec::new()))
    });
    let changes = services.chain([put("testns", "huge", ServiceNames::headless(endpoints.collect()))]);
    let table = Arc::new(NameTable::default().patched(changes, 9));
    let messages = messages(&table, "CLUSTER.local.", None).unwrap();
    assert!(messages.len() > 50, "{}", messages.len());
    let records = records(messages);
    // An address and an SRV record of each name: a Service's own, its port's, and those of endpoints.
    assert_eq!(records.len(), 2 + 1 + 1 + 1 + 300 * 4 + 5_000 * 6);
    assert!(records.iter().skip(1).any(|record| record.name.to_string() == "huge.testns.svc.CLUSTER.local."));
}

#[test]
fn who_has_it_all_gets_the_soa_alone() {
    let table = fixture();
    // It is 0x8000_0003.
    for (has, is_whole) in [(0x8000_0002, true), (0x8000_0003, false), (0x8000_0004, false), (2, false), (4, true)] {
        let records = records(messages(&table, "cluster.local.", Some(has)).unwrap());
        assert_eq!(records.len() > 1, is_whole, "{has}");
        assert_eq!(records[0].record_type(), RecordType::SOA);
    }
}

#[test]
fn only_zones_of_services_are_transferred() {
    for name in ["svc.cluster.local.", "local.", ".", "0.0.10.in-addr.arpa.", "web.testns.svc.cluster.local."] {
        assert!(messages(&fixture(), name, None).is_none(), "{name}");
    }
    let empty = Arc::new(NameTable::default());
    let records = records(messages(&empty, "cluster.local.", None).unwrap());
    let types: Vec<_> = records.iter().map(Record::record_type).collect();
    use RecordType::{A, NS, SOA, TXT};
    assert_eq!(types, [SOA, NS, A, TXT, SOA]);
}

/// CoreDNS leaves the clusters out of the names that it transfers, and so transfers others than it answers with.
#[test]
fn a_zone_of_several_clusters_is_sent_as_it_is_answered() {
    let web = [port("http", Transport::Tcp, 80)];
    let import = |service: &str, names| NameChange::Import {
        namespace: "testns".into(),
        service: service.into(),
        names: Some(Arc::new(names)),
    };
    let endpoints = vec![endpoint("a.east", "172.0.0.1", &web), endpoint("a.west", "172.1.0.1", &web)];
    let changes = [
        import("far", ServiceNames::headless(endpoints)),
        import("svc1", ServiceNames::cluster_ip(["10.9.0.1".parse::<IpAddr>().unwrap()], web.to_vec(), Vec::new())),
    ];
    let table = Arc::new(fixture().patched(changes, 9));
    let zone: config::DomainName = "clusterset.local".parse().unwrap();
    let settings = ZoneSettings { zones: vec![zone.clone()], multicluster: vec![zone], ..settings() };
    let question = Question { name: Name::from_ascii("clusterset.local.").unwrap(), record_type: RecordType::AXFR };
    let wire = question.to_wire();
    let head = Head { id: 7, flags: 0, class: CLASS_IN, edns: None };
    let query = Query { head, asked: Asked { wire: &wire, record_type: RecordType::AXFR } };
    let transfer = Transfer::new((&table, &settings), None, &query, None).unwrap();
    let sent = records(transfer.map(|message| Message::from_vec(&message).unwrap()).collect());
    let sent: Vec<_> = sent.iter().map(|record| text(record).replace("clusterset.local.", "@")).collect();
    let soa = "@ 5 SOA ns.dns.@ hostmaster.@ 2147483657 7200 1800 86400 5";
    assert_eq!(
        sent,
        [
            soa,
            "@ 5 NS ns.dns.@",
            "dns-version.@ 28800 TXT 1.0.0",
            "far.testns.svc.@ 5 A 172.0.0.1",
            "far.testns.svc.@ 5 A 172.1.0.1",
            "far.testns.svc.@ 5 SRV 0 50 80 a.east.far.testns.svc.@",
            "far.testns.svc.@ 5 SRV 0 50 80 a.west.far.testns.svc.@",
            "_http._tcp.far.testns.svc.@ 5 A 172.0.0.1",
            "_http._tcp.far.testns.svc.@ 5 A 172.1.0.1",
            "_http._tcp.far.testns.svc.@ 5 SRV 0 50 80 a.east.far.testns.svc.@",
            "_http._tcp.far.testns.svc.@ 5 SRV 0 50 80 a.west.far.testns.svc.@",
            "a.east.far.testns.svc.@ 5 A 172.0.0.1",
            "a.east.far.testns.svc.@ 5 SRV 0 100 80 a.east.far.testns.svc.@",
            "a.west.far.testns.svc.@ 5 A 172.1.0.1",
            "a.west.far.testns.svc.@ 5 SRV 0 100 80 a.west.far.testns.svc.@",
            "svc1.testns.svc.@ 5 A 10.9.0.1",
            "svc1.testns.svc.@ 5 SRV 0 100 80 svc1.testns.svc.@",
            "_http._tcp.svc1.testns.svc.@ 5 A 10.9.0.1",
            "_http._tcp.svc1.testns.svc.@ 5 SRV 0 100 80 svc1.testns.svc.@",
            soa,
        ]
    );
}

/// A CNAME has its name for itself: secondaries take no zone where it has not (RFC 1034 §3.6.2).
#[test]
fn a_zone_of_external_addresses_is_sent_as_it_is_answered() {
    let web = [port("http", Transport::Tcp, 80)];
    let external = |service: &str, names| NameChange::External {
        namespace: "testns".into(),
        service: service.into(),
        names: Some(Arc::new(names)),
    };
    let own = |address: &str| ServiceNames::cluster_ip([address.parse::<IpAddr>().unwrap()], web.to_vec(), Vec::new());
    let targets = Box::new(["lb.example.net".parse().unwrap()]);
    let changes = [
        put("testns", "svc1", own("10.0.0.1")),
        put("testns", "web", ServiceNames::cluster_ip([], [], vec![endpoint("ep", "172.0.0.2", &web)])),
        put("testns", "hdls", ServiceNames::headless(vec![endpoint("db-0", "172.0.0.1", &web)])),
        external("svc1", own("192.0.2.1")),
        external("named", ServiceNames::Hosts { targets, ports: Arc::new(web.clone()) }),
    ];
    let table = Arc::new(NameTable::default().patched(changes, 9).patched([put("other", "x", own("10.0.0.9"))], 11));
    let sent = |has_endpoints: bool, has: Option<u32>, compatibility: DnsCompatibility| {
        let external = crate::answer::ExternalZones {
            zones: vec!["example.org".parse().unwrap()],
            reverse: Vec::new(),
            apex: "dns".into(),
            ttl: 60,
            has_endpoints,
            fallthrough: crate::answer::Fallthrough::Nothing,
        };
        let settings = ZoneSettings { external: Some(Box::new(external)), compatibility, ..ZoneSettings::default() };
        let records = records(messages_of(&settings, &table, "example.org.", has).unwrap());
        records.iter().map(|record| text(record).replace("example.org.", "@")).collect::<Vec<_>>()
    };
    let all = |serial: u32, more: &[&str]| -> Vec<String> {
        let serial = (1 << 31) + serial;
        let soa = format!("@ 60 SOA ns1.dns.@ hostmaster.dns.@ {serial} 7200 1800 86400 60");
        let mut lines = vec![soa.clone(), "@ 60 NS ns1.dns.@".to_owned(), "ns1.dns.@ 60 A 10.0.0.99".to_owned()];
        lines.extend(more.iter().map(|line| (*line).to_owned()));
        lines.push(soa);
        lines
    };
    let named =
        ["named.testns.@ 60 CNAME lb.example.net.", "_http._tcp.named.testns.@ 60 SRV 0 100 80 lb.example.net."];
    let svc1 = [
        "svc1.testns.@ 60 A 192.0.2.1",
        "svc1.testns.@ 60 SRV 0 100 80 svc1.testns.@",
        "_http._tcp.svc1.testns.@ 60 A 192.0.2.1",
        "_http._tcp.svc1.testns.@ 60 SRV 0 100 80 svc1.testns.@",
    ];
    let hdls = [
        "hdls.testns.@ 60 A 172.0.0.1",
        "hdls.testns.@ 60 SRV 0 100 80 db-0.hdls.testns.@",
        "_http._tcp.hdls.testns.@ 60 A 172.0.0.1",
        "_http._tcp.hdls.testns.@ 60 SRV 0 100 80 db-0.hdls.testns.@",
        "db-0.hdls.testns.@ 60 A 172.0.0.1",
        "db-0.hdls.testns.@ 60 SRV 0 100 80 db-0.hdls.testns.@",
    ];
    let web = ["ep.web.testns.@ 60 A 172.0.0.2", "ep.web.testns.@ 60 SRV 0 100 80 ep.web.testns.@"];
    let ours = DnsCompatibility::Standard;
    assert_eq!(sent(false, None, ours), all(11, &[&named[..], &svc1].concat()));
    assert_eq!(sent(true, None, ours), all(11, &[&hdls[..], &named, &svc1, &web].concat()));
    assert_eq!(sent(false, None, DnsCompatibility::CoreDns), sent(false, None, ours));
    let known = |serial: u32| sent(true, Some((1 << 31) + serial), ours).len();
    assert_eq!([known(11), known(9)], [1, 3 + 6 + 2 + 4 + 2 + 1]);
}
