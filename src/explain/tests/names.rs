//! Names: what DNS answers and why, on the way that a Pod's resolver takes.

use super::said_of;
use crate::cli::{Cli, Command};
use crate::explain::explain;
use clap::Parser;

const MANIFESTS: &str = r#"
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.0.0.1, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {clusterIP: None}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: db-1, namespace: shop, labels: {kubernetes.io/service-name: db}}
addressType: IPv4
endpoints:
- {addresses: [10.1.0.1], conditions: {ready: false}}
- {addresses: [10.1.0.2], conditions: {ready: false}}
---
apiVersion: v1
kind: Service
metadata: {name: mail, namespace: shop}
spec: {type: ExternalName, externalName: mail.example.org}
---
apiVersion: v1
kind: Service
metadata: {name: odd, namespace: shop}
spec: {type: ExternalName, externalName: 192.0.2.1}
---
apiVersion: v1
kind: Namespace
metadata: {name: blog}
---
apiVersion: multicluster.x-k8s.io/v1beta1
kind: ServiceImport
metadata: {name: cart, namespace: shop}
spec: {type: Headless, ports: []}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: cart-east
  namespace: shop
  labels: {multicluster.kubernetes.io/service-name: cart, multicluster.kubernetes.io/source-cluster: east}
addressType: IPv4
endpoints: [{addresses: [10.2.0.1], hostname: cart-0}]
---
apiVersion: multicluster.x-k8s.io/v1alpha1
kind: ServiceImport
metadata: {name: stock, namespace: shop}
spec: {type: ClusterSetIP, ports: [{port: 80}]}
---
apiVersion: v1
kind: Pod
metadata: {name: front-0, namespace: blog}
spec: {dnsPolicy: ClusterFirst}
status: {phase: Running, podIP: 10.1.0.9}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {dns: "on"}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: blog}
spec: {clusterIP: 10.0.0.3, ports: [{port: 80}]}
---
apiVersion: v1
kind: Namespace
metadata: {name: bare}
"#;

/// The zone of several clusters.
const SET: [&str; 2] = ["--dns-clusterset-domain", "clusterset.local"];

pub(super) fn said(arguments: &[&str]) -> String {
    said_of(MANIFESTS, arguments)
}

pub(super) fn error(arguments: &[&str]) -> String {
    let fixed = ["tidegate", "explain", "--manifests", "/nowhere"];
    let cli = match Cli::try_parse_from(fixed.iter().chain(arguments)) {
        Ok(cli) => cli,
        Err(error) => return error.to_string(),
    };
    let Command::Explain(flags) = cli.command else { panic!("explain") };
    format!("{:#}", explain(*flags).expect_err("refused"))
}

#[test]
fn a_name_that_is_whole_is_one_question() {
    assert_eq!(
        said(&["WEB.shop.svc.cluster.local"]),
        "name WEB.shop.svc.cluster.local
type A

WEB.shop.svc.cluster.local. NOERROR
Service shop/web has addresses of its own (shop.yaml:2)
WEB.shop.svc.cluster.local. 5 IN A 10.0.0.1

answer that to WEB.shop.svc.cluster.local.
"
    );
}

#[test]
fn the_search_list_of_a_pod_is_walked_to_the_first_answer() {
    assert_eq!(
        said(&["web.shop", "--from", "blog/front-0", "--search", "example.org"]),
        "name web.shop
type A
asked by Pod blog/front-0
search blog.svc.cluster.local svc.cluster.local cluster.local example.org
ndots 5

web.shop.blog.svc.cluster.local. NXDOMAIN
there is no Service blog/shop
web.shop.svc.cluster.local. NOERROR
Service shop/web has addresses of its own (shop.yaml:2)
web.shop.svc.cluster.local. 5 IN A 10.0.0.1

answer that to web.shop.svc.cluster.local.
"
    );
}

#[test]
fn a_name_from_outside_shows_what_a_search_list_costs() {
    assert_eq!(
        said(&["example.com", "--from", "shop", "--search", "corp.example", "--dns-upstream", "10.0.0.53"]),
        "name example.com
type A
asked by Pods of shop
search shop.svc.cluster.local svc.cluster.local cluster.local corp.example
ndots 5

example.com.shop.svc.cluster.local. NXDOMAIN
there is no Service shop/com
example.com.svc.cluster.local. NXDOMAIN
there is no namespace com
example.com.cluster.local. NXDOMAIN
no name of the zone has this form
example.com.corp.example. upstream
outside of the cluster's zone
it is asked of 10.0.0.53:53
example.com. upstream
outside of the cluster's zone
it is asked of 10.0.0.53:53

answer what upstreams say to example.com.corp.example., or where they have nothing, to the questions after it
"
    );
    let whole = said(&["example.com.", "--from", "shop"]);
    assert!(whole.contains("\nexample.com. upstream\n") && !whole.contains("example.com.shop"), "{whole}");
    assert!(whole.contains("it is asked of the resolvers of the machine that Tidegate runs on"), "{whole}");
}

