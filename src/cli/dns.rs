//! The flags of DNS.

mod protection;

pub(crate) use protection::DnsProtectionFlags;

use super::cluster::namespace;
use super::{ObjectSourceFlags, ProbeFlags, ProcessFlags, address};
use clap::{Args, ValueEnum};
use config::{DomainName, LabelSelector, parse_duration};
use dns::{RecordType, TypeName};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

/// `tidegate dns`.
#[derive(Debug, Clone, Args)]
pub(crate) struct DnsFlags {
    #[command(flatten)]
    pub(crate) objects: ObjectSourceFlags,
    #[command(flatten)]
    pub(crate) named: NamedFlags,
    /// Address for DNS over UDP and TCP, with or without a port (repeatable); `[::]:53` is every address of the host, IPv4 too
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "TIDEGATE_DNS_BIND",
        default_value = "[::]:53",
        value_delimiter = ',',
        value_parser = bound
    )]
    pub(crate) dns_bind: Vec<SocketAddr>,
    /// Zone of the cluster's names
    #[arg(
        long,
        value_name = "NAME",
        env = "TIDEGATE_CLUSTER_DOMAIN",
        default_value = "cluster.local",
        conflicts_with = "corefile"
    )]
    pub(crate) cluster_domain: DomainName,
    #[command(flatten)]
    pub(crate) answers: DnsAnswerFlags,
    #[command(flatten)]
    pub(crate) probes: ProbeFlags,
    /// Time from SIGTERM in which questions are still answered, while /ready fails and /health does not [default: 5s;
    /// with a Corefile what that says, 0s where it says nothing]
    #[arg(long, value_name = "TIME", env = "TIDEGATE_LAMEDUCK", allow_hyphen_values = true, value_parser = parse_duration)]
    pub(crate) lameduck: Option<Duration>,
    /// Address of the admin endpoint, which shows all that is known [default: none]
    #[arg(long, value_name = "ADDRESS", env = "TIDEGATE_ADMIN_BIND", value_parser = address)]
    pub(crate) admin_bind: Option<SocketAddr>,
    #[command(flatten)]
    pub(crate) process: ProcessFlags,
}

/// What DNS answers.
#[derive(Debug, Clone, Args)]
pub(crate) struct DnsAnswerFlags {
    /// Configuration of CoreDNS, which is all that DNS does then, and where; followed if it has `reload`
    #[arg(
        long,
        value_name = "FILE",
        env = "TIDEGATE_COREFILE",
        conflicts_with_all = ["dns_bind", "dns_upstream", "dns_ttl", "dns_cache_ttl", "dns_pods", "dns_clusterset_domain"]
    )]
    pub(crate) corefile: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) zone: ZoneFlags,
    /// The longest that resolvers' answers are kept; 0s: not at all
    #[arg(long, value_name = "TIME", env = "TIDEGATE_DNS_CACHE_TTL", default_value = "30s", allow_hyphen_values = true, value_parser = parse_duration)]
    pub(crate) dns_cache_ttl: Duration,
    /// Questions a second that one client may ask, an address of IPv4 or a /64 of IPv6; more are refused [default: no
    /// limit]
    #[arg(long, value_name = "NUMBER", env = "TIDEGATE_DNS_CLIENT_LIMIT", value_parser = client_limit)]
    pub(crate) dns_client_limit: Option<NonZeroU32>,
    #[command(flatten)]
    pub(crate) protection: DnsProtectionFlags,
}

