//! What a block has besides the cluster's names and others to ask: rare, and looked at only where there is any.

use crate::cache::Longest;
use crate::corefile::System;
use crate::part::acl::Acls;
use crate::part::autopath::Autopath;
use crate::part::chaos::Chaos;
use crate::part::dns64::Dns64;
use crate::part::header::Headers;
use crate::part::hosts::Hosts;
use crate::part::nsid::Nsid;
use crate::part::rewrite::Rewrites;
use crate::part::template::Templates;
use crate::plan::{self, Local, SearchList};
use crate::transfer::Transfers;
use std::io;
use std::sync::Arc;

/// The parts, in the order in which a question meets them; an answer meets those that change it the other way round.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) nsid: Option<Nsid>,
    pub(crate) local: Option<Local>,
    pub(crate) dns64: Option<Dns64>,
    /// Whether ANY gets one record instead of all (RFC 8482).
    pub(crate) minimises_any: bool,
    pub(crate) chaos: Option<Chaos>,
    pub(crate) rewrites: Option<Rewrites>,
    pub(crate) acls: Option<Acls>,
    pub(crate) headers: Option<Headers>,
    pub(crate) autopath: Option<Autopath>,
    pub(crate) is_minimal: bool,
    /// Of what the next ones say; `None`: any TTL.
    pub(crate) longest: Option<Longest>,
    pub(crate) templates: Option<Templates>,
    pub(crate) transfers: Option<Transfers>,
    pub(crate) hosts: Option<Arc<Hosts>>,
    /// Whether clients are told their own address where nobody has an answer.
    pub(crate) tells_clients: bool,
}

impl Parts {
    /// Those of a block; `None`: it has none.
    ///
    /// # Errors
    /// A file that one of them names cannot be read.
    pub(super) fn of(block: &plan::Block, host: &str) -> io::Result<Option<Self>> {
        let knows_list = |search: &SearchList| matches!(search, SearchList::File(_)) || block.knows_pods();
        let autopath = block.autopath.as_ref().filter(|autopath| knows_list(&autopath.search));
        let autopath = autopath.map(|autopath| Autopath::new(autopath, &System)).transpose();
        let parts = Self {
            nsid: block.nsid.as_ref().map(|name| Nsid::new(name, host)),
            local: block.local,
            dns64: block.dns64.as_ref().map(Dns64::new),
            minimises_any: block.any.is_some(),
            chaos: block.chaos.as_ref().map(|chaos| Chaos::new(chaos, host)),
            rewrites: (!block.rewrites.is_empty()).then(|| Rewrites::new(&block.rewrites)),
            acls: (!block.acls.is_empty()).then(|| Acls::new(&block.acls)),
            autopath: autopath.map_err(|error| block.not_had("autopath", 0, format!("autopath: {error}")))?,
            headers: block.header.as_ref().map(Headers::new),
            is_minimal: block.minimal.is_some(),
            longest: block.cache.as_ref().map(Longest::of),
            templates: (!block.templates.is_empty()).then(|| Templates::new(&block.templates)),
            transfers: (!block.transfers.is_empty()).then(|| Transfers::new(&block.transfers)),
            hosts: block.hosts.as_ref().map(|hosts| Arc::new(Hosts::new(hosts))),
            tells_clients: block.whoami.is_some(),
        };
        Ok(parts.is_any().then_some(parts))
    }

    fn is_any(&self) -> bool {
        let Self {
            nsid,
            local,
            dns64,
            minimises_any,
            chaos,
            rewrites,
            acls,
            headers,
            autopath,
            is_minimal,
            longest: _,
            templates,
            transfers,
            hosts,
            tells_clients,
        } = self;
        nsid.is_some()
            || local.is_some()
            || dns64.is_some()
            || *minimises_any
            || chaos.is_some()
            || rewrites.is_some()
            || acls.is_some()
            || headers.is_some()
            || autopath.is_some()
            || *is_minimal
            || templates.is_some()
            || transfers.is_some()
            || hosts.is_some()
            || *tells_clients
    }
}
