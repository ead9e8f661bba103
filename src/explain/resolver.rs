//! What a Pod's resolver asks for a name that has no dot at its end, and whom: resolv.conf(5), as the kubelet writes it for
//! that Pod.

use super::search::{Names, Search};
use config::{DomainName, DomainNameError};
use controller::object::{PodDnsPolicy, PodResolver};
use dns::Name;
use std::collections::VecDeque;

/// Domains of a search list, and characters of each and of all (kubelet, `validation.MaxDNSSearchPaths` and the like).
const DOMAINS: usize = 32;
const DOMAIN_LENGTH: usize = 253;
const LIST_LENGTH: usize = 2048;
/// Servers that a resolver asks (`MAXNS`), which the kubelet cuts to.
const SERVERS: usize = 3;
/// What `ClusterFirst` has, what resolvers take without a word, and the most that they take (`RES_MAXNDOTS`).
const CLUSTER_NDOTS: usize = 5;
const USUAL_NDOTS: usize = 1;
const MOST_NDOTS: usize = 15;

/// The resolv.conf of a Pod, as far as it can be known.
#[derive(Debug, Default)]
pub(super) struct Resolver {
    pub(super) search: Vec<String>,
    /// A name with fewer dots is asked for with the search list first.
    pub(super) ndots: usize,
    /// Whether it asks others, and the cluster's DNS not at all.
    pub(super) is_elsewhere: bool,
    /// What there is to say of it.
    pub(super) notes: Vec<String>,
}

impl Resolver {
    /// That of the Pods of a namespace that say `own`; `node`: the search list of their node. `is_here`: whether that is
    /// an address of the cluster's DNS.
    pub(super) fn new(
        own: &PodResolver,
        (namespace, zone): (&DomainName, &DomainName),
        node: &[DomainName],
        is_here: impl Fn(&str) -> bool,
    ) -> Self {
        let of_cluster = [format!("{namespace}.svc.{zone}"), format!("svc.{zone}"), zone.to_string()];
        let of_cluster = of_cluster.into_iter().filter(|_| own.policy == PodDnsPolicy::Cluster);
        let of_node = node.iter().filter(|_| own.policy != PodDnsPolicy::Own).map(DomainName::to_string);
        let mut resolver = Self {
            ndots: ndots(own),
            is_elsewhere: match own.policy {
                PodDnsPolicy::Cluster => false,
                PodDnsPolicy::Node | PodDnsPolicy::NodeByNetwork => true,
                PodDnsPolicy::Own => !own.nameservers.iter().take(SERVERS).any(|server| is_here(server)),
            },
            ..Self::default()
        };
        resolver.note_servers(own, is_here);
        resolver.take(of_cluster.chain(of_node).chain(own.searches.iter().cloned()));
        resolver
    }

    /// Takes of a list, each domain once, what the kubelet takes.
    fn take(&mut self, domains: impl Iterator<Item = String>) {
        let mut known: Vec<String> = Vec::new();
        for domain in domains {
            if !known.contains(&domain) {
                known.push(domain);
            }
        }
        let (mut length, mut left_out) = (0, Vec::new());
        for (nth, domain) in known.into_iter().enumerate() {
            let with_it = length + domain.len() + usize::from(length > 0);
            // What is too long for a name takes a place all the same; after what is too much for the list nothing fits.
            if nth >= DOMAINS || domain.len() > DOMAIN_LENGTH {
                left_out.push(domain);
            } else if with_it > LIST_LENGTH {
                length = LIST_LENGTH;
                left_out.push(domain);
            } else {
                length = with_it;
                self.search.push(domain);
            }
        }
        if !left_out.is_empty() {
            self.notes.push(format!(
                "the kubelet leaves out of the search list, which has {DOMAINS} domains of {DOMAIN_LENGTH} characters \
                 and {LIST_LENGTH} in all at most: {}",
                left_out.join(" ")
            ));
        }
    }

