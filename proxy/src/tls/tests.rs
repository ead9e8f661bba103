pub(super) mod certificates;

use super::*;
use certificates::{RSA_SCHEMES, certificate, client, leaf, rsa_certificate};
use config::{Certificate, ClientPolicy, ClientPolicyTable, HostPattern, Kind, ObjectRef, PrivateKey};
use rustls::client::{Resumption, Tls12Resumption, WebPkiServerVerifier};
use rustls::pki_types::{ServerName, UnixTime};
use rustls::{ClientConfig, RootCertStore, version};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio_rustls::{TlsConnector, client, server};

type Connection = (client::TlsStream<DuplexStream>, server::TlsStream<DuplexStream>);

async fn connect(tls: &ServerTls, client: &Arc<ClientConfig>, name: &'static str) -> io::Result<Connection> {
    let (near, far) = duplex(16 * 1024);
    let name = ServerName::try_from(name).expect("server name");
    let connector = TlsConnector::from(Arc::clone(client));
    let (client, server) = tokio::join!(connector.connect(name, near), tls.accept(far));
    Ok((client?, server?.0))
}

/// One byte each way; on TLS 1.3 the client meets its ticket on the way.
async fn echo((client, server): &mut Connection) {
    client.write_all(b"x").await.expect("write");
    client.flush().await.expect("flush");
    assert_eq!(server.read_u8().await.expect("read"), b'x');
    server.write_all(b"y").await.expect("write");
    server.flush().await.expect("flush");
    assert_eq!(client.read_u8().await.expect("read"), b'y');
}

async fn facts(tls: &ServerTls, client: &Arc<ClientConfig>, name: &'static str) -> TlsFacts {
    let mut connection = connect(tls, client, name).await.expect("handshake");
    echo(&mut connection).await;
    TlsFacts::of(connection.1.get_ref().1)
}

async fn served(tls: &ServerTls, client: &Arc<ClientConfig>, name: &'static str) -> Vec<u8> {
    leaf(connect(tls, client, name).await.expect("handshake").0.get_ref().1)
}

fn table(declared: &[(&str, &Arc<Certificate>)], default: &[&Arc<Certificate>]) -> Arc<CertificateTable> {
    let declared = declared
        .iter()
        .map(|(host, certificate)| (HostPattern::parse(Some(host)).expect("pattern"), Arc::clone(certificate)));
    Arc::new(CertificateTable::new(declared, default.iter().map(|certificate| Arc::clone(certificate)).collect()))
}

fn server(table: &Arc<CertificateTable>) -> ServerTls {
    let tls = ServerTls::new().expect("TLS");
    assert_eq!(tls.update(table), []);
    tls
}

#[tokio::test]
async fn certificate_is_chosen_by_server_name() {
    let exact = certificate("exact", &["unrelated.test"]);
    let wildcard = certificate("wildcard", &["*.shop.test", "san.test", "*.san.test"]);
    let default = certificate("default", &["default.test"]);
    let declared = [("www.shop.test", &exact), ("*.shop.test", &wildcard)];
    let with_default = server(&table(&declared, &[&default]));
    let without_default = server(&table(&declared, &[]));
    let self_made = leaf_of(&without_default.certificates.self_made);
    for (name, expected) in [
        ("www.shop.test", Some(&exact)),
        ("WWW.Shop.TEST", Some(&exact)),
        ("api.shop.test", Some(&wildcard)),
        ("san.test", Some(&wildcard)),
        ("a.san.test", Some(&wildcard)),
        ("unrelated.test", Some(&exact)),
        ("shop.test", None),
        ("a.b.shop.test", None),
        ("192.0.2.1", None),
    ] {
        let any = client(&[], &[]);
        let expected_leaf = expected.unwrap_or(&default).chain.first().map(|der| der.to_vec());
        assert_eq!(Some(served(&with_default, &any, name).await), expected_leaf, "{name}");
        let expected_leaf = expected.map_or(self_made.clone(), |certificate| certificate.chain[0].to_vec());
        assert_eq!(served(&without_default, &any, name).await, expected_leaf, "{name} without default");
    }
}

fn leaf_of(key: &CertifiedKey) -> Vec<u8> {
    key.cert.first().expect("a certificate").to_vec()
}

#[test]
fn trailing_dot_of_a_server_name_is_no_difference() {
    let shop = certificate("shop", &["shop.test"]);
    let (keys, refused) = CertifiedKeys::of(&table(&[("shop.test", &shop)], &[]), None);
    assert_eq!(refused, []);
    let chosen = keys.choose(Some("shop.test."), RSA_SCHEMES).expect("a key");
    assert_eq!(leaf_of(chosen), &*shop.chain[0]);
}

