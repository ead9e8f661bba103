use super::*;
use crate::cluster::api_server::{Answer, ApiServer, Rule, Verb, until};
use crate::run::{Figures, Outputs, ProgrammedKind, run};
use crate::{Reason, Statuses, TranslateSettings};
use config::{DomainName, IngressSettings, ListenerName, Reader, publisher};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::timeout;

mod first_secrets;
mod names_alone;
mod refusals;
mod refused_secrets;

const PATIENCE: Duration = Duration::from_secs(30);
/// Of a watch that is not for a test's server: it is tried again soon, as all are.
const AWAY: Answer = Answer::Status(500);

fn object(api_version: &str, kind: &str, name: &str, spec: &Value) -> Value {
    let mut object = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": "shop"}});
    let whole = object.as_object_mut().expect("an object");
    whole.extend(spec.as_object().expect("fields").clone());
    object
}

fn service(name: &str) -> Value {
    object("v1", "Service", name, &json!({"spec": {"clusterIP": "10.96.0.9", "ports": [{"name": "http", "port": 80}]}}))
}

fn ingress(name: &str, host: &str, secret: Option<&str>) -> Value {
    let tls: Vec<_> = secret.iter().map(|secret| json!({"hosts": [host], "secretName": secret})).collect();
    let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
    let paths = json!([{"path": "/", "pathType": "Prefix", "backend": backend}]);
    let rules = json!([{"host": host, "http": {"paths": paths}}]);
    let spec = json!({"spec": {"ingressClassName": "tidegate", "tls": tls, "rules": rules}});
    object("networking.k8s.io/v1", "Ingress", name, &spec)
}

fn slice(address: &str, annotations: Value) -> Value {
    let mut slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "web-1", "namespace": "shop", "labels": {"kubernetes.io/service-name": "web"}},
        "ports": [{"name": "http", "port": 8080}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": true}}],
    });
    slice["metadata"]["annotations"] = annotations;
    slice
}

fn secret(name: &str) -> Value {
    let pair = rcgen::generate_simple_self_signed(vec![format!("{name}.example")]).expect("made");
    let data = json!({"stringData": {"tls.crt": pair.cert.pem(), "tls.key": pair.signing_key.serialize_pem()}});
    object("v1", "Secret", name, &data)
}

/// A cluster that is followed as the program does it.
struct Running {
    server: Arc<ApiServer>,
    reader: config::Subscriber,
    statuses: watch::Receiver<Arc<Statuses>>,
    progress: watch::Receiver<Progress>,
    figures: watch::Receiver<Option<Figures>>,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    async fn new(objects: Vec<Value>) -> Self {
        Self::watching(ApiServer::start().await, objects, Watched::default()).await
    }

    async fn watching(server: ApiServer, objects: Vec<Value>, watched: Watched) -> Self {
        for object in objects {
            server.put(object);
        }
        Self::beside(&Arc::new(server), watched).await
    }

    /// One more that follows the same server.
    async fn beside(server: &Arc<ApiServer>, watched: Watched) -> Self {
        let server = Arc::clone(server);
        let (publisher, reader) = publisher();
        let (statuses_sender, statuses) = watch::channel(Arc::default());
        let (figures_sender, figures) = watch::channel(None);
        let secrets = watch::Sender::default();
        let Following { source, progress, seen: _ } = follow(server.clients().await, watched, secrets.subscribe());
        let figures_sender = move |figures: &Figures| drop(figures_sender.send_replace(Some(figures.clone())));
        let outputs = Outputs { publisher, statuses: statuses_sender, secrets, figures: figures_sender };
        let cluster_domain = DomainName::cluster_local();
        let settings = TranslateSettings { ingress: IngressSettings::default(), cluster_domain };
        let task = tokio::spawn(run(source, settings, outputs, std::future::pending()));
        Self { server, reader, statuses, progress, figures, task }
    }

    async fn ready(&self) -> Reader {
        timeout(PATIENCE, self.reader.clone().ready()).await.expect("in time").expect("a snapshot")
    }

    /// Waits until the status of an Ingress has that problem, or none.
    async fn until_problem(&self, ingress: &str, reason: Option<Reason>) {
        let name = config::ObjectRef::new(config::Kind::Ingress, "shop", ingress);
        until(self.statuses.clone(), |statuses| {
            let problems = &statuses.find(&name).problems;
            statuses.iter().any(|(object, _)| **object == name)
                && problems.iter().map(|problem| problem.reason).find(|reason| *reason != Reason::NoEndpoint) == reason
        })
        .await;
    }

