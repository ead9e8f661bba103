//! Questions over TLS and HTTPS, and how long connections may take.

use crate::authority::*;
use crate::harness::*;
use config::DnsCompatibility;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use prometheus::Registry;
use std::num::NonZeroU32;
use tidegate_dns::{Bounds, Plan, Server, System};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// The head of a request that has a question for its body.
pub(crate) const POST: &str = "POST /dns-query HTTP/1.1\r\nContent-Type: application/dns-message";

pub(crate) fn query() -> Vec<u8> {
    question(7, "web.shop.svc.cluster.local.", RecordType::A).to_vec().unwrap()
}

pub(crate) async fn ask(stream: &mut (impl AsyncRead + tokio::io::AsyncWrite + Unpin)) -> std::io::Result<Message> {
    stream.write_all(&frame(&query())).await?;
    let mut message = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut message).await?;
    Ok(Message::from_vec(&message).unwrap())
}

/// What can be seen in the Corefile alone is among what is wrong with one.
#[tokio::test]
async fn blocks_at_one_address_are_secured_in_one_way() {
    let authority = Authority::new();
    authority.mount("dns.test");
    let path = authority.path().display();
    let tls = format!("tls {path}/tls.crt {path}/tls.key {path}/ca.crt");
    let start = |first: &str, second: &str, client: &str| {
        let verified = format!("{tls} {{\n client_auth {client}\n }}");
        let text = format!("tls://. {{\n {tls}\n {first}\n}}\ntls://a.org {{\n {verified}\n {second}\n}}\n");
        let (plan, _) = Plan::from_corefile(&text, "Corefile", &System).unwrap();
        let (_publisher, names) = config::publisher();
        let server = Server::with_plan(names, (&plan, DnsCompatibility::Standard), &Registry::new());
        server.map(drop).map_err(|error| error.to_string())
    };
    let except = "bind lo {\n except 127.0.0.9\n }";
    for (first, second, line) in [("bind lo", "bind 127.0.0.1", 6), (except, "bind lo", 8)] {
        let expected = format!(
            "Corefile:{line}: tls: other files or client_auth than in the block in Corefile:1, which is at \
             tls://127.0.0.1:853 too: connections are secured before anything is asked"
        );
        assert_eq!(start(first, second, "require_and_verify"), Err(expected), "{first}, {second}");
        assert_eq!(start(first, second, "nocert"), Ok(()), "{first}, {second}");
    }
    // The sockets of one address are not those of another, nor of all.
    for (first, second) in [("bind 127.0.0.1", "bind 127.0.0.2"), ("whoami", "bind 127.0.0.1")] {
        assert_eq!(start(first, second, "require_and_verify"), Ok(()), "{first}, {second}");
    }
}

#[tokio::test]
async fn questions_are_answered_over_tls_with_a_certificate_that_is_followed() {
    let authority = Authority::new();
    authority.mount("dns.test");
    tokio::time::pause();
    let server = start_secured("tls", &authority, "");
    for protocols in [&[][..], &["dot"]] {
        let mut stream = authority.connect(&server, "dns.test", protocols, None).await.unwrap();
        for _ in 0..2 {
            assert_eq!(answered(&ask(&mut stream).await.unwrap()), ["10.0.0.1"]);
        }
    }
    let mut before = authority.connect(&server, "dns.test", &[], None).await.unwrap();
    assert!(authority.connect(&server, "other.test", &[], None).await.is_err(), "nobody is called so");
    authority.mount("other.test");
    while authority.connect(&server, "other.test", &[], None).await.is_err() {
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
    }
    assert_eq!(answered(&ask(&mut before).await.unwrap()), ["10.0.0.1"], "connections that are open stay");
    // What cannot be used changes nothing.
    std::fs::write(authority.path().join("tls.crt"), "no certificate").unwrap();
    tokio::time::advance(std::time::Duration::from_secs(30)).await;
    authority.connect(&server, "other.test", &[], None).await.unwrap();
    // Without TLS there is no answer.
    let mut plain = server.connect().await;
    assert!(ask(&mut plain).await.is_err());
    server.stop().await;
}

#[tokio::test]
async fn clients_show_who_they_are_where_that_is_wanted() {
    let authority = Authority::new();
    authority.mount("dns.test");
    for (wanted, without, with) in
        [("verify_if_given", true, true), ("require_and_verify", false, true), ("request", true, true)]
    {
        let server = start_secured("tls", &authority, &format!("{{\n  client_auth {wanted}\n }}"));
        for (own, is_let_in) in [(None, without), (Some("client.test"), with)] {
            let answer = match authority.connect(&server, "dns.test", &[], own).await {
                Ok(mut stream) => ask(&mut stream).await,
                Err(error) => Err(error),
            };
            assert_eq!(answer.is_ok(), is_let_in, "{wanted} {own:?}");
        }
        server.stop().await;
    }
}

