//! The names of one Service: what its DNS records are made from.

use super::DomainName;
use super::endpoint::{EndpointName, Endpoints, Labelled};
use serde::Serialize;
use smallvec::SmallVec;
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

/// The names of one Service. Endpoints that are not ready are left out, unless the Service publishes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum ServiceNames {
    /// A Service with addresses of its own.
    ClusterIp {
        /// `spec.clusterIPs`, without duplicates.
        addresses: SmallVec<[IpAddr; 1]>,
        /// `spec.ports`.
        ports: Arc<[PortName]>,
        /// The endpoints: they have names and reverse names here too.
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        endpoints: Endpoints,
    },
    /// A Service that stands for its endpoints; without any, its name does not exist.
    Headless {
        /// The endpoints.
        endpoints: Endpoints,
    },
    /// A Service that is reached by names that others have, such as those of load balancers.
    Hosts {
        /// At least one.
        targets: Box<[DomainName]>,
        /// `spec.ports`.
        ports: Arc<[PortName]>,
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
    pub fn cluster_ip(
        addresses: impl IntoIterator<Item = IpAddr>,
        ports: impl Into<Arc<[PortName]>>,
        endpoints: Vec<EndpointName>,
    ) -> Self {
        let mut known = BTreeSet::new();
        let addresses = addresses.into_iter().filter(|address| known.insert(*address)).collect();
        Self::ClusterIp { addresses, ports: ports.into(), endpoints: Endpoints::new(endpoints) }
    }

    /// A headless Service; endpoints in any order.
    #[must_use]
    pub fn headless(endpoints: Vec<EndpointName>) -> Self {
        Self::Headless { endpoints: Endpoints::new(endpoints) }
    }

    /// Whether the Service stands for its endpoints.
    #[must_use]
    pub fn is_headless(&self) -> bool {
        matches!(self, Self::Headless { .. })
    }

    /// The endpoints that have names, sorted by address; none where names of others stand for them.
    #[must_use]
    pub fn endpoints(&self) -> &[EndpointName] {
        self.indexed().map_or(&[], |endpoints| endpoints)
    }

    /// The endpoints with this label, sorted by address; O(log n + as many). `is_by_pod`: see [`EndpointName::label`].
    pub fn labelled<'n>(&'n self, label: &'n str, is_by_pod: bool) -> Labelled<'n> {
        self.indexed().map_or_else(Labelled::default, |endpoints| endpoints.labelled(label, is_by_pod))
    }

    /// The endpoints with this address, sorted by name; O(log n + as many).
    #[must_use]
    pub fn endpoints_at(&self, address: IpAddr) -> &[EndpointName] {
        self.indexed().map_or(&[], |endpoints| endpoints.at(address))
    }

    fn indexed(&self) -> Option<&Endpoints> {
        match self {
            Self::ClusterIp { endpoints, .. } | Self::Headless { endpoints } => Some(endpoints),
            Self::Hosts { .. } | Self::External { .. } => None,
        }
    }

    /// The addresses that are the Service's own; none for one that stands for its endpoints.
    pub(super) fn own_addresses(&self) -> &[IpAddr] {
        match self {
            Self::ClusterIp { addresses, .. } => addresses,
            Self::Headless { .. } | Self::Hosts { .. } | Self::External { .. } => &[],
        }
    }
}
