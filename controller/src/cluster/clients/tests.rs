use super::*;
use crate::cluster::api_server::ApiServer;
use crate::cluster::reflector::{Event, Reflector};
use crate::cluster::resource::SERVICES;
use crate::cluster::scope::Scope;
use k8s_openapi::api::core::v1::Service;
use kube::Api;
use kube::api::ListParams;
use serde_json::json;
use std::fs;

async fn clients() -> Clients {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("config");
    let text = "{apiVersion: v1, kind: Config, current-context: a, clusters: [{name: a, cluster: {server: 'http://127.0.0.1:1'}}],
        users: [{name: a, user: {}}], contexts: [{name: a, context: {cluster: a, user: a, namespace: shop}}]}";
    fs::write(&path, text).expect("written");
    Clients::new(&Access::Kubeconfig { paths: vec![path], context: None }, Arc::new(())).await.expect("clients")
}

#[tokio::test]
async fn watches_share_connections_up_to_what_a_server_takes() {
    let clients = clients().await;
    assert_eq!((&*clients.server(), clients.namespace()), ("http://127.0.0.1:1", "shop"));
    let groups =
        || clients.watches.lock().expect("not poisoned").iter().map(|group| group.places.len()).collect::<Vec<_>>();
    let mut watches: Vec<_> = (0..WATCHES * 2 + 1).map(|_| clients.watch().expect("a client")).collect();
    assert_eq!(groups(), [WATCHES, WATCHES, 1]);
    watches.drain(..10);
    watches.push(clients.watch().expect("a client"));
    assert_eq!(groups(), [WATCHES - 9, WATCHES, 1], "a place that is free is taken");
    watches.clear();
    watches.push(clients.watch().expect("a client"));
    assert_eq!(groups(), [1], "connections without watches are let go");
}

#[tokio::test]
async fn a_replaced_token_goes_with_the_next_request_of_every_client() {
    let server = ApiServer::start().await;
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("token");
    fs::write(&path, "one").expect("written");
    let access = server.access_as(&json!({"tokenFile": path}));
    let clients = Clients::new(&access, Arc::new(())).await.expect("a token");
    let services = Api::<Service>::all(clients.calls());
    services.list(&ListParams::default()).await.expect("a list");
    let mut reflector = Reflector::new(clients.watch().expect("a client"), Scope::of(SERVICES));
    assert!(matches!(reflector.next().await, Event::Begin));
    fs::write(&path, "two").expect("written");
    services.list(&ListParams::default()).await.expect("a list");
    let mut reflector = Reflector::new(clients.watch().expect("a client"), Scope::of(SERVICES));
    assert!(matches!(reflector.next().await, Event::Begin));
    let sent: Vec<_> = server.log().into_iter().map(|request| request.authorization.expect("a token")).collect();
    assert_eq!(sent, ["Bearer one", "Bearer one", "Bearer two", "Bearer two"]);
    fs::remove_file(&path).expect("it is there");
    let error = Clients::new(&access, Arc::new(())).await.expect_err("no token").to_string();
    assert!(error.contains(&format!("cannot read the token file {}", path.display())), "{error}");
    let both = server.access_as(&json!({"token": "three", "tokenFile": path}));
    let clients = Clients::new(&both, Arc::new(())).await.expect("a token");
    Api::<Service>::all(clients.calls()).list(&ListParams::default()).await.expect("a list");
    let last = server.log().pop().expect("a request").authorization;
    assert_eq!(last.as_deref(), Some("Bearer three"), "there is no file");
    fs::write(&path, "four").expect("written");
    let clients = Clients::new(&both, Arc::new(())).await.expect("a token");
    Api::<Service>::all(clients.calls()).list(&ListParams::default()).await.expect("a list");
    let last = server.log().pop().expect("a request").authorization;
    assert_eq!(last.as_deref(), Some("Bearer four"), "the file is newer");
}