/// A request over HTTP/1.1: the status and the body.
pub(crate) async fn request(stream: &mut TlsStream<TcpStream>, head: &str, body: &[u8]) -> (u16, String, Vec<u8>) {
    let length = body.len();
    stream.write_all(format!("{head}\r\nHost: dns.test\r\nContent-Length: {length}\r\n\r\n").as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    let mut read = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        let len = stream.read(&mut chunk).await.unwrap();
        read.extend(&chunk[..len]);
        let Some(end) = read.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { continue };
        let head = String::from_utf8(read[..end].to_vec()).unwrap().to_ascii_lowercase();
        let length =
            head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse::<usize>().unwrap();
        if read.len() >= end + 4 + length {
            let status = head.split_whitespace().nth(1).unwrap().parse().unwrap();
            return (status, head, read[end + 4..].to_vec());
        }
    }
}

#[tokio::test]
async fn questions_are_answered_over_https() {
    let authority = Authority::new();
    authority.mount("dns.test");
    let server = start_secured("https", &authority, "");
    let mut stream = authority.connect(&server, "dns.test", &["http/1.1"], None).await.unwrap();
    let (status, head, body) = request(&mut stream, POST, &query()).await;
    assert_eq!((status, answered(&Message::from_vec(&body).unwrap())), (200, vec!["10.0.0.1".to_owned()]));
    assert!(
        head.contains("content-type: application/dns-message") && head.contains("cache-control: max-age=5"),
        "{head}"
    );
    // `web.shop.svc.cluster.local` as RFC 8484 §4.1 writes questions, with and without padding.
    let encoded = "AAABAAABAAAAAAAAA3dlYgRzaG9wA3N2YwdjbHVzdGVyBWxvY2FsAAABAAE";
    for padding in ["", "=", "%3D"] {
        let get = format!("GET /dns-query?dns={encoded}{padding} HTTP/1.1");
        let (status, _, body) = request(&mut stream, &get, b"").await;
        assert_eq!((status, answered(&Message::from_vec(&body).unwrap())), (200, vec!["10.0.0.1".to_owned()]));
    }
    for (head, body, expected) in [
        ("GET /dns-query HTTP/1.1", &b""[..], 400),
        ("GET /dns-query?dns=!! HTTP/1.1", b"", 400),
        ("GET /dns-query?dns=AAAA HTTP/1.1", b"", 400),
        ("GET / HTTP/1.1", b"", 404),
        ("PUT /dns-query HTTP/1.1", b"", 405),
        ("POST /dns-query HTTP/1.1\r\nContent-Type: text/plain", b"x", 415),
        (POST, &[0; 4097], 413),
    ] {
        let mut stream = authority.connect(&server, "dns.test", &["http/1.1"], None).await.unwrap();
        assert_eq!(request(&mut stream, head, body).await.0, expected, "{head}");
    }
    // An answer that is an error is one all the same.
    let gone = question(7, "web.shop.example.", RecordType::A).to_vec().unwrap();
    let (status, head, body) = request(&mut stream, POST, &gone).await;
    let code = Message::from_vec(&body).unwrap().metadata.response_code;
    assert_eq!((status, code), (200, ResponseCode::ServFail));
    assert!(head.contains("max-age=0"), "{head}");
    assert_eq!(server.metric("coredns_dns_https_responses_total", &["status=\"200\""]), 5.0);
    server.stop().await;
}

fn one_a_second() -> Bounds {
    Bounds { per_client: NonZeroU32::new(1), ..Bounds::default() }
}

