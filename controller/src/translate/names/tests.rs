use super::*;
use crate::Object;
use config::{DomainName, ObjectRef};
use jiff::Timestamp;
use proptest::prelude::*;
use std::collections::VecDeque;
use std::net::IpAddr;

fn object(api_version: &str, kind: &str, yaml: &str) -> Object {
    let value: serde_json::Value = serde_saphyr::from_str(yaml).unwrap();
    Object::read(api_version, kind, value).unwrap().unwrap()
}

/// The version that a serial is of.
fn version(serial: u32) -> u32 {
    serial.wrapping_sub(1 << 31)
}

fn service(name: &str, spec: &str) -> Object {
    object("v1", "Service", &format!("metadata: {{namespace: shop, name: {name}}}\n{spec}"))
}

/// A slice of `web`, or of another Service.
fn slice(name: &str, service: &str, rest: &str) -> Object {
    let labels = format!("{{kubernetes.io/service-name: {service}}}");
    let metadata = format!("{{namespace: shop, name: {name}, labels: {labels}}}");
    object("discovery.k8s.io/v1", "EndpointSlice", &format!("metadata: {metadata}\naddressType: IPv4\n{rest}"))
}

fn versioned(mut object: Object, version: &str) -> Object {
    object.metadata_mut().resource_version = Some(version.to_owned());
    object
}

fn objects(list: Vec<Object>) -> Objects {
    let mut objects = Objects::new(None, Timestamp::UNIX_EPOCH);
    for object in list {
        assert!(objects.apply(object));
    }
    objects
}

fn names(list: Vec<Object>) -> serde_json::Value {
    let objects = objects(list);
    let mut names = Names::new(DomainName::cluster_local());
    names.update(&objects.everything(), &objects);
    serde_json::to_value(&*names.table).unwrap()["namespaces"]["shop"].clone()
}

const TWO_ENDPOINTS: &str = "ports: [{name: http, port: 8080}, {name: any}]\nendpoints:\n\
    - {addresses: [172.0.0.1, 172.0.0.2], hostname: Db-0, zone: EU-1a}\n\
    - {addresses: ['::ffff:172.0.0.3'], conditions: {ready: true}, targetRef: {kind: Pod, name: Web-x}}\n\
    - {addresses: [172.0.0.4], conditions: {ready: false, serving: true}}";

#[test]
fn a_cluster_ip_has_the_services_ports_and_its_endpoints_have_their_own() {
    let spec = "spec: {clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1, '10::1'], ports: [{name: http, port: 80, targetPort: 8080}, {name: any, port: 53, protocol: UDP}]}";
    assert_eq!(
        names(vec![service("web", spec), slice("web-1", "web", TWO_ENDPOINTS)]),
        serde_json::json!({"web": {
            "addresses": ["10.0.0.1", "10::1"],
            "ports": ["http/tcp/80", "any/udp/53"],
            "endpoints": [
                {"address": "172.0.0.1", "name": "db-0", "ports": ["http/tcp/8080"], "topology": "eu-1a"},
                {"address": "172.0.0.2", "name": "db-0", "ports": ["http/tcp/8080"], "topology": "eu-1a"},
                {"address": "172.0.0.3", "name": "172-0-0-3", "ports": ["http/tcp/8080"], "pod": "web-x"},
            ],
        }})
    );
}

#[test]
fn only_pods_without_a_host_name_and_with_a_name_that_is_a_label_are_known_as_pods() {
    let pod = |more: &str| format!("endpoints: [{{addresses: [172.0.0.1], {more}}}]");
    let long = "x".repeat(64);
    for (more, expected) in [
        ("targetRef: {kind: Pod, name: web-1}".to_owned(), Some("web-1")),
        ("hostname: db-0, targetRef: {kind: Pod, name: web-1}".to_owned(), None),
        ("targetRef: {kind: Node, name: web-1}".to_owned(), None),
        ("targetRef: {kind: Pod, name: web.1}".to_owned(), None),
        (format!("targetRef: {{kind: Pod, name: {long}}}"), None),
    ] {
        let web = service("web", "spec: {clusterIP: None, ports: [{port: 80}]}");
        let names = names(vec![web, slice("web-1", "web", &pod(&more))]);
        assert_eq!(names["web"]["endpoints"][0]["pod"].as_str(), expected, "{more}");
    }
}

