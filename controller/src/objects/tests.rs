use super::*;
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};

fn read(object: Value) -> Object {
    let text = |field: &str| object.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    Object::read(&text("apiVersion"), &text("kind"), object).expect("a known kind").expect("a good object")
}

fn time(year: i16) -> Timestamp {
    format!("{year}-01-01T00:00:00Z").parse().expect("a good time")
}

fn kept() -> Objects {
    Objects::new(None, time(2026))
}

/// A Secret `shop/tls` with a certificate from 2020 to 2030.
fn secret(key: Option<&str>) -> Object {
    let pair = KeyPair::generate().expect("generated");
    let mut params = CertificateParams::new(vec!["a.com".to_owned()]).expect("a good name");
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2030, 1, 1);
    let chain = params.self_signed(&pair).expect("signed").pem();
    let key = key.map_or_else(|| pair.serialize_pem(), str::to_owned);
    read(json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "tls", "namespace": "shop"},
        "stringData": {"tls.crt": chain, "tls.key": key},
    }))
}

fn ingress(secret: &str) -> Object {
    read(json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"tls": [{"hosts": ["a.com"], "secretName": secret}]},
    }))
}

fn service(version: Option<&str>, port: u16) -> Object {
    read(json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "web", "namespace": "shop", "resourceVersion": version},
        "spec": {"ports": [{"port": port}]},
    }))
}

fn name() -> ObjectName {
    "shop/tls".parse().expect("a good name")
}

#[test]
fn the_last_good_certificate_lasts_as_long_as_it_is_named() {
    let has_certificate = |objects: &Objects| objects.secret(&name()).is_some_and(|kept| kept.certificate.is_some());
    for end in [Some(secret(Some("broken"))), None] {
        let mut objects = kept();
        objects.apply(ingress("tls"));
        objects.apply(secret(None));
        let is_change = match end {
            Some(broken) => objects.apply(broken),
            None => objects.delete(&secret_ref(&name())),
        };
        assert!(is_change && has_certificate(&objects), "it is named");
        // An update that still names it is no gap.
        objects.apply(ingress("tls"));
        assert!(has_certificate(&objects), "it is still named");
        objects.apply(ingress("other"));
        assert!(!has_certificate(&objects), "nobody names it any more");
    }
}

#[test]
fn a_secret_that_nobody_names_leaves_nothing() {
    let mut objects = kept();
    objects.apply(secret(None));
    assert!(objects.delete(&secret_ref(&name())));
    assert_eq!(objects.secret(&name()), None);
    assert!(!objects.delete(&secret_ref(&name())), "it is gone already");
}

/// As `kubectl replace --force` does: the source may not even notice that for a moment nobody named it.
#[test]
fn a_refusal_outlives_who_names_the_secret() {
    let mut objects = kept();
    objects.apply(ingress("tls"));
    objects.refuse(&secret_ref(&name()), &"no right".into());
    objects.delete(&ObjectRef::new(Kind::Ingress, "shop", "web"));
    objects.apply(ingress("tls"));
    assert!(objects.secret_refusal(&name()).is_some());
    assert!(objects.delete(&secret_ref(&name())), "the source says that it does not exist");
    assert!(objects.secret_refusal(&name()).is_none());
}

#[test]
fn the_default_secret_is_always_named() {
    let mut objects = Objects::new(Some(&name()), time(2026));
    objects.apply(secret(None));
    objects.delete(&secret_ref(&name()));
    assert!(objects.secret(&name()).is_some_and(|kept| !kept.exists && kept.certificate.is_some()));
}

#[test]
fn time_moves_certificates_in_and_out_of_their_validity() {
    let mut objects = Objects::new(None, time(2019));
    objects.apply(secret(None));
    let validity = |objects: &Objects| objects.secret(&name()).map(|kept| kept.validity);
    assert_eq!(validity(&objects), Some(Validity::NotYet));
    for (year, is_change, expected) in
        [(2021, true, Validity::Valid), (2022, false, Validity::Valid), (2031, true, Validity::Expired)]
    {
        objects.take_changes();
        assert_eq!(objects.advance(time(year)), is_change, "{year}");
        assert_eq!(objects.has_changes(), is_change, "{year}");
        assert_eq!(validity(&objects), Some(expected), "{year}");
    }
}

#[test]
fn the_version_is_the_newest_of_what_names_are_made_of() {
    let mut objects = kept();
    for (object, version) in [
        (service(None, 80), 0),
        (service(Some("700"), 81), 700),
        (service(Some("650"), 82), 700),
        (service(Some("opaque"), 83), 700),
    ] {
        objects.apply(object);
        assert_eq!(objects.version(), version);
    }
    objects.delete(&service(None, 0).object_ref());
    assert_eq!(objects.version(), 700);
    objects.reach(702);
    objects.reach(701);
    assert_eq!(objects.version(), 702);
}

#[test]
fn a_change_of_a_slice_is_one_of_its_service() {
    let slice = |service: &str| {
        read(json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": "one", "namespace": "shop", "labels": {"kubernetes.io/service-name": service}},
            "endpoints": [{"addresses": ["10.0.0.1"]}],
        }))
    };
    let mut objects = kept();
    objects.apply(slice("web"));
    objects.take_changes();
    objects.apply(slice("api"));
    let services: std::collections::BTreeSet<_> = objects.take_changes().services.into_iter().collect();
    assert_eq!(services.iter().map(ToString::to_string).collect::<Vec<_>>(), ["shop/api", "shop/web"]);
    assert!(objects.slices(&"shop/web".parse().expect("a good name")).is_empty());
    assert!(!objects.apply(slice("api")), "the same once more");
    assert!(!objects.has_changes());
}

#[test]
fn in_a_cluster_annotations_name_no_endpoints() {
    let name = ObjectName { namespace: "shop".into(), name: "web".into() };
    let service = || {
        read(json!({"apiVersion": "v1", "kind": "Service", "metadata": {
            "name": "web", "namespace": "shop", "annotations": {"tidegate.dev/endpoints": "127.0.0.1:9901"},
        }}))
    };
    let mut objects = kept();
    objects.apply(service());
    assert!(objects.service(&name).is_some_and(|service| service.endpoints.is_some() && service.problems.is_empty()));
    let mut objects = kept().of_cluster();
    objects.apply(service());
    let service = objects.service(&name).expect("kept");
    assert_eq!(service.endpoints, None);
    let problems: Vec<_> = service.problems.iter().map(ToString::to_string).collect();
    assert!(
        matches!(&problems[..], [problem] if problem.contains("NoEffect: in a cluster endpoints come")),
        "{problems:?}"
    );
}
