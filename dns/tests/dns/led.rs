//! Names that others lead to: what is there is answered as the server would answer it to the same client.

use crate::harness::*;
use config::{DnsCompatibility, EndpointGroup, EndpointName, NameChange, NameTable, ServiceNames};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use std::sync::Arc;
use tidegate_dns::{Explainer, Outcome, Question};
use tokio::io::AsyncWriteExt;
use tokio::runtime::Handle;

/// ExternalName Services of the namespace `shop`, beside those of [`table`].
const LEADING: [(&str, &str); 9] = [
    ("hosts", "printer.test"),
    ("wild", "any.wild.test"),
    ("rewritten", "old.test"),
    ("template", "made.tpl.test"),
    ("gone", "ads.gone.test"),
    ("blocked", "secret.blocked.test"),
    ("inner", "web.secret.svc.cluster.local"),
    ("chain", "first.chain.test"),
    ("circle", "circle.test"),
];

fn names() -> NameTable {
    let external = |(service, target): (&str, &str)| {
        (("shop", service.to_owned()), ServiceNames::External { target: target.parse().unwrap() })
    };
    let web = ServiceNames::cluster_ip(vec!["10.0.0.2".parse().unwrap()], Vec::new(), Vec::new());
    let all = LEADING.map(external).into_iter().chain([(("secret", "web".to_owned()), web)]);
    let changes = all.map(|((namespace, service), names)| NameChange::Service {
        namespace: namespace.into(),
        service: service.into(),
        names: Some(Arc::new(names)),
    });
    table().patched(changes, 8)
}

/// What is asked goes to an upstream that has an address for every name.
const COREFILE: &str = r#".:PORT {
    bind 127.0.0.1
    acl blocked.test secret.svc.cluster.local {
        block
    }
    rewrite name old.test web.shop.svc.cluster.local
    template IN A tpl.test {
        answer "{{ .Name }} 60 IN A 10.9.9.9"
    }
    template ANY ANY gone.test {
        rcode NXDOMAIN
        authority "{{ .Zone }} 60 IN SOA ns.{{ .Zone }} h.{{ .Zone }} 1 60 60 60 60"
    }
    template IN ANY cn.test {
        answer "{{ .Name }} 60 IN CNAME web.shop.svc.cluster.local."
    }
    template IN A chain.test {
        answer "{{ .Name }} 60 IN CNAME made.Tpl.test."
    }
    template IN A circle.test {
        answer "{{ .Name }} 60 IN CNAME circle.shop.svc.cluster.local."
    }
    template IN A long.test {
        match "^a(.*)$"
        answer "{{ .Name }} 60 IN CNAME b{{ index .Match 1 }}"
        fallthrough
    }
    template IN A long.test {
        match "^b(.*)$"
        answer "{{ .Name }} 60 IN CNAME a{{ index .Match 1 }}"
    }
    template IN A endless.test {
        answer "{{ .Name }} 60 IN CNAME x.{{ .Name }}"
    }
    hosts {
        192.0.2.9 printer.test
        192.0.2.8 *.wild.test
        fallthrough
    }
    kubernetes cluster.local
    forward . UPSTREAM
}
dev.test:PORT {
    bind 127.0.0.1
    template IN A dev.test {
        answer "{{ .Name }} 60 IN CNAME web.shop.svc.cluster.local."
    }
}
"#;

/// The code and the records in text, without their TTLs.
fn text(message: &Message) -> (ResponseCode, String) {
    let records = message.answers.iter().map(|record| format!("{} {}", record.record_type(), record.data));
    (message.metadata.response_code, records.collect::<Vec<_>>().join(", "))
}

#[tokio::test]
async fn what_an_alias_leads_to_is_answered_by_the_whole_server() {
    let upstream = Upstream::new().await;
    let corefile = COREFILE.replace("UPSTREAM", &upstream.address().to_string());
    let mut asked = upstream.answering(one_address);
    let (server, _) = start_corefile(&corefile);
    let names = Arc::new(names());
    server.publish((*names).clone());
    let port = server.address.port();
    let explainer = Explainer::new(&plan(&corefile, port), DnsCompatibility::Standard, names, &Handle::current());
    let explainer = explainer.unwrap();
    let web = "CNAME web.shop.svc.cluster.local., A 10.0.0.1";
    for (name, code, records) in [
        ("hosts.shop.svc.cluster.local.", ResponseCode::NoError, "CNAME printer.test., A 192.0.2.9"),
        ("wild.shop.svc.cluster.local.", ResponseCode::NoError, "CNAME any.wild.test., A 192.0.2.8"),
        ("rewritten.shop.svc.cluster.local.", ResponseCode::NoError, "CNAME old.test., A 10.0.0.1"),
        ("template.shop.svc.cluster.local.", ResponseCode::NoError, "CNAME made.tpl.test., A 10.9.9.9"),
        ("gone.shop.svc.cluster.local.", ResponseCode::NXDomain, "CNAME ads.gone.test."),
        ("a.cn.test.", ResponseCode::NoError, web),
        ("a.dev.test.", ResponseCode::NoError, web),
        (
            "chain.shop.svc.cluster.local.",
            ResponseCode::NoError,
            "CNAME first.chain.test., CNAME made.Tpl.test., A 10.9.9.9",
        ),
        // Who may not ask learns no address by way of a Service that anybody may make.
        ("blocked.shop.svc.cluster.local.", ResponseCode::NoError, "CNAME secret.blocked.test."),
        ("inner.shop.svc.cluster.local.", ResponseCode::NoError, "CNAME web.secret.svc.cluster.local."),
        (
            "circle.shop.svc.cluster.local.",
            ResponseCode::NoError,
            "CNAME circle.test., CNAME circle.shop.svc.cluster.local.",
        ),
    ] {
        let answer = server.ask(&with_edns(question(7, name, RecordType::A), 1232)).await;
        assert_eq!(text(&answer), (code, records.to_owned()), "{name}");
        assert!(answer.metadata.authoritative && !answer.metadata.truncation, "{name}");
        let asked = Question { name: Name::from_ascii(name).unwrap(), record_type: RecordType::A };
        let at = (Some(server.address.ip()), Some(port));
        let explained = explainer.explain(&asked, at, Some(server.address.ip())).unwrap();
        let Outcome::Answered(sections) = &explained.outcome else { panic!("{name}: {explained:?}") };
        assert_eq!((sections.code, &sections.answers), (code, &answer.answers), "{name}");
    }
    assert_eq!(asked.try_recv().ok(), None, "an upstream was asked");
    let denied = server.ask(&question(7, "gone.shop.svc.cluster.local.", RecordType::A)).await;
    assert_eq!(denied.authorities[0].name.to_string(), "gone.test.");
    // A CNAME that does not fit leads nowhere, though it is in a circle.
    let long = ["a".repeat(60), "b".repeat(60), "c".repeat(60), "d".repeat(50), "long.test.".to_owned()].join(".");
    let cut = server.ask(&question(7, &long, RecordType::A)).await;
    assert!(cut.metadata.truncation && cut.answers.is_empty(), "{cut:?}");
    let endless = server.ask(&with_edns(question(7, "endless.test.", RecordType::A), 1232)).await;
    assert_eq!((endless.metadata.response_code, endless.answers.len()), (ResponseCode::NoError, 11));
    server.stop().await;
}

