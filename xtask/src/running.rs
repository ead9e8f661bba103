//! A program that runs beside us, ends with its owner, and whose CPU time and memory can be read.

use anyhow::Context as _;
use std::collections::HashMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Every program has this long to start.
pub(crate) const START: Duration = Duration::from_secs(60);
/// Every program has this long to end by itself.
const END: Duration = Duration::from_secs(5);
/// Lines of a program's last words.
const LAST_WORDS: usize = 20;
/// The unit of `/proc/PID/stat`, the same on every Linux that Rust runs on.
const TICK: Duration = Duration::from_millis(10);

/// A started program.
pub(crate) struct Running {
    name: String,
    child: Child,
    lines: Receiver<String>,
    said: Vec<String>,
}

/// A proxy that accepts connections.
pub(crate) struct Serving {
    pub(crate) running: Running,
    pub(crate) http: SocketAddr,
    pub(crate) https: SocketAddr,
}

/// What a program and all below it have used.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Usage {
    /// User and system time of all threads since the start.
    pub(crate) cpu: Duration,
    /// Resident bytes.
    pub(crate) resident: u64,
}

impl Running {
    /// Starts `command` with both of its outputs read.
    ///
    /// # Errors
    /// Where it does not start.
    pub(crate) fn start(name: &str, mut command: Command) -> anyhow::Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("{name} does not start"))?;
        let (sender, lines) = channel();
        read_lines(child.stdout.take(), sender.clone());
        read_lines(child.stderr.take(), sender);
        Ok(Self { name: name.to_owned(), child, lines, said: Vec::new() })
    }

    /// The next line of either output.
    ///
    /// # Errors
    /// At the deadline, and when the program has ended; the error repeats its last lines.
    pub(crate) fn next_line(&mut self, deadline: Instant) -> anyhow::Result<String> {
        match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                self.said.push(line.clone());
                Ok(line)
            }
            Err(RecvTimeoutError::Timeout) => Err(self.error("is not ready in time")),
            Err(RecvTimeoutError::Disconnected) => Err(self.error("has ended")),
        }
    }

    /// Waits until `address` accepts connections.
    ///
    /// # Errors
    /// When the program ends before that, or takes too long.
    pub(crate) fn wait_for(&mut self, address: SocketAddr) -> anyhow::Result<()> {
        let deadline = Instant::now() + START;
        while TcpStream::connect(address).is_err() {
            if let Some(status) = self.child.try_wait()? {
                return Err(self.error(&format!("has ended with {status}")));
            }
            if Instant::now() > deadline {
                return Err(self.error(&format!("does not listen on {address}")));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// What the program and all below it have used until now.
    ///
    /// # Errors
    /// When it has ended.
    pub(crate) fn usage(&mut self) -> anyhow::Result<Usage> {
        if let Some(status) = self.child.try_wait()? {
            return Err(self.error(&format!("has ended with {status}")));
        }
        let mut stats = HashMap::new();
        for entry in fs::read_dir("/proc")? {
            let id = entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
            // Others come and go while this reads.
            if let Some(id) = id
                && let Ok(text) = fs::read_to_string(format!("/proc/{id}/stat"))
            {
                stats.insert(id, Stat::parse(&text).with_context(|| format!("/proc/{id}/stat reads {text}"))?);
            }
        }
        let mut usage = Usage::default();
        for id in family(self.child.id(), &stats) {
            usage.cpu += stats.get(&id).map_or(Duration::ZERO, |stat| TICK * stat.ticks);
            usage.resident += fs::read_to_string(format!("/proc/{id}/status"))
                .ok()
                .and_then(|text| resident(&text))
                .with_context(|| format!("resident memory of {}", self.name))?;
        }
        Ok(usage)
    }

    /// What is wrong, and the last that the program said.
    fn error(&mut self, what: &str) -> anyhow::Error {
        self.said.extend(self.lines.try_iter());
        let mut text = format!("{} {what}", self.name);
        let last = self.said.iter().skip(self.said.len().saturating_sub(LAST_WORDS));
        for (number, line) in last.enumerate() {
            text.push_str(if number == 0 { "; it said:\n  " } else { "\n  " });
            text.push_str(line);
        }
        anyhow::Error::msg(text)
    }
}

impl Drop for Running {
    /// A termination signal first: a program that is killed leaves its children behind.
    fn drop(&mut self) {
        let told = Command::new("kill").arg(self.child.id().to_string()).status();
        let deadline = Instant::now() + END;
        while told.is_ok() && matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
        // Both fail only where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_lines(output: Option<impl Read + Send + 'static>, lines: Sender<String>) {
    let Some(output) = output else { return };
    thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n') {
            let Ok(line) = line else { return };
            if lines.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return;
            }
        }
    });
}

