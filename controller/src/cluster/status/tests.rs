use super::*;
use crate::cluster::api_server::{Answer, ApiServer, Logged, Rule, Verb};
use crate::{Status, Verdict};
use config::Kind;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

struct Running {
    server: Arc<ApiServer>,
    seen: mpsc::UnboundedSender<Seen>,
    statuses: watch::Sender<Arc<Statuses>>,
    addresses: watch::Sender<Option<Arc<[Address]>>>,
    leadership: watch::Sender<Leadership>,
    _task: JoinHandle<()>,
}

impl Running {
    async fn start() -> Self {
        Self::on(Arc::new(ApiServer::start().await)).await
    }

    async fn on(server: Arc<ApiServer>) -> Self {
        Self::of("tidegate", server).await
    }

    async fn of(manager: &str, server: Arc<ApiServer>) -> Self {
        let (seen, seen_receiver) = mpsc::unbounded_channel();
        let (statuses, statuses_receiver) = watch::channel(Arc::default());
        let (addresses, addresses_receiver) = watch::channel(Some(address("10.0.0.1")));
        let (leadership, leadership_receiver) = watch::channel(Leadership::Leading);
        let inputs = StatusInputs {
            manager: manager.into(),
            seen: seen_receiver,
            statuses: statuses_receiver,
            addresses: addresses_receiver,
            leadership: leadership_receiver,
        };
        let clients = server.clients().await;
        let task = tokio::spawn(write_statuses(clients, inputs, std::future::pending()));
        Self { server, seen, statuses, addresses, leadership, _task: task }
    }

    /// Tells what is in the server.
    fn tell(&self, name: &str) {
        let object = self.server.find("Ingress", "shop", name).expect("there");
        let seen = seen(&serde_json::from_value(object).expect("an Ingress"));
        self.seen.send(Seen::Ingress(seen)).expect("heard");
    }

    fn put(&self, name: &str, status: &Value) {
        self.server.put(json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
                               "metadata": {"name": name, "namespace": "shop"}, "spec": {}, "status": status}));
        self.tell(name);
    }

    fn translated(&self, verdicts: &[(String, Verdict)]) {
        let mut statuses = Statuses::default();
        for (name, verdict) in verdicts {
            let status = Status { verdict: *verdict, problems: Vec::new() };
            statuses.set(&Arc::new(ObjectRef::new(Kind::Ingress, "shop", name.as_str())), Some(status));
        }
        self.statuses.send_replace(Arc::new(statuses));
    }

    async fn until_published(&self, name: &str, expected: Value) {
        self.server
            .until(|store| {
                let object = store.find("Ingress", "shop", name).expect("there");
                object["status"]["loadBalancer"]["ingress"] == expected
            })
            .await;
    }

    fn writes(&self) -> usize {
        writes(&self.server.log())
    }
}

fn writes(log: &[Logged]) -> usize {
    log.iter().filter(|request| request.is(Verb::PatchStatus, "ingresses")).count()
}

fn address(text: &str) -> Arc<[Address]> {
    Arc::from([text.parse().expect("an address")])
}

fn ours(name: &str) -> (String, Verdict) {
    (name.to_owned(), Verdict::Accepted)
}

#[tokio::test]
async fn a_thousand_ingresses_are_a_thousand_writes() {
    let running = Running::start().await;
    let names: Vec<String> = (0..1000).map(|number| format!("i{number}")).collect();
    running.translated(&names.iter().map(|name| ours(name)).collect::<Vec<_>>());
    for name in &names {
        running.put(name, &json!({}));
    }
    running
        .server
        .until(|store| store.all("Ingress").all(|object| object["status"]["loadBalancer"]["ingress"].is_array()))
        .await;
    // Its own writes come back by the watch.
    for name in &names {
        running.tell(name);
    }
    running.put("last", &json!({}));
    running.translated(&names.iter().map(String::as_str).chain(["last"]).map(ours).collect::<Vec<_>>());
    running.until_published("last", json!([{"ip": "10.0.0.1"}])).await;
    assert_eq!(running.writes(), 1001);
    let log = running.server.log();
    assert!(log.iter().all(|request| request.query.contains("fieldManager=tidegate")));
}

