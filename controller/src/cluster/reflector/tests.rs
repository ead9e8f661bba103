use super::*;
use crate::cluster::api_server::{Answer, ApiServer, Cut, Rule, Verb};
use crate::cluster::resource::{SERVICE_IMPORTS, SERVICES};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(30);

fn service(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "shop"}})
}

/// A server with a Service `a`, and who watches Services there.
struct Watched {
    server: ApiServer,
    reflector: Reflector,
}

impl Watched {
    async fn new() -> Self {
        let watched = Self::of(SERVICES).await;
        watched.server.put(service("a"));
        watched
    }

    /// An empty server, and who watches a resource there.
    async fn of(resource: &'static Resource) -> Self {
        let server = ApiServer::start().await;
        let client = server.clients().await.watch().expect("a client");
        Self { server, reflector: Reflector::new(client, Scope::of(resource)) }
    }

    fn rule(&self, answer: Answer) -> Rule {
        Rule::new("services", answer).verb(Verb::Watch)
    }

    /// The next events, in words.
    async fn next(&mut self, count: usize) -> Vec<String> {
        let mut events = Vec::new();
        for _ in 0..count {
            let event = timeout(PATIENCE, self.reflector.next()).await;
            events.push(match event.unwrap_or_else(|_| panic!("no more than {events:?}")) {
                Event::Begin => "begin".to_owned(),
                Event::Listed(object) => format!("listed {}", object.name),
                Event::End(version) => format!("end {version}"),
                Event::Applied(object) => format!("applied {}", object.name),
                Event::Deleted(object) => format!("deleted {}", object.name),
                Event::Reached(version) => format!("reached {version}"),
                Event::Heard => "heard".to_owned(),
                Event::Fault(fault) => format!("fault {fault}"),
                Event::Absent(_) => "absent".to_owned(),
            });
        }
        events
    }

    /// The versions that watches began at; `list`: with what there was.
    fn asked(&self) -> Vec<String> {
        let log = self.server.log();
        let watches = log.iter().filter(|request| request.is(Verb::Watch, "services"));
        let version = |query: &str| {
            let version = query.split('&').find_map(|part| part.strip_prefix("resourceVersion=")).expect("a version");
            let lists = query.contains("sendInitialEvents=true") && query.contains("resourceVersionMatch=NotOlderThan");
            if lists { format!("list {version}") } else { version.to_owned() }
        };
        watches.map(|request| version(&request.query)).collect()
    }
}

const LIST: [&str; 3] = ["begin", "listed a", "end 1"];
const ENDED: &str = "fault the watch ended as soon as it had begun";

#[tokio::test]
async fn what_there_is_comes_first_and_then_what_changes() {
    let mut watched = Watched::new().await;
    assert_eq!(watched.next(3).await, LIST);
    watched.server.put(service("b"));
    watched.server.delete("Service", "shop", "a");
    watched.server.bookmark();
    assert_eq!(watched.next(3).await, ["applied b", "deleted a", "reached 3"]);
    assert_eq!(watched.asked(), ["list "], "a list of no version is as new as the store");
}

#[tokio::test]
async fn frames_may_come_in_any_pieces() {
    let mut watched = Watched::new().await;
    watched.server.rule(watched.rule(Answer::Split(1)));
    assert_eq!(watched.next(3).await, LIST);
    watched.server.put(service("ü"));
    assert_eq!(watched.next(1).await, ["applied ü"]);
}

#[tokio::test]
async fn a_watch_that_ends_goes_on_where_it_was() {
    for how in [Cut::End, Cut::Fin] {
        let mut watched = Watched::new().await;
        // The list's two frames, a change and a bookmark.
        watched.server.rule(watched.rule(Answer::Cut { after: 4, how }).times(1));
        assert_eq!(watched.next(3).await, LIST);
        watched.server.put(service("b"));
        assert_eq!(watched.next(1).await, ["applied b"]);
        watched.server.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}));
        watched.server.bookmark();
        assert_eq!(watched.next(2).await, ["reached 3", "heard"]);
        watched.server.put(service("c"));
        assert_eq!(watched.next(1).await, ["applied c"]);
        assert_eq!(watched.asked(), ["list ", "3"], "{how:?}: a bookmark counts, though it is of another kind");
    }
}

