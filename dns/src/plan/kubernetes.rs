//! `kubernetes`: the zones of the cluster, and how their names are made.

use super::item::{Item, name_of};
use super::print::Printed;
use super::question::Fallthrough;
use super::reading::Reading;
use super::selector;
use super::zone::Zone;
use crate::corefile::PlanError;
use config::{DomainName, LabelSelector};

#[derive(Debug, Clone)]
pub(crate) struct Kubernetes {
    /// At least one that is not made of addresses; the first such is what reverse names lead into. None is the root.
    pub(crate) zones: Vec<Zone>,
    /// Those of `zones` that are for Services of several clusters.
    pub(crate) multicluster: Vec<Zone>,
    pub(crate) pods: Pods,
    /// Seconds, at most 3600.
    pub(crate) ttl: u32,
    pub(crate) exposed: Exposed,
    /// Which Services, EndpointSlices, ServiceImports and Pods count, as a label selector; `None`: all.
    pub(crate) labels: Option<LabelSelector>,
    /// Whether endpoints without a host name are called as their Pods are.
    pub(crate) endpoint_pod_names: bool,
    /// Whether endpoints have no names.
    pub(crate) no_endpoints: bool,
    /// Whether a headless Service without ready endpoints does not exist.
    pub(crate) ignores_empty_services: bool,
    /// Whether endpoints have names by topology.
    pub(crate) zonal: bool,
    pub(crate) fallthrough: Fallthrough,
}

/// The namespaces that have names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Exposed {
    All,
    /// At least one.
    Named(Vec<String>),
    /// A label selector.
    Labelled(LabelSelector),
}

/// Which Pods have names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pods {
    Disabled,
    /// Every address has one in every namespace.
    Insecure,
    /// Those that there are.
    Verified,
}

const POD_NAMES: [(&str, Pods); 3] =
    [("disabled", Pods::Disabled), ("insecure", Pods::Insecure), ("verified", Pods::Verified)];

const OPTIONS: [&str; 11] = [
    "endpoint_pod_names",
    "fallthrough",
    "ignore",
    "labels",
    "multicluster",
    "namespace_labels",
    "namespaces",
    "noendpoints",
    "pods",
    "ttl",
    "zonal",
];

impl Kubernetes {
    /// The names of its zones that have the cluster's own Services, or those of several clusters.
    pub(crate) fn domains(&self, is_multicluster: bool) -> impl Iterator<Item = &DomainName> {
        let zones = self.zones.iter().filter(|zone| !zone.is_reverse());
        zones.filter(move |zone| self.multicluster.contains(zone) == is_multicluster).filter_map(Zone::domain)
    }

    pub(super) fn read(item: Item<'_>, reading: &mut Reading<'_>, block: &[Zone]) -> Result<Self, PlanError> {
        let mut kubernetes = Self {
            zones: item.zones_or(item.arguments(), block)?,
            multicluster: Vec::new(),
            pods: Pods::Disabled,
            ttl: 5,
            exposed: Exposed::All,
            labels: None,
            endpoint_pod_names: false,
            no_endpoints: false,
            ignores_empty_services: false,
            zonal: false,
            fallthrough: Fallthrough::default(),
        };
        if kubernetes.zones.contains(&Zone::root()) {
            return Err(item.error("cannot have the root; name a zone, such as cluster.local"));
        }
        if kubernetes.zones.iter().all(Zone::is_reverse) {
            return Err(item.error("needs a zone that is not made of addresses, such as cluster.local"));
        }
        for zone in kubernetes.zones.iter().filter(|zone| zone.is_part_of_network()) {
            reading.note(item, format!("{zone} changes nothing: its names are not made of addresses"));
        }
        item.options(reading, |reading, option| kubernetes.read_option(option, reading));
        if kubernetes.zonal && kubernetes.no_endpoints {
            return Err(item.error("zonal needs endpoints, and noendpoints takes them away"));
        }
        let outside = kubernetes.multicluster.iter().find(|zone| !kubernetes.zones.contains(zone));
        match outside {
            Some(zone) => Err(item.error(format!("multicluster zone {zone} is not among the zones of the plugin"))),
            None => Ok(kubernetes),
        }
    }

