//! The parts of a server block, through the server: that each is asked, in its order, for answers of every kind.

use crate::harness::*;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption, NSIDPayload};
use hickory_proto::rr::{DNSClass, RecordType};
use tokio::io::AsyncWriteExt;

/// A server with these plugins and an upstream that has one address for every name.
async fn start_plugins(plugins: &str) -> Running {
    let upstream = Upstream::new().await;
    let forward = format!("forward . {}", upstream.address());
    upstream.answering(|question| {
        let mut answer = one_address(question);
        answer.additionals = answer.answers.clone();
        answer
    });
    let (server, _) =
        start_corefile(&format!(".:PORT {{\n bind 127.0.0.1\n kubernetes cluster.local\n {plugins}\n {forward}\n}}\n"));
    server
}

/// The number of the extended error that comes with an answer.
pub(crate) fn extended_error(answer: &Message) -> Option<u8> {
    match answer.edns.as_ref()?.option(EdnsCode::Unknown(15))? {
        EdnsOption::Unknown(15, bytes) => bytes.get(1).copied(),
        other => panic!("{other:?}"),
    }
}

const OURS: &str = "web.shop.svc.cluster.local.";
const THEIRS: &str = "example.org.";

#[tokio::test]
async fn who_may_not_ask_is_refused_everything() {
    for (rule, code, error) in [("block", ResponseCode::Refused, 15), ("filter", ResponseCode::NoError, 17)] {
        let server = start_plugins(&format!("acl {{\n  {rule} type A net 127.0.0.0/8\n }}")).await;
        for name in [OURS, THEIRS] {
            let answer = server.ask(&with_edns(question(1, name, RecordType::A), 1232)).await;
            assert_eq!((answer.metadata.response_code, answer.answers.len()), (code, 0), "{rule} {name}");
            assert_eq!(extended_error(&answer), Some(error), "{rule} {name}");
            let other = server.ask(&question(1, name, RecordType::AAAA)).await;
            assert_eq!(other.metadata.response_code, ResponseCode::NoError, "{rule} {name}");
        }
        server.stop().await;
    }
    let server = start_plugins("chaos\n acl {\n  block\n }").await;
    let mut query = question(1, "version.bind.", RecordType::TXT);
    query.queries[0].set_query_class(DNSClass::CH);
    let answer_about_server = server.ask(&query).await;
    assert_eq!(
        (answer_about_server.metadata.response_code, answer_about_server.answers.len()),
        (ResponseCode::Refused, 0)
    );
    server.stop().await;
    let server = start_plugins("acl cluster.local {\n  drop type TXT\n }").await;
    let client = server.client().await;
    for record_type in [RecordType::TXT, RecordType::A] {
        client.send(&question(record_type.into(), OURS, record_type).to_vec().unwrap()).await.unwrap();
    }
    assert_eq!(answer(&client).await.metadata.id, u16::from(RecordType::A), "the first has no answer");
    assert_eq!(server.metric("tidegate_dns_dropped_total", &["reason=\"acl\""]), 1.0);
    server.stop().await;
}

