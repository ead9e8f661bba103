//! Ways around a host's policy that lead nowhere: other spellings of the host, other ports and other kinds of requests.

use super::authority::{Authority, Visitor};
use super::{World, status_of};
use crate::harness::h2::{Over, answer};
use crate::harness::tunnel::connect;
use crate::harness::{Client, PATIENCE};
use config::PlainHttp;
use http::Request;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

/// Heads for `a.test` that are no plain GET of it.
const HEADS: [&str; 12] = [
    "GET / HTTP/1.0\r\nHost: a.test\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: A.TEST\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a.test.\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a.test:80\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a.test:\r\n\r\n",
    "GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "GET HTTP://A.test.:443/ HTTP/1.1\r\nHost: a.test:443\r\n\r\n",
    "GET http://a.test/ HTTP/1.0\r\n\r\n",
    "OPTIONS / HTTP/1.1\r\nHost: a.test\r\nMax-Forwards: 1\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a.test\r\nMax-Forwards: 0\r\n\r\n",
    "GET /chat HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
];
/// Heads that no host takes.
const BROKEN: [&str; 7] = [
    "GET / HTTP/1.1\r\nHost: open.test\r\nHost: a.test\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a.test, open.test\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: open.test@a.test\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a.test:80:80\r\n\r\n",
    "GET http://a.test/ HTTP/1.1\r\nHost: open.test\r\n\r\n",
    "GET http://open.test@a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "GET / HTTP/1.1\r\n\r\n",
];

async fn asked<S: AsyncRead + AsyncWrite + Unpin>(mut client: Client<S>, head: &str) -> u16 {
    client.send(head).await;
    status_of(&timeout(PATIENCE, client.head()).await.expect("an answer"))
}

#[tokio::test]
async fn other_spellings_of_a_host_are_the_host() {
    let world = World::new(|_| {}).await;
    let of_two = Visitor::new(Some(&world.two.client()));
    for head in HEADS {
        for (name, expected) in [("a.test", 400), ("open.test", 421), ("127.0.0.1", 421), ("b.test", 421)] {
            assert_eq!(asked(of_two.visit(&world.proxy, name).await, head).await, expected, "{name}: {head}");
        }
        assert_eq!(asked(world.proxy.client().await, head).await, 403, "{head}");
    }
    for head in BROKEN {
        for name in ["a.test", "open.test"] {
            assert_eq!(asked(of_two.visit(&world.proxy, name).await, head).await, 400, "{head}");
        }
        assert_eq!(asked(world.proxy.client().await, head).await, 400, "{head}");
    }
    // These are answered here.
    for head in
        ["OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n", "OPTIONS / HTTP/1.1\r\nHost: a.test\r\nMax-Forwards: 0\r\n\r\n"]
    {
        assert_eq!(asked(of_two.visit(&world.proxy, "a.test").await, head).await, 200, "{head}");
    }
    world.reached(0).await;
}

#[tokio::test]
async fn a_server_name_in_any_spelling_is_that_of_the_host() {
    let world = World::new(|_| {}).await;
    let of_one = Visitor::new(Some(&world.one.client()));
    for name in ["A.TEST", "a.Test."] {
        let client = of_one.visit(&world.proxy, name).await;
        assert_eq!(asked(client, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await, 200, "{name}");
    }
    world.reached(2).await;
}

#[tokio::test]
async fn http2_with_prior_knowledge_is_plain_http() {
    for plain_http in [PlainHttp::Serve, PlainHttp::RedirectToHttps] {
        let expected = if plain_http == PlainHttp::Serve { 403 } else { 308 };
        let world = World::new(|setup| setup.plain_http = plain_http).await;
        let mut client = world.proxy.h2(Over::Clear).await;
        for (uri, host) in
            [("https://a.test/", None), ("http://A.TEST.:443/", None), ("http://a.test/", Some("a.test"))]
        {
            let request = Request::get(uri).header("x-forwarded-proto", "https");
            let request = host.map_or(Request::get(uri), |host| request.header("host", host));
            let asked = client.send(request.body(()).expect("a request"), true).await.0;
            assert_eq!(answer(asked).await.status(), expected, "{uri}");
        }
        world.reached(0).await;
    }
}

#[tokio::test]
async fn two_hosts_of_one_stream_are_refused() {
    let world = World::new(|_| {}).await;
    let mut client = Visitor::new(Some(&world.one.client())).visit_h2(&world.proxy, "open.test").await;
    for (uri, host) in [("https://open.test/", "a.test"), ("https://a.test/", "open.test")] {
        let request = Request::get(uri).header("host", host).body(()).expect("a request");
        assert_eq!(answer(client.send(request, true).await.0).await.status(), 400, "{uri} with {host}");
    }
    world.reached(0).await;
}

#[tokio::test]
async fn a_websocket_over_http2_needs_a_certificate_too() {
    let world = World::new(|_| {}).await;
    let visitor = Visitor::new(Some(&world.two.client()));
    for (name, expected) in [("a.test", 400), ("open.test", 421)] {
        let mut client = visitor.visit_h2(&world.proxy, name).await;
        client.offers_extended_connect().await;
        let (response, _send) = connect(&mut client, "websocket").await;
        assert_eq!(answer(response).await.status(), expected, "{name}");
    }
    world.reached(0).await;
}

#[tokio::test]
async fn clients_that_name_no_host_meet_the_policy_of_any() {
    let (one, two) = (Authority::new("one"), Authority::new("two"));
    let world = World::new(|setup| setup.client_policies = vec![("", one.policy())]).await;
    let of_two = Visitor::new(Some(&two.client()));
    for head in ["GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.0\r\nHost: \r\n\r\n", "GET / HTTP/1.1\r\nHost: [::1]\r\n\r\n"]
    {
        for name in ["127.0.0.1", "x.test"] {
            assert_eq!(asked(of_two.visit(&world.proxy, name).await, head).await, 400, "{head}");
        }
        assert_ne!(asked(world.proxy.client().await, head).await, 200, "{head}");
    }
    world.reached(0).await;
}
