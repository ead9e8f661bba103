use super::*;
use crate::Kind;

fn host(text: &str) -> HostPattern {
    HostPattern::parse(Some(text)).expect("a good host")
}

fn policy(secret: &str) -> Arc<ClientPolicy> {
    let source = ObjectRef::new(Kind::Secret, "shop", secret);
    let anchor = TrustAnchor { subject: secret.into(), not_after: 1, der: Arc::from(secret.as_bytes()) };
    Arc::new(ClientPolicy { source, trust_anchors: vec![anchor] })
}

fn table(policies: &[(&str, &str)]) -> ClientPolicyTable {
    let mut table = ClientPolicyTable::default();
    policies.iter().for_each(|(pattern, secret)| table.put(&host(pattern), Some(policy(secret))));
    table
}

/// The Secret for a name whose requests go to the rules of that host; `-`: to none.
fn found(table: &ClientPolicyTable, owner: &str, name: &str) -> String {
    let owner = (owner != "-").then(|| host(owner));
    table.find(owner.as_ref(), name).map_or_else(String::new, |policy| policy.source.name.to_string())
}

#[test]
fn the_policy_is_that_of_the_host_whose_rules_serve() {
    let table = table(&[("a.com", "exact"), ("*.b.com", "wild"), ("", "any")]);
    for (owner, name, expected) in [
        ("a.com", "a.com", "exact"),
        ("*.b.com", "x.b.com", "wild"),
        ("x.b.com", "x.b.com", ""),
        ("", "c.com", "any"),
        ("", "", "any"),
        ("c.com", "c.com", ""),
        ("*.c.com", "x.c.com", ""),
    ] {
        assert_eq!(found(&table, owner, name), expected, "{name} of {owner:?}");
    }
}

#[test]
fn a_narrower_host_without_rules_replaces_no_policy() {
    let table = table(&[("x.a.com", "narrow"), ("*.a.com", "wild"), ("y.b.com", "lone")]);
    assert_eq!(found(&table, "*.a.com", "x.a.com"), "wild");
    assert_eq!(found(&table, "*.b.com", "y.b.com"), "lone", "it protects what nothing else does");
    assert_eq!(found(&table, "", "y.b.com"), "lone");
    assert_eq!(found(&table, "", "z.a.com"), "wild");
}

#[test]
fn names_that_no_rules_own_have_the_most_specific_policy() {
    let table = table(&[("x.a.com", "exact"), ("*.a.com", "wild"), ("", "any")]);
    for (name, expected) in [("x.a.com", "exact"), ("y.a.com", "wild"), ("a.com", "any"), ("z.y.a.com", "any")] {
        assert_eq!(found(&table, "-", name), expected, "{name}");
    }
}

#[test]
fn what_is_put_can_be_removed() {
    let hosts = ["a.com", "*.a.com", ""];
    let mut table = table(&hosts.map(|host| (host, "ca")));
    assert_eq!(table.iter().count(), 3);
    for pattern in hosts {
        assert!(!table.is_empty());
        table.put(&host(pattern), None);
        assert!(table.of(&host(pattern)).is_none());
    }
    assert!(table.is_empty());
}
