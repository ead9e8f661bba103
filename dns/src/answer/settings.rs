//! What the zone's answers hold besides the table.

use super::PodNames;
use crate::name::LowerName;
use config::{DnsCompatibility, DomainName, NameTable};
use ipnet::IpNet;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

/// What the answers hold besides the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneSettings {
    /// How long a client may keep a record; seconds.
    pub ttl: u32,
    /// Which Pods have names.
    pub pods: PodNames,
    /// The zone that addresses of the cluster lead to; `None`: the table's own. Those that the cluster has no name for lead
    /// to the first one of `multicluster`.
    pub primary: Option<DomainName>,
    /// Other zones with the same names.
    pub zones: Vec<DomainName>,
    /// Those of all these zones whose names are Services of several clusters (KEP-1645, CoreDNS's `multicluster`).
    pub multicluster: Vec<DomainName>,
    /// The addresses whose names are answered here.
    pub reverse: ReverseZones,
    /// Names that do not exist here but may elsewhere.
    pub fallthrough: Fallthrough,
    /// The namespaces whose names are told, in lower case; `None`: all.
    pub namespaces: Option<BTreeSet<Arc<str>>>,
    /// Whether only namespaces that have an object have names: where labels choose among the objects (CoreDNS's
    /// `namespace_labels`).
    pub only_declared: bool,
    /// Whether a Service without a ready endpoint has no names (CoreDNS's `ignore empty_service`).
    pub hides_empty: bool,
    /// Whether endpoints have no names, and so headless Services have none (CoreDNS's `noendpoints`).
    pub hides_endpoints: bool,
    /// Whether headless Services have names by topology zone (CoreDNS's `zonal`).
    pub is_zonal: bool,
    /// Whether endpoints without a host name are known by their Pod's name (CoreDNS's `endpoint_pod_names`).
    pub names_pods: bool,
    /// Whose mistakes are kept.
    pub compatibility: DnsCompatibility,
    /// Where the zone's name server is found besides the address that is asked; see [`Self::bound_to`].
    pub bound: Vec<IpAddr>,
}

/// CoreDNS's own TTL of 5 s, and Pod names as kubeadm sets them.
impl Default for ZoneSettings {
    fn default() -> Self {
        Self {
            ttl: 5,
            pods: PodNames::Insecure,
            primary: None,
            zones: Vec::new(),
            multicluster: Vec::new(),
            reverse: ReverseZones::default(),
            fallthrough: Fallthrough::default(),
            namespaces: None,
            only_declared: false,
            hides_empty: false,
            hides_endpoints: false,
            is_zonal: false,
            names_pods: false,
            compatibility: DnsCompatibility::default(),
            bound: Vec::new(),
        }
    }
}

impl ZoneSettings {
    /// The same of a server that is bound to these addresses, of which others reach those that are of one host alone, or
    /// of one link, not from everywhere.
    #[must_use]
    pub fn bound_to(self, addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        let is_of_link = |ip: &IpAddr| match ip {
            IpAddr::V4(ip) => ip.is_link_local(),
            IpAddr::V6(ip) => ip.is_unicast_link_local(),
        };
        let is_told = |ip: &IpAddr| !ip.is_unspecified() && !ip.is_loopback() && !is_of_link(ip);
        Self { bound: addresses.into_iter().filter(is_told).collect(), ..self }
    }

    /// Whether the names of this namespace are told. As a rule all are, which costs nothing to find out.
    pub(super) fn exposes(&self, namespace: &str, table: &NameTable) -> bool {
        self.namespaces.as_ref().is_none_or(|exposed| exposed.contains(namespace))
            && (!self.only_declared || table.declares(namespace))
    }
}

/// Which addresses have names here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ReverseZones {
    /// Those that a Service's own address shows to be the cluster's.
    #[default]
    Shown,
    /// All in these ranges; a zone ends at a whole octet, or nibble, at or below the range's length.
    Ranges(Vec<IpNet>),
}

/// Which names are left to others where they do not exist here (CoreDNS's `fallthrough`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Fallthrough {
    /// None: what does not exist here does not exist.
    #[default]
    Nothing,
    /// Those in these zones.
    Zones(Vec<DomainName>),
    /// All.
    Everything,
}

impl Fallthrough {
    pub(super) fn takes(&self, name: &LowerName) -> bool {
        match self {
            Self::Nothing => false,
            Self::Zones(zones) => zones.iter().any(|zone| name.depth_below(zone).is_some()),
            Self::Everything => true,
        }
    }
}
