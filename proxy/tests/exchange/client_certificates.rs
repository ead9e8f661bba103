//! Hosts that ask their clients for a certificate: who is served, and that no connection stands for another host.

mod authority;
mod detours;
mod rotation;
mod trusting;

use crate::harness::h2::{H2Client, answer, request};
use crate::harness::{Client, Origin, Running, Setup, field, proxied};
use authority::{Authority, Identity, Visitor, crowd, early, expired, policy};
use config::PlainHttp;
use http::Request;
use rcgen::{BasicConstraints, ExtendedKeyUsagePurpose, IsCa};
use rustls::version;
use tokio::io::{AsyncRead, AsyncWrite};

/// A proxy whose host `a.test` asks for certificates of one authority, `b.test` and `*.wild.test` of another.
struct World {
    one: Authority,
    two: Authority,
    proxy: Running,
    origin: Origin,
}

impl World {
    async fn new(change: impl FnOnce(&mut Setup)) -> Self {
        let origin = Origin::start().await;
        let (one, two) = (Authority::new("one"), Authority::new("two"));
        let mut setup = Setup::to(&[origin.address]);
        setup.client_policies = vec![("a.test", one.policy()), ("b.test", two.policy()), ("*.wild.test", two.policy())];
        change(&mut setup);
        Self { proxy: setup.start().await, one, two, origin }
    }

    /// So many requests have reached the origin.
    async fn reached(self, requests: usize) {
        drop(self.proxy);
        assert_eq!(self.origin.saw().await.0.len(), requests);
    }
}

/// The status of an answer on a connection that stays open.
async fn status<S: AsyncRead + AsyncWrite + Unpin>(client: &mut Client<S>, host: &str) -> u16 {
    let (head, _) = ask(client, host).await;
    assert_eq!(field(&head, "connection"), None, "{head}");
    status_of(&head)
}

/// The status and the body of an answer after which the connection is closed.
async fn last_answer<S: AsyncRead + AsyncWrite + Unpin>(client: &mut Client<S>, host: &str) -> (u16, String) {
    let (head, body) = ask(client, host).await;
    assert_eq!(field(&head, "connection"), Some("close"), "{head}");
    client.is_closed().await;
    (status_of(&head), body)
}

async fn ask<S: AsyncRead + AsyncWrite + Unpin>(client: &mut Client<S>, host: &str) -> (String, String) {
    client.send(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
    client.answer().await
}

fn status_of(head: &str) -> u16 {
    head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status")
}

async fn h2_status(client: &mut H2Client, host: &str) -> u16 {
    let request = Request::get(format!("https://{host}/{host}")).body(()).expect("a request");
    answer(client.send(request, true).await.0).await.status()
}

#[tokio::test]
async fn a_certificate_that_the_host_accepts_is_served_and_no_other() {
    const REFUSED: (u16, &str) = (400, "400 A client certificate that this host accepts is required\n");
    let world = World::new(|_| {}).await;
    let World { one, two, proxy, .. } = &world;
    let of_servers = one.client_with(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]);
    let cases: [(&str, Option<Identity>, bool); 9] = [
        ("its own", Some(one.client()), true),
        ("its own by an intermediate", Some(one.client_of_intermediate()), true),
        ("none", None, false),
        ("another authority's", Some(two.client()), false),
        ("an unknown authority's of the same name", Some(Authority::new("one").client()), false),
        ("expired", Some(one.client_with(expired)), false),
        ("not yet valid", Some(one.client_with(early)), false),
        ("for servers", Some(of_servers), false),
        (
            "an authority's",
            Some(one.client_with(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained))),
            false,
        ),
    ];
    let mut served = 0;
    for tls in [&version::TLS12, &version::TLS13] {
        for (case, identity, is_accepted) in &cases {
            let visitor = Visitor::of_version(tls, identity.as_ref());
            let mut client = visitor.visit(proxy, "a.test").await;
            let mut h2 = visitor.visit_h2(proxy, "a.test").await;
            if *is_accepted {
                assert_eq!(status(&mut client, "a.test").await, 200, "{case}");
                assert_eq!(h2_status(&mut h2, "a.test").await, 200, "{case}");
                served += 2;
            } else {
                let (status, body) = last_answer(&mut client, "a.test").await;
                assert_eq!((status, body.as_str()), REFUSED, "{case}");
                assert_eq!(h2_status(&mut h2, "a.test").await, 400, "{case}");
            }
        }
    }
    world.reached(served).await;
}