#[tokio::test]
async fn types_without_records_and_other_classes_are_not_answered_to_who_is_dropped() {
    let kinds = [(41, 1), (249, 1), (250, 1), (251, 1), (252, 1), (253, 1), (254, 1), (1, 4)];
    let asked = kinds.map(|(record_type, class)| {
        let mut query = with_edns(question(record_type, OURS, record_type.into()), 1232);
        query.queries[0].set_query_class(class.into());
        query
    });
    let server = start_plugins("acl {\n  drop\n }").await;
    let client = server.client().await;
    for query in &asked {
        client.send(&query.to_vec().unwrap()).await.unwrap();
    }
    // No question, which no list is about.
    client.send(&[0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).await.unwrap();
    let told = answer(&client).await.metadata;
    assert_eq!((told.id, told.response_code), (9, ResponseCode::FormErr));
    assert_eq!(server.metric("tidegate_dns_dropped_total", &["reason=\"acl\""]), kinds.len() as f64);
    server.stop().await;
    let server = start_plugins("acl {\n  block\n }").await;
    for query in &asked {
        let told = server.ask(query).await;
        assert_eq!((told.metadata.response_code, extended_error(&told)), (ResponseCode::Refused, Some(15)), "{query}");
    }
    server.stop().await;
}

/// CVE-2026-26017, which CoreDNS 1.14.2 has mended.
#[tokio::test]
async fn who_may_ask_is_said_of_what_is_answered_and_not_of_what_is_spelled() {
    let plugins = format!(
        "acl secret.test {{\n  block\n }}
         acl gone.test {{\n  drop\n }}
         acl public.test {{\n  block\n }}
         acl typed.test {{\n  filter type A\n }}
         rewrite name exact blocked.alias.test www.secret.test
         rewrite name exact dropped.alias.test www.gone.test
         rewrite name exact public.test {OURS}
         rewrite type AAAA A"
    );
    let server = start_plugins(&plugins).await;
    let client = server.client().await;
    client.send(&question(1, "dropped.alias.test.", RecordType::A).to_vec().unwrap()).await.unwrap();
    for (name, record_type, code, error, found) in [
        ("Blocked.alias.test.", RecordType::A, ResponseCode::Refused, Some(15), None),
        ("typed.test.", RecordType::AAAA, ResponseCode::NoError, Some(17), None),
        ("Public.test.", RecordType::A, ResponseCode::NoError, None, Some("10.0.0.1")),
        // Where no rule changes anything.
        ("www.secret.test.", RecordType::A, ResponseCode::Refused, Some(15), None),
        ("a.public.test.", RecordType::A, ResponseCode::Refused, Some(15), None),
        ("open.test.", RecordType::A, ResponseCode::NoError, None, Some("192.0.2.1")),
    ] {
        let query = with_edns(question(2, name, record_type), 1232);
        client.send(&query.to_vec().unwrap()).await.unwrap();
        let told = answer(&client).await;
        assert_eq!((told.metadata.id, told.metadata.response_code), (2, code), "{name}");
        assert_eq!(answered(&told), found.into_iter().collect::<Vec<_>>(), "{name}");
        assert_eq!(told.queries[0].query_type(), record_type, "{name}");
        assert!(told.queries[0].name().eq_case(query.queries[0].name()), "{name}");
        assert_eq!(extended_error(&told), error, "{name}");
    }
    assert_eq!(server.metric("tidegate_dns_dropped_total", &["reason=\"acl\""]), 1.0);
    server.stop().await;
}

#[tokio::test]
async fn what_is_dropped_over_tcp_costs_no_other_question_its_answer() {
    let server = start_plugins("dns64 {\n  allow_ipv4\n }\n acl {\n  drop type TXT AAAA\n }").await;
    let mut stream = server.connect().await;
    for _ in 0..2 {
        let asked = [(THEIRS, RecordType::A), (OURS, RecordType::TXT), (OURS, RecordType::AAAA), (OURS, RecordType::A)];
        for (id, (name, record_type)) in (0..).zip(asked) {
            stream.write_all(&frame(&question(id, name, record_type).to_vec().unwrap())).await.unwrap();
        }
        let mut ids = Vec::new();
        for _ in 0..2 {
            ids.push(Message::from_vec(&read_frame(&mut stream).await.unwrap()).unwrap().metadata.id);
        }
        ids.sort_unstable();
        assert_eq!(ids, [0, 3]);
    }
    assert_eq!(server.metric("tidegate_dns_dropped_total", &["reason=\"acl\""]), 4.0);
    drop(stream);
    server.stop().await;
}

#[tokio::test]
async fn any_gets_one_record_of_every_name() {
    let server = start_plugins("any").await;
    for name in [OURS, THEIRS] {
        let answer = server.ask(&question(1, name, RecordType::ANY)).await;
        assert_eq!(answer.answers.iter().map(|record| record.record_type()).collect::<Vec<_>>(), [RecordType::HINFO]);
        assert_eq!(answer.answers[0].ttl, 8482);
    }
    server.stop().await;
}

#[tokio::test]
async fn flags_are_changed_of_all_answers() {
    let server = start_plugins("header {\n  clear aa\n  response set ra\n }").await;
    for name in [OURS, THEIRS, "gone.shop.svc.cluster.local."] {
        let answer = server.ask(&question(1, name, RecordType::A)).await;
        assert!(!answer.metadata.authoritative && answer.metadata.recursion_available, "{name}");
    }
    server.stop().await;
}

#[tokio::test]
async fn upstreams_see_a_question_as_it_was_changed() {
    let upstream = Upstream::new().await;
    let (server, _) = start_corefile(&format!(
        ".:PORT {{\n bind 127.0.0.1\n header {{\n  query clear rd\n }}\n forward . {}\n}}\n",
        upstream.address()
    ));
    let client = send(&server, &question(1, THEIRS, RecordType::A)).await;
    let (asked, peer) = upstream.asked().await;
    assert!(!asked.metadata.recursion_desired);
    upstream.reply(&one_address(&asked), peer).await;
    assert_eq!(answered(&answer(&client).await), ["192.0.2.1"]);
    server.stop().await;
}

#[tokio::test]
async fn answers_have_no_more_than_was_asked_for() {
    let server = start_plugins("minimal").await;
    let answer = server.ask(&question(1, "_http._tcp.small.shop.svc.cluster.local.", RecordType::SRV)).await;
    assert_eq!((answer.answers.len(), answer.additionals.len()), (7, 0));
    let answer = server.ask(&question(1, THEIRS, RecordType::A)).await;
    assert_eq!((answer.answers.len(), answer.additionals.len()), (1, 0));
    let answer = server.ask(&question(1, "gone.shop.svc.cluster.local.", RecordType::A)).await;
    assert_eq!(answer.authorities.len(), 1, "what a denial says stays");
    server.stop().await;
}

#[tokio::test]
async fn the_server_tells_its_name_and_version_to_those_who_ask() {
    let server = start_plugins("nsid edge-7\n chaos 9.9 adam").await;
    for name in [OURS, THEIRS] {
        let mut query = with_edns(question(1, name, RecordType::A), 1232);
        let options = query.edns.as_mut().unwrap().options_mut();
        options.insert(EdnsOption::NSID(NSIDPayload::new([]).unwrap()));
        let edns = server.ask(&query).await.edns.unwrap();
        let nsid = edns.option(EdnsCode::NSID);
        assert!(matches!(nsid, Some(EdnsOption::NSID(name)) if name.as_ref() == b"edge-7"), "{nsid:?}");
    }
    let chaos = async |name: &str| {
        let mut query = question(1, name, RecordType::TXT);
        query.queries[0].set_query_class(DNSClass::CH);
        server.ask(&query).await
    };
    assert_eq!(answered(&chaos("version.bind.").await), ["9.9"]);
    assert_eq!(chaos("example.org.").await.metadata.response_code, ResponseCode::Refused);
    server.stop().await;
}

#[tokio::test]
async fn names_of_this_host_are_answered_here() {
    let server = start_plugins("local").await;
    assert_eq!(answered(&server.ask(&question(1, "localhost.", RecordType::A)).await), ["127.0.0.1"]);
    assert_eq!(answered(&server.ask(&question(1, THEIRS, RecordType::A)).await), ["192.0.2.1"]);
    server.stop().await;
}

#[tokio::test]
async fn who_asks_is_told_where_nobody_else_has_an_answer() {
    let (server, _) = start_corefile(".:PORT {\n bind 127.0.0.1\n kubernetes cluster.local\n whoami\n}\n");
    let answer = server.ask(&question(1, THEIRS, RecordType::A)).await;
    let told: Vec<_> = answer.additionals.iter().map(|record| record.record_type()).collect();
    assert_eq!(told, [RecordType::A, RecordType::SRV]);
    assert_eq!(answered(&server.ask(&question(1, OURS, RecordType::A)).await), ["10.0.0.1"]);
    server.stop().await;
}

#[tokio::test]
async fn hosts_come_before_the_zone_and_a_file_is_followed() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("hosts");
    std::fs::write(&file, "198.51.100.7 Example.org other.test\n").unwrap();
    let plugins = format!(
        "hosts {} {{\n  203.0.113.9 web.shop.svc.cluster.local\n  reload 10ms\n  fallthrough\n }}",
        file.display()
    );
    let server = start_plugins(&plugins).await;
    let addresses = async |name: &str| answered(&server.ask(&question(1, name, RecordType::A)).await);
    assert_eq!(addresses(OURS).await, ["203.0.113.9"]);
    assert_eq!(addresses(THEIRS).await, ["198.51.100.7"]);
    assert_eq!(addresses("third.test.").await, ["192.0.2.1"]);
    assert!(server.ask(&question(1, THEIRS, RecordType::A)).await.metadata.authoritative);
    std::fs::write(&file, "198.51.100.8 third.test\n").unwrap();
    while addresses("third.test.").await != ["198.51.100.8"] {
        tokio::task::yield_now().await;
    }
    assert_eq!(addresses(THEIRS).await, ["192.0.2.1"]);
    server.stop().await;
}

