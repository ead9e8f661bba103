//! Heads of requests: what is refused before anything acts on it, and what reaches the upstream.

use crate::harness::{Client, field, proxied};
use config::HostPattern;
use std::time::Duration;
use tokio::time::{Instant, interval};

/// The lines of a head but the first, without those that tell where a request came from.
fn own_fields(head: &str) -> Vec<&str> {
    let lines = head.lines().skip(1).filter(|line| !line.is_empty());
    lines.filter(|line| !line.starts_with("X-Forwarded-") && !line.starts_with("X-Re")).collect()
}

#[tokio::test]
async fn case_9_a_request_names_one_host() {
    let (upstream, proxy) = proxied(|_| {}).await;
    for request in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a.test\r\nHost: a.test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a.test:x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: \r\n\r\n",
        "GET / HTTP/1.0\r\nHost: a.test\r\nHost: a.test\r\n\r\n",
    ] {
        proxy.refuses(request.as_bytes(), 400).await;
    }
    assert!(upstream.is_left_alone().await);
    proxy.after(&[]).await;
}

#[tokio::test]
async fn case_10_http10_without_host_meets_the_rules_for_any_host() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.client().await;
    client.send("GET /x HTTP/1.0\r\n\r\n").await;
    let mut up = upstream.accept().await;
    let head = up.head().await;
    assert!(head.starts_with("GET /x HTTP/1.1\r\nHost: \r\n"), "{head}");
    up.no_content().await;
    client.is_answered().await;
    proxy.after(&["GET /x 204"]).await;

    let (upstream, proxy) = proxied(|setup| setup.host = HostPattern::Exact("a.test".into())).await;
    let mut client = proxy.client().await;
    client.send("GET /x HTTP/1.0\r\n\r\n").await;
    assert!(client.answer().await.0.starts_with("HTTP/1.1 404 "));
    assert!(upstream.is_left_alone().await);
    proxy.after(&["GET /x 404 no_route"]).await;
}

#[tokio::test]
async fn case_11_an_absolute_target_is_routed_by_its_authority_and_sent_in_origin_form() {
    let (upstream, proxy) = proxied(|setup| setup.host = HostPattern::Exact("a.test".into())).await;
    let mut client = proxy.client().await;
    client.send("GET HTTP://A.Test:80/x?y HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    let mut up = upstream.accept().await;
    let head = up.head().await;
    assert!(head.starts_with("GET /x?y HTTP/1.1\r\n"), "{head}");
    assert!(field(&head, "host").is_some_and(|host| host.eq_ignore_ascii_case("a.test:80")), "{head}");
    up.no_content().await;
    client.is_answered().await;
    proxy.after(&["GET /x?y 204"]).await;
}

#[tokio::test]
async fn case_12_an_absolute_target_of_another_host_is_refused() {
    let (upstream, proxy) = proxied(|_| {}).await;
    proxy.refuses(b"GET http://a.test/ HTTP/1.1\r\nHost: b.test\r\n\r\n", 400).await;
    proxy.refuses(b"GET http://a.test:81/ HTTP/1.1\r\nHost: a.test\r\n\r\n", 400).await;
    proxy.refuses(b"GET http://u@a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n", 400).await;
    proxy.refuses(b"GET gopher://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n", 400).await;
    assert!(upstream.is_left_alone().await);
    proxy.after(&[]).await;
}

#[tokio::test]
async fn case_13_options_of_the_server_is_answered_here() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.client().await;
    for request in
        ["OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n", "OPTIONS /x HTTP/1.1\r\nHost: a.test\r\nMax-Forwards: 0\r\n\r\n"]
    {
        client.send(request).await;
        let (head, body) = client.answer().await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert!(field(&head, "allow").is_some_and(|allow| allow.contains("GET") && !allow.contains("TRACE")), "{head}");
        assert_eq!(body, "");
    }
    proxy.after(&["OPTIONS * 200", "OPTIONS /x 200"]).await;
    proxy.refuses(b"GET * HTTP/1.1\r\nHost: a.test\r\n\r\n", 400).await;
    assert!(upstream.is_left_alone().await);
}

