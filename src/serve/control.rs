//! The side of the program that is not traffic: the source, DNS and the admin endpoint, each a task.

use crate::admin::{self, Readiness, Shown};
use crate::figures::ControlMetrics;
use config::{Publisher, Settings, Subscriber, publisher};
use controller::run::{Outputs, run};
use controller::source::Follower;
use controller::{Statuses, TranslateSettings};
use prometheus::Registry;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long the tasks may take to end once there is no traffic left.
const END: Duration = Duration::from_secs(2);

/// The tasks and what they say to each other.
pub(super) struct Control {
    pub(super) readiness: watch::Sender<Readiness>,
    pub(super) snapshots: Subscriber,
    publisher: Option<Publisher>,
    statuses: watch::Sender<Arc<Statuses>>,
    registry: Registry,
    metrics: Arc<ControlMetrics>,
    /// Dropped to end the tasks.
    stop: watch::Sender<()>,
    tasks: JoinSet<()>,
}

impl Control {
    pub(super) fn new(registry: Registry) -> anyhow::Result<Self> {
        let (publisher, snapshots) = publisher();
        Ok(Self {
            readiness: watch::Sender::new(Readiness::Starting),
            snapshots,
            publisher: Some(publisher),
            statuses: watch::Sender::default(),
            metrics: Arc::new(ControlMetrics::register(&registry)?),
            registry,
            stop: watch::Sender::default(),
            tasks: JoinSet::new(),
        })
    }

    /// Ends when [`Self::end`] is called.
    fn stopped(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut stop = self.stop.subscribe();
        async move { while stop.changed().await.is_ok() {} }
    }

    /// Publishes what the source says.
    pub(super) fn follow(&mut self, source: Follower, settings: &Settings) {
        let Some(publisher) = self.publisher.take() else { return };
        let metrics = Arc::clone(&self.metrics);
        let outputs = Outputs {
            publisher,
            statuses: self.statuses.clone(),
            figures: move |figures: &controller::run::Figures| metrics.observe(figures),
        };
        let (ingress, cluster_domain) = (settings.ingress.clone(), settings.cluster_domain.clone());
        let stop = self.stop.subscribe();
        let stopped = self.stopped();
        self.tasks.spawn(async move {
            run(source, TranslateSettings { ingress, cluster_domain }, outputs, stopped).await;
            if stop.has_changed().is_ok() {
                tracing::error!("the source ended: what is served no longer changes");
            }
        });
    }

    /// Answers names.
    pub(super) fn serve_dns(&mut self, sockets: dns::Sockets, settings: &Settings) -> anyhow::Result<()> {
        let upstreams = match &settings.dns_upstreams[..] {
            [] => dns::system_upstreams().unwrap_or_else(|error| {
                tracing::warn!(%error, "no resolver for names outside the zone");
                Vec::new()
            }),
            upstreams => upstreams.to_vec(),
        };
        let settings = dns::Settings::new(settings.cluster_domain.clone(), upstreams);
        let server = dns::Server::new(self.snapshots.clone(), settings, &self.registry)?;
        let stopped = self.stopped();
        self.tasks.spawn(async move {
            if let Err(error) = server.serve(sockets, stopped).await {
                tracing::error!(%error, "DNS is no longer served");
            }
        });
        Ok(())
    }

    /// Shows all that to operators.
    pub(super) fn serve_admin(&mut self, socket: TcpListener) {
        let shown = Shown {
            readiness: self.readiness.subscribe(),
            snapshots: self.snapshots.clone(),
            statuses: self.statuses.subscribe(),
            registry: self.registry.clone(),
            control: Arc::clone(&self.metrics),
        };
        let stopped = self.stopped();
        self.tasks.spawn(async move {
            if let Err(error) = admin::serve(socket, shown, stopped).await {
                tracing::error!(%error, "the admin endpoint is no longer served");
            }
        });
    }

    /// Ends all tasks; those that take too long are cut.
    pub(super) async fn end(mut self) {
        drop(self.stop);
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