#[tokio::test]
async fn templates_answer_what_they_match() {
    let server = start_plugins(
        "template IN AAAA . {\n  rcode NOERROR\n  authority \"{{ .Zone }} 60 IN SOA ns.example. h.example. 1 60 60 60 60\"\n }\n \
         template IN A example.org {\n  match ^ip-(?P<a>[0-9]+)[.]example[.]org[.]$\n  \
         answer \"{{ .Name }} 60 IN A 10.0.0.{{ .Group.a }}\"\n  fallthrough\n }\n \
         template IN A alias.test {\n  answer \"{{ .Name }} 60 IN CNAME example.org.\"\n }",
    )
    .await;
    for name in [OURS, THEIRS] {
        let answer = server.ask(&question(1, name, RecordType::AAAA)).await;
        assert_eq!((answer.answers.len(), answer.authorities.len()), (0, 1), "{name}");
    }
    let addresses = async |name: &str| answered(&server.ask(&question(1, name, RecordType::A)).await);
    assert_eq!(addresses("ip-7.example.org.").await, ["10.0.0.7"]);
    assert_eq!(addresses(THEIRS).await, ["192.0.2.1"]);
    assert_eq!(addresses("alias.test.").await, ["example.org.", "192.0.2.1"]);
    server.stop().await;
}

