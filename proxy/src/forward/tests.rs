use super::*;
use crate::downstream::Downstream;
use crate::h1::{HeadLimits, HeadParser, RequestLine};
use bytes::BytesMut;
use config::{CanonicalPath, ListenerName, PathSettings, Protocol};

fn downstream(is_trusted: bool) -> Downstream {
    Downstream {
        peer: "10.0.0.9:1234".parse().expect("address"),
        peer_text: "10.0.0.9".into(),
        is_trusted,
        listener: ListenerName::Http,
        protocol: Protocol::Http,
        port_text: "8080".into(),
        tls: None,
    }
}

fn request(head: &str) -> Request {
    let limits = HeadLimits { line: 8192, head: 65536, fields: 100 };
    let mut input = BytesMut::from(format!("{}\r\n\r\n", head.replace('\n', "\r\n")).as_bytes());
    let (line, fields) = HeadParser::for_requests(limits).advance(&mut input).expect("a head").expect("whole");
    let line = RequestLine::parse(&fields, &line).expect("a request line");
    Request::from_h1(&line, fields, PathSettings::default(), 80).expect("a request")
}

fn provenance<'d>(request: &Request, downstream: &'d Downstream) -> Provenance<'d> {
    let trusted = ["10.0.0.0/8".parse().expect("network")];
    Provenance::of(request, downstream, &trusted, "fresh".to_owned())
}

/// The head that goes upstream, with LF line ends and without the facts' six fields where they are as expected.
fn forwarded(head: &str, is_trusted: bool) -> String {
    let request = request(head);
    let downstream = downstream(is_trusted);
    let provenance = provenance(&request, &downstream);
    let mut output = Vec::new();
    write_h1(&mut output, &request, &provenance, UploadFraming::of(&request), None);
    String::from_utf8_lossy(&output).replace("\r\n", "\n")
}

const FACTS: &str = "X-Forwarded-For: 10.0.0.9\nX-Forwarded-Host: a\nX-Forwarded-Port: 8080\nX-Forwarded-Proto: http\n\
                     X-Real-IP: 10.0.0.9\nX-Request-ID: fresh\n";

#[test]
fn fields_of_one_connection_go_no_further() {
    let head = "GET /x?y HTTP/1.1\nHost: a\nConnection: x-secret, keep-alive\nX-Secret: 1\nKeep-Alive: 5\nTE: gzip\n\
                Trailer: x\nProxy-Authorization: x\nProxy-Connection: x\nUpgrade: h2c\nHTTP2-Settings: x\nX-Kept: 1";
    assert_eq!(forwarded(head, false), format!("GET /x?y HTTP/1.1\nHost: a\nX-Kept: 1\n{FACTS}\n"));
}

#[test]
fn claims_of_strangers_are_dropped_in_every_spelling() {
    let head = "GET / HTTP/1.1\nHost: a\nX-Forwarded-For: 6.6.6.6\nx_forwarded_for: 6.6.6.6\nX-Forwarded.Host: evil\n\
                X-Forwarded-Proto: https\nX-Forwarded-Prefix: /evil\nForwarded: for=6.6.6.6\nX-Real-IP: 6.6.6.6\n\
                X-Request-ID: evil\nX-Original-URL: /evil\nProxy: evil\nContent_Length: 5\nX_Kept: 1";
    assert_eq!(forwarded(head, false), format!("GET / HTTP/1.1\nHost: a\nX_Kept: 1\n{FACTS}\n"));
}

#[test]
fn claims_of_trusted_proxies_are_carried_on() {
    let head = "GET / HTTP/1.1\nHost: a\nX-Forwarded-For: 6.6.6.6, 1.2.3.4\nX-Forwarded-For: 10.1.1.1\n\
                X-Forwarded-Proto: https\nX-Forwarded-Host: b\nX-Forwarded-Prefix: /p\nX-Request-ID: theirs\nX_Real_IP: x";
    let expected = "GET / HTTP/1.1\nHost: a\nX-Forwarded-Prefix: /p\n\
                    X-Forwarded-For: 6.6.6.6, 1.2.3.4, 10.1.1.1, 10.0.0.9\nX-Forwarded-Host: b\nX-Forwarded-Port: 443\n\
                    X-Forwarded-Proto: https\nX-Real-IP: 1.2.3.4\nX-Request-ID: theirs\n\n";
    assert_eq!(forwarded(head, true), expected);
    let (request, downstream) = (request(head), downstream(true));
    let provenance = provenance(&request, &downstream);
    assert_eq!((&*provenance.client.to_string(), provenance.proto), ("1.2.3.4", "https"));
}

#[test]
fn malformed_claims_are_no_facts() {
    let head = "GET / HTTP/1.1\nHost: a\nX-Forwarded-For: 1.2.3.4, nonsense\nX-Forwarded-Proto: gopher\n\
                X-Forwarded-Port: x\nX-Request-ID: a b";
    let expected = "GET / HTTP/1.1\nHost: a\nX-Forwarded-For: 1.2.3.4, nonsense, 10.0.0.9\nX-Forwarded-Host: a\n\
                    X-Forwarded-Port: 8080\nX-Forwarded-Proto: http\nX-Real-IP: 10.0.0.9\nX-Request-ID: fresh\n\n";
    assert_eq!(forwarded(head, true), expected);
}

