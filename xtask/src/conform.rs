//! `cargo xtask conform h2spec`: the HTTP/2 conformance cases against Tidegate, over clear text and over TLS.

use crate::tally::{self, Tally};
use crate::{backend, manifests, places, tidegate};
use anyhow::{Context as _, ensure};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

/// What h2spec runs without `--strict`.
const CASES: u64 = 146;

/// Builds Tidegate and h2spec and runs all cases; true if all pass.
///
/// # Errors
/// Where something cannot be built or started.
pub(crate) fn run() -> anyhow::Result<bool> {
    let built = places::cargo().args(["build", "--locked", "--bin", "tidegate"]).status()?;
    ensure!(built.success(), "tidegate does not build");
    let sum = h2spec(&places::target()?.join("debug/tidegate"))?;
    println!("{sum}");
    Ok(sum.failed == 0)
}

/// Runs h2spec against `program`, twice.
///
/// # Errors
/// Where h2spec cannot be built, `program` does not serve, or h2spec does not come to its end.
pub(crate) fn h2spec(program: &Path) -> anyhow::Result<Tally> {
    // The version is pinned in its `go.mod`.
    let h2spec = places::go_tool("h2spec", "xtask/h2spec", "github.com/summerwind/h2spec/cmd/h2spec")?;
    let backend = backend::start(backend::TEXT)?;
    let manifests = tempfile::tempdir()?;
    fs::write(
        manifests.path().join("any-host.yaml"),
        manifests::ingress("any-host", None, "text", None) + &manifests::annotated_service("text", backend),
    )?;
    let tidegate = tidegate::start(program, manifests.path(), None)?;
    let mut sum = Tally::default();
    for (way, address, flags) in
        [("clear text", tidegate.http, [].as_slice()), ("TLS", tidegate.https, &["--tls", "--insecure"])]
    {
        println!("h2spec over {way}");
        sum += cases(&h2spec, address, flags)?;
    }
    Ok(sum)
}

fn cases(h2spec: &Path, address: SocketAddr, flags: &[&str]) -> anyhow::Result<Tally> {
    let mut child = Command::new(h2spec)
        .args(["--host", &address.ip().to_string(), "--port", &address.port().to_string()])
        .args(flags)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("h2spec does not start")?;
    let mut counted = None;
    for line in child.stdout.take().into_iter().flat_map(|stdout| BufReader::new(stdout).lines()) {
        let line = line?;
        println!("{line}");
        counted = tally::h2spec(&line).or(counted);
    }
    child.wait()?;
    let counted = counted.context("h2spec did not come to its end")?;
    ensure!(counted.passed + counted.failed == CASES, "h2spec ran other than {CASES} cases");
    Ok(counted)
}
