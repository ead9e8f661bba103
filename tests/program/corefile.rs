//! DNS as a Corefile says, and its changes while it is served.

use crate::client;
use crate::manifests::{Manifests, service};
use crate::tidegate::{Process, Tidegate, command, output, text, until};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

fn shop() -> Manifests {
    let backend = "127.0.0.1:80".parse().expect("an address");
    Manifests::new(&[("services.yaml", service("web", &[backend]))])
}

/// A port that is free for both transports, and no other test's: below those that the system gives to whoever wants any, so
/// that nobody has it meanwhile.
pub(crate) fn free_port() -> u16 {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    let is_free = |port: &u16| {
        let address = (Ipv4Addr::UNSPECIFIED, *port);
        TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok()
    };
    let any = || 10_000 + ((std::process::id() + TAKEN.fetch_add(1, Ordering::Relaxed)) % 20_000) as u16;
    std::iter::repeat_with(any).find(is_free).expect("endless")
}

fn corefile(port: u16, ttl: u32) -> String {
    format!(
        ".:{port} {{\n    bind 127.0.0.1\n    errors\n    kubernetes cluster.local in-addr.arpa {{\n        \
         pods insecure\n        ttl {ttl}\n    }}\n    reload 2s 1s\n}}\n"
    )
}

/// Writes it whole, as a ConfigMap's volume does.
pub(crate) fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).expect("written");
    std::fs::rename(&new, path).expect("replaced");
}

pub(crate) fn start(manifests: &Path, corefile: &Path) -> Tidegate {
    let mut command = command();
    command.arg("run").arg("--manifests").arg(manifests).arg("--corefile").arg(corefile);
    for listener in ["http", "https", "admin"] {
        command.args([&format!("--{listener}-bind"), "127.0.0.1:0"]);
    }
    command.args(["--workers", "2", "--log-format", "json"]);
    let tidegate = Tidegate::spawn(command);
    until("ready", || (client::get(tidegate.admin, "localhost", "/readyz").status == 200).then_some(()));
    tidegate
}

/// The answer section as dig prints it, a line a record.
fn dig(tidegate: &Tidegate, name: &str) -> String {
    dig_at(tidegate.dns.port(), name)
}

