//! What is asked: the sets of questions, in the form that dnsperf reads.

use super::cluster::{Cluster, Service, ZONE};
use std::fmt::Write as _;

/// Services that a set names.
const PICKS: u32 = 20_000;

/// A set of questions, and how they travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Set {
    /// Addresses of Services
    A,
    /// IPv6 addresses of Services that have none
    Aaaa,
    /// Ports of Services
    Srv,
    /// Names outside of the cluster with its search list appended
    Nxdomain,
    /// What the C library of a Pod asks: A and AAAA, half of the names of Services, half of them outside of the cluster
    SearchList,
    /// Addresses of Services over TCP, on connections that stay open
    Tcp,
}

impl Set {
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::Aaaa => "AAAA, no data",
            Self::Srv => "SRV",
            Self::Nxdomain => "NXDOMAIN",
            Self::SearchList => "search lists",
            Self::Tcp => "A over TCP",
        }
    }

    /// The response codes that are right.
    pub(super) fn codes(self) -> &'static [&'static str] {
        match self {
            Self::A | Self::Aaaa | Self::Srv | Self::Tcp => &["NOERROR"],
            Self::Nxdomain => &["NXDOMAIN"],
            Self::SearchList => &["NOERROR", "NXDOMAIN"],
        }
    }

    pub(super) fn is_tcp(self) -> bool {
        self == Self::Tcp
    }

    /// A line a question, of Services in an order without pattern, the same each time.
    pub(super) fn questions(self, cluster: Cluster) -> String {
        let mut text = String::new();
        let mut random = Random(1);
        for _ in 0..PICKS {
            let service = Service(random.below(cluster.services));
            let (owner, namespace) = (service.owner(), service.namespace());
            let mut ask = |name: &str, kind: &str| {
                // Writing to a String does not fail.
                let _ = writeln!(text, "{name}.{ZONE} {kind}");
            };
            match self {
                Self::A | Self::Tcp => ask(&owner, "A"),
                Self::Aaaa => ask(&owner, "AAAA"),
                Self::Srv => ask(&format!("_http._tcp.{owner}"), "SRV"),
                Self::Nxdomain => ask(&format!("www.example.com.{namespace}.svc"), "A"),
                Self::SearchList if random.below(2) == 0 => {
                    ask(&owner, "A");
                    ask(&owner, "AAAA");
                }
                Self::SearchList => {
                    let host = format!("api{}.example.com", service.0);
                    for name in [format!("{host}.{namespace}.svc"), format!("{host}.svc"), host] {
                        ask(&name, "A");
                        ask(&name, "AAAA");
                    }
                }
            }
        }
        text
    }
}

/// A linear congruential generator (Knuth's MMIX): no more than an order without pattern is needed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from((self.0 >> 33) % u64::from(limit.max(1))).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: Cluster = Cluster { services: 1_000 };

    #[test]
    fn each_set_asks_for_its_type_in_the_zone() {
        for (set, kinds) in [
            (Set::A, &["A"][..]),
            (Set::Aaaa, &["AAAA"]),
            (Set::Srv, &["SRV"]),
            (Set::Nxdomain, &["A"]),
            (Set::SearchList, &["A", "AAAA"]),
            (Set::Tcp, &["A"]),
        ] {
            let questions = set.questions(CLUSTER);
            assert!(questions.lines().count() >= PICKS as usize);
            for line in questions.lines() {
                let (name, kind) = line.split_once(' ').unwrap();
                assert!(name.ends_with(".cluster.local") && kinds.contains(&kind), "{set:?}: {line}");
            }
        }
    }

    #[test]
    fn search_lists_are_walked_to_their_end() {
        let questions = Set::SearchList.questions(CLUSTER);
        let lines: Vec<&str> = questions.lines().collect();
        let first = lines.iter().position(|line| line.starts_with("api")).unwrap();
        let names: Vec<&str> = lines[first..first + 6].iter().filter_map(|line| line.strip_suffix(" AAAA")).collect();
        let host = names[2].strip_suffix(".cluster.local").unwrap();
        assert!(names[0].starts_with(&format!("{host}.ns")) && names[0].ends_with(".svc.cluster.local"));
        assert_eq!(names[1], format!("{host}.svc.cluster.local"));
    }

    #[test]
    fn every_kind_of_service_is_asked_for() {
        let questions = Set::A.questions(CLUSTER);
        let mut names: Vec<&str> = questions.lines().collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 1_000);
    }
}
