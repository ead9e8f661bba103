//! What is served where: at each address some zones, each with the block that answers for it. Made of flags or of a plan,
//! and swapped whole: a question is answered by one of them from its beginning to its end.

mod addresses;
mod block;
mod clocks;
mod forwarders;
mod from_plan;
mod parts;
mod tls;

pub(crate) use block::{Block, Records};
pub(crate) use clocks::Clocks;
pub(crate) use forwarders::Forwarders;
pub(crate) use parts::Parts;
pub(crate) use tls::Secured;

use crate::metrics::{Configured, Enabled, Metrics, ServerMetrics, ZoneId};
use crate::name::LowerName;
use crate::plan::{Plan, Transport, Zone};
use crate::transfer::notify;
use config::Subscriber;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

/// Where questions come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct At {
    /// How.
    pub transport: Transport,
    /// The address that is bound; the unspecified one: all of the host.
    pub address: SocketAddr,
}

impl At {
    /// Whether something can come to both.
    pub(crate) fn shares_with(self, other: Self) -> bool {
        let (one, other) = (self.address, other.address);
        let is_any = one.ip().is_unspecified() || other.ip().is_unspecified();
        one.port() == other.port() && (is_any || one.ip() == other.ip())
    }
}

/// All that is served.
#[derive(Debug)]
pub(crate) struct Serving {
    sites: Vec<Site>,
    blocks: Vec<Arc<Block>>,
    /// The same as metrics tell it.
    configured: Arc<Configured>,
    /// What looks at files again and again, until this is dropped.
    watches: Mutex<JoinSet<()>>,
}

/// What is served at one address.
#[derive(Debug)]
pub(crate) struct Site {
    at: At,
    /// Longest first.
    zones: Vec<Served>,
    /// What names are counted as that are in none of them.
    outside: ZoneId,
    /// What its parts count.
    pub(crate) metrics: ServerMetrics,
    pub(crate) clocks: Clocks,
    /// How connections are secured; `None`: not at all.
    pub(crate) secured: Option<Arc<Secured>>,
}

/// A zone at an address.
#[derive(Debug)]
pub(crate) struct Served {
    zone: Zone,
    pub(crate) block: Arc<Block>,
    /// What its questions are counted as.
    pub(crate) numbers: ZoneId,
}

/// Every address that a plan says to listen at; those of interfaces are looked up now.
///
/// # Errors
/// An interface does not exist, or no address is left.
pub fn addresses(plan: &Plan) -> io::Result<Vec<At>> {
    let mut all: Vec<_> = addresses::places(plan)?.into_iter().map(|place| place.at).collect();
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

impl Serving {
    /// One block for all names at each of these addresses.
    pub(crate) fn everywhere(
        block: Block,
        at: impl IntoIterator<Item = At>,
        (clocks, metrics): (Clocks, &Metrics),
    ) -> Self {
        let block = Arc::new(block);
        let site = |at| Site { clocks, ..Site::new(at, vec![(Zone::root(), Arc::clone(&block))], metrics) };
        let sites: Vec<_> = at.into_iter().map(site).collect();
        let enabled = |site: &Site| {
            block.plugins().map(|plugin| Enabled::new(site.at, &Zone::root(), plugin)).collect::<Vec<_>>()
        };
        let enabled = sites.iter().flat_map(enabled).collect();
        let configured = Arc::new(Configured { enabled, ..Configured::default() });
        Self { sites, blocks: vec![block], configured, watches: Mutex::default() }
    }

    /// What is served there.
    pub(crate) fn site(&self, at: At) -> Option<&Site> {
        self.sites.iter().find(|site| site.at == at)
    }

    /// Begins what goes on behind questions; called once.
    pub(crate) fn begin(&self, names: &Subscriber, runtime: &Handle, metrics: &Metrics) {
        metrics.configured.store(Arc::clone(&self.configured));
        let mut watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        for block in &self.blocks {
            if let Some(hosts) = block.parts.as_ref().and_then(|parts| parts.hosts.as_ref()) {
                watches.spawn_on(Arc::clone(hosts).watch(), runtime);
            }
            for secondary in block.secondaries() {
                watches.spawn_on(notify(names.clone(), secondary), runtime);
            }
        }
        for secured in self.sites.iter().filter_map(|site| site.secured.as_ref()) {
            watches.spawn_on(Arc::clone(secured).watch(), runtime);
        }
    }

    /// Ends what goes on behind questions that came before `next`, but for what that goes on with.
    pub(crate) async fn stop(&self, next: &Self) {
        let goes_on = |block: &Block| next.blocks.iter().any(|other| Arc::ptr_eq(&other.forwarder, &block.forwarder));
        for block in &self.blocks {
            if !goes_on(block) {
                block.forwarder.stop().await;
            }
        }
    }

    /// Ends what goes on behind questions, where nobody waits for an answer any more.
    pub(crate) async fn abort(&self) {
        for block in &self.blocks {
            block.forwarder.abort().await;
        }
    }

    /// Which of its blocks that is, in the order of the plan; `None`: none.
    pub(crate) fn index(&self, block: &Arc<Block>) -> Option<usize> {
        self.blocks.iter().position(|other| Arc::ptr_eq(other, block))
    }

    /// Every address with a socket of its own.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = At> {
        self.sites.iter().map(|site| site.at)
    }
}

impl Served {
    pub(crate) fn zone(&self) -> &Zone {
        &self.zone
    }
}

impl Site {
    fn new(at: At, mut zones: Vec<(Zone, Arc<Block>)>, metrics: &Metrics) -> Self {
        zones.sort_by_key(|(zone, _)| std::cmp::Reverse(zone.label_count()));
        let server = at.to_string();
        let numbers = &metrics.zones;
        let served = |(zone, block): (Zone, _)| Served { numbers: numbers.id(&server, &zone.absolute()), zone, block };
        Self {
            zones: zones.into_iter().map(served).collect(),
            outside: numbers.id(&server, "dropped"),
            metrics: metrics.parts.of_server(server),
            at,
            clocks: Clocks::default(),
            secured: None,
        }
    }

    /// What the name is in with the longest zone; `None`: the name is in no zone.
    pub(crate) fn find(&self, name: &LowerName) -> Option<&Served> {
        self.zones.iter().find(|served| served.zone.holds_name(name))
    }

    /// What names are counted as that are in none.
    pub(crate) fn outside(&self) -> ZoneId {
        self.outside
    }
}

/// As CoreDNS names a server: `dns://:53`.
impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, port) = (self.transport.scheme(), self.address.port());
        if self.address.ip().is_unspecified() {
            return write!(f, "{scheme}://:{port}");
        }
        write!(f, "{scheme}://{}", self.address)
    }
}
