use super::*;
use crate::message::Transport;
use crate::part::harness::{block, client, text};
use hickory_proto::op::{Message, ResponseCode};

/// The question that rules make of another: `NAME TYPE`.
fn rewritten(rules: &str, name: &str, record_type: &str) -> String {
    let client = client(name, record_type);
    match Rewrites::new(&block(rules).rewrites).apply(&client.name, record_type.parse().unwrap(), |_, _| ()) {
        Rewriting::Same => "same".to_owned(),
        Rewriting::Invalid => "invalid".to_owned(),
        Rewriting::Other(other) => {
            format!("{} {}", spelling::text(other.asked().name()), other.asked().record_type)
        }
    }
}

/// The answer to a question whose rewritten one gets this code and these records.
fn restored(rules: &str, (name, record_type): (&str, &str), code: &str, records: &str) -> String {
    let asked = client(name, record_type);
    let rewriting = Rewrites::new(&block(rules).rewrites).apply(&asked.name, record_type.parse().unwrap(), |_, _| ());
    let Rewriting::Other(other) = rewriting else { panic!("{rewriting:?}") };
    let upstream = client(&spelling::text(other.asked().name()), &other.asked().record_type.to_string());
    let message = other.restore(&upstream.answer(code, records), &asked.query(), Transport::Udp);
    let question = &message[12..12 + asked.wire.len()];
    assert_eq!(question, asked.wire, "the client's question comes back as it was spelled");
    text(&message)
}

/// As CoreDNS's own tests have it (plugin/rewrite/name_test.go), whose texts end with a dot whether they say so or not.
#[test]
fn names_become_others_as_in_coredns() {
    for (rule, name, expected) in [
        ("name exact coredns.rocks service.consul", "CoreDNS.rocks.", "service.consul."),
        ("name coredns.rocks service.consul", "coredns.rocks.", "service.consul."),
        ("name coredns.rocks service.consul", "a.coredns.rocks.", "same"),
        ("name prefix foo bar", "foo.example.com.", "bar.example.com."),
        ("name prefix foo. bar.", "foo.example.com.", "bar.example.com."),
        ("name prefix foo bar", "foot.example.com.", "same"),
        ("name prefix foo bar", "coredns.foo.", "same"),
        ("name suffix com org", "foo.example.com.", "foo.example.org."),
        ("name suffix .com .org", "foo.example.com.", "foo.example.org."),
        ("name suffix com org", "com.coredns.", "same"),
        (
            "name suffix .ingress.coredns.rocks nginx.coredns.rocks",
            "coredns.ingress.coredns.rocks.",
            "corednsnginx.coredns.rocks.",
        ),
        ("name substring service svc", "a.service.b.service.", "a.svc.b.svc."),
        ("name substring service svc", "services.b.", "same"),
        ("name regex (.*)[.](coredns)[.](rocks) {2}.{1}.{3}", "foo.coredns.rocks.", "coredns.foo.rocks."),
        ("name regex ^(.*)[.]example[.](.*)$ {1}.{2}", "a.example.org.", "a.org."),
        ("name regex f.*m foo", "foo.rocks.", "same"),
        ("name suffix .example.org .", "a.example.org.", "a."),
        ("name prefix foo .", "foo.example.com.", "invalid"),
    ] {
        let expected = if expected.ends_with('.') { format!("{expected} A") } else { expected.to_owned() };
        assert_eq!(rewritten(&format!("rewrite {rule}"), name, "A"), expected, "{rule} of {name}");
    }
    let long = format!("{}.example.org.", "a".repeat(63));
    assert_eq!(rewritten("rewrite name regex (.*) x{1}", &long, "A"), "invalid");
}

#[test]
fn rules_follow_each_other_until_one_stops() {
    let rules = "rewrite continue name a.test b.test
        rewrite continue type A AAAA
        rewrite name suffix test example
        rewrite name suffix example never";
    assert_eq!(rewritten(rules, "a.test.", "A"), "b.example. AAAA");
    assert_eq!(rewritten(rules, "a.test.", "MX"), "b.example. MX");
    assert_eq!(rewritten(rules, "x.example.", "MX"), "x.never. MX");
    assert_eq!(rewritten(rules, "x.org.", "A"), "x.org. AAAA");
    assert_eq!(rewritten(rules, "x.org.", "MX"), "same");
    // A rule that only changes answers ends the search as any other.
    let rules = "rewrite ttl suffix test 30\n rewrite name a.test b.test";
    assert_eq!(rewritten(rules, "a.test.", "A"), "a.test. A");
}

