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

/// What is logged until `running` is done, but for what helps to find faults of this program.
fn told(running: impl AsyncFnOnce()) -> Vec<String> {
    let log = crate::text_log::logged(|| {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().start_paused(true).build().expect("a runtime").block_on(running());
    });
    log.lines().filter(|line| line.contains("watch") || line.contains("done without")).map(str::to_owned).collect()
}

#[test]
fn another_reason_than_the_one_before_is_told_at_once_and_each_once() {
    let told = told(async || {
        let server = forbidding(Rule::new("services", Answer::Status(403)).times(5)).await;
        server.rule(Rule::new("endpointslices", Answer::Status(500)).times(5));
        server.down().await;
        let running = names_of(server).await;
        let failed = |progress: &Progress| progress.counts().values().filter(|counts| counts.faults > 1).count();
        running.until_progress(|progress| failed(progress) == 3).await;
        running.server.up().await;
        running.ready().await;
        running.until_progress(Progress::is_connected).await;
    });
    let [refused, others @ .., end] = &told[..] else { panic!("{told:?}") };
    assert!(refused.starts_with("WARN") && refused.contains("Connection refused"), "{told:?}");
    assert!(end.starts_with("INFO") && end.contains("every watch of the API server goes on again"), "{told:?}");
    let has = |text: &str| others.iter().filter(|line| line.starts_with("WARN") && line.contains(text)).count();
    assert_eq!((others.len(), has("told to answer 403"), has("told to answer 500")), (2, 1, 1), "{told:?}");
}

#[test]
fn what_stays_forbidden_is_told_once_and_that_it_is_done_without() {
    let told = told(async || {
        let running = names_of(forbidding(Rule::new("namespaces", Answer::Status(403))).await).await;
        running.ready().await;
        running.until_progress(|progress| progress.counts()["Namespace"].faults > 7).await;
    });
    let [refused, without, end] = &told[..] else { panic!("{told:?}") };
    assert!(refused.starts_with("WARN") && refused.contains("may not be watched"), "{told:?}");
    assert!(without.starts_with("INFO") && without.contains("Namespace"), "{told:?}");
    assert!(end.contains("every other watch of the API server goes on again"), "{told:?}");
}
