use super::*;
use config::ObjectRef;
use k8s_openapi::ByteString;
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair};
use std::collections::BTreeMap;

const RSA_PKCS8: &str = include_str!("../../tests/certificates/rsa.pkcs8.pem");
const RSA_PKCS1: &str = include_str!("../../tests/certificates/rsa.pkcs1.pem");
const EC_PKCS8: &str = include_str!("../../tests/certificates/ec.pkcs8.pem");
const EC_SEC1: &str = include_str!("../../tests/certificates/ec.sec1.pem");
const EC_ENCRYPTED: &str = include_str!("../../tests/certificates/ec.encrypted.pem");

fn key(pem: &str) -> KeyPair {
    KeyPair::from_pem(pem).expect("a valid key")
}

/// A certificate with these subjectAltNames and this common name.
fn certificate(key: &KeyPair, names: &[&str], common_name: &str) -> String {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("valid names");
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.self_signed(key).expect("signed").pem()
}

fn secret(type_: &str, chain: &str, key: &str) -> Secret {
    let mut secret = Secret { type_: Some(type_.to_owned()), ..Secret::default() };
    secret.metadata.name = Some("web".to_owned());
    secret.metadata.namespace = Some("shop".to_owned());
    let data = [(CHAIN, chain), (KEY, key)].map(|(name, text)| (name.to_owned(), ByteString(text.into())));
    secret.data = Some(BTreeMap::from(data));
    secret
}

fn parsed(chain: &str, key: &str) -> Arc<Certificate> {
    parse(&secret("kubernetes.io/tls", chain, key)).expect("a good certificate")
}

fn problem(chain: &str, key: &str) -> String {
    parse(&secret("kubernetes.io/tls", chain, key)).expect_err("a bad certificate").to_string()
}

#[test]
fn every_form_of_a_key_is_read() {
    let ed25519 = KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("generated");
    for (pair, pem, kind) in [
        (key(RSA_PKCS8), RSA_PKCS8, KeyKind::Rsa),
        (key(RSA_PKCS8), RSA_PKCS1, KeyKind::Rsa),
        (key(EC_PKCS8), EC_PKCS8, KeyKind::Ecdsa),
        (key(EC_PKCS8), EC_SEC1, KeyKind::Ecdsa),
        (key(&ed25519.serialize_pem()), &ed25519.serialize_pem(), KeyKind::Ed25519),
    ] {
        let read = parsed(&certificate(&pair, &["a.com"], "a.com"), pem);
        assert_eq!(read.key_kind, kind);
        PrivateKeyDer::try_from(read.key.0.to_vec()).expect("the form shows in the bytes");
    }
}

#[test]
fn an_opaque_secret_and_string_data_serve_as_well() {
    let mut secret = secret("Opaque", &certificate(&key(EC_PKCS8), &["a.com"], ""), EC_PKCS8);
    assert!(is_tls(&secret));
    assert_eq!(parse(&secret).expect("good").source, ObjectRef::new(Kind::Secret, "shop", "web"));
    let newer = certificate(&key(EC_PKCS8), &["b.com"], "");
    secret.string_data = Some(BTreeMap::from([(CHAIN.to_owned(), newer)]));
    assert_eq!(parse(&secret).expect("good").names, ["b.com"]);
}

#[test]
fn a_secret_without_a_certificate_is_no_tls_secret() {
    let secret = Secret { type_: Some("Opaque".to_owned()), ..Secret::default() };
    assert!(!is_tls(&secret));
    assert_eq!(parse(&secret), Err(CertificateProblem::Missing(CHAIN)));
}

#[test]
fn names_are_the_alternative_ones_and_only_without_them_the_common_one() {
    for (names, common_name, expected) in [
        (vec!["b.com", "*.A.com"], "c.com", vec!["*.a.com", "b.com"]),
        (vec!["10.0.0.1"], "c.com", vec![]),
        (vec![], "C.com", vec!["c.com"]),
    ] {
        let read = parsed(&certificate(&key(EC_PKCS8), &names, common_name), EC_PKCS8);
        assert_eq!(read.names, expected, "{names:?}");
    }
}

