//! The proxies that are compared: how each is started with the same work to do.

use super::PROXY_CORE;
use super::ground::{Ground, HOST, free_port, nginx};
use crate::http::Client;
use crate::running::{Running, START, Serving};
use crate::{manifests, places, tidegate};
use anyhow::{Context as _, bail};
use clap::ValueEnum;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Peer {
    Tidegate,
    Haproxy,
    Nginx,
    Envoy,
    Traefik,
}

impl Peer {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Tidegate => "tidegate",
            Self::Haproxy => "haproxy",
            Self::Nginx => "nginx",
            Self::Envoy => "envoy",
            Self::Traefik => "traefik",
        }
    }

    /// Tidegate is built, not installed.
    pub(super) fn is_installed(self) -> bool {
        self == Self::Tidegate || places::is_installed(self.name())
    }

    /// The line in which it names its version.
    ///
    /// # Errors
    /// Where it does not start.
    pub(super) fn version(self, ground: &Ground) -> anyhow::Result<String> {
        let (program, flag) = match self {
            Self::Tidegate => (ground.program.as_path(), "version"),
            Self::Haproxy | Self::Nginx => (Path::new(self.name()), "-v"),
            Self::Envoy => (Path::new("envoy"), "--version"),
            Self::Traefik => (Path::new("traefik"), "version"),
        };
        let output = Command::new(program).arg(flag).output();
        let output = output.with_context(|| format!("{} does not start", program.display()))?;
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        Ok(text.lines().find(|line| !line.trim().is_empty()).unwrap_or("says no version").trim().to_owned())
    }

    /// Starts it with one worker on the proxy's core, and waits until it forwards.
    ///
    /// # Errors
    /// Where it does not start or does not forward.
    pub(super) fn start(self, ground: &Ground) -> anyhow::Result<Serving> {
        let mut serving = self.launch(ground)?;
        let deadline = Instant::now() + START;
        while !forwards(serving.http) {
            if Instant::now() > deadline {
                bail!("{} does not forward", self.name());
            }
            serving.running.usage()?;
            thread::sleep(Duration::from_millis(20));
        }
        Ok(serving)
    }

    fn launch(self, ground: &Ground) -> anyhow::Result<Serving> {
        let (http, https) = (free_port()?, free_port()?);
        let write = |name: &str, template: &str| ground.write(name, template, http.port(), https.port());
        let mut command = tidegate::pinned(Some(PROXY_CORE), self.name());
        match self {
            Self::Tidegate => return tidegate(ground),
            Self::Haproxy => {
                command.args(["-db", "-f"]).arg(write("haproxy.cfg", include_str!("../../peers/haproxy.cfg"))?);
            }
            Self::Nginx => {
                let configuration = write("nginx.conf", include_str!("../../peers/nginx.conf"))?;
                command = nginx(Some(PROXY_CORE), ground.folder(), &configuration);
            }
            Self::Envoy => {
                command.args(["--concurrency", "1", "--use-dynamic-base-id", "--log-level", "error", "-c"]);
                command.arg(write("envoy.yaml", include_str!("../../peers/envoy.yaml"))?);
            }
            Self::Traefik => {
                write("traefik-routes.yaml", include_str!("../../peers/traefik-routes.yaml"))?;
                let configuration = write("traefik.yaml", include_str!("../../peers/traefik.yaml"))?;
                command.arg(format!("--configFile={}", configuration.display())).env("GOMAXPROCS", "1");
            }
        }
        let mut running = Running::start(self.name(), command)?;
        running.wait_for(http)?;
        running.wait_for(https)?;
        Ok(Serving { running, http, https })
    }
}

fn tidegate(ground: &Ground) -> anyhow::Result<Serving> {
    let folder = ground.folder().join("manifests");
    fs::create_dir_all(&folder)?;
    let (certificate, key) = (ground.base64("certificate.pem")?, ground.base64("key.pem")?);
    let objects = manifests::ingress("shop", Some(HOST), "shop", Some("shop-tls"))
        + &manifests::annotated_service("shop", ground.backend)
        + &manifests::secret("shop-tls", &certificate, &key);
    fs::write(folder.join("shop.yaml"), objects)?;
    tidegate::start(&ground.program, &folder, Some(PROXY_CORE))
}

fn forwards(http: SocketAddr) -> bool {
    Client::connect(http, HOST).and_then(|mut client| client.get("/")).is_ok_and(|(status, _)| status == 200)
}