#[tokio::test]
async fn who_has_a_certificate_without_its_key_gets_no_connection() {
    let world = World::new(|_| {}).await;
    for tls in [&version::TLS12, &version::TLS13] {
        let visitor = Visitor::of_version(tls, Some(&world.one.client().stolen()));
        let mut said = String::new();
        // In TLS 1.3 the client takes the handshake for done before the proxy has seen its half.
        if let Ok(socket) = visitor.connect(&world.proxy, "a.test", b"http/1.1").await {
            let mut client = Client::over(socket);
            client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
            said = client.rest_and_end().await.0;
        }
        assert_eq!(said, "");
    }
    world.proxy.after(&[]).await;
    world.reached(0).await;
}

#[tokio::test]
async fn case_35_another_policy_than_that_of_the_server_name_is_misdirected() {
    let world = World::new(|_| {}).await;
    let World { one, two, proxy, .. } = &world;
    let (of_one, of_two) = (Visitor::new(Some(&one.client())), Visitor::new(Some(&two.client())));
    for (visitor, name, host) in [
        (&of_one, "a.test", "b.test"),
        (&of_two, "b.test", "a.test"),
        (&of_one, "open.test", "a.test"),
        (&of_one, "127.0.0.1", "a.test"),
        (&of_one, "x.wild.test", "a.test"),
        (&of_one, "a.test", "x.wild.test"),
        (&of_one, "a.test", "B.TEST.:443"),
        (&of_one, "a.test", "b.test\r\nX-Forwarded-Host: a.test\r\nForwarded: host=a.test"),
    ] {
        let mut client = visitor.visit(proxy, name).await;
        let (status, body) = last_answer(&mut client, host).await;
        let expected = "421 Misdirected Request: this host needs a connection of its own\n";
        assert_eq!((status, body.as_str()), (421, expected), "{host} on {name}");
        assert!(proxy.record().await.ends_with(" 421 misdirected"));
    }
    world.reached(0).await;
}

#[tokio::test]
async fn hosts_of_the_same_policy_and_those_without_one_share_a_connection() {
    let world = World::new(|_| {}).await;
    let World { one, two, proxy, .. } = &world;
    let mut client = Visitor::new(Some(&two.client())).visit(proxy, "b.test").await;
    for host in ["b.test", "x.wild.test", "open.test", "wild.test", "y.x.wild.test", "b.test"] {
        assert_eq!(status(&mut client, host).await, 200, "{host}");
    }
    // Who has shown nothing is served where nothing is asked for.
    for (identity, name) in [(None, "a.test"), (Some(one.client()), "b.test"), (None, "open.test")] {
        let mut client = Visitor::new(identity.as_ref()).visit(proxy, name).await;
        assert_eq!(status(&mut client, "open.test").await, 200, "{name}");
    }
    world.reached(9).await;
}

#[tokio::test]
async fn a_wildcard_host_asks_for_certificates_under_each_of_its_names() {
    let world = World::new(|_| {}).await;
    let World { two, proxy, .. } = &world;
    let visitor = Visitor::new(Some(&two.client()));
    assert_eq!(status(&mut visitor.visit(proxy, "x.wild.test").await, "x.wild.test").await, 200);
    assert_eq!(status(&mut visitor.visit(proxy, "X.Wild.Test").await, "y.wild.test").await, 200);
    let mut anonymous = Visitor::new(None).visit(proxy, "x.wild.test").await;
    assert_eq!(last_answer(&mut anonymous, "x.wild.test").await.0, 400);
    world.reached(2).await;
}

#[tokio::test]
async fn any_host_asks_clients_that_name_none() {
    let one = Authority::new("one");
    let world = World::new(|setup| setup.client_policies = vec![("", one.policy())]).await;
    let visitor = Visitor::new(Some(&one.client()));
    for (name, host) in [("127.0.0.1", "127.0.0.1"), ("x.test", "y.test")] {
        assert_eq!(status(&mut visitor.visit(&world.proxy, name).await, host).await, 200, "{name}");
        let mut anonymous = Visitor::new(None).visit(&world.proxy, name).await;
        assert_eq!(last_answer(&mut anonymous, host).await.0, 400, "{name}");
    }
    let mut nameless = visitor.visit(&world.proxy, "127.0.0.1").await;
    nameless.send("GET / HTTP/1.0\r\n\r\n").await;
    assert_eq!(status_of(&nameless.answer().await.0), 200);
    world.reached(3).await;
}