#[test]
fn text_between_the_sections_is_no_matter() {
    let chain = certificate(&key(EC_PKCS8), &["a.com"], "a.com");
    let chatty = format!("Certificate:\r\n  Data: 0\r\n{}\nfriendlyName: x\n", chain.replace('\n', "\r\n"));
    assert_eq!(parsed(&chatty, &format!("Bag Attributes\n{EC_SEC1}\n\n")).names, ["a.com"]);
}

#[test]
fn validity_is_read_and_not_judged() {
    let mut params = CertificateParams::new(vec!["a.com".to_owned()]).expect("valid");
    params.not_before = rcgen::date_time_ymd(2001, 1, 1);
    params.not_after = rcgen::date_time_ymd(2002, 1, 1);
    let read = parsed(&params.self_signed(&key(EC_PKCS8)).expect("signed").pem(), EC_PKCS8);
    assert_eq!((read.not_before, read.not_after), (978_307_200, 1_009_843_200));
}

#[test]
fn the_chain_comes_leaf_first() {
    let mut authority = CertificateParams::new(vec![]).expect("valid");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = authority.self_signed(&key(RSA_PKCS8)).expect("signed").pem();
    let leaf = CertificateParams::new(vec!["a.com".to_owned()]).expect("valid");
    let leaf = leaf.signed_by(&key(EC_PKCS8), &Issuer::new(authority, key(RSA_PKCS8))).expect("signed").pem();
    assert_eq!(parsed(&format!("{leaf}{root}"), EC_PKCS8).chain.len(), 2);
    assert_eq!(
        problem(&format!("{root}{leaf}"), EC_PKCS8),
        "tls.key belongs to certificate 2 of tls.crt, but the first must be the server's own"
    );
}

#[test]
fn a_problem_names_the_key_of_the_secret() {
    let chain = certificate(&key(EC_PKCS8), &["a.com"], "a.com");
    let truncated = chain.get(..chain.len() / 2).expect("ascii");
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (chain, key, expected) in [
        ("", EC_SEC1, "tls.crt is missing"),
        (&*chain, "", "tls.key is missing"),
        ("hello", EC_SEC1, "tls.crt holds no certificate"),
        (EC_SEC1, EC_SEC1, "tls.crt holds no certificate"),
        (truncated, EC_SEC1, "tls.crt is no PEM: a section has no END line"),
        (&chain.replace('M', "!"), EC_SEC1, "tls.crt is no PEM: its base64 is malformed"),
        (&chain, "hello", "tls.key holds no private key in PKCS#8, PKCS#1 or SEC1"),
        (&chain, EC_ENCRYPTED, "tls.key is encrypted, and there is no passphrase"),
        (&chain, RSA_PKCS1, "tls.key does not belong to the certificate in tls.crt"),
    ] {
        assert_eq!(problem(chain, key), expected);
    }
    assert!(problem(garbage, EC_SEC1).starts_with("tls.crt: the certificate is malformed: "));
    let broken_key = EC_PKCS8.replace("MIGHAgEAMB", "MIGHAgEAMC");
    assert!(problem(&chain, &broken_key).starts_with("tls.key cannot be used: "), "{}", problem(&chain, &broken_key));
}

#[test]
fn messages_hold_no_byte_of_a_key() {
    let chain = certificate(&key(EC_PKCS8), &["a.com"], "a.com");
    let cut = EC_PKCS8.replace("-----END PRIVATE KEY-----", "");
    let bad_begin = EC_PKCS8.replace("-----BEGIN PRIVATE KEY-----\n", "-----BEGIN PRIVATE KEY");
    for key in [cut, bad_begin, EC_PKCS8.replace('Q', "*")] {
        assert!(problem(&chain, &key).len() < 80, "{}", problem(&chain, &key));
    }
}
