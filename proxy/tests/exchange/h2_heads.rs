//! Heads of HTTP/2: which are refused, what becomes of fields on the way, what answers look like.

use crate::harness::frames::{self, END_HEADERS, END_STREAM, frame, kind, literal};
use crate::harness::h2::{BOTH, Over, answer, post, request, respond};
use crate::harness::{field, proxied};
use bytes::Bytes;
use config::BackendProtocol;
use http::Response;

#[tokio::test]
async fn a_request_is_served_in_clear_and_over_tls() {
    for over in BOTH {
        let (upstream, proxy) = proxied(|_| {}).await;
        let mut client = proxy.h2(over).await;
        let response = client.get("/a?b").await;
        let mut up = upstream.accept().await;
        let head = up.head().await;
        assert!(head.starts_with("GET /a?b HTTP/1.1\r\nHost: a.test\r\n"), "{head}");
        let scheme = if over == Over::Tls { "https" } else { "http" };
        assert_eq!(field(&head, "x-forwarded-proto"), Some(scheme));
        up.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").await;
        let answer = answer(response).await;
        assert_eq!((answer.status(), answer.field("content-length"), answer.text()), (200, Some("5"), "hello"));
        assert_eq!(answer.trailers(), None);
        proxy.after(&["GET /a?b 200"]).await;
    }
}

#[tokio::test]
async fn case_14_plain_connect_is_answered_and_the_connection_goes_on() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.h2(Over::Clear).await;
    let connect = http::Request::builder().method("CONNECT").uri("a.test:443").body(()).expect("a request");
    let refused = answer(client.send(connect, true).await.0).await;
    assert_eq!(refused.status(), 405);
    assert!(refused.field("allow").is_some_and(|allow| allow.contains("GET")));
    let response = client.get("/").await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(answer(response).await.status(), 204);
    proxy.after(&["- - 405 method_not_allowed", "GET / 204"]).await;
}

#[tokio::test]
async fn case_28_cookie_crumbs_are_one_line() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.h2(Over::Clear).await;
    let crumbs = request("GET", "/").header("cookie", "a=1").header("cookie", "b=2").header("cookie", "c=3");
    let _response = client.send(crumbs.body(()).expect("a request"), true).await;
    let head = upstream.accept().await.head().await;
    assert_eq!(field(&head, "cookie"), Some("a=1; b=2; c=3"));
    assert_eq!(head.to_ascii_lowercase().matches("\r\ncookie:").count(), 1, "{head}");
}

#[tokio::test]
async fn case_29_cookies_that_are_set_stay_apart() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.h2(Over::Clear).await;
    let response = client.get("/").await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.send("HTTP/1.1 204 No Content\r\nSet-Cookie: a=1, x\r\nSet-Cookie: b=2\r\n\r\n").await;
    let answer = answer(response).await;
    let set: Vec<_> = answer.head.headers.get_all("set-cookie").iter().collect();
    assert_eq!(set, ["a=1, x", "b=2"]);
    proxy.after(&["GET / 204"]).await;
}

#[tokio::test]
async fn case_32_a_host_that_is_not_clear_is_refused_for_its_stream_only() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.h2(Over::Clear).await;
    let served = client.get("/kept").await;
    let mut up = upstream.accept().await;
    up.head().await;

    let different = request("GET", "/").header("host", "b.test").body(()).expect("a request");
    let two_hosts = request("GET", "/").header("host", "a.test").header("host", "a.test").body(()).expect("a request");
    let userinfo = http::Request::builder().uri("http://me@a.test/").body(()).expect("a request");
    for refused in [different, two_hosts, userinfo] {
        let said = format!("{refused:?}");
        assert_eq!(answer(client.send(refused, true).await.0).await.status(), 400, "{said}");
    }
    let mut nobody = proxy.frames(Over::Clear).await;
    nobody.send_bytes(&frames::head(1, &[(":method", "GET"), (":scheme", "http"), (":path", "/")])).await;
    // `:status: 400` of the static table.
    assert_eq!(nobody.until(kind::HEADERS).await.payload.first(), Some(&0x8c));

    up.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(answer(served).await.status(), 204);
    assert!(upstream.is_left_alone().await);
    proxy.after(&[&["- - 400 bad_host"; 4][..], &["GET /kept 204"]].concat()).await;
}