#[tokio::test]
async fn case_35_a_misdirected_stream_leaves_its_siblings_alone() {
    let (one, two) = (Authority::new("one"), Authority::new("two"));
    let (upstream, proxy) = proxied(|setup| {
        setup.client_policies = vec![("a.test", one.policy()), ("b.test", two.policy())];
    })
    .await;
    let mut client = Visitor::new(Some(&one.client())).visit_h2(&proxy, "a.test").await;
    let slow = client.get("/slow").await;
    let mut up = upstream.accept().await;
    up.head().await;
    assert_eq!(h2_status(&mut client, "b.test").await, 421);
    up.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow").await;
    assert_eq!(answer(slow).await.text(), "slow");
    let next = client.get("/next").await;
    up.head().await;
    up.no_content().await;
    assert_eq!(answer(next).await.status(), 204);
    proxy.after(&["GET /slow 200", "GET /b.test 421 misdirected", "GET /next 204"]).await;
}

#[tokio::test]
async fn an_upload_to_a_host_that_refuses_its_client_is_answered() {
    let world = World::new(|_| {}).await;
    let mut client = Visitor::new(None).visit(&world.proxy, "a.test").await;
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1000000\r\n\r\nhello").await;
    assert_eq!(status_of(&client.answer().await.0), 400);
    let mut h2 = Visitor::new(None).visit_h2(&world.proxy, "a.test").await;
    let call = request("POST", "/").header("content-type", "application/grpc").body(()).expect("a request");
    let refused = answer(h2.post(call, "hi").await).await;
    assert_eq!((refused.field("grpc-status"), refused.field("grpc-message")), (Some("16"), Some("client_certificate")));
    let mut upgrade = Visitor::new(None).visit(&world.proxy, "a.test").await;
    upgrade.send("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n").await;
    assert_eq!(status_of(&upgrade.answer().await.0), 400);
    world.reached(0).await;
}

#[tokio::test]
async fn a_host_without_a_known_authority_refuses_everybody() {
    let one = Authority::new("one");
    for anchors in [vec![], vec![config::TrustAnchor { subject: "x".into(), not_after: 1, der: [0][..].into() }]] {
        let expected = if anchors.is_empty() { 503 } else { 400 };
        let world = World::new(|setup| setup.client_policies = vec![("a.test", policy("none", anchors))]).await;
        for identity in [None, Some(one.client())] {
            let visitor = Visitor::new(identity.as_ref());
            for name in ["a.test", "open.test"] {
                let mut client = visitor.visit_h2(&world.proxy, name).await;
                let misdirected = if expected == 503 || name == "a.test" { expected } else { 421 };
                assert_eq!(h2_status(&mut client, "a.test").await, misdirected, "{name}");
                assert_eq!(h2_status(&mut client, "open.test").await, 200, "{name}");
            }
        }
        if expected == 503 {
            assert_eq!(world.proxy.record().await, "GET /a.test 503 no_client_ca");
        }
        world.reached(4).await;
    }
}

#[tokio::test]
async fn an_authority_whose_validity_is_over_verifies_nobody() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let both = [old.policy_until(1), new.policy()].map(|policy| policy.trust_anchors.clone()).concat();
    let world = World::new(|setup| setup.client_policies = vec![("a.test", policy("both", both))]).await;
    let mut of_new = Visitor::new(Some(&new.client())).visit(&world.proxy, "a.test").await;
    assert_eq!(status(&mut of_new, "a.test").await, 200);
    let mut of_old = Visitor::new(Some(&old.client())).visit(&world.proxy, "a.test").await;
    assert_eq!(last_answer(&mut of_old, "a.test").await.0, 400);
    world.reached(1).await;
}

#[tokio::test]
async fn more_authorities_than_can_be_named_are_not_named() {
    let one = Authority::new("one");
    let all = [crowd(), one.policy().trust_anchors.clone()].concat();
    let world = World::new(|setup| setup.client_policies = vec![("a.test", policy("crowd", all))]).await;
    for tls in [&version::TLS12, &version::TLS13] {
        let mut client = Visitor::of_version(tls, Some(&one.client())).visit(&world.proxy, "a.test").await;
        assert_eq!(status(&mut client, "a.test").await, 200);
    }
    world.reached(2).await;
}

