//! `cargo xtask compare-dns`: builds Tidegate as it is shipped and has the program of the crate `ground` measure its DNS
//! beside that of CoreDNS, Knot and NSD.

use crate::{ground, machine, tidegate};
use anyhow::ensure;
use std::ffi::OsString;
use std::path::PathBuf;

/// What is measured, on how much.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// How many Services: nine in ten with an address and two endpoints, one in ten headless with four
    #[arg(long, default_value_t = 10_000)]
    services: u32,
    /// Seconds of load a measurement
    #[arg(long, default_value_t = 4)]
    seconds: u32,
    /// Rounds, each with every server in turn; the median counts
    #[arg(long, default_value_t = 3)]
    repeat: u32,
    /// Only these questions: a, aaaa, srv, nxdomain, search-list or tcp; repeatable
    #[arg(long, value_name = "SET")]
    only: Vec<String>,
    /// Only these servers: tidegate, knot, nsd or coredns; repeatable
    #[arg(long, value_name = "SERVER")]
    peer: Vec<String>,
    /// Measure this Tidegate instead of building one
    #[arg(long, value_name = "PATH")]
    program: Option<PathBuf>,
}

/// Measures and prints; true if every bar is met.
///
/// # Errors
/// Where something is missing, Tidegate does not build or the measurement does not start.
pub(crate) fn run(options: &Options) -> anyhow::Result<bool> {
    let complaints = machine::prepare_dns();
    ensure!(complaints.is_empty(), "{}", complaints.join("\n"));
    let program = match &options.program {
        Some(program) => std::path::absolute(program)?,
        None => tidegate::build_release()?,
    };
    Ok(ground::measuring(&arguments(options, program)).status()?.success())
}

fn arguments(options: &Options, program: PathBuf) -> Vec<OsString> {
    let Options { services, seconds, repeat, only, peer, program: _ } = options;
    let amounts = [format!("--services={services}"), format!("--seconds={seconds}"), format!("--repeat={repeat}")];
    let only = only.iter().map(|set| format!("--only={set}"));
    let peer = peer.iter().map(|server| format!("--peer={server}"));
    let words = ["compare-dns".to_owned()].into_iter().chain(amounts).chain(only).chain(peer).map(OsString::from);
    words.chain(["--program".into(), program.into_os_string()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_passed_on() {
        let (only, peer) = (vec!["a".to_owned(), "tcp".to_owned()], vec!["knot".to_owned()]);
        let options = Options { services: 20, seconds: 2, repeat: 1, only, peer, program: None };
        let words = ["compare-dns", "--services=20", "--seconds=2", "--repeat=1", "--only=a", "--only=tcp"];
        let words = [&words[..], &["--peer=knot", "--program", "/tidegate"]].concat();
        assert_eq!(arguments(&options, PathBuf::from("/tidegate")), words);
    }
}
