//! What kubelets and Prometheus ask where CoreDNS has it: `/health`, `/ready` and `/metrics`, each at an address of its
//! own or with others. Says nothing else, so that it may be bound to all addresses of a Pod.

pub(crate) mod health;

use crate::admin::{self, Connections, Shown};
use crate::cli::{ProbeAddress, ProbeFlags};
use anyhow::Context as _;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use std::net::SocketAddr;
use tokio::net::TcpListener;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Probe {
    /// Whether the process lives; also while it ends, for as long as questions are answered.
    Health,
    /// Whether questions are answered from what the source has said. Once so it stays, also without an API server.
    Ready,
    /// The metrics.
    Metrics,
}

impl Probe {
    fn listener(self) -> &'static str {
        match self {
            Self::Health => "health",
            Self::Ready => "ready",
            Self::Metrics => "metrics",
        }
    }

    /// Where its address may stand.
    fn origin(self) -> String {
        format!("/{} (--{0}-bind, or the Corefile)", self.listener())
    }
}

/// What is asked where, as the flags say; for what they do not speak of, as `planned`.
pub(crate) fn wanted(flags: &ProbeFlags, planned: &dns::Probes) -> Vec<(Probe, SocketAddr)> {
    let ProbeFlags { health_bind, ready_bind, metrics_bind } = flags;
    let dns::Probes { health, ready, metrics, lameduck: _ } = planned;
    let all = [
        (Probe::Health, health_bind, health),
        (Probe::Ready, ready_bind, ready),
        (Probe::Metrics, metrics_bind, metrics),
    ];
    let addresses = |(probe, flag, planned): (Probe, &Option<ProbeAddress>, &Vec<SocketAddr>)| {
        let addresses = flag.map_or_else(|| planned.clone(), |flag| flag.0.into_iter().collect());
        addresses.into_iter().map(move |address| (probe, address))
    };
    all.into_iter().flat_map(addresses).collect()
}

/// A bound socket and what is asked there.
#[derive(Debug)]
pub(crate) struct BoundProbes {
    socket: std::net::TcpListener,
    probes: Vec<Probe>,
}

impl BoundProbes {
    /// Where `/health` is asked; `None`: not here.
    ///
    /// # Errors
    /// The socket has no address.
    pub(crate) fn health(&self) -> std::io::Result<Option<SocketAddr>> {
        self.probes.contains(&Probe::Health).then(|| self.socket.local_addr()).transpose()
    }
}

/// Binds each address once, for all that is to be asked there; port 0: each time another one that is free.
///
/// # Errors
/// An address that cannot be had, with what is first to be asked there.
pub(crate) fn bind(wanted: &[(Probe, SocketAddr)]) -> anyhow::Result<Vec<BoundProbes>> {
    let mut all: Vec<(SocketAddr, BoundProbes)> = Vec::new();
    for (probe, address) in wanted {
        let same = all.iter_mut().find(|(bound, _)| bound == address && address.port() != 0);
        let bound = match same {
            Some((_, bound)) => bound,
            None => {
                let socket = std::net::TcpListener::bind(dns::of_host(*address))
                    .and_then(|socket| socket.set_nonblocking(true).map(|()| socket))
                    .with_context(|| format!("{}: cannot listen on {address}", probe.origin()))?;
                let bound = BoundProbes { socket, probes: Vec::new() };
                &mut all.push_mut((*address, bound)).1
            }
        };
        bound.probes.push(*probe);
        tracing::info!(listener = probe.listener(), address = %bound.socket.local_addr()?, "listening");
    }
    Ok(all.into_iter().map(|(_, bound)| bound).collect())
}

/// Serves until `shutdown`, then until the requests that run are answered.
///
/// # Errors
/// The socket cannot be used by the runtime.
pub(crate) async fn serve(
    bound: BoundProbes,
    shown: Shown,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let BoundProbes { socket, probes } = bound;
    let router = probes.iter().fold(Router::new(), |router, probe| match probe {
        Probe::Health => router.route("/health", get(health)),
        Probe::Ready => router.route("/ready", get(ready)),
        Probe::Metrics => router.route("/metrics", get(admin::metrics)),
    });
    let connections = Connections::new(TcpListener::from_std(socket)?);
    axum::serve(connections, router.with_state(shown)).with_graceful_shutdown(shutdown).await
}

async fn health(State(shown): State<Shown>) -> (StatusCode, String) {
    shown.death().map_or_else(ok, |reason| (StatusCode::SERVICE_UNAVAILABLE, reason))
}

async fn ready(State(shown): State<Shown>) -> (StatusCode, String) {
    shown.unreadiness().map_or_else(ok, |reason| (StatusCode::SERVICE_UNAVAILABLE, reason))
}

/// As CoreDNS says it.
fn ok() -> (StatusCode, String) {
    (StatusCode::OK, "OK".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_bound_once_for_all_that_is_asked_there() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let any = "127.0.0.1:0".parse().unwrap();
        let bound = bind(&[(Probe::Health, free), (Probe::Ready, any), (Probe::Metrics, free), (Probe::Ready, any)]);
        let probes: Vec<_> = bound.unwrap().into_iter().map(|bound| bound.probes).collect();
        assert_eq!(probes, [vec![Probe::Health, Probe::Metrics], vec![Probe::Ready], vec![Probe::Ready]]);
    }

    #[test]
    fn an_address_that_cannot_be_had_is_named_with_its_flag() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let error = format!("{:#}", bind(&[(Probe::Ready, address)]).unwrap_err());
        assert!(
            error.starts_with(&format!("/ready (--ready-bind, or the Corefile): cannot listen on {address}: ")),
            "{error}"
        );
    }
}
