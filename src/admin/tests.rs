use super::connections::{CONNECTIONS, IDLE};
use super::*;
use config::publisher;
use controller::run::once;
use controller::source::load;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(10);

/// An admin endpoint and what it is told.
struct Endpoint {
    address: SocketAddr,
    publisher: config::Publisher,
    dead: watch::Sender<Option<&'static str>>,
    readiness: watch::Sender<Readiness>,
    statuses: watch::Sender<Arc<Statuses>>,
    control: Arc<ControlMetrics>,
}

impl Endpoint {
    fn start() -> Self {
        Self::start_at("127.0.0.1:0")
    }

    fn start_at(address: &str) -> Self {
        let socket = std::net::TcpListener::bind(address).expect("bound");
        socket.set_nonblocking(true).expect("set");
        let address = socket.local_addr().expect("bound");
        let (publisher, snapshots) = publisher();
        let (readiness, ready) = watch::channel(Readiness::Starting);
        let (dead, of_death) = watch::channel(None);
        let (statuses, shown) = watch::channel(Arc::default());
        let registry = Registry::new();
        let control = Arc::new(ControlMetrics::register(&registry).expect("registered"));
        let control_shown = Arc::clone(&control);
        let shown = Shown {
            dead: of_death,
            readiness: ready,
            snapshots,
            statuses: shown,
            registry,
            control: control_shown,
            progress: None,
            leadership: None,
        };
        tokio::spawn(serve(socket, shown, std::future::pending()));
        Self { address, publisher, dead, readiness, statuses, control }
    }

    /// Status line, head and body of the answer to `METHOD PATH`.
    async fn answer(&self, request: &str) -> (u16, String, String) {
        self.answer_by("localhost", request).await
    }

