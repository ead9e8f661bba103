//! `transfer`: who may have whole zones (RFC 5936).

use super::address::with_port;
use super::item::Item;
use super::print::Printed;
use super::reading::Reading;
use super::zone::Zone;
use crate::corefile::PlanError;
use std::cmp::Reverse;
use std::net::SocketAddr;

#[derive(Debug, Clone)]
pub(crate) struct Transfer {
    pub(crate) zones: Vec<Zone>,
    /// Whether everybody may.
    pub(crate) is_open: bool,
    /// Who may, and is told of changes (NOTIFY, RFC 1996) at that port.
    pub(crate) to: Vec<SocketAddr>,
}

impl Transfer {
    pub(super) fn read(item: Item<'_>, reading: &mut Reading<'_>, block: &[Zone]) -> Result<Self, PlanError> {
        let zones = item.zones_or(item.arguments(), block)?;
        let mut transfer = Self { zones, is_open: false, to: Vec::new() };
        let mut is_named = false;
        item.options(reading, |_, option| {
            if option.name() != "to" {
                return Err(option.unknown(&["to"]));
            }
            is_named = true;
            for word in option.some("addresses, or *")? {
                if word.as_str() == "*" {
                    transfer.is_open = true;
                    continue;
                }
                let wrong = || option.error(format!("{:?} is no address", word.text));
                transfer.to.push(with_port(word.as_str(), 53).ok_or_else(wrong)?);
            }
            Ok(())
        });
        if is_named || !item.body().is_empty() {
            Ok(transfer)
        } else {
            Err(item.error("does not say to whom; it takes to ADDRESS..."))
        }
    }

    /// The one that is for a zone, with its place among these: that with the longest zone which the name, in wire form and
    /// lower case, is in; the first of equals, as in CoreDNS (`longestMatch`).
    pub(crate) fn for_zone<'t>(transfers: &'t [Self], name: &[u8]) -> Option<(usize, &'t Self)> {
        let all = transfers.iter().enumerate();
        let zones = all.flat_map(|(nth, transfer)| transfer.zones.iter().map(move |zone| (zone, (nth, transfer))));
        let held = zones.filter(|(zone, _)| zone.holds(name));
        held.min_by_key(|(zone, _)| Reverse(zone.label_count())).map(|(_, found)| found)
    }

    pub(super) fn printed(&self) -> Printed {
        let everybody = self.is_open.then(|| "*".to_owned());
        let to = everybody.into_iter().chain(self.to.iter().map(ToString::to_string));
        Printed::new("transfer").words(&self.zones).list("to", to)
    }
}
