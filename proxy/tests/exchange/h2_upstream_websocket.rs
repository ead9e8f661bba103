//! Whether a WebSocket is opened to an upstream that speaks HTTP/2 alone (RFC 8441): what is asked, and what is answered.

use crate::harness::frames::{END_HEADERS, END_STREAM, Frames, STATUS_200, kind, literal};
use crate::harness::h2::{H2Peer, Over, answer, get, head, respond};
use crate::harness::tunnel::{SWITCHING, UPGRADE, WILLING, client, connect, echoes, h2c};
use crate::harness::{Setup, Upstream, field};
use config::BackendProtocol;
use h2::Reason;
use h2::ext::Protocol;
use http::{HeaderMap, Method, Request, Response};
use std::time::Duration;

const GET: &str = "GET /next HTTP/1.1\r\nHost: a.test\r\n\r\n";

async fn willing(upstream: &Upstream) -> H2Peer {
    upstream.accept_h2_with(|builder| _ = builder.enable_connect_protocol()).await
}

/// A field of a head that says it once at most.
fn value<'h>(map: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let values: Vec<_> = map.get_all(name).iter().map(|value| value.to_str().expect("text")).collect();
    assert!(values.len() < 2, "{name}: {values:?}");
    values.first().copied()
}

/// What every extended CONNECT for a WebSocket says, and what none does.
fn is_connect<B>(asked: &Request<B>, path: &str) {
    assert_eq!((asked.method(), asked.uri().to_string()), (&Method::CONNECT, format!("http://a.test{path}")));
    assert_eq!(asked.extensions().get::<Protocol>().map(Protocol::as_str), Some("websocket"));
    assert_eq!(value(asked.headers(), "sec-websocket-version"), Some("13"));
    assert_eq!(value(asked.headers(), "sec-websocket-protocol"), Some("chat"));
    for name in ["sec-websocket-key", "upgrade", "connection", "host", "content-length", "transfer-encoding"] {
        assert_eq!(value(asked.headers(), name), None, "{asked:?}", asked = asked.headers());
    }
}

fn agreement() -> Response<()> {
    let response = Response::builder().header("sec-websocket-protocol", "chat");
    response.header("sec-websocket-extensions", "permessage-deflate").body(()).expect("a response")
}

