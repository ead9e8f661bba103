use super::*;
use crate::cluster::api_server::{Answer, ApiServer, Rule, Verb, until};
use crate::cluster::clients::Clients;
use crate::cluster::reflector::{Event, Reflector};
use crate::cluster::resource::SERVICES;
use crate::cluster::scope::Scope;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Service as KubeService;
use kube::Api;
use kube::api::{ListParams, ObjectMeta, PostParams};
use tokio::sync::watch;

/// Keeps what it is told.
struct Told(watch::Sender<Vec<String>>);

impl RequestObserver for Told {
    fn answered(&self, method: &'static str, host: &str, code: Option<u16>) {
        let code = code.map_or("nothing".to_owned(), |code| code.to_string());
        self.0.send_modify(|told| told.push(format!("{method} {host} {code}")));
    }

    fn ended(&self, method: &'static str, host: &str, _took: Duration) {
        self.0.send_modify(|told| told.push(format!("{method} {host} ended")));
    }
}

/// Clients of a server, what they tell of their requests, and how the server is called there.
async fn observed(server: &ApiServer) -> (Clients, watch::Receiver<Vec<String>>, String) {
    let (sender, told) = watch::channel(Vec::new());
    let clients = Clients::new(&server.access(), Arc::new(Told(sender))).await.expect("a kubeconfig");
    let host = clients.server().replace("http://", "");
    (clients, told, host)
}

/// What was told since the last time.
fn taken(told: &mut watch::Receiver<Vec<String>>, seen: &mut usize, host: &str) -> Vec<String> {
    let all = told.borrow_and_update();
    let new = all.get(*seen..).unwrap_or_default().iter().map(|line| line.replace(&format!(" {host}"), "")).collect();
    *seen = all.len();
    new
}

#[tokio::test]
async fn each_request_is_told_by_its_method_and_what_it_came_to() {
    let server = ApiServer::start().await;
    let (clients, mut told, host) = observed(&server).await;
    let mut seen = 0;
    let services = Api::<KubeService>::all(clients.calls());
    services.list(&ListParams::default()).await.expect("a list");
    assert_eq!(taken(&mut told, &mut seen, &host), ["GET 200", "GET ended"]);
    assert!(told.borrow().iter().all(|line| line.contains(&format!(" {host} "))), "{:?}", told.borrow());

    let leases = Api::<Lease>::namespaced(clients.calls(), "shop");
    let metadata = ObjectMeta { name: Some("web".to_owned()), ..ObjectMeta::default() };
    let lease = Lease { metadata, ..Lease::default() };
    leases.create(&PostParams::default(), &lease).await.expect("created");
    assert_eq!(taken(&mut told, &mut seen, &host), ["POST 201", "POST ended"]);

    // The client makes errors of these; they are answers all the same.
    for (answer, expected) in [(Answer::Status(403), "GET 403"), (Answer::Busy(1), "GET 429")] {
        server.rule(Rule::new("services", answer).verb(Verb::List).times(1));
        services.list(&ListParams::default()).await.expect_err("refused");
        assert_eq!(taken(&mut told, &mut seen, &host), [expected, "GET ended"]);
    }

    server.down().await;
    services.list(&ListParams::default()).await.expect_err("nobody is there");
    assert_eq!(taken(&mut told, &mut seen, &host), ["GET nothing", "GET ended"]);
}

#[tokio::test]
async fn a_watch_is_told_once_and_has_no_duration() {
    let server = ApiServer::start().await;
    let (clients, mut told, host) = observed(&server).await;
    let mut reflector = Reflector::new(clients.watch().expect("a client"), Scope::of(SERVICES));
    assert!(matches!(reflector.next().await, Event::Begin));
    drop(reflector);
    assert_eq!(taken(&mut told, &mut 0, &host), ["GET 200"]);
}

#[tokio::test]
async fn a_request_that_is_given_up_had_no_answer() {
    let server = ApiServer::start().await;
    let (clients, mut told, host) = observed(&server).await;
    server.rule(Rule::new("services", Answer::Silence));
    let services = Api::<KubeService>::all(clients.calls());
    let asking = tokio::spawn(async move { services.list(&ListParams::default()).await });
    server.until_log(|log| log.len() == 1).await;
    assert_eq!(told.borrow().len(), 0);
    asking.abort();
    until(told.clone(), |told| told.len() == 2).await;
    assert_eq!(taken(&mut told, &mut 0, &host), ["GET nothing", "GET ended"]);
}

#[test]
fn a_host_is_told_without_credentials() {
    for (server, host) in [
        ("https://10.96.0.1:443/", "10.96.0.1:443"),
        ("https://user:word@api.example/base", "api.example"),
        ("http://[::1]:8080", "[::1]:8080"),
        ("/base", "none"),
    ] {
        assert_eq!(&*Observer::new(Arc::new(()), &server.parse().expect("a URL")).host, host);
    }
}
