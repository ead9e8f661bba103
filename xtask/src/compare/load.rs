//! Load from wrk and h2load, and what it measured.

use super::LOAD_CORE;
use super::ground::{Ground, HOST};
use crate::running::Running;
use crate::{places, tidegate};
use anyhow::{Context as _, ensure};
use serde_json::Value;
use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

/// Our own load tool for new TLS connections.
pub(super) const HANDSHAKES: &str = "tls-connections";

/// A kind of load.
#[derive(Clone, Copy)]
pub(super) struct Load {
    pub(super) over: Protocol,
    pub(super) secure: bool,
    pub(super) connections: u32,
    pub(super) path: &'static str,
}

/// How the requests travel.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    /// HTTP/1.1 on connections that stay open.
    Http1,
    /// A new plain connection for each request.
    Connections,
    /// A new TLS connection for each request, every handshake a full one.
    Handshakes,
    /// HTTP/2 with so many streams at once on each connection.
    Http2 { streams: u32 },
    /// HTTP/1.1 to so many hosts in turn.
    Hosts { count: u32 },
}

/// What the load tool saw.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Answers {
    pub(super) requests: u64,
    pub(super) seconds: f64,
    pub(super) p50: Duration,
    pub(super) p99: Duration,
    /// Answered with another status than 2xx or 3xx, or not at all.
    pub(super) failed: u64,
}

/// What a measurement gave.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measure {
    pub(super) per_second: f64,
    pub(super) p50: Duration,
    pub(super) p99: Duration,
    /// User and system microseconds of the proxy a request.
    pub(super) cpu: f64,
    /// Resident bytes under this load.
    pub(super) resident: u64,
    pub(super) failed: u64,
}

impl Load {
    /// Lets `running` warm up, then measures it.
    ///
    /// # Errors
    /// Where the load tool fails, nothing is answered, or `running` ends.
    pub(super) fn measure(
        &self,
        ground: &Ground,
        running: &mut Running,
        address: SocketAddr,
        seconds: u64,
    ) -> anyhow::Result<Measure> {
        let scheme = if self.secure { "https" } else { "http" };
        let url = format!("{scheme}://{HOST}:{}{}", address.port(), self.path);
        self.run(ground, &url, 1)?;
        let before = running.usage()?;
        let answers = self.run(ground, &url, seconds)?;
        let after = running.usage()?;
        ensure!(answers.requests > 0, "{url}: nothing was answered");
        let requests = answers.requests as f64;
        Ok(Measure {
            per_second: requests / answers.seconds,
            p50: answers.p50,
            p99: answers.p99,
            cpu: after.cpu.saturating_sub(before.cpu).as_secs_f64() * 1e6 / requests,
            resident: after.resident,
            failed: answers.failed,
        })
    }

    fn run(&self, ground: &Ground, url: &str, seconds: u64) -> anyhow::Result<Answers> {
        match self.over {
            Protocol::Http2 { streams } => self.h2load(ground, url, seconds, streams),
            Protocol::Handshakes => self.tls_connections(url, seconds),
            Protocol::Http1 | Protocol::Connections | Protocol::Hosts { .. } => self.wrk(url, seconds),
        }
    }

    fn tls_connections(&self, url: &str, seconds: u64) -> anyhow::Result<Answers> {
        let address = url.trim_start_matches("https://").trim_end_matches('/');
        let mut command = tidegate::pinned(Some(LOAD_CORE), places::go_tool_path(HANDSHAKES)?);
        command.args(["-address", address, "-connections", &self.connections.to_string()]);
        command.arg(format!("-duration={seconds}s"));
        counted(command)
    }

    fn wrk(&self, url: &str, seconds: u64) -> anyhow::Result<Answers> {
        let mut command = tidegate::pinned(Some(LOAD_CORE), "wrk");
        command.args(["--threads", "1", "--connections", &self.connections.to_string()]);
        command.args(["--duration", &seconds.to_string(), "--timeout", "5"]);
        let script = if let Protocol::Hosts { .. } = self.over { "hosts.lua" } else { "done.lua" };
        command.arg("--script").arg(places::repository().join("xtask/load").join(script));
        if self.over == Protocol::Connections {
            command.args(["--header", "Connection: close"]);
        }
        command.arg(url);
        if let Protocol::Hosts { count } = self.over {
            command.args(["--", &count.to_string()]);
        }
        counted(command)
    }