    fn read_option(&mut self, option: Item<'_>, reading: &mut Reading<'_>) -> Result<(), PlanError> {
        match option.name() {
            "pods" => self.pods = option.choice(option.one("disabled, insecure or verified")?, &POD_NAMES)?,
            "ttl" => self.ttl = option.number(option.one("seconds")?, 0..=3600)?,
            "fallthrough" => self.fallthrough = Fallthrough::read(option)?,
            "endpoint_pod_names" => self.endpoint_pod_names = option.alone().map(|()| true)?,
            "noendpoints" => self.no_endpoints = option.alone().map(|()| true)?,
            "zonal" => self.zonal = option.alone().map(|()| true)?,
            "ignore" => {
                self.ignores_empty_services =
                    option.choice(option.one("empty_service")?, &[("empty_service", true)])?;
            }
            "multicluster" => self.multicluster = option.zones(option.some("zones")?)?,
            "labels" => self.labels = Some(selector::read(option)?),
            "namespaces" => {
                let names = option.some("namespaces")?.iter().map(|word| word.as_str().to_owned());
                self.expose(option, Exposed::Named(names.collect()))?;
            }
            "namespace_labels" => self.expose(option, Exposed::Labelled(selector::read(option)?))?,
            "apiserver_qps" | "apiserver_burst" | "apiserver_max_inflight" => {
                let word = option.one("a number")?;
                // A rate may be a part of one.
                if option.name() != "apiserver_qps" || !word.text.parse().is_ok_and(|rate: f32| rate >= 0.0) {
                    option.number(word, 0..=u32::MAX)?;
                }
                reading.note(option, "changes nothing: watches are few, and not held back");
            }
            "startup_timeout" => {
                option
                    .span(option.one("a time")?, std::time::Duration::ZERO..=std::time::Duration::from_secs(86_400))?;
                reading.note(
                    option,
                    "changes nothing: the start waits for nothing; names get SERVFAIL until they are known",
                );
            }
            "kubeconfig" => {
                return Err(option.error("is a flag here: --kubeconfig FILE, and --context for its context"));
            }
            "endpoint" | "tls" => {
                return Err(option.error("is not supported; --kubeconfig FILE says where the API server is"));
            }
            "upstream" | "resyncperiod" | "transfer" | "federation" => {
                return Err(option.error("is no option of CoreDNS any more; leave it out"));
            }
            _ => return Err(option.unknown(&OPTIONS)),
        }
        Ok(())
    }

    fn expose(&mut self, option: Item<'_>, exposed: Exposed) -> Result<(), PlanError> {
        match (&mut self.exposed, exposed) {
            (all @ Exposed::All, exposed) => *all = exposed,
            (Exposed::Named(names), Exposed::Named(more)) => names.extend(more),
            (Exposed::Labelled(selector), Exposed::Labelled(last)) => *selector = last,
            _ => return Err(option.error("namespaces and namespace_labels may not stand together")),
        }
        Ok(())
    }

    /// Which objects it has names of: labels of those that names are made of, and of Namespaces.
    pub(super) fn chosen(&self) -> (Option<&LabelSelector>, Option<&LabelSelector>) {
        let namespaces = match &self.exposed {
            Exposed::Labelled(selector) => Some(selector),
            Exposed::All | Exposed::Named(_) => None,
        };
        (self.labels.as_ref(), namespaces)
    }

    pub(super) fn printed(&self) -> Printed {
        let exposed = match &self.exposed {
            Exposed::All => None,
            Exposed::Named(names) => Some(Printed::new("namespaces").words(names)),
            Exposed::Labelled(selector) => Some(Printed::new("namespace_labels").word(selector)),
        };
        Printed::new("kubernetes")
            .words(&self.zones)
            .option(Printed::new("pods").word(name_of(&self.pods, &POD_NAMES)))
            .option(Printed::new("ttl").word(self.ttl))
            .maybe(exposed)
            .maybe(self.labels.as_ref().map(|labels| Printed::new("labels").word(labels)))
            .switch("endpoint_pod_names", self.endpoint_pod_names)
            .switch("noendpoints", self.no_endpoints)
            .switch("ignore empty_service", self.ignores_empty_services)
            .list("multicluster", &self.multicluster)
            .switch("zonal", self.zonal)
            .list("fallthrough", &self.fallthrough.0)
    }
}

#[cfg(test)]
mod tests {
    use crate::part::harness::block;

    #[test]
    fn namespaces_of_several_lines_are_all_exposed() {
        let block = block("kubernetes cluster.local {\n namespaces a b\n ttl 7\n namespaces c\n}");
        assert!(block.to_string().contains("        namespaces a b c\n"), "{block}");
    }
}
