//! Answers: their framing on both sides, their fields, and whether the upstream's connection is used again.

use crate::harness::{Client, Ended, Running, Upstream, field, proxied};

fn request(method: &str, version: &str) -> String {
    format!("{method} / HTTP/{version}\r\nHost: a.test\r\n\r\n")
}

/// A client that has sent this, and the upstream that has read its head.
async fn begun(proxy: &Running, upstream: &Upstream, request: &str) -> (Client, Client) {
    let mut client = proxy.client().await;
    client.send(request).await;
    let mut up = upstream.accept().await;
    up.head().await;
    (client, up)
}

/// Whether the next request of `client` goes to `up`, which carried the one before.
async fn is_used_again(client: &mut Client, up: &mut Client) {
    client.send("GET /again HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    let head = up.head().await;
    assert!(head.starts_with("GET /again "), "{head}");
    up.no_content().await;
    client.is_answered().await;
}

/// Whether `up` is closed, and the next request of `client` goes elsewhere, undisturbed.
async fn is_poison(client: &mut Client, mut up: Client, upstream: &Upstream) {
    assert_eq!(up.rest_and_end().await.0, "");
    client.send("GET /again HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    let mut up = upstream.accept().await;
    assert!(up.head().await.starts_with("GET /again "));
    up.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nclean").await;
    assert_eq!(client.answer().await.1, "clean");
}

#[tokio::test]
async fn case_73_answers_without_a_body_keep_the_length_they_speak_of() {
    for (method, answer) in [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"),
        ("HEAD", "HTTP/1.1 404 Not Found\r\nContent-Length: 100\r\n\r\n"),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n"),
    ] {
        let (upstream, proxy) = proxied(|_| {}).await;
        let (mut client, mut up) = begun(&proxy, &upstream, &request(method, "1.1")).await;
        up.send(answer).await;
        let head = client.head().await;
        assert_eq!(field(&head, "content-length"), Some("100"), "{head}");
        assert_eq!((field(&head, "transfer-encoding"), field(&head, "connection")), (None, None), "{head}");
        is_used_again(&mut client, &mut up).await;
        let code = &answer["HTTP/1.1 ".len()..][..3];
        proxy.after(&[&format!("{method} / {code}"), "GET /again 204"]).await;
    }
}

#[tokio::test]
async fn case_73_a_head_answer_that_would_be_chunked_has_no_body_either() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let (mut client, mut up) = begun(&proxy, &upstream, &request("HEAD", "1.1")).await;
    up.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    client.head().await;
    is_used_again(&mut client, &mut up).await;
    // Without any framing too, which for a GET would mean "until close".
    client.send(&request("HEAD", "1.1")).await;
    up.head().await;
    up.send("HTTP/1.1 200 OK\r\n\r\n").await;
    let head = client.head().await;
    assert_eq!((field(&head, "content-length"), field(&head, "transfer-encoding")), (None, None), "{head}");
    is_used_again(&mut client, &mut up).await;
    proxy.after(&["HEAD / 200", "GET /again 204", "HEAD / 200", "GET /again 204"]).await;
}

#[tokio::test]
async fn cases_74_to_76_and_82_bytes_beyond_an_answer_are_nobodys() {
    for (method, answer, length, body) in [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", Some("5"), ""),
        ("HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", None, ""),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello", Some("5"), ""),
        ("GET", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", None, ""),
        ("GET", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", None, ""),
        ("GET", "HTTP/1.1 205 Reset Content\r\nContent-Length: 5\r\n\r\nhello", Some("0"), ""),
        (
            "GET",
            "HTTP/1.1 205 Reset Content\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            Some("0"),
            "",
        ),
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloextra", Some("5"), "hello"),
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", Some("0"), ""),
    ] {
        let (upstream, proxy) = proxied(|_| {}).await;
        let (mut client, mut up) = begun(&proxy, &upstream, &request(method, "1.1")).await;
        up.send(answer).await;
        let head = client.head().await;
        assert_eq!(field(&head, "content-length"), length, "{answer:?}: {head}");
        assert_eq!((field(&head, "transfer-encoding"), field(&head, "connection")), (None, None), "{head}");
        assert_eq!(client.exactly(body.len()).await, body);
        is_poison(&mut client, up, &upstream).await;
        let code = &answer["HTTP/1.1 ".len()..][..3];
        proxy.after(&[&format!("{method} / {code}"), "GET /again 200"]).await;
    }
}

#[tokio::test]
async fn case_77_an_answer_until_close_is_framed_for_the_client() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let (mut client, mut up) = begun(&proxy, &upstream, &request("GET", "1.1")).await;
    up.send("HTTP/1.1 200 OK\r\n\r\nhello").await;
    let head = client.head().await;
    assert_eq!((field(&head, "transfer-encoding"), field(&head, "connection")), (Some("chunked"), None), "{head}");
    assert_eq!(client.exactly(10).await, "5\r\nhello\r\n");
    drop(up);
    assert_eq!(client.exactly(5).await, "0\r\n\r\n");
    // The client's connection goes on, the upstream's cannot.
    client.send("GET /again HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.no_content().await;
    client.is_answered().await;
    proxy.after(&["GET / 200", "GET /again 204"]).await;

    for version in ["1.0", "1.0\r\nConnection: keep-alive"] {
        let (upstream, proxy) = proxied(|_| {}).await;
        let (mut client, mut up) = begun(&proxy, &upstream, &request("GET", version)).await;
        up.send("HTTP/1.1 200 OK\r\n\r\nhello").await;
        let head = client.head().await;
        assert_eq!((field(&head, "transfer-encoding"), field(&head, "connection")), (None, Some("close")), "{head}");
        drop(up);
        assert_eq!(client.rest_and_end().await, ("hello".to_owned(), Ended::Cleanly));
        proxy.after(&["GET / 200"]).await;
    }
}

#[tokio::test]
async fn case_78_chunks_are_not_for_http10() {
    for version in ["1.0", "1.0\r\nConnection: keep-alive"] {
        let (upstream, proxy) = proxied(|_| {}).await;
        let (mut client, mut up) = begun(&proxy, &upstream, &request("GET", version)).await;
        up.send(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n7;x=y\r\n, world\r\n0\r\nX: y\r\n\r\n",
        )
        .await;
        let head = client.head().await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert_eq!((field(&head, "transfer-encoding"), field(&head, "connection")), (None, Some("close")), "{head}");
        assert_eq!(client.rest_and_end().await, ("hello, world".to_owned(), Ended::Cleanly));
        // The upstream's connection is as good as before.
        let mut next = proxy.client().await;
        is_used_again(&mut next, &mut up).await;
        proxy.after(&["GET / 200", "GET /again 204"]).await;
    }
}

#[tokio::test]
async fn case_83_an_answer_that_nobody_asked_for_is_nobodys() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let (mut client, mut up) = begun(&proxy, &upstream, &request("GET", "1.1")).await;
    up.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    client.answer().await;
    up.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison").await;
    client.send("GET /again HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    let mut fresh = upstream.accept().await;
    assert!(fresh.head().await.starts_with("GET /again "));
    fresh.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nclean").await;
    assert_eq!(client.answer().await.1, "clean");
    assert_eq!(up.rest_and_end().await.0, "");
    proxy.after(&["GET / 200", "GET /again 200"]).await;
}

#[tokio::test]
async fn case_86_an_http10_upstream_is_used_again_if_it_says_so() {
    for (token, is_kept) in
        [("Connection: Keep-Alive\r\n", true), ("", false), ("Connection: keep-alive, close\r\n", false)]
    {
        let (upstream, proxy) = proxied(|_| {}).await;
        let (mut client, mut up) = begun(&proxy, &upstream, &request("GET", "1.1")).await;
        up.send(&format!("HTTP/1.0 200 OK\r\n{token}Content-Length: 2\r\n\r\nok")).await;
        let (head, body) = client.answer().await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert_eq!((field(&head, "connection"), body.as_str()), (None, "ok"), "{head}");
        if is_kept {
            is_used_again(&mut client, &mut up).await;
            proxy.after(&["GET / 200", "GET /again 204"]).await;
        } else {
            is_poison(&mut client, up, &upstream).await;
            proxy.after(&["GET / 200", "GET /again 200"]).await;
        }
    }
}

#[tokio::test]
async fn case_86_an_upstream_that_says_close_is_not_used_again() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let (mut client, mut up) = begun(&proxy, &upstream, &request("GET", "1.1")).await;
    up.send("HTTP/1.1 200 OK\r\nConnection: x\r\nConnection: Close\r\nContent-Length: 2\r\n\r\nok").await;
    let (head, _) = client.answer().await;
    assert_eq!(field(&head, "connection"), None, "{head}");
    is_poison(&mut client, up, &upstream).await;
    proxy.after(&["GET / 200", "GET /again 200"]).await;
}

#[tokio::test]
async fn case_87_date_and_server_are_the_upstreams_if_it_has_them() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let (mut client, mut up) = begun(&proxy, &upstream, &request("GET", "1.1")).await;
    up.send("HTTP/1.1 200 OK\r\nDate: Mon, 01 Jan 2001 00:00:00 GMT\r\nServer: theirs\r\nContent-Length: 0\r\n\r\n")
        .await;
    let head = client.head().await;
    assert!(head.contains("Date: Mon, 01 Jan 2001 00:00:00 GMT\r\n") && head.contains("Server: theirs\r\n"), "{head}");
    assert_eq!(head.matches("Date:").count() + head.matches("Server:").count(), 2, "{head}");
    client.send(&request("GET", "1.1")).await;
    up.head().await;
    up.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let head = client.head().await;
    assert!(field(&head, "date").is_some_and(|date| date.ends_with(" GMT")), "{head}");
    proxy.after(&["GET / 200", "GET / 200"]).await;
}

#[tokio::test]
async fn case_88_fields_of_the_upstreams_connection_stay_there() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let (mut client, mut up) = begun(&proxy, &upstream, &request("GET", "1.1")).await;
    up.send(
        "HTTP/1.1 200 OK\r\nConnection: x-hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nUpgrade: h2c\r\nTE: x\r\n\
         Proxy-Connection: keep-alive\r\nProxy-Authenticate: Basic\r\nTrailer: X\r\nX-Kept: 1\r\nDate: x\r\nServer: y\r\n\
         Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n",
    )
    .await;
    let expected = "HTTP/1.1 200 OK\r\nX-Kept: 1\r\nDate: x\r\nServer: y\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\
                    Content-Length: 0\r\n\r\n";
    assert_eq!(client.head().await, expected);
    proxy.after(&["GET / 200"]).await;
}

