//! How requests over HTTPS may be written.

use crate::authority::*;
use crate::encrypted::{POST, request};
use crate::harness::*;
use hickory_proto::op::Message;
use hickory_proto::rr::RecordType;
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// `web.shop.svc.cluster.local` as RFC 8484 §4.1 writes questions.
const QUERY: &str = "/dns-query?dns=AAABAAABAAAAAAAAA3dlYgRzaG9wA3N2YwdjbHVzdGVyBWxvY2FsAAABAAE";

#[tokio::test]
async fn escapes_and_parameters_that_mean_nothing_are_taken() {
    let authority = Authority::new();
    authority.mount("dns.test");
    let server = start_secured("https", &authority, "");
    let mut stream = authority.connect(&server, "dns.test", &["http/1.1"], None).await.unwrap();
    let post = question(7, "web.shop.svc.cluster.local.", RecordType::A).to_vec().unwrap();
    for (head, body) in [
        (format!("GET {QUERY}%3d HTTP/1.1"), &[][..]),
        (format!("GET {} HTTP/1.1", QUERY.replace("dns=A", "a=b&dns=%41")), &[]),
        (format!("{POST}; charset=utf-8"), &post),
        (format!("{} ;charset=utf-8", POST.to_uppercase().replace("/DNS-QUERY", "/dns-query")), &post),
    ] {
        let (status, _, body) = request(&mut stream, &head, body).await;
        assert_eq!(status, 200, "{head}");
        assert_eq!(answered(&Message::from_vec(&body).unwrap()), ["10.0.0.1"], "{head}");
    }
    for (head, expected) in [
        (format!("GET {QUERY}== HTTP/1.1"), 400),
        (format!("GET {QUERY}%2 HTTP/1.1"), 400),
        (format!("GET /dns-query?dns=%41{} HTTP/1.1", "A".repeat(5_464)), 414),
        (POST.replace("message", "messages; charset=utf-8"), 415),
    ] {
        assert_eq!(request(&mut stream, &head, &[]).await.0, expected, "{head}");
    }
    server.stop().await;
}

/// RFC 9110 §9.3.2: the same fields, and nothing behind them.
#[tokio::test]
async fn head_is_answered_as_get_is_without_the_content() {
    let authority = Authority::new();
    authority.mount("dns.test");
    let server = start_secured("https", &authority, "");
    let mut stream = authority.connect(&server, "dns.test", &["http/1.1"], None).await.unwrap();
    let (_, of_get, body) = request(&mut stream, &format!("GET {QUERY} HTTP/1.1"), b"").await;
    let more = "HTTP/1.1\r\nHost: dns.test\r\n";
    let both = format!("HEAD {QUERY} {more}\r\nHEAD / {more}Connection: close\r\n\r\n");
    stream.write_all(both.as_bytes()).await.unwrap();
    let mut read = Vec::new();
    stream.read_to_end(&mut read).await.unwrap();
    let read = String::from_utf8(read).unwrap().to_ascii_lowercase();
    let [first, second, rest] = read.split("\r\n\r\n").collect::<Vec<_>>()[..] else { panic!("{read}") };
    let fields = |head: &str| {
        let mut fields: Vec<_> = head.lines().filter(|line| !line.starts_with("date: ")).map(str::to_owned).collect();
        fields.sort_unstable();
        fields
    };
    assert_eq!(fields(first), fields(&of_get));
    assert!(second.starts_with("http/1.1 404 ") && rest.is_empty(), "{read}");

    let (mut client, connection) = authority.connect_h2(&server).await;
    let head = Request::head(format!("https://dns.test{QUERY}")).body(Empty::<Bytes>::new()).unwrap();
    let answer = client.send_request(head).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["content-length"], body.len().to_string());
    assert_eq!(answer.headers()["content-type"], "application/dns-message");
    assert!(answer.into_body().collect().await.unwrap().to_bytes().is_empty());
    server.stop().await;
    connection.await.unwrap().unwrap();
}

/// RFC 9113 §8.3.1.
#[tokio::test]
async fn a_request_of_http_2_names_one_host_if_twice() {
    let authority = Authority::new();
    authority.mount("dns.test");
    let server = start_secured("https", &authority, "");
    let (mut client, connection) = authority.connect_h2(&server).await;
    for (host, expected) in
        [(None, 200), (Some("DNS.test:443"), 200), (Some("other.test"), 400), (Some("dns.test:8443"), 400)]
    {
        let mut request = Request::get(format!("https://dns.test{QUERY}"));
        if let Some(host) = host {
            request = request.header("host", host);
        }
        let answer = client.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
        assert_eq!(answer.status(), expected, "{host:?}");
    }
    server.stop().await;
    connection.await.unwrap().unwrap();
}

/// RFC 9112 §3.2.
#[tokio::test]
async fn a_request_of_http_1_1_names_one_host() {
    let authority = Authority::new();
    authority.mount("dns.test");
    let server = start_secured("https", &authority, "");
    for (version, fields, expected) in [
        ("1.1", "Host: dns.test\r\n", 200),
        ("1.1", "", 400),
        ("1.1", "Host: dns.test\r\nHost: dns.test\r\n", 400),
        ("1.1", "Host: dns.test/\r\n", 400),
        ("1.1", "Host:\r\n", 400),
        ("1.0", "", 200),
        ("1.0", "Host: a.test\r\nHost: b.test\r\n", 400),
    ] {
        let mut stream = authority.connect(&server, "dns.test", &["http/1.1"], None).await.unwrap();
        let request = format!("GET {QUERY} HTTP/{version}\r\n{fields}Connection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut read = Vec::new();
        stream.read_to_end(&mut read).await.unwrap();
        let status = String::from_utf8_lossy(read.get(9..12).unwrap_or_default()).into_owned();
        assert_eq!(status, expected.to_string(), "{version} {fields:?}");
    }
    server.stop().await;
}
