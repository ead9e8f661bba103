use super::*;
use crate::tls::tests::certificates::certificate;
use crate::tls::{ServerTls, TlsFacts};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SupportedProtocolVersion, version};
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio_rustls::{TlsAcceptor, client, server};

type Connection = (client::TlsStream<DuplexStream>, server::TlsStream<DuplexStream>);

fn tls(trust: Trust, server_name: Option<&str>) -> UpstreamTls {
    UpstreamTls { server_name: server_name.map(Into::into), trust }
}

fn endpoint(text: &str) -> EndpointAddress {
    EndpointAddress::Socket(text.parse().expect("address"))
}

async fn connect(
    acceptor: &TlsAcceptor,
    (connector, name): (TlsConnector, ServerName<'static>),
) -> io::Result<Connection> {
    let (near, far) = duplex(16 * 1024);
    let (client, server) = tokio::join!(connector.connect(name, near), acceptor.accept(far));
    let (mut client, mut server) = (client?, server?);
    // The client meets its tickets on the way.
    server.write_all(b"x").await?;
    server.flush().await?;
    client.read_u8().await?;
    Ok((client, server))
}

#[derive(Debug)]
struct Fixed(Arc<CertifiedKey>);

impl ResolvesServerCert for Fixed {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

fn acceptor(chain: &[u8], key: &PrivateKeyDer<'_>, version: &'static SupportedProtocolVersion) -> TlsAcceptor {
    let key = rustls::crypto::ring::sign::any_supported_type(key).expect("key");
    let key = CertifiedKey::new(vec![CertificateDer::from(chain.to_vec())], key);
    let config = ServerConfig::builder_with_provider(provider()).with_protocol_versions(&[version]).expect("version");
    TlsAcceptor::from(Arc::new(config.with_no_client_auth().with_cert_resolver(Arc::new(Fixed(Arc::new(key))))))
}

#[tokio::test]
async fn any_trust_takes_every_certificate_whose_key_the_peer_holds() {
    let mut configs = UpstreamTlsConfigs::new().expect("configs");
    let (any, at) = (tls(Trust::Any, None), endpoint("192.0.2.1:8443"));
    let version1 = CertificateDer::from_pem_slice(include_bytes!("tests/version1.pem")).expect("certificate");
    let version1_key = PrivateKeyDer::from_pem_slice(include_bytes!("tests/version1.key.pem")).expect("key");
    let own = certificate("own", &["elsewhere.test"]);
    let own_key = PrivateKeyDer::try_from(&*own.key.0).expect("key");
    let other = certificate("other", &[]);
    let other_key = PrivateKeyDer::try_from(&*other.key.0).expect("key");
    for version in [&version::TLS13, &version::TLS12] {
        for (chain, key, is_taken, case) in [
            (&*own.chain[0], &own_key, true, "self-signed for another name"),
            (&*version1, &version1_key, true, "X.509 version 1"),
            (&*own.chain[0], &other_key, false, "a key that is not the certificate's"),
        ] {
            let connector = configs.connector(&any, UpstreamAlpn::Http1, &at).expect("connector");
            let connected = connect(&acceptor(chain, key, version), connector).await;
            assert_eq!(connected.is_ok(), is_taken, "{case}, {version:?}");
        }
    }
}

#[tokio::test]
async fn public_roots_verify_chain_and_name() {
    let ca_key = KeyPair::generate().expect("key");
    let mut ca = CertificateParams::new(Vec::new()).expect("params");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = ca.self_signed(&ca_key).expect("root");
    let issuer = Issuer::new(ca, ca_key);
    let leaf_key = KeyPair::generate().expect("key");
    let leaf = CertificateParams::new(["api.test".to_owned(), "192.0.2.1".to_owned()]).expect("params");
    let leaf = leaf.signed_by(&leaf_key, &issuer).expect("leaf");
    let key = PrivatePkcs8KeyDer::from(leaf_key.serialize_der()).into();
    let acceptor = acceptor(leaf.der(), &key, &version::TLS13);

    let mut roots = RootCertStore::empty();
    roots.add(root.der().clone()).expect("root");
    let mut ours = UpstreamTlsConfigs::with_roots(roots).expect("configs");
    let mut public = UpstreamTlsConfigs::new().expect("configs");
    for (is_ours, name, at, is_taken) in [
        (true, Some("api.test"), "192.0.2.1:443", true),
        (true, Some("other.test"), "192.0.2.1:443", false),
        (true, None, "192.0.2.1:443", true),
        (true, None, "192.0.2.2:443", false),
        (false, Some("api.test"), "192.0.2.1:443", false),
    ] {
        let configs = if is_ours { &mut ours } else { &mut public };
        let policy = tls(Trust::PublicRoots, name);
        let connector = configs.connector(&policy, UpstreamAlpn::Http1, &endpoint(at)).expect("connector");
        assert_eq!(connect(&acceptor, connector).await.is_ok(), is_taken, "{name:?} {at}");
    }
}

#[tokio::test]
async fn name_and_protocols_are_those_of_the_policy() {
    let acceptor = TlsAcceptor::from(ServerTls::new().expect("TLS").config);
    let mut configs = UpstreamTlsConfigs::new().expect("configs");
    let named = EndpointAddress::Name("external.test".into(), 443);
    for (name, at, alpn, sent, is_agreed_h2) in [
        (Some("api.test"), endpoint("192.0.2.1:443"), UpstreamAlpn::H2OrHttp1, Some("api.test"), true),
        (Some("api.test"), named.clone(), UpstreamAlpn::Http1, Some("api.test"), false),
        (None, named, UpstreamAlpn::H2OrHttp1, Some("external.test"), true),
        (None, endpoint("[2001:db8::1]:443"), UpstreamAlpn::Http1, None, false),
    ] {
        let connector = configs.connector(&tls(Trust::Any, name), alpn, &at).expect("connector");
        let (client, server) = connect(&acceptor, connector).await.expect("handshake");
        assert_eq!(TlsFacts::of(server.get_ref().1).server_name.as_deref(), sent, "{name:?} {at}");
        assert_eq!(is_h2(client.get_ref().1), is_agreed_h2, "{name:?} {at}");
    }
}

#[tokio::test]
async fn sessions_are_resumed_with_the_same_endpoint_and_policy_only() {
    let acceptor = TlsAcceptor::from(ServerTls::new().expect("TLS").config);
    let mut configs = UpstreamTlsConfigs::new().expect("configs");
    for (name, at, alpn, is_resumed) in [
        ("api.test", "192.0.2.1:443", UpstreamAlpn::Http1, false),
        ("api.test", "192.0.2.1:443", UpstreamAlpn::Http1, true),
        ("api.test", "192.0.2.2:443", UpstreamAlpn::Http1, false),
        ("api.test", "192.0.2.1:443", UpstreamAlpn::H2OrHttp1, false),
        ("www.test", "192.0.2.1:443", UpstreamAlpn::Http1, false),
        ("api.test", "192.0.2.1:443", UpstreamAlpn::Http1, true),
    ] {
        let connector = configs.connector(&tls(Trust::Any, Some(name)), alpn, &endpoint(at)).expect("connector");
        let (_, server) = connect(&acceptor, connector).await.expect("handshake");
        assert_eq!(TlsFacts::of(server.get_ref().1).is_resumed, is_resumed, "{name} {at} {alpn:?}");
    }
}

#[test]
fn equal_policies_have_one_number() {
    let mut configs = UpstreamTlsConfigs::new().expect("configs");
    let policies = [
        (tls(Trust::Any, None), UpstreamAlpn::Http1),
        (tls(Trust::Any, None), UpstreamAlpn::H2OrHttp1),
        (tls(Trust::PublicRoots, None), UpstreamAlpn::Http1),
        (tls(Trust::Any, Some("a.test")), UpstreamAlpn::Http1),
        (tls(Trust::Any, Some("b.test")), UpstreamAlpn::Http1),
    ];
    let mut numbers = || policies.iter().map(|(tls, alpn)| configs.policy(tls, *alpn)).collect::<Vec<_>>();
    let first = numbers();
    assert_eq!(first, numbers());
    assert_eq!(first.iter().collect::<std::collections::HashSet<_>>().len(), policies.len());
}

#[test]
fn kept_endpoints_are_bounded() {
    let mut configs = UpstreamTlsConfigs::new().expect("configs");
    let any = tls(Trust::Any, None);
    for port in 1..=1000 {
        let at = endpoint(&format!("192.0.2.1:{port}"));
        configs.connector(&any, UpstreamAlpn::Http1, &at).expect("connector");
    }
    assert_eq!((configs.configs.len(), configs.oldest.len()), (ENDPOINTS, ENDPOINTS));
}

#[test]
fn what_is_no_server_name_is_named() {
    let mut configs = UpstreamTlsConfigs::new().expect("configs");
    let result = configs.connector(&tls(Trust::Any, Some("a b")), UpstreamAlpn::Http1, &endpoint("192.0.2.1:1"));
    assert_eq!(result.err().map(|error| error.to_string()).as_deref(), Some("\"a b\" is no server name"));
}
