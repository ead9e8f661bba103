//! Where a Service is reached from outside of the cluster: `spec.externalIPs`, and what load balancers say in
//! `status.loadBalancer.ingress`.

use crate::status::{Problem, Reason};
use config::DomainName;
use k8s_openapi::api::core::v1::{LoadBalancerIngress, Service};
use std::collections::HashSet;
use std::net::IpAddr;

/// The external addresses of a Service, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExternalAddresses {
    /// Addresses, those of the Service itself first.
    pub ips: Vec<IpAddr>,
    /// Names of load balancers that say no address.
    pub hosts: Vec<DomainName>,
}

impl ExternalAddresses {
    /// `None`: there are none.
    pub(super) fn read(service: &Service, problems: &mut Vec<Problem>) -> Option<Self> {
        let mut addresses = Self::default();
        let external_ips = service.spec.as_ref().and_then(|spec| spec.external_ips.as_ref());
        for (place, text) in external_ips.into_iter().flatten().enumerate() {
            addresses.add_ip(text, || format!("spec.externalIPs[{place}]"), problems);
        }
        let balancers = service.status.as_ref().and_then(|status| status.load_balancer.as_ref()?.ingress.as_ref());
        for (place, LoadBalancerIngress { ip, hostname, .. }) in balancers.into_iter().flatten().enumerate() {
            let field = || format!("status.loadBalancer.ingress[{place}]");
            match (ip.as_deref().filter(|ip| !ip.is_empty()), hostname.as_deref().filter(|name| !name.is_empty())) {
                (Some(ip), _) => addresses.add_ip(ip, field, problems),
                (None, Some(name)) => addresses.add_host(name, field, problems),
                (None, None) => {}
            }
        }
        let (mut ips, mut hosts) = (HashSet::new(), HashSet::new());
        addresses.ips.retain(|ip| ips.insert(*ip));
        addresses.hosts.retain(|host| hosts.insert(host.clone()));
        (addresses != Self::default()).then_some(addresses)
    }

    fn add_ip(&mut self, text: &str, field: impl Fn() -> String, problems: &mut Vec<Problem>) {
        match text.parse::<IpAddr>().map(|address| address.to_canonical()) {
            Ok(address) => self.ips.push(address),
            Err(_) => problems.push(Problem::at(field(), Reason::BadAddress, format!("{text:?} is no address"))),
        }
    }

    fn add_host(&mut self, text: &str, field: impl Fn() -> String, problems: &mut Vec<Problem>) {
        match text.parse::<DomainName>() {
            Ok(name) => self.hosts.push(name),
            Err(error) => problems.push(Problem::at(field(), Reason::BadAddress, format!("{text:?}: {error}"))),
        }
    }
}