#[tokio::test]
async fn clients_get_the_kind_of_key_that_they_can_verify() {
    let ecdsa = certificate("ecdsa", &["shop.test"]);
    let rsa = rsa_certificate("rsa", &["shop.test"]);
    let tls = server(&table(&[("shop.test", &rsa), ("shop.test", &ecdsa)], &[]));
    let rsa_suites: &[rustls::SupportedCipherSuite] = &[ring::cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256];
    for (client, expected, case) in [
        (client(&[], &[]), &ecdsa, "any client"),
        (certificates::client_of_schemes(RSA_SCHEMES), &rsa, "client of RSA signatures"),
        (certificates::client_of_suites(rsa_suites), &rsa, "TLS 1.2 client of RSA suites"),
    ] {
        assert_eq!(served(&tls, &client, "shop.test").await, &*expected.chain[0], "{case}");
    }
}

#[tokio::test]
async fn facts_tell_what_was_agreed_on() {
    let tls = server(&table(&[], &[]));
    let (both, tls12, tls13) = ([&version::TLS13, &version::TLS12], [&version::TLS12], [&version::TLS13]);
    for (client, version, is_h2) in [
        (client(&tls13, &[H2, HTTP1]), "TLSv1.3", true),
        (client(&tls12, &[HTTP1, H2]), "TLSv1.2", true),
        (client(&both, &[HTTP1]), "TLSv1.3", false),
        (client(&tls12, &[]), "TLSv1.2", false),
        (client(&tls13, &[b"spdy/3", HTTP1]), "TLSv1.3", false),
    ] {
        let (server_name, client_is) = (Some("shop.test".into()), Verification::default());
        let expected = TlsFacts { version, server_name, is_h2, is_resumed: false, client: client_is };
        assert_eq!(facts(&tls, &client, "Shop.Test").await, expected);
    }
    let nameless = facts(&tls, &client(&[], &[]), "192.0.2.1").await;
    assert_eq!(nameless.server_name, None);
}

#[tokio::test]
async fn rotation_touches_no_open_connection() {
    let (old, new) = (certificate("old", &["shop.test"]), certificate("new", &["shop.test"]));
    let tls = server(&table(&[("shop.test", &old)], &[]));
    let client = client(&[], &[]);
    let mut open = connect(&tls, &client, "shop.test").await.expect("handshake");
    echo(&mut open).await;
    assert_eq!(tls.update(&table(&[("shop.test", &new)], &[])), []);
    echo(&mut open).await;
    assert_eq!(leaf(open.0.get_ref().1), &*old.chain[0]);
    let fresh = certificates::client(&[], &[]);
    assert_eq!(served(&tls, &fresh, "shop.test").await, &*new.chain[0]);
}

#[tokio::test]
async fn sessions_are_resumed_also_after_a_rotation() {
    let (old, new) = (certificate("old", &["shop.test"]), certificate("new", &["shop.test"]));
    let by_id = Resumption::in_memory_sessions(8).tls12_resumption(Tls12Resumption::SessionIdOnly);
    for (version, resumption) in [
        (&version::TLS13, Resumption::in_memory_sessions(8)),
        (&version::TLS12, Resumption::in_memory_sessions(8)),
        (&version::TLS12, by_id),
    ] {
        let tls = server(&table(&[("shop.test", &old)], &[]));
        let mut client = (*client(&[version], &[])).clone();
        client.resumption = resumption;
        let client = Arc::new(client);
        assert!(!facts(&tls, &client, "shop.test").await.is_resumed, "{version:?}");
        assert_eq!(tls.ask_clients(&other_host_asks()), []);
        assert!(facts(&tls, &client, "shop.test").await.is_resumed, "{version:?}");
        assert_eq!(tls.update(&table(&[("shop.test", &new)], &[])), []);
        assert!(facts(&tls, &client, "shop.test").await.is_resumed, "{version:?}");
        let restarted = server(&table(&[("shop.test", &new)], &[]));
        assert!(!facts(&restarted, &client, "shop.test").await.is_resumed, "{version:?}: tickets of another process");
    }
}

#[tokio::test]
async fn refused_keys_are_reported_once_and_fall_back() {
    let broken = |source: &str, key: &[u8]| {
        let good = certificate(source, &["shop.test"]);
        Arc::new(Certificate { key: PrivateKey(key.into()), ..(*good).clone() })
    };
    let garbage = broken("garbage", b"garbage");
    let mismatched = broken("mismatched", &certificate("other", &[]).key.0);
    let (good, default) = (certificate("good", &["good.test"]), certificate("default", &[]));
    let declared = [("a.test", &garbage), ("b.test", &mismatched), ("good.test", &good)];
    let tls = ServerTls::new().expect("TLS");
    let mut refused: Vec<_> = tls.update(&table(&declared, &[&default])).iter().map(ToString::to_string).collect();
    refused.sort();
    assert_eq!(refused.len(), 2, "{refused:?}");
    assert!(refused[0].starts_with("certificate of Secret test/garbage cannot be served: "), "{refused:?}");
    assert!(refused[1].starts_with("certificate of Secret test/mismatched cannot be served: "), "{refused:?}");
    let client = client(&[], &[]);
    for (name, expected) in [("a.test", &default), ("b.test", &default), ("good.test", &good)] {
        assert_eq!(served(&tls, &client, name).await, &*expected.chain[0], "{name}");
    }
    assert_eq!(tls.update(&table(&declared, &[])), []);
    assert_eq!(served(&tls, &client, "a.test").await, leaf_of(&tls.certificates.self_made));
}

