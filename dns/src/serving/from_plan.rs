//! From a plan to what is served.

use super::addresses::{Place, places};
use super::{At, Block, Clocks, Forwarders, Parts, Records, Secured, Serving, Site};
use crate::answer::{ExternalZones, Fallthrough, PodNames, ReverseZones, ZoneSettings};
use crate::cache::Longest;
use crate::metrics::{Configured, Enabled, Metrics};
use crate::plan::{self, BindTo, Plan, Timeouts, Transport, Zone};
use crate::question::MAX_UDP;
use crate::written::{Errors, Queries};
use config::{DnsCompatibility, DomainName};
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

impl Serving {
    /// What a plan says. `compatibility`: whose mistakes are kept; `forwarders`: those of
    /// the plan before.
    ///
    /// # Errors
    /// Something that the plan names cannot be had: an interface, a file.
    pub(crate) fn of(
        plan: &Plan,
        compatibility: DnsCompatibility,
        (forwarders, metrics): (&Forwarders, &Metrics),
    ) -> io::Result<Self> {
        let all = plan.blocks();
        let blocks =
            all.iter().map(|block| Block::of((block, all), compatibility, (forwarders, metrics)).map(Arc::new));
        let blocks = blocks.collect::<io::Result<Vec<_>>>()?;
        let mut sites: BTreeMap<At, Vec<(Zone, Arc<Block>)>> = BTreeMap::new();
        let mut sharing: BTreeMap<At, BTreeMap<usize, &plan::Block>> = BTreeMap::new();
        let mut enabled = Vec::new();
        for Place { at, zone, index, block: planned } in places(plan)? {
            let Some(block) = blocks.get(index) else { continue };
            enabled.extend(planned.answering().map(|plugin| Enabled::new(at, zone, plugin)));
            sharing.entry(at).or_default().insert(index, planned);
            sites.entry(at).or_default().push((zone.clone(), Arc::clone(block)));
        }
        let site = |(at, zones)| {
            let sharing: Vec<_> = sharing.get(&at).into_iter().flat_map(BTreeMap::values).copied().collect();
            Ok(Site { clocks: clocks(&sharing), secured: secured(at, &sharing)?, ..Site::new(at, zones, metrics) })
        };
        let sites = sites.into_iter().map(site).collect::<io::Result<_>>()?;
        let hosts = blocks.iter().filter_map(|block| block.parts.as_ref()?.hosts.clone()).collect();
        let configured = Arc::new(Configured { enabled, digest: Some(digest(plan)), hosts });
        Ok(Self { sites, blocks, configured, watches: Mutex::default() })
    }
}

/// How long clients of an address may take, by what the blocks there say, in the order of the file.
fn clocks(sharing: &[&plan::Block]) -> Clocks {
    let said = sharing.iter().filter_map(|block| block.timeouts);
    said.fold(Timeouts::default(), |before, later| later.or(before)).into()
}

/// How connections to an address are secured, by what the blocks there say; `None`: they are not.
fn secured(at: At, sharing: &[&plan::Block]) -> io::Result<Option<Arc<Secured>>> {
    let mut all = sharing.iter().filter_map(|block| Some((block, block.tls.as_ref()?)));
    let Some((first, tls)) = all.next().filter(|_| at.transport != Transport::Dns) else { return Ok(None) };
    if let Some((block, _)) = all.find(|(_, other)| *other != tls) {
        return Err(io::Error::other(block.secured_otherwise(first, at)));
    }
    let secured = Secured::new(tls, at.transport).map_err(|error| first.not_had("tls", 0, error))?;
    Ok(Some(Arc::new(secured)))
}

