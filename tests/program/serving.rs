//! What is served follows the manifests.

use crate::backend::Backend;
use crate::client::{self, send};
use crate::manifests::{Manifests, ingress, service, tls_ingress};
use crate::tidegate::{Tidegate, command, text};
use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

fn shop(backend: &Backend) -> Manifests {
    Manifests::new(&[
        ("routes.yaml", ingress("web", "shop.test", "/", "web")),
        ("services.yaml", service("web", &[backend.address])),
    ])
}

#[test]
fn an_edited_file_changes_the_answers() {
    let (one, two) = (Backend::start("one"), Backend::start("two"));
    let manifests = shop(&one);
    let tidegate = Tidegate::run(manifests.path(), &[]);
    assert_eq!(tidegate.get("shop.test", "/a?b").body, "one /a?b");
    assert_eq!(tidegate.get("else.test", "/").status, 404);

    manifests.write("services.yaml", &service("web", &[two.address]));
    tidegate.serves("shop.test", "/", "two /");
    manifests.write("more/routes.yaml", &ingress("more", "more.test", "/", "web"));
    tidegate.serves("more.test", "/", "two /");
    manifests.write("routes.yaml", &ingress("web", "moved.test", "/", "web"));
    tidegate.serves("moved.test", "/", "two /");
    assert_eq!(tidegate.get("shop.test", "/").status, 404);
    fs::remove_dir_all(manifests.file("more")).expect("removed");
    crate::tidegate::until("more.test is gone", || (tidegate.get("more.test", "/").status == 404).then_some(()));
}

#[test]
fn a_broken_file_goes_on_being_served_and_is_named() {
    let backend = Backend::start("one");
    let manifests = shop(&backend);
    let tidegate = Tidegate::run(manifests.path(), &[]);
    manifests.write("routes.yaml", "kind: Ingress\nspec: [\n");
    let entry = tidegate.logged("unclosed bracket");
    assert_eq!(entry["level"], "ERROR");
    let location = entry["location"].as_str().expect("a place");
    assert!(location.ends_with("/routes.yaml:2"), "{entry}");
    assert_eq!(tidegate.get("shop.test", "/").body, "one /");
    manifests.write("other.yaml", &ingress("other", "other.test", "/", "web"));
    tidegate.serves("other.test", "/", "one /");
    manifests.write("routes.yaml", &ingress("web", "fixed.test", "/", "web"));
    tidegate.logged("recovered");
    tidegate.serves("fixed.test", "/", "one /");
}

#[test]
fn a_mounted_config_map_is_swapped_at_once() {
    let backend = Backend::start("one");
    let manifests = Manifests::new(&[
        ("..1/routes.yaml", ingress("web", "old.test", "/", "web")),
        ("..1/services.yaml", service("web", &[backend.address])),
    ]);
    symlink("..1", manifests.file("..data")).expect("linked");
    for file in ["routes.yaml", "services.yaml"] {
        symlink(format!("..data/{file}"), manifests.file(file)).expect("linked");
    }
    let tidegate = Tidegate::run(manifests.path(), &[]);
    assert_eq!(tidegate.get("old.test", "/").body, "one /");
    manifests.write("..2/routes.yaml", &ingress("web", "new.test", "/", "web"));
    manifests.write("..2/services.yaml", &service("web", &[backend.address]));
    symlink("..2", manifests.file("..data_tmp")).expect("linked");
    fs::rename(manifests.file("..data_tmp"), manifests.file("..data")).expect("swapped");
    fs::remove_dir_all(manifests.file("..1")).expect("removed");
    tidegate.serves("new.test", "/", "one /");
    assert_eq!(tidegate.get("old.test", "/").status, 404);
}

#[test]
fn tls_and_redirects_work_with_the_ports_that_were_chosen() {
    let backend = Backend::start("one");
    let manifests = shop(&backend);
    manifests.write("tls.yaml", &tls_ingress("tls", "secure.test", "web"));
    let tidegate = Tidegate::run(manifests.path(), &[]);
    let answer = tidegate.get("secure.test", "/a?b");
    assert_eq!(answer.status, 308);
    let location = format!("location: https://secure.test:{}/a?b", tidegate.https.port());
    assert!(answer.head.contains(&location), "{}", answer.head);
    let resolve = format!("secure.test:{}:127.0.0.1", tidegate.https.port());
    let url = format!("https://secure.test:{}/a", tidegate.https.port());
    let curl = |more: &[&str]| {
        let output =
            Command::new("curl").args(["-sk", "--resolve", &resolve]).args(more).arg(&url).output().expect("curl");
        text(&output.stdout)
    };
    assert_eq!(curl(&[]), "one /a");
    assert_eq!(curl(&["--http1.1"]), "one /a");
    assert_eq!(curl(&["-o", "/dev/null", "-w", "%{http_version}"]), "2");
}