    /// The same of a host.
    async fn answer_by(&self, host: &str, request: &str) -> (u16, String, String) {
        self.answer_to(&format!("{request} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).await
    }

    /// The same of a whole head.
    async fn answer_to(&self, request: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(self.address).await.expect("connected");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        timeout(SOON, stream.read_to_string(&mut answer)).await.expect("in time").expect("text");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        (status, head.to_ascii_lowercase(), body.to_owned())
    }

    fn publish(&self, manifests: &str) {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("a.yaml"), manifests).expect("written");
        let loaded = load(vec![dir.path().to_owned()]).expect("readable");
        let settings = controller::TranslateSettings {
            ingress: config::IngressSettings::default(),
            cluster_domain: config::DomainName::cluster_local(),
        };
        let (_, translation) = once(loaded.objects.into_iter().map(|located| located.object), settings);
        self.publisher.publish(Arc::new(translation.snapshot(1)));
        self.statuses.send_replace(translation.statuses);
    }
}

const INGRESS: &str = "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: web}\nspec:\n  ingressClassName: \
                       tidegate\n  defaultBackend: {service: {name: web, port: {number: 80}}}\n";

#[tokio::test]
async fn health_follows_readiness_and_says_why() {
    let endpoint = Endpoint::start();
    for (readiness, status, body) in [
        (Readiness::Starting, 503, "no snapshot is served yet\n"),
        (Readiness::Ready, 200, "ready\n"),
        (Readiness::Draining, 503, "draining\n"),
    ] {
        endpoint.readiness.send_replace(readiness);
        let (answered, _, said) = endpoint.answer("GET /readyz").await;
        assert_eq!((answered, said.as_str()), (status, body));
        assert_eq!(endpoint.answer("GET /livez").await.0, 200);
    }
    endpoint.readiness.send_replace(Readiness::Ready);
    endpoint.dead.send_replace(Some("DNS"));
    assert_eq!(endpoint.answer("GET /readyz").await.0, 200);
    let (status, _, body) = endpoint.answer("GET /livez").await;
    assert_eq!((status, body.as_str()), (500, "DNS has ended, and the log says why\n"));
}

#[tokio::test]
async fn tables_are_shown_once_there_are_any() {
    let endpoint = Endpoint::start();
    assert_eq!(endpoint.answer("GET /snapshot").await.0, 503);
    assert_eq!(endpoint.answer("GET /routes").await.0, 503);
    endpoint.publish(INGRESS);
    let json = |body: String| serde_json::from_str::<serde_json::Value>(&body).expect("JSON");
    let (status, head, body) = endpoint.answer("GET /snapshot").await;
    assert!(status == 200 && head.contains("content-type: application/json"), "{head}");
    assert_eq!(json(body)["generation"], 1);
    let (status, _, body) = endpoint.answer("GET /routes").await;
    assert_eq!(status, 200);
    assert!(body.contains("Ingress default/web"), "{body}");
    assert_eq!(json(endpoint.answer("GET /routes?output=json").await.2)[0]["object"], "Ingress default/web");
    assert_eq!(endpoint.answer("GET /routes?output=xml").await.0, 400);
    let statuses = json(endpoint.answer("GET /statuses").await.2);
    assert_eq!(statuses["Ingress default/web"]["verdict"], "AcceptedWithProblems");
}

#[tokio::test]
async fn metrics_have_the_control_side() {
    let endpoint = Endpoint::start();
    let figures = controller::run::Figures {
        generation: 7,
        objects: [(config::Kind::Ingress, 3)].into(),
        translate: Duration::from_millis(2),
        publish: Some(Duration::from_micros(5)),
        propagation: controller::run::Propagation { routes: Some(Duration::from_millis(4)), names: None },
        programmed: vec![controller::run::Programmed {
            kind: controller::run::ProgrammedKind::HeadlessWithSelector,
            took: Duration::from_millis(3),
        }],
    };
    endpoint.control.observe(&figures);
    endpoint.control.requests().answered("GET", "10.96.0.1:443", Some(200));
    endpoint.control.requests().ended("GET", "10.96.0.1:443", Duration::from_millis(1));
    let (status, head, body) = endpoint.answer("GET /metrics").await;
    assert!(status == 200 && head.contains("content-type: text/plain"), "{head}");
    for line in [
        "tidegate_snapshot_generation 7",
        "tidegate_objects{kind=\"Ingress\"} 3",
        "tidegate_translate_duration_seconds_count 1",
        "tidegate_publish_duration_seconds_count 1",
        "coredns_kubernetes_dns_programming_duration_seconds_bucket{service_kind=\"headless_with_selector\",le=\"0.002\"} 0",
        "coredns_kubernetes_dns_programming_duration_seconds_bucket{service_kind=\"headless_with_selector\",le=\"0.004\"} 1",
        "tidegate_endpoint_propagation_seconds_count{of=\"routes\"} 1",
        "coredns_kubernetes_rest_client_requests_total{code=\"200\",host=\"10.96.0.1:443\",method=\"GET\"} 1",
        "coredns_kubernetes_rest_client_request_duration_seconds_count{host=\"10.96.0.1:443\",verb=\"GET\"} 1",
    ] {
        assert!(body.lines().any(|known| known == line), "{line} is not in\n{body}");
    }
    assert!(body.contains("\ntidegate_snapshot_age_seconds 0."), "{body}");
}

#[tokio::test]
async fn nothing_else_is_answered() {
    let endpoint = Endpoint::start();
    let (status, _, body) = endpoint.answer("GET /nothing").await;
    assert!(status == 404 && body.contains("/readyz"), "{body}");
    for path in ["/livez", "/nothing"] {
        let (status, head, _) = endpoint.answer(&format!("POST {path}")).await;
        assert!(status == 405 && head.contains("allow: get, head"), "{head}");
    }
    let (status, _, body) = endpoint.answer("HEAD /livez").await;
    assert_eq!((status, body.as_str()), (200, ""));
}

#[tokio::test(start_paused = true)]
async fn the_oldest_of_many_connections_gives_way() {
    let endpoint = Endpoint::start();
    let mut silent = Vec::new();
    for _ in 0..CONNECTIONS {
        silent.push(TcpStream::connect(endpoint.address).await.expect("connected"));
    }
    let begin = tokio::time::Instant::now();
    let mut stream = TcpStream::connect(endpoint.address).await.expect("connected");
    stream.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("answered");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(begin.elapsed() < IDLE / 2, "it waited for a silent one to end");
    assert_eq!(silent.remove(0).read(&mut [0; 1]).await.expect("closed well"), 0);
    // The others are as they were.
    let last = silent.last_mut().expect("there are some");
    last.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.expect("sent");
    let mut answer = String::new();
    last.read_to_string(&mut answer).await.expect("answered");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_connection_ends() {
    let endpoint = Endpoint::start();
    let begin = tokio::time::Instant::now();
    let mut silent = TcpStream::connect(endpoint.address).await.expect("connected");
    assert_eq!(silent.read(&mut [0; 1]).await.expect("closed well"), 0);
    assert!(begin.elapsed() >= IDLE, "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_loopback_address_answers_to_no_name_that_others_can_give_it() {
    let endpoint = Endpoint::start();
    for (host, status) in [
        ("127.0.0.1:9901", 200),
        ("[::1]:9901", 200),
        ("LOCALHOST", 200),
        ("evil.test", 403),
        ("evil.test:9901", 403),
        ("localhost.evil.test", 403),
        ("127.0.0.1.evil.test", 403),
        ("localhost@evil.test", 403),
        ("", 403),
    ] {
        assert_eq!(endpoint.answer_by(host, "GET /livez").await.0, status, "{host}");
    }
    // No browser leaves the field out; health checks of HTTP/1.0 do.
    assert_eq!(endpoint.answer_to("GET /livez HTTP/1.0\r\n\r\n").await.0, 200);
}

#[tokio::test]
async fn a_loopback_address_of_ipv4_may_be_written_as_one_of_ipv6() {
    let endpoint = Endpoint::start_at("[::ffff:127.0.0.1]:0");
    assert_eq!(endpoint.answer_by("evil.test", "GET /livez").await.0, 403);
    assert_eq!(endpoint.answer_by("[::ffff:127.0.0.1]", "GET /livez").await.0, 200);
}
