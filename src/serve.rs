//! The running program: sockets, runtime, source, proxy, DNS and admin, wired together here and nowhere else.
//! The main thread and a small control runtime do all that is not traffic; workers have threads of their own.

mod bound;
mod control;
mod names;
mod naming;
mod privileged_ports;
mod reloading;
mod resolving;
mod signals;
mod source;
mod writing;

pub(crate) use bound::{Addresses, Bound, bind, bind_names};
pub(crate) use names::{NamesAlone, serve_names};
pub(crate) use naming::{Corefile, Naming, NamingOf};
pub(crate) use privileged_ports::give_up_privileged_ports;
pub(crate) use source::Source;
pub(crate) use writing::Writing;

use crate::admin::Readiness;
use crate::cgroup::memory;
use crate::figures::count_panics;
use crate::logging::Log;
use anyhow::Context as _;
use config::{ListenerName, Protocol, Reader, Settings, Snapshot};
use control::Control;
use controller::TranslateSettings;
use prometheus::Registry;
use proxy::access_log::{AccessLog, AccessLogThread};
use proxy::drain::{Drain, Drained};
use proxy::listener::{ConnectionCeiling, connection_ceiling, raise_open_files};
use proxy::metrics::{Metrics, ProcessCollector};
use proxy::{Limits, Proxy, ProxySettings, Shared, Sockets};
use signals::{Caught, Signals};
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Builder;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

/// Threads of the control runtime: a long translation must not keep the admin endpoint waiting.
const CONTROL_THREADS: usize = 2;
/// Open files where the system does not say how many there may be.
const FEW_FILES: u64 = 1024;
/// Memory in bytes that is there for each connection: a client that does its worst takes more, most take a tenth.
const MEMORY_OF_CONNECTION: u64 = 64 * 1024;
/// Fewer connections at once than this are worth a warning.
const FEW_CONNECTIONS: usize = 256;

/// How long series of routes that are gone stay at least.
const SERIES: Duration = Duration::from_secs(1);

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// As it was asked to, with everything drained or the time for that over.
    Drained,
    /// At once, by a second signal of this number.
    Killed(u8),
}

/// Serves until a signal. `ready` is called once everything is served.
///
/// # Errors
/// Something cannot be started; the message names it.
pub(crate) fn serve(
    program: Program<'_>,
    ready: impl FnOnce(&Snapshot) -> anyhow::Result<()>,
) -> anyhow::Result<Ended> {
    on_control_runtime(CONTROL_THREADS, program.run(ready))
}

/// Runs on a small runtime of its own for all that is not traffic.
fn on_control_runtime(threads: usize, program: impl Future<Output = anyhow::Result<Ended>>) -> anyhow::Result<Ended> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name("control")
        .enable_all()
        .build()
        .context("no control runtime")?;
    let ended = runtime.block_on(program);
    // Nothing is left but what blocks a thread, such as a plugin for credentials or a resolver that does not answer.
    runtime.shutdown_background();
    ended
}

/// All that a run begins with.
pub(crate) struct Program<'l> {
    pub(crate) log: &'l Log,
    pub(crate) settings: Settings,
    pub(crate) naming: Naming,
    pub(crate) source: Source,
    pub(crate) bound: Bound,
}