#[test]
fn bodies_are_announced_anew() {
    for (fields, expected) in [
        ("Content-Length: 5, 5", "Content-Length: 5\n"),
        ("Transfer-Encoding: chunked", "Transfer-Encoding: chunked\n"),
        ("X: y", "Content-Length: 0\n"),
        ("Content-Length: 3\nExpect: 100-continue", "Expect: 100-continue\nContent-Length: 3\n"),
    ] {
        let head = forwarded(&format!("POST / HTTP/1.1\nHost: a\n{fields}"), false);
        assert!(head.ends_with(&format!("fresh\n{expected}\n")), "{head}");
    }
    assert!(!forwarded("GET / HTTP/1.1\nHost: a", false).contains("Content-Length"));
}

#[test]
fn an_upgrade_is_written_anew() {
    let head = "GET / HTTP/1.1\nHost: a\nConnection: x, Upgrade\nX: y\nUpgrade: websocket\nSec-WebSocket-Key: k";
    let expected =
        format!("GET / HTTP/1.1\nHost: a\nSec-WebSocket-Key: k\n{FACTS}Connection: Upgrade\nUpgrade: websocket\n\n");
    assert_eq!(forwarded(head, false), expected);
}

#[test]
fn max_forwards_counts_down_for_options_only() {
    assert!(forwarded("OPTIONS / HTTP/1.1\nHost: a\nMax-Forwards: 5", false).contains("Max-Forwards: 4\n"));
    assert!(forwarded("GET / HTTP/1.1\nHost: a\nMax-Forwards: 5", false).contains("Max-Forwards: 5\n"));
}

#[test]
fn the_same_head_for_http2() {
    let request = request(
        "POST /x HTTP/1.1\nHost: a:80\nTE: trailers\nCookie: a=1\nConnection: y\nY: z\nX-Kept: 1\nContent-Length: 2",
    );
    let downstream = downstream(false);
    let provenance = provenance(&request, &downstream);
    let head = h2_request(&request, &provenance, UploadFraming::of(&request), "http").expect("expressible");
    assert_eq!(head.uri().to_string(), "http://a:80/x");
    assert_eq!(head.method(), "POST");
    let fields = head.headers();
    for (name, expected) in [
        ("te", Some("trailers")),
        ("cookie", Some("a=1")),
        ("x-kept", Some("1")),
        ("content-length", Some("2")),
        ("x-forwarded-for", Some("10.0.0.9")),
        ("host", None),
        ("y", None),
        ("connection", None),
    ] {
        assert_eq!(fields.get(name).map(|value| value.to_str().expect("text")), expected, "{name}");
    }
}

#[test]
fn every_target_can_be_said_in_http2() {
    for byte in (0x21..=0x7e).chain(0x80..=0xff).filter(|byte| *byte != b'#') {
        for target in [[b"/a", &[byte][..], b"b?q"].concat(), [b"/a?q=", &[byte][..], b"b"].concat()] {
            let Ok(path) = CanonicalPath::parse(&target, PathSettings::default()) else {
                // What no request may have.
                assert!(matches!(byte, b'%' | b'\\'), "{byte:#x}");
                continue;
            };
            let mut request = request("GET / HTTP/1.1\nHost: a");
            let said = h2_path(path.path_and_query()).into_owned();
            let expected = match byte {
                b'"' => path.path_and_query().replace('"', "%22"),
                b'<' => path.path_and_query().replace('<', "%3C"),
                b'>' => path.path_and_query().replace('>', "%3E"),
                _ => path.path_and_query().to_owned(),
            };
            request.target = Target::Path(path);
            let head = h2_request(&request, &provenance(&request, &downstream(false)), UploadFraming::None, "http")
                .expect("said");
            let sent = head.uri().path_and_query().expect("a path").as_str();
            assert_eq!((sent, said.as_str()), (&*expected, &*expected), "{byte:#x}");
        }
    }
}

#[test]
fn every_host_method_and_field_can_be_said_in_http2() {
    for host in ["a", "a:", "a:00080", "A.b.", "a_b~!$&'()*+,;=c", "[::1]:80", "[::ffff:1.2.3.4]", "1.2.3.4"] {
        let head = format!("X!#$%&'*+-.^_`|~0 /?a=<b> HTTP/1.1\nHost: {host}\nX!#$%&'*+-.^_`|~0: \u{e9}\t\"<>\\");
        let request = request(&head);
        let head =
            h2_request(&request, &provenance(&request, &downstream(false)), UploadFraming::None, "http").expect("said");
        assert_eq!(head.uri().authority().expect("an authority").as_str(), host);
        assert_eq!(head.uri().path_and_query().expect("a path"), "/?a=%3Cb%3E");
        assert_eq!(head.method(), request.method_name.as_ref().escape_ascii().to_string().replace("\\'", "'").as_str());
        assert!(head.headers().contains_key("x!#$%&'*+-.^_`|~0"));
    }
}
