//! Rules and parts of a block that no question comes to: others before them have all of theirs. It is told, with their
//! lines, and it is so.

use crate::harness::*;
use crate::idle::told;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

/// `LINE: SUBJECT: MESSAGE`.
fn notes(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| format!("Corefile:{line}")).collect()
}

#[test]
fn rules_of_rewrite_that_nothing_comes_to_are_told() {
    let outside = "is in none of the zones of its block: no such question comes there";
    let [exact, suffix] = ["2: rewrite: x.net", "2: rewrite: .x.net"].map(|rule| format!("{rule} {outside}"));
    let [second, third] = [3, 4].map(|line| {
        format!("{line}: rewrite: changes nothing: the rule in Corefile:2 takes all such questions, and none goes on from it")
    });
    let kubernetes = "kubernetes a.org";
    for (key, rules, expected) in [
        ("a.org", "rewrite name x.net b.org".to_owned(), &[&*exact][..]),
        ("a.org", "rewrite ttl x.net 30".to_owned(), &[&exact]),
        ("a.org", "rewrite rcode suffix .x.net NXDOMAIN NOERROR".to_owned(), &[&suffix]),
        ("a.org", "rewrite name suffix .x.net .b.org".to_owned(), &[&suffix]),
        (".", "rewrite name x.net b.org".to_owned(), &[]),
        ("a.org", "rewrite continue name suffix .a.org .x.net\nrewrite name x.x.net b.org".to_owned(), &[]),
        // An ExternalName leads anywhere.
        ("a.org", format!("rewrite name x.net b.org\n{kubernetes}"), &[]),
        (".", "rewrite name a.org b.org\nrewrite name A.org c.org".to_owned(), &[&second]),
        (
            ".",
            "rewrite name suffix .org .net\nrewrite name a.org b.org\nrewrite ttl suffix .a.org 30".to_owned(),
            &[&second, &third],
        ),
        (".", "rewrite name prefix a b\nrewrite name prefix a.b c".to_owned(), &[&second]),
        (".", "rewrite name prefix a b\nrewrite name prefix ab c".to_owned(), &[]),
        (".", "rewrite name substring a b\nrewrite name suffix .a.org .b.org".to_owned(), &[&second]),
        (".", "rewrite name regex (.*)[.]org {1}.net\nrewrite name a.org b.org".to_owned(), &[&second]),
        (
            ".",
            "rewrite name regex (.*) {1}.net\nrewrite name suffix .org .b\nrewrite type A AAAA".to_owned(),
            &[&second, &third],
        ),
        (".", "rewrite name regex (.*)[.]org {1}.net\nrewrite name suffix .org .b".to_owned(), &[]),
        (".", "rewrite type A AAAA\nrewrite type A TXT".to_owned(), &[&second]),
        (".", "rewrite type A AAAA\nrewrite type AAAA TXT".to_owned(), &[]),
        (".", "rewrite type A AAAA\nrewrite continue type TXT A\nrewrite type A MX".to_owned(), &[]),
        // What goes on, and what another rule has made.
        (".", "rewrite continue name a.org b.org\nrewrite name a.org c.org".to_owned(), &[]),
        (".", "rewrite continue ttl a.org 30\nrewrite name a.org c.org".to_owned(), &[]),
        (".", "rewrite name a.org b.org\nrewrite continue name c.org a.org\nrewrite name a.org d.org".to_owned(), &[]),
        (".", "rewrite name a.org b.org\nrewrite name suffix .org .net".to_owned(), &[]),
    ] {
        assert_eq!(told(key, &rules), notes(expected), "{key}: {rules}");
    }
}

#[test]
fn rules_of_acl_that_nothing_comes_to_are_told() {
    let taken = |line: u32, action: &str, other: u32| {
        format!("{line}: acl: {action}: changes nothing: the rule in Corefile:{other} takes all such questions")
    };
    let [fourth, seventh] = [taken(4, "allow", 3), taken(6, "block", 3)];
    let open = "3: acl: allow: changes nothing: what no rule is for is allowed too, and no rule here refuses anything";
    for (key, lists, expected) in [
        (".", "acl {\nblock\nallow net 10.0.0.0/8\n}", &[&*fourth][..]),
        (".", "acl {\nblock net 10.0.0.0/8\nallow net 10.1.0.0/16 10.2.0.1\n}", &[&fourth]),
        (".", "acl {\nblock type A AAAA\nallow type A net 10.0.0.0/8\n}", &[&fourth]),
        (".", "acl {\nblock type A net 10.0.0.0/8\nallow net 10.0.0.0/8\n}", &[]),
        (".", "acl {\nblock net 10.0.0.0/8\nallow\n}", &[]),
        (".", "acl {\nblock net 10.0.0.0/8\nallow net 10.0.0.0/7\n}", &[]),
        (".", "acl org {\nallow\n}\nacl a.org {\nblock\n}", &[&seventh]),
        ("a.org", "acl a.org {\nallow\n}\nacl . {\nblock\n}", &[&seventh]),
        (".", "acl a.org {\nallow\n}\nacl org {\nblock\n}", &[]),
        (".", "acl {\nallow net 10.0.0.0/8\n}", &[open]),
        (".", "acl {\nallow net 10.0.0.0/8\nblock\n}", &[]),
    ] {
        assert_eq!(told(key, lists), notes(expected), "{key}: {lists}");
    }
}

