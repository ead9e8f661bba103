//! The authorities of a Secret, whose certificates clients may show: its `ca.crt` as the model's [`ClientPolicy`].
//! Checked by the library that verifies with them, so that none of them fails later.

use super::{CertificateProblem, read_chain, value};
use crate::Printable;
use crate::object::object_ref;
use config::{ClientPolicy, Kind, TrustAnchor};
use k8s_openapi::api::core::v1::Secret;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use std::sync::Arc;

/// The key of the Secret, as cert-manager and ingress-nginx spell it.
const AUTHORITIES: &str = "ca.crt";

/// Reads `ca.crt` of a Secret of any type: one or more certificates in PEM.
///
/// # Errors
/// [`CertificateProblem`] where any of them cannot be used.
pub fn parse(secret: &Secret) -> Result<Arc<ClientPolicy>, CertificateProblem> {
    let certificates = read_chain(AUTHORITIES, value(secret, AUTHORITIES)?)?;
    let mut trust_anchors = Vec::with_capacity(certificates.len());
    for (place, certificate) in certificates.into_iter().enumerate() {
        let no_authority = |message| CertificateProblem::NoAuthority { key: AUTHORITIES, place: place + 1, message };
        trust_anchors.push(trust_anchor(certificate).map_err(no_authority)?);
    }
    Ok(Arc::new(ClientPolicy { source: object_ref(Kind::Secret, &secret.metadata), trust_anchors }))
}

fn trust_anchor(der: CertificateDer<'static>) -> Result<TrustAnchor, String> {
    let (_, certificate) = x509_parser::parse_x509_certificate(&der).map_err(|error| error.to_string())?;
    let subject = Printable(certificate.subject()).to_string().into();
    let not_after = certificate.validity().not_after.timestamp();
    let bytes = Arc::from(der.as_ref());
    RootCertStore::empty().add(der).map_err(|error| error.to_string())?;
    Ok(TrustAnchor { subject, not_after, der: bytes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair};
    use std::collections::BTreeMap;

    fn secret(ca: &str) -> Secret {
        let mut secret = Secret { type_: Some("Opaque".to_owned()), ..Secret::default() };
        (secret.metadata.namespace, secret.metadata.name) = (Some("shop".to_owned()), Some("ca".to_owned()));
        secret.string_data = Some(BTreeMap::from([(AUTHORITIES.to_owned(), ca.to_owned())]));
        secret
    }

    fn authority(name: &str) -> String {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_after = rcgen::date_time_ymd(2040, 1, 1);
        params.self_signed(&KeyPair::generate().expect("key")).expect("signed").pem()
    }

    #[test]
    fn every_certificate_is_an_authority() {
        let policy = parse(&secret(&format!("{}text\n{}", authority("one"), authority("two")))).expect("good");
        assert_eq!(policy.source.to_string(), "Secret shop/ca");
        let anchors: Vec<_> = policy.trust_anchors.iter().map(|of| (&*of.subject, of.not_after)).collect();
        assert_eq!(anchors, [("CN=one", 2_208_988_800), ("CN=two", 2_208_988_800)]);
    }

    #[test]
    fn one_bad_certificate_spoils_all() {
        let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for (ca, expected) in [
            (String::new(), "ca.crt is missing"),
            ("hello".to_owned(), "ca.crt holds no certificate"),
            (authority("one").replace("-----END", ""), "ca.crt is no PEM: a section has no END line"),
            (format!("{}{garbage}", authority("one")), "ca.crt: certificate 2 cannot be an authority's: "),
        ] {
            let problem = parse(&secret(&ca)).expect_err("a problem").to_string();
            assert!(problem.starts_with(expected), "{problem}");
        }
    }
}