#[tokio::test]
async fn cases_14_and_15_connect_and_trace_are_not_allowed() {
    let (upstream, proxy) = proxied(|_| {}).await;
    for request in ["CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n", "TRACE / HTTP/1.1\r\nHost: a.test\r\n\r\n"] {
        proxy.refuses(request.as_bytes(), 405).await;
        let mut client = proxy.client().await;
        client.send(request).await;
        let (head, _) = client.answer().await;
        assert!(field(&head, "allow").is_some_and(|allow| allow.contains("POST")), "{head}");
        assert_eq!(proxy.record().await, "- - 405 method_not_allowed");
    }
    assert!(upstream.is_left_alone().await);
    proxy.after(&[]).await;
}

#[tokio::test]
async fn case_16_an_unknown_method_is_forwarded_with_its_body_and_not_repeated() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.client().await;
    client.send("BREW /pot HTTP/1.1\r\nHost: a.test\r\nContent-Length: 6\r\n\r\ncoffee").await;
    let mut up = upstream.accept().await;
    let (head, body) = up.answer().await;
    assert!(head.starts_with("BREW /pot HTTP/1.1\r\n"), "{head}");
    assert_eq!(body, "coffee");
    up.reset();
    assert!(client.answer().await.0.starts_with("HTTP/1.1 502 "));
    assert!(upstream.is_left_alone().await);
    proxy.after(&["BREW /pot 502 upstream_reset"]).await;
}

#[tokio::test]
async fn case_17_a_target_has_visible_characters_only() {
    let (upstream, proxy) = proxied(|_| {}).await;
    for target in ["/a b", "/a\x01b", "/a\x7fb", "/a\tb", "/a#b", "/a\rb", " /a", "/a "] {
        proxy.refuses(format!("GET {target} HTTP/1.1\r\nHost: a.test\r\n\r\n").as_bytes(), 400).await;
    }
    assert!(upstream.is_left_alone().await);
    proxy.after(&[]).await;
}

#[tokio::test]
async fn case_18_only_http11_and_http10_are_spoken() {
    let (upstream, proxy) = proxied(|_| {}).await;
    for (line, status) in [
        ("GET / HTTP/2.0", 505),
        ("GET / HTTP/1.2", 505),
        ("GET / HTTP/0.9", 505),
        ("GET / FOO/1.1", 400),
        ("GET / http/1.1", 400),
        ("GET / HTTP/1.10", 400),
        ("GET /", 400),
    ] {
        proxy.refuses(format!("{line}\r\nHost: a.test\r\n\r\n").as_bytes(), status).await;
    }
    // A client of HTTP/0.9 sends one line and waits.
    proxy.refuses(b"GET /\r\n", 400).await;
    assert!(upstream.is_left_alone().await);
    proxy.after(&[]).await;
}

#[tokio::test]
async fn case_19_lines_have_one_reading() {
    let (upstream, proxy) = proxied(|_| {}).await;
    for request in [
        "GET / HTTP/1.1\nHost: a.test\n\n",
        "GET / HTTP/1.1\r\nHost: a.test\n\r\n",
        "GET / HTTP/1.1\r\nHost: a.test\r\nX: a\nb: c\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a.test\r\nX: a\rb\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a.test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a.test\r\nX: a\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\n Host: a.test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a.test\r\n: nameless\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a.test\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a.test\r\nX: \0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a.test\r\nX(y): z\r\n\r\n",
    ] {
        proxy.refuses(request.as_bytes(), 400).await;
    }
    assert!(upstream.is_left_alone().await);
    proxy.after(&[]).await;
}

#[tokio::test]
async fn case_20_heads_have_bounds_and_the_refusal_can_be_read_by_a_client_that_goes_on() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let head = "GET / HTTP/1.1\r\nHost: a.test\r\n";
    let many_fields: String = (0..100).map(|number| format!("X-{number}: y\r\n")).collect();
    for (request, status) in [
        (format!("GET /{} HTTP/1.1\r\nHost: a.test\r\n", "x".repeat(9 * 1024)), 414),
        (format!("GET /{}", "x".repeat(9 * 1024)), 414),
        (format!("{head}X: {}\r\n", "x".repeat(70 * 1024)), 431),
        (format!("{head}{}", "X: y\r\n".repeat(101)), 431),
        (format!("{head}{many_fields}\r\n"), 431),
    ] {
        let mut client = proxy.client().await;
        client.send(&request).await;
        client.send(&"x".repeat(100 * 1024)).await;
        let (head, _) = client.answer().await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        assert_eq!(field(&head, "connection"), Some("close"));
        client.finish().await;
        client.is_closed().await;
        assert!(proxy.record().await.starts_with(&format!("- - {status} ")));
    }
    assert!(upstream.is_left_alone().await);
    // At the bound all is well.
    let mut client = proxy.client().await;
    let fewer: String = (0..99).map(|number| format!("X-{number}: y\r\n")).collect();
    client.send(&format!("{head}{fewer}\r\n")).await;
    let mut up = upstream.accept().await;
    assert!(up.head().await.contains("X-98: y\r\n"));
    up.no_content().await;
    client.is_answered().await;
    proxy.after(&["GET / 204"]).await;
}