/// The part of `/proc/PID/stat` that matters here.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    parent: u32,
    /// User and system time.
    ticks: u32,
}

impl Stat {
    /// The name of the program stands in parentheses and may hold spaces and parentheses itself.
    fn parse(text: &str) -> Option<Self> {
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<u32>().ok();
        Some(Self { parent: number(1)?, ticks: number(11)?.checked_add(number(12)?)? })
    }
}

/// `root` and all below it.
fn family(root: u32, stats: &HashMap<u32, Stat>) -> Vec<u32> {
    let mut members = vec![root];
    let mut next = 0;
    while let Some(parent) = members.get(next).copied() {
        members.extend(stats.iter().filter(|(_, stat)| stat.parent == parent).map(|(id, _)| *id));
        next += 1;
    }
    members
}

/// Bytes from the `VmRSS` line of `/proc/PID/status`.
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "812 (a (b) c) S 811 812 1 0 -1 4194560 900 0 0 0 250 31 7 9 20 0 3 0 1000 9000 500";

    #[test]
    fn stat_is_read_past_the_name() {
        assert_eq!(Stat::parse(STAT), Some(Stat { parent: 811, ticks: 281 }));
        assert_eq!(Stat::parse("812 (cut) S 811"), None);
        assert_eq!(Stat::parse(""), None);
    }

    #[test]
    fn family_is_the_whole_tree() {
        let stat = |parent| Stat { parent, ticks: 0 };
        let stats = HashMap::from([(1, stat(0)), (5, stat(1)), (6, stat(5)), (7, stat(6)), (8, stat(1))]);
        let mut members = family(5, &stats);
        members.sort_unstable();
        assert_eq!(members, [5, 6, 7]);
    }

    #[test]
    fn resident_is_in_kibibytes() {
        assert_eq!(resident("Name:\tx\nVmHWM:\t  9 kB\nVmRSS:\t  2048 kB\nThreads:\t1\n"), Some(2 * 1024 * 1024));
        assert_eq!(resident("Name:\tx\n"), None);
    }

    #[test]
    fn what_a_child_burns_counts_for_its_parent() {
        let mut command = Command::new("sh");
        let busy = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; echo done";
        command.args(["-c", &format!("trap 'kill $!' TERM; ({busy}; exec tail -f /dev/null) & wait")]);
        let mut running = Running::start("loop", command).unwrap();
        assert_eq!(running.next_line(Instant::now() + START).unwrap(), "done");
        let usage = running.usage().unwrap();
        assert!(usage.cpu >= TICK && usage.resident > 0, "{usage:?}");
    }

    #[test]
    fn last_words_are_in_the_error() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo cannot bind 127.0.0.1:80 >&2; exit 2"]);
        let mut running = Running::start("thing", command).unwrap();
        let deadline = Instant::now() + START;
        assert_eq!(running.next_line(deadline).unwrap(), "cannot bind 127.0.0.1:80");
        let error = running.next_line(deadline).unwrap_err().to_string();
        assert_eq!(error, "thing has ended; it said:\n  cannot bind 127.0.0.1:80");
    }
}
