//! UDP, TCP, TLS: what is asked over what, and which connections are kept.

use super::super::*;
use super::cast::*;
use hickory_proto::op::Message;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// What an upstream over connections sees.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    Open,
    Asked,
    Closed,
}

/// Answers over TCP or TLS with 192.0.2.3, and closes each connection after so many answers.
pub(super) fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    answers: usize,
) -> (UnboundedReceiver<Event>, JoinSet<()>) {
    let (tell, events) = unbounded_channel();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (tls, tell) = (tls.clone(), tell.clone());
            connections.spawn(async move {
                match tls {
                    None => converse(stream, answers, tell).await,
                    Some(tls) => match tls.accept(stream).await {
                        Ok(stream) => converse(stream, answers, tell).await,
                        // The client does not like the certificate.
                        Err(_) => drop(tell.send(Event::Closed)),
                    },
                }
            });
        }
    });
    (events, tasks)
}

async fn converse(mut stream: impl AsyncRead + AsyncWrite + Unpin, answers: usize, tell: UnboundedSender<Event>) {
    tell.send(Event::Open).unwrap();
    for _ in 0..answers {
        let Ok(length) = stream.read_u16().await else { break };
        let mut packet = vec![0; usize::from(length)];
        stream.read_exact(&mut packet).await.unwrap();
        let reply = answer(&Message::from_vec(&packet).unwrap(), 0, 3).to_vec().unwrap();
        stream.write_all(&crate::message::framed(&reply)).await.unwrap();
        stream.flush().await.unwrap();
        tell.send(Event::Asked).unwrap();
    }
    drop(stream);
    tell.send(Event::Closed).unwrap();
}

#[tokio::test]
async fn questions_go_on_as_they_came_unless_it_is_said_otherwise() {
    for (option, over_udp, over_tcp) in [
        ("", "192.0.2.1", "192.0.2.3"),
        ("force_tcp", "192.0.2.3", "192.0.2.3"),
        ("prefer_udp", "192.0.2.1", "192.0.2.1"),
    ] {
        let (udp, tcp) = sockets().await;
        let address = udp.local_addr().unwrap();
        let _upstream = Upstream::at(udp, 0, 1);
        let (_events, _tasks) = serve(tcp, None, 9);
        let asker = Asker::new(&format!("forward . {address} {{\n{option}\n}}"));
        assert_eq!(asker.ask_over(Transport::Udp, "a.org.").await.unwrap(), over_udp, "{option}");
        assert_eq!(asker.ask_over(Transport::Tcp, "b.org.").await.unwrap(), over_tcp, "{option}");
    }
}

#[tokio::test]
async fn a_client_of_tcp_may_have_the_port_of_a_socket_of_ours() {
    let (udp, _) = sockets().await;
    let forward = format!("forward . {} {{\nprefer_udp\nread_timeout 60s\n}}", udp.local_addr().unwrap());
    let asker = Arc::new(Asker::new(&forward));
    let waits = asking(&asker, "192.0.2.1:5000", "a.org.");
    let question = asked(&udp).await;
    let own = question.2.to_string();
    assert_eq!(asker.ask_from(&own, Transport::Udp, "b.org.").await, Err(Failure::Loop));
    let upstream = async { reply(&udp, &asked(&udp).await).await };
    let (told, ()) = tokio::join!(asker.ask_from(&own, Transport::Tcp, "b.org."), upstream);
    assert_eq!(told.unwrap(), "192.0.2.1");
    reply(&udp, &question).await;
    assert_eq!(waits.await.unwrap().unwrap(), "192.0.2.1");
}

