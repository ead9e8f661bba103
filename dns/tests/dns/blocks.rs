//! Server blocks as a Corefile has them, and another Corefile in their place while the server serves.

use crate::harness::*;
use config::{DnsCompatibility, NameChange, ServiceNames};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType;
use prometheus::Registry;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use tidegate_dns::{At, Prepared, Reloads, Server, Transport};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

fn prepared(reloads: &Reloads, corefile: &str, port: u16) -> Prepared {
    reloads.prepare(&plan(corefile, port), DnsCompatibility::Standard).unwrap()
}

async fn code_of(server: &Running, name: &str) -> ResponseCode {
    server.ask(&question(1, name, RecordType::A)).await.metadata.response_code
}

async fn ttl_of(server: &Running, name: &str) -> u32 {
    server.ask(&question(1, name, RecordType::A)).await.answers[0].ttl
}

#[tokio::test]
async fn the_longest_zone_answers() {
    let (there, elsewhere) = (Upstream::new().await, Upstream::new().await);
    let (server, _) = start_corefile(&format!(
        "cluster.local:PORT {{\n bind 127.0.0.1\n kubernetes {{\n  ttl 17\n }}\n}}\n\
         example.org:PORT {{\n bind 127.0.0.1\n forward . {}\n}}\n\
         corp.example.org:PORT {{\n bind 127.0.0.1\n forward . {}\n}}\n",
        there.address(),
        elsewhere.address(),
    ));
    let mut there = there.answering(one_address);
    let mut elsewhere = elsewhere.answering(one_address);
    assert_eq!(ttl_of(&server, "web.shop.svc.cluster.local.").await, 17);
    assert_eq!(code_of(&server, "www.EXAMPLE.org.").await, ResponseCode::NoError);
    assert_eq!(there.recv().await.as_deref(), Some("www.example.org."));
    assert_eq!(code_of(&server, "a.corp.example.org.").await, ResponseCode::NoError);
    assert_eq!(elsewhere.recv().await.as_deref(), Some("a.corp.example.org."));
    for name in ["example.com.", "org.", ".", "notexample.org."] {
        assert_eq!(code_of(&server, name).await, ResponseCode::Refused, "{name}");
    }
    assert!(there.try_recv().is_err() && elsewhere.try_recv().is_err());
    server.stop().await;
}

#[tokio::test]
async fn external_addresses_have_zones_of_their_own() {
    let upstream = Upstream::new().await;
    let (server, _) = start_corefile(&format!(
        ".:PORT {{\n bind 127.0.0.1\n kubernetes cluster.local\n \
         k8s_external example.org 192.0.2.0/24 {{\n  ttl 17\n  fallthrough 192.0.2.0/24\n }}\n forward . {}\n}}\n",
        upstream.address(),
    ));
    let external = |service: &str, names: ServiceNames| NameChange::External {
        namespace: "shop".into(),
        service: service.into(),
        names: Some(Arc::new(names)),
    };
    let targets = Box::new(["lb.example.net".parse().unwrap()]);
    let changes = [
        external("web", ServiceNames::cluster_ip(["192.0.2.1".parse().unwrap()], [], Vec::new())),
        external("far", ServiceNames::Hosts { targets, ports: Arc::new([]) }),
    ];
    assert_eq!(code_of(&server, "web.shop.example.org.").await, ResponseCode::NXDomain);
    server.publish(table().patched(changes, 8));
    let mut asked = upstream.answering(one_address);
    let ask = async |name: &str, record_type| server.ask(&question(1, name, record_type)).await;
    let web = ask("WEB.shop.example.org.", RecordType::A).await;
    assert_eq!((answered(&web), web.answers[0].ttl), (vec!["192.0.2.1".to_owned()], 17));
    assert!(web.metadata.authoritative);
    assert_eq!(answered(&ask("1.2.0.192.in-addr.arpa.", RecordType::PTR).await), ["web.shop.example.org."]);
    assert_eq!(code_of(&server, "gone.shop.example.org.").await, ResponseCode::NXDomain);
    assert!(asked.try_recv().is_err());
    // What others know is asked of them: where a load balancer's name leads, and who has another address.
    let far = answered(&ask("far.shop.example.org.", RecordType::A).await);
    assert_eq!((far.len(), &*far[0]), (2, "lb.example.net."));
    assert_eq!(asked.recv().await.as_deref(), Some("lb.example.net."));
    ask("9.2.0.192.in-addr.arpa.", RecordType::PTR).await;
    assert_eq!(asked.recv().await.as_deref(), Some("9.2.0.192.in-addr.arpa."));
    server.stop().await;
}

