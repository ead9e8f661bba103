//! `tidegate dns`: names and nothing else, with the probes that CoreDNS has.

use crate::client::get;
use crate::manifests::{Manifests, ingress, service};
use crate::tidegate::{Process, Tidegate, command, output, text, until};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;

/// A question for `example.org` as a resolver's stub sends it.
pub(crate) const QUESTION: &[u8] = b"\0\x07\x01\0\0\x01\0\0\0\0\0\0\x07example\x03org\0\0\x01\0\x01";

/// A started `tidegate dns`.
pub(crate) struct Names {
    pub(crate) process: Process,
    pub(crate) dns: Vec<SocketAddr>,
    pub(crate) health: SocketAddr,
    ready: SocketAddr,
    metrics: SocketAddr,
}

impl Names {
    /// Starts it with these flags more, with so many addresses for DNS.
    pub(crate) fn start(flags: &[&str], binds: usize) -> Self {
        let mut command = command();
        command.args(["dns", "--workers", "2", "--log-format", "json", "--dns-upstream", "127.0.0.1:9"]);
        for listener in ["health", "ready", "metrics"] {
            command.args([&format!("--{listener}-bind"), "127.0.0.1:0"]);
        }
        let (process, addresses) = Process::spawn(command.args(flags), binds + 3);
        let of = |listener: &str| -> Vec<SocketAddr> {
            addresses.iter().filter(|(name, _)| name == listener).map(|(_, address)| *address).collect()
        };
        let [health, ready, metrics] = ["health", "ready", "metrics"].map(|listener| of(listener)[0]);
        Self { process, dns: of("dns"), health, ready, metrics }
    }

    /// The same for manifests, once it is ready.
    pub(crate) fn serve(manifests: &Manifests, flags: &[&str]) -> Self {
        let directory = manifests.path().to_str().expect("UTF-8");
        let names = Self::start(&[&["--manifests", directory, "--dns-bind", "127.0.0.1:0"], flags].concat(), 1);
        until("ready", || (names.ready().0 == 200).then_some(()));
        names
    }

    pub(crate) fn ready(&self) -> (u16, String) {
        let answer = get(self.ready, "localhost", "/ready");
        (answer.status, answer.body)
    }

    pub(crate) fn health(&self) -> (u16, String) {
        let answer = get(self.health, "localhost", "/health");
        (answer.status, answer.body)
    }

    pub(crate) fn ask(&self, name: &str, more: &[&str]) -> String {
        ask(self.dns[0], name, more)
    }
}

/// What `dig` prints: the code, and then the records' content.
fn ask(server: SocketAddr, name: &str, more: &[&str]) -> String {
    let (ip, port) = (server.ip().to_string(), server.port().to_string());
    let mut dig = Command::new("dig");
    dig.args([&format!("@{ip}"), "-p", &port, "+tries=1", "+noall", "+comments", "+answer", name]).args(more);
    let said = text(&dig.output().expect("dig is installed").stdout);
    let code = said.split("status: ").nth(1).and_then(|rest| rest.split(',').next()).unwrap_or("silence");
    let records = said.lines().filter(|line| !line.starts_with(';') && !line.is_empty());
    let contents = records.map(|line| line.split_whitespace().skip(4).collect::<Vec<_>>().join(" "));
    std::iter::once(code.to_owned()).chain(contents).collect::<Vec<_>>().join(" ")
}

pub(crate) const WEB: &str = "web.shop.svc.cluster.local";

pub(crate) fn shop() -> Manifests {
    let secret =
        "apiVersion: v1\nkind: Secret\nmetadata: {name: tls, namespace: shop}\ndata: {tls.crt: bm90IG9uZQ==}\n";
    Manifests::new(&[
        ("a.yaml", ingress("web", "shop.test", "/", "web")),
        ("b.yaml", service("web", &[])),
        ("c.yaml", secret.to_owned()),
    ])
}

