//! Answers of the proxy's own to clients that are busy with something else.

use crate::harness::{Client, field, proxied};
use config::HostPattern;
use tidegate_proxy::tls::upstream::UpstreamAlpn;
use tokio::io::{AsyncRead, AsyncWrite};

const MIB: u64 = 1024 * 1024;

/// Uploads all of a body that nobody wants, and only then reads.
async fn reads_afterwards(mut client: Client<impl AsyncRead + AsyncWrite + Unpin>, framing: &str) {
    client.send(&format!("POST / HTTP/1.1\r\nHost: other.test\r\n{framing}\r\n")).await;
    client.send_bulk(MIB).await;
    let (head, body) = client.answer().await;
    assert!(head.starts_with("HTTP/1.1 404 "), "{head}");
    assert_eq!((field(&head, "connection"), body.as_str()), (Some("close"), "404 Not Found\n"), "{head}");
    client.finish().await;
    client.is_closed().await;
}

#[tokio::test]
async fn case_151_a_client_that_still_uploads_can_read_the_whole_answer() {
    let (_, proxy) = proxied(|setup| setup.host = HostPattern::Exact("a.test".into())).await;
    let length = format!("Content-Length: {MIB}\r\n");
    for _ in 0..5 {
        reads_afterwards(proxy.client().await, &length).await;
        reads_afterwards(Client::over(proxy.tls(UpstreamAlpn::Http1).await), &length).await;
    }
    proxy.after(&["POST / 404 no_route"; 10]).await;
}

#[tokio::test]
async fn case_151_a_client_that_breaks_off_its_chunks_too() {
    let (_, proxy) = proxied(|setup| setup.host = HostPattern::Exact("a.test".into())).await;
    // The body's own bytes are no chunks.
    reads_afterwards(proxy.client().await, "Transfer-Encoding: chunked\r\n").await;
    proxy.after(&["POST / 404 no_route"]).await;
}
