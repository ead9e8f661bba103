//! What answers for some zones: the cluster's names where it has them, and who is asked for others.

use super::Parts;
use crate::answer::{Zone, ZoneSettings};
use crate::cache::Longest;
use crate::forward::Forwarder;
use crate::name::LowerName;
use crate::transfer::Secondary;
use crate::written::{Errors, Queries};
use config::{DomainName, NameTable};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// A server block at work.
#[derive(Debug)]
pub(crate) struct Block {
    /// `None`: it knows no names of the cluster.
    pub(crate) records: Option<Records>,
    pub(crate) forwarder: Arc<Forwarder>,
    /// The most that it sends over UDP, whatever a client takes; bytes.
    pub(crate) most_over_udp: u16,
    /// How long an answer may be waited for in all; `None`: as long as it takes.
    pub(crate) patience: Option<Duration>,
    /// What is written about answers; `None`: nothing is.
    pub(crate) queries: Option<Queries>,
    /// What is written about failures; `None`: nothing is.
    pub(crate) errors: Option<Arc<Errors>>,
    /// Whether addresses take turns in answers that are not from the cluster's table, where they always do.
    pub(crate) balances: bool,
    /// `None`: there are none.
    pub(crate) parts: Option<Box<Parts>>,
}

impl Block {
    /// What flags alone make of it, by the words of a Corefile.
    pub(super) fn plugins(&self) -> impl Iterator<Item = &'static str> {
        let all = [
            ("loadbalance", self.balances),
            ("kubernetes", self.records.is_some()),
            ("cache", self.forwarder.keeps_answers()),
            ("forward", self.forwarder.has_upstreams()),
        ];
        all.into_iter().filter_map(|(plugin, is_there)| is_there.then_some(plugin))
    }

    /// Those who are told of changes of its zones.
    pub(super) fn secondaries(&self) -> Vec<Secondary> {
        let transfers = self.parts.as_ref().and_then(|parts| parts.transfers.as_ref());
        let (Some(transfers), Some(Records { settings, unknown, .. })) = (transfers, &self.records) else {
            return Vec::new();
        };
        let told = settings.subjects(unknown.zone()).filter_map(|(zone, _)| {
            let zone = LowerName::of(zone)?;
            let secondary = |to: &SocketAddr| Secondary { zone: zone.suffix(0).into(), to: *to };
            Some(transfers.secondaries(&zone).iter().map(secondary).collect::<Vec<_>>())
        });
        told.flatten().collect()
    }
}

/// The cluster's names as one block tells them.
#[derive(Debug)]
pub(crate) struct Records {
    pub(crate) settings: ZoneSettings,
    /// What stands in for the table until there is one; its zone is the one that addresses lead to.
    pub(crate) unknown: NameTable,
    /// Whether nobody else has a say about names of its zones: no other part of the block, and no other block.
    pub(crate) is_alone: bool,
    /// `None`: their TTLs are no longer than that anyway.
    pub(crate) longest: Option<Longest>,
}

impl Records {
    /// Whether the name is answered by a zone of external addresses; `table`: what is known, if anything is.
    pub(crate) fn has_external(&self, table: Option<&NameTable>, name: &LowerName) -> bool {
        let zone = || Zone::new(table.unwrap_or(&self.unknown), &self.settings, None);
        self.settings.external.is_some() && zone().has_external(name)
    }

    /// `zone`: the one that addresses lead to.
    pub(crate) fn new(settings: ZoneSettings, zone: DomainName) -> Self {
        Self { settings, unknown: NameTable::new(zone), is_alone: true, longest: None }
    }
}
