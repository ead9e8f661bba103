//! What is explained is what is served: the same Corefiles and questions, asked of a server and explained.

use crate::harness::*;
use config::DnsCompatibility;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name, Record, RecordType};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tidegate_dns::{Explained, Explainer, Found, Outcome, Question};
use tokio::io::AsyncWriteExt;
use tokio::runtime::Handle;
use tokio::time::timeout;

const LOCAL: IpAddr = ANY_PORT.ip();

/// What explains a Corefile at 127.0.0.1 and this port.
fn explainer(corefile: &str, port: u16) -> Explainer {
    let names = Arc::new(table());
    Explainer::new(&plan(corefile, port), DnsCompatibility::Standard, names, &Handle::current()).unwrap()
}

/// What it makes of a question.
fn explained(explainer: &Explainer, port: u16, (name, record_type): (&str, RecordType)) -> Explained {
    let question = Question { name: Name::from_ascii(name).unwrap(), record_type };
    explainer.explain(&question, (Some(LOCAL), Some(port)), Some(LOCAL)).unwrap()
}

/// `line plugin` of all that had a say.
fn steps(explained: &Explained) -> Vec<String> {
    explained.steps.iter().map(|step| format!("{} {}", step.place.line, step.plugin)).collect()
}

/// Everything that was said in words, a line each.
fn words(explained: &Explained) -> String {
    let words = explained.steps.iter().map(|step| match &step.found {
        Found::Words(words) => words.clone(),
        Found::Names(reasons) => reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
    });
    words.collect::<Vec<_>>().join("\n")
}

/// Over TCP, so that nothing is cut.
async fn ask(server: &Running, query: &Message) -> Message {
    let mut stream = server.connect().await;
    stream.write_all(&frame(&query.to_vec().unwrap())).await.unwrap();
    let read = timeout(Duration::from_secs(20), read_frame(&mut stream)).await;
    Message::from_vec(&read.unwrap().unwrap()).unwrap()
}

const COREFILES: [&str; 4] = [
    ".:PORT {
        bind 127.0.0.1
        kubernetes cluster.local in-addr.arpa {
            fallthrough in-addr.arpa
        }
        forward . UPSTREAM {
            prefer_udp
        }
    }",
    "stub.test:PORT {
        bind 127.0.0.1
        rewrite stop name suffix .stub.test .svc.cluster.local answer auto
        kubernetes cluster.local
    }
    .:PORT {
        bind 127.0.0.1
        acl {
            allow net 127.0.0.0/8 ::1
            block
        }
        rewrite type ANY HINFO
        rewrite name www.alias.test web.shop.svc.cluster.local
        header {
            response clear ra
        }
        minimal
        template IN AAAA test {
            rcode NXDOMAIN
        }
        hosts {
            192.0.2.9 printer.test
            fallthrough
        }
        kubernetes cluster.local
        forward corp.example UPSTREAM {
            prefer_udp
        }
    }",
    "cluster.local:PORT {
        bind 127.0.0.1
        acl {
            drop type TXT
            filter type MX
        }
        any
        dns64 {
            allow_ipv4
        }
        kubernetes cluster.local
        forward . UPSTREAM {
            prefer_udp
        }
    }",
    "local:PORT {
        bind 127.0.0.1
        local
        kubernetes cluster.local
        whoami
    }
    .:PORT {
        bind 127.0.0.1
        cancel
        nsid here
        forward . UPSTREAM {
            except example.org
            prefer_udp
        }
    }",
];