/// AAAA where nobody has IPv6.
#[tokio::test]
async fn a_type_that_nobody_wants_gets_an_empty_answer() {
    for (template, error, additionals) in [
        ("template IN AAAA", None, 0),
        ("template ANY AAAA . {\n  rcode NOERROR\n }", None, 0),
        ("template IN AAAA {\n  match .*\n  fallthrough\n }", None, 0),
        ("template IN AAAA {\n  ederror 29 \"no IPv6\"\n }", Some(29), 0),
        ("template IN AAAA {\n  additional \"why.test. 60 IN TXT none\"\n }", None, 1),
    ] {
        let server = start_plugins(template).await;
        for name in [OURS, THEIRS] {
            let told = server.ask(&with_edns(question(1, name, RecordType::AAAA), 1232)).await;
            assert_eq!(told.metadata.response_code, ResponseCode::NoError, "{template}");
            assert!(told.metadata.authoritative, "{template}");
            let counts = [told.answers.len(), told.authorities.len(), told.additionals.len()];
            assert_eq!((counts, extended_error(&told)), ([0, 0, additionals], error), "{template}");
            assert_eq!(server.ask(&question(1, name, RecordType::A)).await.answers.len(), 1, "{template}");
        }
        server.stop().await;
    }
}

#[tokio::test]
async fn questions_are_answered_as_others() {
    let server = start_plugins(
        "rewrite name exact db.example.org web.shop.svc.cluster.local\n rewrite name suffix .shop.test .shop.svc.cluster.local answer auto\n \
         rewrite name exact theirs.test example.org\n rewrite rcode exact gone.shop.svc.cluster.local NXDOMAIN NOERROR",
    )
    .await;
    for (name, address) in [
        ("Db.Example.ORG.", "10.0.0.1"),
        ("web.shop.test.", "10.0.0.1"),
        ("theirs.TEST.", "192.0.2.1"),
        (OURS, "10.0.0.1"),
    ] {
        let query = question(1, name, RecordType::A);
        let answer = server.ask(&query).await;
        assert_eq!(answered(&answer), [address], "{name}");
        assert!(answer.queries[0].name().eq_case(query.queries[0].name()), "{name}");
        assert!(answer.answers[0].name.eq_case(query.queries[0].name()), "{name}: {}", answer.answers[0].name);
    }
    let answer = server.ask(&question(1, "gone.shop.svc.cluster.local.", RecordType::A)).await;
    assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
    // Counted as it went out.
    assert_eq!(server.metric("coredns_dns_responses_total", &["rcode=\"NXDOMAIN\""]), 0.0);
    server.stop().await;
}

