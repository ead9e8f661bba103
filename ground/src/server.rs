//! A part of the control plane that a test may kill, stop, let go on and start again with the same data.

use crate::namespace::NetworkNamespace;
use crate::process::Process;
use anyhow::{Context as _, bail};
use rustix::process::Signal;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The longest a server may take to be ready; one takes 5 s on a machine that has nothing else to do.
const READY: Duration = Duration::from_secs(120);
/// Of the log, in an error.
const LAST_WORDS: usize = 20;

/// etcd, the API server or the controller manager.
pub struct Server {
    name: &'static str,
    command: Box<dyn Fn() -> anyhow::Result<Command> + Send + Sync>,
    is_ready: Box<dyn Fn() -> anyhow::Result<()> + Send + Sync>,
    namespace: NetworkNamespace,
    log: PathBuf,
    process: Mutex<Option<Process>>,
}

impl Server {
    pub(crate) fn new(
        name: &'static str,
        namespace: NetworkNamespace,
        log: PathBuf,
        command: impl Fn() -> anyhow::Result<Command> + Send + Sync + 'static,
        is_ready: impl Fn() -> anyhow::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let process = Mutex::new(None);
        Self { name, command: Box::new(command), is_ready: Box::new(is_ready), namespace, log, process }
    }

    /// Starts it and does not wait until it is ready; nothing happens when it runs.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn launch(&self) -> anyhow::Result<()> {
        let mut process = self.process();
        if process.as_ref().is_some_and(|process| process.status().is_none()) {
            return Ok(());
        }
        let log = File::options().create(true).append(true).open(&self.log);
        let log = log.with_context(|| self.log.display().to_string())?;
        let mut command = (self.command)()?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        *process = Some(Process::start_in(&self.namespace, command)?);
        Ok(())
    }

    /// Waits until it answers that it is ready.
    ///
    /// # Errors
    /// With the end of its log, when it has ended or takes too long.
    pub fn wait_ready(&self) -> anyhow::Result<()> {
        let ready = crate::until(&format!("{} is ready", self.name), READY, || {
            if let Some(status) = self.process().as_ref().and_then(Process::status) {
                return Ok(Some(Err(status)));
            }
            (self.is_ready)().map(|()| Some(Ok(())))
        });
        match ready {
            Ok(Ok(())) => Ok(()),
            Ok(Err(status)) => bail!("{} has ended with {status}:\n{}", self.name, self.last_words()),
            Err(error) => Err(error.context(self.last_words())),
        }
    }

    /// Starts it, with the data it had before, and waits until it is ready.
    ///
    /// # Errors
    /// As [`Self::launch`] and [`Self::wait_ready`].
    pub fn start(&self) -> anyhow::Result<()> {
        self.launch()?;
        self.wait_ready()
    }

    /// Kills it (SIGKILL) and waits for its end.
    pub fn kill(&self) {
        *self.process() = None;
    }

    /// Stops it (SIGSTOP): the kernel goes on to accept connections, nobody answers.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on (SIGCONT).
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Its process id outside of the ground, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.process().as_ref().filter(|process| process.status().is_none()).map(Process::id)
    }

    /// The file it writes to.
    pub fn log(&self) -> &std::path::Path {
        &self.log
    }

    fn signal(&self, signal: Signal) {
        if let Some(process) = self.process().as_ref() {
            process.signal(signal);
        }
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let last = lines.iter().skip(lines.len().saturating_sub(LAST_WORDS));
        last.copied().collect::<Vec<_>>().join("\n")
    }
}