/// A headless Service with many endpoints has a long answer, and no shorter one where others lead to it.
#[tokio::test]
async fn all_that_an_alias_leads_to_is_answered_over_tcp() {
    let (server, _) = start_corefile(
        ".:PORT {
            bind 127.0.0.1
            template IN A cn.test {
                answer \"{{ .Name }} 60 IN CNAME many.shop.svc.cluster.local.\"
            }
            kubernetes cluster.local
        }",
    );
    let endpoint = |number: u16| {
        let [high, low] = number.to_be_bytes();
        let (name, pod) = (format!("pod-{number}").into(), None);
        EndpointName { address: [10, 1, high, low].into(), name, group: EndpointGroup::with_ports(Vec::new()), pod }
    };
    let endpoints: Vec<_> = (0..1_000).map(endpoint).collect();
    let external = |target: &str| ServiceNames::External { target: target.parse().unwrap() };
    let changes = [
        ("many", ServiceNames::headless(endpoints)),
        ("near", external("many.shop.svc.cluster.local")),
        ("far", external("a.cn.test")),
    ];
    let changes = changes.map(|(service, names)| NameChange::Service {
        namespace: "shop".into(),
        service: service.into(),
        names: Some(Arc::new(names)),
    });
    server.publish(table().patched(changes, 8));
    let mut stream = server.connect().await;
    for (name, aliases) in [
        ("many.shop.svc.cluster.local.", 0),
        ("near.shop.svc.cluster.local.", 1),
        ("a.cn.test.", 1),
        ("far.shop.svc.cluster.local.", 2),
    ] {
        stream.write_all(&frame(&question(7, name, RecordType::A).to_vec().unwrap())).await.unwrap();
        let message = read_frame(&mut stream).await.unwrap();
        let answer = Message::from_vec(&message).unwrap();
        assert_eq!((answer.metadata.truncation, answer.answers.len()), (false, aliases + 1_000), "{name}");
        assert!((16_000..16_400).contains(&message.len()), "{name}: {} bytes", message.len());
    }
    server.stop().await;
}

#[tokio::test]
async fn why_an_alias_leads_to_nothing_is_told() {
    let corefile = ".:PORT {
        bind 127.0.0.1
        acl interwebs.test {
            block
        }
        kubernetes cluster.local
    }";
    let (server, _) = start_corefile(corefile);
    let question = with_edns(question(7, "out.shop.svc.cluster.local.", RecordType::A), 1232);
    let answer = server.ask(&question).await;
    assert_eq!(text(&answer), (ResponseCode::NoError, "CNAME ext.interwebs.test.".to_owned()));
    let options = answer.edns.unwrap().options().options.iter().map(|(code, _)| u16::from(*code)).collect::<Vec<_>>();
    assert_eq!(options, [15], "an extended error (RFC 8914)");
    server.stop().await;
    // What nobody may know of gets no answer, by whatever name.
    let (server, _) = start_corefile(&corefile.replace("block\n", "drop\n"));
    let client = server.client().await;
    client.send(&question.to_vec().unwrap()).await.unwrap();
    let next = crate::harness::question(8, "web.shop.svc.cluster.local.", RecordType::A);
    client.send(&next.to_vec().unwrap()).await.unwrap();
    assert_eq!(self::answer(&client).await.metadata.id, 8);
    server.stop().await;
}

#[tokio::test]
async fn a_chain_without_an_end_has_one_where_addresses_are_made_too() {
    let (server, _) = start_corefile(
        ".:PORT {
            bind 127.0.0.1
            dns64 {
                allow_ipv4
            }
            template IN ANY test {
                answer \"{{ .Name }} 60 IN CNAME x.{{ .Name }}\"
            }
        }",
    );
    let answer = server.ask(&with_edns(question(7, "a.test.", RecordType::AAAA), 1232)).await;
    assert_eq!((answer.metadata.response_code, answer.answers.len()), (ResponseCode::NoError, 11));
    server.stop().await;
}
