//! What a Corefile says beside something else that leaves it without effect: it is told, and nothing else is.

use crate::harness::*;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use tidegate_dns::{Plan, System};

/// What is told of the plugins of a block, from its second line on, but for files.
pub(crate) fn told(key: &str, plugins: &str) -> Vec<String> {
    let text = format!("{key} {{\n{plugins}\n}}\n");
    let read = Plan::from_corefile(&text, "Corefile", &System);
    let (_, notes) = read.unwrap_or_else(|errors| panic!("{text}: {errors:?}"));
    notes.iter().filter(|note| !note.is_missing).map(ToString::to_string).collect()
}

#[test]
fn what_is_without_effect_beside_the_rest_is_told() {
    let none: &[&str] = &[];
    let of_ipv4 = "Corefile:3: forward: source_address: changes nothing: no upstream has an address of IPv4";
    let of_ipv6 = "Corefile:3: forward: source_address: changes nothing: no upstream has an address of IPv6";
    let resolver = "Corefile:3: forward: resolver: changes nothing: no upstream is a name";
    let flag = "changes nothing: it means nothing in a question, and no upstream is sent it";
    let [ra, aa] = ["ra", "aa"].map(|name| format!("Corefile:3: header: query: {name} {flag}"));
    let authorities = "Corefile:2: tls: the authorities in ca change nothing: no client_auth verifies clients";
    let request = "Corefile:3: tls: client_auth: request changes nothing: what nobody verifies is not asked for";
    let transfer = "transfer: changes nothing: only zones of kubernetes are transferred, and this block has none";
    let [second, fifth] = [2, 5].map(|line| format!("Corefile:{line}: {transfer}"));
    let outside = "is in none of the zones of its block: no such question comes there";
    let [autopath, later] =
        [(2, "autopath"), (3, "forward")].map(|(line, plugin)| format!("Corefile:{line}: {plugin}: b.org {outside}"));
    let except = "Corefile:3: forward: except: b.org changes nothing: no such name would be forwarded";
    let left_out = "Corefile:2: bind: 127.0.0.1 changes nothing: except leaves it out";
    for (key, plugins, expected) in [
        (".", "forward . 2001:db8::1 tls://[2001:db8::2]%a.org {\nsource_address 192.0.2.1\n}", &[of_ipv4][..]),
        (".", "forward . 192.0.2.53 {\nsource_address 2001:db8::1\n}", &[of_ipv6]),
        (".", "forward . 192.0.2.53 2001:db8::1 {\nsource_address 192.0.2.1\n}", none),
        (".", "forward . 2001:db8::1 ns.example {\nsource_address 192.0.2.1\nresolver 192.0.2.53\n}", none),
        (".", "forward . 2001:db8::1 resolv/conf {\nsource_address 192.0.2.1\n}", none),
        (".", "forward . 192.0.2.53 {\nresolver 192.0.2.54\n}", &[resolver]),
        (".", "header {\nquery set aa ra rd\n}", &[&aa, &ra]),
        (".", "header {\nresponse set aa ra rd\nquery clear rd\n}", none),
        ("tls://.", "tls c k ca", &[authorities]),
        ("tls://.", "tls c k {\nclient_auth request\n}", &[request]),
        ("tls://.", "tls c k ca {\nclient_auth require_and_verify\n}", none),
        ("tls://.", "tls c k {\nclient_auth nocert\n}", none),
        (".", "transfer a.org {\nto *\n}\ntransfer {\nto 192.0.2.1\n}", &[&second, &fifth]),
        (".", "kubernetes cluster.local\ntransfer {\nto *\n}", none),
        ("a.org", "autopath b.org search", &[&autopath]),
        ("a.org", "autopath a.a.org org search", none),
        ("a.org", "forward a.org 192.0.2.53\nforward b.org 192.0.2.53", &[&later]),
        (".", "forward a.org 192.0.2.53 {\nexcept b.org a.a.org\n}", &[except]),
        ("a.org", "forward . 192.0.2.53 {\nexcept b.org a.a.org\n}", &[except]),
        (".", "bind 127.0.0.1 ::1 {\nexcept 127.0.0.1\n}", &[left_out]),
        (".", "bind 127.0.0.1 lo {\nexcept 127.0.0.1\n}", &[left_out]),
        (".", "bind lo {\nexcept 127.0.0.1\n}", none),
    ] {
        assert_eq!(told(key, plugins), expected, "{key}: {plugins}");
    }
}

