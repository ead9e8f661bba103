//! The grammar of the zone: what a name stands for, without a look at what exists.

use crate::name::LowerName;
use crate::part::spelling;
use std::fmt;

/// Labels of the longest names.
const DEEPEST: usize = 5;

/// Where a name is in the zone.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place<'a> {
    Apex,
    /// `dns-version`
    Version,
    /// `ns.dns`
    NameServer,
    /// `svc` and `pod`: nothing but the parents of others.
    Empty,
    /// `dns`, the parent of `ns.dns`.
    Dns,
    /// `NAMESPACE.svc`
    Namespace(&'a str),
    /// `NAMESPACE.pod`
    Pods(&'a str),
    /// `LABEL.NAMESPACE.pod`
    Pod {
        namespace: &'a str,
        label: &'a str,
    },
    /// `SERVICE.NAMESPACE.svc`
    Service {
        namespace: &'a str,
        service: &'a str,
    },
    /// `LABEL.SERVICE.NAMESPACE.svc`: an endpoint, or the parent of ports.
    Endpoint {
        namespace: &'a str,
        service: &'a str,
        label: &'a str,
    },
    /// `_PORT._TRANSPORT.SERVICE.NAMESPACE.svc`, each underscore being optional.
    Port {
        namespace: &'a str,
        service: &'a str,
        transport: &'a str,
        port: &'a str,
    },
    /// `TOPOLOGY.pin._zone.SERVICE.NAMESPACE.svc` and the same with `prefer`.
    Topology {
        namespace: &'a str,
        service: &'a str,
        topology: Topology<'a>,
        prefers: bool,
    },
    /// Outside the grammar.
    Nowhere,
}

impl<'a> Place<'a> {
    /// Reads a name with `depth` labels below the zone.
    pub(super) fn read(name: &'a LowerName, depth: usize) -> Self {
        let mut labels = [""; DEEPEST];
        let Some(labels) = labels.get_mut(..depth) else { return Self::by_topology(name, depth) };
        // No Kubernetes name holds a byte outside ASCII.
        let Some(labels) = name.texts(labels) else { return Self::Nowhere };
        match *labels {
            [] => Self::Apex,
            ["dns-version"] => Self::Version,
            ["ns", "dns"] => Self::NameServer,
            ["svc" | "pod"] => Self::Empty,
            ["dns"] => Self::Dns,
            [namespace, "svc"] => Self::Namespace(namespace),
            [namespace, "pod"] => Self::Pods(namespace),
            [label, namespace, "pod"] => Self::Pod { namespace, label },
            [service, namespace, "svc"] => Self::Service { namespace, service },
            [label, service, namespace, "svc"] => Self::Endpoint { namespace, service, label },
            [port, transport, service, namespace, "svc"] => {
                Self::Port { namespace, service, transport: bare(transport), port: bare(port) }
            }
            _ => Self::Nowhere,
        }
    }

    /// The same in a zone of several clusters, where `HOST.CLUSTER.SERVICE.NAMESPACE.svc` is an endpoint (KEP-1645
    /// §2.4); its label is `HOST.CLUSTER`, for which `label` is room. Ports have their underscores there.
    pub(super) fn read_multicluster(name: &'a LowerName, depth: usize, label: &'a mut String) -> Self {
        match Self::read(name, depth) {
            Self::Port { namespace, service, .. } => {
                let [host, cluster] = [0, 1].map(|index| str::from_utf8(name.label(index)).unwrap_or_default());
                if host.starts_with('_') || cluster.starts_with('_') {
                    return Self::read(name, depth);
                }
                // A dot within a label is no end of it.
                if [host, cluster].iter().any(|label| label.contains('.')) {
                    return Self::Nowhere;
                }
                label.extend([host, ".", cluster]);
                Self::Endpoint { namespace, service, label }
            }
            Self::Endpoint { label, .. } if label.contains('.') => Self::Nowhere,
            // Pods are of one cluster.
            Self::Pod { .. } => Self::Nowhere,
            place => place,
        }
    }

    /// The same in a zone of external addresses, where `SERVICE.NAMESPACE` is a Service, and what is below `apex` are
    /// names of the zone itself.
    pub(super) fn read_external(name: &'a LowerName, depth: usize, apex: &str) -> Self {
        let mut labels = [""; DEEPEST];
        let Some(labels) = labels.get_mut(..depth).and_then(|labels| name.texts(labels)) else { return Self::Nowhere };
        match *labels {
            [] => Self::Apex,
            [.., last] if last == apex => match *labels {
                [_] => Self::Empty,
                ["ns1", _] => Self::NameServer,
                _ => Self::Nowhere,
            },
            [namespace] => Self::Namespace(namespace),
            [service, namespace] => Self::Service { namespace, service },
            [label, service, namespace] => Self::Endpoint { namespace, service, label },
            [port, transport, service, namespace] => {
                Self::Port { namespace, service, transport: bare(transport), port: bare(port) }
            }
            _ => Self::Nowhere,
        }
    }

    fn by_topology(name: &'a LowerName, depth: usize) -> Self {
        let Some(labels) = depth.checked_sub(DEEPEST).filter(|labels| *labels > 0) else { return Self::Nowhere };
        let [directive, marker, service, namespace, kind] = [0, 1, 2, 3, 4].map(|index| name.label(labels + index));
        let prefers = match directive {
            b"pin" => false,
            b"prefer" => true,
            _ => return Self::Nowhere,
        };
        match (marker, str::from_utf8(service), str::from_utf8(namespace), kind) {
            (b"_zone", Ok(service), Ok(namespace), b"svc") => {
                Self::Topology { namespace, service, topology: Topology { name, labels }, prefers }
            }
            _ => Self::Nowhere,
        }
    }

    /// Namespace and name of the Service that this is, or is below of.
    pub(super) fn service(&self) -> Option<(&'a str, &'a str)> {
        match self {
            Self::Service { namespace, service }
            | Self::Endpoint { namespace, service, .. }
            | Self::Port { namespace, service, .. }
            | Self::Topology { namespace, service, .. } => Some((namespace, service)),
            _ => None,
        }
    }
}

/// A topology zone as a name spells it: its first labels, since the zone's own name may hold dots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Topology<'a> {
    name: &'a LowerName,
    labels: usize,
}

