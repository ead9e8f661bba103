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

impl Said {
    /// Whether it found all of these words.
    fn has<W: AsRef<str>>(&self, words: &[W]) -> bool {
        self.code == Some(0) && words.iter().all(|word| self.says(word.as_ref()))
    }

    fn says(&self, word: &str) -> bool {
        self.said.split_whitespace().any(|own| own == word)
    }
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
        ensure!(said.has(words), "{said:?}");
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

/// A question that is asked again and again, once each time: a resolver that asked twice would hide what was lost.
struct Question {
    command: String,
    /// What its answer may be, by words that it has; there is one of these always.
    answers: Vec<Vec<String>>,
}

impl Question {
    fn new(command: impl Into<String>, answers: &[&[&str]]) -> Self {
        let answers = answers.iter().map(|words| words.iter().map(|&word| word.to_owned()).collect()).collect();
        Self { command: command.into(), answers }
    }
}

/// `first` and `second` are the addresses of the Pods of `db`; `shop` may lead to either of its addresses.
fn questions(first: &str, second: &str) -> Vec<Question> {
    let dig = "dig +tries=1 +time=3 +short";
    let pods = ["db-0.db.default.svc.cluster.local.", "db-1.db.default.svc.cluster.local."];
    vec![
        Question::new("getent ahostsv4 kubernetes.default", &[&["10.96.0.1"]]),
        Question::new("getent ahostsv4 db-0.db", &[&[first]]),
        Question::new("getent ahostsv4 db", &[&[first, second]]),
        Question::new("getent ahostsv4 shop", &[&["192.0.2.80"], &["10.96.0.81"]]),
        Question::new("getent hosts 10.96.0.80", &[&["web.default.svc.cluster.local"]]),
        Question::new(format!("{dig} +tcp web.default.svc.cluster.local"), &[&["10.96.0.80"]]),
        Question::new(format!("{dig} SRV _http._tcp.db.default.svc.cluster.local"), &[&pods]),
        Question::new(format!("{dig} -x {second}"), &[&pods[1..]]),
    ]
}

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
    /// `pods`: the addresses of those of `db`.
    pub(crate) fn start(installed: &Installed, musl: &Musl, pods: [&str; 2]) -> anyhow::Result<Self> {
        let client = installed.client()?;
        let shared = Arc::new(Shared::default());
        let [first, second] = pods;
        let mut questions = questions(first, second);
        questions.push(Question::new(musl.resolves("kubernetes.default").join(" "), &[&["10.96.0.1"]]));
        let lane = |question: Question| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.ask(client, &question))
        };
        let lanes = questions.into_iter().map(lane).collect();
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
    fn ask(&self, client: Client, question: &Question) -> anyhow::Result<()> {
        let command: Vec<_> = question.command.split(' ').collect();
        while !self.is_over.load(Ordering::Relaxed) {
            let said = client.run(&command)?;
            if question.answers.iter().any(|words| said.has(words)) {
                self.answered.fetch_add(1, Ordering::Relaxed);
            } else {
                let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
                failures.push(format!("{command:?}: {said:?}"));
            }
        }
        Ok(())
    }
}