#[test]
fn zones_that_nobody_is_sent_are_told() {
    let first = |line: u32, zone: &str, other: u32| {
        format!("Corefile:{line}: transfer: {zone} changes nothing: the transfer in Corefile:{other} is for it")
    };
    let none = |line: u32, zone: &str| {
        let why = "no zone of Services, which alone are transferred, is in it";
        format!("Corefile:{line}: transfer: {zone} changes nothing: {why}")
    };
    let kubernetes = "kubernetes c.test in-addr.arpa";
    for (key, plugins, expected) in [
        (".", "transfer c.test {\nto *\n}\ntransfer c.test {\nto 192.0.2.1\n}", vec![first(6, "c.test", 3)]),
        (".", "transfer {\nto *\n}\ntransfer {\nto 192.0.2.1\n}", vec![first(6, ".", 3)]),
        (".", "transfer {\nto *\n}\ntransfer c.test {\nto 192.0.2.1\n}", vec![first(3, ".", 6)]),
        (".", "transfer org in-addr.arpa c.test {\nto *\n}", vec![none(3, "org"), none(3, "in-addr.arpa")]),
        (".", "transfer test c.test c.test {\nto *\n}", vec![]),
        (".", "k8s_external e.test\ntransfer c.test {\nto *\n}\ntransfer e.test {\nto *\n}", vec![]),
        (".", "k8s_external e.test\ntransfer c.test {\nto *\n}\ntransfer test {\nto *\n}", vec![]),
        // All that the block is for.
        ("c.test in-addr.arpa", "transfer {\nto *\n}", vec![]),
        ("c.test:53 c.test:54 in-addr.arpa", "transfer {\nto *\n}", vec![]),
        ("c.test in-addr.arpa", "transfer in-addr.arpa {\nto *\n}", vec![none(3, "in-addr.arpa")]),
    ] {
        let mut expected = expected;
        expected.sort();
        assert_eq!(told(key, &format!("{kubernetes}\n{plugins}")), expected, "{key}: {plugins}");
    }
}

#[test]
fn lines_of_log_that_write_nothing_are_told() {
    let taken = |line: u32, what: &str, other: u32| {
        let why = format!("changes nothing: the log in Corefile:{other} takes all such names");
        format!("Corefile:{line}: log: {what}{why}")
    };
    let outside = "Corefile:2: log: b.org is in none of the zones of its block: no such question comes there";
    let class =
        |line: u32, name: &str| format!("Corefile:{line}: log: class: {name} changes nothing: all has every class");
    for (key, plugins, expected) in [
        ("a.org", "log b.org x.a.org", vec![outside.to_owned()]),
        // What rules make is not what clients ask for.
        ("a.org", "log b.org\nrewrite name suffix .a.org .b.org", vec![outside.to_owned()]),
        (".", "log . {\nclass denial\n}\nlog . {\nclass error\n}", vec![taken(5, ". ", 2)]),
        (".", "log org\nlog a.org b.org {combined}\nlog", vec![taken(3, "", 2)]),
        (".", "log b.org\nlog a.org b.org", vec![taken(3, "b.org ", 2)]),
        // All that there is.
        ("a.org b.org", "log a.org\nlog b.org\nlog", vec![taken(4, ". ", 2)]),
        ("a.org b.org", "log a.org\nlog x.b.org\nlog", vec![]),
        ("a.org", "log x.a.org\nlog", vec![]),
        (".", "log . {\nclass denial all\nclass success\n}", vec![class(3, "denial"), class(4, "success")]),
        (".", "log . {\nclass denial success\nclass error\n}", vec![]),
        (".", "log . {\nclass all\n}", vec![]),
    ] {
        assert_eq!(told(key, plugins), expected, "{key}: {plugins}");
    }
}

#[test]
fn rules_for_types_that_are_answered_before_them_are_told() {
    let note = |line: u32, part: &str, asked: &str| {
        vec![format!("Corefile:{line}: {part}: {asked} gets NOTIMP: no such question comes there")]
    };
    for (plugins, expected) in [
        ("rewrite type MAILB TXT", note(2, "rewrite", "MAILB")),
        ("rewrite stop type A MAILB\nrewrite type MAILB TXT", note(3, "rewrite", "MAILB")),
        ("rewrite continue type A MAILB\nrewrite type MAILB TXT", vec![]),
        ("rewrite type TXT MAILB", vec![]),
        ("template IN TSIG {\nrcode NXDOMAIN\n}", note(2, "template", "TSIG")),
        ("template ANY TKEY {\nrcode NXDOMAIN\n}", note(2, "template", "TKEY")),
        ("template CH TKEY {\nrcode NXDOMAIN\n}", vec![]),
        ("template IN ANY {\nrcode NXDOMAIN\n}", vec![]),
        ("rewrite type A MAILA\ntemplate IN MAILA {\nrcode NXDOMAIN\n}", vec![]),
    ] {
        assert_eq!(told(".", plugins), expected, "{plugins}");
    }
}

