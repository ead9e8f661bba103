use super::*;
use crate::h1::{HeadLimits, HeadParser, RequestLine};
use crate::limits::Limits;
use bytes::BytesMut;
use config::PathSettings;

/// Reads `head`, whose lines end in LF here for the reader's sake, as a request on a plain port.
fn h1(head: &str) -> Result<Request, u16> {
    let limits = HeadLimits { line: 8192, head: 65536, fields: 100 };
    let mut input = BytesMut::from(format!("{}\r\n\r\n", head.replace('\n', "\r\n")).as_bytes());
    let (line, fields) = HeadParser::for_requests(limits).advance(&mut input).expect("a head").expect("whole");
    let line = RequestLine::parse(&fields, &line).expect("a request line");
    Request::from_h1(&line, fields, PathSettings::default(), 80).map_err(|(refusal, _)| refusal.status)
}

fn summary(request: &Request) -> String {
    let body = match request.body {
        BodyLength::None => "none".to_owned(),
        BodyLength::Known(length) => length.to_string(),
        BodyLength::Unknown => "chunked".to_owned(),
    };
    format!("{} {} {body}", request.host_name(), request.target.text())
}

#[test]
fn targets_and_hosts_have_one_form() {
    for (head, expected) in [
        ("GET / HTTP/1.1\nHost: A.test.:80", Ok("a.test / none")),
        ("GET http://A.test/x HTTP/1.1\nHost: a.test:80", Ok("a.test /x none")),
        ("GET HTTP://a.test HTTP/1.1\nHost: a.test", Ok("a.test / none")),
        ("GET http://a.test/ HTTP/1.1\nHost: b.test", Err(400)),
        ("GET http://a.test?x HTTP/1.1\nHost: a.test", Err(400)),
        ("GET http://u@a.test/ HTTP/1.1\nHost: a.test", Err(400)),
        ("GET ftp://a.test/ HTTP/1.1\nHost: a.test", Err(400)),
        ("GET a.test:80 HTTP/1.1\nHost: a.test", Err(400)),
        ("GET / HTTP/1.1", Err(400)),
        ("GET / HTTP/1.1\nHost: ", Err(400)),
        ("GET / HTTP/1.1\nHost: a\nHost: a", Err(400)),
        ("GET / HTTP/1.1\nHost: a@b", Err(400)),
        ("GET / HTTP/1.1\nHost: a/b", Err(400)),
        ("GET / HTTP/1.1\nHost: a, b", Err(400)),
        ("GET / HTTP/1.0", Ok(" / none")),
        ("GET http://a.test/ HTTP/1.0", Ok("a.test / none")),
        ("GET /a/../b HTTP/1.1\nHost: a", Ok("a /b none")),
        ("GET /%zz HTTP/1.1\nHost: a", Err(400)),
        ("GET /a#b HTTP/1.1\nHost: a", Err(400)),
        ("OPTIONS * HTTP/1.1\nHost: a", Ok("a * none")),
        ("GET * HTTP/1.1\nHost: a", Err(400)),
        ("CONNECT a:443 HTTP/1.1\nHost: a:443", Err(405)),
        ("TRACE / HTTP/1.1\nHost: a", Err(405)),
        ("BREW / HTTP/1.1\nHost: a", Ok("a / none")),
    ] {
        let read = h1(head).map(|request| summary(&request));
        assert_eq!(read.as_deref(), expected.as_ref().map(|text| *text), "{head}");
    }
}

#[test]
fn framing_has_one_reading_or_none() {
    for (fields, expected) in [
        ("Content-Length: 5", Ok("5")),
        ("Content-Length: 5, 5", Ok("5")),
        ("Content-Length: 5\nContent-Length: 5", Ok("5")),
        ("Content-Length: 0", Ok("none")),
        ("Content-Length: 5\nContent-Length: 6", Err(400)),
        ("Content-Length: 5, 6", Err(400)),
        ("Content-Length: +5", Err(400)),
        ("Content-Length: -5", Err(400)),
        ("Content-Length: 0x5", Err(400)),
        ("Content-Length: 5 5", Err(400)),
        ("Content-Length: ", Err(400)),
        ("Content-Length: 99999999999999999999", Err(400)),
        ("Transfer-Encoding: chunked", Ok("chunked")),
        ("Transfer-Encoding: CHUNKED", Ok("chunked")),
        ("Transfer-Encoding: chunked\nTransfer-Encoding: chunked", Err(400)),
        ("Transfer-Encoding: chunked, chunked", Err(400)),
        ("Transfer-Encoding: gzip, chunked", Err(400)),
        ("Transfer-Encoding: chunked, identity", Err(400)),
        ("Transfer-Encoding: identity", Err(400)),
        ("Transfer-Encoding: xchunked", Err(400)),
        ("Transfer-Encoding: chunked;q=1", Err(400)),
        ("Transfer-Encoding: ", Err(400)),
        ("Transfer-Encoding: chunked\nContent-Length: 5", Err(400)),
        ("Content-Length: 5\nTransfer-Encoding: chunked", Err(400)),
    ] {
        let read = h1(&format!("POST / HTTP/1.1\nHost: a\n{fields}"));
        let body = read.map(|request| summary(&request).rsplit(' ').next().unwrap_or_default().to_owned());
        assert_eq!(body.as_deref(), expected.as_ref().map(|text| *text), "{fields}");
    }
    assert_eq!(h1("POST / HTTP/1.0\nHost: a\nTransfer-Encoding: chunked").err(), Some(400));
}

