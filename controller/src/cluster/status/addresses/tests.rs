use super::*;
use crate::cluster::api_server::{Answer, ApiServer, Rule, Verb, until};
use serde_json::{Value, json};

fn received(object: &Value) -> Received {
    serde_json::from_value(object.clone()).expect("an object")
}

fn service(spec: &Value, status: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "lb", "namespace": "edge"},
           "spec": spec, "status": status})
}

fn node(name: &str, addresses: &Value, ready: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name},
           "status": {"addresses": addresses, "conditions": [{"type": "Ready", "status": ready}]}})
}

fn texts(addresses: &[Address]) -> Vec<String> {
    addresses.iter().map(Address::to_string).collect()
}

async fn until_published(published: &watch::Receiver<Option<Arc<[Address]>>>, expected: &[&str]) {
    until(published.clone(), |addresses| addresses.as_ref().is_some_and(|addresses| texts(addresses) == expected))
        .await;
}

async fn start(server: &ApiServer, published: PublishedAddresses) -> watch::Receiver<Option<Arc<[Address]>>> {
    let (sender, receiver) = watch::channel(None);
    tokio::spawn(follow_addresses(server.clients().await, published, sender, std::future::pending()));
    receiver
}

fn lb() -> PublishedAddresses {
    PublishedAddresses::Service(ObjectName { namespace: "edge".into(), name: "lb".into() })
}

#[test]
fn a_service_has_addresses_in_an_order_of_preference() {
    let balancer = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}, {"hostname": "lb.example.com"}]}});
    let own = json!({"clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1", "fd00::1"]});
    let external = json!({"clusterIP": "10.96.0.1", "externalIPs": ["198.51.100.7"]});
    for (spec, status, expected) in [
        (&external, &balancer, &["192.0.2.1", "lb.example.com"][..]),
        (&external, &json!({}), &["198.51.100.7"]),
        (&own, &json!({"loadBalancer": {}}), &["10.96.0.1", "fd00::1"]),
        (&json!({"clusterIP": "10.96.0.1"}), &json!(null), &["10.96.0.1"]),
        (&json!({"type": "LoadBalancer", "clusterIP": "10.96.0.1"}), &json!({}), &[]),
        (&json!({"clusterIP": "None", "clusterIPs": ["None"]}), &json!({}), &[]),
        (&json!({"type": "ExternalName", "externalName": "edge.example"}), &json!({}), &["edge.example"]),
        (&json!({"clusterIP": "10.96.0.1", "externalIPs": ["what ever"]}), &json!({}), &["10.96.0.1"]),
        (&json!(null), &json!(null), &[]),
    ] {
        let offer = read_service(&received(&service(spec, status))).expect("a Service");
        assert_eq!(texts(&offer.preferred), expected, "{spec} {status}");
    }
}

