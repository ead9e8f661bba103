//! The commands that serve nothing.

use crate::corefile::free_port;
use crate::manifests::{Manifests, ingress, service};
use crate::tidegate::{output, text};

fn shop() -> Manifests {
    Manifests::new(&[
        ("a.yaml", ingress("web", "shop.test", "/", "web") + &ingress("cart", "shop.test", "/cart", "cart")),
        ("b.yaml", service("web", &["127.0.0.1:3000".parse().expect("an address")])),
    ])
}

/// What a command prints about manifests, with file names as they are in their directory.
fn said(manifests: &Manifests, arguments: &[&str], code: i32) -> String {
    let dir = manifests.path().to_str().expect("UTF-8");
    let arguments: Vec<_> = arguments.iter().map(|&argument| if argument == "DIR" { dir } else { argument }).collect();
    let output = output(&arguments);
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    assert_eq!(text(&output.stderr), "");
    text(&output.stdout).replace(&format!("{dir}/"), "")
}

fn squeezed(text: &str) -> Vec<String> {
    text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn check_prints_every_verdict_with_its_place() {
    let manifests = shop();
    assert_eq!(
        squeezed(&said(&manifests, &["check", "DIR"], 0)),
        [
            "a.yaml:2 Ingress shop/web accepted",
            "a.yaml:21 Ingress shop/cart accepted, with problems",
            "spec.rules[0].http.paths[0]: ServiceNotFound: Service shop/cart does not exist: requests get 503",
            "b.yaml:2 Service shop/web accepted",
            "",
            "3 accepted, 1 of them with problems",
        ]
    );
}

#[test]
fn check_fails_where_anything_is_refused_or_cannot_be_read() {
    let manifests = shop();
    manifests.write("c.yaml", &ingress("bad", "10.0.0.1", "/", "web"));
    let text = said(&manifests, &["check", "DIR"], 1);
    assert!(squeezed(&text).contains(&"c.yaml:2 Ingress shop/bad refused".to_owned()), "{text}");
    assert!(text.contains("a host must be a name, not an address"), "{text}");

    manifests.write("c.yaml", "kind: [\n");
    let text = said(&manifests, &["check", "DIR"], 1);
    assert!(squeezed(&text).contains(&"c.yaml:1 - cannot be read".to_owned()), "{text}");
    assert!(text.ends_with(", 1 cannot be read\n"), "{text}");

    manifests.write("c.yaml", &ingress("web", "other.test", "/", "web"));
    let text = said(&manifests, &["check", "DIR"], 1);
    assert!(text.contains("already described in a.yaml:2, which counts"), "{text}");

    manifests.write("c.yaml", &ingress("typo", "typo.test", "/", "web").replace("pathType:", "pathTypo:"));
    let text = said(&manifests, &["check", "DIR"], 0);
    assert!(squeezed(&text).contains(&"c.yaml:14 Ingress shop/typo warning".to_owned()), "{text}");
    assert!(text.contains("unknown field spec.rules[0].http.paths[0].pathTypo"), "{text}");
}

#[test]
fn check_tells_what_its_flags_name_in_vain() {
    let manifests = shop();
    let flags = ["--default-backend", "shop/none:80", "--default-tls-secret", "shop/none"];
    let text = said(&manifests, &[&["check", "DIR"][..], &flags].concat(), 1);
    for object in ["Secret shop/none", "Service shop/none"] {
        assert!(squeezed(&text).contains(&format!("- {object} refused")), "{text}");
    }
}

#[test]
fn check_speaks_json() {
    let manifests = shop();
    manifests.write("c.yaml", "kind: [\n");
    let report: serde_json::Value =
        serde_json::from_str(&said(&manifests, &["check", "DIR", "--output", "json"], 1)).expect("JSON");
    let entry = |number: usize| &report["entries"][number];
    assert_eq!((&entry(0)["file"], &entry(0)["line"]), (&"a.yaml".into(), &2.into()));
    assert_eq!((&entry(0)["object"], &entry(0)["verdict"]), (&"Ingress shop/web".into(), &"accepted".into()));
    assert_eq!(entry(1)["problems"][0]["reason"], "ServiceNotFound");
    assert_eq!(entry(3)["verdict"], "unread");
    assert_eq!(report["summary"]["unread"], 1);
}

#[test]
fn check_says_what_a_corefile_means() {
    let corefile = ". {\n    kubernetes cluster.local clusterset.local {\n        multicluster clusterset.local\n    }\n    pprof\n}\n";
    let manifests = Manifests::new(&[("Corefile", corefile.to_owned())]);
    let path = manifests.path().join("Corefile");
    let path = path.to_str().expect("UTF-8");
    let text = said(&manifests, &["check", path], 0);
    let lines = squeezed(&text);
    for line in [
        "Corefile:5 pprof note",
        "multicluster clusterset.local",
        ".:53 {",
        "kubernetes cluster.local clusterset.local {",
        "ttl 5",
        "Corefile: understood, 1 notes",
    ] {
        assert!(lines.iter().any(|other| other == line), "{line}: {text}");
    }
    let json: serde_json::Value =
        serde_json::from_str(&said(&manifests, &["check", path, "--output", "json"], 0)).expect("JSON");
    let remarks = json["corefiles"][0]["remarks"].as_array().expect("remarks");
    assert!(remarks.iter().any(|remark| remark["verdict"] == "note"), "{json}");
    assert!(json["corefiles"][0]["plan"].as_str().is_some_and(|plan| plan.starts_with(".:53 {")), "{json}");
    assert!(json["summary"].is_null(), "{json}");
}

#[test]
fn check_refuses_a_corefile_with_the_line() {
    let manifests = shop();
    manifests.write("dns.conf", ". {\n    cache 30 {\n        sucess 9984\n    }\n    foward . 10.0.0.1\n}\n");
    let path = manifests.path().join("dns.conf");
    let path = path.to_str().expect("UTF-8");
    let text = said(&manifests, &["check", "--corefile", path], 1);
    let expected = [
        "dns.conf:3 cache: sucess refused",
        "unknown option; did you mean success?",
        "dns.conf:5 foward refused",
        "unknown plugin; did you mean forward?",
        "",
        "dns.conf: refused, 2 errors; `--corefile` does not take it",
    ];
    assert_eq!(squeezed(&text), expected);
    let text = said(&manifests, &["check", "DIR", "--corefile", path], 1);
    assert!(squeezed(&text).contains(&"3 accepted, 1 of them with problems".to_owned()), "{text}");
    assert!(text.contains("dns.conf: refused"), "{text}");
    manifests.write("dns.conf", ". {\n    bind {$NOT_SET_HERE}\n    foward . 10.0.0.1\n}\n");
    let text = said(&manifests, &["check", "--corefile", path], 1);
    let expected = [
        "dns.conf:2 bind refused",
        "\"\" is neither an address nor an interface",
        "dns.conf:2 - note",
        "the variable NOT_SET_HERE is not set: it counts as empty",
        "dns.conf:3 foward refused",
        "unknown plugin; did you mean forward?",
        "",
        "dns.conf: refused, 2 errors, 1 notes; `--corefile` does not take it",
    ];
    assert_eq!(squeezed(&text), expected);
}

/// The Corefile of k3s, of which a node's names and all overrides hang on files beside it.
#[test]
fn check_says_which_files_of_a_corefile_are_missing() {
    let data = "\n  Corefile: |\n    .:53 {\n        hosts /etc/coredns/NodeHosts {\n            fallthrough\n        }\n        \
                import /etc/coredns/custom/*.override\n        pprof\n    }\n";
    let config_map = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: coredns}}\ndata:{data}");
    let manifests = Manifests::new(&[("dns.yaml", config_map.clone())]);
    let text = said(&manifests, &["check", "DIR"], 0);
    let expected = [
        "dns.yaml:7 hosts missing",
        "dns.yaml:10 - missing",
        "dns.yaml: ConfigMap default/coredns: understood, 2 missing files, 1 notes",
    ];
    for line in expected {
        assert!(squeezed(&text).iter().any(|other| other == line), "{line}: {text}");
    }
    // A key of the ConfigMap is a file there.
    manifests.write("dns.yaml", &format!("{config_map}  NodeHosts: 192.0.2.1 node-1\n"));
    let text = said(&manifests, &["check", "DIR"], 0);
    assert!(text.contains("understood, 1 missing files, 1 notes"), "{text}");
}