#[test]
fn names_of_hosts_outside_of_its_zones_are_told() {
    let outside = |line: u32, address: &str, name: &str| {
        format!("{line}: hosts: {address}: {name} changes nothing: it is in none of the zones of hosts")
    };
    let (other, wild) = (outside(3, "192.0.2.1", "x.b.org"), outside(4, "2001:db8::1", "*.org"));
    for (key, hosts, expected) in [
        (".", "hosts /dev/null a.org {\n192.0.2.1 a.org x.b.org *.a.org\n2001:db8::1 *.org\n}", &[&*other, &wild][..]),
        ("a.org", "hosts {\n192.0.2.1 x.b.org X.A.org\n}", &[&other]),
        (".", "hosts {\n192.0.2.1 x.b.org *.org\n}", &[]),
    ] {
        assert_eq!(told(key, hosts), notes(expected), "{key}: {hosts}");
    }
}

/// `PART changes nothing: the BY`.
fn left_out(part: &str, by: &str) -> String {
    format!("{part} changes nothing: the {by}")
}

#[test]
fn parts_behind_templates_and_lists_are_told() {
    let none: &[&str] = &[];
    let template = "template ANY ANY a.org {\nrcode NXDOMAIN\n}";
    let hosts = "hosts /dev/null";
    let [by_template, by_acl] =
        ["template in Corefile:2 takes all such questions", "acl in Corefile:3 takes all such questions"];
    let upstream = "192.0.2.1";
    for (key, plugins, expected) in [
        // One template behind another.
        (
            ".",
            format!("{template}\ntemplate IN A x.a.org b.org {{\nrcode NXDOMAIN\n}}"),
            &[&*left_out("5: template: x.a.org", by_template)][..],
        ),
        (".", "template IN A a.org {\nrcode NXDOMAIN\n}\ntemplate IN AAAA a.org {\nrcode NXDOMAIN\n}".to_owned(), none),
        (".", "template IN A a.org {\nrcode NXDOMAIN\n}\ntemplate ANY A a.org {\nrcode NXDOMAIN\n}".to_owned(), none),
        (
            ".",
            "template IN A a.org {\nmatch ^x\n}\ntemplate IN A a.org {\nrcode NXDOMAIN\n}".to_owned(),
            &[&left_out("5: template: a.org", by_template)],
        ),
        (
            ".",
            "template IN A a.org {\nmatch ^x\nfallthrough\n}\ntemplate IN A a.org {\nrcode NXDOMAIN\n}".to_owned(),
            none,
        ),
        (
            ".",
            "template IN A a.org {\nmatch .*\nfallthrough\n}\ntemplate IN A a.org {\nrcode NXDOMAIN\n}".to_owned(),
            &[&left_out("6: template: a.org", by_template)],
        ),
        (
            "a.org b.org",
            "template IN A {\nrcode NXDOMAIN\n}\ntemplate IN A {\nrcode NXDOMAIN\n}".to_owned(),
            &[&left_out("5: template:", by_template)],
        ),
        // What stands behind templates.
        (
            "a.org",
            format!("{template}\n{hosts}\nforward . {upstream}"),
            &[&left_out("5: hosts: a.org", by_template), &left_out("6: forward: .", by_template)],
        ),
        (".", format!("{template}\nkubernetes x.a.org"), &[&left_out("5: kubernetes: x.a.org", by_template)]),
        (".", format!("{template}\n{hosts} org {{\nfallthrough\n}}\nforward . {upstream}"), none),
        // Nobody is let in.
        ("a.org", format!("acl {{\nblock\n}}\nforward . {upstream}"), &[&left_out("5: forward: .", by_acl)]),
        ("a.org", format!("acl {{\nallow net 10.0.0.0/8\nblock\n}}\nforward . {upstream}"), none),
        ("a.org", format!("acl {{\nblock type A\n}}\nforward . {upstream}"), none),
    ] {
        assert_eq!(told(key, &plugins), notes(expected), "{key}: {plugins}");
    }
}