#[test]
fn connection_options_are_read_over_all_lines() {
    let options = |fields: &str| h1(&format!("GET / HTTP/1.1\nHost: a\n{fields}")).map(|request| request.options);
    let close = options("Connection: x-a\nConnection: x-b , , CLOSE").expect("valid");
    assert!(close.close && !close.keep_alive && close.nominates(b"X-A") && close.nominates(b"x-b"));
    let both = options("Connection: keep-alive, upgrade, TE").expect("valid");
    assert!(both.keep_alive && both.upgrade && !both.close);
    for refused in [
        "Connection: host",
        "Connection: Content-Length",
        "Connection: transfer-encoding",
        "Connection: Cookie",
        "Connection: Authorization",
        "Connection: X-Forwarded-For",
        "Connection: x_real_ip",
        "Connection: a b",
        "Connection: :path",
        "Connection: a, b, c, d, e, f, g, h, i, j",
    ] {
        assert_eq!(options(refused).err(), Some(400), "{refused}");
    }
}

#[test]
fn only_a_get_without_body_upgrades_to_websocket() {
    let upgrade = "Connection: Upgrade\nUpgrade: WebSocket";
    for (head, expected) in [
        (format!("GET / HTTP/1.1\nHost: a\n{upgrade}"), true),
        ("GET / HTTP/1.1\nHost: a\nUpgrade: websocket".to_owned(), false),
        ("GET / HTTP/1.1\nHost: a\nConnection: upgrade\nUpgrade: h2c".to_owned(), false),
        (format!("POST / HTTP/1.1\nHost: a\nContent-Length: 1\n{upgrade}"), false),
        (format!("GET / HTTP/1.0\nHost: a\n{upgrade}"), false),
    ] {
        assert_eq!(h1(&head).map(|request| request.is_websocket), Ok(expected), "{head}");
    }
}

#[test]
fn expectations_are_met_or_refused() {
    for (head, expected) in [
        ("POST / HTTP/1.1\nHost: a\nContent-Length: 1\nExpect: 100-Continue", Ok(true)),
        ("POST / HTTP/1.1\nHost: a\nExpect: 100-continue", Ok(false)),
        ("POST / HTTP/1.0\nHost: a\nContent-Length: 1\nExpect: 100-continue", Ok(false)),
        ("POST / HTTP/1.1\nHost: a\nContent-Length: 1\nExpect: foo", Err(417)),
    ] {
        assert_eq!(h1(head).map(|request| request.expects_continue), expected, "{head}");
    }
}

fn h2(pseudo: &[(&str, &str)], fields: &[(&'static str, &str)]) -> Result<Request, u16> {
    let of = |name: &str| pseudo.iter().find(|(found, _)| *found == name).map(|(_, value)| *value);
    let mut uri = http::Uri::builder().scheme("https").path_and_query(of(":path").unwrap_or("/"));
    uri = uri.authority(of(":authority").unwrap_or("placeholder"));
    let mut uri = uri.build().expect("a target").into_parts();
    if of(":authority").is_none() {
        uri.authority = None;
        uri.scheme = None;
    }
    let mut request = http::Request::new(());
    *request.uri_mut() = http::Uri::from_parts(uri).expect("a target");
    *request.method_mut() = of(":method").unwrap_or("GET").parse().expect("a method");
    for (name, value) in fields {
        request.headers_mut().append(*name, http::HeaderValue::from_bytes(value.as_bytes()).expect("a value"));
    }
    let (parts, ()) = request.into_parts();
    Request::from_h2(&parts, true, PathSettings::default(), &Limits::default(), 443).map_err(|refusal| refusal.status)
}

#[test]
fn h2_requests_have_one_host() {
    for (authority, host, expected) in [
        (Some("A.test:443"), None, Ok("a.test / chunked")),
        (Some("a.test"), Some("a.test:443"), Ok("a.test / chunked")),
        (None, Some("a.test"), Ok("a.test / chunked")),
        (Some("a.test"), Some("b.test"), Err(400)),
        (Some("u@a.test"), None, Err(400)),
        (None, None, Err(400)),
    ] {
        let pseudo: Vec<_> = authority.map(|authority| (":authority", authority)).into_iter().collect();
        let fields: Vec<_> = host.map(|host| ("host", host)).into_iter().collect();
        let read = h2(&pseudo, &fields).map(|request| summary(&request));
        assert_eq!(read.as_deref(), expected.as_ref().map(|text| *text), "{authority:?} {host:?}");
    }
}

#[test]
fn h2_connect_is_for_websocket_only() {
    assert_eq!(h2(&[(":authority", "a"), (":method", "CONNECT")], &[]).err(), Some(405));
    assert_eq!(h2(&[(":authority", "a"), (":method", "TRACE")], &[]).err(), Some(405));
    assert_eq!(h2(&[(":authority", "a")], &[("x", " padded")]).err(), Some(400));
    assert_eq!(h2(&[(":authority", "a"), (":path", "/%00")], &[]).err(), Some(400));
}