#[test]
fn the_slices_say_which_endpoints_are_ready_also_where_the_service_publishes_all() {
    for spec in ["", ", publishNotReadyAddresses: true"] {
        let web = service("web", &format!("spec: {{clusterIP: None, ports: [{{port: 80}}]{spec}}}"));
        let names = names(vec![web, slice("web-1", "web", TWO_ENDPOINTS)]);
        assert_eq!(names["web"]["endpoints"].as_array().unwrap().len(), 3, "{spec}");
    }
}

#[test]
fn a_service_without_addresses_stands_for_its_endpoints() {
    let written = "spec: {ports: [{name: http, port: 80}]}";
    let annotated = object(
        "v1",
        "Service",
        "metadata: {namespace: shop, name: api, annotations: {tidegate.dev/endpoints: '127.0.0.1:3000,[::1]:3001'}}\n\
         spec: {ports: [{name: http, port: 80}]}",
    );
    assert_eq!(
        names(vec![service("web", written), annotated]),
        serde_json::json!({
            "web": {"endpoints": []},
            "api": {"endpoints": [
                {"address": "127.0.0.1", "name": "127-0-0-1", "ports": ["http/tcp/3000"]},
                {"address": "::1", "name": "--1", "ports": ["http/tcp/3001"]},
            ]},
        })
    );
}

#[test]
fn an_alias_leads_to_a_name() {
    let alias = |name, target| service(name, &format!("spec: {{type: ExternalName, externalName: '{target}'}}"));
    assert_eq!(
        names(vec![alias("out", "Ext.Interwebs.test."), alias("ip", "192.0.2.1"), alias("bad", "a..b")]),
        serde_json::json!({"out": {"target": "ext.interwebs.test"}})
    );
}

#[test]
fn a_change_makes_one_service_new_and_no_change_makes_no_table() {
    let spec = "spec: {clusterIP: None, ports: [{port: 80}]}";
    let mut objects = objects(vec![
        service("web", spec),
        service("api", "spec: {clusterIP: 10.0.0.2, ports: [{port: 80}]}"),
        slice("web-1", "web", TWO_ENDPOINTS),
        object("v1", "Namespace", "metadata: {name: empty}"),
    ]);
    let zone: DomainName = "k8s.example".parse().unwrap();
    let mut names = Names::new(zone.clone());
    let mut update = |objects: &mut Objects| {
        let changes = objects.take_changes();
        names.update(&changes, objects);
        Arc::clone(&names.table)
    };
    let first = update(&mut objects);
    assert_eq!((first.zone(), first.has_namespace("empty")), (&zone, true));
    let address: IpAddr = "172.0.0.9".parse().unwrap();
    assert!(first.owners(address).is_empty());

    assert!(objects.apply(slice("web-1", "web", "endpoints: [{addresses: [172.0.0.9]}]")));
    let second = update(&mut objects);
    assert!(Arc::ptr_eq(first.find("shop", "api").unwrap(), second.find("shop", "api").unwrap()));
    assert_eq!(second.owners(address).len(), 1);
    assert_ne!(first.serial(), second.serial());

    // A slice of no Service that is known.
    assert!(objects.apply(slice("other-1", "other", TWO_ENDPOINTS)));
    assert!(Arc::ptr_eq(&second, &update(&mut objects)));

    for (kind, namespace, name) in [(Kind::Service, "shop", "web"), (Kind::Namespace, "", "empty")] {
        assert!(objects.delete(&ObjectRef::new(kind, namespace, name)));
    }
    let third = update(&mut objects);
    assert!(third.find("shop", "web").is_none() && !third.has_namespace("empty") && third.has_namespace("shop"));
    let mut from_nothing = Names::new(zone);
    from_nothing.update(&objects.everything(), &objects);
    assert_eq!(*third, *from_nothing.table);
}

