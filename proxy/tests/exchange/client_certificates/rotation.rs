//! Policies that change under open connections and under sessions that clients remember.

use super::authority::{Authority, Visitor};
use super::{World, h2_status, last_answer, status};
use crate::harness::h2::answer;
use crate::harness::{Client, proxied};
use rustls::client::{Resumption, Tls12Resumption};
use rustls::{HandshakeKind, version};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// Whether an earlier session was resumed.
fn is_resumed(client: &Client<TlsStream<TcpStream>>) -> bool {
    client.socket.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed)
}

#[tokio::test]
async fn new_authorities_count_for_open_connections_too() {
    let (one, new) = (Authority::new("one"), Authority::new("new"));
    let mut world = World::new(|setup| setup.client_policies = vec![("a.test", one.policy())]).await;
    let of_one = Visitor::new(Some(&one.client()));
    let mut open = of_one.visit(&world.proxy, "a.test").await;
    assert_eq!(status(&mut open, "a.test").await, 200);
    // The same once more is no change.
    world.proxy.change(|setup| setup.client_policies = vec![("a.test", one.policy())]).await;
    assert_eq!(status(&mut open, "a.test").await, 200);
    world.proxy.change(|setup| setup.client_policies = vec![("a.test", new.policy())]).await;
    assert_eq!(last_answer(&mut open, "a.test").await.0, 421);
    assert_eq!(last_answer(&mut of_one.visit(&world.proxy, "a.test").await, "a.test").await.0, 400);
    let of_new = Visitor::new(Some(&new.client()));
    assert_eq!(status(&mut of_new.visit(&world.proxy, "a.test").await, "a.test").await, 200);
    world.reached(3).await;
}

#[tokio::test]
async fn a_host_that_begins_to_ask_or_ends_does_so_at_once() {
    let one = Authority::new("one");
    let mut world = World::new(|setup| setup.client_policies.clear()).await;
    let visitor = Visitor::new(Some(&one.client()));
    let mut open = visitor.visit(&world.proxy, "a.test").await;
    assert_eq!(status(&mut open, "a.test").await, 200);
    world.proxy.change(|setup| setup.client_policies = vec![("a.test", one.policy())]).await;
    assert_eq!(last_answer(&mut open, "a.test").await.0, 421);
    let mut verified = visitor.visit(&world.proxy, "a.test").await;
    let mut anonymous = Visitor::new(None).visit(&world.proxy, "a.test").await;
    world.proxy.change(|setup| setup.client_policies.clear()).await;
    for client in [&mut verified, &mut anonymous] {
        assert_eq!(status(client, "a.test").await, 200);
    }
    world.reached(3).await;
}

#[tokio::test]
async fn http2_is_sent_away_from_a_connection_that_is_of_no_more_use() {
    let (one, new) = (Authority::new("one"), Authority::new("new"));
    let (upstream, mut proxy) = proxied(|setup| setup.client_policies = vec![("a.test", one.policy())]).await;
    let mut client = Visitor::new(Some(&one.client())).visit_h2(&proxy, "a.test").await;
    let slow = client.get("/slow").await;
    let mut up = upstream.accept().await;
    up.head().await;
    proxy.change(|setup| setup.client_policies = vec![("a.test", new.policy())]).await;
    assert_eq!(h2_status(&mut client, "a.test").await, 421);
    client.is_sent_away().await;
    up.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow").await;
    assert_eq!(answer(slow).await.text(), "slow", "what had begun is served");
    // It may still be saying goodbye when everything has been said to it.
    let is_gone = |error: &h2::Error| error.get_io().is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe);
    let ended = client.ended().await;
    assert!(ended.as_ref().is_ok() || ended.as_ref().is_err_and(is_gone), "a clean end: {ended:?}");
    proxy.after(&["GET /slow 200", "GET /a.test 421 misdirected"]).await;
}

#[tokio::test]
async fn no_session_carries_a_certificate_from_one_policy_to_another() {
    let (one, new) = (Authority::new("one"), Authority::new("new"));
    let by_id = || Resumption::in_memory_sessions(8).tls12_resumption(Tls12Resumption::SessionIdOnly);
    let identity = one.client();
    for (tls, resumption) in [
        (&version::TLS13, Resumption::in_memory_sessions(8)),
        (&version::TLS12, Resumption::in_memory_sessions(8)),
        (&version::TLS12, by_id()),
    ] {
        let mut world = World::new(|setup| setup.client_policies = vec![("a.test", one.policy())]).await;
        let visitor = Visitor::of_version(tls, Some(&identity)).changed(|config| config.resumption = resumption);
        for (policy, is_resumable, expected) in [
            (Some(one.policy()), false, 200),
            (Some(new.policy()), false, 400),
            (Some(one.policy()), false, 200),
            (None, true, 200),
            (Some(new.policy()), false, 400),
            (Some(one.policy()), false, 200),
        ] {
            world
                .proxy
                .change(|setup| setup.client_policies = policy.iter().map(|of| ("a.test", of.clone())).collect())
                .await;
            for visit in 0..2 {
                let mut client = visitor.visit(&world.proxy, "a.test").await;
                assert_eq!(is_resumed(&client), is_resumable && visit > 0, "{tls:?}, visit {visit} under {policy:?}");
                let status = if expected == 200 {
                    status(&mut client, "a.test").await
                } else {
                    last_answer(&mut client, "a.test").await.0
                };
                assert_eq!(status, expected, "{tls:?}, visit {visit} under {policy:?}");
            }
        }
        world.reached(8).await;
    }
}
