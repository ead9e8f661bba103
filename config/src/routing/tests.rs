use super::*;
use crate::{BackendKey, BackendPort, Kind, ObjectRef};
use proptest::prelude::*;

fn rule(path: PathMatch) -> Rule {
    let object = Arc::new(ObjectRef::new(Kind::Ingress, "default", path.to_string()));
    let backend = BackendKey { namespace: "default".into(), service: "web".into(), port: BackendPort::Number(80) };
    Rule {
        origin: RuleOrigin { object, field: "spec".into() },
        path,
        plain_http: PlainHttp::Serve,
        action: Action::Forward(Split { targets: [Target { weight: 1, backend: backend.into() }].into() }),
        policy: None,
    }
}

fn paths(text: &str) -> Vec<Rule> {
    text.split(", ")
        .map(|path| match path.split_once(' ') {
            Some(("Exact", path)) => rule(PathMatch::Exact(path.into())),
            Some((_, path)) => rule(PathMatch::prefix(path)),
            None => panic!("no type in {path}"),
        })
        .collect()
}

fn met(found: Found<'_>) -> String {
    match found {
        Found::Rule(rule) => rule.path.to_string(),
        Found::Miss(Miss::Path(rules)) => format!("no path of {}", rules.host),
        Found::Miss(miss) => format!("{miss:?}"),
    }
}

#[test]
fn longest_path_wins_and_exact_beats_prefix() {
    let filler: String = (0..20).map(|n| format!(", Exact /filler/{n}")).collect();
    for (rules, requests) in [
        ("Exact /foo", vec![("/foo", "Exact /foo"), ("/foo/", ""), ("/FOO", ""), ("/bar", "")]),
        ("Prefix /foo", vec![("/foo", "Prefix /foo"), ("/foo/", "Prefix /foo"), ("/foobar", ""), ("/FOO", "")]),
        (
            "Prefix /aaa/bbb, Prefix /aaa",
            vec![
                ("/aaa/bbb", "Prefix /aaa/bbb"),
                ("/aaa/bbb/ccc", "Prefix /aaa/bbb"),
                ("/aaa/ccc", "Prefix /aaa"),
                ("/aaaccc", ""),
            ],
        ),
        ("Prefix /foo, Exact /foo", vec![("/foo", "Exact /foo"), ("/foo/bar", "Prefix /foo")]),
        ("Prefix /aaa/bbb/", vec![("/aaa/bbb", "Prefix /aaa/bbb"), ("/aaa/bbb/", "Prefix /aaa/bbb")]),
        ("Exact /foo/", vec![("/foo", ""), ("/foo/", "Exact /foo/")]),
        ("Prefix /, Exact /", vec![("/", "Exact /"), ("/a/b/c", "Prefix /")]),
        ("Prefix /", vec![("*", "")]),
    ] {
        for padding in ["", &filler] {
            let host = HostRules::new(HostPattern::Any, paths(&format!("{rules}{padding}")));
            for (path, expected) in &requests {
                let found = host.find(path).map(|rule| rule.path.to_string()).unwrap_or_default();
                assert_eq!(&found, expected, "{path} among {rules}, {} rules", host.rules().len());
            }
        }
    }
}

#[test]
fn a_host_owns_its_requests() {
    let host = |host: &str, rules: &str| {
        let host = if host == "*" { HostPattern::Any } else { HostPattern::parse(Some(host)).expect("valid") };
        Arc::new(HostRules::new(host, paths(rules)))
    };
    let table: HostTable = [
        host("foo.com", "Prefix /a"),
        host("*.foo.com", "Prefix /b"),
        host("bar.foo.com", "Prefix /c"),
        host("*", "Prefix /"),
    ]
    .into_iter()
    .collect();
    for (host, path, expected) in [
        ("foo.com", "/a", "Prefix /a"),
        ("foo.com", "/b", "no path of foo.com"),
        ("x.foo.com", "/b", "Prefix /b"),
        ("bar.foo.com", "/b", "no path of bar.foo.com"),
        ("y.x.foo.com", "/b", "Prefix /"),
        ("", "/b", "Prefix /"),
    ] {
        assert_eq!(met(table.find(host, path)), expected, "{host}{path}");
    }
}

proptest! {
    /// The index answers as a scan in order of precedence would.
    #[test]
    fn index_and_scan_agree(
        rules in proptest::collection::vec((any::<bool>(), "(/[ab]{1,2}){1,4}/?|/"), 0..40),
        requests in proptest::collection::vec("(/[ab]{1,2}){1,6}/?|/", 1..20),
    ) {
        let rules: Vec<_> = rules
            .into_iter()
            .map(|(exact, path)| rule(if exact { PathMatch::Exact(path.into()) } else { PathMatch::prefix(&path) }))
            .collect();
        let host = HostRules::new(HostPattern::Any, rules);
        let index = Index::new(host.rules());
        for path in requests {
            let scanned = host.rules().iter().position(|rule| rule.path.matches(&path));
            prop_assert_eq!(index.find(&path), scanned, "{}", path);
        }
    }
}

#[test]
fn an_acme_token_is_one_element_of_base64url() {
    for (path, expected) in [
        ("/.well-known/acme-challenge/LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEuX0", true),
        ("/.well-known/acme-challenge/a-b_c", true),
        ("/.well-known/acme-challenge/", false),
        ("/.well-known/acme-challenge", false),
        ("/.well-known/acme-challenge/..;/admin", false),
        ("/.well-known/acme-challenge/x/y", false),
        ("/.well-known/acme-challenge/x%2Fy", false),
        ("/x/.well-known/acme-challenge/x", false),
    ] {
        assert_eq!(is_acme_token(path), expected, "{path}");
    }
}
