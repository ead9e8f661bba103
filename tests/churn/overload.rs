//! More than there is room for: connections, slow clients, broken manifests, many hosts.

use crate::authority::Authority;
use crate::backend::{Backend, Speaks};
use crate::client::{Door, Http1, answer_of};
use crate::manifests::{Condition, Manifests, annotated_service, ingress, ingress_of_hosts, service, slices};
use crate::program::Program;
use crate::{PATIENCE, eventually};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::Value;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

const HOST: &str = "web.shop.test";

/// A program with one host and one backend that stays.
struct World {
    program: Program,
    door: Door,
    manifests: Manifests,
    backend: Backend,
}

impl World {
    async fn start(files: Option<usize>) -> Self {
        let backend = Backend::start("web/1".to_owned(), Speaks::Http1).await;
        let manifests = Manifests::new();
        manifests.replace("service.yaml", &service("web", "http"));
        manifests.replace("slices.yaml", &slices("web", [(backend.address, Condition::Ready)].into_iter()));
        manifests.replace("route.yaml", &ingress("web", 2020, HOST, &[("/", "web")]));
        let program = match files {
            Some(files) => Program::start_with_files(files, manifests.path(), &[]).await,
            None => Program::start(manifests.path(), &[]).await,
        };
        let door = Door { http: program.http, https: program.https, authority: Arc::new(Authority::new()) };
        Self { program, door, manifests, backend }
    }

    async fn client(&self) -> Http1 {
        self.door.h1(HOST, false).await.expect("a connection")
    }

    /// Asks on a kept connection, as often as that, in paced steps.
    async fn serves(&self, client: &mut Http1, times: usize) {
        let mut ticks = interval(Duration::from_millis(20));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for _ in 0..times {
            ticks.tick().await;
            let answer = client.exchange(HOST, "/good", None).await.expect("an answer");
            assert_eq!((answer.status, answer.body.as_str(), answer.closes), (200, "web/1 0\n", false));
        }
    }

    async fn cpu(&self) -> f64 {
        self.program.metric("process_cpu_seconds_total").await
    }
}

