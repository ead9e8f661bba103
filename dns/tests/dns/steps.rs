//! Parts that ask more than the client did, through the server: rewrite, dns64 and autopath.

use crate::harness::*;
use config::{NameChange, NameTable, ServiceNames};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType, rdata};
use std::sync::Arc;

const OURS: &str = "web.shop.svc.cluster.local.";

/// A server with these plugins, and the upstream that it asks.
async fn start_plugins(plugins: &str) -> (Running, Upstream) {
    let upstream = Upstream::new().await;
    let forward = format!("forward . {}", upstream.address());
    let kubernetes = "kubernetes cluster.local {\n  pods verified\n }";
    let (server, _) =
        start_corefile(&format!(".:PORT {{\n bind 127.0.0.1\n {plugins}\n cache\n {kubernetes}\n {forward}\n}}\n"));
    (server, upstream)
}

/// The answer in text, a record a word.
fn text(message: &Message) -> String {
    let records =
        message.answers.iter().map(|record| format!("{} {} {}", record.name, record.record_type(), record.data));
    records.collect::<Vec<_>>().join(", ")
}

/// An upstream that has one address, of IPv4, for some names, and nothing else.
fn knows(names: &'static [&'static str]) -> impl Fn(&Message) -> Message {
    move |question| {
        let asked = &question.queries[0];
        let name = asked.name().to_lowercase().to_string();
        match names.contains(&name.as_str()) {
            true if asked.query_type() == RecordType::A => one_address(question),
            true => empty(question, ResponseCode::NoError),
            false => empty(question, ResponseCode::NXDomain),
        }
    }
}

/// No records, for as long as this says.
fn empty(question: &Message, told: ResponseCode) -> Message {
    let mut answer = code(question, told);
    let soa = rdata::SOA::new(Name::from_ascii("a.").unwrap(), Name::from_ascii("b.").unwrap(), 1, 2, 3, 4, 3600);
    answer.authorities = vec![Record::from_rdata(Name::root(), 3600, RData::SOA(soa))];
    answer
}

#[tokio::test]
async fn a_rewritten_question_comes_back_as_it_was_asked() {
    let rules = format!(
        "rewrite name Shop.example {OURS}
         rewrite name suffix .old.test .new.test answer auto
         rewrite name suffix .bad.test .{}.test
         rewrite ttl exact {OURS} 77-",
        "x".repeat(70)
    );
    let (server, upstream) = start_plugins(&rules).await;
    let ask = async |name: &str| server.ask(&question(7, name, RecordType::A)).await;
    let answer = ask("SHOP.Example.").await;
    assert_eq!(text(&answer), "SHOP.Example. A 10.0.0.1");
    assert_eq!(answer.queries[0].name().to_string(), "SHOP.Example.");
    assert!(answer.metadata.authoritative);
    assert_eq!(ask(OURS).await.answers[0].ttl, 77);
    let mut asked = upstream.answering(one_address);
    for _ in 0..2 {
        // From upstream, then from the cache.
        assert_eq!(text(&ask("A.Old.test.").await), "A.Old.test. A 192.0.2.1");
    }
    assert_eq!(asked.recv().await.unwrap(), "a.new.test.");
    assert_eq!(ask("a.bad.test.").await.metadata.response_code, ResponseCode::ServFail);
    assert_eq!(ask("a.shop.example.").await.queries[0].name().to_string(), "a.shop.example.");
    assert_eq!(server.metric("tidegate_dns_requests_total", &[]), 6.0, "each is counted once");
    server.stop().await;
}