#[test]
fn the_serial_rises_with_every_change_of_a_name_and_with_nothing_else() {
    let web = "spec: {clusterIP: None, ports: [{port: 80}]}";
    let mut objects = objects(vec![versioned(service("web", web), "100")]);
    let mut names = Names::new(DomainName::cluster_local());
    let mut serial = |objects: &mut Objects| {
        let changes = objects.take_changes();
        names.update(&changes, objects);
        version(names.table.serial())
    };
    assert_eq!(serial(&mut objects), 100);
    // Kinds that names are not made of, and changes that change no name.
    let ingress =
        "metadata: {namespace: shop, name: web}\nspec: {defaultBackend: {service: {name: web, port: {number: 80}}}}";
    objects.apply(versioned(object("networking.k8s.io/v1", "Ingress", ingress), "200"));
    objects.apply(versioned(object("v1", "Secret", "metadata: {namespace: shop, name: s}"), "201"));
    assert_eq!(serial(&mut objects), 100);
    // Where nobody says the version of an end, what follows it may have the next one.
    objects.delete(&ObjectRef::new(Kind::Service, "shop", "web"));
    assert_eq!(serial(&mut objects), 101);
    objects.apply(versioned(service("api", web), "101"));
    assert_eq!(serial(&mut objects), 102);
    // Watches of two kinds do not keep step.
    objects.apply(versioned(slice("api-1", "api", TWO_ENDPOINTS), "90"));
    assert_eq!(serial(&mut objects), 103);
    objects.apply(versioned(object("v1", "Namespace", "metadata: {name: empty}"), "500"));
    assert_eq!(serial(&mut objects), 500);
    // A watch says it, and a list; that nothing is new in it changes nothing.
    objects.delete(&ObjectRef::new(Kind::Namespace, "", "empty"));
    objects.reach(510);
    assert_eq!(serial(&mut objects), 510);
    objects.reach(520);
    assert_eq!(serial(&mut objects), 510);
}

#[test]
fn a_pod_has_the_addresses_that_it_has_now() {
    let pod =
        |status: &str| object("v1", "Pod", &format!("metadata: {{namespace: shop, name: web}}\nstatus: {status}"));
    let mut objects = objects(vec![pod("{podIPs: [{ip: 10.0.0.1}, {ip: 'fd00::1'}]}")]);
    let mut names = Names::new(DomainName::cluster_local());
    let mut told = |objects: &mut Objects| {
        let changes = objects.take_changes();
        assert!(changes.objects.is_empty(), "Pods have no status");
        names.update(&changes, objects);
        let addresses = ["10.0.0.1", "10.0.0.2", "fd00::1"].into_iter();
        let has = |address: &&str| names.table.has_pod("shop", address.parse().expect("an address"));
        (addresses.filter(has).collect::<Vec<_>>(), version(names.table.serial()))
    };
    assert_eq!(told(&mut objects), (vec!["10.0.0.1", "fd00::1"], 1));
    assert!(!objects.apply(pod("{podIPs: [{ip: 'fd00::1'}, {ip: 10.0.0.1}], phase: Running}")), "as before");
    assert_eq!(told(&mut objects).1, 1);
    // What is lost and got back before anybody looked is there.
    assert!(objects.apply(pod("{}")) && objects.apply(pod("{podIPs: [{ip: 10.0.0.2}, {ip: 'fd00::1'}]}")));
    assert_eq!(told(&mut objects).0, ["10.0.0.2", "fd00::1"]);
    assert!(objects.delete(&ObjectRef::new(Kind::Pod, "shop", "web")) && objects.has_changes());
    assert_eq!(told(&mut objects).0, [""; 0]);
    assert!(!objects.delete(&ObjectRef::new(Kind::Pod, "shop", "web")));
}

fn import(name: &str, spec: &str) -> Object {
    let text = format!("metadata: {{namespace: shop, name: {name}}}\nspec: {spec}");
    object("multicluster.x-k8s.io/v1beta1", "ServiceImport", &text)
}

/// A slice behind the import `web`, with more labels.
fn import_slice(name: &str, labels: &str, rest: &str) -> Object {
    let labels = format!("{{multicluster.kubernetes.io/service-name: web, {labels}}}");
    let metadata = format!("{{namespace: shop, name: {name}, labels: {labels}}}");
    object("discovery.k8s.io/v1", "EndpointSlice", &format!("metadata: {metadata}\naddressType: IPv4\n{rest}"))
}

/// The names of Services of one cluster, and those of several.
fn both(list: Vec<Object>) -> [serde_json::Value; 2] {
    let objects = objects(list);
    let mut names = Names::new(DomainName::cluster_local());
    names.update(&objects.everything(), &objects);
    let table = serde_json::to_value(&*names.table).unwrap();
    [&table["namespaces"]["shop"], &table["imports"]["shop"]].map(Clone::clone)
}