#[tokio::test]
async fn what_is_explained_is_what_is_served() {
    let names = [
        "web.shop.svc.cluster.local.",
        "WEB.Shop.svc.cluster.local.",
        "gone.shop.svc.cluster.local.",
        "small.shop.svc.cluster.local.",
        "out.shop.svc.cluster.local.",
        "web.shop.stub.test.",
        "gone.shop.stub.test.",
        "www.alias.test.",
        "printer.test.",
        "1.0.0.10.in-addr.arpa.",
        "1.0.168.192.in-addr.arpa.",
        "host.corp.example.",
        "example.org.",
        "localhost.",
        "elsewhere.local.",
        ".",
    ];
    let types = [RecordType::A, RecordType::AAAA, RecordType::TXT, RecordType::MX, RecordType::ANY, RecordType::PTR];
    let mut seen = [0; 3];
    for corefile in COREFILES {
        let upstream = Upstream::new().await;
        let corefile = corefile.replace("UPSTREAM", &upstream.address().to_string());
        let mut asked = upstream.answering(|question| match question.queries[0].query_type() {
            RecordType::A => one_address(question),
            _ => code(question, ResponseCode::NoError),
        });
        let (server, _) = start_corefile(&corefile);
        let explainer = explainer(&corefile, server.address.port());
        for question_of in names.iter().flat_map(|name| types.map(|record_type| (*name, record_type))) {
            let explained = explained(&explainer, server.address.port(), question_of);
            let query = question(0, question_of.0, question_of.1);
            let case = format!("{question_of:?} {explained:?}");
            match explained.outcome {
                Outcome::Answered(sections) => {
                    let Message { metadata, answers, authorities, additionals, .. } = ask(&server, &query).await;
                    assert_eq!(metadata.response_code, sections.code, "{case}");
                    assert_eq!(answers, sections.answers, "{case}");
                    assert_eq!(authorities, sections.authorities, "{case}");
                    // `whoami` tells the client's port in an SRV record.
                    let comparable = |records: Vec<Record>| {
                        records.into_iter().filter(|one| one.record_type() != RecordType::SRV).collect::<Vec<_>>()
                    };
                    assert_eq!(comparable(additionals), comparable(sections.additionals), "{case}");
                    assert_eq!(asked.try_recv().ok(), None, "an upstream was asked: {case}");
                    seen[0] += 1;
                }
                Outcome::Upstreams => {
                    ask(&server, &query).await;
                    assert!(asked.try_recv().is_ok(), "no upstream was asked: {case}");
                    // Such as for both A and AAAA.
                    while asked.try_recv().is_ok() {}
                    seen[1] += 1;
                }
                Outcome::Silence => {
                    let client = server.client().await;
                    client.send(&query.to_vec().unwrap()).await.unwrap();
                    let next = question(1, "web.shop.svc.cluster.local.", RecordType::A);
                    client.send(&next.to_vec().unwrap()).await.unwrap();
                    assert_eq!(answer(&client).await.metadata.id, 1, "{case}");
                    seen[2] += 1;
                }
            }
        }
        server.stop().await;
    }
    assert!(seen.iter().all(|count| *count > 0), "{seen:?}");
}

#[tokio::test]
async fn each_part_that_has_a_say_is_told_in_its_order_with_its_line() {
    let corefile = COREFILES[1].replace("UPSTREAM", "192.0.2.53");
    let explainer = explainer(&corefile, 1053);
    let of = |name, record_type| explained(&explainer, 1053, (name, record_type));
    let rewritten = of("web.shop.stub.test.", RecordType::A);
    assert_eq!(steps(&rewritten), ["3 rewrite", "4 kubernetes"]);
    assert!(words(&rewritten).contains("web.shop.svc.cluster.local. A is answered in its place"), "{rewritten:?}");
    let (zone, place) = rewritten.block.unwrap();
    assert_eq!((zone.to_string().as_str(), place.line), ("stub.test", 1));
    let alias = of("www.alias.test.", RecordType::A);
    assert_eq!(steps(&alias), ["13 rewrite", "8 acl", "14 header", "17 minimal", "25 kubernetes"]);
    let template = of("x.test.", RecordType::AAAA);
    assert_eq!(steps(&template)[3..], ["18 template"]);
    assert!(words(&template).ends_with("it answers NXDOMAIN"), "{template:?}");
    let hosts = of("printer.test.", RecordType::A);
    assert_eq!(steps(&hosts)[3..], ["21 hosts"]);
    assert!(words(&hosts).ends_with("it is among its entries"), "{hosts:?}");
    let theirs = of("host.corp.example.", RecordType::A);
    assert_eq!(steps(&theirs).last().unwrap(), "26 forward");
    assert!(words(&theirs).ends_with("host.corp.example. is asked of 192.0.2.53:53"), "{theirs:?}");
    let nobody = of("example.org.", RecordType::A);
    assert!(words(&nobody).ends_with("nothing in this block answers example.org."), "{nobody:?}");
    assert!(matches!(nobody.outcome, Outcome::Answered(sections) if sections.code == ResponseCode::ServFail));
}