/// The test itself needs a file for each of its connections.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("the hard limit is ours");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_files_it_waits_and_serves_again() {
    const CLIENTS: usize = 1000;
    raise_open_files();
    let mut world = World::start(Some(256)).await;
    let mut first = world.client().await;
    world.serves(&mut first, 1).await;
    let mut waiting = JoinSet::new();
    for _ in 0..CLIENTS {
        let mut client = world.client().await;
        waiting.spawn(async move {
            let answer = client.exchange(HOST, "/crowd", None).await;
            (client, answer)
        });
    }
    let full = "tidegate_connections_refused_total{reason=\"ceiling\"}";
    eventually("it is full", async || world.program.metric(full).await > 0.0).await;
    // Those who are in go on, changes are followed, and nothing spins.
    let before = world.cpu().await;
    world.serves(&mut first, 100).await;
    world.manifests.replace("more.yaml", &ingress("more", 2020, "more.shop.test", &[("/", "web")]));
    eventually("a change is followed", async || {
        world.program.hosts().await.iter().any(|host| host == "more.shop.test")
    })
    .await;
    let spent = world.cpu().await - before;
    assert!(spent < 1.0, "{spent} s of CPU time while nobody could come in");
    assert!(waiting.len() == CLIENTS && world.program.is_running(), "{}", world.program.log.tail());
    // Each that leaves makes room for one that waits, until all were served.
    let mut served = 0;
    while let Some(answered) = waiting.join_next().await {
        let (_leaves, answer) = answered.expect("no panic");
        let answer = answer.expect("an answer");
        assert_eq!(answer.status, 200);
        served += 1;
    }
    assert_eq!(served, CLIENTS);
    world.serves(&mut first, 1).await;
    let mut new = world.client().await;
    world.serves(&mut new, 1).await;
    eventually("all is closed", async || world.program.metric("tidegate_connections{kind=\"http1\"}").await <= 2.0)
        .await;
    assert_eq!(world.program.metric("tidegate_connections_refused_total{reason=\"descriptors\"}").await, 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_few_files_it_says_how_many_clients_that_leaves_and_serves_them_in_turn() {
    const CLIENTS: usize = 100;
    raise_open_files();
    let world = World::start(Some(64)).await;
    let line: Value = serde_json::from_str(&world.program.log.until("\"limit\":64").await).expect("JSON");
    assert_eq!(line["level"], "WARN", "{line}");
    let connections = line["connections"].as_u64().expect("a number");
    assert!((1..24).contains(&connections), "{line}");
    let mut waiting = JoinSet::new();
    for _ in 0..CLIENTS {
        let mut client = world.client().await;
        waiting.spawn(async move { client.exchange(HOST, "/crowd", None).await });
    }
    while let Some(answered) = waiting.join_next().await {
        assert_eq!(answered.expect("no panic").expect("an answer").status, 200);
    }
    for metric in ["connections_refused_total{reason=\"descriptors\"}", "endpoint_ejections_total"] {
        assert_eq!(world.program.metric(&format!("tidegate_{metric}")).await, 0.0, "{metric}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_of_few_clients_leave_files_to_the_rest() {
    const STREAMS: usize = 100;
    raise_open_files();
    let world = World::start(Some(128)).await;
    let mut client = world.door.h2(HOST, false).await.expect("a connection");
    let mut running = JoinSet::new();
    for _ in 0..STREAMS {
        let (response, _) = client.send(HOST, "/slow", None).await.expect("a stream");
        running.spawn(async move { answer_of(response).await.expect("an answer").status });
    }
    // Those for whom there is no connection are told so; the rest of the program has files still.
    let mut statuses = Vec::new();
    eventually("each waits or was told", async || {
        statuses.extend(std::iter::from_fn(|| running.try_join_next()).map(|status| status.expect("no panic")));
        world.backend.held() + statuses.len() == STREAMS
    })
    .await;
    assert!(!statuses.is_empty() && statuses.iter().all(|status| *status == 503), "{statuses:?}");
    world.manifests.replace("more.yaml", &ingress("more", 2020, "more.shop.test", &[("/", "web")]));
    eventually("a change is followed", async || {
        world.program.hosts().await.iter().any(|host| host == "more.shop.test")
    })
    .await;
    assert!(world.program.reasons().contains("\"local_resources\""), "{}", world.program.reasons());
    world.backend.open_gate();
    while let Some(status) = running.join_next().await {
        assert_eq!(status.expect("no panic"), 200);
    }
    let mut client = world.client().await;
    world.serves(&mut client, 1).await;
    assert_eq!(world.program.metric("tidegate_endpoint_ejections_total").await, 0.0);
}

#[test]
fn with_too_few_files_it_does_not_start() {
    let manifests = Manifests::new();
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -n 36; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_tidegate"), "run", "--workers=2"]);
    shell.args(["http", "https", "dns", "admin"].map(|listener| format!("--{listener}-bind=127.0.0.1:0")));
    let output = shell.arg("--manifests").arg(manifests.path()).env_clear().output().expect("sh");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.lines().last().is_some_and(|line| line.contains("36 open files (RLIMIT_NOFILE")), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_clients_disturb_nobody() {
    const EACH: usize = 50;
    let world = World::start(None).await;
    let mut good = world.client().await;
    let mut heads = JoinSet::new();
    for _ in 0..EACH {
        let mut slow = world.client().await;
        slow.peer.send(format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nX-Slow: ")).await.expect("half a head");
        heads.spawn(timeout(PATIENCE, async move {
            let mut ticks = interval(Duration::from_millis(500));
            loop {
                tokio::select! {
                    answer = slow.answer() => return answer.expect("an answer"),
                    _ = ticks.tick() => slow.peer.send("a").await.expect("it listens"),
                }
            }
        }));
    }
    let mut uploads = Vec::new();
    for _ in 0..EACH {
        let mut slow = world.client().await;
        let head = format!("POST /upload HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 1000000\r\n\r\n");
        slow.peer.send(head + "a little").await.expect("half a request");
        uploads.push(slow);
    }
    let mut readers = Vec::new();
    for _ in 0..EACH {
        let mut slow = world.client().await;
        let many = format!("GET /large HTTP/1.1\r\nHost: {HOST}\r\n\r\n").repeat(20);
        slow.peer.send(many).await.expect("requests");
        readers.push(slow);
    }
    world.backend.holds(EACH).await;
    // Until the slow heads are at their end there is all the time a client that is served as ever.
    while !heads.is_empty() {
        world.serves(&mut good, 10).await;
        while let Some(ended) = heads.try_join_next() {
            let answer = ended.expect("no panic").expect("an end");
            assert_eq!((answer.status, answer.closes), (408, true));
        }
    }
    drop((uploads, readers));
    eventually("all is closed", async || world.program.metric("tidegate_connections{kind=\"http1\"}").await <= 1.0)
        .await;
    world.serves(&mut good, 1).await;
    let busy = "tidegate_upstream_connections{state=\"busy\"}";
    eventually("nothing is left", async || world.program.metric(busy).await == 0.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_manifest_leaves_what_was_good() {
    let world = World::start(None).await;
    let mut client = world.client().await;
    world.serves(&mut client, 1).await;
    for (breakage, write) in [
        (
            "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {",
            Manifests::replace as fn(&Manifests, &str, &str),
        ),
        ("\u{0}\u{1}", Manifests::overwrite),
    ] {
        let told = world.program.log.all().len();
        write(&world.manifests, "route.yaml", breakage);
        eventually("it says so", async || {
            world.program.log.all().iter().skip(told).any(|line| line.contains("route.yaml"))
        })
        .await;
        world.serves(&mut client, 5).await;
        // Other files go on.
        let other = annotated_service("other", std::iter::once(world.backend.address));
        let host = format!("other{told}.shop.test");
        world.manifests.replace("other.yaml", &(other + &ingress("other", 2020, &host, &[("/", "other")])));
        eventually("the other file is followed", async || world.door.look(&host, "/").await.0 == 200).await;
        world.serves(&mut client, 5).await;
        // And so does this one once it is whole.
        let path = format!("/{told}");
        world.manifests.replace("route.yaml", &ingress("web", 2020, HOST, &[("/good", "web"), (&path, "web")]));
        eventually("the old path is gone", async || world.door.look(HOST, "/").await.0 == 404).await;
        eventually("the new one is there", async || world.door.look(HOST, &path).await.0 == 200).await;
        world.serves(&mut client, 1).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_hosts_are_served() {
    const HOSTS: usize = 10_000;
    let backend = Backend::start("web/1".to_owned(), Speaks::Http1).await;
    let manifests = Manifests::new();
    manifests.replace("service.yaml", &annotated_service("web", std::iter::once(backend.address)));
    for file in 0..100 {
        let hosts = (file * HOSTS / 100..(file + 1) * HOSTS / 100).map(|number| format!("h{number}.shop.test"));
        let text = ingress_of_hosts(&format!("web-{file}"), 2020, hosts, &[("/", "web")]);
        manifests.replace(&format!("hosts-{file}.yaml"), &text);
    }
    let program = Program::start(manifests.path(), &[]).await;
    let hosts = program.hosts().await;
    assert_eq!(hosts.len(), HOSTS);
    let door = Door { http: program.http, https: program.https, authority: Arc::new(Authority::new()) };
    for number in [0, 1, 4_999, 9_998, 9_999] {
        assert_eq!(door.look(&format!("h{number}.shop.test"), "/").await, (200, "web/1 0\n".to_owned()));
    }
    assert_eq!(door.look("h10000.shop.test", "/").await.0, 404);
    manifests.remove("hosts-7.yaml");
    eventually("a hundred are gone", async || program.hosts().await.len() == HOSTS - 100).await;
    eventually("they are not found", async || door.look("h700.shop.test", "/").await.0 == 404).await;
    assert_eq!(door.look("h800.shop.test", "/").await.0, 200);
}
