use super::*;
use crate::Verdict;
use crate::source::{follow, load};
use config::{DomainName, Found, IngressSettings, ListenerName, Reader, Snapshot, Subscriber, publisher};
use std::fs;
use std::sync::mpsc;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(10);

/// A source that is followed to snapshots.
struct Running {
    dir: TempDir,
    reader: Reader,
    statuses: watch::Receiver<Arc<Statuses>>,
    figures: mpsc::Receiver<Figures>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    async fn new(files: &[(&str, String)]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        files.iter().for_each(|(name, text)| write(&dir, name, text));
        let (publisher, subscriber) = publisher();
        let (statuses_sender, statuses) = watch::channel(Arc::default());
        let (figures_sender, figures) = mpsc::channel();
        let figure = move |figures: &Figures| figures_sender.send(figures.clone()).expect("received");
        let outputs =
            Outputs { publisher, statuses: statuses_sender, secrets: watch::Sender::default(), figures: figure };
        let source = follow(vec![dir.path().to_owned()]).expect("followed");
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(run(source, settings(), outputs, async { drop(stopped.await) }));
        Self { dir, reader: ready(subscriber).await, statuses, figures, stop, task }
    }

    /// The first snapshot of which `claim` holds.
    async fn until(&mut self, claim: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
        let until = async {
            while !claim(&self.reader.current()) {
                assert!(self.reader.changed().await, "no more snapshots");
            }
            self.reader.current()
        };
        timeout(SOON, until).await.expect("in time")
    }
}

async fn ready(subscriber: Subscriber) -> Reader {
    timeout(SOON, subscriber.ready()).await.expect("in time").expect("a snapshot")
}

fn settings() -> TranslateSettings {
    let cluster_domain = "cluster.local".parse::<DomainName>().expect("valid");
    TranslateSettings { ingress: IngressSettings::default(), cluster_domain }
}

fn write(dir: &TempDir, name: &str, text: &str) {
    fs::write(dir.path().join(name), text).expect("written");
}

fn ingress(name: &str, host: &str, service: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: {name}}}\nspec:\n  ingressClassName: tidegate\n  \
         rules:\n  - host: {host}\n    http:\n      paths:\n      - path: /\n        pathType: Prefix\n        backend: \
         {{service: {{name: {service}, port: {{number: 80}}}}}}\n"
    )
}

fn service(name: &str, address: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: {name}\n  annotations: {{tidegate.dev/endpoints: '{address}'}}\n\
         spec: {{ports: [{{port: 80}}]}}\n"
    )
}

fn serves(snapshot: &Snapshot, host: &str) -> bool {
    matches!(snapshot.routing.find(ListenerName::Http, host, "/"), Found::Rule(_))
}

fn endpoints(snapshot: &Snapshot) -> Vec<String> {
    let mut endpoints: Vec<_> =
        snapshot.backends.iter().flat_map(|b| b.endpoints.iter().map(|e| e.address.to_string())).collect();
    endpoints.sort();
    endpoints
}

#[tokio::test]
async fn the_first_snapshot_has_everything_and_changes_make_new_ones() {
    let files = [("a.yaml", ingress("a", "a.test", "web")), ("s.yaml", service("web", "127.0.0.1:3000"))];
    let mut running = Running::new(&files).await;
    let first = running.reader.current();
    assert_eq!(first.generation, 1);
    assert!(serves(&first, "a.test"));
    assert_eq!(endpoints(&first), ["127.0.0.1:3000"]);

    write(&running.dir, "s.yaml", &service("web", "127.0.0.1:3001"));
    let second = running.until(|snapshot| endpoints(snapshot) == ["127.0.0.1:3001"]).await;
    assert_eq!(second.generation, 2);
    assert!(Arc::ptr_eq(&first.routing, &second.routing), "no rule changed");

    write(&running.dir, "b.yaml", &ingress("b", "b.test", "web"));
    running.until(|snapshot| serves(snapshot, "b.test")).await;
    fs::remove_file(running.dir.path().join("a.yaml")).expect("removed");
    running.until(|snapshot| !serves(snapshot, "a.test") && serves(snapshot, "b.test")).await;
}

#[tokio::test]
async fn an_empty_source_is_a_snapshot_too() {
    let running = Running::new(&[]).await;
    assert_eq!(running.reader.current().generation, 1);
}

#[tokio::test]
async fn statuses_and_figures_come_with_the_snapshot() {
    let running = Running::new(&[("a.yaml", ingress("a", "10.0.0.1", "web"))]).await;
    let name = ObjectRef::new(Kind::Ingress, "default", "a");
    assert_eq!(running.statuses.borrow().find(&name).verdict, Verdict::Refused);
    let figures = running.figures.recv_timeout(SOON).expect("figures");
    assert_eq!((figures.generation, figures.publish.is_some()), (1, true));
    assert_eq!(figures.objects, BTreeMap::from([(Kind::Ingress, 1)]));
}