#[tokio::test]
async fn case_21_a_dribbled_head_is_late_however_steadily_it_comes() {
    let (upstream, proxy) = proxied(|setup| setup.limits.head_total = Duration::from_millis(300)).await;
    let mut client = proxy.client().await;
    let begun = Instant::now();
    let (mut reader, mut writer) = client.socket.split();
    let dribble = async {
        let mut ticks = interval(Duration::from_millis(20));
        for byte in "GET / HTTP/1.1\r\nHost: a.test\r\nX: ".bytes().chain(std::iter::repeat(b'x')) {
            ticks.tick().await;
            if tokio::io::AsyncWriteExt::write_all(&mut writer, &[byte]).await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    let mut answer = Vec::new();
    tokio::select! {
        () = dribble => {}
        read = tokio::io::AsyncReadExt::read_to_end(&mut reader, &mut answer) => { read.expect("a clean end"); }
    }
    assert!(begun.elapsed() >= Duration::from_millis(300), "{:?}", begun.elapsed());
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("Connection: close\r\n"), "{answer}");
    assert!(upstream.is_left_alone().await);
    proxy.after(&["- - 408 client_timeout"]).await;
}

#[tokio::test]
async fn case_22_a_connection_without_a_request_is_closed_without_a_word() {
    let (upstream, proxy) = proxied(|setup| {
        setup.limits.first_request = Duration::from_millis(100);
        setup.limits.idle = Duration::from_millis(150);
    })
    .await;
    proxy.client().await.is_closed().await;
    let mut client = proxy.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    client.head().await;
    client.is_closed().await;
    proxy.after(&["GET / 204"]).await;
}

#[tokio::test]
async fn case_23_half_a_head_is_no_request() {
    let (upstream, proxy) = proxied(|_| {}).await;
    for half in ["G", "P", "GET / HTTP/1.1\r\nHost: a.t"] {
        let mut client = proxy.client().await;
        client.send(half).await;
        client.finish().await;
        client.is_closed().await;
    }
    assert!(upstream.is_left_alone().await);
    proxy.after(&["- - 0 client_reset"; 3]).await;
}

#[tokio::test]
async fn cases_24_and_26_fields_of_one_connection_are_not_forwarded() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.client().await;
    client
        .send(
            "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: x-secret, keep-alive\r\nX-Secret: 1\r\nX-Kept: 1\r\n\
             Keep-Alive: timeout=5\r\nTE: trailers\r\nTrailer: X\r\nProxy-Authorization: Basic eA==\r\n\
             Proxy-Connection: keep-alive\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
        )
        .await;
    let mut up = upstream.accept().await;
    let head = up.head().await;
    assert_eq!(own_fields(&head), ["Host: a.test", "X-Kept: 1"]);
    up.no_content().await;
    client.is_answered().await;
    proxy.after(&["GET / 204"]).await;
}

#[tokio::test]
async fn case_25_what_others_rely_on_cannot_be_nominated() {
    let (upstream, proxy) = proxied(|_| {}).await;
    for nominated in
        ["host", "content-length", "Cookie", "authorization", "X-Forwarded-For", "a,b,c,d,e,f,g,h,i,j", "a b", ":path"]
    {
        let request = format!("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: {nominated}\r\n\r\n");
        proxy.refuses(request.as_bytes(), 400).await;
    }
    assert!(upstream.is_left_alone().await);
    proxy.after(&[]).await;
}

