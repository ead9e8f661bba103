//! Certificates that are good by themselves.

use super::super::*;
use super::cast::*;
use super::causes::cause;
use super::transports::serve;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, SanType};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

/// A certificate that its own key has signed, as an authority's is.
fn own_signed(change: impl FnOnce(&mut CertificateParams)) -> (rcgen::Certificate, TlsAcceptor) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.subject_alt_names.push(SanType::DnsName("dns.example".try_into().unwrap()));
    params.subject_alt_names.push(SanType::IpAddress([192, 0, 2, 1].into()));
    change(&mut params);
    let certificate = params.self_signed(&key).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let config = config.with_single_cert(vec![certificate.der().clone()], key).unwrap();
    (certificate, TlsAcceptor::from(Arc::new(config)))
}

/// What `openssl req -x509` makes, where `tls` names it.
#[tokio::test]
async fn a_certificate_that_is_given_is_good_for_its_names_and_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cert.pem");
    let expired = |params: &mut CertificateParams| {
        (params.not_before, params.not_after) = (rcgen::date_time_ymd(2000, 1, 1), rcgen::date_time_ymd(2001, 1, 1));
    };
    let (given, acceptor) = own_signed(|_| {});
    let (over, over_acceptor) = own_signed(expired);
    let (_, other_acceptor) = own_signed(|_| {});
    for (file_holds, acceptor, name, wrong) in [
        (&given, &acceptor, "dns.example", ""),
        (&given, &acceptor, "other.example", "certificate is valid for dns.example, 192.0.2.1, not other.example"),
        (&over, &over_acceptor, "dns.example", "certificate has expired or is not yet valid: "),
        (&given, &other_acceptor, "dns.example", "certificate signed by unknown authority"),
    ] {
        std::fs::write(&file, file_holds.pem()).unwrap();
        let (_, tcp) = sockets().await;
        let at = tcp.local_addr().unwrap();
        let (_events, _tasks) = serve(tcp, Some(acceptor.clone()), 9);
        let options = format!("max_fails 0\ntls_servername {name}\ntls {}", file.display());
        let asker = Asker::new(&format!("forward . tls://{at} {{\n{options}\n}}"));
        if wrong.is_empty() {
            assert_eq!(asker.ask("a.org.").await.unwrap(), "192.0.2.3");
            continue;
        }
        let (cause, begins) = (cause(&asker).await, format!("{at}: tls: failed to verify certificate: x509: "));
        assert!(cause.starts_with(&begins) && cause.contains(wrong), "{cause}");
    }
}