impl Block {
    fn of(
        (block, all): (&plan::Block, &[plan::Block]),
        compatibility: DnsCompatibility,
        (forwarders, metrics): (&Forwarders, &Metrics),
    ) -> io::Result<Self> {
        let parts = Parts::of(block, &host())?.map(Box::new);
        if let Some(hosts) = parts.as_ref().and_then(|parts| parts.hosts.as_ref()) {
            hosts.look();
        }
        let bound = block.binds.iter().flat_map(|bind| &bind.to).filter_map(|to| match to {
            BindTo::Address(ip) => Some(*ip),
            BindTo::Interface(_) => None,
        });
        let records = block.kubernetes.as_ref().map(|kubernetes| Records {
            is_alone: is_alone(kubernetes, block, all),
            longest: block.cache.as_ref().map(Longest::of).filter(|longest| {
                let external = block.external.as_ref().map(|external| external.ttl);
                longest.is_below(external.map_or(kubernetes.ttl, |ttl| ttl.max(kubernetes.ttl)))
            }),
            ..Records::of((kubernetes, block.external.as_ref()), bound, compatibility)
        });
        Ok(Self {
            records,
            forwarder: forwarders.of(block, metrics)?,
            most_over_udp: block.bufsize.unwrap_or(MAX_UDP),
            patience: block.cancel,
            queries: Queries::of(&block.logs, block.metadata.as_deref()),
            errors: block.errors.as_ref().map(|errors| Arc::new(Errors::new(errors))),
            balances: block.loadbalance.is_some(),
            parts,
        })
    }
}

/// Whether nobody else has a say about the names of these zones: no other part of their block, and none of all blocks.
fn is_alone(kubernetes: &plan::Kubernetes, own: &plan::Block, all: &[plan::Block]) -> bool {
    let plan::Block { acls, rewrites, templates, hosts, .. } = own;
    let of_external = own.external.iter().flat_map(|external| &external.zones);
    let domains = || kubernetes.zones.iter().chain(of_external.clone()).filter(|zone| !zone.is_reverse());
    let external_falls = own.external.iter().flat_map(|external| &external.fallthrough.0);
    let mut others = all.iter().filter(|other| !std::ptr::eq(*other, own));
    // Labels of the longest zone of a block that one is in.
    let longest = |block: &plan::Block, zone: &Zone| {
        let around = block.zones().into_iter().filter(|other| other.contains(zone));
        around.map(|other| other.label_count()).max()
    };
    let is_own = |zone: &Zone| longest(own, zone).is_some();
    let takes = |other: &plan::Block, zone: &Zone| {
        longest(other, zone) > longest(own, zone) || other.zones().iter().any(|theirs| zone.contains(theirs))
    };
    acls.is_empty()
        && rewrites.is_empty()
        && templates.is_empty()
        && hosts.is_none()
        && kubernetes.fallthrough.0.iter().chain(external_falls).all(Zone::is_reverse)
        && domains().all(is_own)
        && !others.any(|other| domains().any(|zone| takes(other, zone)))
}

impl Records {
    fn of(
        (kubernetes, external): (&plan::Kubernetes, Option<&plan::External>),
        bound: impl Iterator<Item = IpAddr>,
        compatibility: DnsCompatibility,
    ) -> Self {
        // Addresses lead to names of the cluster first.
        let mut domains = kubernetes.domains(false).chain(kubernetes.domains(true)).cloned();
        // There is one: the plan is refused otherwise.
        let primary = domains.next().unwrap_or_else(DomainName::cluster_local);
        let ranges = kubernetes.zones.iter().filter_map(Zone::range);
        let plan::Kubernetes { pods, ttl, exposed, fallthrough, .. } = kubernetes;
        let settings = ZoneSettings {
            ttl: *ttl,
            pods: match pods {
                plan::Pods::Disabled => PodNames::Disabled,
                plan::Pods::Insecure => PodNames::Insecure,
                plan::Pods::Verified => PodNames::Verified,
            },
            primary: Some(primary.clone()),
            zones: domains.collect(),
            multicluster: domains_of(&kubernetes.multicluster),
            reverse: ReverseZones::Ranges(ranges.collect::<Vec<IpNet>>()),
            fallthrough: left_to_others(fallthrough),
            namespaces: match exposed {
                plan::Exposed::Named(names) => {
                    Some(names.iter().map(|name| name.to_ascii_lowercase().into()).collect())
                }
                plan::Exposed::All | plan::Exposed::Labelled(_) => None,
            },
            only_declared: matches!(exposed, plan::Exposed::Labelled(_)),
            hides_empty: kubernetes.ignores_empty_services,
            hides_endpoints: kubernetes.no_endpoints,
            is_zonal: kubernetes.zonal,
            names_pods: kubernetes.endpoint_pod_names,
            compatibility,
            bound: Vec::new(),
            external: external.map(|external| Box::new(external_zones(external))),
        };
        Self::new(settings.bound_to(bound), primary)
    }
}

