//! `cargo xtask test`: every check of the repository in one run, and what they counted.

use crate::failures::{Failure, Failures};
use crate::tally::{self, Tally};
use crate::{conform, ground, machine, places, tools};
use anyhow::Context as _;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Runs every step, also after one failed; true if none did.
///
/// # Errors
/// Where a step cannot be started at all.
pub(crate) fn run(fast: bool) -> anyhow::Result<bool> {
    let missing = machine::prepare(fast);
    if !missing.is_empty() {
        println!("{}", missing.join("\n"));
        println!("{}", Tally { passed: 0, failed: missing.len() as u64 });
        return Ok(false);
    }
    let mut report = Report::default();
    report.check("format", cargo("fmt --all --check"))?;
    report.check("lints", cargo("clippy --workspace --all-targets --locked -- -D warnings"))?;
    let mut docs = cargo("doc --workspace --no-deps --document-private-items --locked");
    docs.env("RUSTDOCFLAGS", "-D warnings");
    report.check("docs", docs)?;
    if places::is_installed("cargo-deny") {
        // The advisories are a download: `cargo deny check` has them.
        report.check("licences and bans", cargo("deny --offline --locked check bans licenses sources"))?;
    } else {
        report.left_out("licences and bans: cargo-deny is not installed");
    }
    if report.check("build of the tests", cargo("test --workspace --locked --no-run"))? {
        if fast {
            let crates = "test --workspace --exclude tidegate --exclude tidegate-ground --locked --no-fail-fast";
            report.cases("tests of the crates", cargo(crates))?;
            report.cases("tests of the program", cargo("test --package tidegate --bins --test tidy --locked"))?;
            report.left_out("whole-program tests, tests of the install manifests, h2spec, cluster tests: --fast");
        } else {
            report.own("kubectl and helm", || tools::prepare().map(|()| Tally::PASSED))?;
            report.cases("tests", cargo("test --workspace --exclude tidegate-ground --locked --no-fail-fast"))?;
            let program = places::target()?.join("debug/tidegate");
            report.own("h2spec", || conform::h2spec(&program))?;
            cluster(&mut report)?;
        }
    } else {
        report.left_out("tests, h2spec, cluster tests: the build failed");
    }
    Ok(report.close())
}

/// What needs a real Kubernetes API server.
fn cluster(report: &mut Report) -> anyhow::Result<()> {
    if report.check("build of the test ground", ground::program(&["build"]))? {
        report.cases("tests of the ground", cargo("test --package tidegate-ground --locked --no-fail-fast"))?;
        report.cases("cluster tests", cargo("test --package tidegate --test cluster --locked --no-fail-fast"))?;
    } else {
        report.left_out("cluster tests: the test ground does not build");
    }
    Ok(())
}

fn cargo(arguments: &str) -> Command {
    let mut command = places::cargo();
    command.args(arguments.split(' '));
    command
}

struct Step {
    name: &'static str,
    tally: Tally,
    took: Duration,
}

#[derive(Default)]
struct Report {
    steps: Vec<Step>,
    left_out: Vec<&'static str>,
    failed_tests: Vec<Failure>,
}

impl Report {
    /// A step that passes or fails as one.
    fn check(&mut self, name: &'static str, mut command: Command) -> anyhow::Result<bool> {
        self.step(name, || {
            let status = command.stdin(Stdio::null()).status().context("cargo does not start")?;
            Ok(if status.success() { Tally::PASSED } else { Tally::FAILED })
        })
    }

    /// A step whose `cargo test` lines are counted; a failure that they do not show counts as one.
    fn cases(&mut self, name: &'static str, mut command: Command) -> anyhow::Result<bool> {
        let mut failures = Failures::default();
        let is_good = self.step(name, || {
            let mut child =
                command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("cargo does not start")?;
            let mut sum = Tally::default();
            for line in child.stdout.take().into_iter().flat_map(|stdout| BufReader::new(stdout).split(b'\n')) {
                let line = line.context("what the tests print")?;
                let line = String::from_utf8_lossy(&line);
                println!("{line}");
                failures.read(&line);
                sum += tally::cargo_test(&line).unwrap_or_default();
            }
            if !child.wait()?.success() && sum.failed == 0 {
                sum += Tally::FAILED;
            }
            Ok(sum)
        });
        self.failed_tests.append(&mut failures.into_tests());
        is_good
    }

