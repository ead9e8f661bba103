//! Every chore of the repository: `cargo xtask test`, `conform`, `compare`, `compare-dns`, `fuzz`, `ground`,
//! `scale`, `tools`.

#![expect(clippy::print_stdout, reason = "a chore speaks to the terminal")]

mod backend;
mod compare;
mod compare_dns;
mod conform;
mod failures;
mod fuzz;
mod ground;
mod http;
mod machine;
mod manifests;
mod places;
mod running;
mod scale;
mod suite;
mod tally;
mod tidegate;
mod tools;

use clap::{Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::net::SocketAddr;
use std::process::ExitCode;

#[derive(Parser)]
#[command(bin_name = "cargo xtask", about = "Every chore of the repository")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Check the machine, then run format, lints, docs, every test and the conformance suites
    Test {
        /// Leave out the whole-program tests and the conformance suites
        #[arg(long)]
        fast: bool,
    },
    /// Run one conformance suite against Tidegate
    Conform { suite: Conformance },
    /// Measure Tidegate beside nginx, HAProxy, Envoy and Traefik, those that are installed
    Compare(compare::Options),
    /// Measure Tidegate's DNS beside CoreDNS, Knot and NSD with the names of one cluster, each figure beside its bar
    CompareDns(compare_dns::Options),
    /// Throw hostile packets at DNS: many cases of its properties, and a flood beside a good client
    Fuzz(fuzz::Options),
    /// Measure Tidegate in front of 5,000 Ingresses of a real API server, each figure beside its bar
    Scale(scale::Options),
    /// A real Kubernetes control plane in a network namespace: build, up, down, run CMD
    #[command(disable_help_flag = true)]
    Ground {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Fetch the kubectl and the helm that tests render the install manifests with
    Tools,
    /// Serve the plain backend of the comparison
    #[command(hide = true)]
    Backend { bind: SocketAddr },
}

#[derive(Clone, Copy, ValueEnum)]
enum Conformance {
    /// HTTP/2, over clear text and over TLS
    H2spec,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().chore {
        Chore::Ground { arguments } => return ground::run(&arguments),
        Chore::Test { fast } => suite::run(fast),
        Chore::Conform { suite: Conformance::H2spec } => conform::run(),
        Chore::Compare(options) => compare::run(&options),
        Chore::CompareDns(options) => compare_dns::run(&options),
        Chore::Fuzz(options) => fuzz::run(&options),
        Chore::Scale(options) => scale::run(&options),
        Chore::Tools => tools::prepare().map(|()| true),
        Chore::Backend { bind } => backend::serve_forever(bind).map(|()| true),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