#[tokio::test]
async fn a_client_that_asks_too_much_over_https_is_told_when_to_come_again() {
    let authority = Authority::new();
    authority.mount("dns.test");
    let server = start_secured_bounded("https", &authority, "", one_a_second());
    let mut stream = authority.connect(&server, "dns.test", &["http/1.1"], None).await.unwrap();
    // At first in the words of DNS, as over every other transport; there is one more question each second.
    let mut codes = Vec::new();
    let (status, head) = loop {
        let (status, head, body) = request(&mut stream, POST, &query()).await;
        if status != 200 {
            break (status, head);
        }
        codes.push(Message::from_vec(&body).unwrap().metadata.response_code);
    };
    assert_eq!(codes[0], ResponseCode::NoError);
    assert!(codes.contains(&ResponseCode::Refused), "{codes:?}");
    assert_eq!(status, 429);
    assert!(head.contains("retry-after: 1\r\n") && head.contains("content-type: text/plain"), "{head}");
    // The connection goes on. What is no question at all is no way around it.
    let status = loop {
        let (status, ..) = request(&mut stream, "GET / HTTP/1.1", b"").await;
        if status != 404 {
            break status;
        }
    };
    assert_eq!(status, 429);
    assert_eq!(server.metric("coredns_dns_https_responses_total", &["status=\"429\""]), 2.0);
    assert_eq!(server.metric("tidegate_dns_dropped_total", &["reason=\"client\""]), 2.0);
    assert!(server.metric("tidegate_dns_held_back_total", &[]) >= 3.0);
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_asks_too_much_over_tls_has_its_answers_before_the_end() {
    let authority = Authority::new();
    authority.mount("dns.test");
    let server = start_secured_bounded("tls", &authority, "", one_a_second());
    let mut stream = authority.connect(&server, "dns.test", &["dot"], None).await.unwrap();
    stream.write_all(&frame(&query()).repeat(50)).await.unwrap();
    let mut codes = Vec::new();
    while let Ok(length) = stream.read_u16().await {
        let mut message = vec![0; usize::from(length)];
        stream.read_exact(&mut message).await.unwrap();
        codes.push(Message::from_vec(&message).unwrap().metadata.response_code);
    }
    assert_eq!(codes[0], ResponseCode::NoError);
    assert!(codes.contains(&ResponseCode::Refused) && codes.len() < 50, "{codes:?}");
    assert_eq!(server.metric("tidegate_dns_dropped_total", &["reason=\"client\""]), 1.0);
    server.stop().await;
}

#[tokio::test]
async fn cookies_are_answered_over_tls_and_https() {
    let authority = Authority::new();
    authority.mount("dns.test");
    let mut query = query();
    query[11] = 1;
    query.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 12, 0, 10, 0, 8]);
    query.extend(b"a client");
    let server = start_secured("https", &authority, "");
    let mut stream = authority.connect(&server, "dns.test", &["http/1.1"], None).await.unwrap();
    let (_, _, over_https) = request(&mut stream, POST, &query).await;
    server.stop().await;
    let server = start_secured("tls", &authority, "");
    let mut stream = authority.connect(&server, "dns.test", &["dot"], None).await.unwrap();
    stream.write_all(&frame(&query)).await.unwrap();
    let mut over_tls = vec![0; usize::from(stream.read_u16().await.unwrap())];
    stream.read_exact(&mut over_tls).await.unwrap();
    server.stop().await;
    for answer in [over_https, over_tls] {
        assert_eq!(answered(&Message::from_vec(&answer).unwrap()), ["10.0.0.1"]);
        assert_eq!(answer[answer.len() - 28..][..12], *b"\0\x0A\0\x18a client", "{answer:?}");
    }
}