#[tokio::test]
async fn addresses_are_made_for_networks_without_ipv4() {
    let upstream = Upstream::new().await;
    let (server, _) = start_corefile(&format!(
        ".:PORT {{\n bind 127.0.0.1\n dns64 {{\n  allow_ipv4\n }}\n kubernetes cluster.local\n forward . {}\n}}\n",
        upstream.address()
    ));
    let mut asked = upstream.answering(|question| match question.queries[0].query_type() {
        RecordType::A => one_address(question),
        _ => addresses(question, &[]),
    });
    let of = async |name: &str, record_type| answered(&server.ask(&question(1, name, record_type)).await);
    assert_eq!(of(OURS, RecordType::AAAA).await, ["64:ff9b::a00:1"]);
    assert!(asked.try_recv().is_err());
    assert_eq!(of(THEIRS, RecordType::AAAA).await, ["64:ff9b::c000:201"]);
    assert_eq!(of(THEIRS, RecordType::A).await, ["192.0.2.1"]);
    let gone = server.ask(&question(1, "gone.shop.svc.cluster.local.", RecordType::AAAA)).await;
    assert_eq!(gone.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!((asked.recv().await, asked.recv().await), (Some(THEIRS.to_owned()), Some(THEIRS.to_owned())));
    server.stop().await;
}

/// A server that walks the list of the Pod `shop/client` at 127.0.0.1, with an upstream that knows `example.org` alone.
async fn start_walking(plugins: &str) -> Running {
    start_with_pods(&format!("{plugins}\n kubernetes cluster.local {{\n  pods verified\n }}")).await
}

/// One that knows that Pod, as for another block.
async fn start_with_pods(plugins: &str) -> Running {
    let upstream = Upstream::new().await;
    let forward = format!("forward . {}", upstream.address());
    let (server, _) = start_corefile(&format!(".:PORT {{\n bind 127.0.0.1\n {plugins}\n {forward}\n}}\n"));
    upstream.answering(|question| match question.queries[0].name().to_string().as_str() {
        THEIRS => one_address(question),
        _ => code(question, ResponseCode::NXDomain),
    });
    let pod = config::NameChange::Pod {
        namespace: "shop".into(),
        pod: "client".into(),
        address: "127.0.0.1".parse().unwrap(),
        has_own_search: false,
        exists: true,
    };
    server.publish(table().patched([pod], 8));
    server
}

#[tokio::test]
async fn a_search_list_is_walked_for_the_client() {
    let server = start_walking("autopath @kubernetes").await;
    let of = async |name: &str| server.ask(&question(1, name, RecordType::A)).await;
    assert_eq!(answered(&of("web.shop.svc.cluster.local.").await), ["10.0.0.1"]);
    let found = of("Example.org.shop.svc.cluster.local.").await;
    assert_eq!(answered(&found), ["Example.org.", "192.0.2.1"]);
    assert!(found.answers[0].name.eq_case(found.queries[0].name()));
    // Other names are no beginning of a walk.
    assert_eq!(
        of("gone.shop.svc.cluster.local.svc.cluster.local.").await.metadata.response_code,
        ResponseCode::NXDomain
    );
    server.stop().await;
}

#[tokio::test]
async fn nothing_is_walked_in_a_block_that_verifies_no_pods() {
    for (pods, expected) in [("insecure", ResponseCode::NXDomain), ("verified", ResponseCode::NoError)] {
        let kubernetes = format!("kubernetes cluster.local {{\n  pods {pods}\n }}");
        let server = start_with_pods(&format!("autopath @kubernetes\n {kubernetes}")).await;
        let found = server.ask(&question(1, "example.org.shop.svc.cluster.local.", RecordType::A)).await;
        assert_eq!(found.metadata.response_code, expected, "{pods}");
        server.stop().await;
    }
}

#[tokio::test]
async fn a_search_list_may_be_that_of_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("resolv.conf");
    std::fs::write(&file, b"# R\xE9seau\nsearch corp.test shop.svc.cluster.local\n").unwrap();
    let server = start_walking(&format!("autopath {}", file.display())).await;
    let of = async |name: &str| answered(&server.ask(&question(1, name, RecordType::A)).await);
    assert_eq!(of("web.corp.test.").await, ["web.shop.svc.cluster.local.", "10.0.0.1"]);
    assert_eq!(of("example.org.corp.test.").await, ["example.org.", "192.0.2.1"]);
    server.stop().await;
}

#[tokio::test]
async fn a_message_is_whole_after_every_part() {
    let server = start_plugins("header {\n  set aa\n }\n minimal\n nsid\n bufsize 512").await;
    for (name, record_type) in [
        (OURS, RecordType::A),
        ("big.shop.svc.cluster.local.", RecordType::SRV),
        ("out.shop.svc.cluster.local.", RecordType::A),
        (THEIRS, RecordType::A),
        ("gone.shop.svc.cluster.local.", RecordType::A),
    ] {
        let mut query = with_edns(question(1, name, record_type), 4096);
        let options = query.edns.as_mut().unwrap().options_mut();
        options.insert(EdnsOption::NSID(NSIDPayload::new([]).unwrap()));
        let packet = server.exchange(&query.to_vec().unwrap()).await;
        assert!(packet.len() <= 512 && Message::from_vec(&packet).is_ok(), "{name} {record_type}");
    }
    server.stop().await;
}
