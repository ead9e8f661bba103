//! Names with a Corefile: which of its lines have a say, at which address and for whom.

use super::said_of;
use crate::cli::{Cli, Command};
use crate::explain::explain;
use clap::Parser;
use std::fs;

const MANIFESTS: &str = r#"
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.0.0.1, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Pod
metadata: {name: front-0, namespace: blog}
spec: {dnsPolicy: ClusterFirst}
status: {phase: Running, podIPs: [{ip: 10.1.0.9}]}
---
apiVersion: v1
kind: Pod
metadata: {name: new, namespace: blog}
spec: {dnsPolicy: ClusterFirst}
"#;

const COREFILE: &str = "cluster.local:5353 {
    bind 127.0.0.1
    acl {
        block net 10.1.0.9
    }
    kubernetes cluster.local
}
.:53 {
    autopath @kubernetes
    kubernetes cluster.local {
        pods verified
    }
    forward corp.example 192.0.2.1
    forward . 192.0.2.53 192.0.2.54 {
        except private.example
    }
}
";

fn said(corefile: &str, arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().expect("a directory");
    let path = folder.path().join("Corefile");
    fs::write(&path, corefile).expect("written");
    let path = path.to_str().expect("UTF-8");
    said_of(MANIFESTS, &[arguments, &["--corefile", path]].concat()).replace(path, "Corefile")
}

#[test]
fn the_block_its_parts_and_the_upstreams_are_told_with_their_lines() {
    assert_eq!(
        said(COREFILE, &["example.com", "--from", "shop"]),
        "name example.com
type A
asked by Pods of shop
search shop.svc.cluster.local svc.cluster.local cluster.local
ndots 5
client 127.0.0.1

example.com.shop.svc.cluster.local. NXDOMAIN
Corefile:1: dns://127.0.0.1:5353, the block of zone cluster.local
Corefile:6: kubernetes: there is no Service shop/com
example.com.svc.cluster.local. NXDOMAIN
Corefile:1: dns://127.0.0.1:5353, the block of zone cluster.local
Corefile:6: kubernetes: there is no namespace com
example.com.cluster.local. NXDOMAIN
Corefile:1: dns://127.0.0.1:5353, the block of zone cluster.local
Corefile:6: kubernetes: no name of the zone has this form
example.com. upstream
Corefile:8: dns://:53, the block of zone .
Corefile:10: kubernetes: outside of the cluster's zone
Corefile:14: forward: example.com. is asked of 192.0.2.53:53, 192.0.2.54:53

answer what upstreams say to example.com.
"
    );
}

