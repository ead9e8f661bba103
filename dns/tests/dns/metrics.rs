//! What is told of plugins under CoreDNS's names, as its dashboards ask for it.

use crate::harness::{plan, question, receive, start_corefile};
use config::DnsCompatibility;
use hickory_proto::rr::RecordType;
use std::fs::File;
use std::time::{Duration, SystemTime};

const BEFORE: &str = "example.org:PORT {
    bind 127.0.0.1
    hosts {
        192.0.2.1 www.example.org
    }
}
.:PORT cluster.local:PORT {
    bind 127.0.0.1
    errors
    health 127.0.0.1:8080
    kubernetes cluster.local
    reload
}
";

#[tokio::test]
async fn plugins_are_told_by_server_and_zone_until_they_are_gone() {
    let (server, reloads) = start_corefile(BEFORE);
    let at = format!("server=\"dns://{}\"", server.address);
    let is_enabled = |zone: &str, plugin: &str| {
        let labels = [&at, "view=\"\"", &format!("zone=\"{zone}\""), &format!("name=\"{plugin}\"")];
        server.metric("coredns_plugin_enabled", &labels)
    };
    let version = || server.samples("coredns_reload_version_info");
    assert_eq!(server.ask(&question(1, "www.example.org.", RecordType::A)).await.answers.len(), 1);
    for (zone, plugin, expected) in [
        ("example.org.", "hosts", 1.0),
        ("example.org.", "kubernetes", 0.0),
        (".", "kubernetes", 1.0),
        ("cluster.local.", "errors", 1.0),
        // They set a server up, and have no part in answers.
        (".", "health", 0.0),
        (".", "reload", 0.0),
        (".", "bind", 0.0),
    ] {
        assert_eq!(is_enabled(zone, plugin), expected, "{plugin} of {zone}");
    }
    let before = version();
    assert!(before.len() == 1 && before[0].contains("hash=\"sha512\"") && before[0].ends_with("\"} 1"), "{before:?}");
    let digest = before[0].split("value=\"").nth(1).unwrap().split('"').next().unwrap();
    assert!(digest.len() == 128 && digest.chars().all(|digit| digit.is_ascii_hexdigit()), "{digest}");

    let take = async |corefile: &str| {
        let plan = plan(corefile, server.address.port());
        reloads.replace(reloads.prepare(&plan, DnsCompatibility::Standard).unwrap(), Vec::new()).await;
    };
    take(".:PORT {\n bind 127.0.0.1\n whoami\n}\n").await;
    assert_eq!(
        (is_enabled(".", "whoami"), is_enabled(".", "kubernetes"), is_enabled("example.org.", "hosts")),
        (1.0, 0.0, 0.0)
    );
    assert!(version().len() == 1 && version() != before);
    assert_eq!(server.samples("coredns_hosts_entries"), Vec::<String>::new());
    // Comments and spaces are no change.
    take(&BEFORE.replace("    ", "\t").replace("errors", "errors # and so on")).await;
    assert_eq!(version(), before);
    server.stop().await;
}

#[tokio::test]
async fn hosts_tell_how_many_they_are_and_since_when() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file, b"192.0.2.1 a.example b.example\n192.0.2.2 a.example\n").unwrap();
    let changed = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_500);
    File::options().write(true).open(file.path()).unwrap().set_modified(changed).unwrap();
    let hosts = format!("hosts {} {{\n 2001:db8::1 c.example\n}}", file.path().display());
    let corefile = format!(
        "example:PORT {{\n bind 127.0.0.1\n {hosts}\n}}\n.:PORT {{\n bind 127.0.0.1\n hosts /nonexistent {{\n 192.0.2.9 d.example\n no_reverse\n}}\n}}\n"
    );
    let (server, _) = start_corefile(&corefile);
    let asked = question(1, "c.example.", RecordType::AAAA);
    assert_eq!(server.ask(&asked).await.answers.len(), 1);
    // Both directions; the second block has one.
    assert_eq!(server.metric("coredns_hosts_entries", &[]), 9.0);
    assert_eq!(server.metric("coredns_hosts_reload_timestamp_seconds", &[]), 1_700_000_000.5);
    server.stop().await;
}

#[tokio::test]
async fn parts_count_what_they_do_by_server_and_zone() {
    let mut search = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut search, b"search one.example two.example\n").unwrap();
    let corefile = format!(
        "example:PORT {{
            bind 127.0.0.1
            local
            dns64 {{
                allow_ipv4
            }}
            acl refused.example {{
                block type A
                filter type TXT
                drop type MX
            }}
            autopath {}
            template IN ANY one.example {{
                rcode NXDOMAIN
            }}
            template IN A two.example v4.example {{
                answer \"{{{{ .Name }}}} 5 IN A 192.0.2.1\"
            }}
            template IN AAAA v4.example {{
                authority \"example. 5 IN SOA ns.example. root.example. 1 2 3 4 5\"
            }}
            template IN A bad.example {{
                match ^(?P<first>[a-z]+)
                answer \"{{{{ .Name }}}} 5 IN A {{{{ .Group.first }}}}\"
            }}
        }}
",
        search.path().display()
    );
    let (server, _) = start_corefile(&corefile);
    let client = server.client().await;
    client.send(&question(1, "refused.example.", RecordType::MX).to_vec().unwrap()).await.unwrap();
    for (name, record_type) in [
        ("refused.example.", RecordType::A),
        ("www.refused.example.", RecordType::TXT),
        ("localhost.example.", RecordType::A),
        ("www.one.example.", RecordType::A),
        ("v4.example.", RecordType::AAAA),
        ("word.bad.example.", RecordType::A),
    ] {
        client.send(&question(2, name, record_type).to_vec().unwrap()).await.unwrap();
        // Answers of one socket come in their order, so the question before them was dropped by then.
        assert!(receive(&client).await.starts_with(&[0, 2]), "{name}");
    }
    let server_label = format!("server=\"dns://{}\"", server.address);
    let label = |name: &str, value: &str| format!("{name}=\"{value}\"");
    for (name, labels, expected) in [
        ("acl_blocked_requests_total", vec![label("zone", "refused.example."), label("view", "")], 1.0),
        ("acl_filtered_requests_total", vec![label("zone", "refused.example."), label("view", "")], 1.0),
        ("acl_dropped_requests_total", vec![label("zone", "refused.example."), label("view", "")], 1.0),
        // One of them twice: the addresses that `dns64` makes are asked for.
        ("acl_allowed_requests_total", vec![label("view", "")], 4.0),
        ("autopath_success_total", vec![], 1.0),
        ("dns64_requests_translated_total", vec![], 1.0),
        ("template_matches_total", vec![label("zone", "two.example."), label("class", "IN"), label("type", "A")], 1.0),
        ("template_matches_total", vec![label("zone", "v4.example."), label("type", "AAAA")], 1.0),
        (
            "template_rr_failures_total",
            vec![
                label("section", "answer"),
                label("template", "{{ .Name }} 5 IN A {{ .Group.first }}"),
                label("zone", "bad.example."),
            ],
            1.0,
        ),
    ] {
        let labels: Vec<_> = labels.iter().chain([&server_label]).map(String::as_str).collect();
        let name = format!("coredns_{name}");
        assert_eq!(server.metric(&name, &labels), expected, "{name} {labels:?}: {:?}", server.samples(&name));
    }
    assert_eq!(server.samples("coredns_local_localhost_requests_total"), ["coredns_local_localhost_requests_total 1"]);
    server.stop().await;
}
