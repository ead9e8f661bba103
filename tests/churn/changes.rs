//! Changes of files while requests and WebSockets run: none of them is lost.

use crate::authority::Authority;
use crate::backend::{Backend, Speaks};
use crate::client::Door;
use crate::load::{Load, Method, Route};
use crate::manifests::{Condition, Manifests, annotated_service, certificate, ingress, service, slices};
use crate::program::Program;
use crate::websockets::WebSockets;
use crate::{LOAD, eventually};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::task::JoinSet;

const CHANGES: usize = 200;
/// Answers that are waited for after each change.
const ANSWERS: u64 = 30;

const WILDCARD: &str = "*.shop.test";
const CHAT: &str = "chat.shop.test";
const PATHS: &str = "paths.shop.test";
const MOVING: &str = "moving.shop.test";
const TWICE: &str = "twice.shop.test";

/// What is there all the time.
const ROUTES: &[Route] = &[
    Route { host: "web.shop.test", path: "/", services: &["web"], method: Method::Get },
    Route { host: "web.shop.test", path: "/a/b?c=d", services: &["web"], method: Method::Post },
    Route { host: "fragile.shop.test", path: "/", services: &["fragile"], method: Method::Get },
    Route { host: "annotated.shop.test", path: "/", services: &["annotated"], method: Method::Get },
    Route { host: "mounted.shop.test", path: "/", services: &["mounted"], method: Method::Get },
    Route { host: "h2c.shop.test", path: "/", services: &["h2c"], method: Method::Get },
    Route { host: "h2c.shop.test", path: "/", services: &["h2c"], method: Method::Post },
    Route { host: PATHS, path: "/keep", services: &["web"], method: Method::Get },
    Route { host: MOVING, path: "/", services: &["web", "annotated"], method: Method::Get },
    Route { host: TWICE, path: "/", services: &["web", "annotated"], method: Method::Get },
    Route { host: "web.shop.test", path: "/large", services: &["web"], method: Method::Get },
];

/// The backends of a Service, and what its endpoints are said to be.
struct Fleet {
    service: &'static str,
    speaks: Speaks,
    started: usize,
    members: Vec<(Backend, Condition)>,
}

impl Fleet {
    async fn start(service: &'static str, speaks: Speaks, count: usize) -> Self {
        let mut fleet = Self { service, speaks, started: 0, members: Vec::new() };
        for _ in 0..count {
            fleet.grow().await;
        }
        fleet
    }

    async fn grow(&mut self) {
        self.started += 1;
        let backend = Backend::start(format!("{}/{}", self.service, self.started), self.speaks).await;
        self.members.push((backend, Condition::Ready));
    }

    fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.members.iter().map(|(backend, _)| backend.address)
    }

    fn slices(&self) -> String {
        let endpoints = self.members.iter().map(|(backend, condition)| (backend.address, *condition));
        slices(self.service, endpoints)
    }

    fn annotated(&self) -> String {
        annotated_service(self.service, self.addresses())
    }

    fn newest(&self) -> &Backend {
        &self.members.last().expect("a backend").0
    }

    fn take_oldest(&mut self) -> Backend {
        self.members.remove(0).0
    }
}