#[test]
fn an_exact_name_is_turned_back_with_all_below_it() {
    let records = "new.test. 60 CNAME x.New.test.\n x.new.test. 60 A 192.0.2.1\n anew.test. 60 A 192.0.2.2
        | new.test. 60 NS ns.new.test.
        | ns.new.test. 60 A 192.0.2.3";
    assert_eq!(
        restored("rewrite name old.example new.test", ("Old.Example.", "A"), "NOERROR", records),
        "No Error
Old.Example. 60 CNAME x.old.example.
x.old.example. 60 A 192.0.2.1
anew.test. 60 A 192.0.2.2
authority Old.Example. 60 NS ns.old.example.
additional ns.old.example. 60 A 192.0.2.3"
    );
}

#[test]
fn a_suffix_is_turned_back_where_the_rule_says_so() {
    let asked = ("Web.Shop.example.", "SRV");
    let records = "web.shop.svc.cluster.local. 5 SRV 0 100 80 Web.shop.svc.cluster.local.
        || web.shop.svc.cluster.local. 5 A 10.0.0.1";
    let records = records.replace("||", "| |");
    let rule = "rewrite name suffix .example .svc.cluster.local";
    assert_eq!(
        restored(&format!("{rule} answer auto"), asked, "NOERROR", &records),
        "No Error
Web.Shop.example. 5 SRV 0 100 80 web.shop.example.
additional Web.Shop.example. 5 A 10.0.0.1"
    );
    assert_eq!(
        restored(rule, asked, "NOERROR", &records),
        "No Error
web.shop.svc.cluster.local. 5 SRV 0 100 80 Web.shop.svc.cluster.local.
additional web.shop.svc.cluster.local. 5 A 10.0.0.1"
    );
}

/// As CoreDNS has it (`newSuffixNameRule`, `responseRuleFor`): what is said of values is about what was answered.
#[test]
fn auto_is_the_last_to_be_undone_wherever_it_stands() {
    let asked = ("web.example.", "SRV");
    let records = "web.svc.test. 5 SRV 0 100 80 web.svc.test.";
    let value = r"value (.*)\.svc\.test\.$ {1}.blue.svc.test";
    for answers in [
        format!("answer auto answer {value}"),
        format!("answer {value} answer auto"),
        format!("answer auto answer {value} answer auto"),
    ] {
        assert_eq!(
            restored(&format!("rewrite name suffix .example .svc.test {answers}"), asked, "NOERROR", records),
            "No Error\nweb.example. 5 SRV 0 100 80 web.blue.example.",
            "{answers}"
        );
    }
    let records = "web.test. 5 SRV 0 100 80 web.test.";
    for answers in
        [r"answer value (.*)\.test\.$ {1}.blue.web.test", r"answer value (.*)\.test\.$ {1}.blue.web.test auto"]
    {
        assert_eq!(
            restored(&format!("rewrite name exact web.example web.test {answers}"), asked, "NOERROR", records),
            "No Error\nweb.example. 5 SRV 0 100 80 web.blue.web.example.",
            "{answers}"
        );
    }
}

#[test]
fn a_dname_leads_where_the_alias_made_of_it_does() {
    let records = "old.up.test. 60 DNAME new.up.test.\n x.old.up.test. 60 CNAME x.new.up.test.";
    let rule = "rewrite name suffix .in.test .up.test answer auto";
    // It is shown in base64: 3 new, 2 in, 4 test, 0.
    assert_eq!(
        restored(rule, ("x.old.in.test.", "A"), "NOERROR", records),
        "No Error\nold.in.test. 60 DNAME A25ldwJpbgR0ZXN0AA==\nx.old.in.test. 60 CNAME x.new.in.test."
    );
}

#[test]
fn answers_are_changed_as_the_rule_says() {
    let rules = r"rewrite stop {
        name regex ^(.*)[.]east[.]example[.]$ {1}.consul
        answer name ^(.*)[.]consul[.]$ {1}.east.example
        answer value ^(.*)[.]node[.]$ {1}.nodes.example
    }";
    let records = "db.consul. 9 MX 1 a.node.\n db.consul. 9 MX 2 a.consul.\n db.consul. 9 TXT x.node.";
    assert_eq!(
        restored(rules, ("DB.east.example.", "MX"), "NOERROR", records),
        "No Error
DB.east.example. 9 MX 1 a.nodes.example.
DB.east.example. 9 MX 2 a.consul.
DB.east.example. 9 TXT x.node."
    );
    let auto = "rewrite name regex ^(.*)[.]east[.]example[.]$ {1}.consul answer auto";
    assert_eq!(
        restored(auto, ("db.east.example.", "MX"), "NOERROR", records),
        "No Error
db.east.example. 9 MX 1 a.node.
db.east.example. 9 MX 2 a.consul.
db.east.example. 9 TXT x.node."
    );
}