#[tokio::test]
async fn what_stops_being_ours_is_removed_and_what_is_foreign_stays() {
    let running = Running::start().await;
    let foreign = json!({"loadBalancer": {"ingress": [{"hostname": "other.example"}]}});
    running.put("foreign", &foreign);
    running.put("ours", &json!({}));
    let not_ours = |name: &str| (name.to_owned(), Verdict::NotOurs);
    running.translated(&[not_ours("foreign"), ours("ours")]);
    running.until_published("ours", json!([{"ip": "10.0.0.1"}])).await;
    running.translated(&[not_ours("foreign"), not_ours("ours")]);
    running.until_published("ours", Value::Null).await;
    assert_eq!(running.server.find("Ingress", "shop", "foreign").expect("there")["status"], foreign);
    assert_eq!(running.writes(), 2);
}

#[tokio::test]
async fn what_another_installation_wrote_is_not_removed() {
    let theirs = Running::start().await;
    let ours = Running::of("tidegate/edge/tidegate-leader", Arc::clone(&theirs.server)).await;
    theirs.put("a", &json!({}));
    theirs.translated(&[("a".to_owned(), Verdict::Accepted)]);
    theirs.until_published("a", json!([{"ip": "10.0.0.1"}])).await;
    ours.tell("a");
    ours.put("b", &json!({}));
    ours.translated(&[("a".to_owned(), Verdict::NotOurs), ("b".to_owned(), Verdict::Accepted)]);
    ours.until_published("b", json!([{"ip": "10.0.0.1"}])).await;
    // Later than what was due with that.
    ours.put("c", &json!({}));
    ours.translated(
        &["a", "b", "c"].map(|name| (name.to_owned(), if name == "a" { Verdict::NotOurs } else { Verdict::Accepted })),
    );
    ours.until_published("c", json!([{"ip": "10.0.0.1"}])).await;
    ours.until_published("a", json!([{"ip": "10.0.0.1"}])).await;
    assert_eq!(theirs.writes(), 3);
}

#[tokio::test]
async fn another_controllers_write_in_between_is_not_removed() {
    let running = Running::start().await;
    running.put("a", &json!({}));
    running.translated(&[ours("a")]);
    running.until_published("a", json!([{"ip": "10.0.0.1"}])).await;
    // Its new controller is faster than we are told of it.
    let mut object = running.server.find("Ingress", "shop", "a").expect("there");
    object["status"] = json!({"loadBalancer": {"ingress": [{"ip": "10.9.9.9"}]}});
    object["metadata"]["managedFields"] = json!([]);
    running.server.put(object);
    running.translated(&[("a".to_owned(), Verdict::NotOurs)]);
    running.server.until_log(|log| writes(log) == 2).await;
    running.tell("a");
    // Later than what may come of that.
    running.put("b", &json!({}));
    running.translated(&[("a".to_owned(), Verdict::NotOurs), ours("b")]);
    running.until_published("b", json!([{"ip": "10.0.0.1"}])).await;
    running.until_published("a", json!([{"ip": "10.9.9.9"}])).await;
    assert_eq!(running.writes(), 3);
}

#[tokio::test]
async fn who_follows_writes_nothing_until_it_leads() {
    let leading = Running::start().await;
    let following = Running::on(Arc::clone(&leading.server)).await;
    following.leadership.send_replace(Leadership::Following);
    for name in ["a", "b"] {
        leading.put(name, &json!({}));
        following.tell(name);
    }
    following.translated(&[ours("a"), ours("b")]);
    leading.translated(&[ours("a")]);
    leading.until_published("a", json!([{"ip": "10.0.0.1"}])).await;
    following.tell("a");
    assert_eq!(leading.writes(), 1);
    leading.leadership.send_replace(Leadership::Following);
    following.leadership.send_replace(Leadership::Leading);
    following.until_published("b", json!([{"ip": "10.0.0.1"}])).await;
    assert!(leading.server.log().iter().all(|request| request.verb == Verb::PatchStatus), "nothing is read for that");
    assert_eq!(leading.writes(), 2);
}

