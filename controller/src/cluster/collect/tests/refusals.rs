//! What an API server forbids that has just begun and does not know its rules yet. Time is paused: nothing but waits
//! takes any.

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
