//! The side of the program that is not traffic: the source, DNS and the admin endpoint, each a task.

use super::naming::{Naming, NamingOf};
use super::reloading::{Reloading, follow};
use super::resolving::on_own_threads;
use super::signals::Prompts;
use super::source::Followed;
use crate::admin::{self, Readiness, Shown};
use crate::allocator;
use crate::figures::{ControlMetrics, HealthMetrics};
use crate::probes::{self, BoundProbes};
use anyhow::Context as _;
use config::{Publisher, Subscriber, publisher};
use controller::cluster::{Leadership, Progress, RequestObserver, WantedSecrets};
use controller::run::{Outputs, run};
use controller::{Statuses, TranslateSettings};
use prometheus::Registry;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long the tasks may take to end once there is no traffic left: those who write have begun to end long before, and
/// giving leadership up takes 2 s at most. What asks upstreams for names is answered within 4.8 s, but where one name leads to
/// the next; who has asked for such a one is left without.
const END: Duration = Duration::from_secs(6);
/// Objects that come or go at once of which the rest is worth giving back: some megabytes.
const MANY: usize = 1_000;

/// The tasks and what they say to each other.
pub(super) struct Control {
    pub(super) readiness: watch::Sender<Readiness>,
    pub(super) snapshots: Subscriber,
    publisher: Option<Publisher>,
    statuses: watch::Sender<Arc<Statuses>>,
    wanted: watch::Sender<WantedSecrets>,
    progress: Option<watch::Receiver<Progress>>,
    leadership: Option<watch::Receiver<Leadership>>,
    registry: Registry,
    /// Until DNS is served.
    prompts: Option<Prompts>,
    metrics: Arc<ControlMetrics>,
    /// Dropped to end the tasks that write to the source.
    stop_writing: watch::Sender<()>,
    /// Dropped to end all others.
    stop: watch::Sender<()>,
    /// The first task that ended before that.
    dead: watch::Sender<Option<&'static str>>,
    tasks: JoinSet<()>,
}

/// Tells of a task that ends, also by a panic, before it was to.
struct Obituary {
    task: &'static str,
    stop: watch::Receiver<()>,
    dead: watch::Sender<Option<&'static str>>,
}

impl Drop for Obituary {
    fn drop(&mut self) {
        // The sender of `stop` is gone once the end is wanted.
        if self.stop.has_changed().is_ok() {
            tracing::error!(task = self.task, "a task ended before its time; /livez fails from now on");
            self.dead.send_if_modified(|dead| dead.replace(dead.unwrap_or(self.task)).is_none());
        }
    }
}

impl Control {
    /// Signals that end nothing are caught from now on.
    pub(super) fn new(registry: Registry) -> anyhow::Result<Self> {
        let (publisher, snapshots) = publisher();
        Ok(Self {
            readiness: watch::Sender::new(Readiness::Starting),
            snapshots,
            publisher: Some(publisher),
            statuses: watch::Sender::default(),
            wanted: watch::Sender::default(),
            progress: None,
            leadership: None,
            metrics: Arc::new(ControlMetrics::register(&registry)?),
            registry,
            prompts: Some(Prompts::new().context("signals cannot be caught")?),
            stop_writing: watch::Sender::default(),
            stop: watch::Sender::default(),
            dead: watch::Sender::default(),
            tasks: JoinSet::new(),
        })
    }

