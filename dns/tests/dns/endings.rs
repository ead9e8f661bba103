//! Clients that connect over TLS and HTTPS before an address is given up, or the server ends, and ask after that.

use crate::authority::*;
use crate::encrypted::{POST, ask, query, request};
use crate::harness::*;
use config::DnsCompatibility;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::client::conn::http2::handshake;
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::time::Duration;
use tidegate_dns::{Bounds, Reloads, Transport};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::client::TlsStream;

/// What is spoken: the scheme of a Corefile, and the protocol that clients say.
const SPOKEN: [(&str, &str); 3] = [("tls", "dot"), ("https", "http/1.1"), ("https", "h2")];
/// More than connections are read past the end of their listener, where their handshake is done by then.
const LATER: Duration = Duration::from_millis(100);

fn start(scheme: &str, authority: &Authority) -> (Running, Reloads) {
    let path = authority.path().display();
    let (port, mut sockets) = free_port();
    sockets.at.transport = if scheme == "tls" { Transport::Tls } else { Transport::Https };
    sockets.udp.clear();
    let text = format!(
        "{scheme}://.:PORT {{\n bind 127.0.0.1\n tls {path}/tls.crt {path}/tls.key\n kubernetes cluster.local\n}}\n"
    );
    start_corefile_at(&text, (port, sockets), Bounds::default())
}

/// Clients that have connected, of whom the server knows nothing yet: all take turns on this thread.
fn connected(server: &Running) -> [TcpStream; 8] {
    [(); 8].map(|()| {
        let stream = std::net::TcpStream::connect(server.address).unwrap();
        stream.set_nonblocking(true).unwrap();
        TcpStream::from_std(stream).unwrap()
    })
}

/// Waits until nobody listens there, and no connection is read that has nothing more before it.
async fn given_up(server: std::net::SocketAddr) {
    while TcpStream::connect(server).await.is_ok() {
        tokio::task::yield_now().await;
    }
    tokio::time::pause();
    tokio::time::advance(LATER).await;
    tokio::time::resume();
}

/// Asks; and then the connection has its end.
async fn is_answered(mut stream: TlsStream<TcpStream>, protocol: &str) {
    match protocol {
        "dot" => assert_eq!(answered(&ask(&mut stream).await.unwrap()), ["10.0.0.1"]),
        "http/1.1" => assert_eq!(request(&mut stream, POST, &query()).await.0, 200),
        _ => {
            let (mut client, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
            let connection = tokio::spawn(connection);
            let request = Request::post("https://dns.test/dns-query").header("content-type", "application/dns-message");
            let request = request.body(Full::new(Bytes::from(query()))).unwrap();
            assert_eq!(client.send_request(request).await.unwrap().status(), StatusCode::OK);
            return connection.await.unwrap().unwrap();
        }
    }
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap_or(0), 0, "{protocol}");
}

#[tokio::test]
async fn who_has_connected_when_an_address_is_given_up_is_answered_after_the_handshake() {
    let authority = Authority::new();
    authority.mount("dns.test");
    for (scheme, protocol) in SPOKEN {
        let (server, reloads) = start(scheme, &authority);
        authority.connect(&server, "dns.test", &[protocol], None).await.expect("it listens");
        let streams = connected(&server);
        let (port, sockets) = free_port();
        let elsewhere = plan(".:PORT {\n bind 127.0.0.1\n whoami\n}\n", port);
        let elsewhere = reloads.prepare(&elsewhere, DnsCompatibility::Standard).unwrap();
        reloads.replace(elsewhere, vec![sockets]).await.unwrap();
        given_up(server.address).await;
        for stream in streams {
            let stream = authority.secure(stream, "dns.test", &[protocol], None).await.unwrap();
            is_answered(stream, protocol).await;
        }
        server.stop().await;
    }
}

#[tokio::test]
async fn who_has_connected_when_the_server_ends_is_answered_after_the_handshake() {
    let authority = Authority::new();
    authority.mount("dns.test");
    for (scheme, protocol) in SPOKEN {
        let (server, _) = start(scheme, &authority);
        authority.connect(&server, "dns.test", &[protocol], None).await.expect("it listens");
        let (streams, address) = (connected(&server), server.address);
        let stopping = tokio::spawn(server.stop());
        given_up(address).await;
        for stream in streams {
            let stream = authority.secure(stream, "dns.test", &[protocol], None).await.unwrap();
            is_answered(stream, protocol).await;
        }
        stopping.await.unwrap();
    }
}

#[tokio::test]
async fn nobody_puts_off_the_end_for_long_by_silence() {
    let authority = Authority::new();
    authority.mount("dns.test");
    for (scheme, protocol) in &SPOKEN[..2] {
        // A handshake has its 3 s, a first question 1 s from there, and who has asked nothing more.
        for (shakes_hands, asks, least, most) in
            [(true, true, 0, 100), (true, false, 500, 1_100), (false, false, 1_100, 3_100)]
        {
            let (server, _) = start(scheme, &authority);
            let (mut plain, mut secured) = (None, None);
            if shakes_hands {
                let stream = authority.connect(&server, "dns.test", &[protocol], None).await.unwrap();
                let stream = secured.insert(stream);
                match (asks, *scheme) {
                    (false, _) => {}
                    (true, "tls") => drop(ask(stream).await.unwrap()),
                    (true, _) => drop(request(stream, POST, &query()).await),
                }
            } else {
                plain = Some(server.connect().await);
            }
            tokio::time::pause();
            let begun = Instant::now();
            timeout(Duration::from_secs(60), server.stop()).await.expect("it ends");
            let taken = begun.elapsed();
            tokio::time::resume();
            let expected = Duration::from_millis(least)..Duration::from_millis(most);
            assert!(expected.contains(&taken), "{scheme}, {shakes_hands}, {asks}: {taken:?}");
            drop((plain, secured));
        }
    }
}
