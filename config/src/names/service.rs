//! The names of one Service: what its DNS records are made from.

use super::DomainName;
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// The transport of a port, the second label of an SRV name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Transport {
    Tcp,
    Udp,
    Sctp,
}

impl Transport {
    /// In lower case, without the underscore.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

/// A port of a Service or of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortName {
    /// In lower case; `None`: the port has no name, and no SRV name of its own.
    pub name: Option<Arc<str>>,
    /// Its transport.
    pub transport: Transport,
    /// Its number.
    pub number: u16,
}

/// `http/tcp/80`, or `tcp/80` without a name.
impl fmt::Display for PortName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.name {
            write!(f, "{name}/")?;
        }
        write!(f, "{}/{}", self.transport.as_str(), self.number)
    }
}

impl Serialize for PortName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One address behind a Service. Sorts by address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct EndpointName {
    /// Where it is.
    pub address: IpAddr,
    /// Its label below the Service's name, in lower case: the host name, or [`EndpointName::dashed`].
    pub name: Arc<str>,
    /// Its ports; empty: it has addresses but no SRV records.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub ports: Arc<[PortName]>,
    /// The name of its Pod, in lower case, where it has no host name and the Pod's name can be a label; `None`: it has
    /// one, or is no Pod's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<Arc<str>>,
    /// Its topology zone, in lower case (`topology.kubernetes.io/zone` of its node); `None`: unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topology: Option<Arc<str>>,
}

impl EndpointName {
    /// Its label below the Service's name: the host name, else the Pod's name if that `is_by_pod`, else its address.
    #[must_use]
    pub fn label(&self, is_by_pod: bool) -> &str {
        self.pod.as_deref().filter(|_| is_by_pod).unwrap_or(&self.name)
    }

    /// The label of an endpoint without a host name, as CoreDNS spells it: `172-0-0-2`, `5678-abcd--1`, `fe80--0`.
    #[must_use]
    pub fn dashed(address: IpAddr) -> String {
        let mut label = address.to_string().replace(['.', ':'], "-");
        if label.ends_with('-') {
            label.push('0');
        }
        label
    }
}

/// The names of one Service. Endpoints that are not ready are left out, unless the Service publishes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum ServiceNames {
    /// A Service with addresses of its own.
    ClusterIp {
        /// `spec.clusterIPs`, without duplicates.
        addresses: Vec<IpAddr>,
        /// `spec.ports`.
        ports: Vec<PortName>,
        /// The endpoints: they have names and reverse names here too.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        endpoints: Vec<EndpointName>,
    },
    /// A Service that stands for its endpoints; without any, its name does not exist.
    Headless {
        /// Sorted, without duplicates.
        endpoints: Vec<EndpointName>,
    },
    /// An alias.
    External {
        /// `spec.externalName`.
        target: DomainName,
    },
}

impl ServiceNames {
    /// A Service with addresses of its own, of which duplicates are left out; endpoints in any order.
    #[must_use]
    pub fn cluster_ip(mut addresses: Vec<IpAddr>, ports: Vec<PortName>, endpoints: Vec<EndpointName>) -> Self {
        let mut known = BTreeSet::new();
        addresses.retain(|address| known.insert(*address));
        Self::ClusterIp { addresses, ports, endpoints: sorted(endpoints) }
    }

    /// A headless Service; endpoints in any order.
    #[must_use]
    pub fn headless(endpoints: Vec<EndpointName>) -> Self {
        Self::Headless { endpoints: sorted(endpoints) }
    }

    /// The endpoints that have names; none for an alias.
    #[must_use]
    pub fn endpoints(&self) -> &[EndpointName] {
        match self {
            Self::ClusterIp { endpoints, .. } | Self::Headless { endpoints } => endpoints,
            Self::External { .. } => &[],
        }
    }

    /// Every address with a reverse name, and the endpoint's label where it is an endpoint's.
    pub(super) fn owned_addresses(&self) -> impl Iterator<Item = (IpAddr, Option<&Arc<str>>)> {
        let own: &[IpAddr] = match self {
            Self::ClusterIp { addresses, .. } => addresses,
            Self::Headless { .. } | Self::External { .. } => &[],
        };
        let endpoints = self.endpoints().iter().map(|endpoint| (endpoint.address, Some(&endpoint.name)));
        own.iter().map(|address| (*address, None)).chain(endpoints)
    }
}

fn sorted(mut endpoints: Vec<EndpointName>) -> Vec<EndpointName> {
    endpoints.sort_unstable();
    endpoints.dedup();
    endpoints
}
