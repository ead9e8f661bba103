use super::*;
use futures_util::StreamExt;
use k8s_openapi::api::core::v1::Service;
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::core::Request;
use serde_json::json;

fn service(name: &str, port: u16) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "shop"},
           "spec": {"ports": [{"port": port}]}})
}

/// Type, name and version of each frame until the watch ends; an error as the text `cut`.
async fn frames(server: &ApiServer, parameters: &WatchParams, version: &str) -> Vec<String> {
    let request = Request::new("/api/v1/services").watch(parameters, version).expect("a request");
    let events = match server.clients().await.calls().request_events::<Service>(request).await {
        Ok(events) => events,
        Err(error) => return vec![super::super::fault::explain(&error)],
    };
    let mut events = std::pin::pin!(events);
    let mut seen = Vec::new();
    while let Some(event) = events.next().await {
        let text = |what: &str, service: &Service| {
            let metadata = &service.metadata;
            let part = |part: &Option<String>| part.clone().unwrap_or_default();
            format!("{what} {} {}", part(&metadata.name), part(&metadata.resource_version))
        };
        seen.push(match event {
            Ok(WatchEvent::Added(service)) => text("ADDED", &service),
            Ok(WatchEvent::Modified(service)) => text("MODIFIED", &service),
            Ok(WatchEvent::Deleted(service)) => text("DELETED", &service),
            Ok(WatchEvent::Bookmark(bookmark)) => {
                let is_end = bookmark.metadata.annotations.contains_key("k8s.io/initial-events-end");
                format!("{} {}", if is_end { "END" } else { "BOOKMARK" }, bookmark.metadata.resource_version)
            }
            Ok(WatchEvent::Error(status)) => format!("ERROR {}", status.code),
            Err(_) => "cut".to_owned(),
        });
    }
    seen
}

fn streaming() -> WatchParams {
    WatchParams { bookmarks: true, send_initial_events: true, timeout: Some(1), ..WatchParams::default() }
}

fn resuming() -> WatchParams {
    WatchParams { bookmarks: true, timeout: Some(1), ..WatchParams::default() }
}

#[tokio::test]
async fn a_watch_tells_what_is_there_and_what_happens() {
    let server = ApiServer::start().await;
    server.put(service("a", 1));
    server.put(service("b", 1));
    server.put(service("b", 1));
    assert_eq!(frames(&server, &streaming(), "").await, ["ADDED a 1", "ADDED b 2", "END 2"]);
    server.put(service("a", 2));
    server.delete("Service", "shop", "b");
    server.bookmark();
    assert_eq!(frames(&server, &resuming(), "2").await, ["MODIFIED a 3", "DELETED b 4", "BOOKMARK 4"]);
    let named = WatchParams { field_selector: Some("metadata.name=b".to_owned()), ..resuming() };
    assert_eq!(frames(&server, &named, "1").await, ["ADDED b 2", "DELETED b 4", "BOOKMARK 4"]);
    server.compact();
    let gone = frames(&server, &resuming(), "2").await;
    assert_eq!(gone, ["too old resource version: 2 (4)"]);
}

#[tokio::test]
async fn bookmarks_come_when_told() {
    let server = ApiServer::start().await;
    server.put(service("a", 1));
    let told = async {
        server.until_log(|log| log.len() == 1).await;
        server.bookmark();
    };
    let parameters = resuming();
    let (frames, ()) = tokio::join!(frames(&server, &parameters, "1"), told);
    assert_eq!(frames, ["BOOKMARK 1"]);
}

#[tokio::test]
async fn rules_spoil_a_watch() {
    let mut cases = tokio::task::JoinSet::new();
    for (answer, expected) in [
        (Answer::Split(3), vec!["ADDED a 1", "ADDED b 2", "END 2"]),
        (Answer::Duplicate, vec!["ADDED a 1", "ADDED a 1", "ADDED b 2", "ADDED b 2", "END 2", "END 2"]),
        (Answer::Stale, vec!["ADDED a 1", "ADDED a 1", "ADDED b 2", "ADDED a 1", "END 2", "ADDED a 1"]),
        (Answer::Cut { after: 1, how: Cut::End }, vec!["ADDED a 1"]),
        // The client takes it for the end.
        (Answer::Cut { after: 1, how: Cut::Fin }, vec!["ADDED a 1"]),
        (Answer::Cut { after: 1, how: Cut::Reset }, vec!["ADDED a 1", "cut"]),
        (Answer::ErrorFrame(410), vec!["ERROR 410"]),
        (Answer::Status(403), vec!["told to answer 403 Forbidden"]),
        (Answer::Undecodable("a"), vec!["cut", "ADDED b 2", "END 2"]),
    ] {
        cases.spawn(async move {
            let server = ApiServer::start().await;
            server.put(service("a", 1));
            server.put(service("b", 1));
            server.rule(Rule::new("services", answer.clone()).verb(Verb::Watch).times(1));
            assert_eq!(frames(&server, &streaming(), "").await, expected, "{answer:?}");
            assert_eq!(frames(&server, &streaming(), "").await, ["ADDED a 1", "ADDED b 2", "END 2"], "once");
        });
    }
    cases.join_all().await;
}

