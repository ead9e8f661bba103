//! SIGTERM under load: what was begun is answered, and who heeds `Connection: close` and GOAWAY loses nothing.

use crate::authority::Authority;
use crate::backend::{Backend, Speaks};
use crate::client::{Door, Http1, Http2, Trouble, answer_of};
use crate::load::{Load, Method, Report, Route};
use crate::manifests::{Condition, Manifests, certificate, ingress, service, slices};
use crate::peer::Peer;
use crate::program::Program;
use crate::websockets::{echo, over_h1, over_h2};
use crate::{LOAD, PATIENCE, eventually};
use h2::client::ResponseFuture;
use rustix::process::Signal;
use std::sync::Arc;
use tokio::time::timeout;

const HOST: &str = "web.shop.test";

const ROUTES: &[Route] = &[
    Route { host: HOST, path: "/load", services: &["web"], method: Method::Get },
    Route { host: HOST, path: "/load", services: &["web"], method: Method::Post },
];

/// A program with one host and one backend that stays.
struct World {
    program: Program,
    door: Door,
    backend: Backend,
    _manifests: Manifests,
}

impl World {
    async fn start(flags: &[&str]) -> Self {
        let backend = Backend::start("web/1".to_owned(), Speaks::Http1).await;
        let authority = Arc::new(Authority::new());
        let manifests = Manifests::new();
        let endpoints = slices("web", [(backend.address, Condition::Ready)].into_iter());
        manifests
            .replace("web.yaml", &(service("web", "http") + &endpoints + &ingress("web", 2020, HOST, &[("/", "web")])));
        manifests.replace("certificate.yaml", &certificate(&authority.issue("*.shop.test"), "*.shop.test"));
        let program = Program::start(manifests.path(), flags).await;
        let door = Door { http: program.http, https: program.https, authority };
        Self { program, door, backend, _manifests: manifests }
    }

    async fn refuses(&self) {
        eventually("nobody listens", async || {
            let [clear, tls] = [self.door.h1(HOST, false).await, self.door.h1(HOST, true).await];
            matches!(clear, Err(Trouble::Refused)) && matches!(tls, Err(Trouble::Refused))
        })
        .await;
    }

    /// Waits for the process, which must end well, and checks that each of `paths` has as many lines in the access log.
    async fn ends(mut self, lines: &[(&str, u64)]) {
        let status = self.program.ended().await;
        assert!(status.success(), "{status}; its log: {}", self.program.log.tail());
        let log = self.program.access_log.at_end().await;
        for (path, expected) in lines {
            let path_field = format!("\"path\":\"{path}\"");
            let of_path =
                |line: &&String| line.contains(&path_field) && line.contains("\"status\":200,\"reason\":null");
            let logged = log.iter().filter(of_path).count();
            assert_eq!(logged as u64, *expected, "lines of {path}; others: {}", self.program.reasons());
        }
    }
}

/// Requests that are under way when the signal comes.
struct UnderWay {
    slow: Vec<Http1>,
    drips: Vec<Http1>,
    uploads: Vec<Http1>,
    streams: Vec<(Http2, Vec<ResponseFuture>)>,
    count: usize,
}

