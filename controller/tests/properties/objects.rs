//! Arbitrary objects over few names, so that they meet; with nil fields, wrong values and every kind of reference.

use config::{DomainName, IngressSettings};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1 as discovery;
use k8s_openapi::api::networking::v1 as networking;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use proptest::collection::{btree_map, vec};
use proptest::option::{of, weighted};
use proptest::prelude::*;
use proptest::sample::select;
use rcgen::{CertificateParams, KeyPair};
use std::sync::LazyLock;
use tidegate_controller::object::{ServiceImport, ServiceImportSpec};
use tidegate_controller::{Object, TranslateSettings};

fn word(words: &'static [&'static str]) -> impl Strategy<Value = String> + Clone {
    select(words).prop_map(str::to_owned)
}

fn name() -> impl Strategy<Value = String> + Clone {
    word(&["x", "y", "z", "w"])
}

fn host() -> impl Strategy<Value = String> {
    word(&["a.com", "b.a.com", "*.a.com", "A.com", "c.com", "", "*", "a b", "10.0.0.1", "a.com:80"])
}

fn port_number() -> impl Strategy<Value = i32> {
    prop_oneof![8 => select(&[80, 81, 8080][..]), 1 => select(&[0, -1, 65_536, i32::MAX, i32::MIN][..])]
}

fn port_name() -> impl Strategy<Value = String> {
    word(&["http", "web", ""])
}

fn metadata(annotations: &'static [(&'static str, &'static str)]) -> impl Strategy<Value = ObjectMeta> {
    let annotations = btree_map(select(annotations), Just(()), 0..3)
        .prop_map(|all| all.into_keys().map(|(name, value)| (name.to_owned(), value.to_owned())).collect());
    let created = weighted(0.7, select(&[1_700_000_000_i64, 1_710_000_000][..]));
    (name(), word(&["m", "n"]), weighted(0.3, annotations), created).prop_map(
        |(name, namespace, annotations, created)| ObjectMeta {
            name: Some(name),
            namespace: Some(namespace),
            annotations,
            creation_timestamp: created
                .map(|seconds| Time(k8s_openapi::jiff::Timestamp::from_second(seconds).expect("in range"))),
            ..ObjectMeta::default()
        },
    )
}

fn service_backend() -> impl Strategy<Value = networking::IngressServiceBackend> {
    let port = (weighted(0.2, port_name()), weighted(0.8, port_number()))
        .prop_map(|(name, number)| networking::ServiceBackendPort { name, number });
    (name(), weighted(0.95, port)).prop_map(|(name, port)| networking::IngressServiceBackend { name, port })
}

fn backend() -> impl Strategy<Value = networking::IngressBackend> {
    let resource =
        name().prop_map(|name| core::TypedLocalObjectReference { kind: "Bucket".into(), name, ..Default::default() });
    (weighted(0.05, resource), weighted(0.95, service_backend()))
        .prop_map(|(resource, service)| networking::IngressBackend { resource, service })
}

fn path() -> impl Strategy<Value = networking::HTTPIngressPath> {
    let path = word(&[
        "",
        "/",
        "/x",
        "/x/",
        "/x/y",
        "/X",
        "/café",
        "/caf%C3%A9",
        "x",
        "/a//b",
        "/%zz",
        "/x/..",
        "/%2e%2e",
        "/a%2Fb",
    ]);
    let path_type = word(&["Prefix", "Prefix", "Exact", "ImplementationSpecific", "", "exact"]);
    (backend(), of(path), path_type).prop_map(|(backend, path, path_type)| networking::HTTPIngressPath {
        backend,
        path,
        path_type,
    })
}

fn ingress() -> impl Strategy<Value = Object> {
    let http = vec(path(), 0..4).prop_map(|paths| networking::HTTPIngressRuleValue { paths });
    let rule = (of(host()), weighted(0.9, http)).prop_map(|(host, http)| networking::IngressRule { host, http });
    let tls = (of(vec(host(), 0..3)), weighted(0.8, name()))
        .prop_map(|(hosts, secret_name)| networking::IngressTLS { hosts, secret_name });
    let class = weighted(0.9, word(&["tidegate", "tidegate", "tidegate", "w", "x", ""]));
    let spec = (weighted(0.3, backend()), class, weighted(0.9, vec(rule, 0..4)), weighted(0.4, vec(tls, 0..3)))
        .prop_map(|(default_backend, ingress_class_name, rules, tls)| networking::IngressSpec {
            default_backend,
            ingress_class_name,
            rules,
            tls,
        });
    let annotations = &[
        ("tidegate.dev/ssl-redirect", "false"),
        ("tidegate.dev/ssl-redirect", "no"),
        ("tidegate.dev/ssl-redirct", "true"),
        ("tidegate.dev/request-timeout", "30s"),
        ("tidegate.dev/attempts", "3"),
        ("tidegate.dev/attempts", "many"),
        ("tidegate.dev/retry-on", "503"),
        ("nginx.ingress.kubernetes.io/ssl-redirect", "true"),
        ("nginx.ingress.kubernetes.io/rewrite-target", "/"),
        ("kubernetes.io/ingress.class", "tidegate"),
        ("kubernetes.io/ingress.class", "x"),
        ("tidegate.dev/client-ca-secret", "x"),
        ("tidegate.dev/client-ca-secret", "y"),
        ("tidegate.dev/client-ca-secret", "other/x"),
    ];
    (metadata(annotations), weighted(0.97, spec))
        .prop_map(|(metadata, spec)| networking::Ingress { metadata, spec, status: None }.into())
}

