mod corefile;
mod names;
mod pods;
mod records;

use super::*;
use crate::cli::{Cli, Command};
use clap::Parser;
use std::fs;

const MANIFESTS: &str = r#"
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: old, namespace: shop, creationTimestamp: "2024-01-01T00:00:00Z"}
spec:
  ingressClassName: tidegate
  tls: [{hosts: [secure.test]}]
  rules:
  - host: shop.test
    http:
      paths:
      - {path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}
      - {path: /cart, pathType: Prefix, backend: {service: {name: cart, port: {number: 80}}}}
      - {path: /cart/pay, pathType: Exact, backend: {service: {name: pay, port: {number: 80}}}}
  - host: secure.test
    http:
      paths:
      - {path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}
  - host: "*.test"
    http:
      paths:
      - {path: /cart, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: new, namespace: shop, creationTimestamp: "2024-02-01T00:00:00Z"}
spec:
  ingressClassName: tidegate
  rules:
  - host: shop.test
    http:
      paths:
      - {path: /cart, pathType: Prefix, backend: {service: {name: other, port: {number: 80}}}}
---
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop, annotations: {tidegate.dev/endpoints: "127.0.0.1:3000"}}
spec: {ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {ports: [{port: 80}]}
"#;

/// What `tidegate explain` says, with one space where it has several.
fn said(arguments: &[&str]) -> String {
    said_of(MANIFESTS, arguments)
}

fn said_of(manifests: &str, arguments: &[&str]) -> String {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("shop.yaml"), manifests).expect("written");
    let manifests = dir.path().to_str().expect("UTF-8");
    let fixed = ["tidegate", "explain", "--manifests", manifests];
    let cli = Cli::try_parse_from(fixed.iter().chain(arguments)).expect("valid arguments");
    let Command::Explain(flags) = cli.command else { panic!("explain") };
    let text = explain(*flags).expect("explained").replace(&format!("{manifests}/"), "");
    text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ") + "\n").collect()
}

#[test]
fn a_forwarded_request_is_explained_to_its_endpoint() {
    assert_eq!(
        said(&["http://SHOP.test:8080/cart/%37"]),
        "method GET
listener http
host shop.test
path /cart/7
owner the host shop.test with 3 rules, before *.test
rule Prefix /cart
from Ingress shop/old spec.rules[0].http.paths[1]
described in shop.yaml:2
action forwards to shop/cart:80
endpoint 127.0.0.1:3000 serving

near misses
Prefix / Ingress shop/old spec.rules[0].http.paths[0] (shop.yaml:2)
matches, but a longer path comes first
Prefix /cart Ingress shop/old spec.rules[2].http.paths[0] (shop.yaml:2)
is for the host *.test, which is less specific than shop.test
Prefix /cart Ingress shop/new spec.rules[0].http.paths[0] (shop.yaml:24)
asks for the same host and path, and Ingress shop/old comes first by age and name

1 other rules of the host are for other paths
"
    );
}

#[test]
fn every_outcome_has_its_words() {
    for (arguments, expected) in [
        (vec!["http://shop.test/"], "endpoints none is ready, so the answer is 503 (no_endpoint)"),
        (
            vec!["http://shop.test/cart/pay"],
            "endpoints none: there is no such Service port, so the answer is 503 (no_backend)",
        ),
        (vec!["http://secure.test/a?b"], "action redirects with 308 to https://secure.test:8443/a?b"),
        (vec!["https://secure.test/"], "certificate self-made"),
        (vec!["shop.test/?next=https://else.where/"], "endpoints none is ready, so the answer is 503 (no_endpoint)"),
        (vec!["http://x.test/"], "action answers 404 (no_route): no rule of the host *.test is for this path"),
        (vec!["http://else.where/"], "action answers 404 (no_route): no rule is for this host"),
        (vec!["http://shop.test/", "-X", "TRACE"], "action answers 405 (method_not_allowed): TRACE is not forwarded"),
        (vec!["http://shop.test/a/../../b"], "action answers 400 (bad_path): path leaves the root"),
        (vec!["http://127.0.0.1/cart", "-H", "Host: shop.test"], "action forwards to shop/cart:80"),
        (
            vec!["http://shop.test/a%2Fb", "--encoded-slashes", "reject"],
            "action answers 400 (bad_path): path holds an encoded slash",
        ),
        (vec!["http://shop.test/", "-X", "POST"], "method POST"),
        (vec!["http://x.test/cartoons"], "a prefix matches whole path elements, and this one ends within one"),
    ] {
        let said = said(&arguments);
        assert!(said.lines().any(|line| line == expected), "{arguments:?}: {expected:?} is not in\n{said}");
    }
}

