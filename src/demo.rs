//! `tidegate demo`: a shop in two versions, with backends in this process, and lines to try.

mod backends;
mod directory;
#[cfg(test)]
mod tests;

use crate::cli::DemoFlags;
use crate::logging::Log;
use crate::routes::{self, RouteTarget};
use crate::serve::{self, Addresses, Ended, Program, Source};
use crate::settings::{Defaults, naming, settings};
use crate::text::Table;
use anyhow::Context as _;
use backends::Backends;
use config::{AccessLogFormat, DomainName, IngressSettings, ListenSettings, Snapshot};
use controller::{Selection, TranslateSettings};
use directory::Directory;
use std::fmt::Write;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

/// The manifests, the same files that the tests use.
const MANIFESTS: [(&str, &str); 2] = [
    ("routes.yaml", include_str!("../examples/shop/routes.yaml")),
    ("services.yaml", include_str!("../examples/shop/services.yaml")),
];

const DEFAULTS: Defaults =
    Defaults { access_log: AccessLogFormat::Text, drain_delay: Duration::ZERO, drain_timeout: Duration::from_secs(2) };

/// Serves the shop until a signal.
pub(crate) fn demo(flags: DemoFlags) -> anyhow::Result<ExitCode> {
    let DemoFlags { http_bind, https_bind, dns_bind, admin_bind, serve } = flags;
    let listen = ListenSettings {
        http: choose("http", http_bind, 8080, is_tcp_free),
        https: choose("https", https_bind, 8443, is_tcp_free),
        admin: choose("admin", admin_bind, 9901, is_tcp_free),
        advertised_https_port: serve.advertised_https_port,
    };
    let translation =
        TranslateSettings { ingress: IngressSettings::default(), cluster_domain: DomainName::cluster_local() };
    let log = Log::begin(&serve.process)?;
    let dns = choose("dns", dns_bind, 5353, |address| dns::bind(address, 1).map(drop));
    let naming = naming(vec![dns], serve.dns.clone(), &translation.cluster_domain)?;
    let settings = settings(listen, translation, serve, DEFAULTS);
    let bound = serve::bind(&settings, &naming, &[])?;
    let addresses = bound.addresses;
    let backends = Backends::start().context("the backends do not start")?;
    let manifests = MANIFESTS.map(|(name, text)| (name, backends.with_ports(text)));
    let directory = Directory::create(&std::env::temp_dir(), &manifests)?;
    let source = directory.path().to_owned();
    let text = |snapshot: &Snapshot| introduction(snapshot, addresses, &source.display().to_string());
    let selection = Selection::Everything { pods: false, imports: true, externals: false };
    let manifests = Source::Manifests { paths: vec![source.clone()], selection };
    let program = Program { log: &log, settings, naming, source: manifests, bound };
    let ended = serve::serve(program, |snapshot| crate::print(&text(snapshot)))?;
    Ok(match ended {
        Ended::Drained => ExitCode::SUCCESS,
        Ended::Killed(code) => ExitCode::from(code),
    })
}

/// The address that was asked for, else the usual port, else any.
fn choose(
    listener: &str,
    asked: Option<SocketAddr>,
    port: u16,
    try_bind: impl Fn(SocketAddr) -> io::Result<()>,
) -> SocketAddr {
    if let Some(asked) = asked {
        return asked;
    }
    let usual = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port);
    match try_bind(usual) {
        Ok(()) => usual,
        Err(error) => {
            // Whoever reads the lines below sees the port that is used instead.
            let _ = crate::print(&format!("{listener}: port {port} is not free ({error}), so another one is used\n"));
            SocketAddr::new(usual.ip(), 0)
        }
    }
}

fn is_tcp_free(address: SocketAddr) -> io::Result<()> {
    std::net::TcpListener::bind(address).map(drop)
}

/// What there is, and what to try.
fn introduction(snapshot: &Snapshot, addresses: Addresses, directory: &str) -> String {
    let mut table = Table::default();
    table.row(["URL", "ROUTE", "BACKEND", "ENDPOINTS"].map(str::to_owned));
    for route in routes::all(snapshot) {
        let RouteTarget::Backends(backends) = &route.target else { continue };
        let (scheme, address) = if route.tls.redirects { ("https", addresses.https) } else { ("http", addresses.http) };
        for backend in backends {
            let endpoints = backend.endpoints.iter().flatten().map(|endpoint| endpoint.address.to_string());
            table.row([
                format!("{scheme}://{}:{}{}", route.host, address.port(), route.path),
                format!("{} {} {}", route.object, route.path_type, route.path),
                backend.backend.clone(),
                endpoints.collect::<Vec<_>>().join(", "),
            ]);
        }
    }
    let mut text = format!("\nA shop in two versions, served from the manifests in {directory}\n\n{table}\nTry\n\n");
    for line in lines(addresses) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {line}");
    }
    text.push_str("\nEdit the manifests and ask again; Ctrl-C ends it.\n\n");
    text
}

/// Commands that work as they are printed.
fn lines(addresses: Addresses) -> Vec<String> {
    let Addresses { http, https, dns, admin } = addresses.map(reachable);
    vec![
        format!("curl -H 'Host: shop.localhost' http://{http}/"),
        format!("curl -H 'Host: shop.localhost' http://{http}/beta"),
        format!("curl -i -H 'Host: secure.localhost' http://{http}/"),
        format!(
            "curl -k --resolve secure.localhost:{}:{} https://secure.localhost:{}/",
            https.port(),
            https.ip(),
            https.port()
        ),
        format!("dig +short @{} -p {} shop-v2.demo.svc.cluster.local", dns.ip(), dns.port()),
        format!("dig +short @{} -p {} a.shop-v2.demo.svc.cluster.local", dns.ip(), dns.port()),
        format!("curl http://{admin}/routes"),
    ]
}

/// An address that a client can name: 0.0.0.0 is none.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port()),
        IpAddr::V6(ip) if ip.is_unspecified() => SocketAddr::new(std::net::Ipv6Addr::LOCALHOST.into(), address.port()),
        _ => address,
    }
}
