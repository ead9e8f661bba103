//! What a name is about by its form alone, and whose Pod asks: what CoreDNS's `kubernetes` tells other plugins.

use super::place::Place;
use super::{PodNames, Subject, Zone, reverse};
use crate::name::LowerName;
use crate::part::spelling;
use std::net::IpAddr;

/// What is told of a question.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Metadata {
    /// `None`: the name is in no zone of the cluster.
    pub(crate) name: Option<NameForm>,
    /// Namespace of the Pod that asks; `None`: none does that is known.
    pub(crate) client_namespace: Option<String>,
    /// Its name.
    pub(crate) client_pod: Option<String>,
}

/// The form of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NameForm {
    /// No name of the zone looks so.
    Invalid,
    Valid(NameParts),
}

/// The parts of a name, escaped as text has them, since clients may spell anything; empty: it has none such.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NameParts {
    /// `svc` or `pod`.
    pub(crate) kind: String,
    pub(crate) namespace: String,
    /// The Service; of a Pod the label that spells its address.
    pub(crate) service: String,
    pub(crate) endpoint: String,
    pub(crate) port: String,
    pub(crate) transport: String,
    /// `None`: the zone is of one cluster.
    pub(crate) cluster: Option<String>,
    /// Of the topology; `None`: such names there are none.
    pub(crate) topology: Option<String>,
}

