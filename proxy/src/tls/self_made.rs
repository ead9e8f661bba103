//! The certificate of a run: what a client sees whose server name no Secret covers. Nobody trusts it, and its name says
//! why (RFC 6761 §6.4: `invalid` never resolves).

use super::TlsError;
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::sign::CertifiedKey;
use std::time::{Duration, SystemTime};

const NAME: &str = "tidegate.invalid";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Makes it: ECDSA on P-256, valid from a day ago, for clocks that are behind, to 364 days from now.
pub(super) fn certified_key(provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
    let mut params = CertificateParams::new([NAME.to_owned()])?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, NAME);
    params.not_before = (SystemTime::now() - DAY).into();
    params.not_after = (SystemTime::now() + 364 * DAY).into();
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    Ok(CertifiedKey::from_der(vec![certificate.der().clone()], key.into(), provider)?)
}
