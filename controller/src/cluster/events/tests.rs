use super::*;
use crate::cluster::api_server::{Answer, ApiServer, Logged, Rule, Verb};
use crate::{Problem, Reason, Status};
use config::{Kind, ObjectRef};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

const MANAGER: &str = "tidegate/tidegate/tidegate-leader";

fn fast() -> Timing {
    Timing {
        lasting: Duration::from_millis(20),
        heartbeat: Duration::from_secs(30 * 60),
        repeat: Duration::from_millis(50),
        memory: Duration::from_secs(60 * 60),
        retry: Duration::from_millis(20),
    }
}

struct Running {
    server: Arc<ApiServer>,
    statuses: watch::Sender<Arc<Statuses>>,
    leadership: watch::Sender<Leadership>,
    task: JoinHandle<()>,
}

impl Running {
    async fn start() -> Self {
        Self::on(Arc::new(ApiServer::start().await), "tidegate-0", fast()).await
    }

    async fn on(server: Arc<ApiServer>, identity: &str, timing: Timing) -> Self {
        let (statuses, statuses_receiver) = watch::channel(Arc::default());
        let (leadership, leadership_receiver) = watch::channel(Leadership::Leading);
        let inputs =
            EventInputs { manager: MANAGER.into(), statuses: statuses_receiver, leadership: leadership_receiver };
        let events = Events {
            agenda: Agenda::new(timing),
            buckets: Buckets::new(Instant::now()),
            reporter: Reporter::new(&server.clients().await, identity, &inputs.manager),
            outage: Outage::new("write an Event"),
            rest_until: Instant::now(),
        };
        let task = tokio::spawn(events.until(inputs, std::future::pending()));
        Self { server, statuses, leadership, task }
    }

    fn put(&self, kind: &str, name: &str) {
        let api_version = match kind {
            "Ingress" | "IngressClass" => "networking.k8s.io/v1",
            "ServiceImport" => "multicluster.x-k8s.io/v1beta1",
            _ => "v1",
        };
        let metadata = match kind {
            "IngressClass" => json!({"name": name}),
            _ => json!({"name": name, "namespace": "shop"}),
        };
        self.server.put(json!({"apiVersion": api_version, "kind": kind, "metadata": metadata}));
    }

    fn translated(&self, statuses: &[(Kind, &str, Problem)]) {
        let mut all = Statuses::default();
        for (kind, name, problem) in statuses {
            let namespace = if kind.is_namespaced() { "shop" } else { "" };
            let object = Arc::new(ObjectRef::new(*kind, namespace, *name));
            all.set(&object, Some(Status::accepted(vec![problem.clone()])));
        }
        self.statuses.send_replace(Arc::new(all));
    }

    async fn until_events(&self, count: usize) -> Vec<Value> {
        let mut events = Vec::new();
        self.server
            .until(|store| {
                events = store.all("Event").cloned().collect();
                events.len() == count
            })
            .await;
        events
    }
}

fn missing() -> Problem {
    Problem::at("spec.rules[0].http.paths[0]", Reason::ServiceNotFound, "Service shop/web does not exist")
}

fn is_write(request: &Logged) -> bool {
    request.resource == "events"
}

#[tokio::test]
async fn a_problem_is_an_event_on_its_object() {
    let running = Running::start().await;
    running.put("Ingress", "web");
    running.translated(&[(Kind::Ingress, "web", missing())]);
    let events = running.until_events(1).await;
    let uid = running.server.find("Ingress", "shop", "web").expect("there")["metadata"]["uid"].clone();
    let mut event = events[0].clone();
    assert!(event["metadata"]["name"].as_str().is_some_and(|name| name.starts_with("web.") && name.len() == 20));
    assert_eq!(event["metadata"]["namespace"], "shop");
    assert!(event["eventTime"].as_str().is_some_and(|time| time.ends_with('Z') && time.contains('.')), "{event}");
    for field in ["metadata", "eventTime"] {
        event.as_object_mut().expect("an object").shift_remove(field);
    }
    let expected = json!({
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "type": "Warning",
        "reason": "ServiceNotFound",
        "note": "spec.rules[0].http.paths[0]: Service shop/web does not exist",
        "action": "Translate",
        "reportingController": "tidegate.dev/ingress",
        "reportingInstance": "tidegate-0",
        "regarding": {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "namespace": "shop", "name": "web",
                      "uid": uid},
    });
    assert_eq!(event, expected);
}

#[tokio::test]
async fn an_object_is_known_by_an_older_version_where_the_server_has_that_alone() {
    for newer in [true, false] {
        let running = Running::start().await;
        if !newer {
            running.server.rule(Rule::new("serviceimports", Answer::Status(404)).with("v1beta1"));
        }
        running.put("ServiceImport", "web");
        let problem = Problem::at("spec.type", Reason::BadType, "there is no such type");
        running.translated(&[(Kind::ServiceImport, "web", problem)]);
        let event = running.until_events(1).await.remove(0);
        let uid = &running.server.find("ServiceImport", "shop", "web").expect("there")["metadata"]["uid"];
        assert_eq!((&event["reason"], &event["regarding"]["uid"]), (&"BadType".into(), uid), "{event}");
    }
}

#[tokio::test]
async fn what_has_no_namespace_has_its_events_in_the_default_one() {
    let running = Running::start().await;
    running.put("IngressClass", "tidegate");
    running.translated(&[(Kind::IngressClass, "tidegate", missing())]);
    let events = running.until_events(1).await;
    assert_eq!(events[0]["metadata"]["namespace"], "default");
    assert_eq!(events[0]["regarding"]["namespace"], Value::Null);
}

