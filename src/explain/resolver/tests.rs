use super::*;

fn parse(domain: &str) -> DomainName {
    domain.parse().expect("a name")
}

/// That of a Pod of `shop` that says `own`, on a node with the domain `example.org`; the cluster's DNS is at 10.96.0.10.
fn resolver(own: &PodResolver) -> Resolver {
    let node = [parse("example.org")];
    Resolver::new(own, (&parse("shop"), &parse("cluster.local")), &node, |server| server == "10.96.0.10")
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn asked(own: &PodResolver, name: &str) -> Vec<String> {
    let mut search = resolver(own).search_for(name).expect("a name");
    // Nobody says that any of them exists.
    std::iter::from_fn(|| search.next_name()).map(|name| name.to_string()).collect()
}

#[test]
fn names_with_few_dots_are_searched_for_first() {
    let plain = PodResolver::default();
    let searched = |name: &str| {
        ["shop.svc.cluster.local.", "svc.cluster.local.", "cluster.local.", "example.org."]
            .map(|domain| format!("{name}.{domain}"))
    };
    let asked = |name| asked(&plain, name);
    assert_eq!(asked("web"), [&searched("web")[..], &["web.".to_owned()]].concat());
    assert_eq!(asked("a.b.c.d.e"), [&searched("a.b.c.d.e")[..], &["a.b.c.d.e.".to_owned()]].concat());
    assert_eq!(asked("a.b.c.d.e.f"), [&["a.b.c.d.e.f.".to_owned()], &searched("a.b.c.d.e.f")[..]].concat());
    assert_eq!(asked("web."), ["web."]);
    let long = ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(48)].join(".");
    assert_eq!(asked(&long), [format!("{long}.")]);
    let on_node = PodResolver { policy: PodDnsPolicy::Node, ..PodResolver::default() };
    let deep = PodResolver {
        ndots: Some("5".to_owned()),
        searches: words(&["much.too.long.example", "b.example"]),
        ..on_node
    };
    assert_eq!(self::asked(&deep, &long), [format!("{long}.example.org."), format!("{long}.")]);
}

#[test]
fn the_list_is_that_of_the_policy_and_what_the_pod_adds() {
    let searches = || words(&["corp.example", "cluster.local", "corp.example"]);
    for (policy, expected) in [
        (
            PodDnsPolicy::Cluster,
            &["shop.svc.cluster.local", "svc.cluster.local", "cluster.local", "example.org", "corp.example"][..],
        ),
        (PodDnsPolicy::Node, &["example.org", "corp.example", "cluster.local"]),
        (PodDnsPolicy::NodeByNetwork, &["example.org", "corp.example", "cluster.local"]),
        (PodDnsPolicy::Own, &["corp.example", "cluster.local"]),
    ] {
        let own = PodResolver { policy, searches: searches(), ..PodResolver::default() };
        assert_eq!(resolver(&own).search, expected, "{policy:?}");
    }
    let root = PodResolver { policy: PodDnsPolicy::Own, searches: words(&["."]), ..PodResolver::default() };
    assert_eq!(asked(&root, "web"), ["web."]);
}

#[test]
fn ndots_is_what_the_pod_says_or_its_policy() {
    for (policy, ndots, expected) in [
        (PodDnsPolicy::Cluster, None, 5),
        (PodDnsPolicy::Cluster, Some("2"), 2),
        (PodDnsPolicy::Cluster, Some("99"), 15),
        (PodDnsPolicy::Cluster, Some("many"), 0),
        (PodDnsPolicy::Cluster, Some(""), 1),
        (PodDnsPolicy::Node, None, 1),
        (PodDnsPolicy::Own, None, 1),
        (PodDnsPolicy::Own, Some("3"), 3),
    ] {
        let own = PodResolver { policy, ndots: ndots.map(str::to_owned), ..PodResolver::default() };
        assert_eq!(resolver(&own).ndots, expected, "{policy:?} {ndots:?}");
    }
    let own = PodResolver { ndots: Some("1".to_owned()), ..PodResolver::default() };
    assert_eq!(asked(&own, "web.shop").first().map(String::as_str), Some("web.shop."));
    assert_eq!(asked(&own, "web").last().map(String::as_str), Some("web."));
}