#[tokio::test]
async fn case_32_a_host_field_that_agrees_is_taken() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.h2(Over::Clear).await;
    let same = request("GET", "/").header("host", "A.test:80").body(()).expect("a request");
    let _response = client.send(same, true).await;
    let head = upstream.accept().await.head().await;
    assert_eq!(head.to_ascii_lowercase().matches("\r\nhost:").count(), 1, "{head}");
    assert_eq!(field(&head, "host"), Some("a.test"));
}

#[tokio::test]
async fn case_46_a_post_without_body_says_so_to_http1() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.h2(Over::Clear).await;
    let _response = client.send(post("/"), true).await;
    let head = upstream.accept().await.head().await;
    assert_eq!((field(&head, "content-length"), field(&head, "transfer-encoding")), (Some("0"), None), "{head}");
}

#[tokio::test]
async fn case_54_an_expectation_is_met_by_the_upstream() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.h2(Over::Clear).await;
    let expecting = request("POST", "/").header("expect", "100-continue").header("content-length", "2");
    let (mut response, mut stream) = client.send(expecting.body(()).expect("a request"), false).await;
    let mut up = upstream.accept().await;
    assert_eq!(field(&up.head().await, "expect"), Some("100-continue"));
    up.send("HTTP/1.1 100 Continue\r\n\r\n").await;
    assert_eq!(informational(&mut response).await.status(), 100);
    stream.send_data(Bytes::from_static(b"hi"), true).expect("open");
    assert_eq!(up.exactly(2).await, "hi");
    up.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(answer(response).await.status(), 200);
    proxy.after(&["POST / 200"]).await;
}

#[tokio::test]
async fn case_54_a_100_that_nobody_waits_for_is_dropped() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.frames(Over::Clear).await;
    client.send_bytes(&frames::head(1, &frames::get("/"))).await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    client.is_served(1).await;
    proxy.after(&["GET / 200"]).await;
}

#[tokio::test]
async fn case_70_early_hints_are_passed_on_in_order() {
    for over in BOTH {
        let (upstream, proxy) = proxied(|_| {}).await;
        let mut client = proxy.h2(over).await;
        let mut response = client.get("/").await;
        let mut up = upstream.accept().await;
        up.head().await;
        for link in ["</a>", "</b>"] {
            up.send(&format!("HTTP/1.1 103 Early Hints\r\nLink: {link}\r\nConnection: x-hop\r\nX-Hop: 1\r\n\r\n"))
                .await;
            let hints = informational(&mut response).await;
            assert_eq!((hints.status().as_u16(), hints.headers().len()), (103, 1), "{hints:?}");
            assert_eq!(hints.headers()["link"], link);
        }
        up.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        assert_eq!(answer(response).await.status(), 200);
        proxy.after(&["GET / 200"]).await;
    }
}

#[tokio::test]
async fn case_70_early_hints_of_an_http2_upstream_are_passed_on() {
    let (upstream, proxy) = proxied(|setup| setup.protocol = BackendProtocol::H2c).await;
    let mut client = proxy.h2(Over::Clear).await;
    let mut response = client.get("/").await;
    let mut up = upstream.accept_h2().await;
    let (_, mut sent) = up.request().await;
    for link in ["</a>", "</b>"] {
        let hints = Response::builder().status(103).header("link", link).body(()).expect("a response");
        sent.send_informational(hints).expect("open");
        let hints = informational(&mut response).await;
        assert_eq!((hints.status().as_u16(), &hints.headers()["link"]), (103, &link.parse().expect("a value")));
    }
    respond(&mut sent, 200, "all");
    assert_eq!(answer(response).await.text(), "all");
    proxy.after(&["GET / 200"]).await;
}

