//! What CoreDNS takes at the edges of its options, and what that is here.

use tidegate_dns::{Plan, System};

/// The lines of a plan of a block with this plugin that have one of these words, and what else there is to say.
fn read(plugin: &str, words: &[&str]) -> Vec<String> {
    let text = format!(". {{\n{plugin}\n}}\n");
    let (plan, notes) =
        Plan::from_corefile(&text, "Corefile", &System).unwrap_or_else(|errors| panic!("{plugin}: {errors:?}"));
    let again = Plan::from_corefile(&plan.to_string(), "Corefile", &System).unwrap().0;
    assert_eq!(again.to_string(), plan.to_string());
    let plan = plan.to_string();
    let lines = plan
        .lines()
        .map(|line| line.trim().trim_end_matches(" {"))
        .filter(|line| words.iter().any(|word| line.starts_with(word)));
    lines.map(str::to_owned).chain(notes.iter().map(ToString::to_string)).collect()
}

#[test]
fn nothing_is_a_time_and_a_number() {
    for (plugin, words, expected) in [
        ("forward . 10.0.0.1 {\n expire 0s\n}", &["expire"][..], &["expire 0s"][..]),
        // Without an end, which is how it is where nothing is said.
        ("forward . 10.0.0.1 {\n max_age 0s\n}", &["max_age"], &[]),
        ("forward . 10.0.0.1 {\n health_check 0s\n}", &["health_check"], &["health_check 1ms domain ."]),
        ("cache {\n success 0\n denial 0 60\n}", &["success", "denial"], &["success 1024 3600 5", "denial 1024 60 5"]),
        ("cache {\n serve_stale 0s\n}", &["serve_stale"], &[]),
        ("cache {\n serve_stale 0s verify\n serve_stale_policy prefer_positive\n}", &["serve_stale"], &[]),
        ("errors {\n consolidate 0s .*\n}", &["consolidate"], &["consolidate 0s .* error"]),
        ("rewrite rcode a.org 3 0", &["rewrite"], &["rewrite stop rcode exact a.org NXDOMAIN NOERROR"]),
        ("forward . 10.0.0.1", &["max_connect"], &[]),
        ("forward . 10.0.0.1 {\n max_connect_attempts 0\n}", &["max_connect"], &["max_connect_attempts 0"]),
        (
            "forward . 10.0.0.1 {\n max_connect_attempts 4294967295\n max_fails 1001\n}",
            &["max_"],
            &["max_fails 1001", "max_connect_attempts 4294967295", "max_concurrent 0", "max_idle_conns 0"],
        ),
    ] {
        assert_eq!(read(plugin, words), expected, "{plugin}");
    }
}

#[test]
fn what_can_change_nothing_is_taken() {
    for (plugin, words, expected) in [
        ("errors stdout", &["errors"][..], &["errors"][..]),
        ("acl", &["acl"], &["acl .", "Corefile:2: acl: changes nothing: it has no rule"]),
        (
            "prometheus {\n runtime_metrics\n}",
            &["prometheus"],
            &[
                "prometheus 127.0.0.1:9153",
                "Corefile:3: prometheus: runtime_metrics: changes nothing: its metrics are of the runtime of Go",
            ],
        ),
        (
            "forward . 10.0.0.1 {\n tls /a /b\n}",
            &["tls"],
            &["tls /a /b", "Corefile:2: forward: tls and tls_servername change nothing: no upstream is tls://"],
        ),
        ("local {\n localhost_prefix off\n}", &["localhost_prefix"], &["localhost_prefix off"]),
        ("hosts {\n fe80::1%lo a.org\n}", &["fe80"], &["fe80::1 a.org"]),
        (
            "forward . tls://[2620:fe::fe%dns.quad9.net]:853 tls://[2620:fe::9%dns.quad9.net]",
            &["forward"],
            &["forward . tls://[2620:fe::fe]%dns.quad9.net:853 tls://[2620:fe::9]%dns.quad9.net:853"],
        ),
        ("forward . tls://9.9.9.9:8853%dns.quad9.net", &["forward"], &["forward . tls://9.9.9.9%dns.quad9.net:8853"]),
    ] {
        assert_eq!(read(plugin, words), expected, "{plugin}");
    }
}

