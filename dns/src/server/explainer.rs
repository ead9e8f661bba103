//! What a server with a plan would answer, and which of the plan's parts have a say in it: the question goes the way of
//! all questions, in the server itself, but that no upstream is asked.

use super::respond::{Responder, Response, Shared};
use super::settings::Bounds;
use super::trace::{Finding, Met, Trace};
use crate::answer::{Reason, Sections};
use crate::corefile::Place;
use crate::host::canonical;
use crate::message::Transport;
use crate::metrics::Metrics;
use crate::name::LowerName;
use crate::part::spelling;
use crate::plan::{self, Plan, Zone};
use crate::question::Question;
use crate::serving::{At, Forwarders, Serving};
use crate::wire::flag;
use config::{BackendTable, DnsCompatibility, NameTable, RoutingTable, Snapshot};
use prometheus::Registry;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use tokio::runtime::Handle;

/// Any port but 0, which nobody asks from.
const CLIENT_PORT: u16 = 1024;

/// Explains what a plan makes of questions.
#[derive(Debug)]
pub struct Explainer {
    plan: Plan,
    shared: Arc<Shared>,
}

/// What becomes of a question.
#[derive(Debug, Clone, PartialEq)]
pub struct Explained {
    /// Where it came to.
    pub at: At,
    /// Who asked.
    pub client: IpAddr,
    /// The zone that it is in, and where the block is written that answers for that; `None`: it is in no zone.
    pub block: Option<(Zone, Place)>,
    /// What had a say, in the order in which the question met it.
    pub steps: Vec<Step>,
    /// What comes of it.
    pub outcome: Outcome,
}

/// A part of the Corefile that had a say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its plugin; empty: the block itself.
    pub plugin: &'static str,
    /// Where it is written.
    pub place: Place,
    /// What it said.
    pub found: Found,
}

/// What a part said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// In words.
    Words(String),
    /// Why the cluster's names are as they are.
    Names(Vec<Reason>),
}

/// What the client gets.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// This answer, whole, as over TCP.
    Answered(Sections),
    /// None at all.
    Silence,
    /// What depends on what upstreams say.
    Upstreams,
}

impl Explainer {
    /// `names`: those of the cluster; `runtime`: where upstreams would be asked, which it is not used for.
    ///
    /// # Errors
    /// Something that the plan names cannot be had on this host, such as a file or an interface; but for certificates of
    /// listeners, which nothing here shows.
    pub fn new(
        plan: &Plan,
        compatibility: DnsCompatibility,
        names: Arc<NameTable>,
        runtime: &Handle,
    ) -> io::Result<Self> {
        let plan = plan.without_certificates();
        let metrics = Arc::new(Metrics::new(&Registry::new()).map_err(io::Error::other)?);
        let serving = Serving::of(&plan, compatibility, (&Forwarders::default(), &metrics))?;
        let (publisher, subscriber) = config::publisher();
        publisher.publish(Arc::new(Snapshot {
            generation: 1,
            routing: Arc::new(RoutingTable::default()),
            backends: Arc::new(BackendTable::default()),
            names,
        }));
        let _here = runtime.enter();
        let shared = Shared::new(subscriber, Arc::new(serving), metrics, Bounds::default());
        Ok(Self { plan, shared: Arc::new(Shared { trace: Some(Trace::default()), ..shared }) })
    }

    /// Everywhere it would listen: addresses of their own before those of the whole host, DNS before what is secured.
    #[must_use]
    pub fn addresses(&self) -> Vec<At> {
        let mut all: Vec<_> = self.shared.serving.load().addresses().collect();
        all.sort_by_key(|at| (at.transport, at.address.ip().is_unspecified(), at.address));
        all
    }

    /// Where a question to this address comes to, and one to the port if there is one; the first that has a block for
    /// the name comes first. `None`: to any address. Empty: nowhere.
    fn fitting(&self, name: &LowerName, (ip, port): (Option<IpAddr>, Option<u16>)) -> Option<At> {
        let serving = self.shared.serving.load();
        let is_asked = |at: &At| {
            let own = at.address.ip();
            let is_everywhere = |ip: IpAddr| own.is_unspecified() && (own.is_ipv6() || ip.is_ipv4());
            ip.is_none_or(|ip| ip == own || is_everywhere(ip)) && port.is_none_or(|port| port == at.address.port())
        };
        let mut fitting: Vec<_> = self.addresses().into_iter().filter(is_asked).collect();
        // Who is asked at an address of its own is not asked at that of the whole host.
        if let Some(first) = fitting.first().copied().filter(|first| ip == Some(first.address.ip())) {
            fitting.retain(|at| at.address.ip() == first.address.ip());
        }
        let knows = |at: &&At| serving.site(**at).is_some_and(|site| site.find(name).is_some());
        fitting.iter().find(knows).or(fitting.first()).copied()
    }

