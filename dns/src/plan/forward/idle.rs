//! What a `forward` says that changes nothing beside the rest of it.

use super::{Forward, Upstream};
use crate::corefile::Note;
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

    /// Tells of zones that are left out though none of their names would be forwarded; `is_asked`: whether any name of a
    /// zone comes to the block's parts.
    pub(in crate::plan) fn tell_idle_exceptions(&self, reading: &mut Reading<'_>, is_asked: impl Fn(&Zone) -> bool) {
        for (zone, place) in self.except.iter().zip(&self.except_places) {
            let both = if self.from.contains(zone) { zone } else { &self.from };
            if !self.from.meets(zone) || !is_asked(both) {
                let message = format!("{zone} changes nothing: no such name would be forwarded");
                let (place, subject) = (place.clone(), "forward: except".to_owned());
                reading.notes.push(Note { place, subject, message, is_missing: false });
            }
        }
    }
}