impl Topology<'_> {
    /// Whether this is the zone; its name in lower case.
    pub(super) fn is(self, zone: &str) -> bool {
        zone.split('.').map(str::as_bytes).eq((0..self.labels).map(|index| self.name.label(index)))
    }
}

/// Its labels, as they were asked for.
impl fmt::Display for Topology<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for index in 0..self.labels {
            let dot = if index == 0 { "" } else { "." };
            write!(f, "{dot}{}", spelling::label(self.name.label(index)))?;
        }
        Ok(())
    }
}

/// The label without its underscore.
pub(super) fn bare(label: &str) -> &str {
    label.strip_prefix('_').unwrap_or(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_have_no_names_in_a_zone_of_several_clusters() {
        let name = LowerName::of(&"1-2-3-4.ns.pod.zone".parse().unwrap()).unwrap();
        assert_eq!(Place::read_multicluster(&name, 3, &mut String::new()), Place::Nowhere);
        assert_eq!(Place::read(&name, 3), Place::Pod { namespace: "ns", label: "1-2-3-4" });
    }

    #[test]
    fn external_names_have_no_marker_of_services() {
        let (namespace, service) = ("ns", "webs");
        for (name, place) in [
            ("zone.", Place::Apex),
            ("dns.zone.", Place::Empty),
            ("ns1.dns.zone.", Place::NameServer),
            ("ns.dns.zone.", Place::Nowhere),
            ("a.ns1.dns.zone.", Place::Nowhere),
            ("ns.zone.", Place::Namespace("ns")),
            ("webs.ns.zone.", Place::Service { namespace, service }),
            ("db-0.webs.ns.zone.", Place::Endpoint { namespace, service, label: "db-0" }),
            ("_http._tcp.webs.ns.zone.", Place::Port { namespace, service, transport: "tcp", port: "http" }),
            ("http.tcp.webs.ns.zone.", Place::Port { namespace, service, transport: "tcp", port: "http" }),
            ("x._http._tcp.webs.ns.zone.", Place::Nowhere),
            ("y.x._http._tcp.webs.ns.zone.", Place::Nowhere),
        ] {
            let lower = LowerName::of(&name.parse().unwrap()).unwrap();
            assert_eq!(Place::read_external(&lower, lower.count() - 1, "dns"), place, "{name}");
        }
        let odd = LowerName::read(b"\x04caf\xe9\x02ns\x04zone\0").unwrap();
        assert_eq!(Place::read_external(&odd, 2, "dns"), Place::Nowhere);
    }

    #[test]
    fn the_grammar_is_read_right_to_left() {
        let (namespace, service) = ("ns", "webs");
        for (name, place) in [
            ("zone.", Place::Apex),
            ("svc.zone.", Place::Empty),
            ("pod.zone.", Place::Empty),
            ("dns.zone.", Place::Dns),
            ("ns.dns.zone.", Place::NameServer),
            ("dns-version.zone.", Place::Version),
            ("ns.svc.zone.", Place::Namespace("ns")),
            ("ns.pod.zone.", Place::Pods("ns")),
            ("webs.ns.svc.zone.", Place::Service { namespace, service }),
            ("1-2-3-4.webs.ns.svc.zone.", Place::Endpoint { namespace, service, label: "1-2-3-4" }),
            ("_http._tcp.webs.ns.svc.zone.", Place::Port { namespace, service, transport: "tcp", port: "http" }),
            ("http.tcp.webs.ns.svc.zone.", Place::Port { namespace, service, transport: "tcp", port: "http" }),
            ("1-2-3-4.ns.pod.zone.", Place::Pod { namespace, label: "1-2-3-4" }),
            ("x.1-2-3-4.ns.pod.zone.", Place::Nowhere),
            ("webs.ns.pood.zone.", Place::Nowhere),
            ("x._http._tcp.webs.ns.svc.zone.", Place::Nowhere),
        ] {
            let lower = LowerName::of(&name.parse().unwrap()).unwrap();
            assert_eq!(Place::read(&lower, lower.count() - 1), place, "{name}");
        }
        let name = LowerName::of(&"us.west-2a.prefer._zone.webs.ns.svc.zone".parse().unwrap()).unwrap();
        let topology = Topology { name: &name, labels: 2 };
        assert_eq!(Place::read(&name, 7), Place::Topology { namespace, service, topology, prefers: true });
        assert!(topology.is("us.west-2a") && !topology.is("us") && !topology.is("us.west-2a.x"));
        let odd = LowerName::read(b"\x04caf\xe9\x02ns\x03svc\x04zone\0").unwrap();
        assert_eq!(Place::read(&odd, 3), Place::Nowhere);
    }
}
