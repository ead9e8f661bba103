//! The key of an ACME account, and what it signs: JWS with ES256 (RFC 7515, RFC 7518 §3.4).

use anyhow::anyhow;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};

pub(super) struct Key {
    pair: EcdsaKeyPair,
    random: SystemRandom,
}

impl Key {
    pub(super) fn generate() -> anyhow::Result<Self> {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let unspecified = |error| anyhow!("no key: {error}");
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).map_err(unspecified)?;
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random);
        Ok(Self { pair: pair.map_err(|error| anyhow!("no key: {error}"))?, random })
    }

    /// A request to `url` (RFC 8555 §6.2), by the key itself where the account has no id yet. Without a payload it is a
    /// POST-as-GET.
    pub(super) fn sign(
        &self,
        url: &str,
        nonce: &str,
        account: Option<&str>,
        payload: Option<&Value>,
    ) -> anyhow::Result<String> {
        let mut protected = json!({"alg": "ES256", "nonce": nonce, "url": url});
        match account {
            Some(id) => protected["kid"] = json!(id),
            None => protected["jwk"] = self.public(),
        }
        let protected = URL_SAFE_NO_PAD.encode(protected.to_string());
        let payload = payload.map_or_else(String::new, |payload| URL_SAFE_NO_PAD.encode(payload.to_string()));
        let signed = self.pair.sign(&self.random, format!("{protected}.{payload}").as_bytes());
        let signature = URL_SAFE_NO_PAD.encode(signed.map_err(|error| anyhow!("no signature: {error}"))?);
        Ok(json!({"protected": protected, "payload": payload, "signature": signature}).to_string())
    }

    /// RFC 7638.
    pub(super) fn thumbprint(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest(&SHA256, self.public().to_string().as_bytes()))
    }

    /// The JWK, its fields in the order that a thumbprint wants.
    fn public(&self) -> Value {
        // An uncompressed point: 4, then both coordinates.
        let (x, y) = self.pair.public_key().as_ref()[1..].split_at(32);
        json!({"crv": "P-256", "kty": "EC", "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y)})
    }
}