#[test]
fn parts_behind_those_that_have_all_names_are_told() {
    let none: &[&str] = &[];
    let hosts = "hosts /dev/null";
    let by_forward = "forward in Corefile:2 takes all such names";
    let but_pointers =
        |part: &str| format!("{part} changes nothing but for PTR: the hosts in Corefile:2 takes all other questions");
    let upstream = "192.0.2.1";
    for (key, plugins, expected) in [
        // Names that the file does not have get SERVFAIL, but those of addresses.
        (
            ".",
            format!("{hosts}\nkubernetes c.test 10.0.0.0/8\nforward . {upstream}"),
            &[&*but_pointers("3: kubernetes: c.test"), &but_pointers("4: forward: .")][..],
        ),
        (".", format!("{hosts} {{\nfallthrough\n}}\nkubernetes c.test\nforward . {upstream}"), none),
        (".", format!("{hosts} a.org\nforward . {upstream}"), none),
        // Names of the cluster, which are asked of nobody else.
        (
            ".",
            format!("kubernetes c.test 10.0.0.0/8\nforward c.test {upstream}\nforward 10.in-addr.arpa {upstream}"),
            &[
                &left_out("3: forward: c.test", "kubernetes in Corefile:2 takes all such names"),
                &left_out("4: forward: 10.in-addr.arpa", "kubernetes in Corefile:2 takes all such names"),
            ],
        ),
        (".", format!("kubernetes c.test {{\nfallthrough x.c.test\n}}\nforward c.test {upstream}"), none),
        (
            ".",
            format!("kubernetes c.test\nk8s_external e.test\nforward e.test {upstream}"),
            &[&left_out("4: forward: e.test", "k8s_external in Corefile:3 takes all such names")],
        ),
        // One forward behind another, of what comes to the block.
        ("a.org", format!("forward a.org {upstream}\nforward . {upstream}"), &[&left_out("3: forward: .", by_forward)]),
        ("a.org b.org", format!("forward a.org {upstream}\nforward . {upstream}"), none),
        ("a.org", format!("rewrite name x.a.org x.b.org\nforward a.org {upstream}\nforward . {upstream}"), none),
        (
            "a.org",
            format!("kubernetes a.org {{\nfallthrough\n}}\nforward a.org {upstream}\nforward . {upstream}"),
            none,
        ),
        ("a.org", format!("forward a.org {upstream} {{\nexcept x.a.org\n}}\nforward . {upstream}"), none),
        (".", format!("forward . {upstream}\nwhoami"), &[&left_out("3: whoami:", by_forward)]),
        (".", format!("forward a.org {upstream}\nwhoami"), none),
        // What leaves nothing takes nothing.
        (
            "a.org",
            format!("forward . {upstream} {{\nexcept org\n}}\nforward . {upstream}"),
            &["2: forward: . changes nothing: except leaves out all such names"],
        ),
        (
            ".",
            format!("forward . {upstream} {{\nexcept .\n}}"),
            &["2: forward: . changes nothing: except leaves out all such names"],
        ),
        ("a.org", format!("forward a.org {upstream} {{\nexcept x.a.org\n}}"), none),
        ("a.org", format!("forward . {upstream} {{\nexcept a.org\n}}\nkubernetes a.org"), none),
    ] {
        assert_eq!(told(key, &plugins), notes(expected), "{key}: {plugins}");
    }
}

/// As each note says it, and as it is without what the note names.
#[tokio::test]
async fn what_is_told_to_change_nothing_is_not_asked() {
    let refused = Some(ResponseCode::Refused);
    for (plugins, code, forwarded) in [
        ("hosts /dev/null", Some(ResponseCode::ServFail), None),
        ("hosts /dev/null {\n  fallthrough\n }", None, Some("a.org.")),
        ("hosts /dev/null b.org {\n  192.0.2.9 a.org\n }", None, Some("a.org.")),
        ("template ANY ANY . {\n  rcode NXDOMAIN\n }", Some(ResponseCode::NXDomain), None),
        ("template IN A . {\n  match ^x\n }", Some(ResponseCode::ServFail), None),
        ("acl {\n  block\n }", refused, None),
        ("acl {\n  block\n }\n acl {\n  allow\n }", refused, None),
        ("acl {\n  allow net 127.0.0.0/8\n }\n acl {\n  block\n }", None, Some("a.org.")),
        ("acl {\n  allow net 10.0.0.0/8\n }", None, Some("a.org.")),
        ("rewrite name a.org b.org\n rewrite name suffix .org .net", None, Some("b.org.")),
        ("rewrite ttl a.org 30\n rewrite name suffix .org .net", None, Some("a.org.")),
        ("rewrite type TXT A\n rewrite continue name a.org b.org\n rewrite name b.org c.org", None, Some("c.org.")),
        ("forward org 127.0.0.1:1 {\n  except org\n }", None, Some("a.org.")),
    ] {
        let upstream = Upstream::new().await;
        let (server, _) =
            start_corefile(&format!(".:PORT {{\n bind 127.0.0.1\n {plugins}\n forward . {}\n}}\n", upstream.address()));
        let mut asked = upstream.answering(one_address);
        let answer = server.ask(&question(1, "a.org.", RecordType::A)).await;
        assert_eq!(answer.metadata.response_code, code.unwrap_or(ResponseCode::NoError), "{plugins}");
        assert_eq!(asked.try_recv().ok().as_deref(), forwarded, "{plugins}");
        server.stop().await;
    }
}
