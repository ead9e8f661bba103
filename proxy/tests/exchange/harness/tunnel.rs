//! A WebSocket through the proxy, from the request to the open tunnel.

use super::h2::{H2Client, Over};
use super::{Client, Running, Setup, Upstream, proxied};
use bytes::Bytes;
use config::BackendProtocol;
use h2::SendStream;
use h2::client::ResponseFuture;
use h2::ext::Protocol;
use http::Request;

/// A request for one; its key is that of RFC 6455 §1.3.
pub(crate) const UPGRADE: &str = "GET /chat HTTP/1.1\r\nHost: a.test\r\n\
                                  Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\
                                  Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
/// The SETTINGS of an upstream that takes them over HTTP/2 (RFC 8441 §3).
pub(crate) const WILLING: [(u16, u32); 1] = [(8, 1)];
/// The answer that opens it.
pub(crate) const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
                                    Connection: Upgrade\r\n\
                                    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// A proxy before an upstream that speaks HTTP/2 alone.
pub(crate) async fn h2c(change: impl FnOnce(&mut Setup)) -> (Upstream, Running) {
    proxied(|setup| {
        setup.protocol = BackendProtocol::H2c;
        change(setup);
    })
    .await
}

/// Asks for one by extended CONNECT (RFC 8441 §4).
pub(crate) async fn connect(client: &mut H2Client, protocol: &'static str) -> (ResponseFuture, SendStream<Bytes>) {
    let request = Request::builder()
        .method("CONNECT")
        .uri("https://a.test/chat?room=1")
        .extension(Protocol::from_static(protocol));
    let request = request.header("sec-websocket-version", "13").header("sec-websocket-protocol", "chat");
    client.send(request.header("origin", "https://a.test").body(()).expect("a request"), false).await
}

/// A client that may connect so: it has seen the proxy's SETTINGS.
pub(crate) async fn client(proxy: &Running, over: Over) -> H2Client {
    let mut client = proxy.h2(over).await;
    client.offers_extended_connect().await;
    client
}

/// An open tunnel: the client's end and the upstream's.
pub(crate) async fn opened(upstream: &Upstream, proxy: &Running) -> (Client, Client) {
    let mut client = proxy.client().await;
    client.send(UPGRADE).await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.send(SWITCHING).await;
    client.head().await;
    (client, up)
}

/// Bytes pass both ways.
pub(crate) async fn echoes(client: &mut Client, up: &mut Client) {
    client.send("ping").await;
    assert_eq!(up.exactly(4).await, "ping");
    up.send("pong").await;
    assert_eq!(client.exactly(4).await, "pong");
}
