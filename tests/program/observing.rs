//! What operators see of a running program.

use crate::backend::Backend;
use crate::client::get;
use crate::corefile::free_port;
use crate::manifests::{Manifests, ingress, service};
use crate::tidegate::{SOON, Tidegate, command, lines, until};
use serde_json::Value;
use std::process::{Command, Stdio};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn the_admin_endpoint_shows_what_is_served() {
    let backend = Backend::start("one");
    let manifests = Manifests::new(&[
        ("a.yaml", ingress("web", "shop.test", "/", "web")),
        ("b.yaml", service("web", &[backend.address])),
        ("c.yaml", ingress("bad", "10.0.0.1", "/", "web")),
    ]);
    let tidegate = Tidegate::run(manifests.path(), &[]);
    assert_eq!(tidegate.get("shop.test", "/").status, 200);
    let admin = |path: &str| get(tidegate.admin, "localhost", path);
    assert_eq!(admin("/livez").status, 200);
    assert_eq!(json(&admin("/snapshot").body)["generation"], 1);
    assert!(admin("/routes").body.contains(&format!("shop/web:80  {}", backend.address)), "{}", admin("/routes").body);
    assert_eq!(json(&admin("/routes?output=json").body)[0]["host"], "shop.test");
    assert_eq!(json(&admin("/statuses").body)["Ingress shop/bad"]["verdict"], "Refused");
    let metrics = admin("/metrics").body;
    for line in [
        "tidegate_snapshot_generation 1".to_owned(),
        "tidegate_objects{kind=\"Ingress\"} 2".to_owned(),
        "tidegate_translate_duration_seconds_count 1".to_owned(),
    ] {
        assert!(metrics.lines().any(|known| known == line), "{line} is not in\n{metrics}");
    }
    let labels =
        "kind=\"Ingress\",namespace=\"shop\",route=\"web\",service_namespace=\"shop\",service=\"web\",port=\"80\"";
    assert!(metrics.contains(&format!("tidegate_requests_total{{{labels},code=\"2xx\"}} 1\n")), "{metrics}");
    assert!(metrics.contains("\nprocess_resident_memory_bytes "));
    manifests.write("c.yaml", &ingress("bad", "good.test", "/", "web"));
    until("generation 2", || admin("/metrics").body.contains("\ntidegate_snapshot_generation 2\n").then_some(()));
}

#[test]
fn secrets_are_shown_to_nobody() {
    let manifests = Manifests::new(&[("a.yaml", ingress("web", "shop.test", "/", "web"))]);
    let key = manifests.file("key.pem");
    let certificate = manifests.file("cert.pem");
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-subj",
            "/CN=shop.test",
        ])
        .args(["-addext", "subjectAltName=DNS:shop.test", "-days", "10", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()
        .expect("openssl");
    assert!(made.status.success(), "{made:?}");
    let indented = |path| std::fs::read_to_string(path).expect("made").replace('\n', "\n    ");
    let secret = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: tls, namespace: shop}}\ntype: kubernetes.io/tls\nstringData:\n  \
         tls.crt: |\n    {}\n  tls.key: |\n    {}\n",
        indented(&certificate),
        indented(&key)
    );
    manifests.write("secret.yaml", &secret);
    let with_tls = "  tls: [{hosts: [shop.test], secretName: tls}]\n  rules:";
    manifests.write("a.yaml", &ingress("web", "shop.test", "/", "web").replace("  rules:", with_tls));
    let tidegate = Tidegate::run(manifests.path(), &[]);
    let snapshot = get(tidegate.admin, "localhost", "/snapshot").body;
    let secrets = json(&snapshot)["routing"]["listeners"][1]["certificates"]["declared"]["shop.test"][0]["key"].clone();
    assert_eq!(secrets, "[redacted]", "{snapshot}");
    let routes = get(tidegate.admin, "localhost", "/routes").body;
    assert!(routes.contains("shop/tls, redirects"), "{routes}");
}

#[test]
fn each_request_is_a_line_on_standard_output() {
    let backend = Backend::start("one");
    let manifests = Manifests::new(&[
        ("a.yaml", ingress("web", "shop.test", "/", "web")),
        ("b.yaml", service("web", &[backend.address])),
    ]);
    let tidegate = Tidegate::run(manifests.path(), &[]);
    assert_eq!(tidegate.get("shop.test", "/a").status, 200);
    let line = json(&tidegate.line());
    assert_eq!((&line["host"], &line["path"], &line["status"]), (&"shop.test".into(), &"/a".into(), &200.into()));
    assert_eq!(tidegate.get("no.test", "/").status, 404);
    assert_eq!(json(&tidegate.line())["reason"], "no_route");
}

#[test]
fn problems_are_logged_once_and_their_end_too() {
    let manifests = Manifests::new(&[("a.yaml", ingress("web", "shop.test", "/", "web"))]);
    let tidegate = Tidegate::start(manifests.path(), &[]);
    let entry = tidegate.logged("Service shop/web does not exist");
    assert_eq!((&entry["level"], &entry["object"]), (&"WARN".into(), &"Ingress shop/web".into()));
    manifests.write("b.yaml", &service("web", &["127.0.0.1:1".parse().expect("an address")]));
    let entry = tidegate.logged("its problems are over");
    assert_eq!(entry["object"], "Ingress shop/web");
}

#[test]
fn a_name_in_the_text_log_makes_up_no_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let corefile = folder.path().join("Corefile");
    let text =
        format!(".:{} {{\n bind 127.0.0.1\n hosts \"{}/a\nERROR made up\"\n}}\n", free_port(), folder.path().display());
    std::fs::write(&corefile, text).expect("written");
    let mut command = command();
    command.args(["dns", "--log-format", "text", "--corefile"]).arg(&corefile);
    let mut child = command.stderr(Stdio::piped()).spawn().expect("it starts");
    let log = lines(child.stderr.take().expect("piped"));
    let mut told = Vec::new();
    while let Ok(line) = log.recv_timeout(SOON) {
        let is_last = line.contains("names are served");
        told.push(line);
        if is_last {
            break;
        }
    }
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    assert!(told.iter().any(|line| line.contains("/a\\nERROR made up")), "{told:?}");
    assert!(!told.iter().any(|line| line.starts_with("ERROR made up")), "{told:?}");
}