const EAST: &str = "multicluster.kubernetes.io/source-cluster: East";

#[test]
fn a_headless_import_stands_for_the_ready_endpoints_of_all_clusters() {
    let ports = "ports: [{name: http, port: 8080}, {name: any}]\n";
    let east =
        "endpoints: [{addresses: [172.0.0.1], hostname: Db-0}, {addresses: [172.0.0.2], conditions: {ready: false}}]";
    let west = "endpoints: [{addresses: [172.1.0.1], hostname: a.b}, {addresses: [172.1.0.2], targetRef: {kind: Pod, name: web-x}}]";
    let west_label = "multicluster.kubernetes.io/source-cluster: west";
    let names = both(vec![
        import("web", "{type: Headless, ports: [{name: any, port: 9}]}"),
        import_slice("web-east", EAST, &format!("{ports}{east}")),
        import_slice("web-west", west_label, &format!("{ports}{west}")),
    ]);
    let ports = serde_json::json!(["http/tcp/8080", "any/tcp/9"]);
    let expected = serde_json::json!({"web": {"endpoints": [
        {"address": "172.0.0.1", "name": "db-0.east", "ports": ports},
        {"address": "172.1.0.1", "name": "172-1-0-1.west", "ports": ports},
        {"address": "172.1.0.2", "name": "172-1-0-2.west", "ports": ports, "pod": "web-x.west"},
    ]}});
    assert_eq!(names, [serde_json::Value::Null, expected]);
}

