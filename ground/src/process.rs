//! A process of the ground: the first of a process namespace of its own, so that what it starts ends with it, and
//! killed by the kernel when its owner dies, however that happens.

use crate::exec::{die_with_thread, mount_proc, unshare};
use crate::namespace::NetworkNamespace;
use anyhow::Context as _;
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use rustix::thread::UnshareFlags;
use std::os::fd::OwnedFd;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use tokio::sync::watch;

/// A started process. Dropping it kills it with all that it has started, and waits for its end.
pub struct Process {
    /// Where it is piped.
    pub stdin: Option<ChildStdin>,
    /// Where it is piped.
    pub stdout: Option<ChildStdout>,
    /// Where it is piped.
    pub stderr: Option<ChildStderr>,
    id: u32,
    handle: OwnedFd,
    exit: watch::Receiver<Option<ExitStatus>>,
    thread: Option<JoinHandle<()>>,
}

impl Process {
    /// Starts `command` in `network`, as the first of a new process namespace whose `/proc` it sees.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub(crate) fn start_in(network: &NetworkNamespace, mut command: Command) -> anyhow::Result<Self> {
        let network = network.clone();
        mount_proc(&mut command);
        Self::start(command, move || {
            network.enter()?;
            unshare(UnshareFlags::NEWNS).context("no mount namespace can be made")?;
            mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
            unshare(UnshareFlags::NEWPID).context("no process namespace can be made")
        })
    }

    /// Starts `command` on a thread that `enter`s its namespaces first, and that stays until the process ends: the
    /// kernel kills a process whose starting thread is gone.
    ///
    /// # Errors
    /// Where a namespace cannot be entered or the program does not start.
    pub(crate) fn start(
        command: Command,
        enter: impl FnOnce() -> anyhow::Result<()> + Send + 'static,
    ) -> anyhow::Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let (sender, started) = mpsc::channel();
        let (exited, exit) = watch::channel(None);
        let thread = thread::Builder::new().name(format!("runs {name}")).spawn(move || {
            match enter().and_then(|()| spawn(command)) {
                Err(error) => drop(sender.send(Err(error))),
                Ok((mut child, handle)) => {
                    let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
                    drop(sender.send(Ok((child.id(), handle, pipes))));
                    // It fails only for a child that somebody else has waited for.
                    exited.send_replace(child.wait().ok());
                }
            }
        })?;
        let started = started.recv().context("the thread of a process panicked")?;
        let (id, handle, (stdin, stdout, stderr)) = started.with_context(|| format!("{name} does not start"))?;
        Ok(Self { stdin, stdout, stderr, id, handle, exit, thread: Some(thread) })
    }

    /// Its id outside of the ground.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Sends a signal to it alone; nothing happens when it has ended.
    pub fn signal(&self, signal: Signal) {
        // A handle is of one process for ever, so the only error is that it has ended.
        let _ = pidfd_send_signal(&self.handle, signal);
    }

    /// How it ended; `None` while it runs.
    pub fn status(&self) -> Option<ExitStatus> {
        *self.exit.borrow()
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// Where the system does not tell how it ended.
    pub fn wait(&mut self) -> anyhow::Result<ExitStatus> {
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
        self.status().context("nobody knows how the process ended")
    }

    /// How it will end, for those who wait without a thread.
    pub(crate) fn exit(&self) -> watch::Receiver<Option<ExitStatus>> {
        self.exit.clone()
    }

    /// For entering its namespaces.
    ///
    /// # Errors
    /// Where this program has too many files open.
    pub(crate) fn handle(&self) -> std::io::Result<OwnedFd> {
        self.handle.try_clone()
    }

    /// Kills it with all that it has started, and waits for its end.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        // Its status does not matter: it was killed.
        drop(self.wait());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(mut command: Command) -> anyhow::Result<(Child, OwnedFd)> {
    die_with_thread(&mut command);
    let mut child = command.spawn()?;
    let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("a process without id")?;
    match pidfd_open(id, PidfdFlags::empty()) {
        Ok(handle) => Ok((child, handle)),
        Err(error) => {
            drop(child.kill());
            drop(child.wait());
            Err(error).context("no handle of the process can be had")
        }
    }
}
