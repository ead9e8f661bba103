//! Load from dnsperf, and what it saw.

use super::questions::Set;
use crate::measure::percentile;
use anyhow::{Context as _, ensure};
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

/// Clients, each with a socket or a connection of its own.
const CLIENTS: &str = "16";
/// Questions that wait for their answers at once.
const OUTSTANDING: &str = "200";

/// A run's counts.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Seen {
    pub(super) per_second: f64,
    pub(super) completed: u64,
    pub(super) lost: u64,
    /// Answers by their response codes.
    pub(super) codes: Vec<(String, u64)>,
}

impl Seen {
    /// Answers with another response code than these.
    pub(super) fn wrong(&self, right: &[&str]) -> u64 {
        self.codes.iter().filter(|(code, _)| !right.contains(&code.as_str())).map(|(_, count)| count).sum()
    }
}

/// As fast as `server` answers, for so many seconds.
///
/// # Errors
/// Where dnsperf fails, or nothing is answered.
pub(super) fn flat_out(set: Set, server: SocketAddr, questions: &Path, seconds: u64) -> anyhow::Result<Seen> {
    let mut command = dnsperf(set, server, questions, seconds);
    let seen = parse(&said(&mut command)?).context("dnsperf says something else than it should")?;
    ensure!(seen.completed > 0, "{server} answers nothing");
    Ok(seen)
}

/// The 50th and the 99th percentile of the latency at `rate` questions a second, in microseconds.
///
/// # Errors
/// As [`flat_out`].
pub(super) fn latency(
    set: Set,
    server: SocketAddr,
    questions: &Path,
    seconds: u64,
    rate: f64,
) -> anyhow::Result<(f64, f64)> {
    let mut command = dnsperf(set, server, questions, seconds);
    // Its statistics know no percentiles; a line an answer does. Into a file: a reader would take turns with it on its
    // core.
    let answers = questions.with_extension("answers");
    command.args(["-v", "-Q", &format!("{rate:.0}")]).stdout(File::create(&answers)?);
    said(&mut command)?;
    let microseconds = latencies(&fs::read_to_string(&answers)?);
    fs::remove_file(&answers)?;
    ensure!(!microseconds.is_empty(), "{server} answers nothing at {rate:.0} questions a second");
    Ok((percentile(&microseconds, 50), percentile(&microseconds, 99)))
}

/// The version that is installed.
///
/// # Errors
/// Where there is none.
pub(super) fn version() -> anyhow::Result<String> {
    let text = said(Command::new("dnsperf").arg("-h"))?;
    Ok(text.lines().find_map(|line| line.strip_prefix("Version ")).unwrap_or("of unknown version").to_owned())
}

fn dnsperf(set: Set, server: SocketAddr, questions: &Path, seconds: u64) -> Command {
    let mut command = Command::new("dnsperf");
    command.args(["-s", &server.ip().to_string(), "-p", &server.port().to_string()]);
    command.args(["-m", if set.is_tcp() { "tcp" } else { "udp" }, "-T", "1", "-c", CLIENTS, "-q", OUTSTANDING]);
    command.args(["-t", "1", "-l", &seconds.to_string(), "-d"]).arg(questions);
    command
}

fn said(command: &mut Command) -> anyhow::Result<String> {
    let output = command.stdin(Stdio::null()).output().context("dnsperf does not start")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "dnsperf has failed: {}", errors.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn parse(text: &str) -> Option<Seen> {
    let after = |name: &str| text.lines().find_map(|line| Some(line.trim().strip_prefix(name)?.trim()));
    let first = |text: &str| text.split(' ').next().map(str::to_owned);
    Some(Seen {
        per_second: after("Queries per second:")?.parse().ok()?,
        completed: first(after("Queries completed:")?)?.parse().ok()?,
        lost: first(after("Queries lost:")?)?.parse().ok()?,
        // There are none where nothing was answered.
        codes: after("Response codes:").unwrap_or_default().split(", ").filter_map(code).collect(),
    })
}

/// `NXDOMAIN 2238 (74.60%)`.
fn code(text: &str) -> Option<(String, u64)> {
    let mut words = text.split(' ');
    Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
}

/// Microseconds from the lines `> NOERROR name type seconds`.
fn latencies(text: &str) -> Vec<f64> {
    let answers = text.lines().filter(|line| line.starts_with("> "));
    answers.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).map(|seconds| seconds * 1e6).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "\
DNS Performance Testing Tool
Version 2.10.0

[Status] Testing complete (time limit)

Statistics:

  Queries sent:         3010
  Queries completed:    3000 (99.67%)
  Queries lost:         10 (0.33%)

  Response codes:       NOERROR 762 (25.40%), NXDOMAIN 2238 (74.60%)
  Average packet size:  request 44, response 94
  Run time (s):         1.000150
  Queries per second:   2999.550067

  Average Latency (s):  0.000046 (min 0.000015, max 0.002143)
  Latency StdDev (s):   0.000068

Connection Statistics:

  Reconnections:        0
";

    #[test]
    fn statistics_are_read() {
        let seen = parse(SAID).unwrap();
        let codes = vec![("NOERROR".to_owned(), 762), ("NXDOMAIN".to_owned(), 2238)];
        assert_eq!(seen, Seen { per_second: 2_999.550_067, completed: 3000, lost: 10, codes });
        assert_eq!((seen.wrong(&["NOERROR"]), seen.wrong(&["NOERROR", "NXDOMAIN"])), (2238, 0));
    }

    #[test]
    fn a_run_without_answers_is_read_and_other_text_is_not() {
        let text = "Queries completed:    0 (0.00%)\nQueries lost: 7 (100.00%)\nQueries per second:   0.000000\n";
        assert_eq!(parse(text), Some(Seen { lost: 7, ..Seen::default() }));
        assert_eq!(parse("Error: no such file"), None);
    }

    #[test]
    fn each_answer_has_its_latency() {
        let text = "[Status] Started\n> NOERROR svc-1.ns1.svc.cluster.local A 0.000225\n> T svc-2.ns1.svc A\n\
                    > NXDOMAIN x.cluster.local AAAA 0.001000\nStatistics:\n";
        assert_eq!(latencies(text), [225.0, 1000.0]);
    }
}