pub(crate) fn dig_at(port: u16, name: &str) -> String {
    let port = port.to_string();
    let dig = Command::new("dig").args(["@127.0.0.1", "-p", &port, "+noall", "+answer", name]).output().expect("dig");
    text(&dig.stdout).split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_corefile_is_served_and_followed() {
    let manifests = shop();
    let directory = tempfile::tempdir().expect("a directory");
    let (path, port) = (directory.path().join("Corefile"), free_port());
    replace(&path, &corefile(port, 17));
    let tidegate = start(manifests.path(), &path);
    assert_eq!(tidegate.dns.port(), port);
    let answer = dig(&tidegate, "web.shop.svc.cluster.local");
    assert!(answer.starts_with("web.shop.svc.cluster.local. 17 IN A "), "{answer}");

    replace(&path, &corefile(port, 18));
    until("the change", || dig(&tidegate, "web.shop.svc.cluster.local").contains(" 18 IN A ").then_some(()));

    // What is wrong is told with its line, and what was served stays.
    replace(&path, &corefile(port, 19).replace("errors", "erors {$NOT_SET_HERE}"));
    let error = tidegate.logged("the Corefile is not taken")["error"].to_string();
    assert!(error.contains("Corefile:3: erors: unknown plugin; did you mean errors?"), "{error}");
    // With what may be the cause.
    assert!(error.contains("Corefile:3: the variable NOT_SET_HERE is not set: it counts as empty"), "{error}");
    assert!(dig(&tidegate, "web.shop.svc.cluster.local").contains(" 18 IN A "));
    let metrics = client::get(tidegate.admin, "localhost", "/metrics").body;
    assert!(metrics.contains("\ntidegate_dns_reloads_refused_total 1\n"), "{metrics}");

    // What stays silent when it is read does not end the following.
    std::fs::remove_file(&path).expect("removed");
    tidegate.logged("the Corefile is not taken");
    assert!(Command::new("mkfifo").arg(&path).status().expect("mkfifo").success());
    let error = tidegate.logged("the Corefile is not taken")["error"].to_string();
    assert!(error.contains("it is no regular file"), "{error}");

    // What it names and is not there is told too.
    let hosts = "    errors\n    hosts none {\n        fallthrough\n    }\n";
    replace(&path, &corefile(port, 20).replace("    errors\n", hosts));
    let entry = tidegate.logged("hosts: there is no none: it counts as empty");
    assert_eq!(entry["level"], "WARN", "{entry}");
    until("the change", || dig(&tidegate, "web.shop.svc.cluster.local").contains(" 20 IN A ").then_some(()));
}

#[test]
fn a_corefile_that_is_not_looked_at_again_is_no_failure() {
    let manifests = shop();
    let directory = tempfile::tempdir().expect("a directory");
    let (path, port) = (directory.path().join("Corefile"), free_port());
    let without = |ttl| corefile(port, ttl).replace("    reload 2s 1s\n", "");
    let lives = |tidegate: &Tidegate| client::get(tidegate.admin, "localhost", "/livez");
    replace(&path, &without(17));
    let tidegate = start(manifests.path(), &path);
    assert!(dig(&tidegate, "web.shop.svc.cluster.local").contains(" 17 IN A "));
    assert_eq!(lives(&tidegate).status, 200, "{}", lives(&tidegate).body);
    drop(tidegate);

    // Nor is one that says so later.
    replace(&path, &corefile(port, 18));
    let tidegate = start(manifests.path(), &path);
    replace(&path, &without(19));
    tidegate.logged("the Corefile has changed");
    assert!(dig(&tidegate, "web.shop.svc.cluster.local").contains(" 19 IN A "));
    assert_eq!(lives(&tidegate).status, 200, "{}", lives(&tidegate).body);
}

#[test]
fn a_corefile_that_cannot_be_taken_is_told_at_the_start() {
    let manifests = shop();
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("Corefile");
    let (manifests, name) = (manifests.path().to_str().expect("UTF-8"), path.to_str().expect("UTF-8"));
    let run = |flags: &[&str]| {
        let output = output(&[&["run", "--manifests", manifests, "--corefile", name], flags].concat());
        (output.status.code(), text(&output.stderr))
    };
    let (code, error) = run(&[]);
    assert!(code == Some(2) && error.contains(name) && error.contains("No such file"), "{error}");
    std::fs::write(&path, ".:53 {\n    kubernets cluster.local\n    cache 0\n}\n").expect("written");
    let (code, error) = run(&[]);
    let is_told = |line: &str| error.contains(&format!("{name}:{line}"));
    assert!(code == Some(2) && is_told("2: kubernets: unknown plugin") && is_told("3: cache: "), "{error}");
    let (code, error) = run(&["--dns-ttl", "30"]);
    assert!(code == Some(2) && error.contains("--corefile") && error.contains("--dns-ttl"), "{error}");
}

#[test]
fn probes_pods_and_labels_are_as_the_corefile_says() {
    let labelled = service("web", &[]).replace("  namespace: shop\n", "  namespace: shop\n  labels: {team: a}\n");
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: shop, labels: {team: a}}\nstatus: {podIP: 10.0.0.1}\n";
    let manifests = Manifests::new(&[
        ("a.yaml", labelled),
        ("b.yaml", service("api", &[])),
        ("c.yaml", pod.to_owned()),
        ("d.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {dns: 'on'}}\n".to_owned()),
    ]);
    let directory = tempfile::tempdir().expect("a directory");
    let (path, port, probes) = (directory.path().join("Corefile"), free_port(), free_port());
    let text = format!(
        ".:{port} {{\n    bind 127.0.0.1\n    health 127.0.0.1:{probes} {{\n        lameduck 10m\n    }}\n    ready 127.0.0.1:{probes}\n    \
         prometheus 127.0.0.1:{probes}\n    kubernetes cluster.local {{\n        pods verified\n        labels team=a\n        \
         namespace_labels dns=on\n    }}\n    reload 2s 1s\n}}\n"
    );
    replace(&path, &text);
    let mut command = command();
    command.args(["dns", "--log-format", "json", "--manifests"]).arg(manifests.path()).arg("--corefile").arg(&path);
    let (mut names, addresses) = Process::spawn(&mut command, 4);
    let probe = |path: &str| client::get((Ipv4Addr::LOCALHOST, probes).into(), "localhost", path);
    until("ready", || (probe("/ready").status == 200).then_some(()));
    let is_at = |listener: &str, port| addresses.iter().any(|(name, at)| name == listener && at.port() == port);
    assert!(["health", "ready", "metrics"].iter().all(|listener| is_at(listener, probes)), "{addresses:?}");
    // It is counted once the names are served.
    let pods = "\ntidegate_objects{kind=\"Pod\"} 1\n";
    until("the Pod is counted", || probe("/metrics").body.contains(pods).then_some(()));
    let said = until("it has asked itself how it is", || {
        let said = probe("/metrics").body;
        let count = said.lines().find_map(|line| line.strip_prefix("coredns_health_request_duration_seconds_count "));
        count.is_some_and(|count| count != "0").then_some(said)
    });
    for counter in ["coredns_health_request_failures_total", "coredns_panics_total"] {
        assert!(said.contains(&format!("\n{counter} 0\n")), "{counter}: {said}");
    }
    for (name, expected) in [("web.shop.svc", true), ("api.shop.svc", false), ("10-0-0-1.shop.pod", true)] {
        let said = dig_at(port, &format!("{name}.cluster.local"));
        assert_eq!(!said.is_empty(), expected, "{name}: {said}");
    }
    replace(&path, &text.replace("labels team=a", "labels team=b"));
    let told = names.logged("Corefile:8: kubernetes: ")["message"].to_string();
    assert!(
        told.contains("kubernetes: labels counts from the next start on; until then the one from before"),
        "{told}"
    );
    assert!(!dig_at(port, "web.shop.svc.cluster.local").is_empty());
    names.signal("-TERM");
    names.logged("draining");
    until("not ready", || (probe("/ready").status == 503).then_some(()));
    assert_eq!((probe("/health").status, names.is_running()), (200, true));
    names.signal("-TERM");
    assert_eq!(names.end().code(), Some(143));
}

