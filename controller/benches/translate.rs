//! Translation of 5,000 Ingresses with 5,000 Services: from nothing, and after one event. An event costs what it changes
//! (one backend, one host) and one copy of the table that holds it.

#![expect(clippy::expect_used, reason = "benchmarks")]

use config::{DomainName, IngressSettings};
use divan::Bencher;
use jiff::Timestamp;
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use tidegate_controller::{Object, Objects, TranslateSettings, Translator, translate};

const OBJECTS: usize = 5_000;
const ENDPOINTS: usize = 10;

fn main() {
    divan::main();
}

fn read(object: Value) -> Object {
    let text = |field: &str| object.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    Object::read(&text("apiVersion"), &text("kind"), object).expect("a known kind").expect("a good object")
}

fn ingress(number: usize, path: &str) -> Object {
    let backend = json!({"service": {"name": format!("service-{number}"), "port": {"name": "http"}}});
    read(json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": format!("ingress-{number}"), "namespace": format!("team-{}", number % 50)},
        "spec": {
            "ingressClassName": "tidegate",
            "tls": [{"hosts": [format!("host-{number}.example.com")], "secretName": format!("tls-{number}")}],
            "rules": [{"host": format!("host-{number}.example.com"), "http": {"paths": [
                {"path": "/", "pathType": "Prefix", "backend": backend},
                {"path": path, "pathType": "Prefix", "backend": backend},
            ]}}],
        },
    }))
}

fn service(number: usize) -> Object {
    read(json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": format!("service-{number}"), "namespace": format!("team-{}", number % 50)},
        "spec": {"clusterIP": format!("10.96.{}.{}", number / 250, number % 250), "ports": [{"name": "http", "port": 80}]},
    }))
}

fn slice(number: usize, endpoints: usize) -> Object {
    let address = |endpoint| format!("10.{}.{}.{endpoint}", number / 250, number % 250);
    let endpoints: Vec<_> = (0..endpoints).map(|endpoint| json!({"addresses": [address(endpoint)]})).collect();
    read(json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {
            "name": format!("service-{number}-abcde"), "namespace": format!("team-{}", number % 50),
            "labels": {"kubernetes.io/service-name": format!("service-{number}")},
        },
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": endpoints,
    }))
}

fn secret(number: usize, key: &KeyPair) -> Object {
    let params = CertificateParams::new(vec![format!("host-{number}.example.com")]).expect("a good name");
    let chain = params.self_signed(key).expect("signed").pem();
    let mut object = read(json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": {"name": format!("tls-{number}"), "namespace": format!("team-{}", number % 50)},
        "stringData": {"tls.crt": chain, "tls.key": key.serialize_pem()},
    }));
    object.trim();
    object
}

fn settings() -> TranslateSettings {
    TranslateSettings { ingress: IngressSettings::default(), cluster_domain: DomainName::cluster_local() }
}

fn cluster() -> Objects {
    let mut objects = Objects::new(None, Timestamp::UNIX_EPOCH);
    let key = KeyPair::generate().expect("generated");
    for number in 0..OBJECTS {
        objects.apply(ingress(number, "/api"));
        objects.apply(service(number));
        objects.apply(slice(number, ENDPOINTS));
        objects.apply(secret(number, &key));
    }
    objects
}

#[divan::bench(sample_count = 20)]
fn full(bencher: Bencher<'_, '_>) {
    let objects = cluster();
    bencher.bench_local(|| translate(&objects, &settings()));
}

/// Two objects in turn, so that each is a change.
fn one_event(bencher: Bencher<'_, '_>, events: &[Object; 2]) {
    let mut objects = cluster();
    let mut translator = Translator::new(settings());
    let mut current = translator.translate(&mut objects);
    let mut turn = 0;
    bencher
        .with_inputs(|| {
            turn = 1 - turn;
            events.get(turn).expect("two").clone()
        })
        .bench_local_values(|event| {
            objects.apply(event);
            // The snapshot before is given up here, as it is in the program.
            current = translator.translate(&mut objects);
        });
}

#[divan::bench(sample_count = 500)]
fn one_endpoint_slice(bencher: Bencher<'_, '_>) {
    one_event(bencher, &[slice(77, ENDPOINTS), slice(77, ENDPOINTS - 1)]);
}

#[divan::bench(sample_count = 500)]
fn one_ingress_path(bencher: Bencher<'_, '_>) {
    one_event(bencher, &[ingress(77, "/api"), ingress(77, "/v2")]);
}

#[divan::bench(sample_count = 100)]
fn one_secret(bencher: Bencher<'_, '_>) {
    let [first, second] = [(); 2].map(|()| KeyPair::generate().expect("generated"));
    one_event(bencher, &[secret(77, &first), secret(77, &second)]);
}
