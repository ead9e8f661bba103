//! What an API server forbids that has just begun and does not know its rules yet, and what stays forbidden. Time is
//! paused: nothing but waits takes any.

use super::*;
use crate::{NameObjects, Selection};

/// A server with a Service and an empty namespace, where requests are forbidden as the rule says.
async fn forbidding(rule: Rule) -> ApiServer {
    let server = ApiServer::start().await;
    server.rule(rule);
    server.put(service("web"));
    server.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "empty"}}));
    server
}

async fn names_of(server: ApiServer) -> Running {
    let watched = Watched { selection: Selection::Names(NameObjects::default()), ..Watched::default() };
    Running::watching(server, Vec::new(), watched).await
}

/// A server that begins: it forbids this many tries.
fn moment(resource: &'static str) -> Rule {
    Rule::new(resource, Answer::Status(403)).times(3)
}

#[tokio::test(start_paused = true)]
async fn what_a_server_forbids_while_it_begins_is_soon_there() {
    let running = names_of(forbidding(moment("services")).await).await;
    let begin = Instant::now();
    let first = running.ready().await.current();
    assert!(begin.elapsed() <= Duration::from_secs(1 + 2 + 4 + 1), "{:?}", begin.elapsed());
    assert!(first.names.find("shop", "web").is_some());
}

#[tokio::test(start_paused = true)]
async fn what_can_be_done_without_is_waited_for_while_it_may_yet_come() {
    let running = names_of(forbidding(moment("namespaces")).await).await;
    let first = running.ready().await.current();
    assert!(first.names.declares("empty"), "it would not exist");
}

#[tokio::test(start_paused = true)]
async fn what_can_be_done_without_is_when_it_stays_forbidden() {
    let running = names_of(forbidding(Rule::new("namespaces", Answer::Status(403))).await).await;
    let begin = Instant::now();
    let waits =
        |progress: &Progress| progress.waits().is_some_and(|waits| waits.contains("Namespace (told to answer 403"));
    running.until_progress(waits).await;
    assert!(!running.progress.borrow().is_connected());
    let first = running.ready().await.current();
    assert!((10..=15).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
    assert!(first.names.find("shop", "web").is_some() && !first.names.declares("empty"));
    assert!(running.progress.borrow().is_connected() && running.progress.borrow().waits().is_none());
    let tries = running.server.log().iter().filter(|request| request.resource == "namespaces").count();
    assert!((4..=9).contains(&tries), "{tries}");
}
