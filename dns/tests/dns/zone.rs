//! What the zone says, as tables: `tests/zone/*.txt` hold Services, questions and the records of the answers.

use config::{DnsCompatibility, EndpointGroup, EndpointName, NameChange, NameTable, PortName, ServiceNames, Transport};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tidegate_dns::{
    Answer, ExternalZones, Fallthrough, Name, PodNames, Question, Record, ReverseZones, ZoneSettings, answer,
};

/// A file:
/// ```text
/// service NAME.NAMESPACE ADDRESS... [PORT-NAME/]TRANSPORT/NUMBER...
/// headless NAME.NAMESPACE
/// external NAME.NAMESPACE TARGET
/// endpoint NAME.NAMESPACE HOST-NAME|-[/POD] ADDRESS[@TOPOLOGY-ZONE] PORT...
/// pod NAME.NAMESPACE ADDRESS...
/// namespace NAME
/// own ADDRESS:PORT
/// bound ADDRESS...
/// import-service, import-headless, import-endpoint: the same of several clusters, with HOST.CLUSTER or -.CLUSTER
/// external-service, external-host NAME.NAMESPACE HOST... PORT...: external addresses
/// k8s_external ZONE..., k8s_external_apex LABEL, k8s_external_ttl SECONDS, k8s_external_headless, k8s_external_reverse RANGE...,
/// k8s_external_fallthrough .|ZONE...
/// primary ZONE, multicluster ZONE..., noendpoints
/// zonal, endpoint_pod_names, pods insecure|verified, ttl SECONDS, zones NAME..., reverse RANGE..., fallthrough .|ZONE..., namespaces NAME..., namespace_labels,
/// ignore empty_service, compatibility coredns
/// ? NAME TYPE [CODE]
/// records of the answer section, in order, as zone-file text below $ORIGIN cluster.local.
/// ;; AUTHORITY and ;; ADDITIONAL start the other sections, ;; UPSTREAM NAME says who completes the answer
/// ```
#[derive(Default)]
struct File {
    services: BTreeMap<(String, String), Service>,
    imports: BTreeMap<(String, String), Service>,
    externals: BTreeMap<(String, String), Service>,
    namespaces: Vec<String>,
    pods: Vec<NameChange>,
    settings: ZoneSettings,
    own: Option<SocketAddr>,
    cases: Vec<Case>,
}

#[derive(Default)]
struct Service {
    is_headless: bool,
    target: Option<String>,
    hosts: Vec<String>,
    addresses: Vec<IpAddr>,
    ports: Vec<PortName>,
    endpoints: Vec<EndpointName>,
}

struct Case {
    line: usize,
    question: Question,
    expected: Vec<String>,
}

fn port(text: &str) -> PortName {
    let words: Vec<_> = text.split('/').collect();
    let (name, transport, number) = match words[..] {
        [name, transport, number] => (Some(Arc::from(name)), transport, number),
        [transport, number] => (None, transport, number),
        _ => panic!("not a port: {text}"),
    };
    let transport = [Transport::Tcp, Transport::Udp, Transport::Sctp]
        .into_iter()
        .find(|known| known.as_str() == transport)
        .unwrap_or_else(|| panic!("not a transport: {text}"));
    PortName { name, transport, number: number.parse().unwrap() }
}

fn left_to_others(zones: &[&str]) -> Fallthrough {
    match zones {
        ["."] => Fallthrough::Everything,
        zones => Fallthrough::Zones(zones.iter().map(|zone| tidegate_dns::Zone::parse(zone).unwrap()).collect()),
    }
}

impl File {
    fn read(text: &str) -> Self {
        let mut file =
            Self { settings: ZoneSettings { pods: PodNames::Disabled, ..ZoneSettings::default() }, ..Self::default() };
        for (index, line) in text.lines().enumerate() {
            let words: Vec<_> = line.split_whitespace().collect();
            match words[..] {
                [] => {}
                [comment, ..] if comment.starts_with('#') => {}
                ["?", name, kind, ref code @ ..] => {
                    let question =
                        Question { name: Name::from_ascii(name).unwrap(), record_type: kind.parse().unwrap() };
                    let code = code.first().copied().unwrap_or("NOERROR").to_owned();
                    file.cases.push(Case { line: index + 1, question, expected: vec![code] });
                }
                _ if !file.cases.is_empty() => {
                    let line = line.replace('"', "").split_whitespace().collect::<Vec<_>>().join(" ");
                    file.cases.last_mut().unwrap().expected.push(line);
                }
                _ => file.read_object(&words),
            }
        }
        file
    }

