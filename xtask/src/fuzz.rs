//! `cargo xtask fuzz`: hostile input to DNS for longer than the tests have time for. The properties of what reads packets
//! with many cases, then a flood beside a client that asks good questions.

use crate::places;
use std::process::Command;

/// Modules with properties: of what reads packets of clients and upstreams, or the text of a Corefile.
const READERS: [&str; 10] = [
    "question::",
    "name::",
    "message::",
    "answer::",
    "part::",
    "forward::chain::",
    "forward::relay::",
    "forward::sound::",
    "corefile::no_text_does_harm",
    "corefile::a_real_corefile_with_a_mistake_does_no_harm",
];

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
    let mut properties = test(&["--lib", "--test", "dns", "--"]);
    properties.args(READERS).env("PROPTEST_CASES", options.cases.to_string());
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
    use std::collections::BTreeSet;
    use std::ffi::OsStr;
    use std::path::{Path, PathBuf};

    /// All files of Rust in a folder and below.
    fn files(folder: &Path) -> Vec<PathBuf> {
        let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let files = paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] });
        files.filter(|path| path.extension() == Some(OsStr::new("rs"))).collect()
    }

    /// The names of all properties that such a folder has, as cargo knows them.
    fn properties(folder: &str) -> BTreeSet<String> {
        let folder = places::repository().join(folder);
        let mut names = BTreeSet::new();
        for path in files(&folder) {
            let text = std::fs::read_to_string(&path).unwrap();
            let module =
                path.strip_prefix(&folder).unwrap().with_extension("").display().to_string().replace('/', "::");
            for block in text.split("proptest! {").skip(1) {
                let block = block.split("\n}").next().unwrap();
                let tests = block.split("#[test]").skip(1).map(|test| test.split("fn ").nth(1).unwrap());
                names.extend(tests.map(|test| format!("{module}::{}", test.split('(').next().unwrap())));
            }
        }
        names
    }

    #[test]
    fn no_property_is_left_out() {
        let [command, _] = commands(&Options { cases: 1, packets: 1, rate: 1, seed: 1 });
        let words: Vec<_> = command.get_args().map(|word| word.to_str().unwrap()).collect();
        let filters = words.split(|word| *word == "--").nth(1).unwrap();
        let all: BTreeSet<_> = ["dns/src", "dns/tests/dns"].iter().flat_map(|folder| properties(folder)).collect();
        assert!(all.len() > 20, "{all:?}");
        for name in &all {
            assert!(filters.iter().any(|filter| name.contains(filter)), "{name}");
        }
        for filter in filters {
            assert!(all.iter().any(|name| name.contains(filter)), "{filter} has none");
        }
    }

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
