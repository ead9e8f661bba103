use super::*;
use crate::Kind;

fn certificate(secret: &str, key_kind: KeyKind, names: &[&str]) -> Arc<Certificate> {
    Arc::new(Certificate {
        source: ObjectRef::new(Kind::Secret, "shop", secret),
        chain: vec![Arc::from(secret.as_bytes())],
        key: PrivateKey(Arc::from(&b"secret"[..])),
        key_kind,
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        not_before: 0,
        not_after: 1,
    })
}

fn host(text: &str) -> HostPattern {
    HostPattern::parse(Some(text)).expect("a good host")
}

fn found(table: &CertificateTable, name: Option<&str>) -> String {
    let names: Vec<_> = table.find(name).iter().map(|certificate| certificate.source.name.to_string()).collect();
    names.join(" ")
}

#[test]
fn declared_exactly_then_by_wildcard_then_covered_then_default() {
    let [exact, wild, default] = [
        certificate("exact", KeyKind::Rsa, &["a.com", "san.com", "*.san.com"]),
        certificate("wild", KeyKind::Rsa, &["*.a.com"]),
        certificate("default", KeyKind::Rsa, &["z.com"]),
    ];
    let declared = [(host("a.com"), exact), (host("*.a.com"), wild)];
    let table = CertificateTable::new(declared, vec![default]);
    for (name, expected) in [
        (Some("a.com"), "exact"),
        (Some("b.a.com"), "wild"),
        (Some("c.b.a.com"), "default"),
        (Some("san.com"), "exact"),
        (Some("x.san.com"), "exact"),
        (Some("z.com"), "default"),
        (None, "default"),
    ] {
        assert_eq!(found(&table, name), expected, "{name:?}");
    }
}

#[test]
fn one_certificate_of_each_kind_is_offered() {
    let all = [("rsa", KeyKind::Rsa), ("second", KeyKind::Rsa), ("ecdsa", KeyKind::Ecdsa)];
    let declared = all.map(|(secret, kind)| (host("a.com"), certificate(secret, kind, &["a.com"])));
    assert_eq!(found(&CertificateTable::new(declared, vec![]), Some("a.com")), "ecdsa rsa");
}

#[test]
fn a_certificate_for_no_host_serves_the_names_that_it_covers() {
    let table = CertificateTable::new([(HostPattern::Any, certificate("a", KeyKind::Rsa, &["a.com"]))], vec![]);
    assert_eq!((found(&table, Some("a.com")), found(&table, Some("b.com"))), ("a".to_owned(), String::new()));
    assert_eq!(table.iter().count(), 1);
}

#[test]
fn patching_replaces_and_removes() {
    let [old, new] = ["old", "new"].map(|secret| certificate(secret, KeyKind::Rsa, &["a.com"]));
    let table = CertificateTable::new([(host("a.com"), Arc::clone(&old)), (host("*.b.com"), Arc::clone(&old))], vec![]);
    let patched = table.patched(
        [(host("a.com"), vec![Arc::clone(&new)]), (host("*.b.com"), vec![])],
        [(host("a.com"), vec![Arc::clone(&new)])],
        vec![Arc::clone(&new)],
    );
    let patched = patched.expect("there are differences");
    assert_eq!(found(&patched, Some("a.com")), "new");
    assert_eq!(found(&patched, Some("x.b.com")), "new", "by default");
    assert_eq!(patched.iter().map(|certificate| &*certificate.source.name).collect::<Vec<_>>(), ["new"]);
    assert_eq!(found(&table, Some("a.com")), "old", "the table before is as it was");
    assert!(
        table.patched([(host("a.com"), vec![old]), (host("c.com"), vec![])], [], vec![]).is_none(),
        "no difference"
    );
}