#[tokio::test]
async fn a_connection_is_kept_and_replaced_where_the_other_side_closed_it() {
    let (udp, tcp) = sockets().await;
    let (mut events, _tasks) = serve(tcp, None, 2);
    let asker = Asker::new(&format!("forward . {} {{\nforce_tcp\n}}", udp.local_addr().unwrap()));
    for name in ["a.org.", "b.org.", "c.org."] {
        assert_eq!(asker.ask(name).await.unwrap(), "192.0.2.3");
    }
    use Event::{Asked, Closed, Open};
    for expected in [Open, Asked, Asked, Closed, Open, Asked] {
        assert_eq!(events.recv().await.unwrap(), expected);
    }
    let count = |result: &str| {
        asker.metric("tidegate_dns_upstream_connections_total", &["proto=\"tcp\"", &format!("result=\"{result}\"")])
    };
    assert_eq!(asker.metric("tidegate_dns_upstream_failures_total", &[]), 0.0);
    // The kept one that turned out to be closed was taken too.
    assert_eq!((count("new"), count("kept")), (2.0, 2.0));
}

/// Answers one question over a connection.
async fn answer_one(stream: &mut TcpStream) {
    let mut packet = vec![0; usize::from(stream.read_u16().await.unwrap())];
    stream.read_exact(&mut packet).await.unwrap();
    let reply = answer(&Message::from_vec(&packet).unwrap(), 0, 3).to_vec().unwrap();
    stream.write_all(&crate::message::framed(&reply)).await.unwrap();
}

#[tokio::test]
async fn a_question_that_gets_no_answer_leaves_connections_that_work() {
    let (udp, tcp) = sockets().await;
    let options = "force_tcp\nread_timeout 60s\nmax_connect_attempts 1\nmax_fails 0";
    let asker = Arc::new(Asker::new(&format!("forward . {} {{\n{options}\n}}", udp.local_addr().unwrap())));
    let ask = |name| asking(&asker, "192.0.2.1:5000", name);
    let failing = ask("failing.org.");
    let (breaks, _) = tcp.accept().await.unwrap();
    let meanwhile = ask("a.org.");
    let (mut works, _) = tcp.accept().await.unwrap();
    answer_one(&mut works).await;
    assert_eq!(meanwhile.await.unwrap().unwrap(), "192.0.2.3");
    drop(breaks);
    assert_eq!(failing.await.unwrap(), Err(Failure::Unanswered));
    let next = ask("b.org.");
    answer_one(&mut works).await;
    assert_eq!(next.await.unwrap().unwrap(), "192.0.2.3");
}

#[test]
fn connections_rest_no_longer_than_is_said() {
    with_still_clock(async {
        use Event::{Asked, Closed, Open};
        for (option, first, second) in [("expire 5s", 4900, 5000), ("expire 5s\nmax_age 6s", 4000, 1999)] {
            let (udp, tcp) = sockets().await;
            let (mut events, _tasks) = serve(tcp, None, 9);
            let asker = Asker::new(&format!("forward . {} {{\nforce_tcp\n{option}\n}}", udp.local_addr().unwrap()));
            asker.ask("a.org.").await.unwrap();
            let begun = Instant::now();
            tokio::time::sleep(Duration::from_millis(first)).await;
            asker.ask("b.org.").await.unwrap();
            for expected in [Open, Asked, Asked, Closed] {
                assert_eq!(events.recv().await.unwrap(), expected, "{option}");
            }
            let rested = begun.elapsed();
            let least = Duration::from_millis(first + second);
            assert!(least <= rested && rested < least + Duration::from_millis(20), "{option}: {rested:?}");
        }
    });
}

