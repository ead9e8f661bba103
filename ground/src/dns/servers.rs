//! The servers that are compared: how each is started on one core with one worker, and told that it answers.

use super::client::Client;
use super::cluster::{Cluster, Service, ZONE};
use super::{PATIENCE, SERVER_CORE};
use crate::measure::Usage;
use anyhow::{Context as _, ensure};
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tidegate_ground::{Ground, Process, binaries};

/// A server by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Peer {
    Tidegate,
    Knot,
    Nsd,
    Coredns,
}

/// Where every peer finds what it serves.
pub(super) struct Place {
    /// The Tidegate that is measured.
    pub(super) program: PathBuf,
    pub(super) cluster: Cluster,
    /// For configurations and the zone file.
    pub(super) folder: PathBuf,
}

/// A peer that answers.
pub(super) struct Server {
    pub(super) peer: Peer,
    pub(super) address: SocketAddr,
    process: Process,
}

impl Peer {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Tidegate => "Tidegate",
            Self::Knot => "Knot",
            Self::Nsd => "NSD",
            Self::Coredns => "CoreDNS",
        }
    }

    /// Whether it follows the API server; the others serve a zone file.
    pub(super) fn follows_the_cluster(self) -> bool {
        matches!(self, Self::Tidegate | Self::Coredns)
    }

    /// What it says that it is, in a word.
    ///
    /// # Errors
    /// Where it is not installed.
    pub(super) fn version(self, place: &Place) -> anyhow::Result<String> {
        let (mut command, argument) = match self {
            Self::Tidegate => (Command::new(&place.program), "--version"),
            Self::Knot => (Command::new("knotd"), "--version"),
            Self::Nsd => (Command::new("nsd"), "-v"),
            Self::Coredns => (Command::new(binaries::find("coredns")?), "-version"),
        };
        let output = command.arg(argument).stdin(Stdio::null()).output();
        let output = output.with_context(|| format!("{} does not start", self.name()))?;
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        let version =
            text.split_whitespace().find(|word| word.contains('.') && word.contains(|c: char| c.is_ascii_digit()));
        Ok(version.map_or("of unknown version", |word| word.trim_start_matches("CoreDNS-")).to_owned())
    }

    /// In the ground's own network nobody else listens.
    fn address(self) -> SocketAddr {
        let port = match self {
            Self::Tidegate => 5300,
            Self::Knot => 5301,
            Self::Nsd => 5302,
            Self::Coredns => 5303,
        };
        SocketAddr::from((Ipv4Addr::LOCALHOST, port))
    }

    /// Starts it, and waits until it answers for the last of the Services.
    ///
    /// # Errors
    /// Where it does not start, ends, or does not answer in time.
    pub(super) fn start(self, ground: &Ground, place: &Place) -> anyhow::Result<Server> {
        let mut command = Command::new("taskset");
        command.args(["--cpu-list", &SERVER_CORE.to_string()]);
        self.add_command(&mut command, ground, place)?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit());
        let server = Server { peer: self, address: self.address(), process: ground.spawn(command)? };
        let asked = ground.enter(|| server.until_it_answers(place.cluster))?;
        asked.with_context(|| self.name())?;
        Ok(server)
    }

    fn add_command(self, command: &mut Command, ground: &Ground, place: &Place) -> anyhow::Result<()> {
        match self {
            Self::Tidegate => {
                command.arg(&place.program).args(["dns", "--workers", "1", "--log-level", "warn"]);
                command.args(["--dns-bind", &self.address().to_string()]);
                for probe in ["health", "ready", "metrics"] {
                    command.args([&format!("--{probe}-bind"), "127.0.0.1:0"]);
                }
                command.arg("--kubeconfig").arg(ground.kubeconfig());
            }
            Self::Knot => {
                // One that was killed has left it, with a number that may be another process's by now.
                if let Err(error) = fs::remove_file(place.folder.join("knot.pid"))
                    && error.kind() != io::ErrorKind::NotFound
                {
                    return Err(error).context("the PID file of Knot");
                }
                let text = knot(&place.folder, self.address());
                command.args(["knotd", "-c"]).arg(place.write("knot.conf", &text)?);
            }
            Self::Nsd => {
                let text = nsd(&place.folder, self.address());
                command.args(["nsd", "-d", "-c"]).arg(place.write("nsd.conf", &text)?);
            }
            Self::Coredns => {
                let text = corefile(&ground.kubeconfig(), self.address());
                command.arg(binaries::find("coredns")?).args(["-quiet", "-conf"]).arg(place.write("Corefile", &text)?);
                command.env("GOMAXPROCS", "1");
            }
        }
        Ok(())
    }
}

impl Place {
    /// Writes a file into the folder and says where it is.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(super) fn write(&self, name: &str, text: &str) -> anyhow::Result<PathBuf> {
        let path = self.folder.join(name);
        fs::write(&path, text).with_context(|| path.display().to_string())?;
        Ok(path)
    }
}

impl Server {
    /// What it has used until now.
    ///
    /// # Errors
    /// Where it has ended.
    pub(super) fn usage(&self) -> anyhow::Result<Usage> {
        ensure!(self.process.status().is_none(), "{} has ended", self.peer.name());
        Usage::of(self.process.id())
    }

    /// Its id outside of the ground.
    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }

    fn until_it_answers(&self, cluster: Cluster) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let name = format!("{}.{ZONE}", Service(cluster.services - 1).owner());
        loop {
            let answer = Client::connect(self.address).and_then(|mut client| client.ask(&name));
            if answer.is_ok_and(|addresses| !addresses.is_empty()) {
                return Ok(());
            }
            if let Some(status) = self.process.status() {
                anyhow::bail!("it has ended before it answered: {status}");
            }
            ensure!(Instant::now() < deadline, "it does not answer for {name} within {} s", PATIENCE.as_secs());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn knot(folder: &Path, address: SocketAddr) -> String {
    let (folder, ip, port) = (folder.display(), address.ip(), address.port());
    format!(
        "server:
    rundir: \"{folder}\"
    listen: {ip}@{port}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
log:
  - target: stderr
    any: error
database:
    storage: \"{folder}\"
zone:
  - domain: {ZONE}
    file: \"{folder}/zone\"
    zonefile-load: whole
    journal-content: none
"
    )
}

/// Without the limit of equal answers that it has by default: the load would run into it.
fn nsd(folder: &Path, address: SocketAddr) -> String {
    let (folder, ip, port) = (folder.display(), address.ip(), address.port());
    format!(
        "server:
    server-count: 1
    ip-address: {ip}@{port}
    username: \"\"
    chroot: \"\"
    pidfile: \"{folder}/nsd.pid\"
    zonelistfile: \"{folder}/nsd.list\"
    xfrdfile: \"{folder}/nsd.xfrd\"
    database: \"\"
    rrl-ratelimit: 0
remote-control:
    control-enable: no
zone:
    name: {ZONE}
    zonefile: \"{folder}/zone\"
"
    )
}

/// The least that answers for the cluster, with nothing before it that would cost: no cache, no log, no metrics.
fn corefile(kubeconfig: &Path, address: SocketAddr) -> String {
    let (kubeconfig, ip, port) = (kubeconfig.display(), address.ip(), address.port());
    format!(
        ".:{port} {{
    bind {ip}
    errors
    kubernetes {ZONE} in-addr.arpa ip6.arpa {{
        kubeconfig {kubeconfig}
        pods insecure
        ttl 5
    }}
}}
"
    )
}
