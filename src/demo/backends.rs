//! The shop's Pods: real HTTP servers in this process, on the addresses that the manifests give them or on free ones.

use axum::Router;
use axum::extract::Request;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use tokio::runtime::{Builder, Runtime};

/// Tries to find a port that is free on two addresses.
const TRIES: usize = 32;

/// Where the manifests have the Pods of the first version.
const V1: [(&str, u16); 2] = [("shop-v1-a", 3001), ("shop-v1-b", 3002)];
/// The Pods of the second version share a port, as Pods do.
const V2: [(&str, Ipv4Addr); 2] =
    [("shop-v2-a", Ipv4Addr::new(127, 0, 0, 1)), ("shop-v2-b", Ipv4Addr::new(127, 0, 0, 2))];
const V2_PORT: u16 = 3003;

/// Running Pods; dropping them ends them.
#[derive(Debug)]
pub(super) struct Backends {
    /// What the manifests say, and what it has to be.
    ports: Vec<(String, String)>,
    runtime: Option<Runtime>,
}

impl Backends {
    /// Binds and serves.
    ///
    /// # Errors
    /// There is no port, or no thread, to be had.
    pub(super) fn start() -> io::Result<Self> {
        let runtime =
            Builder::new_multi_thread().worker_threads(1).thread_name("demo-backends").enable_all().build()?;
        let mut ports = Vec::new();
        for (pod, port) in V1 {
            let socket = bind(Ipv4Addr::LOCALHOST, port).or_else(|_| bind(Ipv4Addr::LOCALHOST, 0))?;
            ports.push((format!("127.0.0.1:{port}"), socket.local_addr()?.to_string()));
            serve(&runtime, "v1", pod, socket)?;
        }
        let sockets = bind_all(V2_PORT).or_else(|_| bind_any())?;
        for ((pod, _), socket) in V2.into_iter().zip(sockets) {
            ports.push((format!("port: {V2_PORT}"), format!("port: {}", socket.local_addr()?.port())));
            serve(&runtime, "v2", pod, socket)?;
        }
        Ok(Self { ports, runtime: Some(runtime) })
    }

    /// The manifest with the ports on which the Pods really are.
    pub(super) fn with_ports(&self, manifest: &str) -> String {
        self.ports.iter().fold(manifest.to_owned(), |text, (from, to)| text.replace(from, to))
    }
}

impl Drop for Backends {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn bind(ip: Ipv4Addr, port: u16) -> io::Result<TcpListener> {
    TcpListener::bind(SocketAddr::new(ip.into(), port))
}

fn bind_all(port: u16) -> io::Result<Vec<TcpListener>> {
    V2.into_iter().map(|(_, ip)| bind(ip, port)).collect()
}

fn bind_any() -> io::Result<Vec<TcpListener>> {
    let mut result = Err(io::ErrorKind::AddrInUse.into());
    for _ in 0..TRIES {
        // Freed again, and most likely free on the other address as well.
        let port = bind(Ipv4Addr::LOCALHOST, 0)?.local_addr()?.port();
        result = bind_all(port);
        if result.is_ok() {
            break;
        }
    }
    result
}

fn serve(runtime: &Runtime, version: &'static str, pod: &'static str, socket: TcpListener) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    let _entered = runtime.enter();
    let listener = tokio::net::TcpListener::from_std(socket)?;
    let answer = move |request: Request| async move {
        format!("shop {version}, pod {pod}: {} {}\n", request.method(), request.uri())
    };
    runtime.spawn(async move {
        if let Err(error) = axum::serve(listener, Router::new().fallback(answer)).await {
            tracing::error!(%error, pod, "a backend of the demo ended");
        }
    });
    Ok(())
}
