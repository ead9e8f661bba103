//! A proxy on sockets of its own, upstreams that follow a script, and clients that say exactly what they are told.

mod bulk;
mod client;
pub(crate) mod frames;
pub(crate) mod h2;
mod origin;
mod records;
pub(crate) mod tls;
pub(crate) mod tunnel;
pub(crate) mod unreachable;
mod upstream;

pub(crate) use bulk::Bulk;
pub(crate) use client::{Client, Ended, field};
pub(crate) use origin::Origin;
use records::Records;
pub(crate) use upstream::Upstream;

use config::{
    Action, Backend, BackendKey, BackendPort, BackendProtocol, BackendTable, Balancing, CertificateTable, ClientPolicy,
    ClientPolicyTable, Endpoint, EndpointAddress, EndpointState, HostPattern, HostRules, HostTable, Kind, Listener,
    ListenerName, NameTable, ObjectRef, PathMatch, PathSettings, PlainHttp, Protocol, Publisher, RoutingTable, Rule,
    RuleOrigin, RulePolicy, Snapshot, Split, Target, UpstreamTls, publisher,
};
use prometheus::Registry;
use proxy::drain::Drain;
use proxy::metrics::Metrics;
use proxy::{Limits, Proxy, ProxySettings, Shared, Sockets};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tidegate_proxy as proxy;
use tokio::sync::Mutex;

/// Longer than anything takes that does not hang.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// What is proxied, and how.
pub(crate) struct Setup {
    pub(crate) limits: Limits,
    pub(crate) trusted_proxies: Vec<&'static str>,
    pub(crate) host: HostPattern,
    /// What hosts ask of their clients' certificates.
    pub(crate) client_policies: Vec<(&'static str, Arc<ClientPolicy>)>,
    pub(crate) protocol: BackendProtocol,
    pub(crate) tls: Option<UpstreamTls>,
    pub(crate) balancing: Balancing,
    pub(crate) endpoints: Vec<SocketAddr>,
    pub(crate) plain_http: PlainHttp,
    /// That of the one rule.
    pub(crate) policy: Option<Arc<RulePolicy>>,
    pub(crate) drain: config::DrainSettings,
    /// Client connections at once.
    pub(crate) ceiling: usize,
}

impl Setup {
    /// Everything of any host goes to these endpoints.
    pub(crate) fn to(endpoints: &[SocketAddr]) -> Self {
        Self {
            limits: Limits::default(),
            trusted_proxies: vec![],
            host: HostPattern::Any,
            client_policies: vec![],
            protocol: BackendProtocol::Http1,
            tls: None,
            balancing: Balancing::RoundRobin,
            endpoints: endpoints.to_vec(),
            plain_http: PlainHttp::Serve,
            policy: None,
            drain: config::DrainSettings { delay: Duration::ZERO, timeout: Duration::from_secs(5) },
            ceiling: 10_000,
        }
    }

    pub(crate) fn limits(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.limits);
        self
    }

    pub(crate) fn speaking(mut self, protocol: BackendProtocol) -> Self {
        self.protocol = protocol;
        self
    }

    pub(crate) fn snapshot(&self, generation: u64) -> Arc<Snapshot> {
        let key = BackendKey { namespace: "test".into(), service: "app".into(), port: BackendPort::Number(80) };
        let endpoints = self
            .endpoints
            .iter()
            .map(|address| Endpoint { address: EndpointAddress::Socket(*address), state: EndpointState::Serving });
        let backend = Backend {
            key: key.clone(),
            protocol: self.protocol,
            tls: self.tls.clone(),
            balancing: self.balancing,
            endpoints: endpoints.collect(),
        };
        let rule = Rule {
            origin: RuleOrigin {
                object: Arc::new(ObjectRef::new(Kind::Ingress, "test", "app")),
                field: "spec.rules[0].http.paths[0]".into(),
            },
            path: PathMatch::prefix("/"),
            plain_http: self.plain_http,
            action: Action::Forward(Split { targets: [Target { weight: 1, backend: key.into() }].into() }),
            policy: self.policy.clone(),
        };
        let hosts: Arc<HostTable> =
            Arc::new([Arc::new(HostRules::new(self.host.clone(), vec![rule]))].into_iter().collect());
        let listener = |name, protocol| Listener {
            name,
            protocol,
            certificates: Arc::new(CertificateTable::default()),
            hosts: Arc::clone(&hosts),
        };
        let listeners =
            vec![listener(ListenerName::Http, Protocol::Http), listener(ListenerName::Https, Protocol::Https)];
        Arc::new(Snapshot {
            generation,
            routing: Arc::new(RoutingTable { listeners, client_policies: self.client_policies() }),
            backends: Arc::new([Arc::new(backend)].into_iter().collect::<BackendTable>()),
            names: Arc::new(NameTable::default()),
        })
    }

