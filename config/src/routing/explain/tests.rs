use super::*;
use crate::routing::{Action, Found, HostTable, Listener, PlainHttp, Protocol, Respond, RuleOrigin};
use crate::{Kind, ObjectRef};
use proptest::prelude::*;

/// `host: Exact /a, Prefix /b; …`, `*` being any host.
fn table(text: &str) -> RoutingTable {
    let host = |text: &str| {
        let (host, rules) = text.split_once(": ").expect("a host and its rules");
        let host = HostPattern::parse((host != "*").then_some(host)).expect("a host");
        Arc::new(HostRules::new(host, rules.split(", ").map(rule).collect()))
    };
    table_of(text.split("; ").map(host).collect())
}

fn table_of(hosts: HostTable) -> RoutingTable {
    let (name, protocol) = (ListenerName::Http, Protocol::Http);
    let listener = Listener { name, protocol, certificates: Arc::default(), hosts: Arc::new(hosts) };
    RoutingTable { listeners: vec![listener], client_policies: None }
}

fn rule(text: &str) -> Rule {
    let path = match text.split_once(' ').expect("a type and a path") {
        ("Exact", path) => PathMatch::Exact(path.into()),
        (_, path) => PathMatch::prefix(path),
    };
    let object = Arc::new(ObjectRef::new(Kind::Ingress, "default", "web"));
    let origin = RuleOrigin { object, field: "spec".into() };
    let action = Action::Respond(Respond { status: 503, reason: "resource_backend" });
    Rule { origin, path, plain_http: PlainHttp::Serve, action, policy: None }
}

#[test]
fn each_rule_that_lost_has_its_reason() {
    for (path, rules, met, losses) in [
        ("/foo/bar", "Prefix /foo/bar, Prefix /foo, Prefix /", Some("Prefix /foo/bar"), "Shorter Shorter"),
        ("/foo", "Exact /foo, Prefix /foo", Some("Exact /foo"), "PrefixBesideExact"),
        ("/foobar", "Prefix /foo", None, "WithinElement"),
        ("/foo/bar", "Exact /foo", None, "ExactAbove"),
        ("/foo", "Exact /foo/", None, "TrailingSlash"),
        ("/foo/", "Exact /foo", None, "TrailingSlash"),
        ("/FOO", "Exact /foo, Prefix /fOo", None, "OtherCase OtherCase"),
        ("/foo", "Prefix /foo/bar, Exact /foo/bar", None, "Below Below"),
        ("/", "Prefix /foo", None, "Below"),
        ("/foo", "Prefix /bar, Exact /bar", None, "Unrelated Unrelated"),
    ] {
        let table = table(&format!("a.test: {rules}"));
        let explanation = table.explain(ListenerName::Http, "a.test", path).expect("a listener");
        assert_eq!(explanation.met.map(|rule| rule.path.to_string()).as_deref(), met, "{path} among {rules}");
        let mut said: Vec<_> = explanation.others.iter().map(|(_, loss)| format!("{loss:?}")).collect();
        said.sort();
        assert_eq!(said.join(" "), losses, "{path} among {rules}");
    }
}

#[test]
fn less_specific_hosts_are_named_as_beaten() {
    let table = table("a.test: Exact /x; *.test: Prefix /; *: Prefix /");
    for (host, owner, beaten) in [
        ("a.test", Some("a.test"), "*.test *"),
        ("b.test", Some("*.test"), "*"),
        ("b.c.test", Some("*"), ""),
        ("", Some("*"), ""),
    ] {
        let explanation = table.explain(ListenerName::Http, host, "/").expect("a listener");
        assert_eq!(explanation.owner.map(|owner| owner.host.to_string()).as_deref(), owner, "{host}");
        let said: Vec<_> = explanation.beaten.iter().map(|rules| rules.host.to_string()).collect();
        assert_eq!(said.join(" "), beaten, "{host}");
    }
    assert!(table.explain(ListenerName::Https, "a.test", "/").is_none());
}

const HOSTS: [&str; 4] = ["a.test", "*.test", "b.a.test", "*"];

proptest! {
    /// What is explained is what happens.
    #[test]
    fn explain_and_find_agree(
        rules in proptest::collection::vec((0..4usize, any::<bool>(), "(/[aA]{1,2}){1,3}/?|/"), 0..60),
        requests in proptest::collection::vec(("(a.|b.|c.){0,2}test", "(/[aA]{1,2}){1,4}/?|/"), 1..20),
    ) {
        let hosts = HOSTS.iter().enumerate().filter_map(|(number, host)| {
            let of_host = rules.iter().filter(|(of, ..)| *of == number);
            let of_host: Vec<_> =
                of_host.map(|(_, exact, path)| rule(&format!("{} {path}", if *exact { "Exact" } else { "Prefix" }))).collect();
            let pattern = HostPattern::parse((*host != "*").then_some(*host)).expect("a host");
            (!of_host.is_empty()).then(|| Arc::new(HostRules::new(pattern, of_host)))
        });
        let table = table_of(hosts.collect());
        for (host, path) in requests {
            let explanation = table.explain(ListenerName::Http, &host, &path).expect("a listener");
            let found = match table.find(ListenerName::Http, &host, &path) {
                Found::Rule(rule) => Some(rule),
                Found::Miss(_) => None,
            };
            prop_assert_eq!(explanation.met, found, "{}{}", host, path);
            for (other, loss) in explanation.others {
                let matches = matches!(loss, Loss::Shorter | Loss::PrefixBesideExact);
                prop_assert_eq!(other.path.matches(&path), matches, "{} {:?} for {}", other.path, loss, path);
            }
        }
    }
}
