//! What is told of plugins under CoreDNS's names, as its dashboards ask for it.

use crate::harness::{
    Running, Upstream, frame, one_address, plan, question, read_frame, receive, start_corefile, with_edns,
};
use config::DnsCompatibility;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{DNSClass, RecordType};
use std::fs::File;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};
use tokio::io::AsyncWriteExt;

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
        reloads.replace(reloads.prepare(&plan, DnsCompatibility::Standard).unwrap(), Vec::new()).await.unwrap();
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
    let of_file = |file: &str| server.metric("coredns_hosts_entries", &[&format!("hostsfile=\"{file}\"")]);
    assert_eq!((of_file(file.path().to_str().unwrap()), of_file("/nonexistent")), (8.0, 1.0));
    assert_eq!(server.metric("coredns_hosts_reload_timestamp_seconds", &[]), 1_700_000_000.5);
    server.stop().await;
}

const PARTS: &str = r#"example:PORT {
    bind 127.0.0.1
    local
    dns64 {
        allow_ipv4
    }
    acl refused.example {
        block type A
        filter type TXT
        drop type MX
    }
    autopath SEARCH
    template IN ANY one.example {
        rcode NXDOMAIN
    }
    template IN A two.example v4.example {
        answer "{{ .Name }} 5 IN A 192.0.2.1"
    }
    template IN AAAA v4.example {
        authority "example. 5 IN SOA ns.example. root.example. 1 2 3 4 5"
    }
    template IN A bad.example {
        match ^(?P<first>[a-z]+)
        answer "{{ .Name }} 5 IN A {{ .Group.first }}"
    }
    LAST
}
"#;

/// Asks each part for something.
async fn ask_parts(server: &Running) {
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
}

#[tokio::test]
async fn parts_count_what_they_do_by_server_and_zone() {
    let mut search = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut search, b"search one.example two.example\n").unwrap();
    let (server, _) =
        start_corefile(&PARTS.replace("SEARCH", &search.path().display().to_string()).replace("LAST", "any"));
    ask_parts(&server).await;
    let server_label = format!("server=\"dns://{}\"", server.address);
    let label = |name: &str, value: &str| format!("{name}=\"{value}\"");
    for (name, labels, expected) in [
        ("acl_blocked_requests_total", vec![label("zone", "refused.example."), label("view", "")], 1.0),
        ("acl_filtered_requests_total", vec![label("zone", "refused.example."), label("view", "")], 1.0),
        ("acl_dropped_requests_total", vec![label("zone", "refused.example."), label("view", "")], 1.0),
        // Two of them twice: the addresses that `dns64` makes are asked for, and the second name of a walk.
        ("acl_allowed_requests_total", vec![label("view", "")], 5.0),
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

/// A block with one part, and the question that it answers, or drops.
const PLUGINS: [(&str, &str, &str, RecordType); 12] = [
    ("acl", "acl {\n block\n }", "a.example.", RecordType::DNSKEY),
    ("acl", "acl {\n filter\n }", "a.example.", RecordType::NSEC),
    ("any", "any", "a.example.", RecordType::ANY),
    ("autopath", "autopath SEARCH\n template IN ANY . {\n rcode NXDOMAIN\n }", "a.one.example.", RecordType::A),
    ("hosts", "hosts /nonexistent {\n 192.0.2.1 a.example\n }", "a.example.", RecordType::A),
    ("kubernetes", "kubernetes cluster.local", "web.shop.svc.cluster.local.", RecordType::RRSIG),
    ("k8s_external", "kubernetes cluster.local\n k8s_external example", "web.shop.example.", RecordType::SRV),
    ("local", "local", "localhost.", RecordType::A),
    ("template", "template IN A . {\n rcode NXDOMAIN\n }", "a.example.", RecordType::A),
    ("whoami", "whoami", "a.example.", RecordType::NSEC3),
    ("", "loop", "a.example.", RecordType::A),
    ("", "kubernetes cluster.local", "cluster.local.", RecordType::AXFR),
];

#[tokio::test]
async fn an_answer_is_counted_for_the_plugin_that_gives_it() {
    let mut search = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut search, b"search one.example two.example\n").unwrap();
    let search = search.path().display().to_string();
    for (plugin, block, name, record_type) in PLUGINS {
        let block = block.replace("SEARCH", &search);
        let (server, _) = start_corefile(&format!(".:PORT {{\n bind 127.0.0.1\n {block}\n}}\n"));
        server.ask(&question(1, name, record_type)).await;
        let at = format!("server=\"dns://{}\"", server.address);
        let label = format!("plugin=\"{plugin}\"");
        assert_eq!(server.metric("coredns_dns_responses_total", &[&at, &label]), 1.0, "{plugin}: {block}");
        let labels = [&at, &format!("type=\"{record_type}\""), "proto=\"udp\"", "zone=\".\""];
        assert_eq!(server.metric("coredns_dns_requests_total", &labels), 1.0, "{record_type}");
        server.stop().await;
    }
}