#[test]
fn what_a_forward_says_without_effect_is_told() {
    let none: &[&str] = &[];
    let [tcp, udp] = ["force_tcp", "prefer_udp"]
        .map(|option| format!("Corefile:3: forward: {option}: changes nothing: all upstreams are tls://"));
    let overruled = "Corefile:4: forward: prefer_udp: changes nothing: force_tcp counts";
    let expire = "Corefile:3: forward: expire: changes nothing: what Corefile:5 says counts";
    let [second, third] = [3, 4].map(|line| {
        format!("Corefile:{line}: forward: a.b.org changes nothing: the forward in Corefile:2 takes all such names")
    });
    let next = "Corefile:3: forward: next and next_on_nodata change nothing: no forward after it is for such names";
    let alone = next.replacen('3', "2", 1);
    for (plugins, expected) in [
        ("forward . tls://192.0.2.1%a.org {\nforce_tcp\n}", &[&*tcp][..]),
        ("forward . tls://192.0.2.1%a.org {\nprefer_udp\n}", &[&udp]),
        ("forward . tls://192.0.2.1%a.org 192.0.2.1 {\nforce_tcp\n}", none),
        ("forward . 192.0.2.1 {\nforce_tcp\nprefer_udp\n}", &[overruled]),
        ("forward . 192.0.2.1 {\nprefer_udp\n}", none),
        ("forward . 192.0.2.1 {\nexpire 1s\npolicy random\nexpire 2s\n}", &[expire]),
        ("forward . 192.0.2.1 {\nexcept a.org\nexcept b.org\nfailover NXDOMAIN\nfailover NOTIMP\n}", none),
        ("forward b.org 192.0.2.1\nforward a.b.org 192.0.2.2\nforward a.b.org 192.0.2.3", &[&second, &third]),
        ("forward a.b.org 192.0.2.1\nforward b.org 192.0.2.2\nforward . 192.0.2.3", none),
        ("forward b.org 192.0.2.1 {\nexcept x.a.b.org\n}\nforward a.b.org 192.0.2.2", none),
        ("forward b.org 192.0.2.1 {\nexcept c.b.org\n}\nforward d.org 192.0.2.2", none),
        ("forward . 192.0.2.1 {\nnext NXDOMAIN\n}\nforward . 192.0.2.2", none),
        ("forward . 192.0.2.1 {\nnext_on_nodata\n}\nforward b.org 192.0.2.2", none),
        ("forward . 192.0.2.1 {\nnext NXDOMAIN\n}", &[&alone]),
        ("forward b.org 192.0.2.1\nforward c.org 192.0.2.1 {\nnext_on_nodata\n}\nforward d.org 192.0.2.2", &[next]),
    ] {
        assert_eq!(told(".", plugins), expected, "{plugins}");
    }
}

/// With the words of the Corefile that are told to change nothing, and without.
#[tokio::test]
async fn a_forward_behind_one_that_takes_all_names_is_not_asked() {
    for (options, is_asked) in [("", false), (" {\n  next NXDOMAIN\n }", true)] {
        let (first, second) = (Upstream::new().await, Upstream::new().await);
        let (server, _) = start_corefile(&format!(
            ".:PORT {{\n bind 127.0.0.1\n forward org {}{options}\n forward b.org {}\n}}\n",
            first.address(),
            second.address(),
        ));
        let mut first = first.answering(|question| code(question, ResponseCode::NXDomain));
        let mut second = second.answering(one_address);
        let answer = server.ask(&question(1, "www.b.org.", RecordType::A)).await;
        let expected = if is_asked { ResponseCode::NoError } else { ResponseCode::NXDomain };
        assert_eq!(answer.metadata.response_code, expected);
        assert!(first.try_recv().is_ok());
        assert_eq!(second.try_recv().is_ok(), is_asked);
        server.stop().await;
    }
}

/// The plugins of which a note says that nobody asks them for names of `b.org`.
fn unasked(corefile: &str) -> Vec<String> {
    let read = Plan::from_corefile(corefile, "Corefile", &System);
    let (_, notes) = read.unwrap_or_else(|errors| panic!("{corefile}: {errors:?}"));
    let outside = "b.org is in none of the zones of its block: no such question comes there";
    let not_forwarded = "b.org changes nothing: no such name would be forwarded";
    let told = notes.into_iter().filter(|note| [outside, not_forwarded].contains(&note.message.as_str()));
    told.map(|note| note.subject).collect()
}