#[tokio::test]
async fn the_address_that_is_asked_decides_on_the_block() {
    let text = "a.test:53 {\n bind 127.0.0.1\n whoami\n}\n.:53 {\n bind 127.0.0.2\n whoami\n}\n.:5353 {\n whoami\n}\n";
    let explainer = explainer(text, 0);
    let line = |name: &str, ip: Option<&str>, port| {
        let question = Question { name: Name::from_ascii(name).unwrap(), record_type: RecordType::A };
        let at = (ip.map(|ip| ip.parse().unwrap()), port);
        explainer.explain(&question, at, Some(LOCAL)).map(|explained| explained.block.map(|(_, place)| place.line))
    };
    assert_eq!(line("x.a.test.", None, None), Some(Some(1)));
    assert_eq!(line("x.b.test.", None, None), Some(Some(5)));
    assert_eq!(line("x.b.test.", Some("127.0.0.1"), None), Some(None));
    assert_eq!(line("x.a.test.", Some("::ffff:127.0.0.1"), None), Some(Some(1)));
    assert_eq!(line("x.b.test.", Some("::ffff:127.0.0.1"), None), Some(None));
    assert_eq!(line("x.b.test.", Some("127.0.0.1"), Some(5353)), Some(Some(9)));
    assert_eq!(line("x.b.test.", Some("192.0.2.1"), None), Some(Some(9)));
    assert_eq!(line("x.b.test.", Some("192.0.2.1"), Some(53)), None);
}

#[tokio::test]
async fn hosts_says_what_is_not_among_its_entries() {
    let explainer = explainer(".:PORT {\n hosts {\n  192.0.2.9 printer.test\n }\n}\n", 1053);
    for (name, record_type, code, expected) in [
        ("printer.test.", RecordType::A, ResponseCode::NoError, "it is among its entries"),
        (
            "printer.test.",
            RecordType::TXT,
            ResponseCode::NoError,
            "it is among its entries, which have no TXT record for it",
        ),
        (
            "scanner.test.",
            RecordType::A,
            ResponseCode::ServFail,
            "it is not among its entries, and nobody else is asked (no fallthrough for it)",
        ),
    ] {
        let explained = explained(&explainer, 1053, (name, record_type));
        assert_eq!((words(&explained).as_str(), steps(&explained)), (expected, vec!["2 hosts".to_owned()]));
        assert!(matches!(&explained.outcome, Outcome::Answered(said) if said.code == code), "{explained:?}");
    }
}

