//! Tidegate: built as it is shipped, started on a directory of manifests with every port chosen by the system.

use crate::http::Client;
use crate::places;
use crate::running::{Running, START, Serving};
use anyhow::{Context as _, bail, ensure};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// Where the log says that Tidegate listens.
#[derive(Debug, Default)]
struct Ports {
    http: Option<SocketAddr>,
    https: Option<SocketAddr>,
    admin: Option<SocketAddr>,
}

/// Builds it in release form.
///
/// # Errors
/// Where it does not build.
pub(crate) fn build_release() -> anyhow::Result<PathBuf> {
    let status = places::cargo().args(["build", "--release", "--locked", "--bin", "tidegate"]).status()?;
    ensure!(status.success(), "tidegate does not build");
    Ok(places::target()?.join("release/tidegate"))
}

/// Starts `program` on `manifests` with one worker, on core `core` if one is given, and waits until it is ready.
///
/// # Errors
/// Where it does not start, does not say its ports, or does not become ready.
pub(crate) fn start(program: &Path, manifests: &Path, core: Option<usize>) -> anyhow::Result<Serving> {
    let mut command = pinned(core, program);
    command.arg("run").arg("--manifests").arg(manifests);
    for listener in ["http", "https", "dns", "admin"] {
        command.args([&format!("--{listener}-bind"), "127.0.0.1:0"]);
    }
    command.args(["--workers", "1", "--access-log", "off", "--log-format", "json", "--ssl-redirect", "false"]);
    command.args(["--drain-delay", "0s", "--drain-timeout", "1s"]);
    let mut running = Running::start("tidegate", command)?;
    let deadline = Instant::now() + START;
    let mut ports = Ports::default();
    let (http, https, admin) = loop {
        if let Ports { http: Some(http), https: Some(https), admin: Some(admin) } = ports {
            break (http, https, admin);
        }
        ports.learn(&running.next_line(deadline)?);
    };
    while !is_ready(admin) {
        if Instant::now() > deadline {
            bail!("tidegate does not become ready at http://{admin}/readyz");
        }
        running.usage().context("waiting for tidegate")?;
        thread::sleep(Duration::from_millis(5));
    }
    Ok(Serving { running, http, https })
}

/// `program` alone on `core`; `None`: anywhere.
pub(crate) fn pinned(core: Option<usize>, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let Some(core) = core else { return Command::new(program) };
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", &core.to_string()]).arg(program);
    command
}

fn is_ready(admin: SocketAddr) -> bool {
    Client::connect(admin, "localhost")
        .and_then(|mut client| client.get("/readyz"))
        .is_ok_and(|(status, _)| status == 200)
}

impl Ports {
    /// Takes the address from a log line of a listener; passes over every other line.
    fn learn(&mut self, line: &str) {
        let Ok(line) = serde_json::from_str::<Value>(line) else { return };
        // The JSON form of the log may put what belongs to the event beside the time or under `fields`.
        let field = |name: &str| line.get(name).or_else(|| line.get("fields")?.get(name)).and_then(Value::as_str);
        let address = field("address").and_then(|address| address.parse().ok());
        match (field("message"), field("listener")) {
            (Some("listening"), Some("http")) => self.http = address,
            (Some("listening"), Some("https")) => self.https = address,
            (Some("listening"), Some("admin")) => self.admin = address,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_learned_from_either_form_of_the_log() {
        let mut ports = Ports::default();
        for line in [
            "starting",
            r#"{"level":"INFO","fields":{"message":"listening","listener":"http","address":"127.0.0.1:4000"}}"#,
            r#"{"level":"INFO","message":"listening","listener":"https","address":"127.0.0.1:4001"}"#,
            r#"{"level":"INFO","message":"listening","listener":"dns","address":"127.0.0.1:4002"}"#,
            r#"{"level":"INFO","message":"stopped","listener":"http","address":"127.0.0.1:4003"}"#,
            r#"{"level":"INFO","message":"listening","listener":"admin","address":"127.0.0.1:4004"}"#,
        ] {
            ports.learn(line);
        }
        let port = |address: Option<SocketAddr>| address.map(|address| address.port());
        assert_eq!((port(ports.http), port(ports.https), port(ports.admin)), (Some(4000), Some(4001), Some(4004)));
    }
}