#[test]
fn some_words_may_be_in_upper_case() {
    for (plugin, words, expected) in [
        (
            "acl {\n BLOCK NET 10.0.0.0/8 Type A\n Allow\n}",
            &["block", "allow"][..],
            &["block type A net 10.0.0.0/8", "allow"][..],
        ),
        (
            "header {\n RESPONSE SET AA\n Query Clear RD\n}",
            &["response", "query"],
            &["response set aa", "query clear rd"],
        ),
        ("rewrite STOP NAME Regex a b", &["rewrite"], &["rewrite stop name regex a b"]),
        ("rewrite Continue name SUFFIX .a .b", &["rewrite"], &["rewrite continue name suffix .a .b"]),
        ("rewrite TTL Prefix a 30", &["rewrite"], &["rewrite stop ttl prefix a 30"]),
        ("rewrite TYPE A AAAA", &["rewrite"], &["rewrite stop type A AAAA"]),
        (
            "cache {\n serve_stale 1h IMMEDIATE\n serve_stale_policy Prefer_Positive\n}",
            &["serve_stale"],
            &["serve_stale 1h immediate 30s 30s", "serve_stale_policy prefer_positive"],
        ),
    ] {
        assert_eq!(read(plugin, words), expected, "{plugin}");
    }
    // Others are words of their own.
    for plugin in
        ["forward . 10.0.0.1 {\n policy RANDOM\n}", "acl {\n block TYPES A\n}", "header {\n response set x\n}"]
    {
        let text = format!(". {{\n{plugin}\n}}\n");
        assert!(Plan::from_corefile(&text, "Corefile", &System).is_err(), "{plugin}");
    }
}

#[test]
fn the_last_word_counts_and_the_longest_ttl() {
    for (plugin, words, expected) in [
        (
            "kubernetes cluster.local {\n namespace_labels a=b\n ttl 7\n labels x\n namespace_labels c=d\n labels y\n}",
            &["namespace_labels", "labels"][..],
            &[
                "namespace_labels c=d",
                "labels y",
                "Corefile:3: kubernetes: namespace_labels: changes nothing: what Corefile:6 says counts",
                "Corefile:5: kubernetes: labels: changes nothing: what Corefile:7 says counts",
            ][..],
        ),
        (
            "kubernetes cluster.local {\n apiserver_qps 0.5\n}",
            &["apiserver"],
            &["Corefile:3: kubernetes: apiserver_qps: changes nothing: watches are few, and not held back"],
        ),
        (
            "cache {\n success 100 5 10\n denial 7 6 6\n}",
            &["success", "denial"],
            &[
                "success 100 5 5",
                "denial 7 6 6",
                "Corefile:3: cache: success: the shortest TTL 10 is above the longest, 5, and counts as that",
            ],
        ),
    ] {
        assert_eq!(read(plugin, words), expected, "{plugin}");
    }
}

#[test]
fn a_zone_may_have_a_port_or_be_a_part_of_a_network() {
    let part = "0/25.2.0.192.in-addr.arpa";
    for (plugin, words, expected) in [
        ("kubernetes cluster.local:53".to_owned(), &["kubernetes"][..], vec!["kubernetes cluster.local".to_owned()]),
        (
            "acl 10.0.0.0/8:53 fd00::/8 a.org:1 {\n block\n}".to_owned(),
            &["acl"],
            vec!["acl 10.in-addr.arpa d.f.ip6.arpa a.org".to_owned()],
        ),
        (
            format!("forward {part} 10.0.0.1 {{\n except 128/26.{part}\n}}"),
            &["forward", "except"],
            vec![format!("forward {part} 10.0.0.1:53"), format!("except 128/26.{part}")],
        ),
        (
            format!("kubernetes cluster.local {part} {{\n fallthrough {part}\n}}"),
            &["kubernetes", "fallthrough"],
            vec![
                format!("kubernetes cluster.local {part}"),
                format!("fallthrough {part}"),
                format!("Corefile:2: kubernetes: {part} changes nothing: its names are not made of addresses"),
            ],
        ),
    ] {
        assert_eq!(read(&plugin, words), expected, "{plugin}");
    }
    let text = format!("{part}:5353 {{\n template IN PTR {part} {{\n rcode NXDOMAIN\n }}\n}}\n");
    let (plan, _) = Plan::from_corefile(&text, "Corefile", &System).unwrap();
    let question = b"\x015\x040/25\x012\x010\x03192\x07in-addr\x04arpa\0";
    let listener = plan.listeners().next().unwrap();
    assert!(plan.find(listener, question).is_some() && plan.find(listener, &question[2..]).is_some());
    assert!(plan.find(listener, &question[7..]).is_none());
}

/// A resolv.conf may name it so.
#[test]
fn an_upstream_may_be_on_the_link_of_an_interface() {
    let alone = read("forward . fe80::1%lo", &["forward"]);
    assert!(alone[0].starts_with("forward . [fe80::1%") && alone[0].ends_with("]:53"), "{alone:?}");
    assert_eq!(read("forward . [fe80::1%lo]:53", &["forward"]), alone);
}
