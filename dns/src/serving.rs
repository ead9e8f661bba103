//! What is served where: at each address some zones, each with the block that answers for it. Made of flags or of a plan,
//! and swapped whole: a question is answered by one of them from its beginning to its end.

mod addresses;
mod block;
mod from_plan;
mod parts;

pub(crate) use block::{Block, Records};
pub(crate) use parts::Parts;

use crate::name::LowerName;
use crate::plan::{Plan, Transport, Zone};
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

/// All that is served.
#[derive(Debug)]
pub(crate) struct Serving {
    sites: Vec<Site>,
    blocks: Vec<Arc<Block>>,
    /// What looks at files again and again, until this is dropped.
    watches: Mutex<JoinSet<()>>,
}

/// What is served at one address.
#[derive(Debug)]
pub(crate) struct Site {
    /// `None`: at all.
    at: Option<At>,
    /// Longest first.
    zones: Vec<(Zone, Arc<Block>)>,
}

/// Every address that a plan says to listen at; those of interfaces are looked up now.
///
/// # Errors
/// An interface does not exist, or no address is left.
pub fn addresses(plan: &Plan) -> io::Result<Vec<At>> {
    let mut all = Vec::new();
    for (listener, zones) in plan.listening() {
        for block in zones.iter().filter_map(|(_, index)| plan.blocks().get(*index)) {
            let except = block.bind.as_ref().map_or(&[][..], |bind| &bind.except);
            all.extend(addresses::addresses(listener, except)?);
        }
    }
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

impl Serving {
    /// One block for all names, wherever they are asked for.
    pub(crate) fn everywhere(block: Block) -> Self {
        let block = Arc::new(block);
        let site = Site { at: None, zones: vec![(Zone::root(), Arc::clone(&block))] };
        Self { sites: vec![site], blocks: vec![block], watches: Mutex::default() }
    }

    /// What is served there.
    pub(crate) fn site(&self, at: At) -> Option<&Site> {
        self.sites.iter().find(|site| site.at.is_none_or(|own| own == at))
    }

    /// Begins what goes on behind questions; called once.
    pub(crate) fn begin(&self, runtime: &Handle) {
        let mut watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        for block in &self.blocks {
            if let Some(hosts) = block.parts.as_ref().and_then(|parts| parts.hosts.as_ref()) {
                watches.spawn_on(Arc::clone(hosts).watch(), runtime);
            }
        }
    }

    /// Ends what goes on behind questions.
    pub(crate) async fn stop(&self) {
        for block in &self.blocks {
            block.forwarder.stop().await;
        }
    }

    /// Every address with a socket of its own.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = At> {
        self.sites.iter().filter_map(|site| site.at)
    }
}

impl Site {
    /// The block with the longest zone that the name is in; `None`: the name is in no zone.
    pub(crate) fn find(&self, name: &LowerName) -> Option<&Arc<Block>> {
        self.zones.iter().find(|(zone, _)| zone.holds_name(name)).map(|(_, block)| block)
    }
}