#[tokio::test]
async fn a_connection_that_breaks_is_a_fault_and_no_relist() {
    let mut watched = Watched::new().await;
    watched.server.rule(watched.rule(Answer::Cut { after: 3, how: Cut::Reset }).times(1));
    assert_eq!(watched.next(3).await, LIST);
    watched.server.put(service("b"));
    assert_eq!(watched.next(1).await, ["applied b"]);
    let fault = watched.next(1).await;
    assert!(fault[0].starts_with("fault ") && !fault[0].contains("ServiceError"), "{fault:?}");
    assert_eq!(watched.next(1).await, ["heard"]);
    assert_eq!(watched.asked(), ["list ", "2"]);
}

#[tokio::test]
async fn a_version_that_is_gone_means_a_list_at_once_however_it_is_said() {
    for answer in [Answer::Status(410), Answer::ErrorFrame(410)] {
        let mut watched = Watched::new().await;
        watched.server.rule(watched.rule(Answer::Cut { after: 2, how: Cut::End }).times(1));
        watched.server.rule(watched.rule(answer.clone()).with("resourceVersion=1").times(1));
        assert_eq!(watched.next(4).await, [LIST[0], LIST[1], LIST[2], ENDED]);
        watched.server.delete("Service", "shop", "a");
        watched.server.put(service("b"));
        let heard = usize::from(matches!(answer, Answer::ErrorFrame(_)));
        let events = watched.next(3 + heard).await;
        assert_eq!(events[heard..], ["begin", "listed b", "end 3"], "{answer:?}");
        assert_eq!(watched.asked(), ["list ", "1", "list "]);
    }
}

#[tokio::test]
async fn compaction_behind_its_back_is_found_out() {
    let mut watched = Watched::new().await;
    watched.server.rule(watched.rule(Answer::Cut { after: 2, how: Cut::End }).times(1));
    assert_eq!(watched.next(4).await, [LIST[0], LIST[1], LIST[2], ENDED]);
    watched.server.delete("Service", "shop", "a");
    watched.server.compact();
    let events = watched.next(2).await;
    assert_eq!(events, ["begin", "end 2"], "its absence is the only sign");
}

#[tokio::test]
async fn a_server_that_never_keeps_what_is_asked_for_is_not_stormed() {
    let mut watched = Watched::new().await;
    watched.server.rule(watched.rule(Answer::Cut { after: 2, how: Cut::End }).with("sendInitialEvents"));
    watched.server.rule(watched.rule(Answer::Status(410)).with("resourceVersion=1"));
    assert_eq!(watched.next(4).await, [LIST[0], LIST[1], LIST[2], ENDED]);
    assert_eq!(watched.next(4).await, [LIST[0], LIST[1], LIST[2], ENDED], "a list helps at once, the first time");
    assert_eq!(watched.next(1).await, ["fault told to answer 410 Gone"]);
    assert!(watched.reflector.wait.is_some_and(|wait| wait >= Duration::from_millis(200)));
}

#[tokio::test]
async fn a_watch_that_ends_at_once_is_waited_for_longer_each_time() {
    let mut watched = Watched::new().await;
    watched.server.rule(watched.rule(Answer::Cut { after: 2, how: Cut::End }).with("sendInitialEvents"));
    watched.server.rule(watched.rule(Answer::Cut { after: 0, how: Cut::End }).with("resourceVersion=1"));
    assert_eq!(watched.next(4).await, [LIST[0], LIST[1], LIST[2], ENDED]);
    for least in [200, 400, 800] {
        assert_eq!(watched.next(2).await, ["heard", ENDED]);
        let wait = watched.reflector.wait.expect("a wait");
        assert!(wait >= Duration::from_millis(least), "{wait:?}");
    }
    watched.server.forgive();
    watched.server.put(service("b"));
    assert_eq!(watched.next(2).await, ["heard", "applied b"]);
}