#[test]
fn names_are_served_and_nothing_else_is_read() {
    let manifests = shop();
    let names = Names::serve(&manifests, &[]);
    assert_eq!(names.ask(WEB, &[]), "NOERROR 10.96.0.10");
    assert_eq!(names.ask(WEB, &["+tcp"]), "NOERROR 10.96.0.10");
    assert_eq!(names.ask("nothing.shop.svc.cluster.local", &[]), "NXDOMAIN");
    let metrics = get(names.metrics, "localhost", "/metrics").body;
    for line in ["tidegate_objects{kind=\"Service\"} 1", "tidegate_snapshot_generation 1"] {
        assert!(metrics.lines().any(|known| known == line), "{line} is not in\n{metrics}");
    }
    assert!(metrics.contains("\ntidegate_dns_requests_total{"), "{metrics}");
    assert!(metrics.contains("\nprocess_resident_memory_bytes "), "{metrics}");
    for kind in ["Ingress", "Secret", "tidegate_requests_total"] {
        assert!(!metrics.contains(kind), "{kind} is in\n{metrics}");
    }
    manifests.write("b.yaml", &service("web", &[]).replace("10.96.0.10", "10.96.0.99"));
    until("the change", || (names.ask(WEB, &[]) == "NOERROR 10.96.0.99").then_some(()));
}

/// The cookie that `dig` gets with this one.
fn cookie(server: SocketAddr, known: &str) -> String {
    let (ip, port) = (server.ip().to_string(), server.port().to_string());
    let mut dig = Command::new("dig");
    dig.args([&format!("@{ip}"), "-p", &port, "+tries=1", "+noall", "+comments", &format!("+cookie={known}"), WEB]);
    let said = text(&dig.output().expect("dig is installed").stdout);
    let cookie = said.lines().find_map(|line| line.strip_prefix("; COOKIE: ")?.strip_suffix(" (good)"));
    cookie.unwrap_or_else(|| panic!("no good cookie in\n{said}")).to_owned()
}

#[test]
fn replicas_share_cookies_by_a_file_with_a_corefile_too() {
    let manifests = shop();
    let directory = manifests.path().to_str().expect("UTF-8").to_owned();
    let secrets = tempfile::tempdir().expect("a directory");
    let [secret, corefile] = ["secret", "Corefile"].map(|name| secrets.path().join(name).display().to_string());
    std::fs::write(&secret, "e5e973e5a6b2a43f48e7dc849e37bfcf\n").expect("written");
    let one = Names::serve(&manifests, &["--dns-cookie-secret", &secret]);
    // One that was free a moment ago: a Corefile has no port 0.
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("bound");
    let block = format!(".:{} {{\n bind 127.0.0.1\n kubernetes cluster.local\n}}\n", free.port());
    std::fs::write(&corefile, block).expect("written");
    let mut command = command();
    command.args(["dns", "--log-format", "json", "--manifests", &directory]);
    command.args(["--corefile", &corefile, "--dns-cookie-secret", &secret]);
    let (_two, _) = Process::spawn(&mut command, 1);
    until("names", || (ask(free, WEB, &[]) == "NOERROR 10.96.0.10").then_some(()));
    let known = cookie(one.dns[0], "2464c4abcf10c957");
    assert_eq!(cookie(free, &known), known);

    std::fs::write(&secret, "short\n").expect("written");
    let flags = ["dns", "--log-level", "off", "--manifests", &directory, "--dns-bind", "127.0.0.1:0"];
    let probes = ["--health-bind", "off", "--ready-bind", "off", "--metrics-bind", "off"];
    let refused = output(&[&flags[..], &probes, &["--dns-cookie-secret", &secret]].concat());
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("--dns-cookie-secret: ") && said.contains("secret: line 1 is not 32 hexadecimal"), "{said}");
}