    /// Ends when [`Self::end`] is called.
    pub(super) fn stopped(&self) -> impl Future<Output = ()> + Send + 'static {
        dropped(self.stop.subscribe())
    }

    /// Ends when [`Self::end_writing`] is called.
    pub(super) fn writing_stopped(&self) -> impl Future<Output = ()> + Send + 'static {
        dropped(self.stop_writing.subscribe())
    }

    pub(super) fn spawn(&mut self, task: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        self.spawn_until(self.stop.subscribe(), task, work);
    }

    /// Runs what has no end of its own.
    fn spawn_endless(&mut self, task: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let stopped = self.stopped();
        self.spawn(task, async move {
            tokio::select! {
                () = stopped => {}
                () = work => {}
            }
        });
    }

    /// Runs what writes to the source, or has to do with that.
    pub(super) fn spawn_writing(&mut self, task: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        self.spawn_until(self.stop_writing.subscribe(), task, work);
    }

    fn spawn_until(
        &mut self,
        stop: watch::Receiver<()>,
        task: &'static str,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        let obituary = self.obituary(stop, task);
        self.tasks.spawn(async move {
            let _obituary = obituary;
            work.await;
        });
    }

    fn obituary(&self, stop: watch::Receiver<()>, task: &'static str) -> Obituary {
        Obituary { task, stop, dead: self.dead.clone() }
    }

    /// The Secrets that a source is to read.
    pub(super) fn wanted(&self) -> watch::Receiver<WantedSecrets> {
        self.wanted.subscribe()
    }

    /// Who counts requests to a source.
    pub(super) fn requests(&self) -> Arc<dyn RequestObserver> {
        self.metrics.requests()
    }

    /// What became of each object.
    pub(super) fn statuses(&self) -> watch::Receiver<Arc<Statuses>> {
        self.statuses.subscribe()
    }

    /// Publishes what the source says.
    pub(super) fn follow(&mut self, followed: Followed, settings: TranslateSettings) {
        let Some(publisher) = self.publisher.take() else { return };
        let Followed { follower, progress, writers } = followed;
        self.progress = progress;
        self.leadership = writers.map(|writers| writers.begin(self));
        let (metrics, mut known) = (Arc::clone(&self.metrics), 0_usize);
        let outputs = Outputs {
            publisher,
            statuses: self.statuses.clone(),
            secrets: self.wanted.clone(),
            figures: move |figures: &controller::run::Figures| {
                metrics.observe(figures);
                let objects: usize = figures.objects.values().sum();
                if objects.abs_diff(known) > MANY {
                    // What they were read from is garbage now.
                    allocator::give_back();
                    known = objects;
                }
            },
        };
        let following = run(follower, settings, outputs, self.stopped());
        self.spawn("following the source", following);
    }

    /// Answers names, and on the same threads kubelets and Prometheus, who ask how that goes: a long translation keeps none
    /// of them waiting. `objects`: those that names are made of, `None` where none are read.
    pub(super) fn serve_dns(
        &mut self,
        (sockets, probes): (Vec<dns::Sockets>, Vec<BoundProbes>),
        naming: Naming,
        objects: Option<dns::PlannedObjects>,
        workers: usize,
    ) -> anyhow::Result<()> {
        let names = self.snapshots.clone();
        let asking = self.ask_for_health(&naming, &probes)?;
        let Naming { of, bounds, protection, accepts, probes: flags, lameduck } = naming;
        let prompts = self.prompts.take().context("DNS is served once")?;
        let server = match of {
            NamingOf::Flags { settings, .. } => {
                self.spawn_endless("answering signals", prompts.look_at_nothing());
                dns::Server::new(names, *settings, &self.registry)?
            }
            NamingOf::Corefile(corefile) => {
                let server = dns::Server::with_plan(names, corefile.plan(), &self.registry)?;
                let bound = sockets.iter().map(|sockets| sockets.at).collect();
                let reloads = server.reloads();
                let around = Reloading { reloads, bound, objects, accepts, flags, lameduck, workers };
                self.spawn_endless("following the Corefile", follow(corefile, around, prompts));
                server
            }
        };
        let server = server.bounded(bounds).protected(protection).context("--dns-cookie-secret")?;
        let (answered, obituary) = (watch::Sender::new(()), self.obituary(self.stop.subscribe(), "DNS"));
        let probes: Vec<_> = probes.into_iter().map(|bound| self.serve_probes(bound, answered.subscribe())).collect();
        let (names, stopped) = (server.serve(sockets, self.stopped()), self.stopped());
        let serving = on_own_threads(workers, async move {
            let probes: JoinSet<()> = probes.into_iter().collect();
            let asking: JoinSet<()> = asking.into_iter().collect();
            if let Err(error) = names.await {
                tracing::error!(%error, "DNS is no longer served");
            }
            // Probes tell of it where it has died.
            drop(obituary);
            stopped.await;
            drop((asking, answered));
            probes.join_all().await;
            Ok(())
        })?;
        self.spawn("DNS", async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "DNS is no longer served");
            }
        });
        Ok(())
    }

    /// What asks `/health` again and again, where a Corefile has it, until it is dropped.
    fn ask_for_health(
        &self,
        naming: &Naming,
        probes: &[BoundProbes],
    ) -> anyhow::Result<Vec<impl Future<Output = ()> + Send + 'static>> {
        if naming.plan().is_none_or(|plan| plan.probes().health.is_empty()) {
            return Ok(Vec::new());
        }
        let metrics = Arc::new(HealthMetrics::register(&self.registry)?);
        let addresses = probes.iter().filter_map(|bound| bound.health().transpose());
        let asking = addresses.map(|address| Ok(probes::health::ask_again_and_again(address?, Arc::clone(&metrics))));
        asking.collect()
    }

    fn shown(&self) -> Shown {
        Shown {
            dead: self.dead.subscribe(),
            readiness: self.readiness.subscribe(),
            snapshots: self.snapshots.clone(),
            statuses: self.statuses.subscribe(),
            registry: self.registry.clone(),
            control: Arc::clone(&self.metrics),
            progress: self.progress.clone(),
            leadership: self.leadership.clone(),
        }
    }

    /// Tells kubelets and Prometheus how it goes, until the sender of `answered` is gone.
    fn serve_probes(
        &self,
        bound: BoundProbes,
        answered: watch::Receiver<()>,
    ) -> impl Future<Output = ()> + Send + 'static {
        let shown = self.shown();
        let obituary = self.obituary(self.stop.subscribe(), "probes");
        async move {
            let _obituary = obituary;
            if let Err(error) = probes::serve(bound, shown, dropped(answered)).await {
                tracing::error!(%error, "probes are no longer answered");
            }
        }
    }

    /// Shows all that to operators.
    pub(super) fn serve_admin(&mut self, socket: TcpListener) {
        let shown = self.shown();
        let stopped = self.stopped();
        self.spawn("the admin endpoint", async move {
            if let Err(error) = admin::serve(socket, shown, stopped).await {
                tracing::error!(%error, "the admin endpoint is no longer served");
            }
        });
    }

    /// Begins to end the tasks that write, while traffic is drained: another replica can do that, and then at once.
    pub(super) fn end_writing(&mut self) {
        self.stop_writing = watch::Sender::default();
    }

    /// Ends all tasks; those that take too long are cut.
    pub(super) async fn end(mut self) {
        drop((self.stop_writing, self.stop));
        let ended = async {
            while let Some(ended) = self.tasks.join_next().await {
                if let Err(error) = ended {
                    tracing::error!(%error, "a control task failed");
                }
            }
        };
        if timeout(END, ended).await.is_err() {
            tracing::debug!("control tasks are cut");
        }
    }
}