#[tokio::test]
async fn case_27_bytes_beyond_ascii_pass_both_ways() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.client().await;
    client.send_bytes(b"GET /\xc3\xa9 HTTP/1.1\r\nHost: a.test\r\nX-Text: \xe9\xff\x80\r\n\r\n").await;
    let mut up = upstream.accept().await;
    let head = up.bytes_until("\r\n\r\n").await;
    assert!(contains(&head, b"X-Text: \xe9\xff\x80\r\n"), "{}", head.escape_ascii());
    up.send_bytes(b"HTTP/1.1 200 Tr\xe8s bien\r\nX-Text: \xe9\xff\x80\r\nContent-Length: 0\r\n\r\n").await;
    let head = client.bytes_until("\r\n\r\n").await;
    assert!(head.starts_with(b"HTTP/1.1 200 Tr\xe8s bien\r\n"), "{}", head.escape_ascii());
    assert!(contains(&head, b"X-Text: \xe9\xff\x80\r\n"), "{}", head.escape_ascii());
    proxy.after(&["GET /%C3%A9 200"]).await;
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

#[tokio::test]
async fn case_30_forwarded_for_is_believed_from_trusted_peers_only() {
    let request = "GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n";
    for (trusted, forwarded, real) in
        [(vec![], "127.0.0.1", "127.0.0.1"), (vec!["127.0.0.0/8"], "192.0.2.1, 127.0.0.1", "192.0.2.1")]
    {
        let (upstream, proxy) = proxied(|setup| setup.trusted_proxies = trusted).await;
        let mut client = proxy.client().await;
        client.send(request).await;
        let mut up = upstream.accept().await;
        let head = up.head().await;
        assert_eq!(field(&head, "x-forwarded-for"), Some(forwarded), "{head}");
        assert_eq!(field(&head, "x-real-ip"), Some(real), "{head}");
        up.no_content().await;
        client.is_answered().await;
        proxy.after(&["GET / 204"]).await;
    }
}

#[tokio::test]
async fn case_31_a_path_has_one_form() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.client().await;
    let mut up: Option<Client> = None;
    for (target, canonical) in
        [("/a/../b", "/b"), ("/a/%2e%2E/b", "/b"), ("/a//b/./c", "/a/b/c"), ("/%61?%2e", "/a?%2e"), ("//", "/")]
    {
        client.send(&format!("GET {target} HTTP/1.1\r\nHost: a.test\r\n\r\n")).await;
        let up = match &mut up {
            Some(up) => up,
            none => none.insert(upstream.accept().await),
        };
        let head = up.head().await;
        assert!(head.starts_with(&format!("GET {canonical} HTTP/1.1\r\n")), "{target}: {head}");
        up.no_content().await;
        client.is_answered().await;
        assert_eq!(proxy.record().await, format!("GET {canonical} 204"));
    }
    for target in ["/a%00", "/%zz", "/%", "/a\\b"] {
        proxy.refuses(format!("GET {target} HTTP/1.1\r\nHost: a.test\r\n\r\n").as_bytes(), 400).await;
    }
    proxy.after(&[]).await;
}

#[tokio::test]
async fn the_record_of_a_refusal_names_what_was_asked_for() {
    let (_upstream, proxy) = proxied(|_| {}).await;
    let long = "x".repeat(9000);
    for (head, method, host, path, status) in [
        ("TRACE /a?b HTTP/1.1\r\nHost: a.test\r\n\r\n".to_owned(), "TRACE", "a.test", "/a?b", 405),
        (format!("GET /{long} HTTP/1.1\r\n"), "GET", "", &format!("/{}…", &long[..63])[..], 414),
        ("GET /\x1b HTTP/1.1\r\nHost: a.test\r\n\r\n".to_owned(), "GET", "a.test", "/\x1b", 400),
        ("GET /b HTTP/1.1\r\nHost : a.test\r\n\r\n".to_owned(), "GET", "", "/b", 400),
    ] {
        let mut client = proxy.client().await;
        client.send(&head).await;
        let (_, body) = client.answer().await;
        let record: serde_json::Value = serde_json::from_str(&proxy.record_line().await).expect("JSON");
        let word = |name: &str| record[name].as_str().unwrap_or_default();
        assert_eq!((word("method"), word("host"), word("path")), (method, host, path));
        assert_eq!((record["status"].as_u64(), record["bytes_out"].as_u64()), (Some(status), Some(body.len() as u64)));
    }
}