#[test]
fn who_asks_and_where_decides() {
    let web = "web.shop.svc.cluster.local.";
    for (arguments, expected) in [
        (vec![web, "--at", "127.0.0.1", "--from", "blog/front-0"], "Corefile:3: acl: the client 10.1.0.9 is refused"),
        (vec![web, "--at", "127.0.0.1", "--from", "blog/front-0"], "answer none (REFUSED)"),
        (vec![web, "--at", "127.0.0.1", "--from", "blog/front-0", "--client", "10.1.0.8"], "client 10.1.0.8"),
        (vec![web, "--at", "127.0.0.1:5353"], "answer that to web.shop.svc.cluster.local."),
        (
            vec![web, "--at", "192.0.2.9"],
            "Corefile:10: kubernetes: Service shop/web has addresses of its own (shop.yaml:2)",
        ),
        (
            vec!["a.corp.example.", "--at", "192.0.2.9"],
            "Corefile:13: forward: a.corp.example. is asked of 192.0.2.1:53",
        ),
        (vec!["private.example.", "--at", "192.0.2.9"], "answer none (SERVFAIL)"),
        (vec!["a.test.", "--at", "127.0.0.1"], "dns://127.0.0.1:5353 has no block for the name"),
        (
            vec!["web.shop.blog.svc.cluster.local.", "--at", "192.0.2.9", "--from", "blog/front-0"],
            "Corefile:9: autopath: web.shop.svc.cluster.local. A is asked for too",
        ),
        (
            vec!["web.shop.blog.svc.cluster.local.", "--at", "192.0.2.9", "--from", "blog/front-0"],
            "web.shop.svc.cluster.local. 5 IN A 10.0.0.1",
        ),
        (vec![web, "--at", "::1"], "client ::1"),
        (vec![web, "--at", "[::1]"], "client ::1"),
        (vec![web, "--at", "[::1]:53"], "client ::1"),
        (
            vec![web, "--at", "127.0.0.1", "--from", "blog/gone"],
            "note the manifests have no address of Pod blog/gone: 127.0.0.1 asks instead",
        ),
        (
            vec![web, "--at", "::1", "--from", "blog/new"],
            "note the manifests have no address of Pod blog/new: ::1 asks instead",
        ),
    ] {
        let said = said(COREFILE, &arguments);
        assert!(said.lines().any(|line| line == expected), "{arguments:?}: {expected:?} is not in\n{said}");
    }
    for arguments in [vec![web, "--from", "blog/gone", "--client", "10.1.0.8"], vec![web, "--from", "blog"]] {
        let said = said(COREFILE, &arguments);
        assert!(!said.contains("asks instead"), "{arguments:?}: {said}");
    }
    let dropped = said(".:53 {\n acl {\n  drop\n }\n whoami\n}\n", &["web", "--from", "shop"]);
    // The domain that is asked for first, and the name as it is.
    assert_eq!(dropped.matches(". no answer\n").count(), 2, "{dropped}");
    assert!(dropped.contains("\nanswer none (no answer)\nnote musl's resolver ends its search"), "{dropped}");
}

#[test]
fn a_search_goes_on_or_leaves_its_list_as_with_glibc() {
    let corefile = "\
cluster.local {
    kubernetes
}
. {
    acl refused.test {
        block
    }
    template IN ANY gone.test {
        rcode NXDOMAIN
    }
    template IN CNAME alias.test {
        rcode NXDOMAIN
    }
    template IN A alias.test {
        answer \"{{ .Name }} 60 IN CNAME web.gone.test.\"
    }
    forward . 192.0.2.53 {
        except nobody.test web
    }
}
";
    let end = |domains: &[&str]| {
        let manifests = format!(
            "{MANIFESTS}---\napiVersion: v1\nkind: Pod\nmetadata: {{name: own, namespace: blog}}\nspec:\n  dnsPolicy: None\n  \
             dnsConfig: {{nameservers: [192.0.2.9], searches: [{}], options: [{{name: ndots, value: '2'}}]}}\n",
            domains.join(", ")
        );
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join("Corefile");
        fs::write(&path, corefile).expect("written");
        let path = path.to_str().expect("UTF-8");
        let said = said_of(&manifests, &["web", "--from", "blog/own", "--at", "192.0.2.9", "--corefile", path]);
        let told = said.lines().skip_while(|line| !line.is_empty()).skip(1);
        let told = told.filter(|line| !line.starts_with(path) && !line.is_empty() && !line.starts_with("note "));
        told.map(str::to_owned).collect::<Vec<_>>()
    };
    let went_on = "the search goes on; where it finds nothing that may change (TRY_AGAIN)";
    for (domains, expected) in [
        (
            &["nobody.test", "gone.test"][..],
            &[
                "web.nobody.test. SERVFAIL",
                went_on,
                "web.gone.test. NXDOMAIN",
                "web. SERVFAIL",
                "answer none (SERVFAIL)",
            ][..],
        ),
        (
            &["gone.test", "refused.test", "nobody.test"],
            &[
                "web.gone.test. NXDOMAIN",
                "web.refused.test. REFUSED",
                "the search leaves the list for the name as it is",
                "web. SERVFAIL",
                "answer none (SERVFAIL)",
            ],
        ),
        (
            &["nobody.test", "shop.svc.cluster.local", "gone.test"],
            &[
                "web.nobody.test. SERVFAIL",
                went_on,
                "web.shop.svc.cluster.local. NOERROR",
                "web.shop.svc.cluster.local. 5 IN A 10.0.0.1",
                "answer that to web.shop.svc.cluster.local.",
            ],
        ),
    ] {
        assert_eq!(end(domains), expected, "{domains:?}");
    }
}

