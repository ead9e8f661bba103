//! A Corefile that is followed: each change is served as far as that can be before the next start, and what has to wait
//! for one is told with its line.

use super::naming::{Corefile, tell};
use super::signals::Prompts;
use crate::cli::ProbeFlags;
use dns::{At, Note, Plan, PlannedObjects, Probes, Reloads};
use std::future::pending;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::sleep;

/// What a changed Corefile meets.
#[derive(Debug)]
pub(super) struct Reloading {
    pub(super) reloads: Reloads,
    /// Where it is served.
    pub(super) bound: Vec<At>,
    /// The objects that are read; `None`: none are.
    pub(super) objects: Option<PlannedObjects>,
    /// Refuses one that the next start would refuse.
    pub(super) accepts: fn(&Plan) -> anyhow::Result<()>,
    /// Probes that a Corefile has no say in.
    pub(super) flags: ProbeFlags,
    /// For how long questions are still answered once the end is wanted.
    pub(super) lameduck: watch::Sender<Duration>,
    pub(super) workers: usize,
}

/// What is served, and what was read.
struct Followed {
    corefile: Corefile,
    around: Reloading,
    /// Those that the start bound.
    probes: Probes,
    /// The plan that was taken last, as it was read.
    taken: String,
    /// The one that was read last; empty: what was read could not be understood.
    read: String,
}

/// Why the file is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Occasion {
    /// Its `reload`.
    Turn,
    /// SIGUSR1.
    Prompt,
}

/// Looks at the file again and again as its `reload` says, and at once when it is prompted, and serves what it says
/// then. What is wrong is told, and what was served before goes on. It has no end: a task that ends counts as one that
/// has died.
pub(super) async fn follow(corefile: Corefile, around: Reloading, mut prompts: Prompts) {
    let (probes, taken) = (corefile.plan.probes(), corefile.plan.to_string());
    let mut followed = Followed { corefile, around, probes, taken, read: String::new() };
    let mut told = None;
    loop {
        let occasion = tokio::select! {
            () = turn(&followed.corefile.plan) => Occasion::Turn,
            () = prompts.look() => Occasion::Prompt,
        };
        let refusal = followed.look(occasion).await.err().map(|error| (followed.read.clone(), format!("{error:#}")));
        if let Some((_, error)) = &refusal
            && (refusal != told || occasion == Occasion::Prompt)
        {
            tracing::error!(%error, "the Corefile is not taken; what was served before still is");
            followed.around.reloads.refused();
        }
        told = refusal;
    }
}

/// Waits until it is time to look at the file again.
async fn turn(plan: &Plan) {
    let Some((interval, jitter)) = plan.reload() else { return pending().await };
    // Replicas are not to look all at once.
    sleep(interval + jitter.mul_f64(rand::random::<f64>() * 2.0) - jitter).await;
}

impl Followed {
    /// A turn passes over a file that says the same; a prompt is about the files of its parts too.
    async fn look(&mut self, occasion: Occasion) -> anyhow::Result<()> {
        self.read.clear();
        let (path, compatibility) = (self.corefile.path.clone(), self.corefile.compatibility);
        let understood = tokio::task::spawn_blocking(move || Corefile::understood(path, compatibility)).await?;
        let (Corefile { plan, .. }, notes) = understood?;
        self.read = plan.to_string();
        let is_same = self.read == self.taken;
        if is_same && occasion == Occasion::Turn {
            return Ok(());
        }
        (self.around.accepts)(&plan)?;
        let lameduck = plan.probes().lameduck;
        let mut waiting = plan.probes_beside(&self.probes);
        waiting.retain(|note| !self.is_a_flags(note));
        let (plan, without) = plan.with_objects(self.around.objects.as_ref(), &self.corefile.plan);
        waiting.extend(without);

        let prepared = self.around.reloads.prepare(&plan, compatibility)?;
        let addresses: Vec<_> = prepared.addresses().collect();
        let Reloading { reloads, bound, workers, .. } = &self.around;
        // The right to ports below 1024 was given up after the start: a new one of these takes a restart.
        let sockets = reloads.bind(&addresses, bound, *workers)?;
        reloads.replace(prepared, sockets).await?;
        let what = match is_same {
            true => "the Corefile is the same; the files of its parts are read again",
            false => "the Corefile has changed, and is served",
        };
        tracing::info!(file = %self.corefile.path.display(), "{what}");
        tell(&notes);
        for note in waiting {
            tracing::warn!("{note}");
        }
        self.around.lameduck.send_replace(lameduck);
        self.corefile.plan = plan;
        self.around.bound = addresses;
        self.taken.clone_from(&self.read);
        Ok(())
    }

    /// Whether it is about a probe that a flag speaks of.
    fn is_a_flags(&self, note: &Note) -> bool {
        let ProbeFlags { health_bind, ready_bind, metrics_bind } = &self.around.flags;
        let flags = [("health", health_bind), ("ready", ready_bind), ("prometheus", metrics_bind)];
        flags.iter().any(|(plugin, flag)| note.subject == *plugin && flag.is_some())
    }
}