    async fn until_progress(&self, claim: impl FnMut(&Progress) -> bool) {
        until(self.progress.clone(), claim).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn until_snapshot(reader: &mut Reader, mut claim: impl FnMut(&config::Snapshot) -> bool) {
    let until = async {
        while !claim(&reader.current()) {
            assert!(reader.changed().await, "no more snapshots");
        }
    };
    timeout(PATIENCE, until).await.expect("in time");
}

fn hosts(snapshot: &config::Snapshot) -> usize {
    snapshot.routing.listener(ListenerName::Http).map_or(0, |listener| listener.hosts.iter().count())
}

#[tokio::test]
async fn nothing_is_served_before_every_kind_is_listed() {
    let server = ApiServer::start().await;
    server.rule(Rule::new("endpointslices", AWAY));
    let objects = vec![service("web"), ingress("web", "a.example", None), slice("10.1.0.1", json!({}))];
    let running = Running::watching(server, objects, Watched::default()).await;
    let waits = |progress: &Progress| {
        progress.waits().is_some_and(|waits| {
            waits.starts_with("waiting for http://127.0.0.1:")
                && waits.ends_with("to list EndpointSlice (told to answer 500 Internal Server Error)")
        })
    };
    running.until_progress(waits).await;
    assert!(running.reader.current().is_none());
    assert!(!running.progress.borrow().is_connected());
    running.server.forgive();
    let reader = running.ready().await;
    assert_eq!((hosts(&reader.current()), reader.current().backends.len()), (1, 1));
    running.until_progress(|progress| progress.is_connected() && progress.waits().is_none()).await;
}

#[tokio::test]
async fn the_first_snapshot_has_the_certificates_that_its_hosts_name() {
    let objects = vec![service("web"), ingress("web", "web.example", Some("web")), secret("web"), secret("other")];
    let running = Running::new(objects).await;
    let snapshot = running.ready().await.current();
    assert_eq!(snapshot.generation, 1);
    let listener = snapshot.routing.listener(ListenerName::Https).expect("HTTPS");
    assert!(!listener.certificates.find(Some("web.example")).is_empty());
    let asked: Vec<_> = running.server.log().into_iter().filter(|request| request.resource == "secrets").collect();
    assert_eq!(asked.len(), 1, "{asked:?}");
    let one = &asked[0];
    assert!(one.verb == Verb::Watch && one.query.contains("fieldSelector=metadata.name%3Dweb"), "{one:?}");
    assert_eq!(one.path, "/api/v1/namespaces/shop/secrets");
}

#[tokio::test]
async fn secrets_are_watched_as_long_as_they_are_named() {
    let running = Running::new(vec![service("web"), ingress("web", "a.example", None)]).await;
    running.ready().await;
    running.server.put(ingress("web", "a.example", Some("a")));
    running.until_problem("web", Some(Reason::SecretNotFound)).await;
    running.server.put(secret("a"));
    running.until_problem("web", None).await;
    running.server.delete("Secret", "shop", "a");
    running.until_problem("web", Some(Reason::SecretNotFound)).await;
    running.server.put(ingress("web", "a.example", Some("b")));
    running.server.put(secret("b"));
    running.until_problem("web", Some(Reason::HostNotCovered)).await;
    let secrets = |progress: &Progress| -> Vec<String> {
        progress.scopes.keys().filter(|scope| scope.as_secret().is_some()).map(ToString::to_string).collect()
    };
    running.until_progress(|progress| secrets(progress) == ["Secret shop/b"]).await;
}

#[tokio::test]
async fn what_is_needed_and_forbidden_is_out_of_date() {
    let running = Running::new(vec![service("web")]).await;
    running.ready().await;
    running.server.down().await;
    running.server.rule(Rule::new("services", Answer::Status(403)));
    running.server.up().await;
    let faults = |progress: &Progress| -> Vec<String> {
        let faulty = progress.scopes.iter().filter(|(_, state)| state.fault.is_some());
        faulty.map(|(scope, _)| scope.to_string()).collect()
    };
    let is_forbidden = |(scope, fault, _): (&Scope, &Fault, Instant)| {
        scope.resource.kind == "Service" && matches!(fault, Fault::Forbidden(_))
    };
    running
        .until_progress(|progress| faults(progress) == ["Service"] && progress.outage().is_some_and(is_forbidden))
        .await;
    assert!(!running.progress.borrow().is_connected());
}

/// A collector that watches nothing yet.
fn collector(clients: Clients, wanted: watch::Receiver<WantedSecrets>, batches: mpsc::Sender<Batch>) -> Collector {
    let (sender, said) = mpsc::channel(QUEUE);
    let outlets = Outlets { said: sender, seen: mpsc::unbounded_channel().0 };
    let (scopes, secrets, refused, watched, tasks, told, progress) = Default::default();
    Collector {
        clients,
        watched,
        tasks,
        outlets,
        said,
        scopes,
        secrets,
        refused,
        last: 0,
        wanted,
        progress,
        told,
        batches,
    }
}

#[tokio::test]
async fn a_watch_that_panics_ends_the_source() {
    let server = ApiServer::start().await;
    let (batches, mut received) = mpsc::channel(1);
    let (_wanted, wanted) = watch::channel(None);
    let mut collector = collector(server.clients().await, wanted, batches);
    collector.tasks.spawn(async { panic!("as it was meant to") });
    let collecting = tokio::spawn(collector.run());
    while timeout(PATIENCE, received.recv()).await.expect("in time").is_some() {}
    collecting.await.expect("it ended by itself");
}

#[tokio::test]
async fn secrets_of_other_namespaces_than_those_allowed_are_not_asked_for() {
    let watched = Watched { secret_namespaces: vec!["certificates".into()], ..Watched::default() };
    let objects = vec![service("web"), ingress("web", "web.example", Some("web")), secret("web")];
    let running = Running::watching(ApiServer::start().await, objects, watched).await;
    running.ready().await;
    running.until_problem("web", Some(Reason::SecretForbidden)).await;
    assert!(running.server.log().iter().all(|request| request.resource != "secrets"));
}

#[tokio::test]
async fn what_is_scoped_is_asked_for_in_its_scope() {
    let watched = Watched {
        namespaces: vec!["shop".into()],
        selector: Some("team=a".into()),
        services: vec![ObjectName { namespace: "edge".into(), name: "fallback".into() }],
        ..Watched::default()
    };
    let mut ours = ingress("ours", "a.example", None);
    ours["metadata"]["labels"] = json!({"team": "a"});
    let mut elsewhere = ingress("web", "c.example", None);
    elsewhere["metadata"]["namespace"] = json!("other");
    let objects = vec![ours, ingress("theirs", "b.example", None), elsewhere];
    let running = Running::watching(ApiServer::start().await, objects, watched).await;
    let reader = running.ready().await;
    assert_eq!(hosts(&reader.current()), 1);
    let mut paths: Vec<_> = running.server.log().into_iter().map(|request| request.path).collect();
    paths.sort();
    assert_eq!(
        paths,
        [
            "/api/v1/namespaces",
            "/api/v1/namespaces/edge/services",
            "/api/v1/namespaces/shop/services",
            "/apis/discovery.k8s.io/v1/namespaces/edge/endpointslices",
            "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices",
            "/apis/networking.k8s.io/v1/ingressclasses",
            "/apis/networking.k8s.io/v1/namespaces/shop/ingresses",
        ]
    );
}

#[tokio::test]
async fn without_the_server_all_is_served_on_and_what_was_missed_comes_in_one_go() {
    let mut other = slice("10.1.0.9", json!({}));
    other["metadata"]["name"] = json!("other-1");
    other["metadata"]["labels"] = json!({"kubernetes.io/service-name": "other"});
    let objects = vec![service("web"), ingress("a", "moved.example", None), slice("10.1.0.1", json!({})), other];
    let running = Running::new(objects).await;
    let mut reader = running.ready().await;
    let before = reader.current();
    running.server.down().await;
    running.until_progress(|progress| !progress.is_connected()).await;
    // A host moves from one Ingress to another, and nothing of that can be watched any more.
    running.server.delete("Ingress", "shop", "a");
    running.server.put(ingress("b", "moved.example", None));
    running.server.put(ingress("c", "new.example", None));
    running.server.delete("EndpointSlice", "shop", "web-1");
    running.server.compact();
    assert!(Arc::ptr_eq(&before, &reader.current()), "nothing shrinks");
    running.server.up().await;
    until_snapshot(&mut reader, |snapshot| {
        let listener = snapshot.routing.listener(ListenerName::Http).expect("HTTP");
        assert!(listener.hosts.owner("moved.example").is_some(), "a moved host is never nowhere");
        hosts(snapshot) == 2 && snapshot.backends.iter().all(|backend| backend.endpoints.is_empty())
    })
    .await;
    running.until_progress(|progress| progress.is_connected() && progress.staleness().is_zero()).await;
}

#[tokio::test]
async fn a_list_that_says_nothing_new_makes_no_snapshot() {
    let running = Running::new(vec![service("web"), ingress("a", "a.example", None)]).await;
    let reader = running.ready().await;
    running.server.down().await;
    running.until_progress(|progress| !progress.is_connected()).await;
    running.server.put(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}}));
    running.server.compact();
    running.server.up().await;
    running.until_progress(|progress| progress.is_connected() && progress.counts()["Ingress"].lists == 2).await;
    assert_eq!(reader.current().generation, 1);
}