#[test]
fn flags_reach_what_they_set() {
    let backend = Backend::start("one");
    let manifests = shop(&backend);
    manifests.write("tls.yaml", &tls_ingress("tls", "secure.test", "web"));
    let flags = [
        "--default-backend",
        "shop/web:80",
        "--advertised-https-port",
        "443",
        "--encoded-slashes",
        "reject",
        "--merge-slashes",
        "false",
        "--ingress-class=tidegate,other",
    ];
    let tidegate = Tidegate::run(manifests.path(), &flags);
    assert_eq!(tidegate.get("else.test", "/x").body, "one /x");
    assert!(tidegate.get("secure.test", "/").head.contains("location: https://secure.test/\r\n"));
    assert_eq!(tidegate.get("shop.test", "/a%2Fb").status, 400);
    assert_eq!(tidegate.get("shop.test", "/a//b").body, "one /a//b");
    manifests.write("other.yaml", &ingress("other", "other.test", "/", "web").replace("Name: tidegate", "Name: other"));
    tidegate.serves("other.test", "/y", "one /y");
}

#[test]
fn variables_do_what_their_flags_do() {
    let backend = Backend::start("one");
    let manifests = shop(&backend);
    let mut command = command();
    command.arg("run").env("TIDEGATE_MANIFESTS", manifests.path());
    for listener in ["HTTP", "HTTPS", "DNS", "ADMIN"] {
        command.env(format!("TIDEGATE_{listener}_BIND"), "127.0.0.1:0");
    }
    command.env("TIDEGATE_LOG_FORMAT", "json").env("TIDEGATE_WORKERS", "1").env("TIDEGATE_DRAIN_DELAY", "0s");
    command.env("TIDEGATE_WATCH_INGRESS_WITHOUT_CLASS", "true").env("TIDEGATE_DNS_UPSTREAM", "127.0.0.1:9");
    let tidegate = Tidegate::spawn(command);
    manifests
        .write("none.yaml", &ingress("none", "none.test", "/", "web").replace("  ingressClassName: tidegate\n", ""));
    tidegate.serves("none.test", "/", "one /");
}

#[test]
fn several_sources_are_one() {
    let backend = Backend::start("one");
    let (routes, services) = (
        Manifests::new(&[("a.yaml", ingress("web", "shop.test", "/", "web"))]),
        Manifests::new(&[("b.txt", service("web", &[backend.address]))]),
    );
    let file = services.file("b.txt");
    let tidegate = Tidegate::run(routes.path(), &["--manifests", file.to_str().expect("UTF-8")]);
    assert_eq!(tidegate.get("shop.test", "/").body, "one /");
}

#[test]
fn malformed_requests_get_400_and_others_go_on() {
    let backend = Backend::start("one");
    let manifests = shop(&backend);
    let tidegate = Tidegate::run(manifests.path(), &[]);
    for request in ["GET / HTTP/1.1\r\n\r\n", "GET /%zz HTTP/1.1\r\nHost: shop.test\r\n\r\n", "nonsense\r\n\r\n"] {
        assert_eq!(send(tidegate.http, request).status, 400, "{request:?}");
    }
    assert_eq!(client::get(tidegate.http, "SHOP.test:8080", "/").body, "one /");
}

#[test]
fn names_are_answered_from_the_same_manifests() {
    let backend = Backend::start("one");
    let manifests = shop(&backend);
    let tidegate = Tidegate::run(manifests.path(), &[]);
    let dig = |name: &str, more: &[&str]| {
        let port = tidegate.dns.port().to_string();
        let output =
            Command::new("dig").args(["+short", "+tries=1", "@127.0.0.1", "-p", &port, name]).args(more).output();
        text(&output.expect("dig is installed").stdout)
    };
    assert_eq!(dig("web.shop.svc.cluster.local", &[]), "10.96.0.10\n");
    assert_eq!(dig("web.shop.svc.cluster.local", &["+tcp"]), "10.96.0.10\n");
    manifests.write("services.yaml", &service("web", &[backend.address]).replace("10.96.0.10", "10.96.0.99"));
    let moved = || (dig("web.shop.svc.cluster.local", &[]) == "10.96.0.99\n").then_some(());
    crate::tidegate::until("the name has moved", moved);
}
