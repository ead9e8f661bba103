//! `autopath`: the search list of a client, walked on its behalf.

use super::item::Item;
use super::print::Printed;
use super::reading::{NO_START, Reading};
use super::zone::Zone;
use crate::corefile::PlanError;

#[derive(Debug, Clone)]
pub(crate) struct Autopath {
    /// Names that it is done for.
    pub(crate) zones: Vec<Zone>,
    pub(crate) search: SearchList,
}

/// Where the search list comes from.
#[derive(Debug, Clone)]
pub(crate) enum SearchList {
    /// The namespace of the Pod that asks.
    Pod,
    /// The `search` line of a resolv.conf(5).
    File(String),
}

impl Autopath {
    pub(super) fn read(item: Item<'_>, reading: &mut Reading<'_>, block: &[Zone]) -> Result<Self, PlanError> {
        item.no_body()?;
        let [zones @ .., search] = item.some("@kubernetes, or a file with a search list")? else {
            return Err(item.error("takes @kubernetes, or a file with a search list"));
        };
        let search = match search.text.strip_prefix('@') {
            Some("kubernetes") => SearchList::Pod,
            Some(other) => return Err(item.error(format!("@{other} is not supported; @kubernetes is"))),
            None => {
                reading.needs_resolv_conf(item, search.as_str(), NO_START);
                SearchList::File(search.as_str().to_owned())
            }
        };
        Ok(Self { zones: item.zones_or(zones, block)?, search })
    }

    pub(super) fn printed(&self) -> Printed {
        let printed = Printed::new("autopath").words(&self.zones);
        match &self.search {
            SearchList::Pod => printed.word("@kubernetes"),
            SearchList::File(path) => printed.word(path),
        }
    }
}
