//! `cargo xtask compare`: Tidegate beside its peers, one worker on core 0, backend and load on core 1.

mod change;
mod ground;
mod hosts;
mod load;
mod peer;
mod report;
mod side_by_side;

use crate::{places, tidegate};
use anyhow::{Context as _, ensure};
use clap::ValueEnum;
use ground::Ground;
use peer::Peer;
use report::Bar;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The core of the proxy that is measured.
const PROXY_CORE: usize = 0;
/// The core of everything else.
const LOAD_CORE: usize = 1;

/// What is measured, and how long.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Seconds of load a measurement
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,
    /// Only this case; repeatable
    #[arg(long, value_name = "CASE")]
    only: Vec<Case>,
    /// Only these, where they are installed
    #[arg(long, value_delimiter = ',', value_name = "A,B")]
    peers: Vec<Peer>,
    /// Rounds, each with every peer in turn; the median counts
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=20))]
    repeat: u64,
    /// Measure this Tidegate instead of building one
    #[arg(long, value_name = "PATH")]
    program: Option<PathBuf>,
}

/// One thing that is measured.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Case {
    /// HTTP/1.1 on 64 connections that stay open
    KeepAlive,
    /// The same over TLS
    Tls,
    /// HTTP/2 over TLS, 16 connections with 16 streams each
    Http2,
    /// A new plain connection for each request
    Connections,
    /// A new TLS connection with a full handshake for each request
    TlsConnections,
    /// Answers of 1 MiB
    LargeBodies,
    /// 10,000 hosts against one, Tidegate alone
    Hosts,
    /// From a changed file to the changed answer with 5,000 Ingresses, Tidegate alone
    Change,
}

/// Measures and prints; true if every request of every case was answered well.
///
/// # Errors
/// Where a program that is needed is missing, does not start or ends in between.
pub(crate) fn run(options: &Options) -> anyhow::Result<bool> {
    require(&["taskset", "openssl", "wrk", "h2load"])?;
    ensure!(std::thread::available_parallelism()?.get() > LOAD_CORE, "compare needs two cores");
    let peers = peers(&options.peers);
    ensure!(!peers.is_empty(), "none of these peers is installed");
    let cases = if options.only.is_empty() { Case::value_variants() } else { &options.only };
    let program = match &options.program {
        Some(program) => program.clone(),
        None => tidegate::build_release()?,
    };
    if cases.contains(&Case::TlsConnections) {
        places::go_tool(load::HANDSHAKES, "xtask/load", "tls-connections.go")?;
    }
    move_to_load_core()?;
    let ground = Ground::lay(program)?;
    println!("\nproxy on core {PROXY_CORE}; load and backend ({}) on core {LOAD_CORE}", ground.backend_name());
    for peer in &peers {
        println!("  {}: {}", peer.name(), peer.version(&ground)?);
    }
    let mut bars = Vec::new();
    let mut failed = 0;
    for case in cases {
        let outcome = match case {
            Case::Hosts => hosts::measure(&ground, options)?,
            Case::Change => change::measure(&ground)?,
            _ => side_by_side::measure(*case, &peers, &ground, options)?,
        };
        failed += outcome.failed;
        bars.extend(outcome.bars);
    }
    report::print_bars(&bars);
    if failed > 0 {
        println!("{failed} requests failed");
    }
    Ok(failed == 0)
}

/// What a case gave beside the table that it printed.
struct Outcome {
    failed: u64,
    bars: Vec<Bar>,
}

fn peers(wanted: &[Peer]) -> Vec<Peer> {
    let wanted = if wanted.is_empty() { Peer::value_variants() } else { wanted };
    let (installed, missing): (Vec<Peer>, Vec<Peer>) = wanted.iter().partition(|peer| peer.is_installed());
    for peer in missing {
        println!("left out: {} is not installed", peer.name());
    }
    installed
}

fn require(programs: &[&str]) -> anyhow::Result<()> {
    let missing: Vec<&str> = programs.iter().copied().filter(|program| !places::is_installed(program)).collect();
    ensure!(
        missing.is_empty(),
        "missing: {}; on Debian they are in util-linux, openssl, wrk and nghttp2-client",
        missing.join(", ")
    );
    Ok(())
}

/// This program and all that it starts without a core of its own.
fn move_to_load_core() -> anyhow::Result<()> {
    let own = std::process::id().to_string();
    let status = Command::new("taskset")
        .args(["--all-tasks", "--cpu-list", "--pid", &LOAD_CORE.to_string(), &own])
        .stdout(Stdio::null())
        .status()
        .context("taskset does not start")?;
    ensure!(status.success(), "taskset cannot move this program to core {LOAD_CORE}");
    Ok(())
}