#[tokio::test]
async fn the_next_leader_says_nothing_twice() {
    let first = Running::start().await;
    first.put("Ingress", "web");
    first.translated(&[(Kind::Ingress, "web", missing())]);
    let before = first.until_events(1).await;
    first.task.abort();
    let second = Running::on(Arc::clone(&first.server), "tidegate-1", fast()).await;
    second.server.clear_log();
    second.translated(&[(Kind::Ingress, "web", missing())]);
    second.server.until_log(|log| log.iter().any(is_write)).await;
    assert_eq!(second.until_events(1).await, before);
    assert!(second.server.log().iter().all(|request| request.verb != Verb::Patch), "a conflict says it all");
}

#[tokio::test]
async fn who_follows_says_nothing() {
    let leading = Running::start().await;
    let following = Running::on(Arc::clone(&leading.server), "tidegate-1", fast()).await;
    following.leadership.send_replace(Leadership::Following);
    leading.put("Ingress", "web");
    following.put("Ingress", "other");
    following.translated(&[(Kind::Ingress, "other", missing())]);
    leading.translated(&[(Kind::Ingress, "web", missing())]);
    let events = leading.until_events(1).await;
    assert_eq!(events[0]["regarding"]["name"], "web");
    leading.leadership.send_replace(Leadership::Following);
    following.leadership.send_replace(Leadership::Leading);
    following.until_events(2).await;
}

#[tokio::test]
async fn what_comes_back_is_one_more_of_a_series() {
    let running = Running::start().await;
    running.put("Ingress", "web");
    for count in [1, 2, 3] {
        running.translated(&[(Kind::Ingress, "web", missing())]);
        let is_counted = |event: &Value| match count {
            1 => event["regarding"]["name"] == "web",
            count => event["series"]["count"] == count,
        };
        running.server.until(|store| store.all("Event").any(is_counted)).await;
        // It is over when what comes with its end is told.
        let other = format!("other-{count}");
        running.put("Ingress", &other);
        running.translated(&[(Kind::Ingress, &other, missing())]);
        running.server.until(|store| store.all("Event").any(|event| event["regarding"]["name"] == *other)).await;
    }
    running.until_events(4).await;
    let writes: Vec<_> = running.server.log().into_iter().filter(is_write).collect();
    assert_eq!(writes.iter().filter(|request| request.verb == Verb::Create).count(), 4);
    assert!(writes.iter().all(|request| request.verb != Verb::Get && request.verb != Verb::List), "no other right");
}

#[tokio::test]
async fn a_problem_that_lasts_is_told_again_before_its_event_expires() {
    let timing = Timing { heartbeat: Duration::from_millis(50), ..fast() };
    let running = Running::on(Arc::new(ApiServer::start().await), "tidegate-0", timing).await;
    running.put("Ingress", "web");
    running.translated(&[(Kind::Ingress, "web", missing())]);
    running.server.until(|store| store.all("Event").any(|event| event["series"]["count"] == 3)).await;
    // It has expired nevertheless.
    let event = running.until_events(1).await.remove(0);
    let name = event["metadata"]["name"].as_str().expect("a name");
    running.server.delete("Event", "shop", name);
    let events = running.until_events(1).await;
    assert_ne!(events[0]["metadata"]["uid"], event["metadata"]["uid"]);
}

#[tokio::test]
async fn an_object_that_is_gone_has_no_events_and_a_secret_need_not_be_readable() {
    let running = Running::start().await;
    running.server.rule(Rule::new("secrets", Answer::Status(403)));
    running.put("Secret", "tls");
    let problem = || Problem::whole(Reason::BadCertificate, "the key does not fit");
    running.translated(&[(Kind::Ingress, "gone", missing()), (Kind::Secret, "tls", problem())]);
    let events = running.until_events(1).await;
    assert_eq!(
        events[0]["regarding"],
        json!({"apiVersion": "v1", "kind": "Secret", "namespace": "shop", "name": "tls"})
    );
    // It is made after its status: by hand, or by who restores a backup.
    running.put("Ingress", "gone");
    running.until_events(2).await;
}

#[tokio::test]
async fn failures_are_tried_again() {
    for code in [500, 403, 429] {
        let running = Running::start().await;
        running.server.rule(Rule::new("events", Answer::Status(code)).times(2));
        running.put("Ingress", "web");
        running.translated(&[(Kind::Ingress, "web", missing())]);
        running.until_events(1).await;
        assert_eq!(running.server.log().iter().filter(|request| is_write(request)).count(), 3);
    }
}

#[tokio::test]
async fn many_problems_at_once_are_a_burst_and_then_a_trickle() {
    let running = Running::start().await;
    let names: Vec<String> = (0..28).map(|number| format!("i{number}")).collect();
    names.iter().for_each(|name| running.put("Ingress", name));
    let begin = Instant::now();
    running.translated(&names.iter().map(|name| (Kind::Ingress, name.as_str(), missing())).collect::<Vec<_>>());
    running.until_events(28).await;
    // Three more than the bucket holds, at one a second.
    assert!(begin.elapsed() > Duration::from_millis(1800), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_busy_server_is_left_alone_by_all_events() {
    let running = Running::start().await;
    running.server.rule(Rule::new("events", Answer::Busy(1)).times(1));
    let names: Vec<String> = (0..5).map(|number| format!("i{number}")).collect();
    names.iter().for_each(|name| running.put("Ingress", name));
    let begin = Instant::now();
    running.translated(&names.iter().map(|name| (Kind::Ingress, name.as_str(), missing())).collect::<Vec<_>>());
    running.server.until_log(|log| log.iter().filter(|request| is_write(request)).count() > 1).await;
    assert!(begin.elapsed() >= Duration::from_secs(1), "{:?}", begin.elapsed());
}