#[tokio::test]
async fn what_nobody_answers_is_told_with_its_block() {
    let corefile = "out.test:PORT {
        kubernetes cluster.local test {
            fallthrough
        }
    }
    empty.test:PORT {
        minimal
    }
    .:PORT {
        forward . 192.0.2.53 {
            except private.test example.org
        }
        forward private.test 192.0.2.54 {
            except very.private.test
        }
    }";
    let explainer = explainer(corefile, 1053);
    for (name, record_type, expected) in [
        ("gone.out.test.", RecordType::A, "1 : nothing in this block answers gone.out.test."),
        ("Any.Empty.test.", RecordType::A, "6 : nothing in this block answers any.empty.test."),
        (
            "example.org.",
            RecordType::A,
            "9 : nothing in this block answers example.org.; the forward of line 10 leaves it out (except)",
        ),
        (
            "very.private.test.",
            RecordType::A,
            "9 : nothing in this block answers very.private.test.; the forward of line 10 leaves it out (except); \
             the forward of line 13 leaves it out (except)",
        ),
        (
            "example.com.",
            RecordType::AXFR,
            "9 : AXFR is for whole zones, which those get whom a transfer names, and is not explained",
        ),
    ] {
        // As with CoreDNS at the end of its plugins, which AXFR never comes to.
        let code = if record_type == RecordType::AXFR { ResponseCode::Refused } else { ResponseCode::ServFail };
        let explained = explained(&explainer, 1053, (name, record_type));
        let last = explained.steps.last().unwrap();
        let Found::Words(words) = &last.found else { panic!("{explained:?}") };
        assert_eq!(format!("{} {}: {words}", last.place.line, last.plugin), expected);
        assert!(matches!(&explained.outcome, Outcome::Answered(said) if said.code == code), "{explained:?}");
    }
}

#[tokio::test]
async fn each_rule_is_told_with_the_question_that_it_makes() {
    let corefile = ".:PORT {
        rewrite continue ttl suffix .test 30
        rewrite continue name suffix .one.test .two.test answer auto
        rewrite continue type MX TXT
        rewrite continue name suffix .two.test .three.test answer auto
        rewrite name prefix bad .
        whoami
    }";
    let explainer = explainer(corefile, 1053);
    let told = |name| {
        let explained = explained(&explainer, 1053, (name, RecordType::MX));
        let lines: Vec<_> = steps(&explained).into_iter().zip(words(&explained).lines().map(str::to_owned)).collect();
        lines.into_iter().map(|(step, words)| format!("{step}: {words}")).collect::<Vec<_>>()
    };
    let all = [
        "2 rewrite: its answer is changed",
        "3 rewrite: a.two.test. MX is answered in its place",
        "4 rewrite: a.two.test. TXT is answered in its place",
        "5 rewrite: a.three.test. TXT is answered in its place",
    ];
    assert_eq!(told("a.one.test.")[..4], all);
    assert_eq!(
        told("bad.example."),
        ["4 rewrite: bad.example. TXT is answered in its place", "6 rewrite: it makes of it what is no name"]
    );
}

#[tokio::test]
async fn the_name_server_has_the_address_that_is_asked() {
    let explainer = explainer(".:PORT {\n kubernetes cluster.local\n}\n", 1053);
    let found = |record_type| words(&explained(&explainer, 1053, ("ns.dns.cluster.local.", record_type)));
    assert_eq!(found(RecordType::A), "a name that the zone has of its own");
    assert_eq!(found(RecordType::AAAA), "a name that the zone has of its own; the name exists, and has no AAAA record");
}

#[tokio::test]
async fn who_asks_is_of_the_family_of_the_address_that_is_asked() {
    // What is made for networks without IPv4 is for their clients alone.
    let text = ".:53 {\n dns64\n kubernetes cluster.local\n}\na.test:5353 {\n bind ::1\n whoami\n}\n";
    let explainer = explainer(text, 0);
    let of = |name: &str, ip: Option<&str>, port| {
        let question = Question { name: Name::from_ascii(name).unwrap(), record_type: RecordType::AAAA };
        explainer.explain(&question, (ip.map(|ip| ip.parse().unwrap()), port), None).unwrap()
    };
    for (ip, client, is_translated) in [
        (Some("::1"), "::1", true),
        (Some("2001:db8::53"), "::1", true),
        (Some("192.0.2.1"), "127.0.0.1", false),
        (Some("::ffff:192.0.2.1"), "127.0.0.1", false),
        (None, "127.0.0.1", false),
    ] {
        let explained = of("web.shop.svc.cluster.local.", ip, Some(53));
        assert_eq!(explained.client.to_string(), client, "{ip:?}");
        assert_eq!(steps(&explained).contains(&"2 dns64".to_owned()), is_translated, "{explained:?}");
    }
    assert_eq!(of("x.a.test.", None, None).client.to_string(), "::1");
}

