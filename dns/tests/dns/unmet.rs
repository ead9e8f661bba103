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

/// As each note says it, and as it is without what the note names.
#[tokio::test]
async fn what_is_told_to_change_nothing_is_not_asked() {
    for (plugins, forwarded) in [
        ("rewrite name a.org b.org\n rewrite name suffix .org .net", Some("b.org.")),
        ("rewrite ttl a.org 30\n rewrite name suffix .org .net", Some("a.org.")),
        ("rewrite type TXT A\n rewrite continue name a.org b.org\n rewrite name b.org c.org", Some("c.org.")),
    ] {
        let upstream = Upstream::new().await;
        let (server, _) =
            start_corefile(&format!(".:PORT {{\n bind 127.0.0.1\n {plugins}\n forward . {}\n}}\n", upstream.address()));
        let mut asked = upstream.answering(one_address);
        let answer = server.ask(&question(1, "a.org.", RecordType::A)).await;
        assert_eq!(answer.metadata.response_code, ResponseCode::NoError, "{plugins}");
        assert_eq!(asked.try_recv().ok().as_deref(), forwarded, "{plugins}");
        server.stop().await;
    }
}
