use super::*;
use std::fs;

async fn clients() -> Clients {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("config");
    let text = "{apiVersion: v1, kind: Config, current-context: a, clusters: [{name: a, cluster: {server: 'http://127.0.0.1:1'}}],
        users: [{name: a, user: {}}], contexts: [{name: a, context: {cluster: a, user: a, namespace: shop}}]}";
    fs::write(&path, text).expect("written");
    Clients::new(&Access::Kubeconfig { paths: vec![path], context: None }).await.expect("clients")
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