struct World {
    manifests: Manifests,
    program: Program,
    door: Door,
    load: Load,
    web: Fleet,
    fragile: Fleet,
    annotated: Fleet,
    mounted: Fleet,
    h2c: Fleet,
    chat: Fleet,
    /// Backends that stop once the proxy has let go of them.
    leaving: JoinSet<()>,
    changes: usize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_under_load_lose_no_request_and_close_no_websocket() {
    let _load = LOAD.lock().await;
    let mut world = World::start().await;
    let websockets = WebSockets::open(&world.door, CHAT).await;
    let mut round = 0;
    while world.changes < CHANGES {
        round += 1;
        world.host_comes_and_goes(round).await;
        world.endpoints_are_replaced().await;
        world.endpoints_die().await;
        world.annotation_changes().await;
        world.mount_is_swapped(round).await;
        world.h2c_endpoint_goes_away().await;
        world.hosts_move(round).await;
        world.paths_change(round).await;
        world.certificate_is_rotated().await;
        world.many_files_change_at_once(round).await;
    }
    let World { program, load, mut leaving, changes, .. } = world;
    while let Some(left) = leaving.join_next().await {
        left.expect("the proxy lets go");
    }
    let (open, echoes, closed) = websockets.finish().await;
    let rate = load.rate();
    let report = load.finish().await;
    let told = format!(
        "{changes} changes; {rate:.0} requests/s; {report}\n{open} WebSockets stayed open and echoed {echoes} messages; closed: {closed:?}\n\
         reasons:\n{}\nlog:\n{}",
        program.reasons(),
        program.log.tail()
    );
    assert!(report.failures.is_empty() && report.ended == 0 && report.refused == 0, "{told}");
    assert!(open == 50 && closed.is_empty() && echoes >= 1000, "{told}");
    assert!(changes >= CHANGES && report.answered >= CHANGES as u64 * ANSWERS, "{told}");
    let errors: Vec<_> = program.log.all().into_iter().filter(|line| line.contains("\"level\":\"ERROR\"")).collect();
    assert!(errors.is_empty(), "{errors:?}");
    nothing_is_left_open(&program).await;
    println!("{told}");
}

/// All clients are gone, and so is all that was there for them.
async fn nothing_is_left_open(program: &Program) {
    for gauge in [
        "tidegate_connections{kind=\"new\"}",
        "tidegate_connections{kind=\"http1\"}",
        "tidegate_connections{kind=\"http2\"}",
        "tidegate_connections{kind=\"tunnel\"}",
        "tidegate_http2_streams",
        "tidegate_upstream_connections{state=\"busy\"}",
        "tidegate_upstream_connections{state=\"connecting\"}",
    ] {
        eventually(gauge, async || program.metric(gauge).await == 0.0).await;
    }
}

impl World {
    async fn start() -> Self {
        let web = Fleet::start("web", Speaks::Http1, 3).await;
        let fragile = Fleet::start("fragile", Speaks::Http1, 4).await;
        let annotated = Fleet::start("annotated", Speaks::Http1, 2).await;
        let mounted = Fleet::start("mounted", Speaks::Http1, 2).await;
        let h2c = Fleet::start("h2c", Speaks::Http2, 2).await;
        let chat = Fleet::start("chat", Speaks::Http1, 3).await;
        let authority = Arc::new(Authority::new());
        let manifests = Manifests::new();
        let services = ["web", "fragile", "chat"].map(|name| service(name, "http")).concat();
        manifests.replace("services.yaml", &(services + &service("h2c", "kubernetes.io/h2c")));
        for fleet in [&web, &fragile, &h2c, &chat] {
            manifests.replace(&format!("{}.yaml", fleet.service), &fleet.slices());
        }
        manifests.replace("annotated.yaml", &annotated.annotated());
        manifests.swap("mount", 0, "mounted.yaml", &mounted.annotated());
        let hosts = ["web", "fragile", "annotated", "mounted", "h2c"];
        let hosts = hosts.map(|name| ingress(name, 2020, &format!("{name}.shop.test"), &[("/", name)])).concat();
        manifests.replace("hosts.yaml", &hosts);
        manifests.replace("moving.yaml", &ingress("moving", 2020, MOVING, &[("/", "web")]));
        manifests.replace("twice-a.yaml", &ingress("twice-a", 2020, TWICE, &[("/", "web")]));
        manifests.replace("paths.yaml", &ingress("paths", 2020, PATHS, &[("/keep", "web"), ("/0", "web")]));
        manifests.replace("chat-route.yaml", &ingress("chat", 2020, CHAT, &[("/ws", "chat")]));
        manifests.replace("certificate.yaml", &certificate(&authority.issue(WILDCARD), WILDCARD));
        let program = Program::start(manifests.path(), &[]).await;
        let door = Door { http: program.http, https: program.https, authority };
        let load = Load::start(&door, ROUTES);
        load.passes(100).await;
        let (leaving, changes) = (JoinSet::new(), 0);
        Self { manifests, program, door, load, web, fragile, annotated, mounted, h2c, chat, leaving, changes }
    }