#[tokio::test]
async fn many_questions_share_a_connection_of_http2() {
    let authority = Authority::new();
    authority.mount("dns.test");
    let server = start_secured("https", &authority, "");
    let (client, connection) = authority.connect_h2(&server).await;
    let ask = |name: &str| {
        let request = Request::post("https://dns.test/dns-query").header("content-type", "application/dns-message");
        let request = request.body(Full::new(Bytes::from(question(7, name, RecordType::A).to_vec().unwrap()))).unwrap();
        let mut client = client.clone();
        async move {
            let answer = client.send_request(request).await.unwrap();
            (answer.status(), answer.into_body().collect().await.unwrap().to_bytes())
        }
    };
    let mut answers = tokio::task::JoinSet::new();
    for number in 0..100 {
        // Long ones among them, which have to wait for each other.
        answers.spawn(ask(if number % 5 == 0 {
            "huge.shop.svc.cluster.local."
        } else {
            "web.shop.svc.cluster.local."
        }));
    }
    let mut counts = [0, 0];
    while let Some(answer) = answers.join_next().await {
        let (status, body) = answer.unwrap();
        let found = answered(&Message::from_vec(&body).unwrap());
        counts[usize::from(found.len() > 1)] += 1;
        assert!(status == StatusCode::OK && (found == ["10.0.0.1"] || found.len() > 1_000), "{status} {found:?}");
    }
    assert_eq!(counts, [80, 20]);
    // It is told that the server ends, and then it ends.
    server.stop().await;
    connection.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_silent_connection_ends_whatever_it_speaks() {
    let authority = Authority::new();
    authority.mount("dns.test");
    tokio::time::pause();
    for (scheme, protocol) in [("tls", "dot"), ("https", "http/1.1"), ("https", "h2")] {
        let server = start_secured(scheme, &authority, "\n timeouts {\n  idle 2s\n }");
        let mut stream = authority.connect(&server, "dns.test", &[protocol], None).await.unwrap();
        let mut rest = Vec::new();
        // HTTP/2 says goodbye first.
        let _ = stream.read_to_end(&mut rest).await;
        server.stop().await;
    }
}

#[tokio::test]
async fn handshakes_that_are_never_done_keep_nobody_out() {
    let authority = Authority::new();
    authority.mount("dns.test");
    // Four of one client.
    let bounds = Bounds { connections: 16, ..Bounds::default() };
    for (scheme, protocol) in [("tls", "dot"), ("https", "http/1.1")] {
        let server = start_secured_bounded(scheme, &authority, "", bounds);
        let mut silent = Vec::new();
        for _ in 0..10 {
            silent.push(server.connect().await);
        }
        // Behind the same address: nobody's time has to be over for it.
        let mut stream = authority.connect(&server, "dns.test", &[protocol], None).await.unwrap();
        match scheme {
            "tls" => assert_eq!(answered(&ask(&mut stream).await.unwrap()), ["10.0.0.1"]),
            _ => assert_eq!(request(&mut stream, POST, &query()).await.0, 200),
        }
        for silent in &mut silent[..7] {
            assert_eq!(silent.read(&mut [0; 1]).await.unwrap_or(0), 0, "newer ones have their places");
        }
        assert_eq!(server.metric("tidegate_dns_dropped_total", &["reason=\"connections\""]), 7.0);
        // The others end with their time.
        tokio::time::pause();
        for silent in &mut silent[7..] {
            assert_eq!(silent.read(&mut [0; 1]).await.unwrap_or(0), 0);
        }
        tokio::time::resume();
        server.stop().await;
    }
}

#[tokio::test]
async fn only_so_many_questions_are_taken_over_a_connection() {
    let (server, _) =
        start_corefile(".:PORT {\n bind 127.0.0.1\n kubernetes cluster.local\n timeouts {\n  maxtcpqueries 3\n }\n}\n");
    let mut stream = server.connect().await;
    stream.write_all(&frame(&query()).repeat(5)).await.unwrap();
    let mut answers = Vec::new();
    while let Ok(answer) = read_frame(&mut stream).await {
        answers.push(answer);
    }
    assert_eq!(answers.len(), 3);
    server.stop().await;
}

#[tokio::test]
async fn what_takes_too_long_is_given_up() {
    let upstream = Upstream::new().await;
    tokio::time::pause();
    let (server, _) = start_corefile(&format!(
        ".:PORT {{\n bind 127.0.0.1\n cancel 900ms\n forward . {} {{\n  read_timeout 4s\n }}\n}}\n",
        upstream.address()
    ));
    let answer = server.ask(&with_edns(question(7, "example.org.", RecordType::A), 1232)).await;
    assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
    let asked = tokio::time::timeout(std::time::Duration::from_secs(60), upstream.asked()).await.unwrap();
    assert_eq!(asked.0.queries[0].name().to_string(), "example.org.");
    server.stop().await;
}

#[tokio::test]
async fn what_was_asked_over_https_before_the_end_is_answered() {
    let (authority, upstream) = (Authority::new(), Upstream::new().await);
    authority.mount("dns.test");
    let more = format!("\n forward . {} {{\n prefer_udp\n }}\n", upstream.address());
    let server = start_secured("https", &authority, &more);
    let outside = |id| question(id, &format!("n{id}.example.org."), RecordType::A).to_vec().unwrap();
    let mut stream = authority.connect(&server, "dns.test", &["http/1.1"], None).await.unwrap();
    let asking = tokio::spawn(async move { request(&mut stream, POST, &outside(1)).await });
    let first = upstream.asked().await;
    let (mut client, connection) = authority.connect_h2(&server).await;
    let request = Request::post("https://dns.test/dns-query").header("content-type", "application/dns-message");
    let answer = client.send_request(request.body(Full::new(Bytes::from(outside(2)))).unwrap());
    let mut idle = authority.connect(&server, "dns.test", &["http/1.1"], None).await.unwrap();
    let answer = tokio::spawn(answer);
    let second = upstream.asked().await;
    let stopping = tokio::spawn(server.stop());
    assert_eq!(idle.read(&mut [0; 1]).await.unwrap_or(0), 0, "nothing was asked there");
    for (question, peer) in [first, second] {
        upstream.reply(&addresses(&question, &[[192, 0, 2, 7].into()]), peer).await;
    }
    let (status, _, body) = asking.await.unwrap();
    assert_eq!((status, answered(&Message::from_vec(&body).unwrap())), (200, vec!["192.0.2.7".to_owned()]));
    let body = answer.await.unwrap().unwrap().into_body().collect().await.unwrap().to_bytes();
    assert_eq!(answered(&Message::from_vec(&body).unwrap()), ["192.0.2.7"]);
    connection.await.unwrap().unwrap();
    stopping.await.unwrap();
}