/// They may be there where the server is; what `check` says of them is what the server says here.
#[test]
fn check_says_without_which_files_nothing_starts() {
    let plugins = [
        ("forward . /nowhere/resolv.conf\n", 3, "forward", "/nowhere/resolv.conf"),
        ("forward . tls://192.0.2.1 {\n  tls /nowhere/ca.pem\n }\n", 4, "forward: tls", "/nowhere/ca.pem"),
        ("autopath /nowhere/search.conf\n", 3, "autopath", "/nowhere/search.conf"),
        ("tls /nowhere/cert.pem /nowhere/key.pem\n", 3, "tls", "/nowhere/cert.pem"),
    ];
    let manifests = Manifests::new(&[]);
    let path = manifests.path().join("Corefile");
    let path = path.to_str().expect("UTF-8");
    for (plugin, line, subject, file) in plugins {
        let (scheme, port) = (if subject == "tls" { "tls" } else { "dns" }, free_port());
        manifests.write("Corefile", &format!("{scheme}://.:{port} {{\n bind 127.0.0.1\n {plugin} whoami\n}}\n"));
        let lines = squeezed(&said(&manifests, &["check", path], 0));
        let expected = [
            format!("Corefile:{line} {subject} missing"),
            format!("there is no {file}: a server does not start without it"),
        ];
        for expected in expected {
            assert!(lines.contains(&expected), "{expected}: {lines:?}");
        }
        let started = output(&["dns", "--corefile", path]);
        assert_eq!(started.status.code(), Some(2), "{started:?}");
        let told = text(&started.stderr);
        let last = told.lines().last().unwrap_or_default();
        assert!(last.contains(file) && last.contains("No such file"), "{told}");
    }
}

