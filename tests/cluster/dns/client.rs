//! A Pod whose programs ask for names: glibc's resolver and musl's, dig and kdig, each with the Pod's own resolv.conf.

use super::installed::Installed;
use super::musl::Musl;
use crate::harness::SOON;
use anyhow::{Context as _, ensure};
use ground::until;
use std::fmt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// A running Pod.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Client {
    /// The number of its process on this machine.
    process: u32,
}

/// What a program in the Pod said.
#[derive(Debug)]
pub(crate) struct Said {
    /// `None`: a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) said: String,
}

impl Client {
    pub(crate) fn new(process: u32) -> Self {
        Self { process }
    }

    /// Runs a program that sees the Pod's files and network.
    pub(crate) fn run(self, command: &[&str]) -> anyhow::Result<Said> {
        let mut nsenter = Command::new("nsenter");
        nsenter.args(["--target", &self.process.to_string(), "--mount", "--net", "--root", "--"]).args(command);
        let output = nsenter.output().context("nsenter does not start: install util-linux")?;
        Ok(Said { code: output.status.code(), said: String::from_utf8(output.stdout)? })
    }
}

/// Waits until the program says all of these words.
pub(crate) fn says(client: &Client, command: &[&str], words: &[&str]) -> anyhow::Result<()> {
    until(&format!("{command:?} says {words:?}"), SOON, || {
        let said = client.run(command)?;
        let has = |word: &&str| said.said.split_whitespace().any(|own| own == *word);
        ensure!(said.code == Some(0) && words.iter().all(has), "{said:?}");
        Ok(Some(()))
    })
}

/// The sorted lines that the program says.
pub(crate) fn answers(client: &Client, command: &[&str]) -> anyhow::Result<Vec<String>> {
    let said = client.run(command)?;
    ensure!(said.code == Some(0), "{command:?}: {said:?}");
    let mut lines: Vec<_> = said.said.lines().map(str::to_owned).collect();
    lines.sort();
    Ok(lines)
}

/// Questions that are asked again and again, each once: a resolver that asked twice would hide what was lost.
const QUESTIONS: [(&[&str], &str); 5] = [
    (&["getent", "ahostsv4", "kubernetes.default"], "10.96.0.1"),
    (&["getent", "ahostsv4", "db-0.db"], ""),
    (&["getent", "ahostsv4", "shop"], "192.0.2.80"),
    (&["getent", "hosts", "10.96.0.80"], "web.default.svc.cluster.local"),
    (&["dig", "+tcp", "+tries=1", "+time=3", "+short", "web.default.svc.cluster.local"], "10.96.0.80"),
];

/// A running load, a thread for each question.
pub(crate) struct Load {
    shared: Arc<Shared>,
    lanes: Vec<JoinHandle<anyhow::Result<()>>>,
}

#[derive(Debug, Default)]
struct Shared {
    is_over: AtomicBool,
    answered: AtomicUsize,
    failures: Mutex<Vec<String>>,
}

/// What a load came to.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) answered: usize,
    pub(crate) failures: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { answered, failures } = self;
        write!(f, "{answered} questions were answered, {} failed", failures.len())?;
        failures.iter().take(20).try_for_each(|failure| write!(f, "\n  {failure}"))
    }
}

impl Load {
    pub(crate) fn start(installed: &Installed, musl: &Musl) -> anyhow::Result<Self> {
        let client = installed.client()?;
        let shared = Arc::new(Shared::default());
        let of_musl = musl.resolves("kubernetes.default");
        let lane = |(command, expected): (&[&str], &'static str)| {
            let (shared, command) =
                (Arc::clone(&shared), command.iter().copied().map(str::to_owned).collect::<Vec<_>>());
            thread::spawn(move || shared.ask(client, &command.iter().map(String::as_str).collect::<Vec<_>>(), expected))
        };
        let lanes = QUESTIONS.into_iter().chain([(&of_musl[..], "10.96.0.1")]).map(lane).collect();
        Ok(Self { shared, lanes })
    }

    /// Waits for so many answers more.
    pub(crate) fn passes(&self, count: usize) -> anyhow::Result<()> {
        let goal = self.shared.answered.load(Ordering::Relaxed) + count;
        until("questions are answered", SOON, || {
            Ok((self.shared.answered.load(Ordering::Relaxed) >= goal).then_some(()))
        })
    }

    pub(crate) fn finish(self) -> anyhow::Result<Report> {
        self.shared.is_over.store(true, Ordering::Relaxed);
        for lane in self.lanes {
            lane.join().map_err(|_| anyhow::anyhow!("a lane has panicked"))??;
        }
        let failures = std::mem::take(&mut *self.shared.failures.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(Report { answered: self.shared.answered.load(Ordering::Relaxed), failures })
    }
}

impl Shared {
    fn ask(&self, client: Client, command: &[&str], expected: &str) -> anyhow::Result<()> {
        while !self.is_over.load(Ordering::Relaxed) {
            let said = client.run(command)?;
            if said.code == Some(0) && said.said.contains(expected) {
                self.answered.fetch_add(1, Ordering::Relaxed);
            } else {
                let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
                failures.push(format!("{command:?}: {said:?}"));
            }
        }
        Ok(())
    }
}