#[test]
fn what_is_not_answered_says_why() {
    for (arguments, expected) in [
        (
            vec!["db.shop.svc.cluster.local"],
            "the headless Service shop/db has no ready endpoint: of 2 addresses in its EndpointSlices none is ready \
             (shop.yaml:7)",
        ),
        (vec!["db.shop.svc.cluster.local"], "answer none (NXDOMAIN)"),
        (
            vec!["odd.shop.svc.cluster.local"],
            "Service shop/odd has no names: DNS cannot lead to what its externalName is (shop.yaml:25)",
        ),
        (vec!["web.shop.svc.cluster.local", "--type", "aaaa"], "the name exists, and has no AAAA record"),
        (vec!["web.shop.svc.cluster.local", "--type", "aaaa"], "answer none (NOERROR)"),
        // RFC 3597 §5.
        (vec!["web.shop.svc.cluster.local", "--type", "TYPE65"], "the name exists, and has no HTTPS record"),
        (vec!["web.shop.svc.cluster.local", "--type", "65"], "type HTTPS"),
        (vec!["web.shop.svc.cluster.local", "--type", "type999"], "the name exists, and has no TYPE999 record"),
        (vec!["web.shop.svc.cluster.local", "--type", "999", "--output", "json"], "\"type\": \"TYPE999\","),
        (vec!["web.shop.svc.cluster.local", "--type", "254"], "no name has records of the type MAILA"),
        (
            vec!["web.shop.svc.cluster.local", "--type", "IXFR"],
            "IXFR is for whole zones, which those get whom a transfer names, and is not explained",
        ),
        (vec!["web.shop.svc.cluster.local", "--type", "loc"], "the name exists, and has no LOC record"),
        (
            vec!["_http._udp.web.shop.svc.cluster.local", "--type", "SRV"],
            "Service shop/web has no port _http._udp (shop.yaml:2)",
        ),
        (
            vec!["mail", "--from", "shop", "--dns-upstream", "10.0.0.53,10.0.0.54:5353"],
            "Service shop/mail is an ExternalName that leads to mail.example.org (shop.yaml:20)",
        ),
        (
            vec!["mail", "--from", "shop", "--dns-upstream", "10.0.0.53,10.0.0.54:5353"],
            "mail.example.org. is asked of 10.0.0.53:53, 10.0.0.54:5353",
        ),
        (vec!["web.shop.svc.elsewhere", "--cluster-domain", "elsewhere"], "web.shop.svc.elsewhere. 5 IN A 10.0.0.1"),
        (vec!["svc.cluster.local", "--type", "TXT", "--dns-compat", "coredns"], "svc.cluster.local. NXDOMAIN"),
        (vec!["10.0.0.1"], "1.0.0.10.in-addr.arpa. 5 IN PTR web.shop.svc.cluster.local."),
        (vec!["10.0.0.1"], "an address of Service shop/web (shop.yaml:2)"),
    ] {
        let said = said(&arguments);
        assert!(said.lines().any(|line| line == expected), "{arguments:?}: {expected:?} is not in\n{said}");
    }
}