#[test]
fn the_zone_and_the_labels_of_the_corefile_count() {
    let of = |options: &str| format!(". {{\n kubernetes k8s.test in-addr.arpa {{\n  {options}\n }}\n}}\n");
    let searched = said(&of("pods insecure"), &["web", "--from", "shop"]);
    assert!(searched.contains("\nsearch shop.svc.k8s.test svc.k8s.test k8s.test\n"), "{searched}");
    assert!(searched.ends_with("\nanswer that to web.shop.svc.k8s.test.\n"), "{searched}");
    let several = ". {\n kubernetes set.test k8s.test {\n  multicluster set.test\n }\n}\n";
    assert!(said(several, &["web", "--from", "shop"]).contains("\nsearch shop.svc.k8s.test "));
    let set_alone = ". {\n kubernetes set.test {\n  multicluster set.test\n }\n}\n";
    assert!(said(set_alone, &["web", "--from", "shop"]).contains("\nsearch shop.svc.cluster.local "));
    let labelled = said(&of("labels team=shop"), &["web.shop.svc.k8s.test."]);
    assert!(labelled.ends_with("\nanswer none (NXDOMAIN)\n"), "{labelled}");
    let labelled = said(&of("namespace_labels dns=on"), &["web.shop.svc.k8s.test."]);
    assert!(labelled.contains("names of the namespace shop are not told here"), "{labelled}");
}

#[test]
fn a_corefile_without_a_cluster_needs_no_manifests() {
    let folder = tempfile::tempdir().expect("a directory");
    let path = folder.path().join("Corefile");
    let path = path.to_str().expect("UTF-8");
    let alone = |corefile: &str, arguments: &[&str]| {
        fs::write(path, corefile).expect("written");
        let cli = Cli::try_parse_from([&["tidegate", "explain"], arguments].concat());
        let Command::Explain(flags) = cli.map_err(|error| error.to_string())?.command else { panic!("explain") };
        explain(*flags).map(|said| said.replace(path, "Corefile")).map_err(|error| format!("{error:#}"))
    };
    let forwarded = ". {\n forward . 192.0.2.53\n}\n";
    for from in [&[][..], &["--from", "shop"], &["--from", "shop/web-0"]] {
        let said = alone(forwarded, &[&["example.com.", "--corefile", path], from].concat()).expect("explained");
        assert!(said.contains("Corefile:2: forward: example.com. is asked of 192.0.2.53:53\n"), "{said}");
    }
    let clustered = format!("{forwarded}cluster.local {{\n kubernetes\n}}\n");
    let refused = alone(&clustered, &["example.com.", "--corefile", path]).expect_err("there is nothing to name");
    assert_eq!(refused, "--manifests is needed: the Corefile has `kubernetes`, whose names they say");
    for arguments in [&["example.com."][..], &["http://example.com/"]] {
        let refused = alone(forwarded, arguments).expect_err("there is nothing to explain with");
        assert!(refused.contains("--manifests <DIR>"), "{refused}");
    }
    let refused = alone(forwarded, &["http://example.com/", "--corefile", path]).expect_err("it is no name");
    assert!(refused.contains("--corefile and --at are for names"), "{refused}");
}