/// What is beside a Corefile in its ConfigMap is there, whatever plugin names it.
#[test]
fn check_finds_what_plugins_name_in_a_config_map() {
    let config_map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: coredns}\ndata:\n  Corefile: |\n    tls://. {\n        \
                      tls /etc/coredns/tls.crt /etc/coredns/tls.key\n        forward . /etc/coredns/up.conf\n    }\n";
    let manifests = Manifests::new(&[("dns.yaml", config_map.to_owned())]);
    let lines = squeezed(&said(&manifests, &["check", "DIR"], 0));
    for line in [
        "dns.yaml:7 tls missing",
        "there is no /etc/coredns/tls.key: a server does not start without it",
        "dns.yaml:8 forward missing",
        "dns.yaml: ConfigMap default/coredns: understood, 3 missing files",
    ] {
        assert!(lines.iter().any(|other| other == line), "{line}: {lines:?}");
    }
    manifests.write("dns.yaml", &format!("{config_map}  tls.crt: a\n  tls.key: b\n  up.conf: nameserver 192.0.2.1\n"));
    let text = said(&manifests, &["check", "DIR"], 0);
    assert!(text.ends_with("dns.yaml: ConfigMap default/coredns: understood\n"), "{text}");
}

#[test]
fn check_reads_the_corefile_of_a_config_map_too() {
    let config_map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: coredns, namespace: kube-system}\ndata:\n  \
                      Corefile: |\n    .:53 {\n        import more\n        foward . 10.0.0.1\n    }\n  more: |\n    errors\n    pprof\n";
    let manifests = Manifests::new(&[("dns.yaml", config_map.to_owned())]);
    let text = said(&manifests, &["check", "DIR"], 1);
    let lines = squeezed(&text);
    for line in [
        "dns.yaml:8 foward refused",
        "unknown plugin; did you mean forward?",
        "dns.yaml: ConfigMap kube-system/coredns: refused, 1 errors; `--corefile` does not take it",
    ] {
        assert!(lines.iter().any(|other| other == line), "{line}: {text}");
    }
    // One object's fault is nobody else's.
    manifests.write("other.yaml", &config_map.replace("foward", "forward").replace("coredns", "other"));
    let text = said(&manifests, &["check", "DIR"], 1);
    let lines = squeezed(&text);
    assert!(lines.contains(&"other.yaml: ConfigMap kube-system/other: understood, 1 notes".to_owned()), "{text}");
    let json = said(&manifests, &["check", "DIR", "--output", "json"], 1);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["corefiles"][0]["object"], json["entries"][0]["object"], "{json}");
    assert_eq!(json["corefiles"][0]["remarks"][0]["line"], 8, "{json}");
    manifests.write("dns.yaml", &config_map.replace("foward", "forward"));
    said(&manifests, &["check", "DIR"], 0);
}