/// The next interim head.
async fn informational(response: &mut h2::client::ResponseFuture) -> Response<()> {
    let next = std::future::poll_fn(|cx| response.poll_informational(cx));
    let next = tokio::time::timeout(crate::harness::PATIENCE, next).await.expect("no interim head");
    next.expect("not the final head").expect("no error")
}

#[tokio::test]
async fn case_88_connection_fields_of_an_answer_stay_here() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.h2(Over::Clear).await;
    let response = client.get("/").await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.send(
        "HTTP/1.1 200 OK\r\nConnection: x-hop, keep-alive\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nUpgrade: h2c\r\n\
         Proxy-Connection: keep-alive\r\nTransfer-Encoding: chunked\r\nX-Kept: 1\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    )
    .await;
    let answer = answer(response).await;
    assert_eq!((answer.status(), answer.text()), (200, "ok"));
    let mut names: Vec<_> = answer.head.headers.keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["date", "server", "x-kept"]);
    proxy.after(&["GET / 200"]).await;
}

#[tokio::test]
async fn case_95_local_answers_come_in_the_form_that_is_asked_for() {
    let proxy = crate::harness::Setup::to(&[]).start().await;
    let mut client = proxy.h2(Over::Clear).await;
    for (accept, content_type) in [
        (Some("application/json"), "application/json"),
        (Some("text/html,*/*;q=0.8"), "text/html; charset=utf-8"),
        (None, "text/plain; charset=utf-8"),
    ] {
        for method in ["GET", "HEAD"] {
            let asking =
                accept.into_iter().fold(request(method, "/"), |asking, accept| asking.header("accept", accept));
            let answer = answer(client.send(asking.body(()).expect("a request"), true).await.0).await;
            assert_eq!((answer.status(), answer.field("content-type")), (503, Some(content_type)));
            let length: usize = answer.field("content-length").expect("a length").parse().expect("a number");
            assert!(length > 0);
            assert_eq!(answer.body.len(), if method == "GET" { length } else { 0 }, "{method} {accept:?}");
        }
    }
    proxy.after(&[["GET / 503 no_endpoint"; 3], ["HEAD / 503 no_endpoint"; 3]].concat()).await;
}

#[tokio::test]
async fn case_137_priorities_are_passed_on_as_a_field_and_ignored_as_frames() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.frames(Over::Clear).await;
    client.send(kind::PRIORITY_UPDATE, 0, 0, b"\0\0\0\x01u=0").await;
    client.send(kind::PRIORITY, 0, 3, &[0, 0, 0, 0, 15]).await;
    let fields = [&frames::get("/")[..], &[("priority", "u=1, i")]].concat();
    client.send_bytes(&frames::head(1, &fields)).await;
    let mut up = upstream.accept().await;
    assert_eq!(field(&up.head().await, "priority"), Some("u=1, i"));
    up.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    client.is_served(1).await;
    proxy.after(&["GET / 200"]).await;
}

#[tokio::test]
async fn a_head_may_be_spread_over_continuations() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.frames(Over::Clear).await;
    let block = literal(&[&frames::get("/")[..], &[("x-long", &"x".repeat(40_000))]].concat());
    let (first, rest) = block.split_at(16_000);
    let (second, third) = rest.split_at(16_000);
    let frames = [
        frame(kind::HEADERS, END_STREAM, 1, first),
        frame(kind::CONTINUATION, 0, 1, second),
        frame(kind::CONTINUATION, END_HEADERS, 1, third),
    ];
    client.send_bytes(&frames.concat()).await;
    let mut up = upstream.accept().await;
    assert_eq!(field(&up.head().await, "x-long").map(str::len), Some(40_000));
    up.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    client.is_served(1).await;
    proxy.after(&["GET / 200"]).await;
}