fn external_zones(external: &plan::External) -> ExternalZones {
    ExternalZones {
        zones: external.domains().cloned().collect(),
        reverse: external.zones.iter().filter_map(Zone::range).collect(),
        apex: external.apex.as_str().into(),
        ttl: external.ttl,
        has_endpoints: external.headless,
        fallthrough: left_to_others(&external.fallthrough),
    }
}

fn domains_of(zones: &[Zone]) -> Vec<DomainName> {
    zones.iter().filter_map(Zone::domain).cloned().collect()
}

fn left_to_others(fallthrough: &plan::Fallthrough) -> Fallthrough {
    match &fallthrough.0[..] {
        [] => Fallthrough::Nothing,
        zones if zones.contains(&Zone::root()) => Fallthrough::Everything,
        zones => Fallthrough::Zones(zones.to_vec()),
    }
}

/// SHA-512 of a plan as it is printed, in hexadecimal: where it is the same, so is what is served.
fn digest(plan: &Plan) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA512, plan.to_string().as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The name of this machine, as those are told it that ask.
fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corefile::System;

    /// The zones of a `kubernetes` with these arguments, the first one that which addresses lead to; those of them that
    /// are of several clusters; and how many ranges have names.
    fn zones(arguments: &str) -> (Vec<String>, Vec<String>, usize) {
        let text = format!(".:53 {{\n kubernetes {arguments} {{\n multicluster clusterset.local\n }}\n}}\n");
        let (plan, _) = Plan::from_corefile(&text, "Corefile", &System).expect("a good Corefile");
        let kubernetes = plan.blocks()[0].kubernetes.as_ref().expect("it is there");
        let settings = Records::of((kubernetes, None), [].into_iter(), DnsCompatibility::Standard).settings;
        let ReverseZones::Ranges(ranges) = settings.reverse else { panic!("a Corefile names ranges") };
        let texts = |zones: &[DomainName]| zones.iter().map(ToString::to_string).collect::<Vec<_>>();
        let all: Vec<_> = settings.primary.into_iter().chain(settings.zones).collect();
        (texts(&all), texts(&settings.multicluster), ranges.len())
    }

    #[test]
    fn each_clock_of_an_address_is_that_of_the_last_block_that_says_it() {
        let text = "a.b.org {\n bind 127.0.0.1\n timeouts {\n read 7s\n write 8s\n maxtcpqueries 9\n }\n}\n\
                    b.org {\n bind 127.0.0.1 127.0.0.2\n whoami\n}\n\
                    . {\n bind lo\n timeouts {\n read 1m\n maxtcpqueries -1\n }\n}\n";
        let (plan, _) = Plan::from_corefile(text, "Corefile", &System).expect("a good Corefile");
        let metrics = Metrics::new(&prometheus::Registry::new()).expect("names of metrics");
        let serving = Serving::of(&plan, DnsCompatibility::Standard, (&Forwarders::default(), &metrics));
        let serving = serving.expect("nothing is missing");
        let clocks = |address: &str| {
            let at = At { transport: Transport::Dns, address: address.parse().expect("an address") };
            serving.site(at).map(|site| site.clocks)
        };
        let [read, write] = [60, 8].map(std::time::Duration::from_secs);
        assert_eq!(clocks("127.0.0.1:53"), Some(Clocks { read, write, ..Clocks::default() }));
        assert_eq!(clocks("127.0.0.2:53"), Some(Clocks::default()));
    }

    #[test]
    fn addresses_lead_to_names_of_the_cluster_first_wherever_its_zone_stands() {
        let several = vec!["clusterset.local".to_owned()];
        let both = vec!["cluster.local".to_owned(), "clusterset.local".to_owned()];
        for arguments in ["clusterset.local cluster.local 10.0.0.0/8", "cluster.local clusterset.local 10.0.0.0/8"] {
            assert_eq!(zones(arguments), (both.clone(), several.clone(), 1), "{arguments}");
        }
        // Without one they lead to those of several clusters alone.
        assert_eq!(zones("clusterset.local 10.0.0.0/8"), (several.clone(), several, 1));
    }
}
