//! An ACME client (RFC 8555): an account, and its orders from the challenge to the certificate.

use crate::acme::jws::Key;
use crate::acme::pebble::{Answer, Pebble, directory};
use crate::authority::Issued;
use crate::harness::SOON;
use anyhow::{Context as _, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ground::until;
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};

/// Nonces that the server may refuse before something else must be wrong; pebble refuses one of twenty.
const NONCES: usize = 20;

/// An account at the server.
pub(super) struct Account<'p> {
    pebble: &'p Pebble<'p>,
    directory: Value,
    key: Key,
    id: Option<String>,
}

/// An order of a certificate for one host, and its HTTP-01 challenge.
pub(super) struct Order {
    pub(super) host: &'static str,
    pub(super) token: String,
    pub(super) key_authorization: String,
    url: String,
    authorization: String,
    challenge: String,
    finalize: String,
}

impl<'p> Account<'p> {
    /// A new one (RFC 8555 §7.3).
    pub(super) fn register(pebble: &'p Pebble<'_>) -> anyhow::Result<Self> {
        let directory = serde_json::from_str(&pebble.request("GET", &directory(), "")?.body)?;
        let mut account = Self { pebble, directory, key: Key::generate()?, id: None };
        let url = account.resource("newAccount")?;
        let answer = account.post(&url, Some(&json!({"termsOfServiceAgreed": true})))?;
        account.id = Some(answer.field("location")?.to_owned());
        Ok(account)
    }

    /// Orders a certificate (RFC 8555 §7.4).
    pub(super) fn order(&self, host: &'static str) -> anyhow::Result<Order> {
        let identifiers = json!({"identifiers": [{"type": "dns", "value": host}]});
        let answer = self.post(&self.resource("newOrder")?, Some(&identifiers))?;
        let order: Value = serde_json::from_str(&answer.body)?;
        let authorization = text(&order, "/authorizations/0")?;
        let challenges = self.read(&authorization)?;
        ensure!(challenges["status"] == "pending", "{challenges}");
        let mut offered = challenges["challenges"].as_array().into_iter().flatten();
        let challenge = offered.find(|challenge| challenge["type"] == "http-01").context("no HTTP-01 challenge")?;
        let token = text(challenge, "/token")?;
        Ok(Order {
            host,
            key_authorization: format!("{token}.{}", self.key.thumbprint()),
            token,
            url: answer.field("location")?.to_owned(),
            challenge: text(challenge, "/url")?,
            finalize: text(&order, "/finalize")?,
            authorization,
        })
    }

    /// Says that the challenge is answered (RFC 8555 §7.5.1); the authorization once the server has looked.
    pub(super) fn validate(&self, order: &Order) -> anyhow::Result<Value> {
        self.post(&order.challenge, Some(&json!({})))?;
        self.until_settled(&order.authorization, &["pending"])
    }

    /// Gives up what a host was authorized for (RFC 8555 §7.5.2): the next order has a challenge of its own.
    pub(super) fn deactivate(&self, order: &Order) -> anyhow::Result<()> {
        let authorization = self.post(&order.authorization, Some(&json!({"status": "deactivated"})))?.body;
        ensure!(text(&serde_json::from_str(&authorization)?, "/status")? == "deactivated", "{authorization}");
        Ok(())
    }

    /// The state of an order.
    pub(super) fn state(&self, order: &Order) -> anyhow::Result<Value> {
        self.read(&order.url)
    }

    /// Gets the certificate of a valid order for a new key (RFC 8555 §7.4).
    pub(super) fn finalize(&self, order: &Order) -> anyhow::Result<Issued> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec![order.host.to_owned()])?;
        params.distinguished_name = DistinguishedName::new();
        let request = URL_SAFE_NO_PAD.encode(params.serialize_request(&key)?.der());
        self.post(&order.finalize, Some(&json!({"csr": request})))?;
        let done = self.until_settled(&order.url, &["ready", "processing"])?;
        ensure!(done["status"] == "valid", "{done}");
        let chain = self.post(&text(&done, "/certificate")?, None)?.body;
        let der = CertificateDer::from_pem_slice(chain.as_bytes()).context(chain.clone())?;
        Ok(Issued { chain, key: key.serialize_pem(), der })
    }

    fn until_settled(&self, url: &str, moving: &[&str]) -> anyhow::Result<Value> {
        until("the server has decided", SOON, || {
            let state = self.read(url)?;
            Ok((!moving.contains(&state["status"].as_str().context("no status")?)).then_some(state))
        })
    }

    /// What a URL has, by POST-as-GET (RFC 8555 §6.3).
    fn read(&self, url: &str) -> anyhow::Result<Value> {
        Ok(serde_json::from_str(&self.post(url, None)?.body)?)
    }

    fn post(&self, url: &str, payload: Option<&Value>) -> anyhow::Result<Answer> {
        for _ in 0..NONCES {
            let nonce = self.pebble.request("HEAD", &self.resource("newNonce")?, "")?;
            let body = self.key.sign(url, nonce.field("replay-nonce")?, self.id.as_deref(), payload)?;
            let answer = self.pebble.request("POST", url, &body)?;
            match answer.status {
                200 | 201 => return Ok(answer),
                // It is asked again with another (RFC 8555 §6.5).
                400 if answer.body.contains("urn:ietf:params:acme:error:badNonce") => {}
                _ => bail!("{url}: {answer:?}"),
            }
        }
        bail!("{url}: no nonce was good")
    }

    fn resource(&self, name: &str) -> anyhow::Result<String> {
        text(&self.directory, &format!("/{name}"))
    }
}

fn text(value: &Value, pointer: &str) -> anyhow::Result<String> {
    let text = value.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    text.with_context(|| format!("no {pointer} in {value}"))
}
