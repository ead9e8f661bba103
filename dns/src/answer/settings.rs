//! What the zone's answers hold besides the table.

use super::PodNames;
use crate::name::LowerName;
use crate::plan::Zone;
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
    /// Zones for those outside of the cluster; `None`: there are none.
    pub external: Option<Box<ExternalZones>>,
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
            external: None,
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

    /// Each zone whose names are Services, that which addresses lead to first, with what it has of them; `of_table`: the
    /// table's own zone.
    pub(crate) fn subjects<'s>(
        &'s self,
        of_table: &'s DomainName,
    ) -> impl Iterator<Item = (&'s DomainName, Subject<'s>)> {
        let own = std::iter::once(self.primary.as_ref().unwrap_or(of_table)).chain(&self.zones);
        let external =
            self.external.iter().flat_map(|external| external.zones.iter().map(move |zone| (zone, external)));
        let own = own.map(|zone| match self.multicluster.contains(zone) {
            true => (zone, Subject::Clusters),
            false => (zone, Subject::Cluster),
        });
        own.chain(external.map(|(zone, external)| (zone, Subject::External(external))))
    }

    /// Whether the names of this namespace are told. As a rule all are, which costs nothing to find out.
    pub(super) fn exposes(&self, namespace: &str, table: &NameTable) -> bool {
        self.namespaces.as_ref().is_none_or(|exposed| exposed.contains(namespace))
            && (!self.only_declared || table.declares(namespace))
    }
}

/// Zones with the cluster's Services by their external addresses (CoreDNS's `k8s_external`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalZones {
    /// The zones, of which addresses lead to the first one.
    pub zones: Vec<DomainName>,
    /// The external addresses whose names are answered here.
    pub reverse: Vec<IpNet>,
    /// The label below which the zone's name server is, `ns1`; in lower case.
    pub apex: Arc<str>,
    /// How long a client may keep a record; seconds.
    pub ttl: u32,
    /// Whether endpoints of Services without external addresses have names too, and headless Services stand for theirs.
    pub has_endpoints: bool,
    /// Names that do not exist here but may elsewhere.
    pub fallthrough: Fallthrough,
}

/// What a zone has of Services.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Subject<'s> {
    /// Those of the cluster.
    Cluster,
    /// Those of several clusters.
    Clusters,
    /// The external addresses of those of the cluster.
    External(&'s ExternalZones),
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
    Zones(Vec<Zone>),
    /// All.
    Everything,
}

impl Fallthrough {
    pub(super) fn takes(&self, name: &LowerName) -> bool {
        match self {
            Self::Nothing => false,
            Self::Zones(zones) => zones.iter().any(|zone| zone.holds_name(name)),
            Self::Everything => true,
        }
    }
}