#[tokio::test]
async fn a_failed_write_is_repeated_and_keeps_no_other_one_up() {
    for code in [500, 429, 403, 422] {
        let running = Running::start().await;
        running.server.rule(Rule::new("ingresses", Answer::Status(code)).with("/a/status").times(1));
        running.put("a", &json!({}));
        running.put("b", &json!({}));
        let begin = Instant::now();
        running.translated(&[ours("a"), ours("b")]);
        running.until_published("b", json!([{"ip": "10.0.0.1"}])).await;
        running.until_published("a", json!([{"ip": "10.0.0.1"}])).await;
        assert!(begin.elapsed() >= Duration::from_secs(1), "{code}");
        assert_eq!(running.writes(), 3);
    }
}

#[tokio::test]
async fn new_addresses_replace_the_old_ones() {
    let running = Running::start().await;
    running.addresses.send_replace(None);
    running.put("a", &json!({}));
    running.translated(&[ours("a")]);
    running
        .addresses
        .send_replace(Some(Arc::from(["10.0.0.1", "lb.example.com"].map(|text| text.parse().expect("an address")))));
    running.until_published("a", json!([{"ip": "10.0.0.1"}, {"hostname": "lb.example.com"}])).await;
    running.addresses.send_replace(Some(address("2001:db8::1")));
    running.until_published("a", json!([{"ip": "2001:db8::1"}])).await;
    assert_eq!(running.writes(), 2);
}

#[tokio::test]
async fn an_ingress_that_is_gone_is_not_written_again() {
    let running = Running::start().await;
    running.put("a", &json!({}));
    running.server.delete("Ingress", "shop", "a");
    running.translated(&[ours("a")]);
    running.server.until_log(|log| writes(log) == 1).await;
    running.put("b", &json!({}));
    running.translated(&[ours("a"), ours("b")]);
    running.until_published("b", json!([{"ip": "10.0.0.1"}])).await;
    assert_eq!(running.writes(), 2);
}

#[tokio::test]
async fn labels_that_are_no_longer_watched_take_our_address_away() {
    let running = Running::start().await;
    for name in ["changed", "deleted", "taken"] {
        running.put(name, &json!({}));
    }
    running.translated(&["changed", "deleted", "taken"].map(ours));
    for name in ["changed", "deleted", "taken"] {
        running.until_published(name, json!([{"ip": "10.0.0.1"}])).await;
        running.tell(name);
    }
    let mut object = running.server.find("Ingress", "shop", "taken").expect("there");
    object["status"] = json!({"loadBalancer": {"ingress": [{"ip": "10.9.9.9"}]}});
    object["metadata"]["managedFields"] = json!([]);
    running.server.put(object);
    running.server.delete("Ingress", "shop", "deleted");
    for name in ["deleted", "taken", "changed"] {
        running.seen.send(Seen::Left(ObjectRef::new(Kind::Ingress, "shop", name))).expect("heard");
    }
    running.translated(&[]);
    let reads = |log: &[Logged]| log.iter().filter(|request| request.is(Verb::Get, "ingresses")).count();
    running.server.until_log(|log| reads(log) == 3 && writes(log) == 4).await;
    running.until_published("changed", Value::Null).await;
    running.until_published("taken", json!([{"ip": "10.9.9.9"}])).await;
    // Later than what may come of that.
    running.put("b", &json!({}));
    running.translated(&[ours("b")]);
    running.until_published("b", json!([{"ip": "10.0.0.1"}])).await;
    assert_eq!((running.writes(), reads(&running.server.log())), (5, 3));
}

#[tokio::test]
async fn a_busy_server_is_left_alone_by_all_writes() {
    let running = Running::start().await;
    running.server.rule(Rule::new("ingresses", Answer::Busy(1)).times(WRITES));
    let names: Vec<String> = (0..100).map(|number| format!("i{number}")).collect();
    running.translated(&names.iter().map(|name| ours(name)).collect::<Vec<_>>());
    let begin = Instant::now();
    names.iter().for_each(|name| running.put(name, &json!({})));
    running.server.until_log(|log| writes(log) > WRITES).await;
    assert!(begin.elapsed() >= Duration::from_secs(1), "{:?}", begin.elapsed());
}