#[tokio::test]
async fn reverse_names_are_those_of_the_zones_that_are_named() {
    let upstream = Upstream::new().await;
    let (server, _) = start_corefile(&format!(
        ".:PORT {{\n bind 127.0.0.1\n kubernetes cluster.local 10.0.0.0/16 {{\n  fallthrough 10.0.3.0/24\n }}\n forward . {}\n}}\n",
        upstream.address(),
    ));
    let mut asked = upstream.answering(one_address);
    let ptr = async |name: &str| server.ask(&question(1, name, RecordType::PTR)).await;
    assert_eq!(answered(&ptr("1.0.0.10.in-addr.arpa.").await), ["web.shop.svc.cluster.local."]);
    assert_eq!(ptr("1.1.0.10.in-addr.arpa.").await.metadata.response_code, ResponseCode::NXDomain);
    // An endpoint's, in none of the zones.
    assert_eq!(ptr("1.0.0.172.in-addr.arpa.").await.metadata.response_code, ResponseCode::NoError);
    assert_eq!(asked.recv().await.as_deref(), Some("1.0.0.172.in-addr.arpa."));
    assert_eq!(ptr("9.3.0.10.in-addr.arpa.").await.metadata.response_code, ResponseCode::NoError);
    assert_eq!(asked.recv().await.as_deref(), Some("9.3.0.10.in-addr.arpa."));
    server.stop().await;
}

#[tokio::test]
async fn an_alias_is_asked_of_those_who_know_its_target() {
    let (those_who_know, others) = (Upstream::new().await, Upstream::new().await);
    let (server, _) = start_corefile(&format!(
        ".:PORT {{\n bind 127.0.0.1\n kubernetes cluster.local\n forward . {}\n}}\n\
         interwebs.test:PORT {{\n bind 127.0.0.1\n forward . {}\n}}\n",
        others.address(),
        those_who_know.address(),
    ));
    let mut others = others.answering(one_address);
    those_who_know.answering(one_address);
    let answer = server.ask(&question(1, "out.shop.svc.cluster.local.", RecordType::A)).await;
    assert_eq!(answered(&answer), ["ext.interwebs.test.", "192.0.2.1"]);
    assert!(others.try_recv().is_err());
    server.stop().await;
}

#[tokio::test]
async fn a_size_over_udp_is_kept_to() {
    let (server, _) = start_corefile(".:PORT {\n bind 127.0.0.1\n kubernetes cluster.local\n bufsize 600\n}\n");
    let query = with_edns(question(1, "big.shop.svc.cluster.local.", RecordType::A), 1232);
    let packet = server.exchange(&query.to_vec().unwrap()).await;
    assert!(packet.len() <= 600 && Message::from_vec(&packet).unwrap().metadata.truncation, "{}", packet.len());
    server.stop().await;
}

#[tokio::test]
async fn questions_are_counted_by_server_and_zone() {
    let (server, _) = start_corefile(
        ".:PORT {\n bind 127.0.0.1\n kubernetes cluster.local\n}\nexample.org:PORT {\n bind 127.0.0.1\n whoami\n}\n",
    );
    let of_server = format!("server=\"dns://{}\"", server.address);
    let requests = |zone: &str, more: &[&str]| {
        let zone = format!("zone=\"{zone}\"");
        server.metric("coredns_dns_requests_total", &[&[of_server.as_str(), zone.as_str()], more].concat())
    };
    let mut connection = server.connect().await;
    ttl_over(&mut connection).await;
    for name in ["web.shop.svc.cluster.local.", "gone.shop.svc.cluster.local.", "example.org.", "a.example.org."] {
        server.ask(&question(1, name, RecordType::A)).await;
    }
    assert_eq!(requests(".", &["proto=\"udp\"", "family=\"1\"", "type=\"A\""]), 2.0);
    assert_eq!(requests(".", &["proto=\"tcp\""]), 1.0);
    assert_eq!(requests("example.org.", &[]), 2.0);
    let denied = ["zone=\".\"", "rcode=\"NXDOMAIN\"", "plugin=\"kubernetes\""];
    assert_eq!(server.metric("coredns_dns_responses_total", &denied), 1.0);
    server.stop().await;

    let (server, _) = start_corefile("example.org:PORT {\n bind 127.0.0.1\n whoami\n}\n");
    assert_eq!(code_of(&server, "example.com.").await, ResponseCode::Refused);
    let refused = ["zone=\"dropped\"", "rcode=\"REFUSED\""];
    assert_eq!(server.metric("coredns_dns_responses_total", &refused), 1.0);
    server.stop().await;
}