#[tokio::test]
async fn an_upgrade_goes_on_as_an_extended_connect() {
    let (upstream, proxy) = h2c(|_| {}).await;
    let mut client = proxy.client().await;
    let extra =
        "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Extensions: permessage-deflate; x\r\nCookie: a=b\r\n\r\n";
    client.send(&UPGRADE.replace("13\r\n\r\n", &format!("13\r\n{extra}"))).await;
    let mut up = willing(&upstream).await;
    let (asked, mut sent) = up.request().await;
    is_connect(&asked, "/chat");
    assert_eq!(value(asked.headers(), "sec-websocket-extensions"), Some("permessage-deflate; x"));
    assert_eq!(value(asked.headers(), "cookie"), Some("a=b"));
    assert_eq!(value(asked.headers(), "x-forwarded-host"), Some("a.test"));
    assert!(!asked.body().is_end_stream());
    let _send = sent.send_response(agreement(), false).expect("open");
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
    for (name, value) in [
        ("upgrade", Some("websocket")),
        ("connection", Some("upgrade")),
        // RFC 6455 §1.3.
        ("sec-websocket-accept", Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")),
        ("sec-websocket-protocol", Some("chat")),
        ("sec-websocket-extensions", Some("permessage-deflate")),
        ("content-length", None),
        ("transfer-encoding", None),
    ] {
        assert_eq!(field(&head, name), value, "{head}");
    }
    client.reset();
    proxy.after(&["GET /chat 101 client_gone cut"]).await;
}

#[tokio::test]
async fn an_extended_connect_goes_on_as_one() {
    for over in [Over::Clear, Over::Tls] {
        let (upstream, proxy) = h2c(|_| {}).await;
        let mut client = client(&proxy, over).await;
        let (response, _send) = connect(&mut client, "websocket").await;
        let mut up = willing(&upstream).await;
        let (asked, mut sent) = up.request().await;
        is_connect(&asked, "/chat?room=1");
        let _send = sent.send_response(agreement(), false).expect("open");
        let accepted = head(response).await;
        assert_eq!(accepted.status(), 200);
        assert_eq!(value(accepted.headers(), "sec-websocket-protocol"), Some("chat"));
        assert_eq!(value(accepted.headers(), "sec-websocket-extensions"), Some("permessage-deflate"));
        assert_eq!(
            (value(accepted.headers(), "upgrade"), value(accepted.headers(), "sec-websocket-accept")),
            (None, None)
        );
    }
}

#[tokio::test]
async fn every_2xx_opens_the_tunnel() {
    let (upstream, proxy) = h2c(|_| {}).await;
    let mut up: Option<Frames> = None;
    for (number, status) in ["201", "204", "205", "299"].into_iter().enumerate() {
        let mut client = proxy.client().await;
        client.send(UPGRADE).await;
        let up = match &mut up {
            Some(up) => up,
            None => up.insert(upstream.accept_frames(&WILLING).await),
        };
        let stream = up.until(kind::HEADERS).await.stream;
        // A proof of the upstream's own is none for the client's key, and a tunnel has no length.
        let fields = literal(&[(":status", status), ("sec-websocket-accept", "x"), ("content-length", "5")]);
        up.send(kind::HEADERS, END_HEADERS, stream, &fields).await;
        up.send(kind::DATA, END_STREAM, stream, b"hello").await;
        let head = client.head().await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{status}: {head}");
        assert_eq!(field(&head, "sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
        assert_eq!(field(&head, "content-length"), None, "{head}");
        assert_eq!(client.exactly(5).await, "hello");
        client.is_closed().await;
        client.finish().await;
        assert_eq!(up.until(kind::DATA).await.flags, END_STREAM, "{number}");
    }
    proxy.after(&["GET /chat 101"; 4]).await;
}

#[tokio::test]
async fn a_refusal_is_an_ordinary_answer_and_both_connections_serve_on() {
    let (upstream, proxy) = h2c(|_| {}).await;
    let mut client = proxy.client().await;
    client.send(UPGRADE).await;
    let mut up = upstream.accept_frames(&WILLING).await;
    let stream = up.until(kind::HEADERS).await.stream;
    up.send(kind::HEADERS, END_HEADERS, stream, &literal(&[(":status", "403"), ("content-length", "2")])).await;
    up.send(kind::DATA, END_STREAM, stream, b"no").await;
    let (head, body) = client.answer().await;
    assert!(head.starts_with("HTTP/1.1 403 Forbidden\r\n") && body == "no", "{head}");
    assert_eq!((field(&head, "upgrade"), field(&head, "connection")), (None, None), "{head}");
    // The request ends; it is not cancelled.
    let end = up.find(|frame| frame.stream == stream && frame.kind != kind::WINDOW_UPDATE).await;
    assert_eq!((end.kind, end.flags, end.payload.len()), (kind::DATA, END_STREAM, 0));
    client.send(GET).await;
    let next = up.until(kind::HEADERS).await.stream;
    up.send(kind::HEADERS, END_HEADERS | END_STREAM, next, &literal(&[(":status", "204")])).await;
    client.is_answered().await;
    assert!(upstream.is_left_alone().await);
    proxy.after(&["GET /chat 403", "GET /next 204"]).await;
}

#[tokio::test]
async fn what_came_with_a_refused_upgrade_is_the_next_request() {
    let (upstream, proxy) = h2c(|_| {}).await;
    let mut client = proxy.client().await;
    client.send(&format!("{UPGRADE}{GET}")).await;
    let mut up = willing(&upstream).await;
    let (_, mut sent) = up.request().await;
    respond(&mut sent, 403, "no");
    assert!(client.answer().await.0.starts_with("HTTP/1.1 403 "));
    let (asked, mut sent) = up.request().await;
    assert_eq!((asked.method(), asked.uri().path()), (&Method::GET, "/next"));
    respond(&mut sent, 204, "");
    client.is_answered().await;
    proxy.after(&["GET /chat 403", "GET /next 204"]).await;
}

#[tokio::test]
async fn a_refusal_of_an_extended_connect_is_passed_on() {
    let (upstream, proxy) = h2c(|_| {}).await;
    let mut client = client(&proxy, Over::Clear).await;
    let (response, _send) = connect(&mut client, "websocket").await;
    let mut up = willing(&upstream).await;
    let (_, mut sent) = up.request().await;
    respond(&mut sent, 403, "no");
    let refused = answer(response).await;
    assert_eq!((refused.status(), refused.text()), (403, "no"));
    let response = client.get("/next").await;
    let (_, mut sent) = up.request().await;
    respond(&mut sent, 200, "");
    assert_eq!(answer(response).await.status(), 200);
    assert!(upstream.is_left_alone().await);
    proxy.after(&["GET /chat?room=1 403", "GET /next 200"]).await;
}

#[tokio::test]
async fn interim_heads_pass_and_a_101_is_none() {
    let (upstream, proxy) = h2c(|_| {}).await;
    let mut client = proxy.client().await;
    client.send(UPGRADE).await;
    let mut up = upstream.accept_frames(&WILLING).await;
    let stream = up.until(kind::HEADERS).await.stream;
    up.send(kind::HEADERS, END_HEADERS, stream, &literal(&[(":status", "103"), ("link", "</a>")])).await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 103 Early Hints\r\n"), "{head}");
    up.send(kind::HEADERS, END_HEADERS, stream, &literal(&[(":status", "101")])).await;
    let (head, _) = client.answer().await;
    assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
    proxy.after(&["GET /chat 502 upstream_protocol"]).await;
}

#[tokio::test]
async fn an_upstream_that_takes_none_is_not_asked_and_not_blamed() {
    let (one, other) = (Upstream::bind().await, Upstream::bind().await);
    let proxy = Setup::to(&[one.address, other.address]).speaking(BackendProtocol::H2c).start().await;
    let mut client = client(&proxy, Over::Clear).await;
    let (response, _send) = connect(&mut client, "websocket").await;
    let (mut up, other) = tokio::select! {
        up = one.accept_frames(&[]) => (up, &other),
        up = other.accept_frames(&[]) => (up, &one),
    };
    assert_eq!(answer(response).await.status(), 502);
    assert!(other.is_left_alone().await);

    // The other's turn, which is another program.
    let (response, mut send) = connect(&mut client, "websocket").await;
    let mut willing = other.accept_frames(&WILLING).await;
    let stream = willing.until(kind::HEADERS).await.stream;
    willing.send(kind::HEADERS, END_HEADERS, stream, &[STATUS_200]).await;
    let accepted = head(response).await;
    assert_eq!(accepted.status(), 200);

    // The connection of the first is as good as it was, and has seen nothing.
    let response = client.get("/next").await;
    assert_eq!(up.until(kind::HEADERS).await.stream, 1);
    up.send(kind::HEADERS, END_HEADERS | END_STREAM, 1, &[STATUS_200]).await;
    assert_eq!(answer(response).await.status(), 200);
    assert!(other.is_left_alone().await);
    assert_eq!(proxy.ejections().await, 0);
    send.send_reset(Reason::CANCEL);
    let records = ["GET /chat?room=1 502 no_websocket", "GET /chat?room=1 101 client_gone cut", "GET /next 200"];
    proxy.after(&records).await;
}

#[tokio::test]
async fn a_connection_that_begins_to_take_them_is_believed() {
    let (upstream, proxy) = h2c(|_| {}).await;
    let mut client = proxy.client().await;
    client.send(UPGRADE).await;
    let mut up = upstream.accept_frames(&[]).await;
    let (head, _) = client.answer().await;
    assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
    up.send(kind::SETTINGS, 0, 0, &[0, 8, 0, 0, 0, 1]).await;
    up.knows_all().await;
    client.send(UPGRADE).await;
    let stream = up.until(kind::HEADERS).await.stream;
    up.send(kind::HEADERS, END_HEADERS, stream, &[STATUS_200]).await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    client.reset();
    proxy.after(&["GET /chat 502 no_websocket", "GET /chat 101 client_gone cut"]).await;
}

#[tokio::test]
async fn an_upgrade_without_a_key_is_a_bad_request() {
    let (upstream, proxy) = h2c(|_| {}).await;
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let mut up: Option<Frames> = None;
    for keys in ["", "Sec-WebSocket-Key: short\r\n", &key.repeat(2)] {
        let mut client = proxy.client().await;
        client.send(&UPGRADE.replace(key, keys)).await;
        let up = match &mut up {
            Some(up) => up,
            None => up.insert(upstream.accept_frames(&WILLING).await),
        };
        let (head, _) = client.answer().await;
        assert!(head.starts_with("HTTP/1.1 400 "), "{keys:?}: {head}");
        // Of an ordinary request it is asked for as little as ever.
        client.send(GET).await;
        let stream = up.until(kind::HEADERS).await.stream;
        up.send(kind::HEADERS, END_HEADERS | END_STREAM, stream, &literal(&[(":status", "204")])).await;
        client.is_answered().await;
    }
    let records = [["GET /chat 400 bad_request"; 3], ["GET /next 204"; 3]].concat();
    proxy.after(&records).await;
}

#[tokio::test]
async fn an_upstream_that_wants_http1_for_it_gets_an_upgrade() {
    let (upstream, proxy) = h2c(|_| {}).await;
    let mut client = proxy.client().await;
    client.send(UPGRADE).await;
    let mut up = upstream.accept_frames(&WILLING).await;
    let stream = up.until(kind::HEADERS).await.stream;
    up.send(kind::RST_STREAM, 0, stream, &u32::from(Reason::HTTP_1_1_REQUIRED).to_be_bytes()).await;
    let mut upgraded = upstream.accept().await;
    let asked = upgraded.head().await;
    assert_eq!(field(&asked, "sec-websocket-key"), Some("dGhlIHNhbXBsZSBub25jZQ=="), "{asked}");
    upgraded.send(SWITCHING).await;
    client.head().await;
    echoes(&mut client, &mut upgraded).await;

    // The next one is not asked for in vain, and all else goes on as before: no client can talk it out of HTTP/2.
    let mut client = proxy.client().await;
    client.send(UPGRADE).await;
    let mut upgraded = upstream.accept().await;
    upgraded.head().await;
    upgraded.send(SWITCHING).await;
    client.head().await;
    let mut client = proxy.client().await;
    client.send(GET).await;
    let stream = up.until(kind::HEADERS).await.stream;
    up.send(kind::HEADERS, END_HEADERS | END_STREAM, stream, &literal(&[(":status", "204")])).await;
    client.is_answered().await;
    assert!(upstream.is_left_alone().await);
}

#[tokio::test]
async fn a_refused_stream_is_asked_for_again() {
    let (upstream, proxy) = h2c(|_| {}).await;
    let mut client = proxy.client().await;
    client.send(&format!("{UPGRADE}early")).await;
    let mut up = upstream.accept_frames(&WILLING).await;
    let stream = up.until(kind::HEADERS).await.stream;
    up.send(kind::RST_STREAM, 0, stream, &u32::from(Reason::REFUSED_STREAM).to_be_bytes()).await;
    let stream = up.until(kind::HEADERS).await.stream;
    up.send(kind::HEADERS, END_HEADERS, stream, &[STATUS_200]).await;
    client.head().await;
    assert_eq!(up.until(kind::DATA).await.payload, b"early");
}

#[tokio::test]
async fn an_upstream_that_never_says_its_settings_is_a_connection_that_was_not_made() {
    let (upstream, proxy) = h2c(|setup| setup.limits.connect = Duration::from_millis(200)).await;
    let mut client = proxy.client().await;
    for _ in 0..2 {
        client.send(UPGRADE).await;
        // The connection is not used again.
        let mut silent = upstream.accept_silent_frames().await;
        let (head, _) = client.answer().await;
        assert!(head.starts_with("HTTP/1.1 504 "), "{head}");
        let (code, _) = silent.end().await;
        assert!(code.is_none_or(|code| code == u32::from(Reason::NO_ERROR)), "{code:?}");
    }
    proxy.after(&["GET /chat 504 connect_timeout"; 2]).await;
}

#[tokio::test]
async fn an_upstream_that_closes_before_its_settings_does_not_speak_http2() {
    let (upstream, proxy) = h2c(|_| {}).await;
    let mut client = proxy.client().await;
    client.send(UPGRADE).await;
    drop(upstream.accept_silent_frames().await);
    let (head, _) = client.answer().await;
    assert!(head.starts_with("HTTP/1.1 502 "), "{head}");

    // One of HTTP/1 alone, which its Service says otherwise of.
    client.send(UPGRADE).await;
    let mut up = upstream.accept().await;
    up.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await;
    let (head, _) = client.answer().await;
    assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
    proxy.after(&["GET /chat 502 upstream_protocol"; 2]).await;
}

#[tokio::test]
async fn settings_that_come_late_are_waited_for_on_a_connection_that_serves_already() {
    let (upstream, proxy) = h2c(|_| {}).await;
    let mut others = proxy.h2(Over::Clear).await;
    let response = others.send(get("/first"), true).await.0;
    let mut up = upstream.accept_silent_frames().await;
    let first = up.until(kind::HEADERS).await.stream;
    up.send(kind::HEADERS, END_HEADERS | END_STREAM, first, &[STATUS_200]).await;
    assert_eq!(answer(response).await.status(), 200);
    let mut client = proxy.client().await;
    client.send(&format!("{UPGRADE}early")).await;
    up.knows_all().await;
    up.send(kind::SETTINGS, 0, 0, &[0, 8, 0, 0, 0, 1]).await;
    let stream = up.until(kind::HEADERS).await.stream;
    up.send(kind::HEADERS, END_HEADERS, stream, &[STATUS_200]).await;
    client.head().await;
    assert_eq!(up.until(kind::DATA).await.payload, b"early");
    assert!(upstream.is_left_alone().await);
}

#[tokio::test]
async fn a_client_that_leaves_while_settings_are_awaited_is_gone() {
    let (upstream, proxy) = h2c(|_| {}).await;
    let mut client = proxy.client().await;
    client.send(UPGRADE).await;
    let _silent = upstream.accept_silent_frames().await;
    client.reset();
    proxy.after(&["GET /chat 499 client_gone cut"]).await;
}