#[tokio::test]
async fn case_89_upgrade_required_says_to_what() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let (mut client, mut up) = begun(&proxy, &upstream, &request("GET", "1.1")).await;
    up.send("HTTP/1.1 426 Upgrade Required\r\nUpgrade: TLS/1.0, HTTP/1.1\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\nno").await;
    let (head, body) = client.answer().await;
    assert_eq!(field(&head, "upgrade"), Some("TLS/1.0, HTTP/1.1"), "{head}");
    assert!(field(&head, "connection").is_some_and(|options| options.eq_ignore_ascii_case("upgrade")), "{head}");
    assert_eq!(body, "no");
    is_used_again(&mut client, &mut up).await;
    proxy.after(&["GET / 426", "GET /again 204"]).await;
}

#[tokio::test]
async fn case_95_answers_made_here_have_the_form_that_the_client_prefers() {
    let (upstream, proxy) = proxied(|setup| setup.host = config::HostPattern::Exact("other.test".into())).await;
    let mut client = proxy.client().await;
    for (accept, content_type, body) in [
        ("", "text/plain; charset=utf-8", "404 Not Found\n"),
        ("Accept: */*\r\n", "text/plain; charset=utf-8", "404 Not Found\n"),
        ("Accept: application/json\r\n", "application/json", "{\"status\":404,\"error\":\"Not Found\"}\n"),
        (
            "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n",
            "text/html; charset=utf-8",
            "<!doctype html><title>404 Not Found</title><h1>404 Not Found</h1>\n",
        ),
        (
            "Accept: text/html;q=0.1, application/json;q=0.9\r\n",
            "application/json",
            "{\"status\":404,\"error\":\"Not Found\"}\n",
        ),
    ] {
        client.send(&format!("GET / HTTP/1.1\r\nHost: a.test\r\n{accept}\r\n")).await;
        let (head, found) = client.answer().await;
        assert!(head.starts_with("HTTP/1.1 404 Not Found\r\n"), "{head}");
        assert_eq!((field(&head, "content-type"), found.as_str()), (Some(content_type), body), "{accept}");
        assert_eq!(field(&head, "connection"), None, "{head}");
        client.send(&format!("HEAD / HTTP/1.1\r\nHost: a.test\r\n{accept}\r\n")).await;
        let head = client.head().await;
        assert_eq!(field(&head, "content-length"), Some(body.len().to_string().as_str()), "{head}");
    }
    // After a HEAD nothing but the next answer comes.
    client.send(&request("GET", "1.0")).await;
    assert!(client.answer().await.0.starts_with("HTTP/1.1 404 "));
    client.is_closed().await;
    assert!(upstream.is_left_alone().await);
    let records = [["GET / 404 no_route"; 6].as_slice(), ["HEAD / 404 no_route"; 5].as_slice()].concat();
    proxy.after(&records).await;
}