#[tokio::test]
async fn an_alias_into_another_block_names_it() {
    let corefile = "cluster.local:PORT {
        kubernetes cluster.local
        forward . 192.0.2.1
    }
    .:PORT {
        forward . 192.0.2.53
    }";
    let explainer = explainer(corefile, 1053);
    let alias = explained(&explainer, 1053, ("out.shop.svc.cluster.local.", RecordType::A));
    assert_eq!(steps(&alias), ["2 kubernetes", "5 ", "6 forward"]);
    assert!(words(&alias).contains(" is for this block\n"), "{alias:?}");
    // Within its own block there is nothing to say.
    let alone = corefile.replace(".:PORT", "other.test:PORT");
    let explainer = self::explainer(&alone, 1053);
    let alias = explained(&explainer, 1053, ("out.shop.svc.cluster.local.", RecordType::A));
    assert_eq!(steps(&alias), ["2 kubernetes", "3 forward"]);
}

#[tokio::test]
async fn an_address_that_is_nobodys_here_is_left_to_others() {
    let explainer = explainer(&COREFILES[0].replace("UPSTREAM", "192.0.2.53"), 1053);
    let theirs = explained(&explainer, 1053, ("1.0.168.192.in-addr.arpa.", RecordType::PTR));
    let all = words(&theirs);
    assert!(all.starts_with("nobody here has the address; such names are left to others"), "{all}");
    assert_eq!(steps(&theirs), ["3 kubernetes", "6 forward"]);
}

#[tokio::test]
async fn a_name_server_has_the_addresses_that_its_block_binds() {
    let corefile = "cluster.local:PORT {
        bind 192.0.2.9 2001:db8::9 127.0.0.1
        kubernetes cluster.local
    }";
    let explainer = explainer(corefile, 1053);
    for (asked_at, record_type, expected) in [
        ("192.0.2.9", RecordType::A, &["192.0.2.9"][..]),
        ("192.0.2.9", RecordType::AAAA, &["2001:db8::9"]),
        ("2001:db8::9", RecordType::A, &["192.0.2.9"]),
        ("127.0.0.1", RecordType::A, &["127.0.0.1", "192.0.2.9"]),
    ] {
        let question = Question { name: Name::from_ascii("ns.dns.cluster.local.").unwrap(), record_type };
        let asked_at = Some(asked_at.parse().unwrap());
        let explained = explainer.explain(&question, (asked_at, None), Some(LOCAL)).unwrap();
        let Outcome::Answered(sections) = explained.outcome else { panic!("{explained:?}") };
        let mut told: Vec<_> = sections.answers.iter().map(|record| record.data.to_string()).collect();
        // Another one is first each time.
        told.sort();
        assert_eq!(told, expected, "{record_type} at {asked_at:?}");
    }
}

#[tokio::test]
async fn a_walk_that_is_left_to_the_client_is_told_to_be() {
    let list = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&list, "search one.test two.test\n").unwrap();
    let corefile = format!(
        ".:PORT {{
            acl two.test {{
                RULE
            }}
            autopath {}
            template IN ANY . {{
                rcode NXDOMAIN
            }}
        }}",
        list.path().display()
    );
    for rule in ["block", "drop"] {
        let walked = explained(&explainer(&corefile.replace("RULE", rule), 1053), 1053, ("a.one.test.", RecordType::A));
        assert_eq!(
            steps(&walked),
            ["6 template", "5 autopath", "5 autopath", "2 acl", "5 autopath"].map(str::to_owned)
        );
        assert!(words(&walked).ends_with("the client is left to walk by itself"), "{walked:?}");
        assert!(matches!(walked.outcome, Outcome::Answered(said) if said.code == ResponseCode::NXDomain));
    }
}
