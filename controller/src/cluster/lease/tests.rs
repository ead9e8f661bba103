use super::super::api_server::{Answer, ApiServer, Rule, Verb, until};
use super::*;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A hundredth of the real ones, but for what a slow machine may need.
fn fast() -> Timing {
    Timing {
        patience: Duration::from_millis(1000),
        renew: Duration::from_millis(20),
        deadline: Duration::from_millis(500),
        call: Duration::from_millis(300),
        release: Duration::from_millis(100),
    }
}

struct Process {
    leadership: watch::Receiver<Leadership>,
    shutdown: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

async fn start(server: &ApiServer, identity: &str) -> Process {
    let election = Election { namespace: "tidegate".into(), name: "leader".into(), identity: identity.into() };
    let (sender, leadership) = watch::channel(Leadership::Following);
    let (shutdown, is_shut_down) = oneshot::channel();
    let clients = server.clients().await;
    let task = tokio::spawn(async move {
        stand(clients, election, fast(), sender, async { drop(is_shut_down.await) }).await;
    });
    Process { leadership, shutdown, task }
}

impl Process {
    async fn until(&self, expected: Leadership) {
        until(self.leadership.clone(), |leadership| *leadership == expected).await;
    }

    fn is(&self) -> Leadership {
        *self.leadership.borrow()
    }