#[tokio::test]
async fn the_time_from_a_trigger_to_its_effect_is_told() {
    let trigger = |ago: i64| {
        let time = Timestamp::now() - jiff::SignedDuration::from_secs(ago);
        json!({"endpoints.kubernetes.io/last-change-trigger-time": time.to_string()})
    };
    let running =
        Running::new(vec![service("web"), ingress("a", "a.example", None), slice("10.1.0.1", trigger(9))]).await;
    running.ready().await;
    let at_start = running.figures.borrow().clone().expect("figures");
    assert_eq!(at_start.propagation.routes, None, "what was there before is no news");
    assert_eq!(at_start.programmed, [], "what was there before is no news");
    running.server.put(slice("10.1.0.2", trigger(5)));
    let mut figures = running.figures.clone();
    let told = figures.wait_for(|figures| figures.as_ref().is_some_and(|figures| figures.propagation.routes.is_some()));
    let told = timeout(PATIENCE, told).await.expect("in time").expect("told").clone().expect("figures");
    let took = told.propagation.routes;
    assert!(took.is_some_and(|took| (5..9).contains(&took.as_secs())), "{took:?}");
    let programmed: Vec<_> = told.programmed.iter().map(|one| (one.kind, one.took.as_secs())).collect();
    assert!(matches!(programmed[..], [(ProgrammedKind::ClusterIp, 5..9)]), "{programmed:?}");
    running.server.put(slice("10.1.0.3", json!({"endpoints.kubernetes.io/last-change-trigger-time": "yesterday"})));
    let is_next = |figures: &Option<Figures>| figures.as_ref().is_some_and(|next| next.generation > told.generation);
    let next = timeout(PATIENCE, figures.wait_for(is_next)).await.expect("in time").expect("told").clone();
    assert_eq!(next.expect("figures").programmed, [], "a time that cannot be read is none");
}

