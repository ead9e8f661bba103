//! A process that serves names and nothing else: no listener for requests, no workers for them.

use super::bound::BoundNames;
use super::control::Control;
use super::naming::Naming;
use super::signals::Signals;
use super::source::Source;
use super::{CONTROL_THREADS, Ended, on_control_runtime, open_files};
use crate::admin::Readiness;
use crate::figures::count_panics;
use crate::logging::Log;
use anyhow::Context as _;
use config::{DomainName, IngressSettings};
use controller::TranslateSettings;
use prometheus::Registry;
use proxy::metrics::ProcessCollector;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::sleep;

/// What is served.
#[derive(Debug)]
pub(crate) struct NamesAlone<'l> {
    pub(crate) log: &'l Log,
    pub(crate) naming: Naming,
    pub(crate) cluster_domain: DomainName,
    pub(crate) workers: usize,
    /// Time from the first signal in which questions are still answered; a Corefile may change it.
    pub(crate) lameduck: watch::Receiver<Duration>,
}

/// Serves names until a signal.
///
/// # Errors
/// Something cannot be started; the message names it.
pub(crate) fn serve_names(names: NamesAlone<'_>, source: Source, bound: BoundNames) -> anyhow::Result<Ended> {
    // Where there is one CPU a second thread would only have memory of its own.
    on_control_runtime(names.workers.min(CONTROL_THREADS), run(names, source, bound))
}

async fn run(names: NamesAlone<'_>, source: Source, bound: BoundNames) -> anyhow::Result<Ended> {
    let NamesAlone { log, naming, cluster_domain, workers, lameduck } = names;
    let BoundNames { dns, probes, admin } = bound;
    let mut signals = Signals::new().context("signals cannot be caught")?;
    let registry = Registry::new();
    registry.register(Box::new(log.lost()))?;
    ProcessCollector::register(&registry)?;
    count_panics(&registry)?;
    warn_of_few_files(open_files(), &naming.bounds);
    let mut control = Control::new(registry)?;
    let objects = source.objects();
    let followed = tokio::select! {
        followed = source.follow(control.wanted(), control.requests()) => followed?,
        // A plugin for credentials may hang.
        signal = signals.next() => {
            tracing::info!(signal = signal.name, "ended before anything was served");
            return Ok(Ended::Drained);
        }
    };
    control.follow(followed, TranslateSettings { ingress: IngressSettings::default(), cluster_domain });
    control.serve_dns((dns, probes), naming, objects, workers)?;
    if let Some(admin) = admin {
        control.serve_admin(admin);
    }
    let signal = tokio::select! {
        reader = control.snapshots.clone().ready() => {
            reader.context("the source ended before it had said anything")?;
            control.readiness.send_replace(Readiness::Ready);
            tracing::info!("names are served");
            signals.next().await
        }
        // What the source has no say in is served already.
        signal = signals.next() => signal,
    };
    let lameduck = *lameduck.borrow();
    tracing::info!(signal = signal.name, ?lameduck, "draining");
    control.readiness.send_replace(Readiness::Draining);
    let rest = async {
        sleep(lameduck).await;
        control.end().await;
        Ok(())
    };
    signals.end_with(rest).await
}

/// Warns where there may be fewer open files than connections and questions for upstreams, which take one each.
fn warn_of_few_files(limit: u64, bounds: &dns::Bounds) {
    let dns::Bounds { waiting, connections, per_client: _, untaken: _ } = bounds;
    if usize::try_from(limit).is_ok_and(|limit| limit < waiting + connections) {
        tracing::warn!(
            limit,
            connections,
            waiting,
            "the limit of open files (RLIMIT_NOFILE, `ulimit -n`) is low: beyond it connections wait, and questions for \
             upstreams fail"
        );
    }
}