    /// A step of our own; an error counts as one failed case.
    fn own(&mut self, name: &'static str, step: impl FnOnce() -> anyhow::Result<Tally>) -> anyhow::Result<bool> {
        self.step(name, || {
            Ok(step().unwrap_or_else(|error| {
                println!("error: {error:#}");
                Tally::FAILED
            }))
        })
    }

    fn step(&mut self, name: &'static str, run: impl FnOnce() -> anyhow::Result<Tally>) -> anyhow::Result<bool> {
        println!("\n== {name}");
        let start = Instant::now();
        let tally = run().with_context(|| name)?;
        self.steps.push(Step { name, tally, took: start.elapsed() });
        Ok(tally.failed == 0)
    }

    fn left_out(&mut self, what: &'static str) {
        println!("\n== left out: {what}");
        self.left_out.push(what);
    }

    /// Prints which tests failed, what each step counted and the sum, the sum alone on the last line; true if nothing
    /// failed.
    fn close(&self) -> bool {
        println!();
        for Failure { name, said } in &self.failed_tests {
            println!("FAILED {name}");
            said.iter().for_each(|line| println!("       {line}"));
        }
        let mut sum = Tally::default();
        for Step { name, tally, took } in &self.steps {
            let verdict = if tally.failed == 0 { "ok" } else { "FAILED" };
            println!("{verdict:6} {name}: {tally} in {:.0} s", took.as_secs_f64());
            sum += *tally;
        }
        for what in &self.left_out {
            println!("left out: {what}");
        }
        println!("{sum}");
        sum.failed == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_step_counts_as_one() {
        let mut report = Report::default();
        assert!(report.check("good", shell("exit 0")).unwrap());
        assert!(!report.check("bad", shell("exit 3")).unwrap());
        assert_eq!(report.steps.iter().map(|step| step.tally.failed).sum::<u64>(), 1);
        assert!(!report.close());
    }

    #[test]
    fn cases_are_summed_over_the_test_programs() {
        let mut report = Report::default();
        let line = "echo 'test result: ok. 2 passed; 0 failed; 0 ignored'";
        assert!(report.cases("two programs", shell(&format!("{line}; {line}"))).unwrap());
        assert_eq!(report.steps[0].tally, Tally { passed: 4, failed: 0 });
    }

    #[test]
    fn a_test_program_that_dies_is_a_failure() {
        let mut report = Report::default();
        let script = "echo 'test result: ok. 2 passed; 0 failed; 0 ignored'; exit 101";
        assert!(!report.cases("killed", shell(script)).unwrap());
        assert_eq!(report.steps[0].tally, Tally { passed: 2, failed: 1 });
    }

    #[test]
    fn failed_tests_are_told_again_at_the_end() {
        let mut report = Report::default();
        let script = "echo '---- a::b stdout ----'; echo why; echo 'test result: FAILED. 2 passed; 1 failed'; exit 101";
        assert!(!report.cases("failing", shell(script)).unwrap());
        let failed: Vec<&str> = report.failed_tests.iter().map(|test| test.name.as_str()).collect();
        assert_eq!(failed, ["a::b"]);
    }

    #[test]
    fn no_step_after_what_was_left_out_hides_it() {
        let mut report = Report::default();
        report.left_out("something");
        assert!(report.own("mine", || Ok(Tally::PASSED)).unwrap());
        assert!(!report.own("broken", || anyhow::bail!("no such thing")).unwrap());
        assert_eq!(report.left_out, ["something"]);
        assert_eq!(report.steps[1].tally, Tally::FAILED);
    }
}