#[tokio::test]
async fn a_change_that_serves_the_same_makes_no_snapshot() {
    let mut running = Running::new(&[("a.yaml", ingress("a", "a.test", "web"))]).await;
    drop(running.figures.recv_timeout(SOON).expect("figures"));
    write(&running.dir, "c.yaml", "{apiVersion: v1, kind: ConfigMap, metadata: {name: c}, data: {a: b}}\n");
    running.statuses.mark_unchanged();
    timeout(SOON, running.statuses.changed()).await.expect("in time").expect("running");
    let figures = running.figures.recv_timeout(SOON).expect("figures");
    assert_eq!((figures.generation, figures.publish), (1, None));
    assert_eq!(figures.objects.get(&Kind::ConfigMap), Some(&1));
    fs::remove_file(running.dir.path().join("c.yaml")).expect("removed");
    timeout(SOON, running.statuses.changed()).await.expect("in time").expect("running");
    let figures = running.figures.recv_timeout(SOON).expect("figures");
    assert_eq!(figures.objects.get(&Kind::ConfigMap), Some(&0));
}

#[tokio::test]
async fn a_broken_file_goes_on_being_served() {
    let mut running = Running::new(&[("a.yaml", ingress("a", "a.test", "web"))]).await;
    write(&running.dir, "a.yaml", "kind: [\n");
    write(&running.dir, "b.yaml", &ingress("b", "b.test", "web"));
    let snapshot = running.until(|snapshot| serves(snapshot, "b.test")).await;
    assert!(serves(&snapshot, "a.test"));
    write(&running.dir, "a.yaml", &ingress("a", "c.test", "web"));
    let snapshot = running.until(|snapshot| serves(snapshot, "c.test")).await;
    assert!(!serves(&snapshot, "a.test"));
}

/// Changes of Services as a cluster tells them, and the translations that they make: when, and of how many objects.
/// Time passes where everything waits for it.
struct Steady {
    dir: TempDir,
    batches: tokio::sync::mpsc::Sender<Batch>,
    translations: tokio::sync::mpsc::UnboundedReceiver<(Instant, usize)>,
    told: usize,
}

impl Steady {
    async fn new() -> Self {
        let (publisher, _) = publisher();
        let (sender, translations) = tokio::sync::mpsc::unbounded_channel();
        let figures = move |figures: &Figures| {
            sender.send((Instant::now(), figures.objects.values().sum())).expect("received");
        };
        let (statuses, secrets) = Default::default();
        let outputs = Outputs { publisher, statuses, secrets, figures };
        let (batches, receiver) = tokio::sync::mpsc::channel(1);
        let source = Follower::of_cluster(receiver, tokio::task::JoinSet::new(), false);
        tokio::spawn(run(source, settings(), outputs, std::future::pending()));
        let mut steady = Self { dir: tempfile::tempdir().expect("a directory"), batches, translations, told: 0 };
        steady.tell().await;
        steady.translations.recv().await.expect("a translation");
        steady
    }

    /// Of one more Service.
    async fn tell(&mut self) {
        self.told += 1;
        write(&self.dir, "s.yaml", &service(&format!("s{}", self.told), "127.0.0.1:3000"));
        let objects = load(vec![self.dir.path().to_owned()]).expect("loaded").objects;
        let changes = objects.into_iter().map(|located| Change::Apply(located.object)).collect();
        self.batches.send(Batch { changes, ..Batch::default() }).await.expect("received");
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_after_a_quiet_time_is_served_at_once() {
    let mut steady = Steady::new().await;
    for number in 2..6 {
        tokio::time::sleep(QUIET).await;
        let told = Instant::now();
        steady.tell().await;
        assert_eq!(steady.translations.recv().await, Some((told, number)));
    }
}

#[tokio::test(start_paused = true)]
async fn what_follows_a_change_is_gathered() {
    let mut steady = Steady::new().await;
    tokio::time::sleep(QUIET).await;
    let start = Instant::now();
    for _ in 0..5 {
        steady.tell().await;
        tokio::time::sleep(QUIET / 2).await;
    }
    assert_eq!(steady.translations.recv().await, Some((start, 2)));
    assert_eq!(steady.translations.recv().await, Some((start + QUIET / 2 * 4 + QUIET, 6)));
}

#[tokio::test(start_paused = true)]
async fn changes_that_do_not_end_are_served_now_and_then() {
    let mut steady = Steady::new().await;
    tokio::time::sleep(QUIET).await;
    let start = Instant::now();
    while start.elapsed() < GATHER * 3 {
        steady.tell().await;
        tokio::time::sleep(QUIET / 2).await;
    }
    let mut last = start;
    while let Ok((at, _)) = steady.translations.try_recv() {
        assert!(at - last <= GATHER + QUIET / 2, "{:?}", at - last);
        last = at;
    }
    assert!(last - start > GATHER * 2, "{:?}", last - start);
}

#[tokio::test]
async fn it_ends_when_told() {
    let running = Running::new(&[]).await;
    running.stop.send(()).expect("running");
    timeout(SOON, running.task).await.expect("in time").expect("no panic");
}