    /// A change was made and seen.
    async fn changed(&mut self, files: usize) {
        self.changes += files;
        self.load.passes(ANSWERS).await;
    }

    async fn is_served(&self, host: &str, path: &str, service: &str) {
        let start = format!("{service}/");
        let what = format!("{host}{path} is served by {service}");
        eventually(&what, async || {
            let (status, body) = self.door.look(host, path).await;
            status == 200 && body.starts_with(&start)
        })
        .await;
    }

    async fn is_not_found(&self, host: &str, path: &str) {
        let what = format!("{host}{path} is gone");
        eventually(&what, async || self.door.look(host, path).await.0 == 404).await;
    }

    async fn is_named(&self, endpoint: SocketAddr, expected: bool) {
        let what = format!("{endpoint} is named: {expected}");
        eventually(&what, async || self.program.names(endpoint).await == expected).await;
    }

    async fn host_comes_and_goes(&mut self, round: usize) {
        let host = format!("new{round}.shop.test");
        self.manifests.replace("new.yaml", &ingress("new", 2020, &host, &[("/", "web")]));
        self.is_served(&host, "/", "web").await;
        self.changed(1).await;
        self.manifests.remove("new.yaml");
        self.is_not_found(&host, "/").await;
        self.changed(1).await;
    }

    /// As a rolling update goes: a new one comes, an old one is said to terminate, and ends once it is out of use.
    async fn endpoints_are_replaced(&mut self) {
        self.web.grow().await;
        self.manifests.replace("web.yaml", &self.web.slices());
        self.web.newest().is_asked(1).await;
        self.changed(1).await;
        self.web.members.first_mut().expect("three of them").1 = Condition::Terminating;
        self.manifests.replace("web.yaml", &self.web.slices());
        self.changed(1).await;
        let old = self.web.take_oldest();
        self.manifests.replace("web.yaml", &self.web.slices());
        self.is_named(old.address, false).await;
        self.leaving.spawn(async move {
            old.is_left().await;
            old.stop().await;
        });
        self.changed(1).await;
    }

    /// Half of the endpoints die at once, and nobody says so for a while.
    async fn endpoints_die(&mut self) {
        self.fragile.grow().await;
        self.fragile.grow().await;
        self.manifests.overwrite("fragile.yaml", &self.fragile.slices());
        self.fragile.newest().is_asked(1).await;
        self.changed(1).await;
        let dead = [self.fragile.take_oldest(), self.fragile.take_oldest(), self.fragile.take_oldest()];
        let addresses = dead.each_ref().map(|backend| backend.address);
        let [first, second, third] = dead.map(Backend::stop);
        tokio::join!(first, second, third);
        self.load.passes(4 * ANSWERS).await;
        self.manifests.overwrite("fragile.yaml", &self.fragile.slices());
        for address in addresses {
            self.is_named(address, false).await;
        }
        self.fragile.grow().await;
        self.manifests.replace("fragile.yaml", &self.fragile.slices());
        self.changed(2).await;
    }

    /// The file is written in place, and the endpoint ends as soon as nothing names it.
    async fn annotation_changes(&mut self) {
        self.annotated.grow().await;
        self.manifests.overwrite("annotated.yaml", &self.annotated.annotated());
        self.annotated.newest().is_asked(1).await;
        self.changed(1).await;
        let old = self.annotated.take_oldest();
        self.manifests.overwrite("annotated.yaml", &self.annotated.annotated());
        self.is_named(old.address, false).await;
        old.stop().await;
        self.changed(1).await;
    }

    async fn mount_is_swapped(&mut self, round: usize) {
        self.mounted.grow().await;
        let old = self.mounted.take_oldest();
        self.manifests.swap("mount", round, "mounted.yaml", &self.mounted.annotated());
        self.mounted.newest().is_asked(1).await;
        self.is_named(old.address, false).await;
        old.stop().await;
        self.changed(1).await;
    }