    /// Says who is asked, where that is not the cluster's DNS alone.
    fn note_servers(&mut self, own: &PodResolver, is_here: impl Fn(&str) -> bool) {
        let of_policy = usize::from(own.policy != PodDnsPolicy::Own);
        let mut servers: Vec<_> = own.nameservers.iter().map(String::as_str).collect();
        let left_out = servers.split_off(servers.len().min(SERVERS - of_policy));
        let others: Vec<_> = servers.iter().copied().filter(|server| !is_here(server)).collect();
        let why = match own.policy {
            PodDnsPolicy::Node => "dnsPolicy Default",
            PodDnsPolicy::NodeByNetwork => "hostNetwork with dnsPolicy ClusterFirst",
            PodDnsPolicy::Own => "dnsPolicy None",
            PodDnsPolicy::Cluster => "dnsConfig",
        };
        self.notes.extend(match own.policy {
            PodDnsPolicy::Node | PodDnsPolicy::NodeByNetwork => {
                let too = if servers.is_empty() { String::new() } else { format!(", then {}", servers.join(", ")) };
                Some(format!(
                    "{why}: the Pod asks the resolvers of its node{too}, and what they say counts, not what is said here; \
                     the node's resolv.conf is not known here: --search says its domains, and its options may say another \
                     ndots"
                ))
            }
            PodDnsPolicy::Own if self.is_elsewhere => Some(format!(
                "{why}: the Pod asks {}, which no Service here with the port 53 has, and what it says counts, not what is \
                 said here",
                if others.is_empty() { "nobody".to_owned() } else { others.join(", ") }
            )),
            PodDnsPolicy::Own | PodDnsPolicy::Cluster => (!others.is_empty()).then(|| {
                format!(
                    "{why}: the Pod asks {} too: glibc one server after the other until one answers, musl all at once",
                    others.join(", ")
                )
            }),
        });
        if !left_out.is_empty() {
            self.notes.push(format!("of more than {SERVERS} servers the kubelet leaves out {}", left_out.join(", ")));
        }
    }

    /// The search for a name.
    ///
    /// # Errors
    /// It is none.
    pub(super) fn search_for(&self, name: &str) -> Result<Search, DomainNameError> {
        let absolute = |text: &str| self::name(&format!("{}.", text.trim_end_matches('.')));
        let as_it_is = absolute(name)?;
        let (mut listed, mut unfit) = (VecDeque::new(), None);
        for domain in self.search.iter().filter(|_| !name.ends_with('.')) {
            match absolute(&format!("{name}.{domain}")) {
                Ok(name) => listed.push_back(name),
                Err(_) => {
                    unfit = Some(domain.clone());
                    break;
                }
            }
        }
        let is_dotted = name.bytes().filter(|byte| *byte == b'.').count() >= self.ndots;
        Ok(Search::new(Names { as_it_is, listed, unfit, is_dotted }))
    }
}

/// A name to ask for: what is a name in manifests and in a Corefile, and what else DNS has a spelling for, as `*.example`
/// and `a\.b.example` (RFC 1035 §5.1).
pub(super) fn name(text: &str) -> Result<Name, DomainNameError> {
    if text.is_empty() {
        return Err(DomainNameError::Empty);
    }
    if text.contains(['\\', '/']) {
        // hickory takes the numbers of escapes for octal ones, and a slash for none of a name (RFC 2317).
        return dns::spelled_name(text).ok_or(DomainNameError::BadLabel);
    }
    Name::from_ascii(text).or_else(|_| {
        text.parse::<DomainName>()?;
        // It has a label that begins with a hyphen, which nobody may be called but anybody may ask for.
        let labels = text.strip_suffix('.').unwrap_or(text).split('.').map(str::as_bytes);
        Name::from_labels(labels).map_err(|_| DomainNameError::TooLong)
    })
}

/// What is no number counts as 0, as atoi(3) has it; an option without a value is none.
fn ndots(own: &PodResolver) -> usize {
    match own.ndots.as_deref() {
        None if own.policy == PodDnsPolicy::Cluster => CLUSTER_NDOTS,
        None | Some("") => USUAL_NDOTS,
        Some(number) => number.parse().unwrap_or(0).min(MOST_NDOTS),
    }
}

#[cfg(test)]
mod tests;
