//! Every socket of the program, bound before anything runs: a port in use is told at once, and costs nothing.

use super::naming::Naming;
use super::privileged_ports::with_privileged_ports;
use crate::probes::{self, BoundProbes, Probe};
use anyhow::Context as _;
use config::{ListenSettings, Settings};
use std::io;
use std::net::{SocketAddr, TcpListener};

/// Bound sockets.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(super) http: Vec<TcpListener>,
    pub(super) https: Vec<TcpListener>,
    pub(super) dns: Vec<dns::Sockets>,
    pub(super) admin: TcpListener,
    pub(super) probes: Vec<BoundProbes>,
    pub(crate) addresses: Addresses,
}

/// The same where names alone are served.
#[derive(Debug)]
pub(crate) struct BoundNames {
    pub(super) dns: Vec<dns::Sockets>,
    pub(super) probes: Vec<BoundProbes>,
    pub(super) admin: Option<TcpListener>,
}

/// Where they are bound, with the ports that were chosen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addresses {
    pub(crate) http: SocketAddr,
    pub(crate) https: SocketAddr,
    pub(crate) dns: SocketAddr,
    pub(crate) admin: SocketAddr,
}

impl Addresses {
    /// All of them, each changed.
    pub(crate) fn map(self, change: impl Fn(SocketAddr) -> SocketAddr) -> Self {
        let Self { http, https, dns, admin } = self;
        Self { http: change(http), https: change(https), dns: change(dns), admin: change(admin) }
    }
}

/// Binds what the settings say.
///
/// # Errors
/// An address that cannot be had, with its flag.
pub(crate) fn bind(settings: &Settings, naming: &Naming, probes: &[(Probe, SocketAddr)]) -> anyhow::Result<Bound> {
    with_privileged_ports(|| bind_all(settings, naming, probes))
}

/// Binds what names alone need: DNS at one address or several, each with a socket for every worker.
///
/// # Errors
/// An address that cannot be had, with its flag.
pub(crate) fn bind_names(
    naming: &Naming,
    workers: usize,
    probes: &[(Probe, SocketAddr)],
    admin: Option<SocketAddr>,
) -> anyhow::Result<BoundNames> {
    with_privileged_ports(|| {
        let dns = naming.bind(workers)?;
        let admin = admin.map(bind_admin).transpose().context("--admin-bind")?;
        let names = dns.iter().map(|sockets| Ok(("dns", sockets.address)));
        let admin_address = admin.iter().map(|admin| io::Result::Ok(("admin", admin.local_addr()?)));
        for listening in names.chain(admin_address) {
            let (listener, address) = listening?;
            tracing::info!(listener, %address, "listening");
        }
        let probes = probes::bind(probes)?;
        Ok(BoundNames { dns, probes, admin })
    })
}

fn bind_all(settings: &Settings, naming: &Naming, probes: &[(Probe, SocketAddr)]) -> anyhow::Result<Bound> {
    let ListenSettings { http, https, admin, advertised_https_port: _ } = settings.listen;
    let http = proxy::listener::bind(http, settings.workers).context("--http-bind")?;
    let https = proxy::listener::bind(https, settings.workers).context("--https-bind")?;
    let dns = naming.bind(settings.workers)?;
    let admin = bind_admin(admin).context("--admin-bind")?;
    let addresses = Addresses {
        http: first_address(&http)?,
        https: first_address(&https)?,
        dns: dns.first().context("DNS is served nowhere")?.address,
        admin: admin.local_addr()?,
    };
    let Addresses { http: http_address, https: https_address, dns: _, admin: admin_address } = addresses;
    let names = dns.iter().map(|sockets| ("dns", sockets.address));
    let others = [("http", http_address), ("https", https_address), ("admin", admin_address)];
    for (listener, address) in others.into_iter().chain(names) {
        tracing::info!(listener, %address, "listening");
    }
    let probes = probes::bind(probes)?;
    Ok(Bound { http, https, dns, admin, probes, addresses })
}

fn bind_admin(address: SocketAddr) -> io::Result<TcpListener> {
    let bound = TcpListener::bind(address).and_then(|socket| socket.set_nonblocking(true).map(|()| socket));
    bound.map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}")))
}

fn first_address(sockets: &[TcpListener]) -> io::Result<SocketAddr> {
    sockets.first().ok_or(io::ErrorKind::NotFound)?.local_addr()
}