#[test]
fn unchanged_certificates_are_parsed_once_whatever_the_number_of_hosts() {
    let (shared, single) = (certificate("shared", &[]), certificate("single", &[]));
    let hosts: Vec<_> = (0..1000).map(|number| format!("host{number}.test")).collect();
    let declared: Vec<_> = hosts.iter().map(|host| (host.as_str(), &shared)).collect();
    let (first, _) = CertifiedKeys::of(&table(&declared, &[&single]), None);
    assert_eq!(first.len(), 2);
    let (second, _) = CertifiedKeys::of(&table(&declared, &[]), Some(&first));
    assert_eq!(second.len(), 1);
    let key = |keys: &CertifiedKeys| Arc::clone(keys.choose(Some("host7.test"), RSA_SCHEMES).expect("a key"));
    assert!(Arc::ptr_eq(&key(&first), &key(&second)));
}

#[test]
fn self_made_certificate_names_its_host_and_is_short_lived() {
    let key = self_made::certified_key(&ring::default_provider()).expect("certificate");
    let der = &key.cert[0];
    let mut roots = RootCertStore::empty();
    roots.add(der.clone()).expect("root");
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build().expect("verifier");
    let is_valid = |days: i64, name: &str| {
        let now = UnixTime::now().as_secs().saturating_add_signed(days * 86400);
        let name = ServerName::try_from(name.to_owned()).expect("name");
        let at = UnixTime::since_unix_epoch(Duration::from_secs(now));
        rustls::client::danger::ServerCertVerifier::verify_server_cert(&*verifier, der, &[], &name, &[], at).is_ok()
    };
    assert!(is_valid(0, "tidegate.invalid"));
    assert!(is_valid(363, "tidegate.invalid"));
    assert!(!is_valid(365, "tidegate.invalid"));
    assert!(!is_valid(-2, "tidegate.invalid"));
    assert!(!is_valid(0, "shop.test"));
}

/// Another host than those of the tests asks for client certificates, so that each handshake is chosen for its name.
fn other_host_asks() -> Arc<RoutingTable> {
    let mut policies = ClientPolicyTable::default();
    let policy = ClientPolicy::without_anchors(ObjectRef::new(Kind::Secret, "test", "ca"));
    policies.put(&HostPattern::parse(Some("other.test")).expect("pattern"), Some(Arc::new(policy)));
    Arc::new(RoutingTable { client_policies: Some(Arc::new(policies)), ..RoutingTable::default() })
}

#[tokio::test]
async fn failures_are_told_apart() {
    async fn failure(tls: &ServerTls, peer: impl AsyncFnOnce(DuplexStream)) -> HandshakeFailure {
        let (near, far) = duplex(16 * 1024);
        let (accepted, ()) = tokio::join!(tls.accept(far), peer(near));
        HandshakeFailure::from(&accepted.map(|_| ()).expect_err("a failure"))
    }
    async fn handshake(client: Arc<ClientConfig>, near: DuplexStream) {
        let name = ServerName::try_from("shop.test").expect("name");
        assert!(TlsConnector::from(client).connect(name, near).await.is_err());
    }
    let shop = certificate("shop", &["shop.test"]);
    let [usual, asking] = [(); 2].map(|()| server(&table(&[("shop.test", &shop)], &[])));
    assert_eq!(asking.ask_clients(&other_host_asks()), []);
    for tls in [usual, asking] {
        let plain =
            failure(&tls, async |mut near| near.write_all(b"GET / HTTP/1.1\r\n\r\n").await.expect("write")).await;
        assert_eq!(plain, HandshakeFailure::NotTls);
        assert_eq!(failure(&tls, async |near| drop(near)).await, HandshakeFailure::Closed);
        let rsa_only = certificates::client_of_schemes(RSA_SCHEMES);
        assert_eq!(failure(&tls, async |near| handshake(rsa_only, near).await).await, HandshakeFailure::Incompatible);
        let other_alpn = client(&[], &[b"acme-tls/1"]);
        assert_eq!(failure(&tls, async |near| handshake(other_alpn, near).await).await, HandshakeFailure::Incompatible);
        let distrusting = certificates::distrusting_client();
        assert_eq!(failure(&tls, async |near| handshake(distrusting, near).await).await, HandshakeFailure::Alert);
    }
    let timeout = io::Error::from(io::ErrorKind::TimedOut);
    assert_eq!(HandshakeFailure::from(&timeout), HandshakeFailure::Timeout);
}
