//! Pods that look names up in ways of their own.

use super::said_of;

const MANIFESTS: &str = r#"
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop, labels: {dns: "on"}}
spec: {clusterIP: 10.96.3.4, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system}
spec: {clusterIP: 10.96.0.10, ports: [{name: dns, port: 53, protocol: UDP}]}
---
apiVersion: v1
kind: Pod
metadata: {name: own-options, namespace: shop}
spec:
  dnsConfig: {searches: [corp.example], options: [{name: ndots, value: "1"}], nameservers: [9.9.9.9]}
---
apiVersion: v1
kind: Pod
metadata: {name: in-node-network, namespace: shop}
spec: {hostNetwork: true, dnsPolicy: ClusterFirst}
---
apiVersion: v1
kind: Pod
metadata: {name: alone, namespace: shop}
spec: {dnsPolicy: None, dnsConfig: {nameservers: [1.1.1.1], searches: [x.example]}}
---
apiVersion: v1
kind: Pod
metadata: {name: by-hand, namespace: shop}
spec: {dnsPolicy: None, dnsConfig: {nameservers: [10.96.0.10], searches: [shop.svc.cluster.local]}}
"#;

fn said(arguments: &[&str]) -> String {
    said_of(MANIFESTS, arguments)
}

#[test]
fn options_and_domains_of_the_pod_count() {
    let with_upstream = ["web.shop", "--from", "shop/own-options", "--dns-upstream", "10.0.0.53"];
    assert_eq!(
        said(&with_upstream),
        "name web.shop
type A
asked by Pod shop/own-options
search shop.svc.cluster.local svc.cluster.local cluster.local corp.example
ndots 1

web.shop. upstream
outside of the cluster's zone
it is asked of 10.0.0.53:53
web.shop.shop.svc.cluster.local. NXDOMAIN
there is no Service shop/shop
web.shop.svc.cluster.local. NOERROR
Service shop/web has addresses of its own (shop.yaml:2)
web.shop.svc.cluster.local. 5 IN A 10.96.3.4

answer what upstreams say to web.shop., or where they have nothing, to the questions after it
note dnsConfig: the Pod asks 9.9.9.9 too: glibc one server after the other until one answers, musl all at once
note musl's resolver asks for a name with as many dots as ndots says as it is, and does not search
"
    );
}

#[test]
fn pods_that_ask_others_get_what_these_say() {
    let outside = said(&["web.shop", "--from", "shop/alone"]);
    assert!(outside.contains("search x.example\nndots 1\n\nweb.shop. upstream\n"), "{outside}");
    assert!(outside.contains("\nhere what upstreams say to web.shop., or where"), "{outside}");
    assert!(outside.contains("note dnsPolicy None: the Pod asks 1.1.1.1, which no Service here"), "{outside}");
    let of_node = said(&["web", "--from", "shop/in-node-network", "--search", "example.org"]);
    assert!(of_node.contains("search example.org\nndots 1\n\nweb.example.org. upstream\n"), "{of_node}");
    assert!(of_node.contains("note hostNetwork with dnsPolicy ClusterFirst: the Pod asks the resolvers"), "{of_node}");
    let unknown = said(&["web", "--from", "shop/in-node-network"]);
    assert!(unknown.contains("search none\n") && unknown.contains("\nhere what upstreams say to web.\n"), "{unknown}");
    let by_hand = said(&["web", "--from", "shop/by-hand"]);
    assert!(by_hand.contains("search shop.svc.cluster.local\nndots 1\n"), "{by_hand}");
    assert!(by_hand.ends_with("\nanswer that to web.shop.svc.cluster.local.\n"), "{by_hand}");
}

#[test]
fn the_service_of_dns_is_known_where_its_names_are_left_out() {
    for flags in [["--watch-namespace", "shop"], ["--watch-selector", "dns=on"]] {
        let by_hand = said(&[&["web", "--from", "shop/by-hand"], &flags[..]].concat());
        assert!(by_hand.ends_with("\nanswer that to web.shop.svc.cluster.local.\n"), "{by_hand}");
    }
}

#[test]
fn a_pod_that_does_not_exist_is_told() {
    let ghost = said(&["web", "--from", "shop/ghost"]);
    assert!(ghost.contains("search shop.svc.cluster.local svc.cluster.local cluster.local\nndots 5\n"), "{ghost}");
    assert!(
        ghost.ends_with("\nnote the manifests have no Pod shop/ghost: so would one ask that says nothing of DNS\n"),
        "{ghost}"
    );
}