#[test]
fn check_finds_what_a_config_map_imports_in_its_manifest() {
    let config_map = |more: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: coredns, namespace: kube-system}}\ndata:\n  Corefile: |\n    \
             .:53 {{\n        import more\n        whoami\n    }}\n  more: {more}\n"
        )
    };
    let manifests = Manifests::new(&[("dns.yaml", config_map("|\n    errors\n    foward . 10.0.0.1"))]);
    let lines = squeezed(&said(&manifests, &["check", "DIR"], 1));
    assert!(lines.contains(&"dns.yaml:12 foward refused".to_owned()), "{lines:?}");
    // Where it is not written line by line, the object's own line and that of the key.
    manifests.write("dns.yaml", &config_map("\"errors\\nfoward . 10.0.0.1\""));
    let lines = squeezed(&said(&manifests, &["check", "DIR"], 1));
    assert!(lines.contains(&"dns.yaml:1 foward refused".to_owned()), "{lines:?}");
    assert!(lines.contains(&"line 2 of its more: unknown plugin; did you mean forward?".to_owned()), "{lines:?}");
}

#[test]
fn routes_are_a_table() {
    let manifests = shop();
    assert_eq!(
        said(&manifests, &["routes", "--manifests", "DIR"], 0),
        "HOST       PATH   TYPE    BACKEND       ENDPOINTS             TLS        OBJECT\n\
         shop.test  /cart  Prefix  shop/cart:80  no such Service port  self-made  Ingress shop/cart\n\
         shop.test  /      Prefix  shop/web:80   127.0.0.1:3000        self-made  Ingress shop/web\n"
    );
    let json = said(&manifests, &["routes", "--manifests", "DIR", "--output", "json"], 0);
    let routes: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(routes[1]["path"], "/");
    assert_eq!(routes[1]["backends"][0]["endpoints"][0]["address"], "127.0.0.1:3000");
    assert_eq!(said(&Manifests::new(&[]), &["routes", "--manifests", "DIR"], 0), "no routes\n");
}

#[test]
fn explain_names_rule_and_place() {
    let manifests = shop();
    let text = said(&manifests, &["explain", "http://shop.test/x", "--manifests", "DIR"], 0);
    for line in
        ["rule Prefix /", "described in a.yaml:2", "action forwards to shop/web:80", "endpoint 127.0.0.1:3000 serving"]
    {
        assert!(squeezed(&text).contains(&line.to_owned()), "{line} is not in\n{text}");
    }
    let text =
        said(&manifests, &["explain", "http://1.1.1.1/", "-H", "Host: no.test", "-X", "POST", "--manifests", "DIR"], 0);
    assert!(squeezed(&text).contains(&"action answers 404 (no_route): no rule is for this host".to_owned()), "{text}");
}

#[test]
fn settings_count_for_the_offline_commands_too() {
    let manifests = shop();
    let text = said(&manifests, &["check", "DIR", "--ingress-class", "other"], 0);
    assert!(squeezed(&text).contains(&"a.yaml:2 Ingress shop/web not ours".to_owned()), "{text}");
    manifests.write("c.yaml", &ingress("none", "none.test", "/", "web").replace("  ingressClassName: tidegate\n", ""));
    for (flags, verdict) in [(vec![], "not ours"), (vec!["--watch-ingress-without-class"], "accepted")] {
        let text = said(&manifests, &[&["check", "DIR"], &flags[..]].concat(), 0);
        assert!(squeezed(&text).contains(&format!("c.yaml:2 Ingress shop/none {verdict}")), "{text}");
    }
    let text = said(&manifests, &["routes", "--manifests", "DIR", "--default-backend", "shop/web:80"], 0);
    assert!(squeezed(&text).iter().any(|line| line.starts_with("* / Prefix shop/web:80")), "{text}");
}

/// The examples are what newcomers begin with.
#[test]
fn examples_are_good() {
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");
    let output = output(&["check", examples]);
    assert!(output.status.success(), "{output:?}");
    let last = text(&output.stdout).lines().last().map(str::to_owned);
    assert_eq!(last.as_deref(), Some("6 accepted"), "{output:?}");
}