#[tokio::test]
async fn answers_about_the_server_and_whole_zones_are_counted_for_their_plugins() {
    let (server, _) = start_corefile(
        ".:PORT {\n bind 127.0.0.1\n chaos Tidegate\n kubernetes cluster.local\n transfer {\n to *\n }\n}\n",
    );
    let mut asked = question(1, "version.bind.", RecordType::TXT);
    asked.queries[0].set_query_class(DNSClass::CH);
    assert_eq!(server.ask(&asked).await.answers.len(), 1);
    let mut stream = server.connect().await;
    let asked = question(2, "cluster.local.", RecordType::AXFR).to_vec().unwrap();
    stream.write_all(&frame(&asked)).await.unwrap();
    assert!(read_frame(&mut stream).await.unwrap().starts_with(&[0, 2]));
    let answers = |plugin: &str| server.metric("coredns_dns_responses_total", &[&format!("plugin=\"{plugin}\"")]);
    assert_eq!(["chaos", "transfer", "kubernetes", ""].map(answers), [1.0, 1.0, 0.0, 0.0]);
    let requests = |labels: &[&str]| server.metric("coredns_dns_requests_total", labels);
    assert_eq!(requests(&["type=\"AXFR\"", "proto=\"tcp\""]), 1.0);
    drop(stream);
    server.stop().await;
}

#[tokio::test]
async fn what_acl_drops_is_a_request_without_a_response() {
    let (server, _) = start_corefile(
        ".:PORT {\n bind 127.0.0.1\n dns64 {\n allow_ipv4\n }\n chaos Tidegate\n acl {\n drop type A TXT\n }\n whoami\n}\n",
    );
    let client = server.client().await;
    let mut about_server = question(3, "version.bind.", RecordType::TXT);
    about_server.queries[0].set_query_class(DNSClass::CH);
    let mut dnssec = with_edns(question(2, "a.example.", RecordType::A), 1232);
    dnssec.edns.as_mut().unwrap().set_dnssec_ok(true);
    // The AAAA record is asked for, and is none: `dns64` asks for the A record, which this client may not know.
    let asked = question(4, "a.example.", RecordType::AAAA);
    for message in [question(1, "a.example.", RecordType::A), dnssec, about_server, asked] {
        client.send(&message.to_vec().unwrap()).await.unwrap();
    }
    assert!(receive(&client).await.starts_with(&[0, 4]), "the others have no answer");
    let at = format!("server=\"dns://{}\"", server.address);
    let count = |name: &str, labels: &[&str]| server.metric(name, &[&[&*at, "zone=\".\""][..], labels].concat());
    assert_eq!(count("coredns_dns_requests_total", &["type=\"A\""]), 2.0);
    assert_eq!(count("coredns_dns_requests_total", &["type=\"TXT\""]), 1.0);
    assert_eq!(count("coredns_dns_requests_total", &[]), 4.0);
    assert_eq!(count("coredns_dns_request_size_bytes_count", &[]), 4.0);
    assert_eq!(count("coredns_dns_do_requests_total", &[]), 1.0);
    assert_eq!(count("coredns_dns_responses_total", &[]), 1.0);
    assert_eq!(count("coredns_dns_response_size_bytes_count", &[]), 1.0);
    assert_eq!(count("coredns_dns_request_duration_seconds_count", &[]), 1.0);
    assert_eq!(server.metric("tidegate_dns_dropped_total", &["reason=\"acl\""]), 3.0);
    server.stop().await;
}

