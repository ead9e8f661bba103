//! The signals that end the program, and those that do not.

use super::Ended;
use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// A caught signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Caught {
    pub(super) name: &'static str,
    pub(super) number: u8,
}

impl Caught {
    /// Ends the program though something still runs.
    fn ends_at_once(self) -> Ended {
        tracing::warn!(signal = self.name, "ended at once");
        Ended::Killed(128 + self.number)
    }
}

/// SIGTERM, SIGINT, and SIGHUP, which a terminal sends when it closes: manifests are followed anyway, so that there is
/// nothing to reload.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// Catches them from now on.
    ///
    /// # Errors
    /// Those of the system.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Ends with what is left to do, or at once with the next one.
    ///
    /// # Errors
    /// Those of what is left to do.
    pub(super) async fn end_with(&mut self, rest: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<Ended> {
        tokio::select! {
            ended = rest => ended.map(|()| Ended::Drained),
            signal = self.next() => Ok(signal.ends_at_once()),
        }
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) -> Caught {
        tokio::select! {
            _ = self.terminate.recv() => Caught { name: "SIGTERM", number: 15 },
            _ = self.interrupt.recv() => Caught { name: "SIGINT", number: 2 },
            _ = self.hangup.recv() => Caught { name: "SIGHUP", number: 1 },
        }
    }
}

/// SIGUSR1, with which CoreDNS reads its Corefile again; and SIGUSR2, with which it starts another program in its place.
/// That is for whoever starts Pods to do here, and a signal that nobody waits for would end the program at once.
#[derive(Debug)]
pub(super) struct Prompts {
    look: Signal,
    replace: Signal,
}

impl Prompts {
    /// Catches them from now on.
    ///
    /// # Errors
    /// Those of the system.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { look: signal(SignalKind::user_defined1())?, replace: signal(SignalKind::user_defined2())? })
    }

    /// Waits for the next SIGUSR1.
    pub(super) async fn look(&mut self) {
        loop {
            tokio::select! {
                _ = self.look.recv() => return,
                _ = self.replace.recv() => tracing::warn!(signal = "SIGUSR2", "this signal changes nothing here"),
            }
        }
    }

    /// Says each time that there is nothing to look at, without an end.
    pub(super) async fn look_at_nothing(mut self) {
        loop {
            self.look().await;
            tracing::warn!(signal = "SIGUSR1", "this signal changes nothing: there is no Corefile to look at");
        }
    }
}