#[test]
fn external_addresses_are_told_with_the_line_of_their_zone() {
    let external = "\
---
apiVersion: v1
kind: Service
metadata: {name: front, namespace: shop}
spec: {clusterIP: 10.0.0.2, externalIPs: [192.0.2.1], ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: far, namespace: shop}
spec: {clusterIP: 10.0.0.3, ports: [{name: http, port: 80}]}
status: {loadBalancer: {ingress: [{hostname: lb.example.net}]}}
";
    let folder = tempfile::tempdir().expect("a directory");
    let path = folder.path().join("Corefile");
    let corefile =
        ".:53 {\n kubernetes cluster.local\n k8s_external example.org 192.0.2.0/24\n forward . 192.0.2.53\n}\n";
    fs::write(&path, corefile).expect("written");
    let path = path.to_str().expect("UTF-8");
    let said = |name: &str| {
        let said = said_of(&format!("{MANIFESTS}{external}"), &[name, "--corefile", path]).replace(path, "Corefile");
        let lines = said.lines().skip_while(|line| !line.contains("the block of zone")).skip(1);
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    for (name, expected) in [
        (
            "front.shop.example.org.",
            &[
                "Corefile:3: k8s_external: Service shop/front has external addresses (shop.yaml:18)",
                "front.shop.example.org. 5 IN A 192.0.2.1",
                "",
                "answer that to front.shop.example.org.",
            ][..],
        ),
        (
            "far.shop.example.org.",
            &[
                "Corefile:3: k8s_external: Service shop/far is reached by the load balancer lb.example.net (shop.yaml:23)",
                "Corefile:3: k8s_external: outside of the cluster's zone",
                "Corefile:4: forward: lb.example.net. is asked of 192.0.2.53:53",
                "",
                "answer what upstreams say to far.shop.example.org.",
            ],
        ),
        (
            "web.shop.example.org.",
            &[
                "Corefile:3: k8s_external: Service shop/web has no external address (shop.yaml:2)",
                "",
                "answer none (NXDOMAIN)",
            ],
        ),
        (
            "web.shop.svc.cluster.local.",
            &[
                "Corefile:2: kubernetes: Service shop/web has addresses of its own (shop.yaml:2)",
                "web.shop.svc.cluster.local. 5 IN A 10.0.0.1",
                "",
                "answer that to web.shop.svc.cluster.local.",
            ],
        ),
        (
            "192.0.2.1",
            &[
                "Corefile:3: k8s_external: an address of Service shop/front (shop.yaml:18)",
                "1.2.0.192.in-addr.arpa. 5 IN PTR front.shop.example.org.",
                "",
                "answer that to 1.2.0.192.in-addr.arpa.",
            ],
        ),
    ] {
        assert_eq!(said(name), expected, "{name}");
    }
}

#[test]
fn what_cannot_be_explained_says_why() {
    let folder = tempfile::tempdir().expect("a directory");
    let error = |corefile: &str, arguments: &[&str]| {
        let path = folder.path().join("Corefile");
        fs::write(&path, corefile).expect("written");
        let fixed = ["tidegate", "explain", "--corefile", path.to_str().expect("UTF-8"), "--manifests"];
        let own = folder.path().to_str().expect("UTF-8");
        match Cli::try_parse_from(fixed.iter().chain(&[own]).chain(arguments)) {
            Err(error) => error.to_string(),
            Ok(cli) => {
                let Command::Explain(flags) = cli.command else { panic!("explain") };
                format!("{:#}", explain(*flags).expect_err("refused"))
            }
        }
    };
    for (corefile, arguments, expected) in [
        (
            COREFILE,
            vec!["web.", "--at", "192.0.2.1:5353"],
            "nothing is served at --at; there is dns://127.0.0.1:5353, dns://:53",
        ),
        (COREFILE, vec!["web.", "--at", "here"], "not an address such as 10.96.0.10 or 127.0.0.1:5353"),
        (COREFILE, vec!["web.", "--at", "[127.0.0.1]"], "not an address such as"),
        (COREFILE, vec!["web.", "--client", "10.0.0.0/8"], "invalid value '10.0.0.0/8' for '--client"),
        (COREFILE, vec!["http://web/"], "--corefile and --at are for names"),
        (". {\n nosuch\n}\n", vec!["web."], "Corefile:2"),
        (". {\n bind nosuch0\n whoami\n}\n", vec!["web."], "Corefile:2: bind: there is no interface nosuch0"),
        (". {\n forward . /nowhere/resolv.conf\n}\n", vec!["web."], "/nowhere/resolv.conf"),
    ] {
        let said = error(corefile, &arguments);
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
}