    /// What becomes of a question of this client to this address and port; `None` for either: any, the first where a
    /// block is for the name. No client: this host itself, by the family of the address. `None`: nothing listens there,
    /// or the name is too long.
    #[must_use]
    pub fn explain(
        &self,
        question: &Question,
        asked_at: (Option<IpAddr>, Option<u16>),
        client: Option<IpAddr>,
    ) -> Option<Explained> {
        let wire = question.to_wire();
        let name = wire.split_last_chunk::<4>().and_then(|(name, _)| LowerName::read(name))?;
        let asked_at = (asked_at.0.map(|ip| ip.to_canonical()), asked_at.1);
        let at = self.fitting(&name, asked_at)?;
        let trace = self.shared.trace.as_ref()?;
        let flags = flag::RECURSION_DESIRED.to_be_bytes();
        let packet = [&[0, 0], &flags[..], &[0, 1, 0, 0, 0, 0, 0, 0], &wire].concat();
        let own = asked_at.0.or(Some(at.address.ip()).filter(|ip| !ip.is_unspecified()));
        let to = own.map(|ip| SocketAddr::new(ip, at.address.port()));
        let client = client.unwrap_or_else(|| loopback_to(own));
        let (from, mut out) = (SocketAddr::new(client, CLIENT_PORT), Vec::new());
        let responder = Responder::new(Arc::clone(&self.shared), at);
        let outcome = match responder.respond(&packet, (canonical(from), to.map(canonical)), Transport::Tcp, &mut out) {
            Response::Silence | Response::HeldBack | Response::Dropped => Outcome::Silence,
            Response::Pending(_) => Outcome::Upstreams,
            Response::Ready(_) => Outcome::Answered(Sections::read(&out)?),
        };
        let serving = self.shared.serving.load();
        let served = serving.site(at).and_then(|site| site.find(&name));
        let planned = served.and_then(|served| self.plan.blocks().get(serving.index(&served.block)?));
        let block = served.zip(planned).map(|(served, block)| (served.zone().clone(), block.place_of("", 0).clone()));
        let steps = trace.take().into_iter().filter_map(|met| self.step(met)).collect();
        Some(Explained { at, client, block, steps, outcome })
    }

    fn step(&self, met: Met) -> Option<Step> {
        let Met { block, plugin, nth, finding } = met;
        let block = self.plan.blocks().get(block?)?;
        let found = match finding {
            Finding::Words(words) => Found::Words(words),
            Finding::Names(reasons) => Found::Names(reasons),
            Finding::Upstreams(name) => Found::Words(upstreams(block, nth, &name)),
            Finding::Nobody(name) => Found::Words(nobody(block, &name)),
        };
        Some(Step { plugin, place: block.place_of(plugin, nth).clone(), found })
    }
}

/// Where this host asks from at this address; `None`: at any.
fn loopback_to(own: Option<IpAddr>) -> IpAddr {
    match own.map(|ip| ip.to_canonical()) {
        Some(IpAddr::V6(_)) => Ipv6Addr::LOCALHOST.into(),
        Some(IpAddr::V4(_)) | None => Ipv4Addr::LOCALHOST.into(),
    }
}

/// Who is asked for a name.
fn upstreams(block: &plan::Block, route: usize, name: &str) -> String {
    let forward = block.forwards.get(route);
    let to = forward.map(|forward| forward.to.iter().map(ToString::to_string).collect::<Vec<_>>());
    format!("{name} is asked of {}", to.unwrap_or_default().join(", "))
}

/// Why nobody is asked for a name, in wire form and lower case, that no `forward` takes.
fn nobody(block: &plan::Block, name: &[u8]) -> String {
    let leaves_out =
        block.forwards.iter().enumerate().filter(|(_, forward)| forward.from.holds(name)).map(|(nth, _)| {
            let line = block.place_of("forward", nth).line;
            format!("; the forward of line {line} leaves it out (except)")
        });
    format!("nothing in this block answers {}{}", spelling::told(name), leaves_out.collect::<String>())
}