#[test]
fn a_corefile_may_ask_for_services_of_several_clusters() {
    let manifests = shop();
    manifests.write(
        "import.yaml",
        "apiVersion: multicluster.x-k8s.io/v1alpha1\nkind: ServiceImport\nmetadata: {name: web, namespace: shop}\n\
         spec: {type: ClusterSetIP, ips: [10.97.0.1], ports: [{port: 80}]}\n",
    );
    let directory = tempfile::tempdir().expect("a directory");
    let (path, port) = (directory.path().join("Corefile"), free_port());
    let zones = "kubernetes cluster.local clusterset.local in-addr.arpa {\n        multicluster clusterset.local\n";
    let text = corefile(port, 17);
    replace(&path, &text.replace("kubernetes cluster.local in-addr.arpa {\n", zones));
    let tidegate = start(manifests.path(), &path);
    let answer = dig(&tidegate, "web.shop.svc.clusterset.local");
    assert_eq!(answer, "web.shop.svc.clusterset.local. 17 IN A 10.97.0.1");

    // Once they are read the zone may go and come.
    replace(&path, &text);
    tidegate.logged("the Corefile has changed");
    assert_eq!(dig(&tidegate, "web.shop.svc.clusterset.local"), "");
    replace(&path, &text.replace("kubernetes cluster.local in-addr.arpa {\n", zones));
    tidegate.logged("the Corefile has changed");
    assert_eq!(dig(&tidegate, "web.shop.svc.clusterset.local"), answer);
}

/// As on a node, in front of the cluster's own servers.
#[test]
fn without_names_of_a_cluster_none_is_needed() {
    let directory = tempfile::tempdir().expect("a directory");
    let (path, port, probes) = (directory.path().join("Corefile"), free_port(), free_port());
    let text = format!(
        ".:{port} {{\n    bind 127.0.0.1\n    hosts {{\n        10.0.0.1 a.test\n    }}\n    ready 127.0.0.1:{probes}\n    \
         reload 2s 1s\n}}\n"
    );
    replace(&path, &text);
    let mut command = command();
    command.env_remove("KUBECONFIG").env_remove("KUBERNETES_SERVICE_HOST");
    command.args(["dns", "--log-format", "json", "--corefile"]).arg(&path);
    let (names, _) = Process::spawn(&mut command, 2);
    let ready = || client::get((Ipv4Addr::LOCALHOST, probes).into(), "localhost", "/ready").status;
    until("ready", || (ready() == 200).then_some(()));
    assert_eq!(dig_at(port, "a.test"), "a.test. 3600 IN A 10.0.0.1");

    replace(&path, &text.replace("    reload", "    kubernetes cluster.local\n    reload"));
    names
        .logged("Corefile:7: kubernetes: a first `kubernetes` counts from the next start on; until then there is none");
    assert_eq!((dig_at(port, "a.test"), ready()), ("a.test. 3600 IN A 10.0.0.1".to_owned(), 200));
}