    fn read_object(&mut self, words: &[&str]) {
        match *words {
            ["namespace", name] => self.namespaces.push(name.to_owned()),
            ["own", address] => self.own = Some(address.parse().unwrap()),
            ["bound", ref addresses @ ..] => {
                self.settings.bound = addresses.iter().map(|address| address.parse().unwrap()).collect();
            }
            ["pods", "insecure"] => self.settings.pods = PodNames::Insecure,
            ["pods", "verified"] => self.settings.pods = PodNames::Verified,
            ["endpoint_pod_names"] => self.settings.names_pods = true,
            ["primary", zone] => self.settings.primary = Some(zone.parse().unwrap()),
            ["multicluster", ref zones @ ..] => {
                self.settings.multicluster = zones.iter().map(|zone| zone.parse().unwrap()).collect();
            }
            ["noendpoints"] => self.settings.hides_endpoints = true,
            ["zonal"] => self.settings.is_zonal = true,
            ["pod", name, ref addresses @ ..] => {
                let (name, namespace) = name.split_once('.').unwrap();
                self.pods.extend(addresses.iter().map(|address| NameChange::Pod {
                    namespace: namespace.into(),
                    pod: name.into(),
                    address: address.parse().unwrap(),
                    has_own_search: false,
                    exists: true,
                }));
            }
            ["zones", ref zones @ ..] => self.settings.zones = zones.iter().map(|zone| zone.parse().unwrap()).collect(),
            ["reverse", ref ranges @ ..] => {
                let ranges = ranges.iter().map(|range| range.parse().unwrap()).collect();
                self.settings.reverse = ReverseZones::Ranges(ranges);
            }
            ["fallthrough", ref zones @ ..] => self.settings.fallthrough = left_to_others(zones),
            [option, ref words @ ..] if option.starts_with("k8s_external") => self.read_external(option, words),
            ["namespaces", ref exposed @ ..] => {
                self.settings.namespaces = Some(exposed.iter().map(|name| Arc::from(*name)).collect());
            }
            ["namespace_labels"] => self.settings.only_declared = true,
            ["ignore", "empty_service"] => self.settings.hides_empty = true,
            ["compatibility", "coredns"] => self.settings.compatibility = DnsCompatibility::CoreDns,
            ["ttl", ttl] => self.settings.ttl = ttl.parse().unwrap(),
            [kind, name, ref rest @ ..] => self.read_service(kind, name, rest),
            _ => panic!("not an object: {words:?}"),
        }
    }

    fn read_external(&mut self, option: &str, words: &[&str]) {
        let none = ExternalZones {
            zones: Vec::new(),
            reverse: Vec::new(),
            apex: "dns".into(),
            ttl: 5,
            has_endpoints: false,
            fallthrough: Fallthrough::Nothing,
        };
        let external = self.settings.external.get_or_insert_with(|| Box::new(none));
        match (option, words) {
            ("k8s_external", zones) => external.zones = zones.iter().map(|zone| zone.parse().unwrap()).collect(),
            ("k8s_external_apex", [apex]) => external.apex = Arc::from(*apex),
            ("k8s_external_ttl", [ttl]) => external.ttl = ttl.parse().unwrap(),
            ("k8s_external_headless", []) => external.has_endpoints = true,
            ("k8s_external_reverse", ranges) => {
                external.reverse = ranges.iter().map(|range| range.parse().unwrap()).collect();
            }
            ("k8s_external_fallthrough", zones) => external.fallthrough = left_to_others(zones),
            _ => panic!("not an option: {option} {words:?}"),
        }
    }

    fn read_service(&mut self, kind: &str, name: &str, rest: &[&str]) {
        let (name, namespace) = name.split_once('.').unwrap();
        let (kind, services) = match (kind.strip_prefix("import-"), kind.strip_prefix("external-")) {
            (Some(kind), _) => (kind, &mut self.imports),
            (_, Some(kind)) => (kind, &mut self.externals),
            _ => (kind, &mut self.services),
        };
        let service = services.entry((namespace.to_owned(), name.to_owned())).or_default();
        match (kind, rest) {
            ("service", rest) => {
                let is_address = |word: &&&str| word.parse::<IpAddr>().is_ok();
                service.addresses.extend(rest.iter().filter(is_address).map(|word| word.parse::<IpAddr>().unwrap()));
                service.ports.extend(rest.iter().filter(|word| !is_address(word)).map(|word| port(word)));
            }
            ("host", rest) => {
                let (ports, hosts): (Vec<&str>, Vec<&str>) = rest.iter().partition(|word| word.contains('/'));
                service.hosts.extend(hosts.into_iter().map(str::to_owned));
                service.ports.extend(ports.into_iter().map(port));
            }
            ("headless", []) => service.is_headless = true,
            ("external", [target]) => service.target = Some((*target).to_owned()),
            ("endpoint", [host, address, ports @ ..]) => {
                let (host, pod) = host.split_once('/').unwrap_or((host, ""));
                let pod = Some(pod).filter(|pod| !pod.is_empty()).map(Arc::from);
                let (address, topology) = address.split_once('@').unwrap_or((address, ""));
                let topology = Some(topology).filter(|zone| !zone.is_empty()).map(Arc::from);
                let address: IpAddr = address.parse().unwrap();
                // Without a host name `-`, or `-.CLUSTER`.
                let name = match host.strip_prefix('-') {
                    Some(cluster) => EndpointName::dashed(address) + cluster,
                    None => host.to_owned(),
                };
                let ports = ports.iter().map(|word| port(word)).collect();
                let group = Arc::new(EndpointGroup { ports, topology });
                service.endpoints.push(EndpointName { address, name: name.into(), group, pod });
            }
            _ => panic!("not an object: {kind} {rest:?}"),
        }
    }