impl Zone<'_> {
    /// What there is to tell of a question about a name.
    pub(crate) fn metadata(&self, name: &LowerName, client: IpAddr) -> Metadata {
        let zone = self.of(name).filter(|(zone, _)| !matches!(zone.subject, Subject::External(_)));
        let form = zone.map(|(zone, depth)| zone.parts(name, depth).map_or(NameForm::Invalid, NameForm::Valid));
        let form = form.or_else(|| match reverse::depth(self, name)? {
            0 => Some(NameForm::Valid(self.no_parts())),
            // No name of an address has the form of another one.
            _ => Some(NameForm::Invalid),
        });
        let knows_pods = self.settings.pods == PodNames::Verified;
        let namespace = self.table.pod_namespace(client).filter(|_| knows_pods);
        let pod = self.table.only_pod(client).filter(|_| knows_pods);
        Metadata {
            name: form,
            client_namespace: namespace.map(|(namespace, _)| namespace.to_string()),
            client_pod: pod.map(|pod| pod.to_string()),
        }
    }

    fn parts(&self, name: &LowerName, depth: usize) -> Option<NameParts> {
        let text = |label: &str| spelling::label(label.as_bytes());
        let mut parts = self.no_parts();
        let mut room = String::new();
        let place = self.place(name, depth, &mut room);
        if let Some((namespace, service)) = place.service() {
            (parts.kind, parts.namespace, parts.service) = ("svc".to_owned(), text(namespace), text(service));
        }
        match place {
            Place::Apex | Place::Empty | Place::Service { .. } => {}
            Place::Namespace(namespace) | Place::Pods(namespace) => {
                parts.kind = spelling::label(name.label(depth.checked_sub(1)?));
                parts.namespace = text(namespace);
            }
            Place::Pod { namespace, label } => {
                (parts.kind, parts.namespace, parts.service) = ("pod".to_owned(), text(namespace), text(label));
            }
            Place::Endpoint { label, .. } => match label.split_once('.').filter(|_| self.is_multicluster()) {
                Some((host, cluster)) => {
                    (parts.endpoint, parts.cluster) = (text(host), Some(text(cluster)));
                }
                None => parts.endpoint = text(label),
            },
            Place::Port { port, transport, .. } => {
                (parts.port, parts.transport) = (text(port), text(transport));
            }
            Place::Topology { topology, .. } if parts.topology.is_some() => parts.topology = Some(topology.to_string()),
            Place::Topology { .. } | Place::Version | Place::NameServer | Place::Dns | Place::Nowhere => return None,
        }
        Some(parts)
    }

    /// Those of an apex.
    fn no_parts(&self) -> NameParts {
        let is_zonal = self.settings.is_zonal && matches!(self.subject, Subject::Cluster);
        NameParts {
            cluster: self.is_multicluster().then(String::new),
            topology: is_zonal.then(String::new),
            ..NameParts::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::{ExternalZones, Fallthrough, ReverseZones, ZoneSettings};
    use config::{DomainName, NameChange, NameTable};

    fn settings(pods: PodNames) -> ZoneSettings {
        let of_several: DomainName = "clusterset.local".parse().unwrap();
        let external = ExternalZones {
            zones: vec!["example.org".parse().unwrap()],
            reverse: Vec::new(),
            apex: "dns".into(),
            ttl: 5,
            has_endpoints: false,
            fallthrough: Fallthrough::Nothing,
        };
        ZoneSettings {
            pods,
            zones: vec![of_several.clone()],
            multicluster: vec![of_several],
            is_zonal: true,
            reverse: ReverseZones::Ranges(vec!["10.0.0.0/8".parse().unwrap()]),
            external: Some(Box::new(external)),
            ..ZoneSettings::default()
        }
    }

    fn told(table: &NameTable, pods: PodNames, name: &str, client: &str) -> Metadata {
        let (name, settings) = (LowerName::of(&name.parse().unwrap()).unwrap(), settings(pods));
        Zone::new(table, &settings, None).metadata(&name, client.parse().unwrap())
    }

    /// Kind, namespace, Service, endpoint, port and transport, and then cluster and topology; of CoreDNS's own test
    /// (plugin/kubernetes/metadata_test.go) and more.
    #[test]
    fn a_name_is_taken_apart() {
        let some = |text: &str| Some(text.to_owned());
        let (none, nothing) = (None, some(""));
        for (name, expected, cluster, topology) in [
            ("10-240-0-1.podns.pod.cluster.local", ["pod", "podns", "10-240-0-1", "", "", ""], &none, &nothing),
            ("s.ns.svc.cluster.local", ["svc", "ns", "s", "", "", ""], &none, &nothing),
            ("S.Ns.SVC.cluster.local", ["svc", "ns", "s", "", "", ""], &none, &nothing),
            ("_http._tcp.s.ns.svc.cluster.local", ["svc", "ns", "s", "", "http", "tcp"], &none, &nothing),
            ("ep.s.ns.svc.cluster.local", ["svc", "ns", "s", "ep", "", ""], &none, &nothing),
            ("ep.c1.s.ns.svc.clusterset.local", ["svc", "ns", "s", "ep", "", ""], &some("c1"), &none),
            ("ep.s.ns.svc.clusterset.local", ["svc", "ns", "s", "ep", "", ""], &nothing, &none),
            ("us.west.pin._zone.s.ns.svc.cluster.local", ["svc", "ns", "s", "", "", ""], &none, &some("us.west")),
            ("ns.svc.cluster.local", ["svc", "ns", "", "", "", ""], &none, &nothing),
            ("ns.pod.cluster.local", ["pod", "ns", "", "", "", ""], &none, &nothing),
            ("svc.cluster.local", [""; 6], &none, &nothing),
            ("cluster.local", [""; 6], &none, &nothing),
        ] {
            let Some(NameForm::Valid(parts)) = told(&NameTable::default(), PodNames::Insecure, name, "10.0.0.1").name
            else {
                panic!("{name}")
            };
            let NameParts { kind, namespace, service, endpoint, port, transport, cluster: of, topology: at } = &parts;
            assert_eq!([kind, namespace, service, endpoint, port, transport], expected.each_ref(), "{name}");
            assert_eq!((of, at), (cluster, topology), "{name}");
        }
        for (name, expected) in [
            ("dns-version.cluster.local", Some(NameForm::Invalid)),
            ("x.s.ns.pood.cluster.local", Some(NameForm::Invalid)),
            ("a.b.c.s.ns.svc.cluster.local", Some(NameForm::Invalid)),
            ("us.pin._zone.s.ns.svc.clusterset.local", Some(NameForm::Invalid)),
            ("1.0.0.10.in-addr.arpa", Some(NameForm::Invalid)),
            ("x.10.in-addr.arpa", Some(NameForm::Invalid)),
            ("10.in-addr.arpa", Some(NameForm::Valid(NameParts { topology: some(""), ..NameParts::default() }))),
            ("1.0.0.11.in-addr.arpa", None),
            ("example.com", None),
            ("s.ns.example.org", None),
        ] {
            assert_eq!(told(&NameTable::default(), PodNames::Insecure, name, "10.0.0.1").name, expected, "{name}");
        }
    }

    #[test]
    fn the_pod_that_asks_is_known_where_pods_are() {
        let pod = |namespace: &str, pod: &str, address: &str| NameChange::Pod {
            namespace: namespace.into(),
            pod: pod.into(),
            address: address.parse().unwrap(),
            has_own_search: false,
            exists: true,
        };
        let pods = [
            pod("blog", "front-0", "10.1.0.9"),
            pod("blog", "a", "10.1.0.8"),
            pod("blog", "b", "10.1.0.8"),
            pod("shop", "c", "10.1.0.7"),
            pod("blog", "d", "10.1.0.7"),
        ];
        let table = NameTable::default().patched(pods, 1);
        for (names, client, expected) in [
            (PodNames::Verified, "10.1.0.9", (Some("blog"), Some("front-0"))),
            // Those in a node's network share its address.
            (PodNames::Verified, "10.1.0.8", (Some("blog"), None)),
            (PodNames::Verified, "10.1.0.7", (None, None)),
            (PodNames::Verified, "10.1.0.1", (None, None)),
            (PodNames::Insecure, "10.1.0.9", (None, None)),
        ] {
            let Metadata { name, client_namespace, client_pod } = told(&table, names, "example.com", client);
            assert_eq!((client_namespace.as_deref(), client_pod.as_deref()), expected, "{client}");
            assert_eq!(name, None);
        }
    }
}