    fn client_policies(&self) -> Option<Arc<ClientPolicyTable>> {
        let mut table = ClientPolicyTable::default();
        for (host, policy) in &self.client_policies {
            table.put(&HostPattern::parse(Some(host)).expect("a good host"), Some(Arc::clone(policy)));
        }
        (!table.is_empty()).then(|| Arc::new(table))
    }

    /// Starts a proxy with one worker.
    pub(crate) async fn start(self) -> Running {
        let (publisher, subscriber) = publisher();
        publisher.publish(self.snapshot(1));
        let reader = subscriber.ready().await.expect("published");
        let bind = |listener, protocol| {
            let sockets = proxy::listener::bind("127.0.0.1:0".parse().expect("address"), 1).expect("bind");
            Sockets { listener, protocol, sockets }
        };
        let listeners = vec![bind(ListenerName::Http, Protocol::Http), bind(ListenerName::Https, Protocol::Https)];
        let address = |sockets: &Sockets| sockets.sockets[0].local_addr().expect("bound");
        let (http, https) = (address(&listeners[0]), address(&listeners[1]));
        let settings = ProxySettings {
            paths: PathSettings::default(),
            trusted_proxies: self.trusted_proxies.iter().map(|net| net.parse().expect("network")).collect(),
            advertised_https_port: https.port(),
            limits: self.limits.clone(),
        };
        let metrics = Metrics::register(&Registry::new()).expect("fresh registry");
        let (access_log, records) = Records::start(metrics.clone());
        let shared = Shared { ceiling: proxy::listener::ConnectionCeiling::new(self.ceiling), metrics, access_log };
        let proxy = Proxy::start(settings, Drain::new(self.drain), &reader, listeners, &shared).expect("start");
        tokio::spawn(proxy.follow(reader));
        let records = Mutex::new(records);
        Running { http, https, setup: self, publisher, proxy: Some(proxy), generation: 1, records }
    }
}

/// An upstream and a proxy in front of it.
pub(crate) async fn proxied(change: impl FnOnce(&mut Setup)) -> (Upstream, Running) {
    let upstream = Upstream::bind().await;
    let mut setup = Setup::to(&[upstream.address]);
    change(&mut setup);
    (upstream, setup.start().await)
}

/// A running proxy; stopped when dropped.
pub(crate) struct Running {
    pub(crate) http: SocketAddr,
    pub(crate) https: SocketAddr,
    setup: Setup,
    publisher: Publisher,
    proxy: Option<Proxy>,
    generation: u64,
    records: Mutex<Records>,
}

impl Running {
    /// The next access record, as [`Records::next`] tells it.
    pub(crate) async fn record(&self) -> String {
        self.records.lock().await.next().await
    }

    /// The same as it is written.
    pub(crate) async fn record_line(&self) -> String {
        self.records.lock().await.next_line().await
    }

    /// The end of a case: exactly these access records, and nothing under way any more.
    pub(crate) async fn after(&self, records: &[&str]) {
        self.records.lock().await.after(records).await;
    }

    /// The sum of a counter's series.
    pub(crate) async fn counted(&self, name: &str) -> u64 {
        self.records.lock().await.counted(name)
    }

    /// Waits until the gauge of exchanges is at one for each of these phases and at zero for the others.
    pub(crate) async fn are_in(&self, phases: &[&str]) {
        self.records.lock().await.until_raised("tidegate_exchanges", phases).await;
    }

    /// Times that an endpoint was set aside.
    pub(crate) async fn ejections(&self) -> u64 {
        self.counted("tidegate_endpoint_ejections_total").await
    }

    /// A connection to the plain port.
    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.http).await
    }

    /// Sends what must be refused: the answer has that status and says that the connection ends, which it does.
    pub(crate) async fn refuses(&self, request: &[u8], status: u16) {
        let mut client = self.client().await;
        client.send_bytes(request).await;
        let said = String::from_utf8_lossy(request);
        let (head, _) = client.answer().await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{said:?} got {head}");
        assert_eq!(field(&head, "connection"), Some("close"), "{said:?} got {head}");
        client.is_closed().await;
        let record = self.record().await;
        assert!(record.starts_with(&format!("- - {status} ")), "{said:?} is recorded as {record:?}");
    }

    /// Changes what is proxied while it runs.
    pub(crate) async fn change(&mut self, change: impl FnOnce(&mut Setup)) {
        change(&mut self.setup);
        self.generation += 1;
        self.publisher.publish(self.setup.snapshot(self.generation));
        // Who follows is a task of this runtime, and was woken before us.
        tokio::task::yield_now().await;
    }

    /// Begins the drain.
    pub(crate) fn drain(&mut self) -> tokio::task::JoinHandle<proxy::drain::Drained> {
        let proxy = self.proxy.take().expect("running");
        tokio::spawn(async move {
            let drained = proxy.drain().await;
            tokio::task::spawn_blocking(move || proxy.stop()).await.expect("stopped");
            drained
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(proxy) = self.proxy.take() {
            proxy.stop();
            self.records.get_mut().check_at_end();
        }
    }
}