const BEFORE: &str = ".:PORT {\n bind 127.0.0.1\n kubernetes cluster.local {\n  ttl 10\n }\n}\n";
const AFTER: &str = ".:PORT {\n bind 127.0.0.1\n kubernetes cluster.local {\n  ttl 20\n }\n}\n";

async fn ttl_over(stream: &mut TcpStream) -> u32 {
    let query = question(1, "web.shop.svc.cluster.local.", RecordType::A);
    stream.write_all(&frame(&query.to_vec().unwrap())).await.unwrap();
    Message::from_vec(&read_frame(stream).await.unwrap()).unwrap().answers[0].ttl
}

#[tokio::test]
async fn another_plan_closes_nothing_that_is_still_wanted() {
    let (server, reloads) = start_corefile(BEFORE);
    let (mut connection, socket) = (server.connect().await, server.client().await);
    assert_eq!(ttl_over(&mut connection).await, 10);
    let prepared = prepared(&reloads, AFTER, server.address.port());
    assert_eq!(prepared.addresses().map(|at| at.address).collect::<Vec<_>>(), [server.address]);
    // What is asked before the swap is answered.
    let query = question(7, "web.shop.svc.cluster.local.", RecordType::A);
    socket.send(&query.to_vec().unwrap()).await.unwrap();
    reloads.replace(prepared, Vec::new()).await.unwrap();
    assert_eq!(answer(&socket).await.metadata.id, 7);
    assert_eq!(ttl_over(&mut connection).await, 20, "over a connection from before");
    socket.send(&query.to_vec().unwrap()).await.unwrap();
    assert_eq!(answer(&socket).await.answers[0].ttl, 20, "from a socket from before");
    server.stop().await;
}

#[tokio::test]
async fn answers_are_kept_over_a_change_of_something_else() {
    let upstream = Upstream::new().await;
    let corefile = |ttl: u32, cache: &str| {
        format!(
            ".:PORT {{\n bind 127.0.0.1\n kubernetes cluster.local {{\n  ttl {ttl}\n }}\n {cache}\n forward . {}\n}}\n",
            upstream.address()
        )
    };
    let (before, after, others) = (corefile(10, "cache"), corefile(20, "cache"), corefile(20, "cache 30"));
    let (server, reloads) = start_corefile(&before);
    let mut asked = upstream.answering(one_address);
    assert_eq!(code_of(&server, "example.org.").await, ResponseCode::NoError);
    assert_eq!(asked.recv().await.as_deref(), Some("example.org."));
    reloads.replace(prepared(&reloads, &after, server.address.port()), Vec::new()).await.unwrap();
    assert_eq!(ttl_of(&server, "web.shop.svc.cluster.local.").await, 20);
    assert_eq!(code_of(&server, "example.org.").await, ResponseCode::NoError);
    assert!(asked.try_recv().is_err(), "it was kept");
    reloads.replace(prepared(&reloads, &others, server.address.port()), Vec::new()).await.unwrap();
    assert_eq!(code_of(&server, "example.org.").await, ResponseCode::NoError);
    assert_eq!(asked.recv().await.as_deref(), Some("example.org."), "what is kept is said otherwise");
    server.stop().await;
}

