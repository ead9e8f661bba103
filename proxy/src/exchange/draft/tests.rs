use super::super::caught::caught;
use super::*;
use crate::ProxySettings;
use crate::access_log::{AccessLog, AccessLogThread};
use crate::drain::{Drain, WorkerDrain};
use crate::limits::Limits;
use crate::live::tests::{key, snapshot};
use crate::live::{Live, ViewCache};
use crate::metrics::{ConnectionKind, Level, Metrics};
use crate::pool::{Pool, UpstreamCeiling};
use crate::record::Phase;
use crate::tls::upstream::UpstreamTlsConfigs;
use crate::worker::Observed;
use config::{AccessLogFormat, DrainSettings, Kind, ListenerName, ObjectRef, PathSettings};
use prometheus::Registry;
use std::io::{self, Write};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use tokio::task::yield_now;

/// The log's lines.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A worker without a socket, and what it writes down.
struct Observing {
    worker: Rc<Worker>,
    thread: AccessLogThread,
    lines: Lines,
}

impl Observing {
    fn start() -> Self {
        let limits = Limits::default();
        let settings = Arc::new(ProxySettings {
            paths: PathSettings::default(),
            trusted_proxies: vec![],
            advertised_https_port: 443,
            limits: limits.clone(),
        });
        let metrics = Metrics::register(&Registry::new()).expect("fresh registry");
        let lines = Lines::default();
        let (access_log, thread) =
            AccessLog::start(AccessLogFormat::Text, lines.clone(), metrics.access_log()).expect("access log");
        let ceiling = UpstreamCeiling::new(1, metrics.clone());
        let metrics = metrics.worker();
        let pool = Pool::new(Arc::new(limits), UpstreamTlsConfigs::new().expect("TLS"), ceiling, metrics.clone());
        let views = ViewCache::new(Live::new(&snapshot([])));
        let drain = Drain::new(DrainSettings { delay: Duration::ZERO, timeout: Duration::ZERO });
        let drain = WorkerDrain::new(&drain.watch());
        let worker = Worker::new(settings, views, pool, drain, Observed { seed: 1, metrics, access_log });
        Self { worker, thread, lines }
    }

    fn draft(&self, status: u16) -> Draft {
        let record = Record {
            method: "GET".into(),
            host: "a".into(),
            path: "/".into(),
            status,
            phase: Phase::Stream,
            attempts: 1,
            ..Record::of(([127, 0, 0, 1], 1).into(), ListenerName::Http)
        };
        Draft::new(&self.worker, record)
    }

    /// Status, reason and ending of each line.
    fn lines(self) -> Vec<String> {
        drop((self.worker, self.thread));
        let text = String::from_utf8(self.lines.0.lock().expect("no panic").clone()).expect("text");
        let summary = |line: &str| {
            let (status, rest) = line.split_once("\" ").expect("a request").1.split_once(" route=").expect("a route");
            let ending = rest.split_once(" ending=").expect("an ending").1.split(' ').next().expect("a word");
            format!("{status} {ending}")
        };
        text.lines().map(summary).collect()
    }
}

#[tokio::test]
async fn case_150_a_panic_is_recorded_and_leaves_nothing_behind() {
    let observing = Observing::start();
    let metrics = &observing.worker.metrics;
    let is_fine = std::cell::Cell::new(true);
    for status in [0, 200] {
        let exchange = async {
            let mut draft = observing.draft(status);
            let _running = metrics.begin(
                metrics.guess("a.test"),
                &Arc::new(ObjectRef::new(Kind::Ingress, "shop", "web")),
                Some(&Arc::new(key("web"))),
            );
            let _connection = metrics.hold(Level::Connection(ConnectionKind::Tunnel));
            yield_now().await;
            assert_eq!(metrics.open(ConnectionKind::Tunnel), 1);
            assert!(!is_fine.get(), "as it was meant to");
            draft.conclude();
        };
        assert_eq!(caught(pin!(exchange)).await, None);
        assert_eq!(metrics.open(ConnectionKind::Tunnel), 0);
    }
    assert_eq!(observing.lines(), ["500 internal cut", "200 internal cut"]);
}

#[tokio::test]
async fn what_is_dropped_with_its_worker_is_recorded() {
    let observing = Observing::start();
    for status in [0, 101] {
        drop(observing.draft(status));
    }
    assert_eq!(observing.lines(), ["503 draining cut", "101 draining cut"]);
}

#[tokio::test]
async fn what_is_concluded_is_recorded_once() {
    let observing = Observing::start();
    let mut draft = observing.draft(200);
    draft.conclude();
    draft.cut(Reason::ClientGone);
    draft.conclude();
    drop(draft);
    assert_eq!(observing.lines(), ["200 - complete"]);
}
