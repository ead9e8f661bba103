//! Where names alone are served nothing else is asked for.

use super::*;
use crate::{NameObjects, Selection};

#[tokio::test]
async fn only_what_names_are_made_of_is_asked_for() {
    let watched = Watched { selection: Selection::Names(NameObjects::default()), ..Watched::default() };
    let objects = vec![service("web"), ingress("web", "a.example", Some("a")), secret("a")];
    let running = Running::watching(ApiServer::start().await, objects, watched).await;
    let reader = running.ready().await;
    assert!(reader.current().names.find("shop", "web").is_some());
    running.server.put(ingress("later", "b.example", Some("a")));
    running.server.put(service("api"));
    until_names(&running, |names| names.find("shop", "api").is_some()).await;
    let asked: BTreeSet<_> = running.server.log().iter().map(|request| request.resource).collect();
    assert_eq!(asked, ["endpointslices", "namespaces", "services"].into());
    assert!(running.statuses.borrow().iter().all(|(object, _)| object.kind == config::Kind::Service));
}

#[tokio::test]
async fn in_a_namespace_no_other_is_looked_into() {
    let watched = Watched {
        selection: Selection::Names(NameObjects::default()),
        namespaces: vec!["shop".into()],
        ..Watched::default()
    };
    let running = Running::watching(ApiServer::start().await, vec![service("web")], watched).await;
    running.ready().await;
    let paths: BTreeSet<_> = running.server.log().iter().map(|request| request.path.clone()).collect();
    let expected = [
        "/api/v1/namespaces",
        "/api/v1/namespaces/shop/services",
        "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices",
    ];
    assert_eq!(paths, expected.map(str::to_owned).into());
}

/// One that begins later, when what had the newest version is gone, too.
#[tokio::test]
async fn replicas_agree_on_the_serial_after_an_end_and_none_goes_back() {
    let watched = || Watched { selection: Selection::Names(NameObjects::default()), ..Watched::default() };
    let objects = ["a", "b", "c"].map(service).into();
    let first = Running::watching(ApiServer::start().await, objects, watched()).await;
    let second = Running::beside(&first.server, watched()).await;
    let serial = |running: &Running| running.reader.current().expect("ready").names.serial();
    // Serials begin behind the times that CoreDNS has for its own.
    let version = |running: &Running| u64::from(serial(running)) - (1 << 31);
    first.ready().await;
    second.ready().await;
    for gone in ["c", "b"] {
        first.server.delete("Service", "shop", gone);
        for running in [&first, &second] {
            until_names(running, |names| names.find("shop", gone).is_none()).await;
            assert_eq!(version(running), first.server.version(), "{gone}");
        }
    }
    // Of a kind that nobody here reads.
    first.server.put(secret("other"));
    let late = Running::beside(&first.server, watched()).await;
    late.ready().await;
    assert!(serial(&late) >= serial(&first));
    first.server.put(service("d"));
    for running in [&first, &second, &late] {
        until_names(running, |names| names.find("shop", "d").is_some()).await;
        assert_eq!(version(running), first.server.version());
    }
}

fn import(name: &str, spec: &Value) -> Value {
    object("multicluster.x-k8s.io/v1beta1", "ServiceImport", name, &json!({"spec": spec}))
}

fn imports_watched() -> Watched {
    let names = NameObjects { imports: true, ..NameObjects::default() };
    Watched { selection: Selection::Names(names), ..Watched::default() }
}