impl Program<'_> {
    async fn run(self, ready: impl FnOnce(&Snapshot) -> anyhow::Result<()>) -> anyhow::Result<Ended> {
        let Self { log, settings, naming, source, bound } = self;
        let mut signals = Signals::new().context("signals cannot be caught")?;
        let registry = Registry::new();
        registry.register(Box::new(log.lost()))?;
        let (shared, access_log) = shared(&settings, &registry)?;
        let Bound { http, https, dns, admin, probes, addresses } = bound;
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
        let (ingress, cluster_domain) = (settings.ingress, settings.cluster_domain);
        control.follow(followed, TranslateSettings { ingress, cluster_domain });
        let lameduck = naming.lameduck.subscribe();
        control.serve_dns((dns, probes), naming, objects, settings.workers)?;
        control.serve_admin(admin);

        let reader = tokio::select! {
            reader = control.snapshots.clone().ready() => reader.context("the source ended before it had said anything")?,
            // Names of others are answered already.
            signal = signals.next() => {
                let delay = settings.drain.delay.max(*lameduck.borrow());
                begin_to_end(&mut control, signal);
                let rest = async {
                    sleep(delay).await;
                    control.end().await;
                    Ok(())
                };
                return signals.end_with(rest).await;
            }
        };
        let proxy_settings = ProxySettings {
            paths: settings.paths,
            trusted_proxies: settings.trusted_proxies,
            advertised_https_port: settings.listen.advertised_https_port.unwrap_or(addresses.https.port()),
            limits: Limits::default(),
        };
        let listeners = vec![
            Sockets { listener: ListenerName::Http, protocol: Protocol::Http, sockets: http },
            Sockets { listener: ListenerName::Https, protocol: Protocol::Https, sockets: https },
        ];
        let proxy = Proxy::start(proxy_settings, Drain::new(settings.drain), &reader, listeners, &shared)?;
        tokio::spawn(proxy.follow(reader.clone()));
        tokio::spawn(forget_old_series(shared.metrics.clone(), reader.clone()));
        control.readiness.send_replace(Readiness::Ready);
        ready(&reader.current())?;

        let signal = signals.next().await;
        let longer = lameduck.borrow().saturating_sub(settings.drain.delay);
        begin_to_end(&mut control, signal);
        shared.metrics.set_draining(true);
        // Where a second signal comes, its end would wait for a reader of the log that may be slow.
        let access_log = ManuallyDrop::new(access_log);
        let rest = async {
            match proxy.drain_after(longer).await {
                Drained::Empty => tracing::info!("drained"),
                Drained::TimedOut => tracing::warn!("the time to drain is over: what still runs is cut"),
            }
            end(proxy, control, shared, access_log).await
        };
        signals.end_with(rest).await
    }
}

/// Nobody is to be sent here any more; another replica writes.
fn begin_to_end(control: &mut Control, signal: Caught) {
    tracing::info!(signal = signal.name, "draining");
    control.readiness.send_replace(Readiness::Draining);
    control.end_writing();
}

/// Ends what is left once there is no traffic, each after those who use it.
async fn end(
    proxy: Proxy,
    control: Control,
    shared: Shared,
    access_log: ManuallyDrop<AccessLogThread>,
) -> anyhow::Result<()> {
    // Workers are joined, which would keep a thread of the runtime waiting, and with it a signal; so does the log's end.
    spawn_blocking(move || proxy.stop()).await.context("the proxy does not stop")?;
    control.end().await;
    drop(shared);
    let finished = spawn_blocking(move || ManuallyDrop::into_inner(access_log).finish()).await;
    if !finished.context("the access log does not end")? {
        tracing::warn!("the access log's reader takes nothing: its last lines are lost");
    }
    Ok(())
}

/// What the workers share.
fn shared(settings: &Settings, registry: &Registry) -> anyhow::Result<(Shared, AccessLogThread)> {
    let files = open_files();
    let metrics = Metrics::register(registry)?;
    ProcessCollector::register(registry)?;
    count_panics(registry)?;
    let (access_log, thread) = AccessLog::start(settings.access_log, std::io::stdout(), metrics.access_log())?;
    let ceiling = ConnectionCeiling::new(connections(files, settings.workers)?);
    Ok((Shared { ceiling, metrics, access_log }, thread))
}

/// As many open files as may be.
fn open_files() -> u64 {
    raise_open_files().unwrap_or_else(|error| {
        tracing::warn!(%error, "the limit of open files cannot be raised");
        FEW_FILES
    })
}

/// Connections of clients that so many open files carry, and the memory that we have.
fn connections(limit: u64, workers: usize) -> anyhow::Result<usize> {
    let by_files = connection_ceiling(limit, workers);
    anyhow::ensure!(
        by_files > 0,
        "a limit of {limit} open files (RLIMIT_NOFILE, `ulimit -n`) leaves none for connections"
    );
    if by_files < FEW_CONNECTIONS {
        tracing::warn!(
            limit,
            connections = by_files,
            "the limit of open files (RLIMIT_NOFILE, `ulimit -n`) is low: more clients than that have to wait"
        );
    }
    let by_memory = memory().and_then(|bytes| usize::try_from(bytes / MEMORY_OF_CONNECTION).ok());
    let connections = by_memory.map_or(by_files, |by_memory| by_files.min(by_memory).max(1));
    tracing::debug!(connections, by_files, by_memory, "most connections of clients at once");
    Ok(connections)
}

/// Series of routes that are gone end.
async fn forget_old_series(metrics: Metrics, mut reader: Reader) {
    let mut routing = Arc::clone(&reader.current().routing);
    while reader.changed().await {
        // It looks at every series, which is too much for each of many changes.
        sleep(SERIES).await;
        let current = Arc::clone(&reader.current().routing);
        if !Arc::ptr_eq(&routing, &current) {
            metrics.retain_routed(&current);
            routing = current;
        }
    }
}
