use super::*;
use crate::Object;
use config::{DomainName, ObjectRef};
use jiff::Timestamp;
use std::net::IpAddr;

fn object(api_version: &str, kind: &str, yaml: &str) -> Object {
    let value: serde_json::Value = serde_saphyr::from_str(yaml).unwrap();
    Object::read(api_version, kind, value).unwrap().unwrap()
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

fn objects(list: Vec<Object>) -> Objects {
    let mut objects = Objects::new(None, Timestamp::UNIX_EPOCH);
    for object in list {
        assert!(objects.apply(object));
    }
    objects
}

fn names(list: Vec<Object>) -> serde_json::Value {
    let objects = objects(list);
    let table = update(&Arc::default(), &objects.everything(), &objects);
    serde_json::to_value(&*table).unwrap()["namespaces"]["shop"].clone()
}

const TWO_ENDPOINTS: &str = "ports: [{name: http, port: 8080}, {name: any}]\nendpoints:\n\
    - {addresses: [172.0.0.1, 172.0.0.2], hostname: Db-0}\n\
    - {addresses: ['::ffff:172.0.0.3'], conditions: {ready: true}}\n\
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
                {"address": "172.0.0.1", "name": "db-0", "ports": ["http/tcp/8080"]},
                {"address": "172.0.0.2", "name": "db-0", "ports": ["http/tcp/8080"]},
                {"address": "172.0.0.3", "name": "172-0-0-3", "ports": ["http/tcp/8080"]},
            ],
        }})
    );
}

#[test]
fn endpoints_that_are_not_ready_have_names_where_the_service_publishes_them() {
    for (spec, count) in [("", 3), (", publishNotReadyAddresses: true", 4)] {
        let web = service("web", &format!("spec: {{clusterIP: None, ports: [{{port: 80}}]{spec}}}"));
        let names = names(vec![web, slice("web-1", "web", TWO_ENDPOINTS)]);
        assert_eq!(names["web"]["endpoints"].as_array().unwrap().len(), count);
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
    let first = update(&Arc::new(NameTable::new(zone.clone())), &objects.take_changes(), &objects);
    assert_eq!((first.zone(), first.has_namespace("empty")), (&zone, true));
    let address: IpAddr = "172.0.0.9".parse().unwrap();
    assert!(first.owners(address).is_empty());

    assert!(objects.apply(slice("web-1", "web", "endpoints: [{addresses: [172.0.0.9]}]")));
    let second = update(&first, &objects.take_changes(), &objects);
    assert!(Arc::ptr_eq(first.find("shop", "api").unwrap(), second.find("shop", "api").unwrap()));
    assert_eq!(second.owners(address).len(), 1);
    assert_ne!(first.serial(), second.serial());

    // A slice of no Service that is known.
    assert!(objects.apply(slice("other-1", "other", TWO_ENDPOINTS)));
    assert!(Arc::ptr_eq(&second, &update(&second, &objects.take_changes(), &objects)));

    for (kind, namespace, name) in [(Kind::Service, "shop", "web"), (Kind::Namespace, "", "empty")] {
        assert!(objects.delete(&ObjectRef::new(kind, namespace, name)));
    }
    let third = update(&second, &objects.take_changes(), &objects);
    assert!(third.find("shop", "web").is_none() && !third.has_namespace("empty") && third.has_namespace("shop"));
    assert_eq!(*third, *update(&Arc::new(NameTable::new(zone)), &objects.everything(), &objects));
}