#[test]
fn flags_of_a_server_count() {
    let web = "web.shop.svc.cluster.local";
    for (arguments, expected) in [
        (vec!["10-1-0-9.blog.pod.cluster.local", "--dns-pods", "disabled"], "answer none (NXDOMAIN)"),
        (vec!["10-1-0-9.blog.pod.cluster.local", "--dns-pods", "disabled"], "Pods have no names here (pods disabled)"),
        (vec!["10-1-0-9.blog.pod.cluster.local"], "10-1-0-9.blog.pod.cluster.local. 5 IN A 10.1.0.9"),
        (
            vec!["10-1-0-9.blog.pod.cluster.local", "--dns-pods", "verified"],
            "10-1-0-9.blog.pod.cluster.local. 5 IN A 10.1.0.9",
        ),
        (
            vec!["10-1-0-8.blog.pod.cluster.local", "--dns-pods", "verified"],
            "no Pod of the namespace blog has the address 10-1-0-8",
        ),
        (vec![web, "--watch-namespace", "blog,shop"], "answer that to web.shop.svc.cluster.local."),
        (vec![web, "--watch-namespace", "blog"], "names of the namespace shop are not told here"),
        (vec!["10.0.0.1", "--watch-namespace", "bare"], "answer what upstreams say to 1.0.0.10.in-addr.arpa."),
        (vec![web, "--watch-selector", "team=shop"], "Service shop/web is left out by its labels (shop.yaml:2)"),
        (vec![web, "--watch-selector", "!team"], "answer that to web.shop.svc.cluster.local."),
        (vec![web, "--namespace-selector", "dns=on"], "answer that to web.shop.svc.cluster.local."),
        (
            vec!["web.blog.svc.cluster.local", "--namespace-selector", "dns=on"],
            "names of the namespace blog are not told here",
        ),
        (
            vec!["web.bare.svc.cluster.local", "--namespace-selector", "dns=on"],
            "namespace bare is left out by its labels (shop.yaml:68)",
        ),
        (vec!["cluster.local", "--type", "AXFR"], "cluster.local. REFUSED"),
        (
            vec!["cluster.local", "--type", "AXFR"],
            "AXFR is for whole zones, which those get whom a transfer names, and is not explained",
        ),
        (vec!["cluster.local", "--type", "AXFR"], "answer none (REFUSED)"),
    ] {
        let said = said(&arguments);
        assert!(said.lines().any(|line| line == expected), "{arguments:?}: {expected:?} is not in\n{said}");
    }
}

#[test]
fn an_empty_answer_on_the_way_is_noted() {
    let note = "note musl's resolver ends its search at the first answer that is not NXDOMAIN, such as NOERROR without a record";
    let is_noted = |arguments: &[&str]| said(arguments).lines().any(|line| line == note);
    assert!(is_noted(&["web", "--from", "shop", "--type", "AAAA"]));
    assert!(!is_noted(&["web", "--from", "shop"]));
    assert!(!is_noted(&["web.shop.svc.cluster.local", "--type", "AAAA"]));
}

#[test]
fn a_name_with_many_dots_is_asked_for_as_it_is_first_and_counts() {
    assert_eq!(
        said(&["_http._udp.web.shop.svc.cluster.local", "--from", "shop", "--type", "SRV"]),
        "name _http._udp.web.shop.svc.cluster.local
type SRV
asked by Pods of shop
search shop.svc.cluster.local svc.cluster.local cluster.local
ndots 5

_http._udp.web.shop.svc.cluster.local. NXDOMAIN
Service shop/web has no port _http._udp (shop.yaml:2)
_http._udp.web.shop.svc.cluster.local.shop.svc.cluster.local. NXDOMAIN
no name of the zone has this form
_http._udp.web.shop.svc.cluster.local.svc.cluster.local. NXDOMAIN
no name of the zone has this form
_http._udp.web.shop.svc.cluster.local.cluster.local. NXDOMAIN
no name of the zone has this form

answer none (NXDOMAIN)
note musl's resolver asks for a name with as many dots as ndots says as it is, and does not search
"
    );
}

#[test]
fn a_name_that_pods_would_search_for_is_noted() {
    let said = said(&["web"]);
    let end = "answer what upstreams say to web.\n\
               note a Pod would search for a name without a dot at its end: --from NS walks its list\n";
    assert!(said.ends_with(end), "{said}");
}

#[test]
fn services_of_several_clusters_are_explained() {
    let asked = |name: &str| said(&[&[name][..], &SET].concat());
    for (name, expected) in [
        ("cart.shop.svc.clusterset.local.", "cart.shop.svc.clusterset.local. 5 IN A 10.2.0.1"),
        (
            "cart.shop.svc.clusterset.local.",
            "ServiceImport shop/cart is headless and stands for its ready endpoints (shop.yaml:34)",
        ),
        ("cart-0.east.cart.shop.svc.clusterset.local.", "cart-0.east.cart.shop.svc.clusterset.local. 5 IN A 10.2.0.1"),
        (
            "stock.shop.svc.clusterset.local.",
            "ServiceImport shop/stock has no names: spec.ips: NoAddress: no address has been assigned to it yet: \
             it has no names until then (shop.yaml:48)",
        ),
        ("web.shop.svc.clusterset.local.", "there is no ServiceImport shop/web"),
        ("cart.shop.svc.cluster.local.", "there is no Service shop/cart"),
        ("10.2.0.1", "an address of ServiceImport shop/cart (shop.yaml:34)"),
        ("10.2.0.1", "1.0.2.10.in-addr.arpa. 5 IN PTR cart-0.east.cart.shop.svc.clusterset.local."),
        ("10.0.0.1", "1.0.0.10.in-addr.arpa. 5 IN PTR web.shop.svc.cluster.local."),
        ("10.0.0.2", "nobody has the address, which only the cluster could tell of"),
    ] {
        let said = asked(name);
        assert!(said.lines().any(|line| line == expected), "{name}: {expected:?} is not in\n{said}");
    }
}