#[tokio::test]
async fn ipv6_addresses_are_made_where_there_are_none() {
    let (server, upstream) = start_plugins("dns64 {\n  allow_ipv4\n }").await;
    let mut asked = upstream.answering(knows(&["v4.test."]));
    let ask = async |name: &str| server.ask(&question(7, name, RecordType::AAAA)).await;
    for _ in 0..2 {
        assert_eq!(text(&ask("V4.test.").await), "V4.test. AAAA 64:ff9b::c000:201");
        assert_eq!(text(&ask(OURS).await), format!("{OURS} AAAA 64:ff9b::a00:1"));
    }
    assert_eq!([asked.recv().await.unwrap(), asked.recv().await.unwrap()], ["v4.test.", "v4.test."]);
    assert_eq!(ask("gone.test.").await.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(asked.recv().await.unwrap(), "gone.test.");
    assert_eq!(asked.try_recv().ok(), None, "of a name that does not exist nothing more is asked");
    server.stop().await;
    let (server, _upstream) = start_plugins("dns64").await;
    let answer = server.ask(&question(7, OURS, RecordType::AAAA)).await;
    assert_eq!((answer.answers.len(), answer.authorities.len()), (0, 1), "clients over IPv4 have IPv4");
    server.stop().await;
}

#[tokio::test]
async fn what_a_client_may_not_ask_is_not_made_into_something_else() {
    let (server, _upstream) = start_plugins("dns64 {\n  allow_ipv4\n }\n acl {\n  block type A\n }").await;
    let answer = server.ask(&question(7, OURS, RecordType::AAAA)).await;
    assert_eq!((answer.metadata.response_code, answer.answers.len()), (ResponseCode::Refused, 0));
    server.stop().await;
}

/// The names of the cluster, with this client as a Pod of these namespaces.
fn with_pods(namespaces: &[&str], has_own_search: bool) -> NameTable {
    let address: std::net::IpAddr = "10.0.0.1".parse().unwrap();
    let web = NameChange::Service {
        namespace: "shop".into(),
        service: "web".into(),
        names: Some(Arc::new(ServiceNames::cluster_ip(vec![address], Vec::new(), Vec::new()))),
    };
    let pods = namespaces.iter().map(|namespace| NameChange::Pod {
        namespace: (*namespace).into(),
        pod: "client".into(),
        address: "127.0.0.1".parse().unwrap(),
        has_own_search,
        exists: true,
    });
    NameTable::default().patched(pods.chain([web]), 1)
}

#[tokio::test]
async fn the_search_list_of_a_pod_is_walked_for_it() {
    let (server, upstream) = start_plugins("autopath @kubernetes").await;
    server.publish(with_pods(&["front"], false));
    let mut asked = upstream.answering(knows(&["www.example.org."]));
    let ask = async |name: &str| server.ask(&question(7, name, RecordType::A)).await;
    let name = "www.Example.org.front.svc.cluster.local.";
    assert_eq!(text(&ask(name).await), format!("{name} CNAME www.Example.org., www.Example.org. A 192.0.2.1"));
    let name = "web.shop.front.svc.cluster.local.";
    assert_eq!(text(&ask(name).await), format!("{name} CNAME web.shop.svc.cluster.local., {OURS} A 10.0.0.1"));
    // All of its list was tried, and so it need not go on.
    let gone = ask("gone.front.svc.cluster.local.").await;
    assert_eq!(text(&gone), "gone.front.svc.cluster.local. CNAME gone.");
    assert_eq!(gone.metadata.response_code, ResponseCode::NoError);
    // A Pod may have more domains than are known here: it is to go on.
    server.publish(with_pods(&["front"], true));
    let gone = ask("gone.front.svc.cluster.local.").await;
    assert_eq!((gone.metadata.response_code, gone.answers.len()), (ResponseCode::NXDomain, 0));
    assert_eq!(gone.authorities[0].name.to_string(), "cluster.local.");
    // Not the first of this Pod's walk.
    assert_eq!(ask("web.shop.other.svc.cluster.local.").await.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(text(&ask(OURS).await), format!("{OURS} A 10.0.0.1"));
    let mut names = Vec::new();
    while let Ok(name) = asked.try_recv() {
        names.push(name);
    }
    assert!(names.iter().all(|name| !name.contains("cluster.local")), "{names:?}");
    // Whoever has the address of Pods of two namespaces may be of either.
    server.publish(with_pods(&["front", "back"], false));
    assert_eq!(ask("web.shop.front.svc.cluster.local.").await.metadata.response_code, ResponseCode::NXDomain);
    server.stop().await;
}

#[tokio::test]
async fn a_walk_through_a_whole_list_ends_where_nothing_is() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("resolv.conf");
    std::fs::write(&file, "search first.test second.test\n").unwrap();
    let (server, upstream) = start_plugins(&format!("autopath {}", file.display())).await;
    let mut asked = upstream.answering(|question| match question.queries[0].name().to_string().as_str() {
        "b.second.test." => one_address(question),
        "c." | "d.second.test." => code(question, ResponseCode::ServFail),
        "d." => one_address(question),
        _ => empty(question, ResponseCode::NXDomain),
    });
    let ask = async |name: &str| server.ask(&question(7, name, RecordType::A)).await;
    let ended = ask("A.first.test.").await;
    assert_eq!(
        (ended.metadata.response_code, text(&ended).as_str()),
        (ResponseCode::NoError, "A.first.test. CNAME A.")
    );
    let mut walked = Vec::new();
    for _ in 0..3 {
        walked.push(asked.recv().await.unwrap());
    }
    assert_eq!(walked, ["a.first.test.", "a.second.test.", "a."]);
    let found = ask("b.first.test.").await;
    assert_eq!(text(&found), "b.first.test. CNAME b.second.test., b.second.test. A 192.0.2.1");
    while asked.try_recv().is_ok() {}
    // An error is for the client to come to, which is told of its own name and tries the next ones by itself.
    for (name, walk) in [
        ("c.first.test.", &["c.first.test.", "c.second.test.", "c."][..]),
        ("D.first.test.", &["d.first.test.", "d.second.test."]),
    ] {
        let own = ask(name).await;
        assert_eq!((own.metadata.response_code, own.answers.len()), (ResponseCode::NXDomain, 0), "{name}");
        assert_eq!((own.queries[0].name().to_string().as_str(), own.authorities.len()), (name, 1));
        let mut names: Vec<_> = std::iter::from_fn(|| asked.try_recv().ok()).collect();
        names.dedup();
        assert_eq!(names, walk);
    }
    assert_eq!(ask("d.second.test.").await.metadata.response_code, ResponseCode::ServFail);
    assert_eq!(text(&ask("d.").await), "d. A 192.0.2.1");
    server.stop().await;
}

#[tokio::test]
async fn each_name_of_a_walk_is_answered_as_if_it_were_asked_for() {
    let (upstream, stub) = (Upstream::new().await, Upstream::new().await);
    let corefile = format!(
        ".:PORT {{
            bind 127.0.0.1
            acl blocked.test {{
                block
            }}
            acl dropped.test {{
                drop
            }}
            rewrite name plain.alias.test {OURS} answer auto
            rewrite name suffix .myzone.test .shop.svc.cluster.local answer auto
            template ANY ANY gone.test {{
                rcode NXDOMAIN
            }}
            autopath @kubernetes
            hosts {{
                192.0.2.9 printer.test
                fallthrough
            }}
            kubernetes cluster.local {{
                pods verified
            }}
            nsid here
            forward . {}
        }}
        stub.test:PORT {{
            bind 127.0.0.1
            forward . {}
        }}
        refused.test:PORT {{
            bind 127.0.0.1
        }}",
        upstream.address(),
        stub.address()
    );
    let (server, _) = start_corefile(&corefile);
    let names = with_pods(&["front"], false);
    server.publish(names.clone());
    drop(upstream.answering(knows(&[])));
    drop(stub.answering(knows(&["x.stub.test."])));
    let mut query = question(7, ".", RecordType::A);
    let mut edns = hickory_proto::op::Edns::new();
    edns.set_max_payload(1232);
    edns.options_mut().insert(rdata::opt::EdnsOption::NSID(rdata::opt::NSIDPayload::new([]).unwrap()));
    query.edns = Some(edns);
    for (meant, code, records) in [
        ("x.stub.test.", ResponseCode::NoError, "x.stub.test. A 192.0.2.1"),
        ("plain.alias.test.", ResponseCode::NoError, "plain.alias.test. A 10.0.0.1"),
        ("web.myzone.test.", ResponseCode::NoError, "web.myzone.test. A 10.0.0.1"),
        ("printer.test.", ResponseCode::NoError, "printer.test. A 192.0.2.9"),
        // The walk is at its end.
        ("ads.gone.test.", ResponseCode::NoError, ""),
        ("y.stub.test.", ResponseCode::NoError, ""),
        // Who may not ask for a name does not get it by way of a search list, and learns so where it asks for that.
        ("www.blocked.test.", ResponseCode::NXDomain, ""),
        ("www.dropped.test.", ResponseCode::NXDomain, ""),
        ("www.refused.test.", ResponseCode::NXDomain, ""),
    ] {
        let name = format!("{meant}front.svc.cluster.local.");
        query.queries = question(7, &name, RecordType::A).queries;
        let answer = server.ask(&query).await;
        let expected = match (code, records) {
            (ResponseCode::NoError, "") => format!("{name} CNAME {meant}"),
            (ResponseCode::NoError, records) => format!("{name} CNAME {meant}, {records}"),
            _ => String::new(),
        };
        assert_eq!((answer.metadata.response_code, text(&answer)), (code, expected), "{name}");
        let options = answer.edns.unwrap().options().options.clone();
        let is_nsid = |option: &&(rdata::opt::EdnsCode, rdata::opt::EdnsOption)| u16::from(option.0) == 3;
        assert_eq!(options.iter().filter(is_nsid).count(), 1, "the server's name, once: {name}");
    }
    server.stop().await;
}

#[tokio::test]
async fn all_of_them_work_together() {
    let plugins = "dns64 {\n  allow_ipv4\n }
         rewrite name suffix .short .front.svc.cluster.local answer auto
         header {\n  clear aa\n }
         nsid\n minimal\n autopath @kubernetes";
    let (server, upstream) = start_plugins(plugins).await;
    server.publish(with_pods(&["front"], false));
    drop(upstream.answering(knows(&["www.test."])));
    let answer = server.ask(&question(7, "web.shop.short.", RecordType::AAAA)).await;
    assert_eq!(
        text(&answer),
        "web.shop.short. CNAME web.shop.svc.cluster.local., web.shop.svc.cluster.local. AAAA 64:ff9b::a00:1"
    );
    assert!(!answer.metadata.authoritative);
    let answer = server.ask(&question(7, "www.test.short.", RecordType::AAAA)).await;
    assert_eq!(text(&answer), "www.test.short. CNAME www.test., www.test. AAAA 64:ff9b::c000:201");
    server.stop().await;
}