#[test]
fn a_client_of_a_flooded_network_is_answered_by_its_cookie_or_over_tcp() {
    let manifests = shop();
    let names = Names::serve(&manifests, &["--dns-rate-limit", "1"]);
    let counted = |action: &str| {
        let metrics = get(names.metrics, "localhost", "/metrics").body;
        metrics.contains(&format!("\ntidegate_dns_rate_limited_total{{action=\"{action}\"}} 1\n")).then_some(())
    };
    until("cut", || {
        // As somebody without a cookie asks who does not go on over TCP.
        names.ask(WEB, &["+nocookie", "+ignore", "+time=1"]);
        counted("slip")
    });
    until("asked for the cookie", || {
        // Every second question gets nothing.
        assert_eq!(names.ask(WEB, &["+cookie", "+tries=3", "+time=1"]), "NOERROR 10.96.0.10");
        counted("badcookie")
    });
    assert_eq!(names.ask(WEB, &["+tcp", "+nocookie"]), "NOERROR 10.96.0.10");
    let exempt =
        Names::serve(&manifests, &["--dns-rate-limit", "1", "--dns-rate-limit-exempt", "10.0.0.0/8,127.0.0.1"]);
    for _ in 0..5 {
        assert_eq!(exempt.ask(WEB, &["+nocookie"]), "NOERROR 10.96.0.10");
    }
}

#[test]
fn each_probe_has_its_own_address_and_shows_nothing_more() {
    let manifests = shop();
    let names = Names::serve(&manifests, &[]);
    assert_eq!((names.health(), names.ready()), ((200, "OK".to_owned()), (200, "OK".to_owned())));
    for (address, path) in
        [(names.health, "/ready"), (names.ready, "/metrics"), (names.metrics, "/snapshot"), (names.health, "/")]
    {
        assert_eq!(get(address, "localhost", path).status, 404, "{path}");
    }
    // The kubelet asks by the Pod's address, and may be told to use any name.
    assert_eq!(get(names.health, "pod.example", "/health").status, 200);
}

/// Any Pod reaches the port that the kubelet asks, and must not keep it from an answer.
#[test]
fn silent_connections_do_not_keep_the_kubelet_out() {
    let manifests = shop();
    let names = Names::serve(&manifests, &[]);
    let silent: Vec<_> = (0..200).map(|_| TcpStream::connect(names.health).expect("connected")).collect();
    assert_eq!(names.health().0, 200);
    drop(silent);
}

#[test]
fn several_addresses_answer_alike() {
    let manifests = shop();
    let directory = manifests.path().to_str().expect("UTF-8");
    let names =
        Names::start(&["--manifests", directory, "--dns-bind", "127.0.0.1:0,[::]:0", "--dns-bind", "127.53.0.1:0"], 3);
    until("ready", || (names.ready().0 == 200).then_some(()));
    for address in &names.dns {
        let ip = if address.ip().is_unspecified() { "127.0.0.7".parse().expect("an address") } else { address.ip() };
        let server = SocketAddr::new(ip, address.port());
        assert_eq!(ask(server, WEB, &[]), "NOERROR 10.96.0.10", "{address}");
        assert_eq!(ask(server, WEB, &["+tcp"]), "NOERROR 10.96.0.10", "{address}");
    }
}

#[test]
fn a_namespace_to_watch_needs_a_cluster() {
    let folder = tempfile::tempdir().expect("a folder");
    let refused = output(&["dns", "--manifests", folder.path().to_str().expect("UTF-8"), "--watch-namespace", "shop"]);
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("cannot be used with") && said.contains("--manifests"), "{said}");
}