#[test]
fn the_last_rule_is_undone_first() {
    let rules = "rewrite continue name suffix .domain.uk .domain.us answer auto
        rewrite name suffix .domain.us .cluster.local answer auto";
    let records = "a.cluster.local. 5 CNAME b.cluster.local.\n b.cluster.local. 5 A 10.0.0.1";
    assert_eq!(
        restored(rules, ("a.domain.uk.", "A"), "NOERROR", records),
        "No Error\na.domain.uk. 5 CNAME b.domain.uk.\nb.domain.uk. 5 A 10.0.0.1"
    );
}

#[test]
fn times_and_codes_are_changed() {
    let asked = ("a.test.", "A");
    let records = "a.test. 10 A 192.0.2.1\n a.test. 100 A 192.0.2.2\n a.test. 1000 A 192.0.2.3";
    let times = |range: &str| restored(&format!("rewrite ttl suffix test {range}"), asked, "NOERROR", records);
    let expected = |[a, b, c]: [u32; 3]| {
        format!("No Error\na.test. {a} A 192.0.2.1\na.test. {b} A 192.0.2.2\na.test. {c} A 192.0.2.3")
    };
    assert_eq!(times("50-500"), expected([50, 100, 500]));
    assert_eq!(times("-50"), expected([10, 50, 50]));
    assert_eq!(times("50-"), expected([50, 100, 1000]));
    assert_eq!(times("7"), expected([7, 7, 7]));
    let rules = "rewrite continue rcode suffix test NOERROR REFUSED\n rewrite rcode suffix test SERVFAIL NOERROR";
    assert_eq!(restored(rules, asked, "SERVFAIL", ""), "Query Refused");
    // Once, however many records there are.
    let back = "rewrite continue rcode a.test NXDOMAIN NOERROR\n rewrite rcode a.test NOERROR NXDOMAIN";
    assert_eq!(restored(back, asked, "NOERROR", records).lines().next(), Some("No Error"));
}

#[test]
fn what_does_not_fit_is_cut_and_options_stay() {
    let asked = client("a.example.", "A");
    let rewriting =
        Rewrites::new(&block("rewrite name a.example b.test").rewrites).apply(&asked.name, RecordType::A, |_, _| ());
    let Rewriting::Other(other) = rewriting else { panic!("{rewriting:?}") };
    let many: String = (0..200).map(|index| format!("x{index}.b.test. 5 A 192.0.2.{index}\n")).collect();
    let mut message = client("b.test.", "A").answer("NOERROR", &many);
    crate::extended_error::add(3, "why", &mut message, (&asked.head, Transport::Tcp));
    let cut = other.restore(&message, &asked.query(), Transport::Udp);
    let read = Message::from_vec(&cut).unwrap();
    assert!(cut.len() <= 1232 && read.metadata.truncation, "{}", cut.len());
    let whole = Message::from_vec(&other.restore(&message, &asked.query(), Transport::Tcp)).unwrap();
    assert_eq!((whole.answers.len(), whole.metadata.truncation), (200, false));
    assert_eq!(whole.edns.unwrap().options().options.len(), 1);
}

#[test]
fn what_cannot_be_read_is_a_failure() {
    let asked = client("a.example.", "A");
    let rewriting =
        Rewrites::new(&block("rewrite name a.example b.test").rewrites).apply(&asked.name, RecordType::A, |_, _| ());
    let Rewriting::Other(other) = rewriting else { panic!("{rewriting:?}") };
    let message = client("b.test.", "A").answer("NOERROR", "b.test. 5 CNAME c.b.test.\n c.b.test. 5 A 192.0.2.1");
    for end in 0..message.len() {
        let restored = other.restore(&message[..end], &asked.query(), Transport::Udp);
        let read = Message::from_vec(&restored).unwrap();
        assert_eq!(read.metadata.response_code, ResponseCode::ServFail, "{end}");
    }
}