/// What a Corefile alone does not show: which addresses an interface has.
#[tokio::test]
async fn a_zone_is_served_once_at_the_address_of_an_interface() {
    let (server, reloads) = start_corefile(BEFORE);
    let port = server.address.port();
    let refusal = |blocks: &[(&str, &str)]| {
        let block = |(zone, bind): &(&str, &str)| format!("{zone}:PORT {{\n bind {bind}\n whoami\n}}\n");
        let plan = plan(&blocks.iter().map(block).collect::<String>(), port);
        let (_publisher, names) = config::publisher();
        let started = Server::with_plan(names, (&plan, DnsCompatibility::Standard), &Registry::new());
        let changed = reloads.prepare(&plan, DnsCompatibility::Standard);
        let [bound, started, changed] =
            [tidegate_dns::addresses(&plan).map(drop), started.map(drop), changed.map(drop)]
                .map(|result| result.err().map(|error| error.to_string()));
        assert_eq!((&bound, &started), (&changed, &changed), "{blocks:?}");
        changed
    };
    for (blocks, [zone, line, first]) in [
        (&[(".", "lo"), (".", "127.0.0.1")][..], [".", "5", "1"]),
        (&[(".", "127.0.0.9 lo"), ("a.org", "lo"), (".", "127.0.0.1")], [".", "9", "1"]),
        // Whichever has a listener that stands before is told second.
        (&[("b.org", "127.0.0.1"), ("a.org", "lo"), ("a.org", "127.0.0.1")], ["a.org", "9", "5"]),
        (&[(".", "lo 127.0.0.1")], [".", "1", "1"]),
    ] {
        let expected =
            format!("Corefile:{line}: {zone} at 127.0.0.1:{port} is served by the block in Corefile:{first} already");
        assert_eq!(refusal(blocks), Some(expected), "{blocks:?}");
    }
    for blocks in [[("a.org", "lo"), (".", "127.0.0.1")], [(".", "lo"), (".", "127.0.0.9")]] {
        assert_eq!(refusal(&blocks), None, "{blocks:?}");
    }
    assert_eq!(ttl_of(&server, "web.shop.svc.cluster.local.").await, 10, "what was served is kept");
    server.stop().await;
}

/// The words of a `forward` are the same: what its files hold is not.
#[tokio::test]
async fn files_for_tls_are_read_again_with_a_change() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ca.pem");
    let authority = || rcgen::generate_simple_self_signed(["upstream.test".to_owned()]).unwrap().cert.pem();
    std::fs::write(&path, authority()).unwrap();
    let forward = format!("forward . tls://127.0.0.1:1 {{\n  tls {}\n }}", path.display());
    let corefile = |more: &str| format!(".:PORT {{\n bind 127.0.0.1\n {forward}\n {more}\n}}\n");
    let (server, reloads) = start_corefile(&corefile(""));
    std::fs::write(&path, "nothing").unwrap();
    let plan = plan(&corefile("minimal"), server.address.port());
    let error = reloads.prepare(&plan, DnsCompatibility::Standard).unwrap_err().to_string();
    assert!(error.contains("ca.pem"), "{error}");
    std::fs::write(&path, authority()).unwrap();
    reloads.replace(reloads.prepare(&plan, DnsCompatibility::Standard).unwrap(), Vec::new()).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn addresses_come_and_go_while_others_stay() {
    let (server, reloads) = start_corefile(BEFORE);
    let mut connection = server.connect().await;
    assert_eq!(ttl_over(&mut connection).await, 10);
    let (port, sockets) = free_port();
    let there = sockets.address;
    let both = format!("{AFTER}.:{port} {{\n bind 127.0.0.1\n kubernetes cluster.local {{\n  ttl 30\n }}\n}}\n");
    reloads.replace(prepared(&reloads, &both, server.address.port()), vec![sockets]).await.unwrap();
    let mut second = TcpStream::connect(there).await.unwrap();
    assert_eq!((ttl_over(&mut connection).await, ttl_over(&mut second).await), (20, 30));

    // Only the second is left: the first is closed, with what came to it answered.
    let client = server.client().await;
    for id in 0..64 {
        let query = question(id, "web.shop.svc.cluster.local.", RecordType::A);
        client.send(&query.to_vec().unwrap()).await.unwrap();
    }
    // Sent, and read by nobody before the change: both take turns on this thread.
    let query = question(64, "web.shop.svc.cluster.local.", RecordType::A).to_vec().unwrap();
    assert_eq!(connection.try_write(&frame(&query)).unwrap(), query.len() + 2);
    reloads.replace(prepared(&reloads, BEFORE, port), Vec::new()).await.unwrap();
    for id in 0..64 {
        let answer = answer(&client).await;
        assert_eq!((answer.metadata.id, answer.answers[0].ttl), (id, 20));
    }
    assert_eq!(ttl_over(&mut second).await, 10);
    let answer = Message::from_vec(&read_frame(&mut connection).await.unwrap()).unwrap();
    assert_eq!((answer.metadata.id, answer.answers[0].ttl), (64, 20));
    assert_eq!(read_frame(&mut connection).await.unwrap_err().kind(), std::io::ErrorKind::UnexpectedEof);
    let refused = async || TcpStream::connect(server.address).await.is_err();
    while !refused().await {
        tokio::task::yield_now().await;
    }
    server.stop().await;
}

