//! What a block has besides the cluster's names and others to ask: rare, and looked at only where there is any.

use crate::corefile::{Environment, System};
use crate::part::acl::Acls;
use crate::part::autopath::{Autopath, SearchList};
use crate::part::chaos::Chaos;
use crate::part::dns64::Dns64;
use crate::part::header::Headers;
use crate::part::hosts::Hosts;
use crate::part::nsid::Nsid;
use crate::part::rewrite::Rewrites;
use crate::part::template::Templates;
use crate::plan::{self, Zone};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// The parts, in the order in which a question meets them; an answer meets those that change it the other way round.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) nsid: Option<Nsid>,
    pub(crate) is_local: bool,
    pub(crate) dns64: Option<Dns64>,
    pub(crate) acls: Option<Acls>,
    /// Whether ANY gets one record instead of all (RFC 8482).
    pub(crate) minimises_any: bool,
    pub(crate) chaos: Option<Chaos>,
    pub(crate) rewrites: Option<Rewrites>,
    pub(crate) headers: Option<Headers>,
    pub(crate) walks: Option<Walks>,
    pub(crate) is_minimal: bool,
    pub(crate) templates: Option<Templates>,
    pub(crate) hosts: Option<Arc<Hosts>>,
    /// Whether clients are told their own address where nobody has an answer.
    pub(crate) tells_clients: bool,
}

/// Search lists that are walked.
#[derive(Debug)]
pub(crate) struct Walks {
    pub(crate) autopath: Autopath,
    /// That of all clients; `None`: each Pod has the one of its namespace.
    pub(crate) list: Option<SearchList>,
    /// What Pods have behind the zone's domains: this host's own.
    pub(crate) node: Vec<Zone>,
}

impl Walks {
    /// # Errors
    /// The file with the list cannot be read.
    fn of(plan: &plan::Autopath) -> io::Result<Self> {
        let read = |path: &str| {
            let named = |error: io::Error| io::Error::new(error.kind(), format!("autopath: {path}: {error}"));
            System.read(Path::new(path)).map_err(named)
        };
        let (list, node) = match &plan.search {
            plan::SearchList::File(path) => (Some(SearchList::of_file(&read(path)?)), Vec::new()),
            // A host without that file has no domains of its own.
            plan::SearchList::Pod => (None, SearchList::domains(&read(SYSTEM).unwrap_or_default())),
        };
        Ok(Self { autopath: Autopath::new(plan), list, node })
    }
}

/// Where this host's search list is.
const SYSTEM: &str = "/etc/resolv.conf";

impl Parts {
    /// Those of a block; `None`: it has none.
    ///
    /// # Errors
    /// A file that one of them names cannot be read.
    pub(super) fn of(block: &plan::Block, host: &str) -> io::Result<Option<Self>> {
        let parts = Self {
            nsid: block.nsid.as_ref().map(|name| Nsid::new(name, host)),
            is_local: block.local.is_some(),
            dns64: block.dns64.as_ref().map(Dns64::new),
            acls: (!block.acls.is_empty()).then(|| Acls::new(&block.acls)),
            minimises_any: block.any.is_some(),
            chaos: block.chaos.as_ref().map(|chaos| Chaos::new(chaos, host)),
            rewrites: (!block.rewrites.is_empty()).then(|| Rewrites::new(&block.rewrites)),
            walks: block.autopath.as_ref().map(Walks::of).transpose()?,
            headers: block.header.as_ref().map(Headers::new),
            is_minimal: block.minimal.is_some(),
            templates: (!block.templates.is_empty()).then(|| Templates::new(&block.templates)),
            hosts: block.hosts.as_ref().map(|hosts| Arc::new(Hosts::new(hosts))),
            tells_clients: block.whoami.is_some(),
        };
        Ok(parts.is_any().then_some(parts))
    }

    fn is_any(&self) -> bool {
        let Self {
            nsid,
            is_local,
            dns64,
            acls,
            minimises_any,
            chaos,
            rewrites,
            headers,
            walks,
            is_minimal,
            templates,
            hosts,
            tells_clients,
        } = self;
        nsid.is_some()
            || *is_local
            || dns64.is_some()
            || rewrites.is_some()
            || walks.is_some()
            || acls.is_some()
            || *minimises_any
            || chaos.is_some()
            || headers.is_some()
            || *is_minimal
            || templates.is_some()
            || hosts.is_some()
            || *tells_clients
    }
}
