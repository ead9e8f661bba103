//! What a resolver asks for a name that has no dot at its end: resolv.conf(5), as the kubelet writes it for Pods.

use config::DomainName;
use dns::Name;

/// A name with fewer dots is asked for with the search list first (`options ndots:5`).
const NDOTS: usize = 5;

/// The search list of the Pods of a namespace; `node`: what that of their node has.
pub(super) fn list(namespace: &DomainName, zone: &DomainName, node: Vec<DomainName>) -> Vec<DomainName> {
    let own = [format!("{namespace}.svc.{zone}"), format!("svc.{zone}"), zone.to_string()];
    // What is too long for a name is in no list.
    let own = own.into_iter().filter_map(|domain| domain.parse().ok());
    own.chain(node).collect()
}

/// The names that are asked for, one after the other until one has an answer: what with a domain is too long for a
/// name is left out.
pub(super) fn questions(name: &str, list: &[DomainName]) -> Vec<Name> {
    let absolute = |name: &str| Name::from_ascii(format!("{}.", name.trim_end_matches('.'))).ok();
    let as_it_is = absolute(name);
    if name.ends_with('.') || list.is_empty() {
        return as_it_is.into_iter().collect();
    }
    let searched = list.iter().filter_map(|domain| absolute(&format!("{name}.{domain}")));
    let dots = name.bytes().filter(|byte| *byte == b'.').count();
    if dots >= NDOTS { as_it_is.into_iter().chain(searched).collect() } else { searched.chain(as_it_is).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(name: &str) -> Vec<String> {
        let parse = |domain: &str| domain.parse().unwrap();
        let list = list(&parse("shop"), &parse("cluster.local"), vec![parse("example.org")]);
        questions(name, &list).iter().map(Name::to_string).collect()
    }

    #[test]
    fn names_with_few_dots_are_searched_for_first() {
        let searched = |name: &str| {
            ["shop.svc.cluster.local.", "svc.cluster.local.", "cluster.local.", "example.org."]
                .map(|domain| format!("{name}.{domain}"))
        };
        assert_eq!(asked("web"), [&searched("web")[..], &["web.".to_owned()]].concat());
        assert_eq!(asked("a.b.c.d.e"), [&searched("a.b.c.d.e")[..], &["a.b.c.d.e.".to_owned()]].concat());
        assert_eq!(asked("a.b.c.d.e.f"), [&["a.b.c.d.e.f.".to_owned()], &searched("a.b.c.d.e.f")[..]].concat());
        assert_eq!(asked("web."), ["web."]);
        let long = ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(48)].join(".");
        assert_eq!(asked(&long), [format!("{long}.example.org."), format!("{long}.")]);
    }
}