#[tokio::test]
async fn services_of_several_clusters_are_followed_where_they_are_of_use() {
    let slice = |address: &str| {
        let mut slice = slice(address, json!({}));
        slice["metadata"]["labels"] = json!({
            "multicluster.kubernetes.io/service-name": "db", "multicluster.kubernetes.io/source-cluster": "east",
        });
        slice
    };
    let objects = vec![import("db", &json!({"type": "Headless", "ports": []})), slice("10.0.0.1")];
    let running = Running::watching(ApiServer::start().await, objects, imports_watched()).await;
    let addresses = |names: &config::NameTable| -> Vec<String> {
        let found = names.imports().find("shop", "db").map(|names| names.endpoints().to_vec());
        found.into_iter().flatten().map(|endpoint| format!("{} {}", endpoint.name, endpoint.address)).collect()
    };
    let first = running.ready().await.current();
    assert_eq!(addresses(&first.names), ["10-0-0-1.east 10.0.0.1"]);
    running.server.put(slice("10.0.0.2"));
    until_names(&running, |names| addresses(names) == ["10-0-0-2.east 10.0.0.2"]).await;
    running.server.put(import("web", &json!({"type": "ClusterSetIP", "ips": ["10.9.0.1"], "ports": [{"port": 80}]})));
    until_names(&running, |names| names.imports().find("shop", "web").is_some()).await;
    running.server.delete("ServiceImport", "shop", "db");
    until_names(&running, |names| names.imports().find("shop", "db").is_none()).await;
}

#[tokio::test]
async fn a_cluster_without_services_of_several_clusters_is_ready_all_the_same() {
    let server = ApiServer::start().await;
    server.rule(Rule::new("serviceimports", Answer::Status(404)));
    let running = Running::watching(server, vec![service("web")], imports_watched()).await;
    let first = running.ready().await.current();
    assert!(first.names.find("shop", "web").is_some());
    let progress = running.progress.borrow();
    assert!(progress.is_connected() && progress.waits().is_none());
    assert!(progress.counts().get("ServiceImport").is_none_or(|counts| counts.faults == 0), "{progress:?}");
}

#[tokio::test]
async fn services_of_several_clusters_that_may_not_be_read_are_waited_for() {
    let server = ApiServer::start().await;
    server.rule(Rule::new("serviceimports", Answer::Status(403)));
    let running = Running::watching(server, vec![service("web")], imports_watched()).await;
    running.until_progress(|progress| progress.counts().contains_key("ServiceImport")).await;
    let waits = running.progress.borrow().waits().expect("it waits");
    assert!(waits.contains("ServiceImport (told to answer 403"), "{waits}");
}

fn pod(name: &str, labels: &Value, status: &Value) -> Value {
    let mut pod = object("v1", "Pod", name, &json!({"spec": {"containers": []}, "status": status}));
    pod["metadata"]["labels"] = labels.clone();
    pod
}

