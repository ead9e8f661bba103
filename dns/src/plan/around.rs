//! What a plan asks of those around the server: probes to be answered, and objects of the cluster to be read.

use super::Plan;
use super::address::HttpAddress;
use super::kubernetes::{Kubernetes, Pods};
use config::{DomainName, LabelSelector};
use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

/// Where the plan's probes are asked for; all addresses of the host are `[::]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Probes {
    /// `/health`.
    pub health: Vec<SocketAddr>,
    /// `/ready`.
    pub ready: Vec<SocketAddr>,
    /// `/metrics`.
    pub metrics: Vec<SocketAddr>,
    /// For how long after SIGTERM questions are still answered: the longest that a block asks for.
    pub lameduck: Duration,
}

/// Which objects the names of the plan's zones are made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlannedObjects {
    /// Whether Pods are among them.
    pub pods: bool,
    /// Whether ServiceImports are: a zone has the Services of several clusters.
    pub imports: bool,
    /// Whether external addresses of Services are: a zone is made of them.
    pub externals: bool,
    /// Which Services, EndpointSlices, ServiceImports and Pods are; `None`: all.
    pub labels: Option<LabelSelector>,
    /// Which Namespaces are; `None`: all.
    pub namespace_labels: Option<LabelSelector>,
}

impl Plan {
    /// The probes of all blocks, each address once.
    #[must_use]
    pub fn probes(&self) -> Probes {
        let mut probes = Probes::default();
        for block in self.blocks() {
            let health = block.health.as_ref().map(|health| health.address);
            let ready = block.ready.as_ref().map(|ready| ready.address);
            let metrics = block.prometheus.as_ref().map(|metrics| metrics.address);
            for (known, asked) in
                [(&mut probes.health, health), (&mut probes.ready, ready), (&mut probes.metrics, metrics)]
            {
                let asked = asked.map(socket_address);
                known.extend(asked.filter(|asked| !known.contains(asked)).into_iter().collect::<Vec<_>>());
            }
            let lameduck = block.health.as_ref().map(|health| health.lameduck);
            probes.lameduck = probes.lameduck.max(lameduck.unwrap_or_default());
        }
        probes
    }

    /// The zone of the cluster's own names: the first one that a `kubernetes` has; `None`: none has any.
    #[must_use]
    pub fn cluster_zone(&self) -> Option<&DomainName> {
        let kubernetes = self.blocks().iter().filter_map(|block| block.kubernetes.as_ref());
        kubernetes.flat_map(|kubernetes| kubernetes.domains(false)).next()
    }

    /// The objects of all blocks, which is one choice; `None`: no block has names of a cluster.
    #[must_use]
    pub fn objects(&self) -> Option<PlannedObjects> {
        let kubernetes = || self.blocks().iter().filter_map(|block| block.kubernetes.as_ref());
        let (labels, namespace_labels) = kubernetes().next().map(Kubernetes::chosen)?;
        Some(PlannedObjects {
            pods: kubernetes().any(|kubernetes| kubernetes.pods == Pods::Verified),
            imports: kubernetes().any(|kubernetes| !kubernetes.multicluster.is_empty()),
            externals: self.blocks().iter().any(|block| block.external.is_some()),
            labels: labels.cloned(),
            namespace_labels: namespace_labels.cloned(),
        })
    }
}

pub(super) fn socket_address(address: HttpAddress) -> SocketAddr {
    SocketAddr::new(address.ip.unwrap_or(Ipv6Addr::UNSPECIFIED.into()), address.port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corefile::System;

    fn plan(text: &str) -> Plan {
        Plan::from_corefile(text, "Corefile", &System).expect("a good Corefile").0
    }

    #[test]
    fn probes_of_all_blocks_are_answered_once_at_each_address() {
        let plan = plan(
            "a:53 {\n health\n ready\n prometheus :9153\n}\n\
             b:53 {\n health {\n lameduck 5s\n }\n ready 127.0.0.1:8181\n prometheus\n}\n\
             c:53 {\n health {\n lameduck 2s\n }\n}\n",
        );
        let addresses = |all: &[SocketAddr]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
        let Probes { health, ready, metrics, lameduck } = plan.probes();
        assert_eq!(addresses(&health), ["[::]:8080"]);
        assert_eq!(addresses(&ready), ["[::]:8181", "127.0.0.1:8181"]);
        assert_eq!(addresses(&metrics), ["[::]:9153", "127.0.0.1:9153"]);
        assert_eq!(lameduck, Duration::from_secs(5));
    }

    #[test]
    fn all_blocks_have_names_from_the_same_objects() {
        let block = |zone: &str, options: &str| format!("{zone}:53 {{\n kubernetes {zone} {{\n {options}\n }}\n}}\n");
        let whole = plan(&(block("a.b", "labels team=a\n pods verified") + &block("c.d", "labels team=a")));
        let selector = "team=a".parse().ok();
        let expected = PlannedObjects { pods: true, labels: selector, ..PlannedObjects::default() };
        assert_eq!(whole.objects(), Some(expected));
        let external = plan(".:53 {\n kubernetes a.b\n k8s_external example.org\n}\n");
        assert_eq!(external.objects(), Some(PlannedObjects { externals: true, ..PlannedObjects::default() }));
        let several = plan(&(block("a.b", "ttl 5") + &block("c.d", "multicluster c.d")));
        assert_eq!(several.objects(), Some(PlannedObjects { imports: true, ..PlannedObjects::default() }));
        assert_eq!(plan("a:53 {\n whoami\n}\n").objects(), None);
    }
}
