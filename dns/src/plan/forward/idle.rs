//! What a `forward` says that changes nothing beside the rest of it.

use super::{Forward, Upstream};
use crate::plan::item::Item;
use crate::plan::reading::Reading;
use crate::plan::zone::Zone;
use std::collections::BTreeMap;

impl Forward {
    /// Tells of options, each of which is among those that were `written`.
    pub(super) fn tell_idle(&self, written: &BTreeMap<&str, Item<'_>>, reading: &mut Reading<'_>) {
        let mut told = |name: &str, message: &str| {
            if let Some(option) = written.get(name) {
                reading.note(*option, format!("changes nothing: {message}"));
            }
        };
        if !self.to.iter().any(|upstream| matches!(upstream, Upstream::Host { .. })) {
            told("resolver", "no upstream is a name");
        }
        let is_used = |is_ipv4| self.to.iter().any(|upstream| upstream.may_be(is_ipv4));
        match self.source_address.map(|own| own.is_ipv4()) {
            Some(true) if !is_used(true) => told("source_address", "no upstream has an address of IPv4"),
            Some(false) if !is_used(false) => told("source_address", "no upstream has an address of IPv6"),
            _ => {}
        }
    }

    /// Tells of zones that are left out though none of their names is forwarded; `block`: the zones of the block.
    pub(super) fn tell_idle_exceptions(
        &self,
        option: Item<'_>,
        reading: &mut Reading<'_>,
        (zones, block): (&[Zone], &[Zone]),
    ) {
        for zone in zones {
            let is_asked = block.iter().any(|own| own.meets(zone) && own.meets(&self.from));
            if !is_asked || !self.from.meets(zone) {
                reading.note(option, format!("{zone} changes nothing: no such name would be forwarded"));
            }
        }
    }
}