fn class() -> impl Strategy<Value = Object> {
    let spec = of(word(&["tidegate.dev/ingress", "k8s.io/ingress-nginx"]))
        .prop_map(|controller| networking::IngressClassSpec { controller, parameters: None });
    (metadata(&[("a", "b")]), word(&["tidegate", "x"]), of(spec)).prop_map(|(mut metadata, name, spec)| {
        metadata.name = Some(name);
        networking::IngressClass { metadata, spec }.into()
    })
}

fn service() -> impl Strategy<Value = Object> {
    let protocol = weighted(0.2, word(&["TCP", "UDP", "ICMP"]));
    let app_protocol = weighted(0.3, word(&["https", "kubernetes.io/h2c", "kubernetes.io/h2", "redis"]));
    let target = of(prop_oneof![port_number().prop_map(IntOrString::Int), port_name().prop_map(IntOrString::String)]);
    let port = (of(port_name()), port_number(), protocol, app_protocol, target).prop_map(
        |(name, port, protocol, app_protocol, target_port)| core::ServicePort {
            name,
            port,
            protocol,
            app_protocol,
            target_port,
            node_port: None,
        },
    );
    let external_name = word(&["www.example.com", "localhost", "127.0.0.1", "192.0.2.1", "a b", ""]);
    let cluster_ip = word(&["None", "10.96.0.1", "2001:db8::1", "", "nonsense"]);
    let spec = (
        weighted(0.9, vec(port, 0..3)),
        weighted(0.3, word(&["ClusterIP", "ExternalName"])),
        weighted(0.3, external_name),
        of(cluster_ip),
        of(any::<bool>()),
    );
    let spec =
        spec.prop_map(|(ports, type_, external_name, cluster_ip, publish_not_ready_addresses)| core::ServiceSpec {
            ports,
            type_,
            external_name,
            cluster_ip,
            publish_not_ready_addresses,
            ..core::ServiceSpec::default()
        });
    let annotations = &[
        ("tidegate.dev/endpoints", "127.0.0.1:3000,[::1]:3001"),
        ("tidegate.dev/endpoints", "nowhere"),
        ("tidegate.dev/load-balance", "round_robin"),
        ("tidegate.dev/load-balance", "random"),
    ];
    (metadata(annotations), weighted(0.97, spec))
        .prop_map(|(metadata, spec)| core::Service { metadata, spec, status: None }.into())
}

fn address() -> impl Strategy<Value = String> {
    word(&["10.0.0.1", "10.0.0.2", "10.0.0.3", "2001:db8::1", "::ffff:10.0.0.1", "fe80::", "nowhere", ""])
}

fn slice() -> BoxedStrategy<Object> {
    let conditions = (of(any::<bool>()), of(any::<bool>()), of(any::<bool>()))
        .prop_map(|(ready, serving, terminating)| discovery::EndpointConditions { ready, serving, terminating });
    let endpoint = (vec(address(), 0..3), of(conditions), weighted(0.2, word(&["db-0", "DB-1", ""])));
    let endpoint = endpoint.prop_map(|(addresses, conditions, hostname)| discovery::Endpoint {
        addresses,
        conditions,
        hostname,
        ..discovery::Endpoint::default()
    });
    let port = (of(port_name()), of(port_number()), weighted(0.2, word(&["TCP", "UDP", "ICMP"])))
        .prop_map(|(name, port, protocol)| discovery::EndpointPort { name, port, protocol, app_protocol: None });
    let cluster = word(&["east", "West", "a.b", ""]);
    let of_import = (weighted(0.4, name()), weighted(0.9, cluster));
    let parts =
        (metadata(&[("a", "b")]), weighted(0.9, name()), of_import, of(vec(endpoint, 0..4)), of(vec(port, 0..3)));
    // In a box: the stack of a test is small for so many parts.
    let slices = parts.prop_map(|(mut metadata, service, (import, cluster), endpoints, ports)| {
        let labels = [
            ("kubernetes.io/service-name", service),
            ("multicluster.kubernetes.io/service-name", import),
            ("multicluster.kubernetes.io/source-cluster", cluster),
        ];
        let labels = labels.into_iter().filter_map(|(label, value)| Some((label.to_owned(), value?)));
        metadata.labels = Some(labels.collect()).filter(|labels: &std::collections::BTreeMap<_, _>| !labels.is_empty());
        discovery::EndpointSlice { address_type: "IPv4".into(), endpoints, metadata, ports }.into()
    });
    slices.boxed()
}