/// What is said of names, and who is asked for others.
#[derive(Debug, Clone, Args)]
pub(crate) struct ZoneFlags {
    /// Resolver for names outside the zone, with or without a port (repeatable) [default: the system's]
    #[arg(long, value_name = "ADDRESS", env = "TIDEGATE_DNS_UPSTREAM", value_delimiter = ',', value_parser = upstream)]
    pub(crate) dns_upstream: Vec<SocketAddr>,
    /// Seconds that clients may keep records of the zone
    #[arg(long, value_name = "SECONDS", env = "TIDEGATE_DNS_TTL", default_value_t = 5, value_parser = clap::value_parser!(u32).range(0..=3600))]
    pub(crate) dns_ttl: u32,
    /// Which Pods have names such as 10-0-0-1.shop.pod: none, every address, or those that there are, which are watched
    /// then
    #[arg(long, value_name = "WHICH", env = "TIDEGATE_DNS_PODS", default_value = "insecure")]
    pub(crate) dns_pods: DnsPods,
    /// Zone of the Services of several clusters, such as clusterset.local, whose ServiceImports are watched then [default:
    /// none]
    #[arg(long, value_name = "NAME", env = "TIDEGATE_DNS_CLUSTERSET_DOMAIN")]
    pub(crate) dns_clusterset_domain: Option<DomainName>,
    /// Whose mistakes in answers are kept
    #[arg(long, value_name = "WHOSE", env = "TIDEGATE_DNS_COMPAT", default_value = "none")]
    pub(crate) dns_compat: DnsCompat,
}

/// Which objects have names.
#[derive(Debug, Clone, Args)]
pub(crate) struct NamedFlags {
    /// Label selector of the Services, EndpointSlices, ServiceImports and Pods that have names, such as team=shop
    #[arg(long, value_name = "SELECTOR", env = "TIDEGATE_WATCH_SELECTOR", conflicts_with = "corefile")]
    pub(crate) watch_selector: Option<LabelSelector>,
    /// Label selector of the Namespaces whose names are told
    #[arg(long, value_name = "SELECTOR", env = "TIDEGATE_NAMESPACE_SELECTOR", conflicts_with_all = ["watch_namespace", "corefile"])]
    pub(crate) namespace_selector: Option<LabelSelector>,
}

/// How a name is asked for, and of whom.
#[derive(Debug, Clone, Args)]
pub(crate) struct NameFlags {
    /// Type that is asked for, such as AAAA, SRV, 65 or TYPE65 [default: A; of an address PTR]
    #[arg(long = "type", value_name = "TYPE", value_parser = record_type)]
    pub(crate) record_type: Option<RecordType>,
    /// Namespace of the Pod that asks, and the Pod: its search list is walked, that of its `dnsPolicy` and `dnsConfig`
    #[arg(long, value_name = "NS[/POD]", value_parser = asker)]
    pub(crate) from: Option<Asker>,
    /// Configuration of CoreDNS: which of its blocks answers, what of it has a say, and whom it would ask
    #[arg(long, value_name = "FILE")]
    pub(crate) corefile: Option<PathBuf>,
    /// Address that is asked, with a port or without, which is the name server's own [default: of a Corefile, the first
    /// one with a block for the name]
    #[arg(long, value_name = "ADDRESS", value_parser = asked_at)]
    pub(crate) at: Option<AskedAt>,
    /// Address that the question comes from [default: that of the Pod, or 127.0.0.1 or ::1]
    #[arg(long, value_name = "ADDRESS", requires = "corefile")]
    pub(crate) client: Option<IpAddr>,
    /// Domain of the node's own search list, which its Pods search too (repeatable)
    #[arg(long, value_name = "DOMAIN")]
    pub(crate) search: Vec<DomainName>,
    #[command(flatten)]
    pub(crate) zone: ZoneFlags,
    #[command(flatten)]
    pub(crate) named: NamedFlags,
    /// Namespace that a server watches (repeatable) [default: all]
    #[arg(
        long,
        value_name = "NS",
        env = "TIDEGATE_WATCH_NAMESPACE",
        value_delimiter = ',',
        value_parser = namespace,
        conflicts_with = "corefile"
    )]
    pub(crate) watch_namespace: Vec<String>,
}

/// Who is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AskedAt {
    pub(crate) ip: IpAddr,
    /// `None`: whatever there is.
    pub(crate) port: Option<u16>,
}

