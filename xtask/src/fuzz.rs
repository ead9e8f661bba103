//! `cargo xtask fuzz`: hostile input to DNS for longer than the tests have time for. The properties of what reads packets
//! with many cases, then a flood beside a client that asks good questions.

use crate::places;
use std::process::Command;

/// How long.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Cases of each property
    #[arg(long, default_value_t = 200_000)]
    cases: u32,
    /// Hostile packets of the flood
    #[arg(long, default_value_t = 10_000_000)]
    packets: u64,
    /// Of them a second
    #[arg(long, default_value_t = 80_000, value_parser = clap::value_parser!(u64).range(1..))]
    rate: u64,
    /// Where the flood's random numbers begin
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Runs both; true if all held.
///
/// # Errors
/// Where cargo does not start.
pub(crate) fn run(options: &Options) -> anyhow::Result<bool> {
    let [mut properties, mut flood] = commands(options);
    Ok(properties.status()?.success() & flood.status()?.success())
}

fn commands(options: &Options) -> [Command; 2] {
    let test = |what: &[&str]| {
        let mut command = places::cargo();
        command.args(["test", "--release", "--locked", "--package", "tidegate-dns"]).args(what);
        command
    };
    let mut properties = test(&["--lib", "--", "question::", "name::", "forward::relay::", "answer::", "part::"]);
    properties.env("PROPTEST_CASES", options.cases.to_string());
    let mut flood = test(&["--test", "flood", "--", "--nocapture"]);
    for (name, value) in
        [("FLOOD_PACKETS", options.packets), ("FLOOD_RATE", options.rate), ("FLOOD_SEED", options.seed)]
    {
        flood.env(name, value.to_string());
    }
    [properties, flood]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;

    #[test]
    fn what_is_asked_for_is_passed_on() {
        let options = Options { cases: 7, packets: 8, rate: 9, seed: 10 };
        let [properties, flood] = commands(&options);
        let env = |command: &Command| -> Vec<_> {
            let set = command.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
            set.map(|(name, value)| format!("{}={}", name.display(), value.display())).collect()
        };
        assert_eq!(env(&properties), ["PROPTEST_CASES=7"]);
        assert_eq!(env(&flood), ["FLOOD_PACKETS=8", "FLOOD_RATE=9", "FLOOD_SEED=10"]);
        assert!(flood.get_args().any(|word| word == OsStr::new("flood")));
    }
}