fn import() -> BoxedStrategy<Object> {
    let port = (of(port_name()), port_number(), weighted(0.2, word(&["TCP", "UDP", "ICMP"])))
        .prop_map(|(name, port, protocol)| core::ServicePort { name, port, protocol, ..Default::default() });
    let type_ = word(&["ClusterSetIP", "Headless", "ClusterIP"]);
    let parts = (metadata(&[("a", "b")]), weighted(0.97, type_), vec(address(), 0..3), vec(port, 0..3));
    let imports = parts.prop_map(|(metadata, type_, ips, ports)| {
        ServiceImport { metadata, spec: ServiceImportSpec { type_, ips, ports } }.into()
    });
    imports.boxed()
}

fn endpoints() -> impl Strategy<Value = Object> {
    let addresses = || of(vec(address().prop_map(|ip| core::EndpointAddress { ip, ..Default::default() }), 0..3));
    let port = (of(port_name()), port_number()).prop_map(|(name, port)| core::EndpointPort {
        name,
        port,
        ..Default::default()
    });
    let subset = (addresses(), addresses(), of(vec(port, 0..3))).prop_map(|(addresses, not_ready_addresses, ports)| {
        core::EndpointSubset { addresses, not_ready_addresses, ports }
    });
    (metadata(&[("a", "b")]), of(vec(subset, 0..3)))
        .prop_map(|(metadata, subsets)| core::Endpoints { metadata, subsets }.into())
}

/// Chains and keys that fit: ECDSA and RSA, for one name and another, and one whose validity is over.
static PAIRS: LazyLock<Vec<(String, String)>> = LazyLock::new(|| {
    let ecdsa = KeyPair::from_pem(include_str!("../certificates/ec.pkcs8.pem")).expect("valid");
    let rsa = KeyPair::from_pem(include_str!("../certificates/rsa.pkcs8.pem")).expect("valid");
    let pair = |key: &KeyPair, name: &str, year| {
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("valid");
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        (params.self_signed(key).expect("signed").pem(), key.serialize_pem())
    };
    let odd = (pair(&ecdsa, "a.com", 4000).0, rsa.serialize_pem());
    vec![
        pair(&ecdsa, "a.com", 4000),
        pair(&rsa, "a.com", 4000),
        pair(&ecdsa, "*.a.com", 4000),
        pair(&ecdsa, "c.com", 2001),
        odd,
        ("garbage".to_owned(), "garbage".to_owned()),
    ]
});

/// Authorities: one, another, both, and what is none.
static AUTHORITIES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let key = KeyPair::from_pem(include_str!("../certificates/ec.pkcs8.pem")).expect("valid");
    let [one, two] = ["one", "two"].map(|name| {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.self_signed(&key).expect("signed").pem()
    });
    vec![one.clone(), two.clone(), one + &two, "garbage".to_owned()]
});

fn secret() -> BoxedStrategy<Object> {
    let type_ = of(word(&["kubernetes.io/tls", "Opaque"]));
    let authorities = weighted(0.7, 0..AUTHORITIES.len());
    let parts = (metadata(&[("a", "b")]), type_, 0..PAIRS.len(), weighted(0.9, Just(())), authorities);
    // In a box: the stack of a test is small for so many parts.
    let secrets = parts.prop_map(|(metadata, type_, pair, has_certificate, authorities)| {
        let (chain, key) = PAIRS.get(pair).expect("in range").clone();
        let mut data = std::collections::BTreeMap::from([("tls.key".to_owned(), ByteString(key.into_bytes()))]);
        if has_certificate.is_some() {
            data.insert("tls.crt".to_owned(), ByteString(chain.into_bytes()));
        }
        if let Some(authorities) = authorities.and_then(|place| AUTHORITIES.get(place)) {
            data.insert("ca.crt".to_owned(), ByteString(authorities.clone().into_bytes()));
        }
        core::Secret { metadata, type_, data: Some(data), ..core::Secret::default() }.into()
    });
    secrets.boxed()
}

fn other() -> impl Strategy<Value = Object> {
    let namespace =
        metadata(&[("a", "b")]).prop_map(|metadata| core::Namespace { metadata, ..Default::default() }.into());
    let config_map =
        metadata(&[("a", "b")]).prop_map(|metadata| core::ConfigMap { metadata, ..Default::default() }.into());
    prop_oneof![namespace, config_map]
}

/// Any object of a kind that is read.
pub(crate) fn object() -> impl Strategy<Value = Object> {
    prop_oneof![
        6 => ingress(),
        1 => class(),
        4 => service(),
        4 => slice(),
        1 => endpoints(),
        3 => import(),
        3 => secret(),
        1 => other(),
    ]
}

/// Any settings.
pub(crate) fn settings() -> impl Strategy<Value = TranslateSettings> {
    let parts = (any::<bool>(), weighted(0.3, Just("m/x:80")), weighted(0.3, Just("m/y")), any::<bool>());
    parts.prop_map(|(without_class, default_backend, default_tls_secret, ssl_redirect)| TranslateSettings {
        ingress: IngressSettings {
            without_class,
            default_backend: default_backend.map(|service| service.parse().expect("valid")),
            default_tls_secret: default_tls_secret.map(|secret| secret.parse().expect("valid")),
            ssl_redirect,
            ..IngressSettings::default()
        },
        cluster_domain: DomainName::cluster_local(),
    })
}