#[test]
fn an_import_and_a_service_of_the_same_name_share_no_slice() {
    let at = |address: &str| format!("endpoints: [{{addresses: [{address}]}}]");
    let [local, imported] = both(vec![
        service("web", "spec: {clusterIP: None, ports: [{port: 80}]}"),
        service("derived", "spec: {clusterIP: 10.0.0.9, ports: [{port: 80}]}"),
        import("web", "{type: Headless, ports: []}"),
        slice("web-own", "web", &at("172.0.0.1")),
        import_slice("web-east", EAST, &at("172.0.0.2")),
        // It is behind a Service of this cluster too, which has the address of several clusters.
        import_slice("web-both", &format!("{EAST}, kubernetes.io/service-name: derived"), &at("172.0.0.3")),
    ]);
    let addresses = |names: &serde_json::Value| -> Vec<String> {
        let endpoints = names["endpoints"].as_array().unwrap();
        endpoints.iter().map(|endpoint| endpoint["address"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(addresses(&local["web"]), ["172.0.0.1"]);
    assert_eq!(addresses(&local["derived"]), ["172.0.0.3"]);
    assert_eq!(addresses(&imported["web"]), ["172.0.0.2", "172.0.0.3"]);
}

#[test]
fn an_import_with_an_address_has_its_ports_and_no_endpoints() {
    let spec = "{type: ClusterSetIP, ips: [10.9.0.1, 'fd00::9', 10.9.0.1], ports: [{name: Http, port: 80}, {port: 53, protocol: UDP}]}";
    let [_, names] =
        both(vec![import("web", spec), import_slice("web-east", EAST, "endpoints: [{addresses: [172.0.0.1]}]")]);
    let expected =
        serde_json::json!({"web": {"addresses": ["10.9.0.1", "fd00::9"], "ports": ["http/tcp/80", "udp/53"]}});
    assert_eq!(names, expected);
}

#[test]
fn an_import_of_which_nothing_is_known_has_no_names() {
    for spec in [
        "{type: ClusterSetIP, ports: []}",
        "{type: ClusterSetIP, ips: [x], ports: []}",
        "{type: None, ips: [10.9.0.1]}",
        "{}",
    ] {
        let [_, names] = both(vec![import("web", spec)]);
        assert_eq!(names, serde_json::Value::Null, "{spec}");
    }
}

#[test]
fn imports_are_followed() {
    let mut objects = objects(vec![versioned(service("api", "spec: {clusterIP: 10.0.0.2, ports: [{port: 80}]}"), "7")]);
    let mut names = Names::new(DomainName::cluster_local());
    let mut update = |objects: &mut Objects| {
        names.update(&objects.take_changes(), objects);
        Arc::clone(&names.table)
    };
    let addresses = |table: &NameTable| -> Vec<_> {
        let found = table.imports().find("shop", "web").map(|names| names.endpoints().to_vec());
        found.into_iter().flatten().map(|endpoint| endpoint.address.to_string()).collect()
    };
    let at = |address: &str| import_slice("web-east", EAST, &format!("endpoints: [{{addresses: [{address}]}}]"));
    let first = update(&mut objects);
    // A slice that comes before what it is behind.
    objects.apply(versioned(at("172.0.0.1"), "8"));
    assert!(Arc::ptr_eq(&first, &update(&mut objects)));
    objects.apply(versioned(import("web", "{type: Headless, ports: []}"), "9"));
    let second = update(&mut objects);
    assert_eq!((addresses(&second), version(second.serial())), (vec!["172.0.0.1".to_owned()], 9));
    objects.apply(versioned(service("api", "spec: {clusterIP: 10.0.0.3, ports: [{port: 80}]}"), "10"));
    let third = update(&mut objects);
    assert_eq!((addresses(&third), version(third.serial())), (vec!["172.0.0.1".to_owned()], 10));
    objects.apply(versioned(at("172.0.0.2"), "11"));
    assert_eq!(addresses(&update(&mut objects)), ["172.0.0.2"]);
    assert!(objects.delete(&ObjectRef::new(Kind::EndpointSlice, "shop", "web-east")));
    assert_eq!(addresses(&update(&mut objects)), [""; 0]);
    assert!(objects.delete(&ObjectRef::new(Kind::ServiceImport, "shop", "web")));
    let last = update(&mut objects);
    assert!(last.imports().find("shop", "web").is_none());
    assert_eq!(version(last.serial()), 13);
}

/// The external names of Services.
fn externals(list: Vec<Object>) -> serde_json::Value {
    let objects = objects(list);
    let mut names = Names::new(DomainName::cluster_local());
    names.update(&objects.everything(), &objects);
    serde_json::to_value(&*names.table).unwrap()["externals"]["shop"].clone()
}

#[test]
fn external_addresses_are_those_of_the_service_and_of_its_load_balancers() {
    let ports = "ports: [{name: Http, port: 80, targetPort: 8080}, {port: 53, protocol: UDP}]";
    let balanced = |name: &str, spec: &str, ingress: &str| {
        service(name, &format!("spec: {{{spec}{ports}}}\nstatus: {{loadBalancer: {{ingress: [{ingress}]}}}}"))
    };
    let names = externals(vec![
        balanced(
            "both",
            "clusterIP: None, externalIPs: [192.0.2.1, '2001:db8::1', 192.0.2.1], ",
            "{ip: 192.0.2.2, hostname: not.told}, {ip: 192.0.2.1}, {ip: '::ffff:192.0.2.3'}",
        ),
        balanced("named", "clusterIP: 10.0.0.2, ", "{hostname: LB.example.net}, {hostname: b.example.net}, {}"),
        // There is no record beside a CNAME.
        balanced("mixed", "", "{hostname: lb.example.net}, {ip: 192.0.2.4}"),
        balanced("wrong", "externalIPs: [x], ", "{ip: z}, {hostname: a..b}, {ip: '', hostname: ''}"),
        balanced("none", "", ""),
        service("internal", "spec: {clusterIP: 10.0.0.3, ports: [{port: 80}]}"),
    ]);
    let ports = serde_json::json!(["http/tcp/80", "udp/53"]);
    assert_eq!(
        names,
        serde_json::json!({
            "both": {"addresses": ["192.0.2.1", "2001:db8::1", "192.0.2.2", "192.0.2.3"], "ports": ports},
            "named": {"targets": ["lb.example.net", "b.example.net"], "ports": ports},
            "mixed": {"addresses": ["192.0.2.4"], "ports": ports},
        })
    );
}

#[test]
fn external_addresses_are_followed() {
    let at = |ingress: &str| {
        let status = format!("status: {{loadBalancer: {{ingress: [{ingress}]}}}}");
        service("web", &format!("spec: {{clusterIP: 10.0.0.1, ports: [{{port: 80}}]}}\n{status}"))
    };
    let mut objects = objects(vec![versioned(at(""), "7")]);
    let mut names = Names::new(DomainName::cluster_local());
    let mut update = |objects: &mut Objects| {
        names.update(&objects.take_changes(), objects);
        let table = Arc::clone(&names.table);
        let found = table.externals().find("shop", "web").map(|names| serde_json::to_value(&**names).unwrap());
        (found.map(|names| names["addresses"][0].clone()), version(table.serial()))
    };
    assert_eq!(update(&mut objects), (None, 7));
    assert!(objects.apply(versioned(at("{ip: 192.0.2.1}"), "8")));
    assert_eq!(update(&mut objects), (Some("192.0.2.1".into()), 8));
    assert!(objects.apply(versioned(at("{ip: 192.0.2.2}"), "9")));
    assert_eq!(update(&mut objects), (Some("192.0.2.2".into()), 9));
    // The cluster's own zone changes alone.
    assert!(objects.apply(versioned(slice("web-1", "web", TWO_ENDPOINTS), "10")));
    assert_eq!(update(&mut objects), (Some("192.0.2.2".into()), 10));
    assert!(objects.delete(&ObjectRef::new(Kind::Service, "shop", "web")));
    assert_eq!(update(&mut objects), (None, 11));
}

/// A Service or its slice is as of this version, or has ended.
#[derive(Debug, Clone, Copy)]
struct Event {
    is_slice: bool,
    service: u8,
    exists: bool,
    version: u8,
}

fn tell(objects: &mut Objects, Event { is_slice, service: number, exists, version }: Event) {
    let (name, text) = (format!("s{number}"), version.to_string());
    let object = match is_slice {
        false => service(&name, &format!("spec: {{clusterIP: 10.0.0.{version}, ports: [{{port: 80}}]}}")),
        true => slice(&name, &name, &format!("endpoints: [{{addresses: [172.0.0.{version}]}}]")),
    };
    if exists {
        objects.apply(versioned(object, &text));
    } else {
        let kind = if is_slice { Kind::EndpointSlice } else { Kind::Service };
        objects.delete(&ObjectRef::new(kind, "shop", name));
    }
}

/// The names after all events, those of each kind in their order; the serial has never gone back on the way.
fn replica(events: &[Event], slices_next: &[bool]) -> Result<(Names, Objects), TestCaseError> {
    let (mut slices, mut services): (VecDeque<Event>, VecDeque<Event>) =
        events.iter().partition(|event| event.is_slice);
    let (mut objects, mut names) = (objects(Vec::new()), Names::new(DomainName::cluster_local()));
    for is_slice in slices_next {
        let (first, second) = if *is_slice { (&mut slices, &mut services) } else { (&mut services, &mut slices) };
        let Some(event) = first.pop_front().or_else(|| second.pop_front()) else { break };
        tell(&mut objects, event);
        let before = Arc::clone(&names.table);
        names.update(&objects.take_changes(), &objects);
        let (old, new) = (before.serial(), names.table.serial());
        prop_assert_eq!(new > old, *before != *names.table, "{} then {} by {:?}", old, new, event);
        prop_assert!(new >= old);
    }
    Ok((names, objects))
}

proptest! {
    #[test]
    fn replicas_that_saw_events_in_other_orders_agree_after_the_next_change(
        events in prop::collection::vec((any::<bool>(), 0..3u8, any::<bool>()), 1..30),
        orders in [prop::collection::vec(any::<bool>(), 30), prop::collection::vec(any::<bool>(), 30)],
    ) {
        let event = |(index, (is_slice, service, exists))| Event { is_slice, service, exists, version: index as u8 + 100 };
        let events: Vec<_> = events.into_iter().enumerate().map(event).collect();
        let mut last = Vec::new();
        for order in orders {
            let (mut names, mut objects) = replica(&events, &order)?;
            // Other objects take versions too.
            objects.apply(versioned(object("v1", "Namespace", "metadata: {name: empty}"), "1000"));
            names.update(&objects.take_changes(), &objects);
            last.push(names.table);
        }
        prop_assert_eq!(&last[0], &last[1]);
        prop_assert_eq!([last[0].serial(), last[1].serial()].map(version), [1000, 1000]);
    }
}

#[test]
fn ports_that_are_refused_are_not_ports_that_are_missing() {
    let web = service("web", "spec: {clusterIP: None, ports: [{port: 80}]}");
    let names =
        names(vec![web, slice("web-1", "web", "ports: [{port: 70000}]\nendpoints: [{addresses: [172.0.0.1]}]")]);
    assert_eq!(names, serde_json::json!({"web": {"endpoints": [{"address": "172.0.0.1", "name": "172-0-0-1"}]}}));
}