    fn table(&self) -> NameTable {
        let namespaces =
            self.namespaces.iter().map(|name| NameChange::Namespace { name: name.as_str().into(), exists: true });
        let names = |service: &Service| {
            let names = match &service.target {
                Some(target) => ServiceNames::External { target: target.parse().unwrap() },
                None if !service.hosts.is_empty() => ServiceNames::Hosts {
                    targets: service.hosts.iter().map(|host| host.parse().unwrap()).collect(),
                    ports: service.ports.as_slice().into(),
                },
                None if service.is_headless => ServiceNames::headless(service.endpoints.clone()),
                None => ServiceNames::cluster_ip(
                    service.addresses.clone(),
                    service.ports.clone(),
                    service.endpoints.clone(),
                ),
            };
            Some(Arc::new(names))
        };
        let named = |(namespace, name): &(String, String)| (namespace.as_str().into(), name.as_str().into());
        let services = self.services.iter().map(|(name, of)| {
            let (namespace, service) = named(name);
            NameChange::Service { namespace, service, names: names(of) }
        });
        let imports = self.imports.iter().map(|(name, of)| {
            let (namespace, service) = named(name);
            NameChange::Import { namespace, service, names: names(of) }
        });
        let externals = self.externals.iter().map(|(name, of)| {
            let (namespace, service) = named(name);
            NameChange::External { namespace, service, names: names(of) }
        });
        let changes = namespaces.chain(services).chain(imports).chain(externals).chain(self.pods.iter().cloned());
        NameTable::default().patched(changes.collect::<Vec<_>>(), 7)
    }
}

/// Zone-file text below `$ORIGIN cluster.local.`
fn record(record: &Record) -> String {
    let relative = |word: &str| match word.strip_suffix("cluster.local.") {
        Some("") => "@".to_owned(),
        Some(name) if name.ends_with('.') => name.trim_end_matches('.').to_owned(),
        _ => word.to_owned(),
    };
    record.to_string().split_whitespace().map(relative).collect::<Vec<_>>().join(" ")
}

fn render(answer: &Answer) -> Vec<String> {
    let (sections, upstream) = match answer {
        Answer::Zone(sections) => (sections, None),
        Answer::Alias { sections, target } => (sections, Some(target)),
        Answer::Outside => return vec!["NOERROR".to_owned(), ";; UPSTREAM".to_owned()],
    };
    let code = match sections.code.low() {
        0 => "NOERROR".to_owned(),
        3 => "NXDOMAIN".to_owned(),
        code => format!("code {code}"),
    };
    let mut lines = vec![code];
    lines.extend(sections.answers.iter().map(record));
    for (title, records) in [(";; AUTHORITY", &sections.authorities), (";; ADDITIONAL", &sections.additionals)] {
        if !records.is_empty() {
            lines.push(title.to_owned());
            lines.extend(records.iter().map(record));
        }
    }
    lines.extend(upstream.map(|target| format!(";; UPSTREAM {target}")));
    lines
}

fn holds(text: &str, least: usize) {
    let file = File::read(text);
    assert!(file.cases.len() >= least, "{} cases were read", file.cases.len());
    let table = file.table();
    for Case { line, question, expected } in &file.cases {
        let answer = answer(&table, question, &file.settings, file.own);
        assert_eq!(
            render(&answer).join("\n"),
            expected.join("\n"),
            "line {line}: {} {}",
            question.name,
            question.record_type
        );
    }
}

macro_rules! tables {
    ($($name:ident $least:literal)*) => {
        $(
            #[test]
            fn $name() {
                holds(include_str!(concat!("../zone/", stringify!($name), ".txt")), $least);
            }
        )*
    };
}

tables! {
    services 50
    aliases 17
    case_of_the_question 6
    apex 8
    name_servers_that_services_select 2
    name_servers_that_only_share_an_address 1
    name_servers_without_an_address 2
    name_servers_at_a_cluster_address 1
    several_zones 10
    reverse_ranges 14
    reverse_fallthrough 8
    fallthrough 6
    namespaces 12
    namespace_labels 12
    empty_services 9
    coredns 26
    endpoint_pod_names 10
    no_endpoints 17
    multicluster 42
    multicluster_alone 38
    topology 18
    topology_off 3
    pods_verified 10
    pods_insecure 10
    pods_disabled 4
    reverse 36
    reverse_imports 27
    reverse_imports_alone 5
    external 40
    external_headless 22
    external_options 14
    external_coredns 14
    external_name_server 8
    external_reverse 16
    external_reverse_alone 6
}