#[tokio::test]
async fn an_object_that_cannot_be_read_takes_nothing_away() {
    let objects = vec![service("web"), ingress("a", "a.example", None), ingress("b", "b.example", None)];
    let running = Running::new(objects).await;
    let mut reader = running.ready().await;
    running.server.rule(Rule::new("ingresses", Answer::Undecodable("a")));
    running.server.down().await;
    running.until_progress(|progress| !progress.is_connected()).await;
    running.server.put(ingress("c", "c.example", None));
    running.server.compact();
    running.server.up().await;
    until_snapshot(&mut reader, |snapshot| {
        assert!(hosts(snapshot) >= 2);
        hosts(snapshot) == 3
    })
    .await;
}

#[tokio::test]
async fn an_empty_list_of_what_every_cluster_has_is_not_believed() {
    let objects = vec![service("web"), ingress("a", "a.example", None), slice("10.1.0.1", json!({}))];
    let running = Running::new(objects).await;
    let mut reader = running.ready().await;
    let before = reader.current();
    assert!(before.backends.iter().any(|backend| !backend.endpoints.is_empty()));
    running.server.down().await;
    running.until_progress(|progress| !progress.is_connected()).await;
    running.server.delete("EndpointSlice", "shop", "web-1");
    running.server.compact();
    running.server.up().await;
    running
        .until_progress(|progress| {
            let outage = progress.outage().map(|(scope, fault, _)| format!("{scope}: {fault}")).unwrap_or_default();
            outage == "EndpointSlice: the list is empty, which no cluster's is"
        })
        .await;
    assert!(Arc::ptr_eq(&before.backends, &reader.current().backends), "nothing is taken away");
    running.server.put(slice("10.1.0.2", json!({})));
    until_snapshot(&mut reader, |snapshot| !Arc::ptr_eq(&before.backends, &snapshot.backends)).await;
    running.until_progress(Progress::is_connected).await;
}