const OF_B: &str = "acl b.org {\nblock\n}\nautopath b.org search\ncache b.org\nforward b.org 192.0.2.1\n\
                    forward . 192.0.2.1 {\nexcept b.org\n}\nhosts none b.org\nkubernetes b.org\nmetadata b.org\n\
                    template IN A b.org {\nrcode NXDOMAIN\n}\ntransfer b.org {\nto *\n}\n";
const ALL: [&str; 10] = [
    "acl",
    "autopath",
    "cache",
    "forward",
    "forward: except",
    "hosts",
    "kubernetes",
    "metadata",
    "template",
    "transfer",
];

/// A transfer, and what is written of a question, are about the name that the client asks for.
#[test]
fn parts_are_asked_for_the_names_that_rules_make() {
    let by_clients = &["metadata", "transfer"][..];
    for (rule, expected) in [
        ("name x.a.org www.b.org", by_clients),
        ("name suffix .a.org .b.org", by_clients),
        ("name suffix .a.org .x.b.org", by_clients),
        ("name suffix a.org b.org", by_clients),
        ("name prefix www.a www.b", by_clients),
        ("name substring a.org b.org", by_clients),
        ("name regex (.*)[.]a[.]org {1}.b.org.", by_clients),
        ("name regex (.*)[.]a[.](.*) {1}.b.{2}", by_clients),
        ("name regex .* www.b.org", by_clients),
        ("continue name x.a.org y.net\nrewrite name y.net b.org", by_clients),
        ("ttl a.org 60", &ALL),
        // They make other names, or are for names that nobody asks for here.
        ("name x.a.org www.c.org", &ALL),
        ("name x.net www.b.org", &ALL),
        ("name suffix .a.org .c.org", &ALL),
        ("name suffix .c.org .b.org", &ALL),
        ("name regex (.*)[.]a[.]org {1}.c.org", &ALL),
        ("name y.net b.org\nrewrite name x.a.org y.net", &ALL),
    ] {
        assert_eq!(unasked(&format!("a.org {{\nrewrite {rule}\n{OF_B}}}\n")), expected, "{rule}");
    }
}

/// By the block whose answer leads there, where they are in none; a walk through a search list begins no other one.
#[test]
fn parts_are_asked_for_the_names_that_answers_lead_to() {
    let led = &["autopath", "metadata", "transfer"][..];
    let alias = |zone: &str| format!("template IN ANY {zone} {{\nanswer \"{{{{ .Name }}}} CNAME www.b.org.\"\n}}");
    let address = "template IN ANY a.org {\nanswer \"{{ .Name }} A 192.0.2.1\"\n}".to_owned();
    let external = "k8s_external a.org".to_owned();
    for (part, expected) in [(alias("a.org"), led), (external, led), (address, &ALL), (alias("c.org"), &ALL)] {
        assert_eq!(unasked(&format!("a.org {{\n{OF_B}{part}\n}}\n")), expected, "{part}");
    }
    let instead = |keys: &str, from: &str, to: &str| unasked(&format!("{keys} {{\n{}}}\n", OF_B.replace(from, to)));
    assert_eq!(instead("a.org", "kubernetes b.org", "kubernetes a.org b.org"), led);
    assert_eq!(instead("a.org", "autopath b.org", "autopath a.org"), ["metadata", "transfer"]);
    // Addresses lead nowhere.
    assert_eq!(instead("10.in-addr.arpa", "kubernetes b.org", "kubernetes b.org 10.0.0.0/8"), ALL);
    let alias = alias("a.org");
    let except = "bind lo {\nexcept 127.0.0.1\n}";
    for (own, other, expected) in [
        (["a.org", ""], [".", ""], &ALL[..]),
        (["a.org", ""], ["b.org", ""], &ALL),
        (["a.org", ""], ["www.b.org", ""], led),
        (["a.org", ""], [".:54", ""], led),
        (["a.org a.org:54", ""], [".", ""], led),
        (["a.org", "bind lo"], [".", "bind 127.0.0.1"], led),
        (["a.org", "bind lo"], [".", except], led),
        (["a.org", except], [".", "bind lo"], &ALL),
        // Of what they lead to a rule may make others.
        (["a.org", "rewrite name www.c.org www.b.org"], ["b.org", ""], led),
    ] {
        let [own, other] = [(own, format!("{OF_B}{alias}")), (other, String::new())]
            .map(|([keys, first], parts)| format!("{keys} {{\n{first}\n{parts}\n}}\n"));
        assert_eq!(unasked(&(own.clone() + &other)), expected, "{own}{other}");
    }
}
