//! What DNS serves: what flags say, or a Corefile, which is followed.

use crate::cli::ProbeFlags;
use anyhow::Context as _;
use config::DnsCompatibility;
use dns::{At, Bounds, Environment as _, Note, Plan, Refusal, System, Transport};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::watch;

/// Errors of a Corefile, and notes with them, that are told at once; one mistake often makes several.
const TOLD: usize = 10;

/// What DNS serves, within which bounds, and how it is protected.
#[derive(Debug)]
pub(crate) struct Naming {
    pub(crate) of: NamingOf,
    pub(crate) bounds: Bounds,
    pub(crate) protection: dns::Protection,
    /// Refuses a Corefile that the command does not start with.
    pub(crate) accepts: fn(&Plan) -> anyhow::Result<()>,
    /// Probes that a Corefile has no say in.
    pub(crate) probes: ProbeFlags,
    /// What a Corefile says of how long questions are still answered once the end is wanted.
    pub(crate) lameduck: watch::Sender<Duration>,
}

/// What says what DNS serves.
#[derive(Debug)]
pub(crate) enum NamingOf {
    /// One block, everywhere.
    Flags { addresses: Vec<SocketAddr>, settings: Box<dns::Settings> },
    /// What a Corefile says.
    Corefile(Corefile),
}

/// A Corefile that was understood.
#[derive(Debug)]
pub(crate) struct Corefile {
    pub(super) path: PathBuf,
    pub(super) plan: Plan,
    pub(super) compatibility: DnsCompatibility,
}

impl Naming {
    /// What a Corefile says; `None`: there is none.
    pub(crate) fn plan(&self) -> Option<&Plan> {
        match &self.of {
            NamingOf::Flags { .. } => None,
            NamingOf::Corefile(corefile) => Some(&corefile.plan),
        }
    }

    /// Binds all addresses.
    pub(super) fn bind(&self, workers: usize) -> anyhow::Result<Vec<dns::Sockets>> {
        match &self.of {
            NamingOf::Flags { addresses, .. } => {
                let all = addresses.iter().map(|address| At { transport: Transport::Dns, address: *address });
                dns::bind_all(all, workers).context("--dns-bind")
            }
            NamingOf::Corefile(corefile) => {
                let addresses = dns::addresses(&corefile.plan)?;
                dns::bind_all(addresses, workers).with_context(|| corefile.path.display().to_string())
            }
        }
    }
}

impl Corefile {
    /// # Errors
    /// The file cannot be read, is no regular one or larger than 1 MiB, or holds something that is wrong:
    /// every such line, up to a number.
    pub(crate) fn read(path: PathBuf, compatibility: DnsCompatibility) -> anyhow::Result<Self> {
        let (corefile, notes) = Self::understood(path, compatibility)?;
        tell(&notes);
        Ok(corefile)
    }

    /// The same, with what is to be told about it once it is taken.
    pub(super) fn understood(path: PathBuf, compatibility: DnsCompatibility) -> anyhow::Result<(Self, Vec<Note>)> {
        let name = path.display().to_string();
        let text = System.read(&path).with_context(|| format!("--corefile {name}"))?;
        let (plan, notes) = match Plan::from_corefile(&text, &name, &System) {
            Ok(read) => read,
            Err(Refusal { errors, notes }) => {
                let lines = errors.iter().map(ToString::to_string).chain(notes.iter().map(ToString::to_string));
                anyhow::bail!("{}", joined(&lines.collect::<Vec<_>>()))
            }
        };
        Ok((Self { path, plan, compatibility }, notes))
    }

    pub(crate) fn plan(&self) -> (&Plan, DnsCompatibility) {
        (&self.plan, self.compatibility)
    }
}

pub(super) fn tell(notes: &[Note]) {
    for note in notes {
        match note.is_missing {
            true => tracing::warn!("{note}"),
            false => tracing::info!("{note}"),
        }
    }
}

fn joined(lines: &[String]) -> String {
    let more = lines.len().saturating_sub(TOLD);
    let told = lines.iter().take(TOLD).map(String::as_str).collect::<Vec<_>>().join("; ");
    if more > 0 { format!("{told}; and {more} more, which `tidegate check` tells") } else { told }
}
