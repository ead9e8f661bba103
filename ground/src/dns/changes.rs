//! Endpoint changes at a steady rate, and the time until one that is waited for is answered.

use super::client::Client;
use super::cluster::{self, Cluster, Service, ZONE};
use super::{CHANGED, NAMESPACE, RATE};
use crate::measure::objects::slices;
use crate::measure::{Effects, Witness, Writer};
use anyhow::Context as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval, sleep};

/// Changes that are waited for, and how far apart: no rhythm of the others'.
const MEASURED: u32 = 200;
const APART: Duration = Duration::from_millis(23);

/// Changes that go on until they are stopped.
pub(super) struct Changes {
    start: Instant,
    stop: oneshot::Sender<()>,
    task: JoinHandle<anyhow::Result<u32>>,
}

impl Changes {
    /// Gives the `EndpointSlices` of one Service after the other, [`RATE`] a second, addresses that they have not had:
    /// those of change number `first` and on.
    pub(super) fn start(writer: &Writer, cluster: Cluster, first: u32) -> Self {
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(change(writer.clone(), cluster, first, stopped));
        Self { start: Instant::now(), stop, task }
    }

    /// Stops them and says how many were made each second.
    ///
    /// # Errors
    /// Where one was refused.
    pub(super) async fn stop(self) -> anyhow::Result<f64> {
        let Self { start, stop, task } = self;
        // It fails where the task has ended already, with the error that comes next.
        let _ = stop.send(());
        let made = task.await.context("the changes panicked")??;
        Ok(f64::from(made) / start.elapsed().as_secs_f64())
    }
}

async fn change(
    writer: Writer,
    cluster: Cluster,
    first: u32,
    mut stopped: oneshot::Receiver<()>,
) -> anyhow::Result<u32> {
    let mut ticks = interval(Duration::from_secs(1) / RATE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut writes = JoinSet::new();
    let mut made = 0;
    loop {
        tokio::select! {
            biased;
            _ = &mut stopped => break,
            Some(written) = writes.join_next() => written.context("a write panicked")??,
            _ = ticks.tick() => {
                let (writer, number) = (writer.clone(), first + made);
                let service = Service(number % cluster.services);
                writes.spawn(async move {
                    writer.replace(&slices(&service.namespace()), &service.changed_slice(number)).await
                });
                made += 1;
            }
        }
    }
    while let Some(written) = writes.join_next().await {
        written.context("a write panicked")??;
    }
    Ok(made)
}

/// Moves a headless Service to another endpoint, and again, while `server` is asked for it all the time.
///
/// # Errors
/// Where a write is refused or has no effect.
pub(super) async fn effects(
    writer: &Writer,
    mut witness: Witness,
    server: SocketAddr,
    first: u32,
) -> anyhow::Result<Effects> {
    let path = slices(NAMESPACE);
    let name = format!("{CHANGED}.{NAMESPACE}.svc.{ZONE}");
    let mut client = Client::connect(server)?;
    let mut effects = Effects::default();
    for number in first..first + MEASURED {
        sleep(APART).await;
        let address = cluster::changed_address(number, 0);
        let object = cluster::measured_slice(address);
        let name = name.clone();
        let ask = move || {
            let seen = client.ask_until(&name, address)?;
            Ok((client, seen))
        };
        let seen;
        (client, seen) = effects.add(writer.replace(&path, &object), ask).await?;
        effects.came(witness.saw(&address.to_string()).await?, seen);
    }
    Ok(effects)
}
