//! A WebSocket through the proxy, from the request to the open tunnel.

use super::{Client, Running, Upstream};

/// A request for one; its key is that of RFC 6455 §1.3.
pub(crate) const UPGRADE: &str = "GET /chat HTTP/1.1\r\nHost: a.test\r\n\
                                  Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\
                                  Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
/// The answer that opens it.
pub(crate) const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
                                    Connection: Upgrade\r\n\
                                    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

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