#[tokio::test]
async fn a_list_that_is_cut_is_begun_again() {
    for how in [Cut::End, Cut::Fin, Cut::Reset] {
        let mut watched = Watched::new().await;
        watched.server.put(service("b"));
        watched.server.rule(watched.rule(Answer::Cut { after: 1, how }).times(1));
        let events = watched.next(3).await;
        assert_eq!(events[..2], ["begin", "listed a"], "{how:?}");
        assert!(events[2].starts_with("fault "), "{events:?}");
        assert_eq!(watched.next(4).await, ["begin", "listed a", "listed b", "end 2"]);
    }
}

#[tokio::test]
async fn a_server_that_does_not_stream_lists_is_read_by_pages() {
    for code in [400, 422] {
        let mut watched = Watched::new().await;
        watched.server.rule(watched.rule(Answer::Status(code)).with("sendInitialEvents"));
        for index in 0..600 {
            watched.server.put(service(&format!("s{index}")));
        }
        let events = watched.next(603).await;
        assert_eq!((&*events[0], &*events[602]), ("begin", "end 601"));
        assert_eq!(watched.next(1).await, ["heard"]);
        watched.server.put(service("b"));
        assert_eq!(watched.next(1).await, ["applied b"]);
        let lists = watched.server.log().iter().filter(|request| request.is(Verb::List, "services")).count();
        assert_eq!((lists, watched.asked()), (2, vec!["list ".to_owned(), "601".to_owned()]), "{code}");
    }
}

#[tokio::test]
async fn pages_that_are_forbidden_are_said_to_be() {
    let mut watched = Watched::new().await;
    watched.server.rule(watched.rule(Answer::Status(422)).with("sendInitialEvents"));
    watched.server.rule(Rule::new("services", Answer::Status(403)).verb(Verb::List));
    assert_eq!(watched.next(1).await, ["begin"]);
    let event = timeout(PATIENCE, watched.reflector.next()).await.expect("in time");
    assert!(matches!(event, Event::Fault(Fault::Forbidden(_))));
}

#[tokio::test]
async fn a_page_that_is_gone_begins_the_list_again() {
    let mut watched = Watched::new().await;
    watched.server.rule(watched.rule(Answer::Status(422)).with("sendInitialEvents"));
    watched.server.rule(Rule::new("services", Answer::Status(410)).verb(Verb::List).with("continue=").times(1));
    for index in 0..600 {
        watched.server.put(service(&format!("s{index}")));
    }
    let events = watched.next(502).await;
    assert_eq!((&*events[0], &*events[501]), ("begin", "fault told to answer 410 Gone"));
    let events = watched.next(603).await;
    assert_eq!((&*events[0], &*events[602]), ("begin", "end 601"));
}

#[tokio::test]
async fn other_errors_are_told_and_tried_again() {
    for code in [401, 403, 404, 429, 500, 503] {
        let mut watched = Watched::new().await;
        watched.server.rule(watched.rule(Answer::Status(code)).times(1));
        let fault = watched.next(1).await;
        assert!(fault[0].contains(&format!("told to answer {code}")), "{fault:?}");
        if code == 403 {
            assert!(watched.reflector.wait.take().is_some_and(|wait| wait <= Duration::from_secs(1)));
        }
        assert_eq!(watched.next(3).await, LIST);
    }
    let mut watched = Watched::new().await;
    watched.server.rule(watched.rule(Answer::Cut { after: 2, how: Cut::End }).times(1));
    watched.server.rule(watched.rule(Answer::ErrorFrame(500)).with("resourceVersion=1").times(1));
    assert_eq!(watched.next(4).await, [LIST[0], LIST[1], LIST[2], ENDED]);
    let events = watched.next(3).await;
    assert!(events[0] == "heard" && events[1].starts_with("fault ") && events[2] == "heard", "{events:?}");
    assert_eq!(watched.asked(), ["list ", "1", "1"], "no list for that");
}