#[tokio::test]
async fn no_more_connections_rest_than_is_said() {
    let (udp, tcp) = sockets().await;
    let body = format!("forward . {} {{\nforce_tcp\nmax_idle_conns 1\n}}", udp.local_addr().unwrap());
    let asker = Asker::new(&body);
    // Both are open before either is answered.
    let both = async {
        let mut streams = [tcp.accept().await.unwrap().0, tcp.accept().await.unwrap().0];
        for stream in &mut streams {
            let mut packet = vec![0; usize::from(stream.read_u16().await.unwrap())];
            stream.read_exact(&mut packet).await.unwrap();
            let reply = answer(&Message::from_vec(&packet).unwrap(), 0, 3).to_vec().unwrap();
            stream.write_all(&crate::message::framed(&reply)).await.unwrap();
        }
        streams
    };
    let (one, two, mut streams) = tokio::join!(asker.ask("a.org."), asker.ask("b.org."), both);
    assert_eq!((one.unwrap(), two.unwrap()), ("192.0.2.3".to_owned(), "192.0.2.3".to_owned()));
    let [first, second] = &mut streams;
    let (mut one, mut two) = ([0; 1], [0; 1]);
    // The one that came to rest last is closed, and the other one is not.
    let closed = tokio::select! {
        read = first.read(&mut one) => read,
        read = second.read(&mut two) => read,
    };
    assert_eq!(closed.unwrap(), 0);
    let open = streams.iter().filter(|stream| {
        let read = stream.try_read(&mut [0; 1]).map_err(|error| error.kind());
        read == Err(std::io::ErrorKind::WouldBlock)
    });
    assert_eq!(open.count(), 1);
}

#[test]
fn connections_that_have_gone_silent_cost_one_try() {
    with_still_clock(async {
        let (udp, tcp) = sockets().await;
        let address = udp.local_addr().unwrap();
        // Each connection has one answer, and stays open.
        let _serving = tokio::spawn(async move {
            let mut silent = Vec::new();
            loop {
                let mut stream = tcp.accept().await.unwrap().0;
                let mut packet = vec![0; usize::from(stream.read_u16().await.unwrap())];
                stream.read_exact(&mut packet).await.unwrap();
                let reply = answer(&Message::from_vec(&packet).unwrap(), 0, 3).to_vec().unwrap();
                stream.write_all(&crate::message::framed(&reply)).await.unwrap();
                silent.push(stream);
            }
        });
        let asker = Asker::new(&format!("forward . {address} {{\nforce_tcp\nmax_fails 0\n}}"));
        let (one, two) = tokio::join!(asker.ask("a.org."), asker.ask("b.org."));
        assert_eq!((one.is_ok(), two.is_ok()), (true, true));
        let since = Instant::now();
        assert_eq!(asker.ask("c.org.").await.unwrap(), "192.0.2.3");
        let took = since.elapsed();
        assert!(Duration::from_secs(2) <= took && took < Duration::from_secs(3), "{took:?}");
    });
}

/// An authority, its certificate in a file, and certificates that it has signed.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "an authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let authority = Self { issuer, folder: tempfile::tempdir().unwrap() };
        std::fs::write(authority.file("ca.pem"), authority.issuer.pem()).unwrap();
        authority
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn sign(&self, change: impl FnOnce(&mut CertificateParams)) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        change(&mut params);
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    /// A server with a certificate; with `asks` it wants one of the client's too.
    fn server(&self, asks: bool, change: impl FnOnce(&mut CertificateParams)) -> TlsAcceptor {
        let (certificate, key) = self.sign(change);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let config = config.with_safe_default_protocol_versions().unwrap();
        let config = if asks {
            let mut roots = RootCertStore::empty();
            roots.add(self.issuer.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            config.with_client_cert_verifier(verifier)
        } else {
            config.with_no_client_auth()
        };
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        TlsAcceptor::from(Arc::new(config.with_single_cert(vec![certificate.der().clone()], key).unwrap()))
    }
}

fn for_name(name: &'static str) -> impl FnOnce(&mut CertificateParams) {
    move |params| params.subject_alt_names.push(SanType::DnsName(name.try_into().unwrap()))
}