/// An upstream that knows everything, and one name wrongly.
async fn knowing_upstream() -> SocketAddr {
    let upstream = Upstream::new().await;
    let address = upstream.address();
    tokio::spawn(async move {
        loop {
            let (question, peer) = upstream.asked().await;
            let mut packet = one_address(&question).to_vec().unwrap();
            // A second try has letters of random case.
            if question.queries[0].name().to_ascii().to_ascii_lowercase().starts_with("bad.") {
                // In the middle of its record.
                packet.truncate(40);
            }
            upstream.udp.send_to(&packet, peer).await.unwrap();
        }
    });
    address
}

#[tokio::test]
async fn caches_count_by_server_and_zones() {
    let upstream = knowing_upstream().await;
    let (server, _) = start_corefile(&format!(
        "example.org:PORT example.net:PORT {{
            bind 127.0.0.1
            cache
            forward . {upstream}
        }}
        .:PORT {{
            bind 127.0.0.1
            forward . {upstream}
        }}
"
    ));
    for name in ["www.example.org.", "www.example.org.", "www.example.org.", "www.example.net.", "uncached.example."] {
        assert_eq!(server.ask(&question(1, name, RecordType::A)).await.answers.len(), 1, "{name}");
    }
    let asked = server.ask(&question(1, "bad.example.org.", RecordType::A)).await;
    assert_eq!(asked.metadata.response_code, ResponseCode::ServFail);
    let labels = [
        format!("server=\"dns://{}\"", server.address),
        "view=\"\"".into(),
        "zones=\"example.org.,example.net.\"".into(),
    ];
    let labels: Vec<_> = labels.iter().map(String::as_str).collect();
    for (name, kind, expected) in [
        ("requests_total", None, 5.0),
        ("hits_total", Some("type=\"success\""), 2.0),
        ("misses_total", None, 3.0),
        ("drops_total", None, 1.0),
        ("entries", Some("type=\"success\""), 2.0),
        ("entries", Some("type=\"denial\""), 1.0),
    ] {
        let labels: Vec<_> = labels.iter().copied().chain(kind).collect();
        let name = format!("coredns_cache_{name}");
        assert_eq!(server.metric(&name, &labels), expected, "{name}: {:?}", server.samples(&name));
        assert_eq!(
            server.metric(&name, &kind.into_iter().collect::<Vec<_>>()),
            expected,
            "no block without a cache counts"
        );
    }
    assert_eq!(server.metric("tidegate_dns_cache_requests_total", &["result=\"miss\""]), 4.0);
    let to = format!("to=\"{upstream}\"");
    assert_eq!(server.metric("coredns_proxy_request_duration_seconds_count", &["proxy_name=\"forward\"", &to]), 3.0);
    server.stop().await;
}

#[tokio::test]
async fn a_cache_that_a_reload_removes_keeps_nothing() {
    let upstream = knowing_upstream().await;
    let (server, reloads) = start_corefile(&format!(".:PORT {{\n bind 127.0.0.1\n cache\n forward . {upstream}\n}}\n"));
    server.ask(&question(1, "one.up.example.", RecordType::A)).await;
    let kept = || server.metric("coredns_cache_entries", &[]);
    assert_eq!(kept(), 1.0);
    let plan = plan(".:PORT {\n bind 127.0.0.1\n whoami\n}\n", server.address.port());
    reloads.replace(reloads.prepare(&plan, DnsCompatibility::Standard).unwrap(), Vec::new()).await.unwrap();
    // What it was served by ends by itself.
    let gone = async {
        while kept() > 0.0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), gone).await.expect("it goes");
    server.stop().await;
}