#[tokio::test]
async fn a_server_that_asks_for_time_gets_it() {
    let mut watched = Watched::new().await;
    for (seconds, expected) in [(7, 7), (86_400, 60)] {
        watched.server.rule(watched.rule(Answer::Busy(seconds)).times(1));
        let said = watched.next(1).await;
        assert_eq!(said, [format!("fault the API server has too many requests, and asks for {seconds} s")]);
        let wait = watched.reflector.wait.take().expect("it waits");
        assert!((expected..=expected * 5 / 4).contains(&wait.as_secs()), "{wait:?}");
    }
    assert_eq!(watched.next(3).await, LIST);
}

#[tokio::test]
async fn a_server_that_is_away_is_found_again() {
    let mut watched = Watched::new().await;
    assert_eq!(watched.next(3).await, LIST);
    watched.server.down().await;
    let events = watched.next(2).await;
    assert!(events[1].contains("refused"), "{events:?}");
    watched.server.put(service("b"));
    watched.server.up().await;
    let mut events = watched.next(1).await;
    while events[0].starts_with("fault ") {
        events = watched.next(1).await;
    }
    assert_eq!((&*events[0], &*watched.next(1).await[0]), ("heard", "applied b"));
}

fn import() -> Value {
    let (api_version, kind) = ("multicluster.x-k8s.io/v1beta1", "ServiceImport");
    json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "a", "namespace": "shop"}})
}

/// Requests for a version of ServiceImports are answered with 404.
fn without(version: &str) -> Rule {
    Rule::new("serviceimports", Answer::Status(404)).with(version)
}

#[tokio::test]
async fn a_resource_that_is_not_there_is_looked_for_again_in_each_version() {
    let mut watched = Watched::of(SERVICE_IMPORTS).await;
    watched.server.put(import());
    watched.server.rule(without("v1beta1"));
    watched.server.rule(without("v1alpha1"));
    for least in [5, 10, 20] {
        assert_eq!(watched.next(1).await, ["absent"]);
        let wait = watched.reflector.wait.take().expect("a wait");
        assert!(wait >= Duration::from_secs(least), "{wait:?}");
    }
    let log = watched.server.log();
    let versions: Vec<_> = log.iter().filter_map(|request| request.path.split('/').nth(3)).collect();
    assert_eq!(versions, ["v1beta1", "v1alpha1", "v1beta1", "v1alpha1", "v1beta1", "v1alpha1"]);
    watched.server.forgive();
    assert_eq!(watched.next(3).await, LIST);
}

#[tokio::test]
async fn an_older_version_is_watched_where_the_server_has_that_alone() {
    let mut watched = Watched::of(SERVICE_IMPORTS).await;
    watched.server.put(import());
    watched.server.rule(without("v1beta1"));
    watched.server.rule(Rule::new("serviceimports", Answer::Cut { after: 3, how: Cut::End }).with("v1alpha1").times(1));
    assert_eq!(watched.next(3).await, LIST);
    watched.server.delete("ServiceImport", "shop", "a");
    assert_eq!(watched.next(1).await, ["deleted a"]);
    // An upgrade: the older version is no longer there when the watch goes on.
    watched.server.forgive();
    watched.server.rule(without("v1alpha1"));
    watched.server.put(import());
    assert_eq!(watched.next(3).await, ["begin", "listed a", "end 3"]);
}

#[tokio::test]
async fn a_resource_that_goes_while_it_is_watched_is_not_there() {
    let mut watched = Watched::of(SERVICE_IMPORTS).await;
    watched.server.put(import());
    watched.server.rule(Rule::new("serviceimports", Answer::Cut { after: 3, how: Cut::End }).times(1));
    watched.server.rule(without("resourceVersion=2"));
    watched.server.rule(without("v1alpha1"));
    assert_eq!(watched.next(3).await, LIST);
    watched.server.delete("ServiceImport", "shop", "a");
    assert_eq!(watched.next(2).await, ["deleted a", "absent"]);
    watched.server.put(import());
    watched.reflector.wait = None;
    assert_eq!(watched.next(3).await, ["begin", "listed a", "end 3"]);
}