    fn h2load(&self, ground: &Ground, url: &str, seconds: u64, streams: u32) -> anyhow::Result<Answers> {
        let log = ground.folder().join("h2load.log");
        if log.exists() {
            fs::remove_file(&log)?;
        }
        let mut command = tidegate::pinned(Some(LOAD_CORE), "h2load");
        command.args(["--threads", "1", "--clients", &self.connections.to_string()]);
        command.args(["--max-concurrent-streams", &streams.to_string(), "--duration", &seconds.to_string()]);
        command.arg(format!("--log-file={}", log.display())).arg(url);
        let output = command.output().context("h2load does not start")?;
        let text = String::from_utf8_lossy(&output.stdout);
        let wrong = || format!("h2load {url}: {text}{}", String::from_utf8_lossy(&output.stderr));
        let log = fs::read_to_string(&log).with_context(wrong)?;
        h2load_answers(&text, &log, seconds).with_context(wrong)
    }
}

/// Runs a tool that prints what it counted as JSON.
fn counted(mut command: Command) -> anyhow::Result<Answers> {
    let output = command.output().with_context(|| format!("{command:?} does not start"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    answers(&text).with_context(|| format!("{command:?}: {text}{}", String::from_utf8_lossy(&output.stderr)))
}

/// From the line of JSON that `load/done.lua` and `load/tls-connections.go` print.
fn answers(text: &str) -> Option<Answers> {
    let line: Value = text.lines().find_map(|line| serde_json::from_str(line.trim()).ok())?;
    let number = |name: &str| line.get(name)?.as_u64();
    let failed = ["status", "connect", "read", "write", "timeout"].into_iter().map(number).sum::<Option<u64>>()?;
    Some(Answers {
        requests: number("requests")?,
        seconds: Duration::from_micros(number("duration")?).as_secs_f64(),
        p50: Duration::from_micros(number("p50")?),
        p99: Duration::from_micros(number("p99")?),
        failed,
    })
}

/// From the summary (`requests: 9 total, 9 started, 9 done, 8 succeeded, …`) and the log, whose lines are start, status
/// and duration in microseconds. Requests that were under way at the end are no failures.
fn h2load_answers(text: &str, log: &str, seconds: u64) -> Option<Answers> {
    let counts = text.lines().find_map(|line| line.strip_prefix("requests: "))?;
    let count = |name: &str| counts.split(", ").find_map(|part| part.strip_suffix(name)?.trim().parse::<u64>().ok());
    let mut durations: Vec<u64> = log.lines().filter_map(|line| line.split('\t').nth(2)?.parse().ok()).collect();
    durations.sort_unstable();
    Some(Answers {
        requests: count(" succeeded")?,
        seconds: Duration::from_secs(seconds).as_secs_f64(),
        p50: percentile(&durations, 50)?,
        p99: percentile(&durations, 99)?,
        failed: count(" done")?.checked_sub(count(" succeeded")?)?,
    })
}

/// The nearest rank of sorted microseconds.
fn percentile(sorted: &[u64], percent: usize) -> Option<Duration> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().map(Duration::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrk_is_read_from_its_own_line() {
        let text = "Running 1s test @ http://localhost:1/\n  1 threads and 8 connections\n{\"requests\":120,\
                    \"duration\":2000000,\"p50\":900,\"p99\":4100,\"status\":1,\"connect\":0,\"read\":2,\"write\":0,\
                    \"timeout\":0}\n";
        let expected = Answers {
            requests: 120,
            seconds: 2.0,
            p50: Duration::from_micros(900),
            p99: Duration::from_micros(4100),
            failed: 3,
        };
        assert_eq!(answers(text), Some(expected));
        assert_eq!(answers("unable to connect to localhost:1 Connection refused\n"), None);
    }

    #[test]
    fn h2load_is_read_from_summary_and_log() {
        let text = "finished in 1.00s, 3.00 req/s, 1.00KB/s\n\
                    requests: 4 total, 6 started, 4 done, 3 succeeded, 1 failed, 1 errored, 0 timeout\n";
        let log = "1700000000000000\t200\t300\n1700000000000001\t200\t100\n1700000000000002\t200\t200\n";
        let expected = Answers {
            requests: 3,
            seconds: 1.0,
            p50: Duration::from_micros(200),
            p99: Duration::from_micros(300),
            failed: 1,
        };
        assert_eq!(h2load_answers(text, log, 1), Some(expected));
        assert_eq!(h2load_answers("the client could not connect", log, 1), None);
        assert_eq!(h2load_answers(text, "", 1), None);
    }

    #[test]
    fn percentile_is_the_nearest_rank() {
        let sorted: Vec<u64> = (1..=200).collect();
        assert_eq!(percentile(&sorted, 50), Some(Duration::from_micros(100)));
        assert_eq!(percentile(&sorted, 99), Some(Duration::from_micros(198)));
        assert_eq!(percentile(&[7], 1), Some(Duration::from_micros(7)));
        assert_eq!(percentile(&[], 50), None);
    }
}
