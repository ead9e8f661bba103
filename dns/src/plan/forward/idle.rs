//! What a `forward` says that changes nothing beside the rest of it.

use super::{Forward, Protocol, Upstream};
use crate::corefile::Note;
use crate::plan::block::Block;
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
        if self.to.iter().all(Upstream::is_tls) {
            told("force_tcp", "all upstreams are tls://");
            told("prefer_udp", "all upstreams are tls://");
        } else if self.protocol == Protocol::Tcp {
            told("prefer_udp", "force_tcp counts");
        }
        let is_used = |is_ipv4| self.to.iter().any(|upstream| upstream.may_be(is_ipv4));
        match self.source_address.map(|own| own.is_ipv4()) {
            Some(true) if !is_used(true) => told("source_address", "no upstream has an address of IPv4"),
            Some(false) if !is_used(false) => told("source_address", "no upstream has an address of IPv6"),
            _ => {}
        }
    }

    /// Whether it is the last that is asked for any name of this zone.
    pub(in crate::plan) fn takes_all_of(&self, zone: &Zone) -> bool {
        let is_whole = !self.except.iter().any(|except| except.meets(zone));
        self.from.contains(zone) && is_whole && !self.may_ask_next()
    }

    /// Whether every name of some zones, of which there is one, is left out.
    pub(in crate::plan) fn leaves_out_all(&self, zones: &[&Zone]) -> bool {
        !zones.is_empty() && zones.iter().all(|zone| self.except.iter().any(|except| except.contains(zone)))
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

/// Tells of `next` with none after it that is for such names.
pub(in crate::plan) fn tell_idle_next(block: &Block, reading: &mut Reading<'_>) {
    for (nth, forward) in block.forwards.iter().enumerate() {
        let mut after = block.forwards.iter().skip(nth + 1);
        if forward.may_ask_next() && !after.any(|other| other.from.meets(&forward.from)) {
            let message = "next and next_on_nodata change nothing: no forward after it is for such names";
            reading.notes.push(block.note_of(("forward", nth), message));
        }
    }
}