fn running_at(address: &str) -> Value {
    json!({"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]})
}

fn has_pod(names: &config::NameTable, address: &str) -> bool {
    names.has_pod("shop", address.parse().expect("an address"))
}

#[tokio::test]
async fn pods_are_watched_where_they_are_of_use_as_long_as_their_addresses_are_theirs() {
    let names = NameObjects { pods: true, ..NameObjects::default() };
    let watched = Watched { selection: Selection::Names(names), ..Watched::default() };
    let objects = vec![
        pod("a", &json!({}), &running_at("10.0.0.1")),
        pod("done", &json!({}), &json!({"phase": "Succeeded", "podIP": "10.0.0.2"})),
    ];
    let running = Running::watching(ApiServer::start().await, objects, watched).await;
    let first = running.ready().await.current();
    assert!(has_pod(&first.names, "10.0.0.1") && !has_pod(&first.names, "10.0.0.2"));
    running.server.put(pod("b", &json!({}), &running_at("10.0.0.2")));
    until_names(&running, |names| has_pod(names, "10.0.0.2")).await;
    // Only its phase tells that it has ended.
    running.server.put(pod("a", &json!({}), &json!({"phase": "Failed", "podIP": "10.0.0.1"})));
    until_names(&running, |names| !has_pod(names, "10.0.0.1")).await;
    let mut terminating = pod("b", &json!({}), &running_at("10.0.0.2"));
    terminating["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    running.server.put(terminating);
    until_names(&running, |names| !has_pod(names, "10.0.0.2")).await;
    assert!(has_pod(&first.names, "10.0.0.1"), "a snapshot stays as it was");
}

/// A load balancer that says its address changes nothing where nobody wants to know it, not even the serial.
#[tokio::test]
async fn external_addresses_are_known_where_they_are_of_use() {
    for externals in [false, true] {
        let names = NameObjects { externals, ..NameObjects::default() };
        let watched = Watched { selection: Selection::Names(names), ..Watched::default() };
        let running = Running::watching(ApiServer::start().await, vec![service("web")], watched).await;
        let first = running.ready().await.current();
        let mut balanced = service("web");
        balanced["spec"]["externalIPs"] = json!(["192.0.2.1"]);
        balanced["status"] = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.2"}]}});
        running.server.put(balanced);
        let has = |names: &config::NameTable, address: [u8; 4]| !names.externals().owners(address.into()).is_empty();
        if externals {
            until_names(&running, |names| has(names, [192, 0, 2, 1]) && has(names, [192, 0, 2, 2])).await;
        }
        running.server.put(service("api"));
        until_names(&running, |names| names.find("shop", "api").is_some()).await;
        let last = running.ready().await.current();
        assert_eq!(has(&last.names, [192, 0, 2, 1]), externals);
        assert_eq!(last.generation - first.generation, if externals { 2 } else { 1 });
    }
}

#[tokio::test]
async fn labels_choose_what_has_names() {
    let names = NameObjects {
        externals: false,
        imports: false,
        pods: true,
        labels: Some("team in (a, b)".parse().expect("a selector")),
        namespace_labels: Some("dns=on".parse().expect("a selector")),
    };
    let labelled = |mut object: Value, labels: Value| {
        object["metadata"]["labels"] = labels;
        object
    };
    let namespace = |name: &str, labels| {
        labelled(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}), labels)
    };
    let watched = Watched { selection: Selection::Names(names), ..Watched::default() };
    let objects = vec![
        labelled(service("ours"), json!({"team": "a"})),
        service("theirs"),
        namespace("shop", json!({"dns": "on"})),
        namespace("blog", json!({})),
        pod("a", &json!({"team": "b"}), &running_at("10.0.0.1")),
        pod("b", &json!({}), &running_at("10.0.0.2")),
    ];
    let running = Running::watching(ApiServer::start().await, objects, watched).await;
    let first = running.ready().await.current();
    let names = &first.names;
    assert!(names.find("shop", "ours").is_some() && names.find("shop", "theirs").is_none());
    assert!(names.declares("shop") && !names.declares("blog"));
    assert!(has_pod(names, "10.0.0.1") && !has_pod(names, "10.0.0.2"));
    running.server.put(namespace("blog", json!({"dns": "on"})));
    until_names(&running, |names| names.declares("blog")).await;
    running.server.put(service("ours"));
    until_names(&running, |names| names.find("shop", "ours").is_none()).await;
}

#[tokio::test(start_paused = true)]
async fn namespaces_that_labels_choose_cannot_be_done_without() {
    let names = NameObjects { namespace_labels: Some("dns".parse().expect("a selector")), ..NameObjects::default() };
    for (names, goes_on) in [(names, false), (NameObjects::default(), true)] {
        let server = ApiServer::start().await;
        server.rule(Rule::new("namespaces", Answer::Status(403)));
        let watched = Watched { selection: Selection::Names(names), ..Watched::default() };
        let running = Running::watching(server, vec![service("web")], watched).await;
        running
            .until_progress(|progress| {
                progress.waits().is_none() == goes_on && progress.counts().contains_key("Namespace")
            })
            .await;
        if !goes_on {
            let waits = running.progress.borrow().waits().expect("it waits");
            assert!(waits.contains("Namespace with dns"), "{waits}");
        }
    }
}

/// Waits until the names are as claimed.
async fn until_names(running: &Running, claim: impl Fn(&config::NameTable) -> bool) {
    let mut reader = running.ready().await;
    let come = async {
        while !claim(&reader.current().names) {
            assert!(reader.changed().await, "it goes on");
        }
    };
    timeout(PATIENCE, come).await.expect("in time");
}