#[test]
fn only_pods_that_there_are_have_names_where_they_are_verified() {
    let pod = |status: &str| {
        format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: web, namespace: shop}}\nstatus: {status}\n")
    };
    let manifests = Manifests::new(&[("a.yaml", pod("{phase: Running, podIPs: [{ip: 10.0.0.1}, {ip: 'fd00::1'}]}"))]);
    manifests.write("b.yaml", &service("web", &[]));
    let names = Names::serve(&manifests, &["--dns-pods", "verified"]);
    assert_eq!(names.ask("10-0-0-1.shop.pod.cluster.local", &[]), "NOERROR 10.0.0.1");
    assert_eq!(names.ask("fd00--1.shop.pod.cluster.local", &["AAAA"]), "NOERROR fd00::1");
    assert_eq!(names.ask("10-0-0-2.shop.pod.cluster.local", &[]), "NXDOMAIN");
    // Nothing but the status changes.
    manifests.write("a.yaml", &pod("{phase: Running, podIP: 10.0.0.2}"));
    until("the change", || (names.ask("10-0-0-2.shop.pod.cluster.local", &[]) == "NOERROR 10.0.0.2").then_some(()));
    assert_eq!(names.ask("10-0-0-1.shop.pod.cluster.local", &[]), "NXDOMAIN");
    drop(names);

    let names = Names::serve(&manifests, &["--dns-pods", "disabled"]);
    assert_eq!(names.ask("10-0-0-2.shop.pod.cluster.local", &[]), "NXDOMAIN");
    let metrics = get(names.metrics, "localhost", "/metrics").body;
    assert!(!metrics.contains("kind=\"Pod\""), "{metrics}");
}

#[test]
fn labels_choose_what_has_names() {
    let labelled = |name: &str, labels: &str| {
        service(name, &[]).replace("  namespace: shop\n", &format!("  namespace: shop\n  labels: {labels}\n"))
    };
    let namespace =
        |labels: &str| format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: shop, labels: {labels}}}\n");
    let manifests = Manifests::new(&[
        ("a.yaml", labelled("web", "{team: a}")),
        ("b.yaml", labelled("api", "{team: b}")),
        ("c.yaml", namespace("{}")),
    ]);
    let names = Names::serve(&manifests, &["--watch-selector", "team in (a)", "--namespace-selector", "dns=on"]);
    assert_eq!(names.ask(WEB, &[]), "NXDOMAIN", "the namespace has no such label");
    manifests.write("c.yaml", &namespace("{dns: 'on'}"));
    until("the namespace", || (names.ask(WEB, &[]) == "NOERROR 10.96.0.10").then_some(()));
    assert_eq!(names.ask("api.shop.svc.cluster.local", &[]), "NXDOMAIN");
    manifests.write("a.yaml", &labelled("web", "{team: b}"));
    until("the end of it", || (names.ask(WEB, &[]) == "NXDOMAIN").then_some(()));
    manifests.write("c.yaml", &namespace("{}"));
    until("no namespace", || (names.ask("shop.svc.cluster.local", &[]) == "NXDOMAIN").then_some(()));
}

/// A ServiceImport of the shop.
fn import(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: multicluster.x-k8s.io/v1beta1\nkind: ServiceImport\nmetadata: {{name: {name}, namespace: shop}}\n\
         spec: {spec}\n"
    )
}

/// A slice behind it, of one endpoint called `db-0`.
fn import_slice(name: &str, cluster: &str, address: &str) -> String {
    let labels = format!(
        "{{multicluster.kubernetes.io/service-name: {name}, multicluster.kubernetes.io/source-cluster: {cluster}}}"
    );
    format!(
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
         metadata: {{name: {name}-{cluster}, namespace: shop, labels: {labels}}}\naddressType: IPv4\n\
         ports: [{{name: sql, port: 5432}}]\nendpoints: [{{addresses: [{address}], hostname: db-0}}]\n"
    )
}

