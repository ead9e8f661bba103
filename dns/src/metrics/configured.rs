//! What is served now, as the plan has it: which plugins where, its digest, how many hosts. Read when it is asked for.

use super::family::{self, CONFIGURED, Family};
use crate::part::hosts::Hosts;
use crate::plan::Zone;
use crate::serving::At;
use arc_swap::ArcSwap;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a server does, by the words of a Corefile.
#[derive(Debug, Default)]
pub(crate) struct Configured {
    pub(crate) enabled: Vec<Enabled>,
    /// SHA-512 of the Corefile as it was understood, in hexadecimal; `None`: there is none.
    pub(crate) digest: Option<String>,
    pub(crate) hosts: Vec<Arc<Hosts>>,
}

/// A plugin that takes part in answers for a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Enabled {
    /// As `dns://:53`.
    pub(crate) server: String,
    /// With the dot at the end.
    pub(crate) zone: String,
    pub(crate) plugin: String,
}

impl Enabled {
    pub(crate) fn new(at: At, zone: &Zone, plugin: &str) -> Self {
        Self { server: at.to_string(), zone: zone.absolute(), plugin: plugin.to_owned() }
    }
}

/// Collects what is served now.
#[derive(Debug)]
pub(super) struct ConfiguredCollector {
    now: Arc<ArcSwap<Configured>>,
    descriptions: Vec<Desc>,
}

impl ConfiguredCollector {
    pub(super) fn new(now: Arc<ArcSwap<Configured>>) -> prometheus::Result<Self> {
        Ok(Self { now, descriptions: Family::descriptions(CONFIGURED)? })
    }
}

impl Collector for ConfiguredCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Configured { enabled, digest, hosts } = &**self.now.load();
        let enabled = enabled.iter().map(|Enabled { server, zone, plugin }| {
            family::COREDNS_PLUGIN_ENABLED.sample(&[server, zone, "", plugin], 1.0)
        });
        let digest = digest.iter().map(|digest| family::COREDNS_RELOAD_VERSION.sample(&["sha512", digest], 1.0));
        let mut entries = BTreeMap::new();
        hosts.iter().for_each(|hosts| *entries.entry(hosts.file()).or_insert(0) += hosts.entries());
        let entries = entries
            .iter()
            .map(|(file, count)| family::COREDNS_HOSTS_ENTRIES.sample(&[&file.to_string_lossy()], *count as f64));
        let changed = hosts.iter().map(|hosts| hosts.changed()).max().unwrap_or_default();
        let changed = hosts.first().map(|_| family::COREDNS_HOSTS_CHANGED.sample(&[], changed as f64 / 1e9));
        let families = [
            family::COREDNS_PLUGIN_ENABLED.of(enabled.collect()),
            family::COREDNS_RELOAD_VERSION.of(digest.collect()),
            family::COREDNS_HOSTS_ENTRIES.of(entries.collect()),
            family::COREDNS_HOSTS_CHANGED.of(changed.into_iter().collect()),
        ];
        families.into_iter().flatten().collect()
    }
}