    /// It sends GOAWAY before it is out of the file.
    async fn h2c_endpoint_goes_away(&mut self) {
        self.h2c.grow().await;
        self.manifests.replace("h2c.yaml", &self.h2c.slices());
        self.h2c.newest().is_asked(1).await;
        self.changed(1).await;
        self.h2c.take_oldest().stop().await;
        self.load.passes(ANSWERS).await;
        self.manifests.replace("h2c.yaml", &self.h2c.slices());
        self.changed(1).await;
    }

    /// Within one file, and from one file to another that has the host too for a while.
    async fn hosts_move(&mut self, round: usize) {
        let now = if round % 2 == 1 { "annotated" } else { "web" };
        self.manifests.replace("moving.yaml", &ingress("moving", 2020, MOVING, &[("/", now)]));
        self.is_served(MOVING, "/", now).await;
        self.changed(1).await;
        let (joins, leaves, created) = if round % 2 == 1 { ("b", "a", 2021) } else { ("a", "b", 2020) };
        let name = format!("twice-{joins}");
        self.manifests.overwrite(&format!("{name}.yaml"), &ingress(&name, created, TWICE, &[("/", now)]));
        // The older one keeps the host.
        self.is_served(TWICE, "/", "web").await;
        self.changed(1).await;
        self.manifests.remove(&format!("twice-{leaves}.yaml"));
        self.is_served(TWICE, "/", now).await;
        self.changed(1).await;
    }

    async fn paths_change(&mut self, round: usize) {
        let (now, before) = (format!("/{round}"), format!("/{}", round - 1));
        let paths = ingress("paths", 2020, PATHS, &[("/keep", "web"), (&now, "web")]);
        self.manifests.overwrite("paths.yaml", &paths);
        self.is_served(PATHS, &now, "web").await;
        self.is_not_found(PATHS, &before).await;
        self.changed(1).await;
    }

    async fn certificate_is_rotated(&mut self) {
        let issued = self.door.authority.issue(WILDCARD);
        self.manifests.overwrite("certificate.yaml", &certificate(&issued, WILDCARD));
        let (authority, https) = (&self.door.authority, self.door.https);
        eventually("the new certificate is shown", async || {
            authority.shown(https, "web.shop.test").await.expect("a handshake") == issued.der
        })
        .await;
        self.changed(1).await;
    }

    /// An endpoint with open WebSockets goes from the file or comes back, while other files are in the middle of being
    /// written.
    async fn many_files_change_at_once(&mut self, round: usize) {
        let named = if round % 2 == 1 { 2 } else { 3 };
        let endpoints = self.chat.members.iter().take(named).map(|(backend, condition)| (backend.address, *condition));
        let chat = slices("chat", endpoints);
        let path = format!("/{round}");
        let route = ingress("chat", 2020, CHAT, &[("/ws", "chat"), (&path, "web")]);
        let others: String = (0..20)
            .map(|n| ingress(&format!("n{n}"), 2020, &format!("n{n}x{round}.shop.test"), &[("/", "web")]))
            .collect();
        let (manifests, file) = (&self.manifests, format!("others-{round}.yaml"));
        std::thread::scope(|scope| {
            scope.spawn(|| manifests.replace("chat.yaml", &chat));
            scope.spawn(|| manifests.overwrite("chat-route.yaml", &route));
            scope.spawn(|| manifests.overwrite(&file, &others));
            scope.spawn(|| manifests.swap("mount", 1000 + round, "mounted.yaml", &self.mounted.annotated()));
        });
        self.is_served(CHAT, &path, "web").await;
        self.is_served(&format!("n19x{round}.shop.test"), "/", "web").await;
        self.is_named(self.chat.newest().address, named == 3).await;
        self.changed(3).await;
        self.manifests.remove(&file);
        self.is_not_found(&format!("n0x{round}.shop.test"), "/").await;
        self.changed(1).await;
    }
}