#[test]
fn services_of_several_clusters_have_names_where_that_is_asked_for() {
    let manifests = Manifests::new(&[
        ("a.yaml", service("web", &[])),
        ("b.yaml", import("web", "{type: ClusterSetIP, ips: [10.97.0.1], ports: [{name: http, port: 80}]}")),
        ("c.yaml", import("db", "{type: Headless, ports: [{name: sql, port: 5432}]}")),
        ("d.yaml", import_slice("db", "east", "172.16.0.1")),
        ("e.yaml", import_slice("db", "west", "172.17.0.1")),
        ("f.yaml", import("odd", "{type: None, ports: []}")),
    ]);
    let names = Names::serve(&manifests, &["--dns-clusterset-domain", "clusterset.local"]);
    for (name, record_type, expected) in [
        ("web.shop.svc.clusterset.local", "A", "NOERROR 10.97.0.1"),
        (WEB, "A", "NOERROR 10.96.0.10"),
        ("web.shop.svc.clusterset.local", "SRV", "NOERROR 0 100 80 web.shop.svc.clusterset.local."),
        ("_http._tcp.web.shop.svc.clusterset.local", "SRV", "NOERROR 0 100 80 web.shop.svc.clusterset.local."),
        ("db-0.east.db.shop.svc.clusterset.local", "A", "NOERROR 172.16.0.1"),
        ("db-0.west.db.shop.svc.clusterset.local", "A", "NOERROR 172.17.0.1"),
        ("east.db.shop.svc.clusterset.local", "A", "NOERROR"),
        ("db-0.db.shop.svc.clusterset.local", "A", "NXDOMAIN"),
        ("odd.shop.svc.clusterset.local", "A", "NXDOMAIN"),
        ("db.shop.svc.cluster.local", "A", "NXDOMAIN"),
        ("dns-version.clusterset.local", "TXT", "NOERROR \"1.0.0\""),
    ] {
        assert_eq!(names.ask(name, &[record_type]), expected, "{name} {record_type}");
    }
    let of_both = names.ask("db.shop.svc.clusterset.local", &[]);
    assert!(of_both.contains("172.16.0.1") && of_both.contains("172.17.0.1"), "{of_both}");
    let refused = names.process.logged("refused");
    assert_eq!(refused["object"], "ServiceImport shop/odd");

    // What is behind it changes, and then it goes.
    manifests.write("e.yaml", &import_slice("db", "west", "172.17.0.2"));
    let db_0 = "db-0.west.db.shop.svc.clusterset.local";
    until("the change", || (names.ask(db_0, &[]) == "NOERROR 172.17.0.2").then_some(()));
    manifests.write("c.yaml", "");
    until("the end", || (names.ask(db_0, &[]) == "NXDOMAIN").then_some(()));
    assert_eq!(names.ask("web.shop.svc.clusterset.local", &[]), "NOERROR 10.97.0.1");
    drop(names);

    // Where nobody asks for it, the zone is none, and nothing of it is kept.
    let names = Names::serve(&manifests, &[]);
    assert_eq!(names.ask(WEB, &[]), "NOERROR 10.96.0.10");
    assert_ne!(names.ask("web.shop.svc.clusterset.local", &["+time=1"]), "NOERROR 10.97.0.1");
    let metrics = get(names.metrics, "localhost", "/metrics").body;
    assert!(!metrics.contains("ServiceImport"), "{metrics}");
}

#[test]
fn a_probe_can_be_turned_off() {
    let manifests = shop();
    let directory = manifests.path().to_str().expect("UTF-8");
    let mut command = command();
    command.args(["dns", "--log-format", "json", "--manifests", directory, "--dns-bind", "127.0.0.1:0"]);
    command.args(["--health-bind", "off", "--ready-bind", "127.0.0.1:0", "--metrics-bind", "off"]);
    let (process, addresses) = Process::spawn(&mut command, 2);
    let listeners: Vec<_> = addresses.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(listeners, ["dns", "ready"]);
    process.logged("names are served");
}

#[test]
fn run_has_probes_where_it_is_told_to() {
    let manifests = shop();
    let tidegate = Tidegate::run(manifests.path(), &["--ready-bind", "127.0.0.1:0"]);
    let listening = tidegate.logged("listening");
    assert_eq!(listening["listener"], "ready");
    let address = listening["address"].as_str().and_then(|address| address.parse().ok()).expect("an address");
    assert_eq!(get(address, "localhost", "/ready").status, 200);
}