#[test]
fn nodes_have_external_addresses_or_internal_ones() {
    let internal =
        |address: &str| json!([{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": "n"}]);
    let external =
        json!([{"type": "InternalIP", "address": "10.0.0.3"}, {"type": "ExternalIP", "address": "192.0.2.3"}]);
    let mut excluded = node("x", &external, "True");
    excluded["metadata"]["labels"] = json!({EXCLUDED: ""});
    let ready = |name: &str, address: &str| node(name, &internal(address), "True");
    for (nodes, expected) in [
        (vec![ready("a", "10.0.0.1"), ready("b", "10.0.0.2")], &["10.0.0.1", "10.0.0.2"][..]),
        (vec![ready("a", "10.0.0.1"), node("b", &internal("10.0.0.2"), "Unknown")], &["10.0.0.1"]),
        (vec![ready("a", "10.0.0.1"), node("c", &external, "True")], &["192.0.2.3"]),
        // Not all at once to the inside, because the one with an address outside restarts.
        (vec![ready("a", "10.0.0.1"), node("c", &external, "False")], &[]),
        (vec![ready("a", "10.0.0.1"), excluded], &["10.0.0.1"]),
    ] {
        let mut offers = Offers::default();
        for node in &nodes {
            offers.put(&received(node), read_node);
        }
        assert_eq!(texts(&offers.addresses()), expected, "{nodes:?}");
    }
}

#[tokio::test]
async fn fixed_addresses_are_there_at_once_and_sorted() {
    let server = ApiServer::start().await;
    let fixed = ["lb.example", "10.0.0.2", "10.0.0.1", "10.0.0.2"].map(|text| text.parse().expect("an address"));
    let published = start(&server, PublishedAddresses::Fixed(fixed.into())).await;
    until_published(&published, &["10.0.0.1", "10.0.0.2", "lb.example"]).await;
    assert!(server.log().is_empty());
}

#[tokio::test]
async fn a_service_is_followed_and_keeps_its_last_addresses() {
    let server = ApiServer::start().await;
    let published = start(&server, lb()).await;
    server.until_log(|log| !log.is_empty()).await;
    let ip = |ip: &str| json!({"loadBalancer": {"ingress": [{"ip": ip}]}});
    server.put(service(&json!({}), &ip("192.0.2.1")));
    until_published(&published, &["192.0.2.1"]).await;
    server.put(service(&json!({}), &ip("192.0.2.2")));
    until_published(&published, &["192.0.2.2"]).await;
    // Neither without addresses nor without the Service is anything taken back.
    server.put(service(&json!({"clusterIP": "None"}), &json!({})));
    server.delete("Service", "edge", "lb");
    server.put(service(&json!({}), &ip("192.0.2.3")));
    until(published.clone(), |addresses| {
        let addresses = addresses.as_deref().map(texts).unwrap_or_default();
        assert!(addresses == ["192.0.2.2"] || addresses == ["192.0.2.3"], "{addresses:?}");
        addresses == ["192.0.2.3"]
    })
    .await;
    assert!(server.log().iter().all(|request| request.path == "/api/v1/namespaces/edge/services"));
    assert!(server.log().iter().all(|request| request.query.contains("metadata.name%3Dlb")), "no other Service");
}

#[tokio::test]
async fn nodes_are_followed_through_an_outage() {
    let server = ApiServer::start().await;
    let internal = |address: &str| json!([{"type": "InternalIP", "address": address}]);
    server.put(node("a", &internal("10.0.0.1"), "True"));
    server.put(node("b", &internal("10.0.0.2"), "True"));
    let published = start(&server, PublishedAddresses::Nodes).await;
    until_published(&published, &["10.0.0.1", "10.0.0.2"]).await;
    server.delete("Node", "", "b");
    until_published(&published, &["10.0.0.1"]).await;
    server.down().await;
    server.put(node("c", &internal("10.0.0.3"), "True"));
    server.delete("Node", "", "a");
    server.compact();
    server.up().await;
    until_published(&published, &["10.0.0.3"]).await;
}

#[tokio::test]
async fn a_node_that_cannot_be_read_keeps_its_addresses() {
    let server = ApiServer::start().await;
    server.put(node("a", &json!([{"type": "InternalIP", "address": "10.0.0.1"}]), "True"));
    let published = start(&server, PublishedAddresses::Nodes).await;
    until_published(&published, &["10.0.0.1"]).await;
    server.rule(Rule::new("nodes", Answer::Undecodable("a")));
    server.down().await;
    server.put(node("b", &json!([{"type": "InternalIP", "address": "10.0.0.2"}]), "True"));
    server.compact();
    server.up().await;
    until_published(&published, &["10.0.0.1", "10.0.0.2"]).await;
}

#[tokio::test]
async fn a_failure_passes() {
    let server = ApiServer::start().await;
    server.put(node("a", &json!([{"type": "InternalIP", "address": "10.0.0.1"}]), "True"));
    server.rule(Rule::new("nodes", Answer::Status(500)).verb(Verb::Watch).times(1));
    let published = start(&server, PublishedAddresses::Nodes).await;
    until_published(&published, &["10.0.0.1"]).await;
}
