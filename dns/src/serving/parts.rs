//! What a block has besides the cluster's names and others to ask: rare, and looked at only where there is any.

use crate::part::acl::Acls;
use crate::part::chaos::Chaos;
use crate::part::header::Headers;
use crate::part::hosts::Hosts;
use crate::part::nsid::Nsid;
use crate::part::template::Templates;
use crate::plan;
use std::sync::Arc;

/// The parts, in the order in which a question meets them; an answer meets those that change it the other way round.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) nsid: Option<Nsid>,
    pub(crate) is_local: bool,
    pub(crate) acls: Option<Acls>,
    /// Whether ANY gets one record instead of all (RFC 8482).
    pub(crate) minimises_any: bool,
    pub(crate) chaos: Option<Chaos>,
    pub(crate) headers: Option<Headers>,
    pub(crate) is_minimal: bool,
    pub(crate) templates: Option<Templates>,
    pub(crate) hosts: Option<Arc<Hosts>>,
    /// Whether clients are told their own address where nobody has an answer.
    pub(crate) tells_clients: bool,
}

impl Parts {
    /// Those of a block; `None`: it has none.
    pub(super) fn of(block: &plan::Block, host: &str) -> Option<Self> {
        let parts = Self {
            nsid: block.nsid.as_ref().map(|name| Nsid::new(name, host)),
            is_local: block.local.is_some(),
            acls: (!block.acls.is_empty()).then(|| Acls::new(&block.acls)),
            minimises_any: block.any.is_some(),
            chaos: block.chaos.as_ref().map(|chaos| Chaos::new(chaos, host)),
            headers: block.header.as_ref().map(Headers::new),
            is_minimal: block.minimal.is_some(),
            templates: (!block.templates.is_empty()).then(|| Templates::new(&block.templates)),
            hosts: block.hosts.as_ref().map(|hosts| Arc::new(Hosts::new(hosts))),
            tells_clients: block.whoami.is_some(),
        };
        parts.is_any().then_some(parts)
    }

    fn is_any(&self) -> bool {
        let Self { nsid, is_local, acls, minimises_any, chaos, headers, is_minimal, templates, hosts, tells_clients } =
            self;
        nsid.is_some()
            || *is_local
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
