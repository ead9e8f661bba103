//! Where names alone are served nothing else is asked for.

use super::*;
use crate::Selection;

#[tokio::test]
async fn only_what_names_are_made_of_is_asked_for() {
    let watched = Watched { selection: Selection::Names, ..Watched::default() };
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
    let watched = Watched { selection: Selection::Names, namespaces: vec!["shop".into()], ..Watched::default() };
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