#[tokio::test]
async fn an_upstream_over_tls_is_asked_where_its_certificate_is_for_its_name() {
    let authority = Authority::new();
    let files = format!("tls {}", authority.file("ca.pem"));
    let address = |params: &mut CertificateParams| {
        params.subject_alt_names.push(SanType::IpAddress([127, 0, 0, 1].into()));
    };
    let expired = |params: &mut CertificateParams| {
        for_name("dns.example")(params);
        (params.not_before, params.not_after) = (rcgen::date_time_ymd(2000, 1, 1), rcgen::date_time_ymd(2001, 1, 1));
    };
    let cases: [(TlsAcceptor, &str, String, bool); 7] = [
        (authority.server(false, for_name("dns.example")), "%dns.example", files.clone(), true),
        (authority.server(false, for_name("dns.example")), "", format!("{files}\ntls_servername dns.example"), true),
        (authority.server(false, for_name("dns.example")), "%other.example", files.clone(), false),
        (authority.server(false, for_name("dns.example")), "", files.clone(), false),
        (authority.server(false, address), "", files.clone(), true),
        (authority.server(false, expired), "%dns.example", files.clone(), false),
        // Signed by somebody else.
        (Authority::new().server(false, for_name("dns.example")), "%dns.example", files, false),
    ];
    for (index, (acceptor, name, options, is_good)) in cases.into_iter().enumerate() {
        let (_, tcp) = sockets().await;
        let at = tcp.local_addr().unwrap();
        let (mut events, _tasks) = serve(tcp, Some(acceptor), 9);
        let body = format!("forward . tls://{}{name}:{} {{\nmax_fails 0\n{options}\n}}", at.ip(), at.port());
        let asker = Asker::new(&body);
        let expected = if is_good { Ok("192.0.2.3".to_owned()) } else { Err(Failure::Unanswered) };
        for name in ["a.org.", "b.org."] {
            assert_eq!(asker.ask(name).await, expected, "{index}");
        }
        let first = events.recv().await.unwrap();
        assert_eq!(first, if is_good { Event::Open } else { Event::Closed }, "{index}");
        let count = asker.metric("tidegate_dns_upstream_connections_total", &["proto=\"tcp-tls\"", "result=\"kept\""]);
        assert_eq!(count, if is_good { 1.0 } else { 0.0 }, "{index}");
    }
}

#[tokio::test]
async fn our_own_certificate_is_shown_where_it_is_asked_for() {
    let authority = Authority::new();
    let (certificate, key) = authority.sign(for_name("client.example"));
    std::fs::write(authority.file("cert.pem"), certificate.pem()).unwrap();
    std::fs::write(authority.file("key.pem"), key.serialize_pem()).unwrap();
    let own = format!("{} {}", authority.file("cert.pem"), authority.file("key.pem"));
    for (own, is_good) in [(own.as_str(), true), ("", false)] {
        let (_, tcp) = sockets().await;
        let at = tcp.local_addr().unwrap();
        let (_events, _tasks) = serve(tcp, Some(authority.server(true, for_name("dns.example"))), 9);
        let options = format!("max_fails 0\ntls {own} {}", authority.file("ca.pem"));
        let asker = Asker::new(&format!("forward . tls://{}%dns.example:{} {{\n{options}\n}}", at.ip(), at.port()));
        assert_eq!(asker.ask("a.org.").await.is_ok(), is_good);
    }
}

#[test]
fn files_that_are_of_no_use_are_named() {
    let authority = Authority::new();
    let (certificate, _) = authority.sign(for_name("client.example"));
    let (_, other_key) = authority.sign(for_name("client.example"));
    let file = |name: &str, text: &str| {
        std::fs::write(authority.file(name), text).unwrap();
        authority.file(name)
    };
    let (empty, garbage) = (file("empty.pem", ""), file("garbage.pem", "-----BEGIN CERTIFICATE-----\n!\n"));
    let (cert, key) = (file("cert.pem", &certificate.pem()), file("key.pem", &other_key.serialize_pem()));
    let gone = authority.file("gone.pem");
    for (files, named) in [
        (gone.clone(), &gone),
        (empty.clone(), &empty),
        (garbage.clone(), &garbage),
        (format!("{gone} {key}"), &gone),
        (format!("{cert} {empty} {}", authority.file("ca.pem")), &empty),
        // The key of another certificate.
        (format!("{cert} {key} {}", authority.file("ca.pem")), &key),
    ] {
        let error = routes(&format!("forward . tls://192.0.2.1 {{\ntls {files}\n}}")).unwrap_err();
        assert!(error.starts_with("forward .: ") && error.contains(named), "{files}: {error}");
    }
}
