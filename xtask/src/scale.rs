//! `cargo xtask scale`: builds Tidegate as it is shipped and has the program of the crate `ground` measure it.

use crate::{ground, tidegate};
use std::ffi::OsString;
use std::path::PathBuf;

/// What is measured, on how much.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// How many Ingresses, each with a Service and two endpoints
    #[arg(long, default_value_t = 5_000)]
    ingresses: u32,
    /// Only this beside start and memory: cpu, endpoint or ingress; repeatable
    #[arg(long, value_name = "CASE")]
    only: Vec<String>,
    /// Measure this Tidegate instead of building one
    #[arg(long, value_name = "PATH")]
    program: Option<PathBuf>,
}

/// Measures and prints; true if every bar is met.
///
/// # Errors
/// Where Tidegate does not build or the measurement does not start.
pub(crate) fn run(options: &Options) -> anyhow::Result<bool> {
    let program = match &options.program {
        Some(program) => std::path::absolute(program)?,
        None => tidegate::build_release()?,
    };
    Ok(ground::measuring(&arguments(options, program)).status()?.success())
}

fn arguments(options: &Options, program: PathBuf) -> Vec<OsString> {
    let ingresses = format!("--ingresses={}", options.ingresses);
    let only = options.only.iter().map(|case| format!("--only={case}"));
    let words = ["scale".to_owned(), ingresses].into_iter().chain(only).map(OsString::from);
    words.chain(["--program".into(), program.into_os_string()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_passed_on() {
        let options = Options { ingresses: 20, only: vec!["cpu".to_owned(), "ingress".to_owned()], program: None };
        let words = ["scale", "--ingresses=20", "--only=cpu", "--only=ingress", "--program", "/tidegate"];
        assert_eq!(arguments(&options, PathBuf::from("/tidegate")), words);
    }
}