#[test]
fn that_nobody_asked_for_a_zone_of_several_clusters_is_noted() {
    let note = "note ServiceImports have names in the zone that --dns-clusterset-domain says, and none without it";
    for (arguments, is_noted) in [
        (vec!["cart.shop.svc.clusterset.local."], true),
        (vec!["CART-0.east.cart.shop.svc.clusterset.local", "--from", "shop"], true),
        (vec!["stock.shop.svc.clusterset.local."], true),
        (vec!["artcart.shop.svc.clusterset.local."], false),
        (vec!["web.shop.svc.clusterset.local."], false),
        (vec!["example.com."], false),
        ([&["cart.shop.svc.example."][..], &SET].concat(), false),
    ] {
        let said = said(&arguments);
        assert_eq!(said.lines().any(|line| line == note), is_noted, "{arguments:?}\n{said}");
    }
}

#[test]
fn json_says_the_same() {
    let said = said(&["mail", "--from", "shop/web-0", "--output", "json"]);
    let report: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((&report["type"], &report["from"]), (&"A".into(), &"shop/web-0".into()));
    assert_eq!((&report["search"][1], &report["ndots"]), (&"svc.cluster.local".into(), &5.into()));
    assert_eq!((&report["is_elsewhere"], report["notes"].as_array().map(Vec::len)), (&false.into(), Some(1)));
    assert_eq!(report["questions"][0]["records"][0], "mail.shop.svc.cluster.local. 5 IN CNAME mail.example.org.");
    assert_eq!(report["questions"][0]["code"], serde_json::Value::Null);
    assert_eq!(report["answer"]["upstream"]["question"], "mail.shop.svc.cluster.local.");
    assert_eq!(report["questions"][3]["code"], serde_json::Value::Null);
    assert_eq!(report["answer"]["upstream"]["is_last"], false);
}

#[test]
fn what_is_no_name_is_told_as_it_is_of_any_other() {
    let labels = "a domain name is made of labels of 1 to 63 letters, digits, '-' and '_', joined by dots";
    let (long_label, long_name) = ("a".repeat(64), format!("{}a", "a.".repeat(127)));
    for (name, why) in [
        ("a..b", labels),
        ("..", labels),
        (".b", labels),
        ("a b.c", labels),
        ("a+b", labels),
        (" ", labels),
        ("caf\u{e9}.example", labels),
        (&long_label, labels),
        (&long_name, "a domain name has at most 253 characters"),
    ] {
        for more in [&[][..], &["--from", "shop"]] {
            assert_eq!(error(&[&[name], more].concat()), format!("{name:?} is no name: {why}"));
        }
    }
    // What no object is called may be asked for.
    for (name, end) in [
        ("*.example", "*.example."),
        ("5.0/25.2.0.192.IN-ADDR.ARPA.", "5.0/25.2.0.192.IN-ADDR.ARPA."),
        ("a\\.b.example", "b.example."),
        ("a.-b.c", "b.c."),
        (".", "."),
        ("\\065.example", "A.example."),
        ("\\097.example", "\na.example."),
        ("\\032a\\195.example", "\n\\032a\\195.example."),
    ] {
        let said = said(&[name]);
        assert!(said.contains(&format!("{end} upstream\n")), "{name}: {said}");
    }
}

#[test]
fn what_goes_with_names_goes_with_nothing_else() {
    for (arguments, expected) in [
        (vec!["web", "-H", "Host: a"], "-X and -H are for requests, and \"web\" is a name: the URL is web/"),
        (
            vec!["web/", "--from", "shop"],
            "--type, --from, --search, --corefile and --at are for names, and \"web/\" is a URL",
        ),
        (vec!["web", "--search", "a.example"], "--search is for the Pods that --from names"),
        (
            vec!["web", "--dns-clusterset-domain", "cluster.local"],
            "--dns-clusterset-domain: cluster.local is --cluster-domain, which has the Services of this cluster",
        ),
        (vec!["web", "--from", "a.b"], "not NS or NS/POD, such as shop or shop/web-0"),
        (vec!["web", "--from", "shop/"], "not NS or NS/POD"),
        (vec!["web", "--type", "no"], "not a type of records such as A, AAAA, SRV, PTR or TYPE65"),
        (vec!["web", "--type", "TYPE65536"], "not a type of records"),
        (vec![""], "\"\" is no name: a domain name must not be empty"),
    ] {
        let said = error(&arguments);
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
}
