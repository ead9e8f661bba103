//! What cannot be begun is said in one line that names it, and the exit code is 2.

use crate::manifests::Manifests;
use crate::tidegate::{command, output, text};
use std::net::TcpListener;
use std::process::Output;

/// The one line on standard error.
fn refusal(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert_eq!(text(&output.stdout), "");
    let said = text(&output.stderr);
    assert_eq!(said.lines().count(), 1, "{said}");
    said.trim_end().to_owned()
}

#[test]
fn a_wrong_flag_is_named_in_one_line() {
    let manifests = Manifests::new(&[]);
    let dir = manifests.path().to_str().expect("UTF-8");
    let run = |flags: &[&str]| output(&[&["run", "--manifests", dir], flags].concat());
    for (flags, parts) in [
        (vec!["--htp-bind", "127.0.0.1:0"], vec!["'--htp-bind'", "'--http-bind'"]),
        (vec!["--http-bind", "nowhere"], vec!["'nowhere'", "--http-bind", "such as 0.0.0.0:8080"]),
        (vec!["--http-bind"], vec!["--http-bind"]),
        (vec!["--workers", "0"], vec!["'0'", "--workers"]),
        (vec!["--drain-delay", "5"], vec!["'5'", "--drain-delay", "such as 5s, 2m or 100ms"]),
        (vec!["--drain-delay", "-5s"], vec!["'-5s'", "--drain-delay", "such as 5s, 2m or 100ms"]),
        (vec!["--log-format", "xml"], vec!["'xml'", "--log-format", "text, json"]),
        (vec!["--log-level", "loud"], vec!["'loud'", "--log-level"]),
        (vec!["--access-log", "xml"], vec!["'xml'", "--access-log", "json, text, off"]),
        (vec!["--default-backend", "web"], vec!["--default-backend", "NAMESPACE/SERVICE:PORT"]),
        (vec!["--default-tls-secret", "tls"], vec!["--default-tls-secret", "NAMESPACE/NAME"]),
        (vec!["--trusted-proxies", "10.0.0.0/8,300.0.0.0/8"], vec!["'300.0.0.0/8'", "--trusted-proxies"]),
        (vec!["--dns-upstream", "one.one"], vec!["'one.one'", "--dns-upstream"]),
        (vec!["--dns-upstream", "1.1.1.1:0"], vec!["'1.1.1.1:0'", "--dns-upstream"]),
        (vec!["--dns-ttl", "3601"], vec!["'3601'", "--dns-ttl", "0..=3600"]),
        (vec!["--dns-cache-ttl", "30"], vec!["'30'", "--dns-cache-ttl", "such as 5s, 2m or 100ms"]),
        (vec!["--cluster-domain", "a..b"], vec!["'a..b'", "--cluster-domain"]),
        (vec!["--dns-client-limit", "0"], vec!["'0'", "--dns-client-limit", "from 1 to 1000000"]),
        (vec!["--dns-client-limit", "1000001"], vec!["'1000001'", "--dns-client-limit", "from 1 to 1000000"]),
        (vec!["--dns-clusterset-domain", "a..b"], vec!["'a..b'", "--dns-clusterset-domain"]),
        (vec!["--dns-clusterset-domain", "Cluster.local"], vec!["--dns-clusterset-domain: cluster.local is"]),
        (vec!["--dns-compat", "bind"], vec!["'bind'", "--dns-compat", "none, coredns"]),
        (vec!["--dns-rate-limit", "0"], vec!["'0'", "--dns-rate-limit", "1..=4294967295"]),
        (vec!["--dns-rate-limit", "5", "--dns-rate-limit-exempt", "1.2.3.4/33"], vec!["'1.2.3.4/33'", "such as 10.0"]),
        (vec!["--dns-rate-limit-exempt", "10.0.0.0/8"], vec!["--dns-rate-limit <NUMBER>"]),
        (vec!["--dns-rate-limit-report-only"], vec!["--dns-rate-limit <NUMBER>"]),
        (vec!["--ssl-redirect", "maybe"], vec!["'maybe'", "--ssl-redirect"]),
        (vec!["--encoded-slashes", "eat"], vec!["'eat'", "--encoded-slashes", "keep, reject"]),
        (vec!["--advertised-https-port", "0"], vec!["'0'", "--advertised-https-port"]),
        (vec!["--ingress-class", ""], vec!["--ingress-class"]),
        (vec!["--controller-class", "edge"], vec!["'edge'", "--controller-class", "such as tidegate.dev/ingress"]),
        (vec!["--controller-class", "A.dev/b"], vec!["'A.dev/b'", "--controller-class"]),
    ] {
        let said = refusal(&run(&flags));
        for part in parts {
            assert!(said.contains(part), "{flags:?}: {part} is not in: {said}");
        }
    }
    let names = |flags: &[&str]| output(&[&["dns", "--manifests", dir], flags].concat());
    for (flags, parts) in [
        (vec!["--health-bind", "on"], vec!["'on'", "--health-bind", "such as 0.0.0.0:8080", "nor off"]),
        (vec!["--dns-bind", "127.0.0.1:0,53"], vec!["'53'", "--dns-bind"]),
        (vec!["--watch-selector", "a in b"], vec!["\"a in b\" is no part of a label selector", "--watch-selector"]),
        (vec!["--dns-pods", "some"], vec!["'some'", "--dns-pods", "disabled, insecure, verified"]),
        (vec!["--lameduck", "5"], vec!["'5'", "--lameduck", "such as 5s"]),
        (vec!["--http-bind", "127.0.0.1:0"], vec!["'--http-bind'"]),
    ] {
        let said = refusal(&names(&flags));
        for part in parts {
            assert!(said.contains(part), "{flags:?}: {part} is not in: {said}");
        }
    }
    let nowhere = refusal(&output(&["run"]));
    assert!(nowhere.contains("--manifests") && nowhere.contains("--kubeconfig"), "{nowhere}");
    for (flags, expected) in
        [(["--kubeconfig", "a"], "'--kubeconfig <FILE>'"), (["--watch-namespace", "a"], "'--watch-namespace <NS>'")]
    {
        let refused = refusal(&run(&flags));
        assert!(refused.contains(expected) && refused.contains("cannot be used with"), "{flags:?}: {refused}");
    }
    for (flags, expected) in [
        (&["--kubeconfig", "/nowhere/config"][..], "/nowhere/config: No such file or directory"),
        (&["--context", "a"], "--context a chooses from a kubeconfig"),
        (&["--watch-namespace", "Shop"], "not a namespace such as shop"),
        (&["--secret-namespace", ""], "not a namespace such as shop"),
        (
            &["--dns-compat", "coredns", "--dns-cookie-secret", "a"],
            "--dns-cookie-secret has no effect with --dns-compat coredns",
        ),
    ] {
        let refused = refusal(&output(&[&["run", "--log-level", "off"], flags, &BINDS].concat()));
        assert!(refused.contains(expected), "{flags:?}: {refused}");
    }
    assert!(refusal(&output(&["serve"])).contains("'serve'"));
}