    async fn stop(self) {
        self.shutdown.send(()).expect("running");
        self.task.await.expect("ended");
    }
}

fn lease(server: &ApiServer) -> Value {
    server.find("Lease", "tidegate", "leader").expect("a Lease")
}

#[tokio::test]
async fn the_first_leads_and_after_its_release_the_second_at_once() {
    let server = ApiServer::start().await;
    let first = start(&server, "first").await;
    first.until(Leadership::Leading).await;
    let spec = lease(&server)["spec"].clone();
    assert_eq!(spec["holderIdentity"], "first");
    assert_eq!((&spec["leaseDurationSeconds"], &spec["leaseTransitions"]), (&json!(15), &json!(0)));
    let time = spec["renewTime"].as_str().expect("a time");
    assert_eq!(time.split_once('.').map(|(_, fraction)| fraction.len()), Some("123456Z".len()), "{time}");

    let second = start(&server, "second").await;
    server.until_log(|log| log.iter().any(|request| request.is(Verb::Watch, "leases"))).await;
    assert_eq!(second.is(), Leadership::Following);
    let log = server.log();
    let watch = log.iter().find(|request| request.verb == Verb::Watch).expect("watched");
    assert!(watch.query.contains("fieldSelector=metadata.name%3Dleader"), "just the one: {}", watch.query);
    let creations: Vec<_> = log.iter().filter(|request| request.verb == Verb::Create).collect();
    assert_eq!(creations.len(), 1);
    assert_eq!(creations[0].body.as_ref().map(|lease| &lease["metadata"]["name"]), Some(&json!("leader")));
    let writes = |server: &ApiServer| server.log().iter().filter(|request| request.verb == Verb::Update).count();
    first.stop().await;
    let released = Instant::now();
    second.until(Leadership::Leading).await;
    assert!(released.elapsed() < fast().patience, "not by patience");
    let spec = lease(&server)["spec"].clone();
    assert_eq!((&spec["holderIdentity"], &spec["leaseTransitions"]), (&json!("second"), &json!(1)));

    let before = writes(&server);
    second.stop().await;
    let spec = lease(&server)["spec"].clone();
    assert_eq!((&spec["holderIdentity"], &spec["leaseDurationSeconds"]), (&json!(""), &json!(1)));
    assert!(writes(&server) > before);
}

#[tokio::test]
async fn a_dead_holder_is_followed_after_the_patience() {
    let server = ApiServer::start().await;
    let first = start(&server, "first").await;
    first.until(Leadership::Leading).await;
    let second = start(&server, "second").await;
    server.until_log(|log| log.iter().any(|request| request.is(Verb::Watch, "leases"))).await;
    let killed = Instant::now();
    first.task.abort();
    second.until(Leadership::Leading).await;
    let waited = killed.elapsed();
    assert!(waited > fast().patience - fast().renew * 2, "it renewed shortly before: {waited:?}");
}

#[tokio::test]
async fn of_two_that_write_one_leads() {
    let server = ApiServer::start().await;
    // Both see none and create it.
    let processes = [start(&server, "first").await, start(&server, "second").await];
    let leading = || processes.iter().filter(|process| process.is() == Leadership::Leading).count();
    for _ in 0..20 {
        let version = server.version();
        server.until(|store| store.version() > version).await;
        assert!(leading() <= 1);
    }
    assert_eq!(leading(), 1);
}

#[tokio::test]
async fn who_cannot_renew_stops_before_another_may_lead() {
    let server = ApiServer::start().await;
    let first = start(&server, "first").await;
    first.until(Leadership::Leading).await;
    for answer in [Answer::Status(500), Answer::Silence, Answer::Status(403), Answer::Status(429)] {
        server.rule(Rule::new("leases", answer));
        let begin = Instant::now();
        first.until(Leadership::Following).await;
        assert!(begin.elapsed() < fast().patience);
        server.forgive();
        first.until(Leadership::Leading).await;
    }
    server.down().await;
    first.until(Leadership::Following).await;
    server.up().await;
    first.until(Leadership::Leading).await;
}

#[tokio::test]
async fn a_conflict_over_its_own_lease_is_none() {
    let server = ApiServer::start().await;
    let first = start(&server, "first").await;
    first.until(Leadership::Leading).await;
    // As `kubectl label` does, between two renewals.
    let mut labelled = lease(&server);
    labelled["metadata"]["labels"] = json!({"a": "b"});
    server.put(labelled);
    server.clear_log();
    let is_renewal = |request: &super::super::api_server::Logged| request.is(Verb::Update, "leases");
    server.until_log(|log| log.iter().filter(|request| is_renewal(request)).count() > 3).await;
    assert_eq!(first.is(), Leadership::Leading);
    assert_eq!(lease(&server)["metadata"]["labels"], json!({"a": "b"}), "kept");
}

#[tokio::test]
async fn a_server_that_refuses_every_write_is_not_pressed() {
    let server = ApiServer::start().await;
    let first = start(&server, "first").await;
    first.until(Leadership::Leading).await;
    server.clear_log();
    server.rule(Rule::new("leases", Answer::Status(409)).verb(Verb::Update));
    first.until(Leadership::Following).await;
    let most = fast().deadline.as_millis() / fast().renew.as_millis() * u128::from(TRIES) * 2;
    assert!(server.log().len() <= usize::try_from(most).expect("a number"), "{}", server.log().len());
    server.forgive();
    first.until(Leadership::Leading).await;
}

#[tokio::test]
async fn a_server_that_asks_for_time_is_left_alone_for_it() {
    let server = ApiServer::start().await;
    let first = start(&server, "first").await;
    first.until(Leadership::Leading).await;
    // Longer than a leader may be without an answer: it asks no more until it stops to lead.
    server.rule(Rule::new("leases", Answer::Busy(1)).times(1));
    server.clear_log();
    first.until(Leadership::Following).await;
    let writes = server.log().iter().filter(|request| request.verb == Verb::Update).count();
    assert!(writes <= 2, "{writes}: one was refused, and one may have come since");
    first.until(Leadership::Leading).await;
}

#[tokio::test]
async fn who_lost_its_lease_to_another_follows() {
    let server = ApiServer::start().await;
    let first = start(&server, "first").await;
    first.until(Leadership::Leading).await;
    let mut taken = lease(&server);
    taken["spec"]["holderIdentity"] = json!("thief");
    server.put(taken);
    first.until(Leadership::Following).await;
    // The thief never renews.
    first.until(Leadership::Leading).await;
    assert_eq!(lease(&server)["spec"]["holderIdentity"], "first");
}

#[tokio::test]
async fn a_deleted_lease_is_made_again() {
    let server = ApiServer::start().await;
    let first = start(&server, "first").await;
    first.until(Leadership::Leading).await;
    server.delete("Lease", "tidegate", "leader");
    server.until(|store| store.find("Lease", "tidegate", "leader").is_some()).await;
    first.until(Leadership::Leading).await;
}

#[tokio::test]
async fn a_follower_gives_nothing_up() {
    let server = ApiServer::start().await;
    let first = start(&server, "first").await;
    first.until(Leadership::Leading).await;
    let second = start(&server, "second").await;
    server.until_log(|log| log.iter().any(|request| request.is(Verb::Watch, "leases"))).await;
    second.stop().await;
    assert_eq!(lease(&server)["spec"]["holderIdentity"], "first");
    first.task.abort();
}

#[tokio::test]
async fn who_is_stopped_does_not_wait_for_a_server_that_hangs() {
    let server = ApiServer::start().await;
    let first = start(&server, "first").await;
    first.until(Leadership::Leading).await;
    server.stop();
    let begin = Instant::now();
    first.stop().await;
    let took = begin.elapsed();
    assert!(took >= fast().release && took < fast().call, "{took:?}");
}

#[tokio::test]
async fn watches_that_end_or_are_refused_make_it_a_poll() {
    for answer in [Answer::Status(403), Answer::Cut { after: 0, how: super::super::api_server::Cut::End }] {
        let server = ApiServer::start().await;
        let first = start(&server, "first").await;
        first.until(Leadership::Leading).await;
        server.rule(Rule::new("leases", answer.clone()).verb(Verb::Watch).with("metadata.name%3Dleader"));
        let second = start(&server, "second").await;
        server.until_log(|log| log.iter().filter(|request| request.is(Verb::Watch, "leases")).count() > 2).await;
        first.stop().await;
        second.until(Leadership::Leading).await;
    }
}

#[test]
fn a_missing_right_is_told_once_with_the_rule_that_grants_it() {
    let log = crate::text_log::logged(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let server = ApiServer::start().await;
            server.rule(Rule::new("leases", Answer::Status(403)).times(3));
            start(&server, "first").await.until(Leadership::Leading).await;
        });
    });
    let is_told = |line: &&str| line.contains("hold Lease tidegate/leader") && !line.starts_with("DEBUG");
    let lines: Vec<_> = log.lines().filter(is_told).collect();
    let [warning, end] = lines[..] else { panic!("{log}") };
    let rule = "grant get, list, watch, create and update on leases of coordination.k8s.io in namespace tidegate";
    assert!(warning.starts_with("WARN") && warning.contains("told to answer 403") && warning.contains(rule), "{log}");
    assert!(end.starts_with("INFO") && end.contains("again"), "{log}");
}

#[test]
fn identities_differ() {
    let (one, other) = (Election::identity("tidegate-0"), Election::identity("tidegate-0"));
    assert!(one.starts_with("tidegate-0_") && one != other);
}
