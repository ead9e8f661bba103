//! Network namespaces without a process of their own.

use crate::exec::unshare;
use anyhow::Context as _;
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};
use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;

/// A network namespace; it ends with the last clone and the last process in it.
#[derive(Clone)]
pub(crate) struct NetworkNamespace {
    file: Arc<File>,
}

impl NetworkNamespace {
    /// Makes one. Its loopback device is up.
    ///
    /// # Errors
    /// Where the kernel refuses it: only root may do this.
    pub(crate) fn create() -> anyhow::Result<Self> {
        let made = thread::spawn(|| {
            unshare(UnshareFlags::NEWNET).context("no network namespace can be made")?;
            ip("link set lo up")?;
            File::open("/proc/thread-self/ns/net").context("/proc/thread-self/ns/net")
        });
        let file = made.join().map_err(|_| anyhow::anyhow!("the thread of a new namespace panicked"))??;
        Ok(Self { file: Arc::new(file) })
    }

    /// Opens the one that a file names.
    ///
    /// # Errors
    /// Where there is none.
    pub(crate) fn open(path: &std::path::Path) -> anyhow::Result<Self> {
        Ok(Self { file: Arc::new(File::open(path).with_context(|| path.display().to_string())?) })
    }

    /// Moves the calling thread into it, and with the thread every process and thread that it starts.
    ///
    /// # Errors
    /// Where the kernel refuses it.
    pub(crate) fn enter(&self) -> anyhow::Result<()> {
        move_into_link_name_space(self.file.as_fd(), Some(LinkNameSpaceType::Network))
            .context("the network namespace cannot be entered")
    }

    /// A path of it that every process of root can open while this one lives.
    pub(crate) fn path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd()).into()
    }

    /// Runs `work` on a thread inside.
    ///
    /// # Errors
    /// Where it cannot be entered.
    ///
    /// # Panics
    /// Where `work` does.
    pub(crate) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> anyhow::Result<T> {
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                self.enter()?;
                Ok(work())
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

/// Runs `ip` with one command a line in the namespace of the calling thread.
///
/// # Errors
/// With what `ip` says, where a command fails.
pub(crate) fn ip(commands: &str) -> anyhow::Result<()> {
    let mut child = Command::new("ip")
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("ip does not start: install iproute2")?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(commands.as_bytes())?;
        stdin.write_all(b"\n")?;
    }
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "ip: {}: {commands}", said.trim());
    Ok(())
}