fn asked_at(text: &str) -> Result<AskedAt, String> {
    let whole = text.parse().map(|address: SocketAddr| AskedAt { ip: address.ip(), port: Some(address.port()) });
    let in_brackets = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(IpAddr::V6);
    let alone = || text.parse().ok().or_else(in_brackets).map(|ip| AskedAt { ip, port: None });
    whole.ok().or_else(alone).ok_or_else(|| "not an address such as 10.96.0.10 or 127.0.0.1:5353".to_owned())
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asker {
    pub(crate) namespace: DomainName,
    /// `None`: any Pod of the namespace.
    pub(crate) pod: Option<String>,
}

/// `shop`, or `shop/web-0` of one Pod.
impl fmt::Display for Asker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pod = self.pod.as_ref().map(|pod| format!("/{pod}")).unwrap_or_default();
        write!(f, "{}{pod}", self.namespace)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DnsPods {
    Disabled,
    Insecure,
    Verified,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DnsCompat {
    None,
    Coredns,
}

fn record_type(text: &str) -> Result<RecordType, String> {
    let number = match text.split_at_checked(4) {
        Some((start, number)) if start.eq_ignore_ascii_case("TYPE") => number,
        _ => text,
    };
    let numbered = number.parse().ok().map(|number: u16| RecordType::from(number));
    let record_type = numbered.or_else(|| TypeName::named(text).map(|TypeName(named)| named));
    record_type.ok_or_else(|| "not a type of records such as A, AAAA, SRV, PTR or TYPE65".to_owned())
}

fn asker(text: &str) -> Result<Asker, String> {
    let (namespace, pod) = text.split_once('/').map_or((text, None), |(namespace, pod)| (namespace, Some(pod)));
    let namespace = namespace.parse().ok().filter(|namespace: &DomainName| namespace.labels().count() == 1);
    // A Pod's name may hold dots.
    let is_pod = pod.is_none_or(|pod| pod.parse::<DomainName>().is_ok());
    let asker = namespace.filter(|_| is_pod).map(|namespace| Asker { namespace, pod: pod.map(str::to_owned) });
    asker.ok_or_else(|| "not NS or NS/POD, such as shop or shop/web-0".to_owned())
}

fn client_limit(text: &str) -> Result<NonZeroU32, String> {
    let limit = text.parse().ok().filter(|limit: &NonZeroU32| limit.get() <= dns::Bounds::MOST_PER_CLIENT);
    limit.ok_or_else(|| format!("not a number from 1 to {}", dns::Bounds::MOST_PER_CLIENT))
}

/// The port of DNS (RFC 1035 §4.2).
const DNS: u16 = 53;

fn bound(text: &str) -> Result<SocketAddr, String> {
    let address = text.parse().ok().or_else(|| text.parse().ok().map(|ip| SocketAddr::new(ip, DNS)));
    address.ok_or_else(|| "not an address such as 10.96.0.10, fd00::a or [::]:53".to_owned())
}

fn upstream(text: &str) -> Result<SocketAddr, String> {
    let with_port = text.parse().ok().filter(|address: &SocketAddr| address.port() != 0);
    let address = with_port.or_else(|| text.parse().ok().map(|ip| SocketAddr::new(ip, DNS)));
    address.ok_or_else(|| "not an address such as 1.1.1.1 or 1.1.1.1:53".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_bound_needs_no_port() {
        for (text, expected) in [
            ("10.96.0.10", Some("10.96.0.10:53")),
            ("10.96.0.10:0", Some("10.96.0.10:0")),
            ("fd00:10:96::a", Some("[fd00:10:96::a]:53")),
            ("[fd00:10:96::a]:5353", Some("[fd00:10:96::a]:5353")),
            ("53", None),
            ("[fd00:10:96::a]", None),
            ("", None),
        ] {
            assert_eq!(bound(text).ok().map(|address| address.to_string()).as_deref(), expected, "{text}");
        }
    }
}