#[test]
fn a_wrong_variable_is_named_by_its_flag() {
    let manifests = Manifests::new(&[]);
    let run = |name: &str, value: &str| {
        command().arg("run").arg("--manifests").arg(manifests.path()).env(name, value).output().expect("it starts")
    };
    for (name, value, flag) in [
        ("TIDEGATE_WORKERS", "many", "--workers"),
        ("TIDEGATE_DRAIN_TIMEOUT", "soon", "--drain-timeout"),
        ("TIDEGATE_SSL_REDIRECT", "2", "--ssl-redirect"),
        ("TIDEGATE_WATCH_INGRESS_WITHOUT_CLASS", "maybe", "--watch-ingress-without-class"),
    ] {
        let said = refusal(&run(name, value));
        assert!(said.contains(flag) && said.contains(value), "{name}: {said}");
    }
}

#[test]
fn a_variable_of_nothing_is_none() {
    let (one, two) = (Manifests::new(&[]), Manifests::new(&[]));
    let both = [one.path(), two.path()].map(|path| path.to_str().expect("UTF-8")).join(",");
    let mut command = command();
    command.arg("routes").env("TIDEGATE_MANIFESTS", both);
    for name in [
        "INGRESS_CLASS",
        "CONTROLLER_CLASS",
        "DEFAULT_BACKEND",
        "DEFAULT_TLS_SECRET",
        "CLUSTER_DOMAIN",
        "SSL_REDIRECT",
        "OUTPUT",
    ] {
        command.env(format!("TIDEGATE_{name}"), "");
    }
    let output = command.output().expect("it starts");
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(0), "no routes\n"), "{output:?}");
}