#[test]
fn what_is_too_much_is_left_out_and_told() {
    let own = |searches: Vec<String>| PodResolver { policy: PodDnsPolicy::Own, searches, ..PodResolver::default() };
    let left_out = |own: &PodResolver| {
        let Resolver { search, notes, .. } = resolver(own);
        let told = notes.iter().find_map(|note| note.strip_prefix("the kubelet leaves out of the search list"));
        (search.len(), told.and_then(|told| Some(told.rsplit_once(": ")?.1.to_owned())))
    };
    let many: Vec<_> = (0..33).map(|nth| format!("d{nth}.example")).collect();
    assert_eq!(left_out(&own(many[..32].to_vec())), (32, None));
    assert_eq!(left_out(&own(many)), (32, Some("d32.example".to_owned())));
    // 20 names of 101 characters and the spaces between them are 2,039 characters.
    let long = |nth: usize, length: usize| format!("{}{nth:02}", "x".repeat(length - 2));
    let list = |last: usize| own((0..20).map(|nth| long(nth, 101)).chain([long(20, last)]).collect());
    assert_eq!(left_out(&list(8)), (21, None));
    assert_eq!(left_out(&list(9)), (20, Some(long(20, 9))));
    let endless = "x".repeat(254);
    assert_eq!(left_out(&own(vec![endless.clone(), "a.example".to_owned()])), (1, Some(endless)));
}

#[test]
fn whom_a_pod_asks_is_told_where_it_is_not_the_cluster_alone() {
    let said = |policy, servers: &[&str]| {
        let own = PodResolver { policy, nameservers: words(servers), ..PodResolver::default() };
        let Resolver { is_elsewhere, notes, .. } = resolver(&own);
        (is_elsewhere, notes.join("; "))
    };
    assert_eq!(said(PodDnsPolicy::Cluster, &[]), (false, String::new()));
    assert_eq!(said(PodDnsPolicy::Cluster, &["10.96.0.10"]), (false, String::new()));
    assert_eq!(said(PodDnsPolicy::Own, &["10.96.0.10"]), (false, String::new()));
    for (policy, servers, is_elsewhere, part) in [
        (PodDnsPolicy::Cluster, &["9.9.9.9"][..], false, "dnsConfig: the Pod asks 9.9.9.9 too"),
        (PodDnsPolicy::Own, &["10.96.0.10", "9.9.9.9"], false, "dnsPolicy None: the Pod asks 9.9.9.9 too"),
        (
            PodDnsPolicy::Own,
            &["1.1.1.1", "9.9.9.9"],
            true,
            "dnsPolicy None: the Pod asks 1.1.1.1, 9.9.9.9, which no Service",
        ),
        (PodDnsPolicy::Own, &["a", "b", "c", "10.96.0.10"], true, "the kubelet leaves out 10.96.0.10"),
        (PodDnsPolicy::Own, &[], true, "the Pod asks nobody"),
        (PodDnsPolicy::Cluster, &["a", "b", "c"], false, "the kubelet leaves out c"),
        (
            PodDnsPolicy::Node,
            &["1.1.1.1"],
            true,
            "dnsPolicy Default: the Pod asks the resolvers of its node, then 1.1.1.1",
        ),
        (
            PodDnsPolicy::NodeByNetwork,
            &[],
            true,
            "hostNetwork with dnsPolicy ClusterFirst: the Pod asks the resolvers of",
        ),
    ] {
        let (elsewhere, notes) = said(policy, servers);
        assert_eq!(elsewhere, is_elsewhere, "{policy:?} {servers:?}");
        assert!(notes.contains(part), "{policy:?} {servers:?}: {notes}");
    }
}
