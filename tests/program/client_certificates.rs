//! A host that asks for client certificates, from its manifests to clients that are none of ours.

use crate::backend::Backend;
use crate::client::get;
use crate::manifests::{Manifests, ingress, service};
use crate::tidegate::{Tidegate, text, until};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use std::process::Command;

/// An authority, as a Secret has it, and what it signed for a client, certificate and key.
fn authority(name: &str) -> (String, String) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate().expect("key");
    let pem = params.self_signed(&key).expect("signed").pem().replace('\n', "\n    ");
    let client = KeyPair::generate().expect("key");
    let signed = CertificateParams::default().signed_by(&client, &Issuer::new(params, key)).expect("signed");
    let secret = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: partners, namespace: shop}}\nstringData:\n  ca.crt: |\n    {pem}\n"
    );
    (secret, signed.pem() + &client.serialize_pem())
}

/// What curl gets, with a certificate from that file or without: the status and the version.
fn curl(tidegate: &Tidegate, version: &str, certificate: Option<&str>) -> String {
    let port = tidegate.https.port();
    let mut command = Command::new("curl");
    command.args(["--silent", "--insecure", "--output", "/dev/null", "--write-out", "%{http_code} %{http_version}"]);
    command.args(["--resolve", &format!("shop.test:{port}:127.0.0.1"), "--max-time", "20", version]);
    command.args(certificate.iter().flat_map(|file| ["--cert", file]));
    text(&command.arg(format!("https://shop.test:{port}/")).output().expect("curl").stdout)
}

#[test]
fn a_host_asks_for_client_certificates() {
    let backend = Backend::start("one");
    let annotated = ingress("web", "shop.test", "/", "web").replace(
        "  namespace: shop\n",
        "  namespace: shop\n  annotations: {tidegate.dev/client-ca-secret: partners}\n",
    );
    let manifests = Manifests::new(&[("a.yaml", annotated), ("b.yaml", service("web", &[backend.address]))]);
    let clients = tempfile::tempdir().expect("a directory");
    let [(partners, first), (others, second)] = ["Partners", "Others"].map(authority);
    let [first, second] = [("first.pem", first), ("second.pem", second)].map(|(name, pem)| {
        let file = clients.path().join(name);
        std::fs::write(&file, pem).expect("written");
        file.to_str().expect("UTF-8").to_owned()
    });
    let tidegate = Tidegate::start(manifests.path(), &[]);
    tidegate.logged("Secret shop/partners does not exist, no client can be verified");
    until("503", || (curl(&tidegate, "--http2", Some(&first)) == "503 2").then_some(()));
    manifests.write("secret.yaml", &partners);
    until("the authorities", || (curl(&tidegate, "--http2", Some(&first)) == "200 2").then_some(()));
    assert_eq!(curl(&tidegate, "--http1.1", Some(&first)), "200 1.1");
    let routes = get(tidegate.admin, "localhost", "/routes").body;
    assert!(routes.contains("self-made, clients by shop/partners"), "{routes}");
    assert_eq!(curl(&tidegate, "--http2", Some(&second)), "400 2");
    assert_eq!(curl(&tidegate, "--http2", None), "400 2");
    assert_eq!(tidegate.get("shop.test", "/").status, 403);
    manifests.write("secret.yaml", &others);
    until("other authorities", || (curl(&tidegate, "--http2", Some(&second)) == "200 2").then_some(()));
    assert_eq!(curl(&tidegate, "--http2", Some(&first)), "400 2");
    std::fs::remove_file(manifests.file("secret.yaml")).expect("removed");
    tidegate.logged("Secret shop/partners does not exist any more, its last good authorities count");
    assert_eq!(curl(&tidegate, "--http2", Some(&second)), "200 2");
}