impl UnderWay {
    async fn begin(world: &World) -> Self {
        let mut begun = Self { slow: vec![], drips: vec![], uploads: vec![], streams: vec![], count: 0 };
        for is_tls in [false, true] {
            for (path, clients) in [("/slow", &mut begun.slow), ("/drip", &mut begun.drips)] {
                let mut client = world.door.h1(HOST, is_tls).await.expect("a connection");
                client.peer.send(format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n")).await.expect("a request");
                clients.push(client);
            }
            let mut client = world.door.h1(HOST, is_tls).await.expect("a connection");
            let head = format!("POST /upload HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 10\r\n\r\n");
            client.peer.send(head + "hello").await.expect("half a request");
            begun.uploads.push(client);
            let mut client = world.door.h2(HOST, is_tls).await.expect("a connection");
            let mut responses = Vec::new();
            for path in ["/slow", "/drip", "/slow"] {
                responses.push(client.send(HOST, path, None).await.expect("a stream").0);
            }
            begun.streams.push((client, responses));
            begun.count += 6;
        }
        world.backend.holds(begun.count).await;
        begun
    }

    /// Lets all of them go on, and reads their answers.
    async fn end(self, world: &World) {
        world.backend.open_gate();
        let mut uploads = self.uploads;
        for client in &mut uploads {
            client.peer.send("world").await.expect("the other half");
        }
        for (mut client, body) in
            self.slow.into_iter().zip(["web/1 0\n"; 2]).chain(uploads.into_iter().zip(["web/1 10\n"; 2]))
        {
            let answer = client.answer().await.expect("an answer");
            assert_eq!((answer.status, answer.body.as_str(), answer.closes), (200, body, true));
            timeout(PATIENCE, client.peer.ends()).await.expect("no end").expect("an end");
        }
        for mut client in self.drips {
            // Its head was out before anybody knew.
            let answer = client.answer().await.expect("an answer");
            assert_eq!((answer.status, answer.body.as_str()), (200, "web/1 end"));
        }
        for (client, responses) in self.streams {
            for response in responses {
                let answer = timeout(PATIENCE, answer_of(response)).await.expect("no answer").expect("an answer");
                assert_eq!(answer.status, 200);
            }
            // By GOAWAY, and without an error.
            client.ended().await.expect("a clean end");
        }
    }
}

/// New connections while the drain still takes them: served, and told to go.
async fn newcomers_are_told_to_go(door: &Door) {
    for is_tls in [false, true] {
        let mut client = door.h1(HOST, is_tls).await.expect("still taken");
        let answer = client.exchange(HOST, "/new", None).await.expect("still served");
        assert_eq!((answer.status, answer.closes), (200, true));
        timeout(PATIENCE, client.peer.ends()).await.expect("no end").expect("an end");
        let mut client = door.h2(HOST, is_tls).await.expect("still taken");
        assert_eq!(client.exchange(HOST, "/new", None).await.expect("still served").status, 200);
    }
}

fn loses_nothing(report: &Report) {
    assert!(report.failures.is_empty(), "{report}");
    // Every client was told to go before it was refused.
    assert!(report.ended >= report.refused as u64 && report.answered >= 1000, "{report:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_under_load_loses_nothing() {
    let _load = LOAD.lock().await;
    let world = World::start(&["--drain-delay=2s", "--drain-timeout=60s"]).await;
    let load = Load::start(&world.door, ROUTES);
    load.passes(500).await;
    let under_way = UnderWay::begin(&world).await;
    let mut idle = world.door.h1(HOST, false).await.expect("a connection");
    idle.exchange(HOST, "/idle", None).await.expect("an answer");
    let mut idle_h2 = world.door.h2(HOST, false).await.expect("a connection");
    idle_h2.exchange(HOST, "/idle", None).await.expect("an answer");

    let rate = load.rate();
    world.program.signal(Signal::TERM);
    world.program.log.until("\"message\":\"draining\"").await;
    eventually("/readyz fails", async || world.program.admin("/readyz").await.0 == 503).await;
    assert_eq!(world.program.admin("/livez").await.0, 200);
    newcomers_are_told_to_go(&world.door).await;
    load.passes(500).await;

    world.refuses().await;
    load.is_refused().await;
    let report = load.finish().await;
    loses_nothing(&report);
    under_way.end(&world).await;
    // Nobody asked them for anything: they are closed when their time has come.
    timeout(PATIENCE, idle.peer.ends()).await.expect("no end").expect("an end");
    eventually("GOAWAY", async || idle_h2.is_left().await).await;
    idle_h2.ended().await.expect("a clean end");
    world.program.log.until("\"message\":\"drained\"").await;
    world
        .ends(&[("/load", report.answered), ("/slow", 6), ("/drip", 4), ("/upload", 2), ("/idle", 2), ("/new", 4)])
        .await;
    println!("{rate:.0} requests/s before the signal; {report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn websockets_live_until_the_deadline() {
    let world = World::start(&["--drain-delay=0s", "--drain-timeout=5s"]).await;
    let mut websockets: Vec<Peer> =
        vec![over_h1(&world.door, HOST, false).await, over_h1(&world.door, HOST, true).await];
    websockets.extend(over_h2(&world.door, HOST, false, 2).await);
    websockets.extend(over_h2(&world.door, HOST, true, 2).await);
    world.program.signal(Signal::TERM);
    world.refuses().await;
    for peer in &mut websockets {
        echo(peer, "still here").await.expect("it lives until the deadline");
    }
    for mut peer in websockets {
        // A close or a reset: it is cut.
        let _ = timeout(PATIENCE, peer.ends()).await.expect("no end");
    }
    world.program.log.until("the time to drain is over").await;
    world.ends(&[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_it_at_once() {
    for (first, second, code) in [(Signal::TERM, Signal::INT, 130), (Signal::INT, Signal::TERM, 143)] {
        // Without the second one the test would hang.
        let mut world = World::start(&["--drain-delay=1h", "--drain-timeout=1h"]).await;
        let mut websocket = over_h1(&world.door, HOST, false).await;
        world.program.signal(first);
        world.program.log.until("\"message\":\"draining\"").await;
        echo(&mut websocket, "still here").await.expect("it is drained only");
        world.program.signal(second);
        assert_eq!(world.program.ended().await.code(), Some(code));
        world.program.log.until("ended at once").await;
    }
}