#[tokio::test]
async fn plain_http_is_redirected_or_forbidden() {
    for (plain_http, expected, record) in [
        (PlainHttp::Serve, 403, "GET /a.test 403 client_certificate"),
        (PlainHttp::RedirectToHttps, 308, "GET /a.test 308 redirect_https"),
    ] {
        let world = World::new(|setup| setup.plain_http = plain_http).await;
        let mut client = world.proxy.client().await;
        client.send("GET /.well-known/acme-challenge/x HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
        assert_eq!(status_of(&client.answer().await.0), 200);
        assert_eq!(world.proxy.record().await, "GET /.well-known/acme-challenge/x 200");
        client.send("GET /.well-known/acme-challenge/../../a.test HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
        assert_eq!(status_of(&client.answer().await.0), expected);
        assert_eq!(world.proxy.record().await, record);
        // What a backend could take for a path elsewhere.
        for hidden in ["..;/..;/secret", "..%2Fsecret", "x/y", ""] {
            let mut client = world.proxy.client().await;
            client.send(&format!("GET /.well-known/acme-challenge/{hidden} HTTP/1.1\r\nHost: a.test\r\n\r\n")).await;
            let status = status_of(&client.answer().await.0);
            assert!([400, 403].contains(&status), "{hidden}: {status}");
        }
        world.reached(1).await;
    }
}

#[tokio::test]
async fn case_35_the_authority_of_an_absolute_target_is_the_host() {
    let world = World::new(|_| {}).await;
    let mut client = Visitor::new(Some(&world.one.client())).visit(&world.proxy, "a.test").await;
    client.send("GET https://b.test/ HTTP/1.1\r\nHost: b.test\r\n\r\n").await;
    assert_eq!(status_of(&client.answer().await.0), 421);
    let mut client = Visitor::new(Some(&world.one.client())).visit(&world.proxy, "a.test").await;
    client.send("GET https://b.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    assert_ne!(status_of(&client.answer().await.0), 200);
    world.reached(0).await;
}

#[tokio::test]
async fn what_is_claimed_of_certificates_reaches_no_backend() {
    let one = Authority::new("one");
    for trusted_proxies in [vec![], vec!["127.0.0.0/8"]] {
        let is_trusted = !trusted_proxies.is_empty();
        let (upstream, proxy) = proxied(|setup| {
            setup.trusted_proxies = trusted_proxies;
            setup.client_policies = vec![("a.test", one.policy())];
        })
        .await;
        let mut client = Visitor::new(Some(&one.client())).visit(&proxy, "a.test").await;
        let claims = ["ssl-client-cert", "SSL_Client_Verify", "ssl-client-subject-dn", "ssl-client-issuer-dn"];
        let of_proxies = ["Client-Cert", "Client-Cert-Chain", "X-SSL-Client-Verify", "X-Forwarded-Client-Cert"];
        let fields: String = claims.iter().chain(&of_proxies).map(|name| format!("{name}: forged\r\n")).collect();
        client.send(&format!("GET / HTTP/1.1\r\nHost: a.test\r\n{fields}X-Other: kept\r\n\r\n")).await;
        let mut up = upstream.accept().await;
        let head = up.head().await;
        let expected = if is_trusted { of_proxies.len() } else { 0 };
        assert_eq!(head.matches("forged").count(), expected, "{head}");
        assert_eq!(claims.iter().filter_map(|name| field(&head, name)).count(), 0, "{head}");
        assert_eq!(field(&head, "x-other"), Some("kept"));
        up.no_content().await;
        client.is_answered().await;
    }
}

#[tokio::test]
async fn a_trusted_proxy_cannot_stand_for_a_certificate() {
    let world = World::new(|setup| {
        setup.trusted_proxies = vec!["127.0.0.0/8"];
        setup.plain_http = PlainHttp::RedirectToHttps;
    })
    .await;
    let mut client = world.proxy.client().await;
    client
        .send("GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-Proto: https\r\nSSL-Client-Verify: SUCCESS\r\n\r\n")
        .await;
    assert_eq!(status_of(&client.answer().await.0), 403);
    world.reached(0).await;
}
