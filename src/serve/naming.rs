//! What DNS serves: what flags say, or a Corefile, which is followed.

use anyhow::Context as _;
use config::DnsCompatibility;
use dns::{At, Bounds, Environment as _, Note, Plan, PlanError, PlannedObjects, Reloads, System, Transport};
use std::future::pending;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::sleep;

/// Errors of a Corefile that are told at once; one mistake often makes several.
const TOLD: usize = 10;

/// What DNS serves, within which bounds, and how it is protected.
#[derive(Debug)]
pub(crate) struct Naming {
    pub(crate) of: NamingOf,
    pub(crate) bounds: Bounds,
    pub(crate) protection: dns::Protection,
}

/// What says what DNS serves.
#[derive(Debug)]
pub(crate) enum NamingOf {
    /// One block, everywhere.
    Flags { addresses: Vec<SocketAddr>, settings: Box<dns::Settings> },
    /// What a Corefile says.
    Corefile(Corefile),
}

/// A Corefile that was understood.
#[derive(Debug)]
pub(crate) struct Corefile {
    path: PathBuf,
    plan: Plan,
    compatibility: DnsCompatibility,
}

impl Naming {
    /// What a Corefile says; `None`: there is none.
    pub(crate) fn plan(&self) -> Option<&Plan> {
        match &self.of {
            NamingOf::Flags { .. } => None,
            NamingOf::Corefile(corefile) => Some(&corefile.plan),
        }
    }

    /// Binds all addresses.
    pub(super) fn bind(&self, workers: usize) -> anyhow::Result<Vec<dns::Sockets>> {
        match &self.of {
            NamingOf::Flags { addresses, .. } => {
                let all = addresses.iter().map(|address| At { transport: Transport::Dns, address: *address });
                dns::bind_all(all, &[], workers).context("--dns-bind")
            }
            NamingOf::Corefile(corefile) => {
                let addresses = dns::addresses(&corefile.plan)?;
                dns::bind_all(addresses, &[], workers).with_context(|| corefile.path.display().to_string())
            }
        }
    }
}

impl Corefile {
    /// # Errors
    /// The file cannot be read, is no regular one or larger than 1 MiB, or holds something that is wrong:
    /// every such line, up to a number.
    pub(crate) fn read(path: PathBuf, compatibility: DnsCompatibility) -> anyhow::Result<Self> {
        let (corefile, notes) = Self::understood(path, compatibility)?;
        tell(&notes);
        Ok(corefile)
    }

    /// The same, with what is to be told about it once it is taken.
    fn understood(path: PathBuf, compatibility: DnsCompatibility) -> anyhow::Result<(Self, Vec<Note>)> {
        let name = path.display().to_string();
        let text = System.read(&path).with_context(|| format!("--corefile {name}"))?;
        let (plan, notes) = match Plan::from_corefile(&text, &name, &System) {
            Ok(read) => read,
            Err(errors) => anyhow::bail!("{}", joined(errors.iter().map(PlanError::to_string))),
        };
        Ok((Self { path, plan, compatibility }, notes))
    }

    pub(crate) fn plan(&self) -> (&Plan, DnsCompatibility) {
        (&self.plan, self.compatibility)
    }

    /// Looks at the file again and again as its `reload` says, and serves what it says then. What is wrong is told, and
    /// what was served before goes on. Once nothing is to be looked at any more it rests: a task that ends counts as one
    /// that has died. `bound`: where it is served; `objects`: those that are read, `None` where none are.
    pub(super) async fn follow(
        mut self,
        reloads: Reloads,
        mut bound: Vec<At>,
        objects: Option<PlannedObjects>,
        workers: usize,
    ) {
        let mut told = String::new();
        while let Some(rest) = self.rest() {
            sleep(rest).await;
            let error = match self.look(&reloads, &mut bound, objects.as_ref(), workers).await {
                Ok(()) => String::new(),
                Err(error) => format!("{error:#}"),
            };
            if !error.is_empty() && error != told {
                tracing::error!(%error, "the Corefile is not taken; what was served before still is");
                reloads.refused();
            }
            told = error;
        }
        pending::<()>().await;
    }

    /// Until the file is looked at again; `None`: never.
    fn rest(&self) -> Option<Duration> {
        let (interval, jitter) = self.plan.reload()?;
        // Replicas are not to look all at once.
        Some(interval + jitter.mul_f64(rand::random::<f64>() * 2.0) - jitter)
    }

    async fn look(
        &mut self,
        reloads: &Reloads,
        bound: &mut Vec<At>,
        objects: Option<&PlannedObjects>,
        workers: usize,
    ) -> anyhow::Result<()> {
        let (path, compatibility) = (self.path.clone(), self.compatibility);
        let understood = tokio::task::spawn_blocking(move || Self::understood(path, compatibility)).await?;
        let (read, notes) = understood?;
        if read.plan.to_string() == self.plan.to_string() {
            return Ok(());
        }
        anyhow::ensure!(
            read.plan.probes() == self.plan.probes(),
            "{}: where health, ready and prometheus are, and for how long lameduck is, counts from the next start on",
            self.path.display()
        );
        anyhow::ensure!(
            read.plan.objects().is_none_or(|wanted| objects == Some(&wanted)),
            "{}: a first kubernetes, pods verified, multicluster, labels and namespace_labels count from the next start on",
            self.path.display()
        );
        let prepared = reloads.prepare(&read.plan, compatibility)?;
        let addresses: Vec<_> = prepared.addresses().collect();
        // The right to ports below 1024 was given up after the start: a new one of these takes a restart.
        let sockets = dns::bind_all(addresses.iter().copied(), bound, workers)?;
        reloads.replace(prepared, sockets).await;
        tracing::info!(file = %self.path.display(), "the Corefile has changed, and is served");
        tell(&notes);
        (self.plan, *bound) = (read.plan, addresses);
        Ok(())
    }
}

fn tell(notes: &[Note]) {
    for note in notes {
        match note.is_missing {
            true => tracing::warn!("{note}"),
            false => tracing::info!("{note}"),
        }
    }
}

fn joined(lines: impl ExactSizeIterator<Item = String>) -> String {
    let more = lines.len().saturating_sub(TOLD);
    let told = lines.take(TOLD).collect::<Vec<_>>().join("; ");
    if more > 0 { format!("{told}; and {more} more, which `tidegate check` tells") } else { told }
}
