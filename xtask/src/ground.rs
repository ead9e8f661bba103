//! `cargo xtask ground`: the program of the crate `ground`, which brings more to build than a chore should.

use crate::places;
use std::ffi::{OsStr, OsString};
use std::process::{Command, ExitCode};

/// Runs it; its exit code is ours.
pub(crate) fn run(arguments: &[OsString]) -> ExitCode {
    match program(arguments).status() {
        Ok(status) => ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)),
        Err(error) => {
            println!("error: cargo does not start: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The program with `arguments`, built first.
pub(crate) fn program<Word: AsRef<OsStr>>(arguments: &[Word]) -> Command {
    built("dev", arguments)
}

/// The same so that it takes little from what it measures.
pub(crate) fn measuring<Word: AsRef<OsStr>>(arguments: &[Word]) -> Command {
    built("measuring", arguments)
}

fn built<Word: AsRef<OsStr>>(profile: &str, arguments: &[Word]) -> Command {
    let mut command = places::cargo();
    command.args(["run", "--quiet", "--locked", "--profile", profile, "--package", "tidegate-ground", "--"]);
    command.args(arguments);
    if let Ok(folder) = std::env::current_dir() {
        command.current_dir(folder);
    }
    command
}