/// Ends once the sender is gone.
async fn dropped(mut sender: watch::Receiver<()>) {
    while sender.changed().await.is_ok() {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_dies_is_told_of_and_one_that_was_ended_is_not() {
        let mut control = Control::new(Registry::new()).expect("registered");
        let (mut dead, stopped) = (control.dead.subscribe(), control.stopped());
        control.spawn("ends when it is to", stopped);
        control.spawn("panics", async { panic!("as it was meant to") });
        dead.wait_for(Option::is_some).await.expect("told");
        assert_eq!(*dead.borrow(), Some("panics"));
        control.spawn("ends early", async {});
        let of_the_end = control.dead.clone();
        control.end().await;
        assert_eq!(*of_the_end.borrow(), Some("panics"), "the first one is kept");

        let mut control = Control::new(Registry::new()).expect("registered");
        let (dead, stopped) = (control.dead.clone(), control.stopped());
        control.spawn("ends when it is to", stopped);
        control.end().await;
        assert_eq!(*dead.borrow(), None);
    }

    #[tokio::test]
    async fn what_writes_ends_before_the_rest() {
        let mut control = Control::new(Registry::new()).expect("registered");
        let (stopped, writing_stopped) = (control.stopped(), control.writing_stopped());
        let (ended, has_ended) = tokio::sync::oneshot::channel();
        control.spawn("goes on", stopped);
        control.spawn_writing("writes", async move {
            writing_stopped.await;
            let _ = ended.send(());
        });
        control.end_writing();
        has_ended.await.expect("ended");
        let joined = control.tasks.join_next().await;
        assert!(joined.is_some_and(|joined| joined.is_ok()) && control.tasks.len() == 1);
        assert_eq!(*control.dead.borrow(), None, "it was to end");
        control.end().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_does_not_end_is_cut() {
        let mut control = Control::new(Registry::new()).expect("registered");
        control.spawn("hangs", std::future::pending());
        let begin = tokio::time::Instant::now();
        control.end().await;
        assert_eq!(begin.elapsed().as_secs(), END.as_secs());
    }
}