#[tokio::test]
async fn a_list_comes_by_pages_until_it_is_compacted() {
    let server = ApiServer::start().await;
    for name in ["a", "b", "c"] {
        server.put(service(name, 1));
    }
    let services: Api<Service> = Api::all(server.clients().await.calls());
    let first = services.list(&ListParams::default().limit(2)).await.expect("a page");
    assert_eq!((first.items.len(), first.metadata.resource_version.as_deref()), (2, Some("3")));
    let token = first.metadata.continue_.expect("more");
    let second = services.list(&ListParams::default().limit(2).continue_token(&token)).await.expect("a page");
    assert_eq!((second.items.len(), second.metadata.continue_), (1, None));
    server.compact();
    let gone = services.list(&ListParams::default().limit(2).continue_token(&token)).await;
    assert!(matches!(gone, Err(kube::Error::Api(status)) if status.code == 410));
}

#[tokio::test]
async fn writes_are_refused_as_the_real_server_does() {
    let server = ApiServer::start().await;
    let services: Api<Service> = Api::namespaced(server.clients().await.calls(), "shop");
    let wanted: Service = serde_json::from_value(service("a", 1)).expect("a Service");
    let code = |result: kube::Result<Service>| match result {
        Ok(_) => 200,
        Err(kube::Error::Api(status)) => status.code,
        Err(error) => panic!("{error}"),
    };
    let created = services.create(&PostParams::default(), &wanted).await.expect("created");
    assert!(created.metadata.uid.is_some() && created.metadata.creation_timestamp.is_some());
    assert_eq!(code(services.create(&PostParams::default(), &wanted).await), 409);
    assert_eq!(code(services.replace("a", &PostParams::default(), &wanted).await), 422);
    assert_eq!(code(services.replace("a", &PostParams::default(), &created).await), 200);

    let params = PatchParams { field_manager: Some("me".to_owned()), ..PatchParams::default() };
    let address = json!({"status": {"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}]}}, "spec": {"ports": []}});
    let patched = services.patch_status("a", &params, &Patch::Merge(&address)).await.expect("patched");
    assert_eq!(patched.spec.and_then(|spec| spec.ports).map(|ports| ports.len()), Some(1), "spec is not of status");
    assert_eq!(patched.metadata.managed_fields.expect("owned")[0].manager.as_deref(), Some("me"));
    assert_eq!(code(services.replace("a", &PostParams::default(), &created).await), 409, "changed meanwhile");
    let stale = json!({"metadata": {"resourceVersion": "1"}, "status": {"loadBalancer": {"ingress": null}}});
    assert_eq!(code(services.patch_status("a", &params, &Patch::Merge(&stale)).await), 409);
    assert_eq!(code(services.patch_status("b", &params, &Patch::Merge(&address)).await), 404);

    services.delete("a", &DeleteParams::default()).await.expect("deleted");
    assert_eq!(code(services.get("a").await), 404);
    let last = server.log().pop().expect("logged");
    assert_eq!((last.method.as_str(), last.path.as_str()), ("GET", "/api/v1/namespaces/shop/services/a"));
}

#[tokio::test]
async fn down_is_refused_and_stop_is_silent() {
    let server = ApiServer::start().await;
    server.put(service("a", 1));
    let services: Api<Service> = Api::namespaced(server.clients().await.calls(), "shop");
    assert!(services.get("a").await.is_ok());
    server.down().await;
    let refused = super::super::fault::explain(&services.get("a").await.expect_err("down"));
    assert!(refused.contains("refused"), "{refused}");
    server.up().await;
    assert!(services.get("a").await.is_ok());

    server.clear_log();
    server.stop();
    let asked = services.get("a");
    let mut asked = std::pin::pin!(asked);
    tokio::select! {
        biased;
        _ = &mut asked => panic!("answered while stopped"),
        () = server.until_log(|log| log.len() == 1) => {}
    }
    server.resume();
    assert!(asked.await.is_ok());
}

#[tokio::test]
async fn what_is_written_is_logged_and_kept() {
    let server = ApiServer::start().await;
    let services: Api<Service> = Api::namespaced(server.clients().await.calls(), "shop");
    let wanted: Service = serde_json::from_value(service("a", 1)).expect("a Service");
    let created = async { services.create(&PostParams::default(), &wanted).await.expect("created") };
    let kept = server.until(|store| store.find("Service", "shop", "a").is_some());
    tokio::join!(created, kept);
    assert_eq!(server.find("Service", "shop", "a").expect("kept")["spec"]["ports"][0]["port"], 1);
    let body = server.log().pop().and_then(|request| request.body).expect("logged");
    assert_eq!(body["spec"]["ports"][0]["port"], 1);
}

#[tokio::test]
async fn a_rule_may_be_never_to_answer() {
    let server = ApiServer::start().await;
    server.rule(Rule::new("services", Answer::Silence));
    let services: Api<Service> = Api::namespaced(server.clients().await.calls(), "shop");
    tokio::select! {
        biased;
        _ = services.get("a") => panic!("answered"),
        () = server.until_log(|log| log.len() == 1) => {}
    }
}