#[test]
fn labels_in_a_corefile_are_not_for_run() {
    let manifests = shop();
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("Corefile");
    replace(&path, ".:53 {\n    kubernetes cluster.local {\n        labels team=a\n    }\n}\n");
    let [manifests, path] = [manifests.path(), &path].map(|path| path.to_str().expect("UTF-8"));
    let refused = output(&["run", "--manifests", manifests, "--corefile", path]);
    let said = text(&refused.stderr);
    assert!(refused.status.code() == Some(2) && said.contains("are for `tidegate dns`"), "{said}");
}

#[test]
fn answers_and_failures_are_logged_as_a_corefile_says() {
    let manifests = shop();
    let directory = tempfile::tempdir().expect("a directory");
    let (path, port) = (directory.path().join("Corefile"), free_port());
    let rest = "    log . {\n        class success\n    }\n    forward . 127.0.0.1:9\n    errors\n}\n";
    replace(&path, &corefile(port, 17).replace("    errors\n", "").replace("    reload 2s 1s\n}\n", rest));
    let tidegate = start(manifests.path(), &path);
    dig(&tidegate, "gone.shop.svc.cluster.local");
    dig(&tidegate, "web.shop.svc.cluster.local");
    let line = tidegate.logged("web.shop.svc.cluster.local")["message"].to_string();
    assert!(line.contains("A IN web.shop.svc.cluster.local. udp ") && line.contains(" NOERROR qr,aa,rd,ra"), "{line}");
    dig(&tidegate, "example.org");
    let entry = tidegate.logged("2 example.org. A: ");
    assert_eq!(entry["level"], "ERROR", "{entry}");
}

#[test]
fn a_question_is_logged_as_coredns_logs_it_with_the_address_that_its_client_has() {
    let manifests = shop();
    let directory = tempfile::tempdir().expect("a directory");
    let (path, port) = (directory.path().join("Corefile"), free_port());
    // At addresses of both families.
    replace(&path, &format!(".:{port} {{\n    log\n    kubernetes cluster.local\n}}\n"));
    let tidegate = start(manifests.path(), &path);
    for (flags, transport) in
        [(&["+notcp", "+bufsize=4096"], "udp 55 false 4096"), (&["+tcp", "+noedns"], "tcp 44 false 65535")]
    {
        let port = port.to_string();
        let mut dig = Command::new("dig");
        dig.args(["@127.0.0.1", "-p", &port, "+nocookie", "WEB.shop.svc.cluster.local"]).args(flags);
        assert!(text(&dig.output().expect("dig").stdout).contains("NOERROR"));
        let line = tidegate.logged("web.shop")["message"].as_str().expect("a text").to_owned();
        let known = format!("\"A IN web.shop.svc.cluster.local. {transport}\" NOERROR qr,aa,rd ");
        assert!(line.starts_with("127.0.0.1:") && line.contains(&known), "{line}");
    }
}

#[test]
fn a_format_of_the_log_tells_what_the_name_is_about_and_which_upstream_answered() {
    let manifests = shop();
    let directory = tempfile::tempdir().expect("a directory");
    let (path, port, upstream) = (directory.path().join("Corefile"), free_port(), free_port());
    let format = "{name} {/kubernetes/namespace}/{/kubernetes/service} {/forward/upstream} {/log/class}";
    let asked = format!(
        ".:{port} {{\n    bind 127.0.0.1\n    metadata\n    log . \"{format}\"\n    kubernetes cluster.local\n    \
         forward . 127.0.0.1:{upstream}\n}}\n"
    );
    let record = "{{ .Name }} 60 IN A 192.0.2.1";
    let other = format!(
        ".:{upstream} {{\n    bind 127.0.0.1\n    template IN A . {{\n        answer \"{record}\"\n    }}\n}}\n"
    );
    replace(&path, &(asked + &other));
    let tidegate = start(manifests.path(), &path);
    for (name, expected) in [
        ("web.shop.svc.cluster.local", "web.shop.svc.cluster.local. shop/web - success".to_owned()),
        ("cluster.local", "cluster.local. / - denial".to_owned()),
        ("example.org", format!("example.org. -/- 127.0.0.1:{upstream} success")),
    ] {
        let port = port.to_string();
        let mut dig = Command::new("dig");
        dig.args(["@127.0.0.1", "-p", &port, name]);
        assert!(text(&dig.output().expect("dig").stdout).contains("NOERROR"));
        assert_eq!(tidegate.logged(&format!("{name}. "))["message"], *expected);
    }
}