/// Clients that have connected and asked; where all take turns on this thread the server knows of none of them yet.
fn connected(server: &Running) -> [TcpStream; 8] {
    let query = question(7, "web.shop.svc.cluster.local.", RecordType::A).to_vec().unwrap();
    [(); 8].map(|()| {
        let mut stream = std::net::TcpStream::connect(server.address).unwrap();
        stream.write_all(&frame(&query)).unwrap();
        stream.set_nonblocking(true).unwrap();
        TcpStream::from_std(stream).unwrap()
    })
}

/// All get their answers, by what was served when they asked, and then the end.
async fn are_answered(streams: [TcpStream; 8]) {
    for mut stream in streams {
        let answer = Message::from_vec(&read_frame(&mut stream).await.unwrap()).unwrap();
        assert_eq!((answer.metadata.id, answer.answers[0].ttl), (7, 10));
        assert_eq!(read_frame(&mut stream).await.unwrap_err().kind(), std::io::ErrorKind::UnexpectedEof);
    }
}

#[tokio::test]
async fn who_has_connected_when_an_address_is_given_up_is_answered() {
    let (server, reloads) = start_corefile(BEFORE);
    assert_eq!(ttl_over(&mut server.connect().await).await, 10, "it listens");
    let (port, sockets) = free_port();
    let streams = connected(&server);
    reloads.replace(prepared(&reloads, AFTER, port), vec![sockets]).await.unwrap();
    are_answered(streams).await;
    server.stop().await;
}

#[tokio::test]
async fn who_has_connected_when_the_server_ends_is_answered() {
    let (server, _) = start_corefile(BEFORE);
    assert_eq!(ttl_over(&mut server.connect().await).await, 10, "it listens");
    let streams = connected(&server);
    server.stop().await;
    are_answered(streams).await;
}

/// An interface has the address that is served, and the change is not taken.
#[tokio::test]
async fn a_change_that_takes_a_port_for_two_transports_changes_nothing() {
    let (server, reloads) = start_corefile(BEFORE);
    let port = server.address.port();
    let both = format!("{AFTER}tls://.:{port} {{\n bind lo\n tls tls.crt tls.key\n whoami\n}}\n");
    let refused = reloads.prepare(&plan(&both, port), DnsCompatibility::Standard).unwrap_err().to_string();
    let expected =
        format!(": tls://{0} shares its TCP port with dns://{0} of the block in Corefile:1: ", server.address);
    assert!(refused.contains(&expected), "{refused}");
    assert_eq!(ttl_of(&server, "web.shop.svc.cluster.local.").await, 10);
    server.stop().await;
}

/// As where there is no thread for it.
#[tokio::test]
async fn where_an_address_cannot_be_listened_at_nothing_changes() {
    let (server, reloads) = start_corefile(BEFORE);
    let (port, mut sockets) = free_port();
    let there = sockets.address;
    let both = format!("{AFTER}.:{port} {{\n bind 127.0.0.1\n kubernetes cluster.local {{\n  ttl 30\n }}\n}}\n");
    // A socket that knows no addresses: the last one, after others that are fit.
    let [unfit, _other] = <[UnixDatagram; 2]>::from(UnixDatagram::pair().unwrap());
    sockets.udp.push(OwnedFd::from(unfit).into());
    let error = reloads.replace(prepared(&reloads, &both, server.address.port()), vec![sockets]).await.unwrap_err();
    assert!(error.to_string().starts_with(&format!("dns: {there}: ")), "{error}");
    assert_eq!(ttl_of(&server, "web.shop.svc.cluster.local.").await, 10);
    assert!(TcpStream::connect(there).await.is_err(), "its sockets are closed");

    let fit = reloads.bind(&[At { transport: Transport::Dns, address: there }], &[], 2).unwrap();
    reloads.replace(prepared(&reloads, &both, server.address.port()), fit).await.unwrap();
    assert_eq!(ttl_over(&mut TcpStream::connect(there).await.unwrap()).await, 30);
    assert_eq!(ttl_of(&server, "web.shop.svc.cluster.local.").await, 20);
    server.stop().await;
}