/// Ingresses that somebody may look for in vain.
const LOSERS: &str = r#"
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: foreign, namespace: shop}
spec:
  ingressClassName: nginx
  rules:
  - host: foreign.example
    http:
      paths:
      - {path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: catch-a, namespace: shop}
spec: {ingressClassName: tidegate, defaultBackend: {service: {name: web, port: {number: 80}}}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: catch-b, namespace: shop}
spec: {ingressClassName: tidegate, defaultBackend: {service: {name: cart, port: {number: 80}}}}
"#;

#[test]
fn ingresses_of_other_classes_and_beaten_default_backends_are_near_misses() {
    let said = |url| said_of(LOSERS, &[url]);
    assert!(said("http://foreign.example/a").contains("is not ours: its class is nginx"));
    let beaten = said("http://else.where/");
    assert!(beaten.contains("Prefix / Ingress shop/catch-b spec.defaultBackend"), "{beaten}");
    assert!(beaten.contains("is for what no rule takes too, and Ingress shop/catch-a comes first by age and name"));
    assert!(!beaten.contains("nginx"), "{beaten}");
}

/// Hosts that ask for client certificates, of an authority that is not there.
const ASKING: &str = r#"
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: shop, annotations: {tidegate.dev/client-ca-secret: partners}}
spec:
  ingressClassName: tidegate
  tls: [{hosts: [secure.test]}]
  rules:
  - host: shop.test
    http:
      paths:
      - {path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}
  - host: secure.test
    http:
      paths:
      - {path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}
"#;

/// The Secret of that authority.
fn partners() -> String {
    let key = rcgen::KeyPair::generate().expect("key");
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::CommonName, "Partners");
    let certificate = params.self_signed(&key).expect("signed").pem().replace('\n', "\n    ");
    format!(
        "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: partners, namespace: shop}}\n\
         stringData:\n  ca.crt: |\n    {certificate}\n"
    )
}

#[test]
fn a_host_that_asks_for_client_certificates_says_so() {
    let (missing, known) = (ASKING.to_owned(), ASKING.to_owned() + &partners());
    let required = "client certificate required, by an authority of Secret shop/partners: CN=Partners";
    for (manifests, url, expected) in [
        (&known, "https://shop.test/", required),
        (
            &known,
            "https://shop.test/",
            "endpoints none: there is no such Service port, so the answer is 503 (no_backend)",
        ),
        (&known, "http://shop.test/", "action answers 403 (client_certificate): plain HTTP shows no certificate"),
        (&known, "http://secure.test/", "action redirects with 308 to https://secure.test:8443/"),
        (&known, "http://shop.test/.well-known/acme-challenge/x", "action forwards to shop/web:80"),
        (&missing, "https://shop.test/", "client certificate required, but Secret shop/partners has no authorities"),
        (
            &missing,
            "https://shop.test/",
            "action answers 503 (no_client_ca): no authority is known whose certificates could be accepted",
        ),
    ] {
        let said = said_of(manifests, &[url]);
        assert!(said.lines().any(|line| line == expected), "{url}: {expected:?} is not in\n{said}");
    }
    let said = said_of(&known, &["https://127.0.0.1/", "-H", "Host: shop.test"]);
    assert!(said.contains("action answers 421 (misdirected): the server name does not ask"), "{said}");
}

#[test]
fn what_a_rule_says_of_time_and_tries_is_told() {
    let patient = MANIFESTS.replace(
        "creationTimestamp: \"2024-01-01T00:00:00Z\"",
        "annotations: {tidegate.dev/request-timeout: 2m, tidegate.dev/retry-on: '503,502'}",
    );
    let said = said_of(&patient, &["http://shop.test/cart/pay"]);
    assert!(said.contains("time and tries 2m in all, again after 502, 503\n"), "{said}");
}

#[test]
fn json_says_the_same() {
    let report: serde_json::Value =
        serde_json::from_str(&said(&["http://shop.test/cart", "--output", "json"])).expect("JSON");
    assert_eq!(report["rule"]["rule"], "Prefix /cart");
    assert_eq!(report["rule"]["place"], "shop.yaml:2");
    assert_eq!(report["outcome"]["backends"][0]["endpoints"][0]["address"], "127.0.0.1:3000");
    assert_eq!(report["near_misses"].as_array().map(Vec::len), Some(4));
}