#[test]
fn what_cannot_be_read_is_named() {
    for command in ["check", "routes", "explain", "run"] {
        let arguments = match command {
            "check" => vec!["check", "/nowhere/at/all"],
            "explain" => vec!["explain", "http://a/", "--manifests", "/nowhere/at/all"],
            "run" => [&["run", "--manifests", "/nowhere/at/all", "--log-level", "off"][..], &BINDS].concat(),
            command => vec![command, "--manifests", "/nowhere/at/all"],
        };
        let said = refusal(&output(&arguments));
        assert_eq!(
            said, "tidegate: /nowhere/at/all: cannot be read: No such file or directory (os error 2)",
            "{command}"
        );
    }
}

const BINDS: [&str; 8] = [
    "--http-bind",
    "127.0.0.1:0",
    "--https-bind",
    "127.0.0.1:0",
    "--dns-bind",
    "127.0.0.1:0",
    "--admin-bind",
    "127.0.0.1:0",
];

#[test]
fn a_port_in_use_is_named_with_its_flag() {
    let manifests = Manifests::new(&[]);
    let dir = manifests.path().to_str().expect("UTF-8");
    for listener in ["http", "https", "dns", "admin"] {
        let taken = TcpListener::bind("127.0.0.1:0").expect("bound");
        let address = taken.local_addr().expect("bound").to_string();
        let flag = format!("--{listener}-bind");
        let place = BINDS.iter().position(|bind| *bind == flag).expect("a flag");
        let mut binds = BINDS;
        binds[place + 1] = &address;
        let said = refusal(&output(&[&["run", "--manifests", dir, "--log-level", "off"][..], &binds].concat()));
        for part in [&flag, &address, "Address already in use"] {
            assert!(said.contains(part), "{listener}: {part} is not in: {said}");
        }
    }
}

#[test]
fn help_and_version_are_no_errors() {
    for (arguments, part) in [
        (vec!["--help"], "explain"),
        (vec!["run", "--help"], "TIDEGATE_DRAIN_TIMEOUT"),
        (vec!["dns", "--help"], "TIDEGATE_LAMEDUCK"),
        (vec!["--version"], env!("CARGO_PKG_VERSION")),
        (vec!["version"], env!("CARGO_PKG_VERSION")),
    ] {
        let output = output(&arguments);
        assert!(output.status.success(), "{output:?}");
        assert!(text(&output.stdout).contains(part), "{arguments:?}");
        assert_eq!(text(&output.stderr), "");
    }
    let bare = output(&[]);
    assert_eq!(bare.status.code(), Some(2));
    assert!(text(&bare.stderr).contains("Usage: tidegate <COMMAND>"), "{bare:?}");
}

/// Each flag has its variable in the help.
#[test]
fn every_flag_has_its_variable() {
    for (command, fewest) in [("run", 20), ("dns", 12)] {
        // Wherever its lines end.
        let help = text(&output(&[command, "--help"]).stdout).split_whitespace().collect::<Vec<_>>().join(" ");
        let flags = help.split_whitespace().filter_map(|word| word.strip_prefix("--"));
        let flags: Vec<_> = flags.map(|flag| flag.split('[').next().unwrap_or(flag).trim_end_matches(',')).collect();
        assert!(flags.len() > fewest, "{flags:?}");
        for flag in flags.into_iter().filter(|flag| *flag != "help") {
            let variable = format!("TIDEGATE_{}", flag.to_uppercase().replace('-', "_"));
            assert!(help.contains(&format!("[env: {variable}=")), "{variable} is not in\n{help}");
        }
    }
}
