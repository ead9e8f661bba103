//! TLS on both sides: what is agreed on by ALPN, and certificates that are not believed.

use crate::harness::h2::{H2Peer, Over, answer, body, head, post, request, respond};
use crate::harness::tls::{acceptor, any_certificate};
use crate::harness::{Client, PATIENCE, Running, Setup, Upstream, proxied};
use config::{BackendProtocol, Trust, UpstreamTls};
use h2::Reason;
use tidegate_proxy::tls::upstream::UpstreamAlpn;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A proxy in front of an upstream that speaks TLS.
async fn https(change: impl FnOnce(&mut Setup)) -> (Upstream, Running) {
    proxied(|setup| {
        setup.protocol = BackendProtocol::Https;
        setup.tls = Some(any_certificate());
        change(setup);
    })
    .await
}

#[tokio::test]
async fn a_client_that_offers_http1_alone_gets_it() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = Client::over(proxy.tls(UpstreamAlpn::Http1).await);
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    assert_eq!(client.answer().await.1, "ok");
    proxy.after(&["GET / 200"]).await;
}

#[tokio::test]
async fn an_upstream_that_agrees_on_http2_shares_its_connection() {
    let (upstream, proxy) = https(|_| {}).await;
    let mut client = proxy.h2(Over::Tls).await;
    let acceptor = acceptor(&["h2", "http/1.1"]);
    let first = client.post(post("/1"), "hi").await;
    let mut up = H2Peer::over(upstream.accept_tls(&acceptor).await.socket, |_| {}).await;
    let (mut seen, mut sent) = up.request().await;
    assert_eq!(seen.uri(), "https://a.test/1");
    assert_eq!(body(seen.body_mut()).await.0, b"hi");
    let second = client.get("/2").await;
    let (_, mut sent_too) = up.request().await;
    respond(&mut sent_too, 200, "two");
    respond(&mut sent, 200, "one");
    assert_eq!((answer(first).await.text(), answer(second).await.text()), ("one", "two"));
    assert!(upstream.is_left_alone().await);
    proxy.after(&["POST /1 200", "GET /2 200"]).await;
}

#[tokio::test]
async fn an_upstream_without_http2_is_asked_on_connections_of_their_own_at_once() {
    for alpn in [&["http/1.1"][..], &[]] {
        let (upstream, proxy) = https(|_| {}).await;
        let mut client = proxy.h2(Over::Clear).await;
        let acceptor = acceptor(alpn);
        let mut responses = vec![];
        for number in 0..20 {
            responses.push(client.get(&format!("/{number}")).await);
        }
        // Every one of them is connected before any is answered.
        let mut ups = vec![];
        for _ in 0..20 {
            let mut up = upstream.accept_tls(&acceptor).await;
            assert!(up.head().await.starts_with("GET /"));
            ups.push(up);
        }
        for up in &mut ups {
            up.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        }
        for response in responses {
            assert_eq!(answer(response).await.text(), "ok");
        }
        // They are kept.
        let response = client.get("/again").await;
        let mut heads = tokio::task::JoinSet::new();
        assert!(upstream.is_left_alone().await);
        for mut up in ups {
            heads.spawn(async move {
                up.head().await;
                up
            });
        }
        let mut up = heads.join_next().await.expect("one of them").expect("read");
        heads.abort_all();
        up.send("HTTP/1.1 204 No Content\r\n\r\n").await;
        assert_eq!(answer(response).await.status(), 204);
    }
}

#[tokio::test]
async fn case_127_an_upstream_that_wants_http1_after_all_gets_it_by_alpn() {
    let (upstream, proxy) = https(|_| {}).await;
    let mut client = proxy.h2(Over::Clear).await;
    let acceptor = acceptor(&["h2", "http/1.1"]);
    let response = client.get("/").await;
    let mut up = H2Peer::over(upstream.accept_tls(&acceptor).await.socket, |_| {}).await;
    let (_, mut sent) = up.request().await;
    sent.send_reset(Reason::HTTP_1_1_REQUIRED);
    let mut up = upstream.accept_tls(&acceptor).await;
    assert_eq!(up.socket.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    assert!(up.head().await.starts_with("GET / HTTP/1.1\r\n"));
    up.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    assert_eq!(answer(response).await.text(), "ok");
    proxy.after(&["GET / 200"]).await;
}

#[tokio::test]
async fn a_websocket_to_an_https_upstream_offers_http1_alone() {
    let (upstream, proxy) = https(|_| {}).await;
    let mut client = proxy.client().await;
    client
        .send("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n")
        .await;
    let mut up = upstream.accept_tls(&acceptor(&["h2", "http/1.1"])).await;
    assert_eq!(up.socket.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    up.head().await;
    up.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello").await;
    assert!(client.head().await.starts_with("HTTP/1.1 101 "));
    assert_eq!(client.exactly(5).await, "hello");
}

#[tokio::test]
async fn case_152_a_certificate_that_is_not_believed_is_a_502_at_once() {
    for server_name in [Some("backend.test"), Some("other.test"), None] {
        let tls = UpstreamTls { server_name: server_name.map(Into::into), trust: Trust::PublicRoots };
        let (upstream, proxy) = https(|setup| setup.tls = Some(tls)).await;
        let mut client = proxy.h2(Over::Clear).await;
        // Its errors name their reason.
        let call = request("POST", "/").header("content-type", "application/grpc").body(()).expect("a request");
        let response = client.post(call, "hi").await;
        let socket = upstream.accept().await.socket;
        let refused = timeout(PATIENCE, acceptor(&["h2"]).accept(socket)).await.expect("no handshake");
        assert!(refused.is_err(), "the proxy does not go on");
        let answered = head(response).await;
        for (name, value) in [("grpc-status", "14"), ("grpc-message", "tls_failed")] {
            assert_eq!(answered.headers()[name], value);
        }
        assert!(upstream.is_left_alone().await);
        proxy.after(&["POST / 200 tls_failed"]).await;
    }
}

#[tokio::test]
async fn an_upstream_that_does_not_speak_tls_is_a_502() {
    let (upstream, proxy) = https(|_| {}).await;
    let mut client = proxy.h2(Over::Clear).await;
    let response = client.get("/").await;
    let mut up = upstream.accept().await;
    up.send("HTTP/1.1 400 Bad Request\r\n\r\n").await;
    assert_eq!(answer(response).await.status(), 502);
    assert!(upstream.is_left_alone().await);
    proxy.after(&["GET / 502 tls_failed"]).await;
}

#[tokio::test]
async fn what_is_no_tls_gets_no_answer_on_its_port() {
    let (_upstream, proxy) = proxied(|_| {}).await;
    let mut socket = TcpStream::connect(proxy.https).await.expect("connect");
    tokio::io::AsyncWriteExt::write_all(&mut socket, b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await.expect("send");
    let mut said = vec![];
    // An alert, or nothing.
    let _ = timeout(PATIENCE, socket.read_to_end(&mut said)).await.expect("closed");
    assert!(!said.starts_with(b"HTTP"), "{said:?}");
}

#[tokio::test]
async fn tls_on_the_plain_port_is_closed() {
    let (_upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.client().await;
    client.send_bytes(&[0x16, 3, 1, 0, 5]).await;
    assert_eq!(client.rest_and_end().await.0, "");
}
