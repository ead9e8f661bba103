//! What a Corefile makes of a question: the same server that serves it is asked, with what the manifests hold.

use super::name::{Said, Verdict, is_where_asked, told};
use crate::cli::{AskedAt, Asker};
use crate::offline::World;
use crate::serve::Corefile;
use anyhow::Context as _;
use config::{DnsCompatibility, DomainName, Kind, ObjectRef};
use dns::{Explained, Explainer, Found, Outcome, PlannedObjects, Question, Step};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::runtime::{Builder, Runtime};

/// A Corefile, and how it is asked.
#[derive(Debug)]
pub(super) struct Planned {
    corefile: Corefile,
    name: String,
    at: Option<AskedAt>,
    client: Option<IpAddr>,
}

/// The same with what it answers from.
#[derive(Debug)]
pub(super) struct Asked<'p> {
    planned: &'p Planned,
    explainer: Explainer,
    /// `None`: this host itself.
    client: Option<IpAddr>,
    /// It would ask upstreams, which nobody does here.
    _runtime: Runtime,
}

impl Planned {
    /// # Errors
    /// The Corefile cannot be taken; the message names each line.
    pub(super) fn read(
        path: PathBuf,
        compatibility: DnsCompatibility,
        (at, client): (Option<AskedAt>, Option<IpAddr>),
    ) -> anyhow::Result<Self> {
        let name = path.display().to_string();
        Ok(Self { corefile: Corefile::read(path, compatibility)?, name, at, client })
    }

    /// The zone of the cluster's own names, if it has one.
    pub(super) fn cluster_zone(&self) -> Option<&DomainName> {
        self.corefile.plan().0.cluster_zone()
    }

    /// Which objects have names; `None`: none has.
    pub(super) fn objects(&self) -> Option<PlannedObjects> {
        self.corefile.plan().0.objects()
    }

    /// # Errors
    /// Something that it names cannot be had on this host.
    pub(super) fn asked(&self, from: Option<&Asker>, world: &World) -> anyhow::Result<Asked<'_>> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (plan, compatibility) = self.corefile.plan();
        let names = Arc::clone(&world.snapshot.names);
        let explainer = Explainer::new(plan, compatibility, names, runtime.handle())?;
        let pod = from.and_then(|Asker { namespace, pod }| {
            let pod = world.pod(&ObjectRef::new(Kind::Pod, namespace.as_str(), pod.as_deref()?))?;
            pod.addresses.first().copied()
        });
        let client = self.client.or(pod);
        Ok(Asked { planned: self, explainer, client, _runtime: runtime })
    }
}

impl Asked<'_> {
    /// Whether this host itself asks, as nothing says who else does.
    pub(super) fn is_asked_from_here(&self) -> bool {
        self.client.is_none()
    }

    /// Whether the address is one that is asked: that of `--at`, or one that a block binds.
    pub(super) fn is_at(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        let is_bound = || self.explainer.addresses().iter().any(|at| at.address.ip() == ip);
        self.planned.at.is_some_and(|at| at.ip.to_canonical() == ip) || is_bound()
    }

    /// # Errors
    /// Nothing listens where it is to be asked.
    pub(super) fn said(&self, question: &Question, world: &World) -> anyhow::Result<Said> {
        let (ip, port) = self.planned.at.map_or((None, None), |at| (Some(at.ip), at.port));
        let explained = self.explainer.explain(question, (ip, port), self.client).with_context(|| {
            let addresses: Vec<_> = self.explainer.addresses().iter().map(ToString::to_string).collect();
            format!("{}: nothing is served at --at; there is {}", self.planned.name, addresses.join(", "))
        })?;
        let Explained { at, client, block, steps, outcome } = explained;
        let mut why = vec![match block {
            Some((zone, place)) => format!("{}:{}: {at}, the block of zone {zone}", place.file, place.line),
            None => format!("{at} has no block for the name"),
        }];
        why.extend(steps.iter().flat_map(|step| step_words(step, world)));
        let is_where_asked = match (&outcome, steps.last().map(|step| &step.found)) {
            (Outcome::Answered(sections), Some(Found::Names(reasons))) => is_where_asked(sections, reasons),
            _ => false,
        };
        let (verdict, records) = match outcome {
            Outcome::Answered(sections) => (Verdict::Code(sections.code), sections.answers),
            Outcome::Silence => (Verdict::Silence, Vec::new()),
            Outcome::Upstreams => (Verdict::Upstream, Vec::new()),
        };
        Ok(Said { client: Some(client), verdict, records, is_where_asked, why })
    }
}

/// A line for each thing that the part said.
fn step_words(Step { plugin, place, found }: &Step, world: &World) -> Vec<String> {
    let words = match found {
        Found::Words(words) => vec![words.clone()],
        Found::Names(reasons) => reasons.iter().map(|reason| told(reason, world)).collect(),
    };
    // The block itself has no plugin.
    let of = if plugin.is_empty() { String::new() } else { format!("{plugin}: ") };
    words.iter().map(|words| format!("{}:{}: {of}{words}", place.file, place.line)).collect()
}
